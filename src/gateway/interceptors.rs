//! What the registry's interceptors do to calls of servers' tools, before they are sent and once their results are there.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::downstream::endpoint::Endpoint;
use crate::engine::call::output_of;
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::gateway::workflows::parse_input;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::entry::Entry;
use crate::model::fault::{Fault, Kind};
use crate::registry::interceptor::{Action, At, Hook, Interceptor};
use crate::wire::envelope::bounded;
use crate::wire::object::Object;

impl Gateway {
    /// Sends a call of `entry` to its server, with what is to happen before and after that.
    pub(super) async fn call_guarded(
        &self,
        endpoint: &Arc<Endpoint>,
        entry: &Entry,
        call: &Call,
    ) -> Result<Reply, Fault> {
        if self.registry.interceptors.is_empty() {
            return self.send(endpoint, entry, call).await;
        }
        let name = format!("{}.{}", entry.server, entry.id);
        let of = |at| self.registry.interceptors.iter().filter(|rule| rule.concerns(&name, at)).collect::<Vec<_>>();
        let (before, after) = (of(At::Before), of(At::After));
        if before.is_empty() && after.is_empty() {
            return self.send(endpoint, entry, call).await;
        }
        let mut facts = facts(&name, entry, call)?;
        let mut call = call.clone();
        for rule in before {
            if self.act_before(rule, &mut facts, &call).await? {
                call.arguments = to_raw_value(&facts["arguments"]).ok();
            }
        }
        if after.is_empty() {
            return self.send(endpoint, entry, &call).await;
        }
        // A task's result would come by another way, past those who are to see it.
        call.awaits_tasks = true;
        call.extra.retain(|(key, _)| key != "task");
        let mut reply = self.send(endpoint, entry, &call).await?;
        for rule in after {
            reply = self.act_after(rule, &mut facts, reply, &call).await.map_err(Fault::sent)?;
        }
        Ok(reply)
    }

    /// Whether the arguments have changed.
    async fn act_before(&self, rule: &Interceptor, facts: &mut Value, call: &Call) -> Result<bool, Fault> {
        if !applies(rule, facts)? {
            return Ok(false);
        }
        let changes = match &rule.action {
            Action::Deny(why) => return Err(denied(rule, facts, &text(&compute(rule, why.apply(facts))?))),
            Action::Set(set) => compute(rule, set.apply(facts))?,
            Action::Output(_) => return Ok(false),
            Action::Ask(hook) => {
                let answer = self.ask_hook(rule, hook, facts, call, "arguments").await?;
                if let Some(arguments) = answer {
                    facts["arguments"] = arguments;
                    return Ok(true);
                }
                return Ok(false);
            }
        };
        for (key, value) in changes.as_object().into_iter().flatten() {
            match facts["arguments"].as_object_mut() {
                Some(arguments) if value.is_null() => _ = arguments.remove(key),
                Some(arguments) => _ = arguments.insert(key.clone(), value.clone()),
                None => {}
            }
        }
        Ok(true)
    }

    async fn act_after(
        &self,
        rule: &Interceptor,
        facts: &mut Value,
        reply: Reply,
        call: &Call,
    ) -> Result<Reply, Fault> {
        let result: Value = serde_json::from_str(reply.body.get()).map_err(|why| failed(rule, &why.to_string()))?;
        // What asks for something first is no result yet.
        if result.get("resultType").is_some_and(|kind| kind != "complete") {
            return Ok(reply);
        }
        facts["is_error"] = json!(reply.is_tool_error());
        facts["result"] = output_of(result);
        if !applies(rule, facts)? {
            return Ok(reply);
        }
        let output = match &rule.action {
            Action::Deny(why) => return Err(denied(rule, facts, &text(&compute(rule, why.apply(facts))?))),
            Action::Output(output) if !reply.is_tool_error() => Some(compute(rule, output.apply(facts))?),
            Action::Output(_) | Action::Set(_) => None,
            Action::Ask(hook) => self.ask_hook(rule, hook, facts, call, "output").await?,
        };
        Ok(output.map_or_else(|| reply.clone(), |output| with_output(&reply, &output)))
    }

