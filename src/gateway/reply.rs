//! Tool results of our own making.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::Fault;
use crate::model::usage::{USAGE_KEY, Usage};
use crate::runner::live::{Handle, OpenQuestion, View};
use crate::runner::report::{Report, error_json};
use crate::runner::waiting::QUEUED;
use crate::wire::object::Object;

/// The `_meta` key under which a workflow's result names its run.
pub const RUN_KEY: &str = "io.mcp-orchestrator/run";

/// The `_meta` key that names who answered, where there was a choice.
pub const SERVED_BY_KEY: &str = "io.mcp-orchestrator/served-by";

/// The `_meta` key of a result that was kept from an earlier call; it tells the age.
pub const CACHED_KEY: &str = "io.mcp-orchestrator/cached";

/// The `_meta` key of a kept result that is older than it should be; it tells why it is given all the same.
pub const STALE_KEY: &str = "io.mcp-orchestrator/stale";

/// A successful result: `structured` for programs, `text` for models.
pub fn success(structured: &Value, text: &str) -> Reply {
    of(&json!({ "content": [{ "type": "text", "text": text }], "structuredContent": structured }))
}

/// A successful result with nothing to tell but `value`.
pub fn structured(value: &Value) -> Reply {
    let whole = if value.is_object() { value.clone() } else { json!({ "result": value }) };
    success(&whole, &value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
}

/// A failed result.
pub fn failure(structured: &Value, text: &str) -> Reply {
    of(&json!({ "content": [{ "type": "text", "text": text }], "structuredContent": structured, "isError": true }))
}

/// A fault as a tool result that a model can act on.
pub fn fault(fault: &Fault) -> Reply {
    let error = json!({
        "code": fault.code.as_str(),
        "kind": fault.kind.as_str(),
        "message": fault.message,
        "server": fault.server,
        "target": fault.target,
        "retryable": fault.is_retryable(),
        "retry_after_ms": fault.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        "hint": fault.hint,
    });
    failure(&json!({ "error": without_nulls(error) }), &fault.to_string())
}

/// A run as the result of `run_workflow`.
pub fn report(report: &Report) -> Reply {
    let structured = report.to_json();
    match report.failure() {
        Some(_) => failure(&structured, &story(report)),
        None => success(&structured, &format!("{}\n{}", story(report), structured["output"])),
    }
}

/// A run that has begun and that nobody waits for.
pub fn begun(handle: &Handle, view: Option<&View>) -> Reply {
    let is_queued = view.is_some_and(|view| view.is_queued);
    let (status, told) = if is_queued { (QUEUED, "waits for its turn") } else { ("running", "has begun") };
    let structured = json!({ "run_id": handle.run_id, "workflow": &*handle.workflow, "status": status });
    success(&structured, &format!("run {} of `{}` {told}; `get_run` shows how it does", handle.run_id, handle.workflow))
}

/// A run that needs an answer before it can go on. As the result of a workflow's own tool, which promises the workflow's output,
/// it `is_failure`.
pub fn waiting(handle: &Handle, questions: &[OpenQuestion], is_failure: bool) -> Reply {
    let asked: Vec<_> = questions.iter().map(OpenQuestion::to_json).collect();
    let mut structured =
        json!({ "run_id": handle.run_id, "workflow": &*handle.workflow, "status": "waiting", "questions": asked });
    let told: Vec<_> =
        questions.iter().map(|open| format!("`{}` asks: {}", open.question.at, open.question.message)).collect();
    let text = format!(
        "[{}] run {} of `{}` waits for an answer. {}\nAnswer with `answer_run`.",
        code::NEEDS_ANSWER,
        handle.run_id,
        handle.workflow,
        told.join("\n")
    );
    if !is_failure {
        return success(&structured, &text);
    }
    structured["error"] = json!({ "code": code::NEEDS_ANSWER.as_str(), "message": text });
    failure(&structured, &text)
}

/// A run as the result of the workflow's own tool: the output itself, which must be an object for every host to accept it.
pub fn output(report: &Report) -> Reply {
    let Some(why) = report.failure() else {
        let whole = report.to_json();
        let output = whole["output"].clone();
        let structured = if output.is_object() { output.clone() } else { json!({ "result": output }) };
        return of(&json!({
            "content": [{ "type": "text", "text": output.as_str().map_or_else(|| output.to_string(), ToOwned::to_owned) }],
            "structuredContent": structured,
            "_meta": { RUN_KEY: { "run_id": report.run_id, "duration_ms": report.took }, USAGE_KEY: report.usage },
        }));
    };
    let mut whole = report.to_json();
    whole["error"] = error_json(&why);
    failure(&whole, &story(report))
}

/// A completed run as the result of a step that runs a workflow: the output, of whatever type.
pub fn inner(report: &Report) -> Reply {
    let output = report.to_json()["output"].take();
    of(&json!({
        "content": [{ "type": "text", "text": "" }],
        "structuredContent": output,
        "_meta": { USAGE_KEY: report.usage },
    }))
}

/// An answer of a model or an agent, of whatever type, with what it has used up and who gave it.
pub fn answer(value: &Value, usage: Usage, by: &str) -> Reply {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    of(&json!({
        "content": [{ "type": "text", "text": text }],
        "structuredContent": value,
        "_meta": { USAGE_KEY: usage, SERVED_BY_KEY: by },
    }))
}

/// The same reply with one more member of its `_meta`.
pub fn with_meta(reply: &Reply, key: &'static str, value: &impl Serialize) -> Reply {
    edited(reply, |meta| meta.set(key, value))
}

/// The same reply with another `_meta`.
fn edited(reply: &Reply, edit: impl FnOnce(&mut Object)) -> Reply {
    let Some(mut result) = Object::parse(&reply.body) else { return reply.clone() };
    let old = result.get("_meta").map(ToOwned::to_owned);
    let mut meta = old.as_deref().and_then(Object::parse).unwrap_or_default();
    edit(&mut meta);
    result.set("_meta", &meta);
    Reply::new(result.to_raw())
}

/// A reply that was kept for `age`, and is `stale` for this reason. It has cost nothing this time.
pub fn kept(reply: &Reply, age: Duration, stale: Option<&str>) -> Reply {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    edited(reply, |meta| {
        meta.retain(|key| key != USAGE_KEY);
        meta.set(CACHED_KEY, &json!({ "age_ms": age }));
        if let Some(why) = stale {
            meta.set(STALE_KEY, &json!({ "age_ms": age, "reason": why }));
        }
    })
}

/// The same for a host, which takes nothing but objects as structured content.
pub fn for_host(reply: Reply) -> Reply {
    let Some(mut result) = Object::parse(&reply.body) else { return reply };
    if result.get("structuredContent").is_none_or(|content| content.get().starts_with('{')) {
        return reply;
    }
    result.retain(|key| key != "structuredContent");
    Reply::new(result.to_raw())
}

/// What a result says that it has used up; at least one call.
pub fn usage_of(reply: &Reply) -> Usage {
    let text = reply.body.get();
    // Most results say nothing: look before reading.
    let told = text.contains(USAGE_KEY).then(|| Object::parse(&reply.body)).flatten();
    let meta = told.as_ref().and_then(|result| Object::parse(result.get("_meta")?));
    let usage = meta.and_then(|meta| serde_json::from_str::<Usage>(meta.get(USAGE_KEY)?.get()).ok());
    let usage = usage.unwrap_or_default();
    Usage { calls: usage.calls.max(1), ..usage }
}

/// How a run went, in one line.
fn story(report: &Report) -> String {
    let seconds = Duration::from_millis(report.took).as_secs_f32();
    let head = format!("run {} of `{}` {} after {seconds:.1} s", report.run_id, report.workflow, report.status());
    let Some(failure) = report.failure() else { return head };
    let told = failure.sentence();
    let at = failure.step.map_or_else(String::new, |step| format!(" at step `{step}`"));
    let hint = failure.hint.map_or_else(String::new, |hint| format!("; {hint}"));
    let undoing = report.undoing().map_or_else(String::new, |undoing| format!("; {undoing}"));
    format!("[{}] {head}{at}: {told}{hint}{undoing}", failure.code)
}

fn of(result: &Value) -> Reply {
    Reply::new(to_raw_value(result).expect("JSON values always serialise"))
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
