//! What the registry's interceptors do to calls of servers' tools, before they are sent and once their results are there.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::downstream::hook::Hooks;
use crate::engine::call::output_of;
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::gateway::workflows::parse_input;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::entry::Entry;
use crate::model::fault::{Fault, Kind};
use crate::registry::capability::Adapter;
use crate::registry::interceptor::{Action, At, Hook, Interceptor};
use crate::wire::envelope::bounded;
use crate::wire::object::Object;

/// The way of one call past the interceptors that it concerns.
pub(super) struct Passage {
    before: Vec<Arc<Interceptor>>,
    after: Vec<Arc<Interceptor>>,
    /// What expressions and hooks are told of the call.
    facts: Value,
    deadline: Option<Instant>,
}

impl Gateway {
    /// The way of a call of `entry`; `None` if no interceptor is concerned. Those of `seen_as` have seen it already.
    pub(super) fn passage(&self, entry: &Entry, seen_as: Option<&Entry>) -> Option<Passage> {
        let registry = self.registry();
        if registry.interceptors.is_empty() {
            return None;
        }
        let (name, seen_as) = (name(entry), seen_as.map(name));
        let concerned = registry
            .interceptors
            .iter()
            .filter(|rule| rule.concerns(&name))
            // Headers do not go from one server to the next, so that they are set anew.
            .filter(|rule| {
                matches!(rule.action, Action::Headers(_)) || !seen_as.as_ref().is_some_and(|seen| rule.concerns(seen))
            });
        let (before, after): (Vec<_>, Vec<_>) = concerned.cloned().partition(|rule| rule.at == At::Before);
        let is_any = !(before.is_empty() && after.is_empty());
        is_any.then_some(Passage { before, after, facts: Value::Null, deadline: None })
    }
}

impl Passage {
    /// The call as it is to be made.
    pub(super) async fn before(&mut self, hooks: &Hooks, entry: &Entry, mut call: Call) -> Result<Call, Fault> {
        self.facts = facts(entry, &call)?;
        self.deadline = call.limits.deadline;
        for rule in std::mem::take(&mut self.before) {
            if let Action::Headers(headers) = &rule.action {
                self.add_headers(&rule, headers, &mut call)?;
            } else if self.act_before(hooks, &rule).await? {
                call.arguments = to_raw_value(&self.facts["arguments"]).ok();
            }
        }
        if !self.after.is_empty() {
            // A task's result would come by another way, past those who are to see it.
            call.awaits_tasks = true;
            call.extra.retain(|(key, _)| key != "task");
        }
        Ok(call)
    }

    /// The reply as it is to be given.
    pub(super) async fn after(&mut self, hooks: &Hooks, mut reply: Reply) -> Result<Reply, Fault> {
        for rule in std::mem::take(&mut self.after) {
            reply = self.act_after(hooks, &rule, reply).await.map_err(Fault::sent)?;
        }
        Ok(reply)
    }

    /// Has the call carry headers. Those of a later interceptor take the place of the same ones of an earlier.
    fn add_headers(&self, rule: &Interceptor, headers: &Adapter, call: &mut Call) -> Result<(), Fault> {
        if !applies(rule, &self.facts)? {
            return Ok(());
        }
        let headers = compute(rule, headers.apply(&self.facts))?;
        for (name, value) in headers.as_object().into_iter().flatten() {
            call.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            let value = match value {
                Value::Null => continue,
                value => text(value),
            };
            if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(failed(
                    rule,
                    &format!("the header `{name}` would have characters that no header may have"),
                ));
            }
            call.headers.push((name.as_str().into(), value.into()));
        }
        Ok(())
    }

    /// Whether the arguments have changed.
    async fn act_before(&mut self, hooks: &Hooks, rule: &Interceptor) -> Result<bool, Fault> {
        let facts = &mut self.facts;
        if !applies(rule, facts)? {
            return Ok(false);
        }
        let changes = match &rule.action {
            Action::Deny(why) => return Err(denied(rule, facts, &text(&compute(rule, why.apply(facts))?))),
            Action::Set(set) => compute(rule, set.apply(facts))?,
            Action::Output(_) | Action::Headers(_) => return Ok(false),
            Action::Ask(hook) => {
                let answer = ask_hook(hooks, rule, hook, facts, self.deadline, "arguments").await?;
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

    async fn act_after(&mut self, hooks: &Hooks, rule: &Interceptor, reply: Reply) -> Result<Reply, Fault> {
        let facts = &mut self.facts;
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
            Action::Output(_) | Action::Set(_) | Action::Headers(_) => None,
            Action::Ask(hook) => ask_hook(hooks, rule, hook, facts, self.deadline, "output").await?,
        };
        Ok(output.map_or_else(|| reply.clone(), |output| with_output(&reply, &output)))
    }
}

/// What a hook makes of `what` it may change, if it does.
async fn ask_hook(
    hooks: &Hooks,
    rule: &Interceptor,
    hook: &Hook,
    facts: &Value,
    deadline: Option<Instant>,
    what: &str,
) -> Result<Option<Value>, Fault> {
    let at = if rule.at == At::Before { "before" } else { "after" };
    let question = json!({ "interceptor": rule.name, "at": at, "call": facts });
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let decided = hooks.ask(&rule.name, hook, &question, left).await;
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

/// What a tool is called in the registry.
fn name(entry: &Entry) -> String {
    format!("{}.{}", entry.server, entry.id)
}

/// What is known of a call before it is made.
fn facts(entry: &Entry, call: &Call) -> Result<Value, Fault> {
    let name = name(entry);
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