    /// What a hook makes of `what` it may change, if it does.
    async fn ask_hook(
        &self,
        rule: &Interceptor,
        hook: &Hook,
        facts: &Value,
        call: &Call,
        what: &str,
    ) -> Result<Option<Value>, Fault> {
        let at = if rule.at == At::Before { "before" } else { "after" };
        let question = json!({ "interceptor": rule.name, "at": at, "call": facts });
        let left = call.limits.left(Instant::now());
        let decided = self.pool.hooks().ask(&rule.name, hook, &question, left).await;
        let decided = decided.and_then(|answer| decision(answer, what));
        match decided {
            Ok(Decision::Deny(why)) => Err(denied(rule, facts, &why)),
            Ok(Decision::Replace(value)) => Ok(Some(value)),
            Ok(Decision::GoOn) => Ok(None),
            Err(why) if hook.fails_open => {
                tracing::warn!(interceptor = rule.name, tool = %facts["name"], why, "goes on without a decision");
                Ok(None)
            }
            Err(why) => Err(failed(rule, &why)),
        }
    }
}

/// What a hook has decided.
enum Decision {
    GoOn,
    Deny(String),
    Replace(Value),
}

/// Reads the answer of a hook, which may change `what`. An answer that is not understood is none: it may have meant to refuse.
fn decision(answer: Value, what: &str) -> Result<Decision, String> {
    let mut fields = match answer {
        Value::Null => return Ok(Decision::GoOn),
        Value::Object(fields) => fields,
        other => return Err(format!("its answer is no object: {}", reply_start(&other))),
    };
    let deny = fields.remove("deny");
    let replaced = fields.remove(what);
    if let Some(key) = fields.keys().next() {
        return Err(format!("its answer holds `{key}`; only `deny` and `{what}` mean something"));
    }
    match (deny, replaced) {
        (Some(Value::String(why)), _) => Ok(Decision::Deny(why)),
        (Some(_), _) => Err("`deny` of its answer is not the reason, as text".to_owned()),
        (None, Some(value)) if what == "arguments" && !value.is_object() => {
            Err("`arguments` of its answer are no object".to_owned())
        }
        (None, Some(value)) => Ok(Decision::Replace(value)),
        (None, None) => Ok(Decision::GoOn),
    }
}

fn reply_start(value: &Value) -> String {
    bounded(&value.to_string(), 80)
}

/// What is known of a call before it is made.
fn facts(name: &str, entry: &Entry, call: &Call) -> Result<Value, Fault> {
    let arguments = match parse_input(call.arguments.as_deref())? {
        Value::Object(arguments) => arguments,
        Value::Null => Map::new(),
        _ => return Err(Fault::new(Kind::Invalid, code::BAD_REQUEST, "the arguments are no object").target(name)),
    };
    Ok(json!({
        "server": &*entry.server,
        "tool": entry.id,
        "name": name,
        "effect": entry.effect.as_str(),
        "arguments": arguments,
        "caller": &*call.principal.name,
        "profile": call.profile.as_deref(),
    }))
}

fn applies(rule: &Interceptor, facts: &Value) -> Result<bool, Fault> {
    rule.when.as_ref().map_or(Ok(true), |when| when.holds(facts).map_err(|error| failed(rule, &error.to_string())))
}

fn compute(rule: &Interceptor, value: Result<Value, impl std::fmt::Display>) -> Result<Value, Fault> {
    value.map_err(|error| failed(rule, &error.to_string()))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The reply with another output; what else it holds stays.
fn with_output(old: &Reply, output: &Value) -> Reply {
    let new = reply::structured(output);
    let (Some(mut whole), Some(new)) = (Object::parse(&old.body), Object::parse(&new.body)) else { return old.clone() };
    for key in ["content", "structuredContent"] {
        if let Some(value) = new.get(key) {
            whole.set_raw(key, std::borrow::Cow::Owned(value.to_owned()));
        }
    }
    Reply::new(whole.to_raw())
}

fn denied(rule: &Interceptor, facts: &Value, why: &str) -> Fault {
    let what = if rule.at == At::Before { "refuses the call" } else { "withholds the result" };
    Fault::new(Kind::Denied, code::INTERCEPTED, format!("the interceptor `{}` {what}: {why}", rule.name))
        .target(text(&facts["name"]))
}

fn failed(rule: &Interceptor, why: &str) -> Fault {
    Fault::new(Kind::Denied, code::HOOK_FAILED, format!("the interceptor `{}` could not decide: {why}", rule.name))
        .hint("correct it in the registry; `on_error = \"allow\"` lets calls through when a hook cannot decide")
}
