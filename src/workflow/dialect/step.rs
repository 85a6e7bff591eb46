//! One step.

use std::collections::BTreeMap;

use serde_json::Number;

use crate::document::node::{Field, Node, Value};
use crate::model::problem::Span;
use crate::workflow::authored::is_type;
use crate::workflow::dialect::header::retry;
use crate::workflow::dialect::naming::Names;
use crate::workflow::dialect::{Fields, Reading, each_text, fields, list, table, text};

/// A server as another file calls it.
pub(super) struct Service {
    /// Its name in the registry.
    pub(super) server: String,
    /// How long a call may take, in seconds.
    pub(super) timeout: Option<u64>,
    /// How often a call is tried again.
    pub(super) retries: Option<u64>,
}

/// What counts for every step of a workflow.
pub(super) struct Rules<'a> {
    /// Servers under other names.
    pub(super) services: &'a BTreeMap<String, Service>,
    /// What the steps are called.
    pub(super) names: &'a Names,
    /// How a step is tried again that does not say it itself.
    pub(super) retry: Option<&'a Node>,
}

impl Rules<'_> {
    /// How often a call of a service is tried again.
    fn retries(&self, service: &Node) -> Option<u64> {
        self.services.get(service.as_text()?)?.retries
    }
}

/// A step as ours.
pub(super) fn step(place: usize, node: Node, rules: &Rules<'_>, reading: &mut Reading<'_>) -> Node {
    let (span, mut step) = match fields(node) {
        Ok(step) => step,
        Err(other) => return other,
    };
    let before = reading.count;
    let again = step.get("service").and_then(|service| Some((service.span.clone(), rules.retries(service)?)));
    let server = server(&mut step, rules, reading);
    step.rename(&["name"], "id", reading);
    step.rename(&["params", "parameters", "input", "with"], "args", reading);
    step.rename(&["condition", "if"], "when", reading);
    retries(&mut step, reading);
    step.rename(&["provider"], "providers", reading);
    if let Some(policy) = step.take_one(&["retryPolicy", "retry_policy"]) {
        reading.note(&policy.key_span, &format!("`{}`", policy.key), "`retry`");
        step.put("retry", policy.key_span, retry(policy.value));
    }
    after(&mut step, reading);
    config(&mut step, reading);
    general_retry(&mut step, again, rules, reading);
    flags(&mut step, reading);
    fallback(&mut step, reading);
    undo(&mut step, server.as_deref(), rules, reading);
    // A step that is ours says for itself what it is called.
    if reading.count > before {
        rules.names.apply(&mut step, place, &span, reading);
    }
    if let Some(text) = step.0.iter_mut().find(|field| field.key == "when") {
        bare(&mut text.value);
    }
    step.into_node(span)
}

/// `mcp` and `action`, or `service` and `tool`, as `tool: server.tool`; gives back the server.
fn server(step: &mut Fields, rules: &Rules<'_>, reading: &mut Reading<'_>) -> Option<String> {
    let whose = step.take_one(&["mcp", "service", "server"])?;
    let written = whose.value.as_text().unwrap_or_default().to_owned();
    let service = rules.services.get(&written);
    let server = service.map_or(written, |service| service.server.clone());
    let Some(what) = step.take_one(&["action", "tool"]) else {
        step.put(&whose.key, whose.key_span, whose.value);
        return None;
    };
    reading.note(&whose.key_span, &format!("`{}` with `{}`", whose.key, what.key), "`tool: server.tool`");
    let tool = what.value.as_text().unwrap_or_default().to_owned();
    step.put("tool", what.key_span, text(&what.value.span, format!("{server}.{tool}")));
    let number = |number: u64| Value::Number(Number::from(number));
    if let Some(seconds) = service.and_then(|service| service.timeout).filter(|_| !step.has("timeout")) {
        reading.note(&whose.key_span, "`timeout` of a service", "`timeout` of its steps, in seconds");
        let value = Node { span: whose.value.span.clone(), value: number(seconds.saturating_mul(1000)) };
        step.put("timeout", whose.key_span.clone(), value);
    }
    Some(server)
}

/// `dependsOn` and its like as `after`, by the names that the steps have here. Without any there is nothing to wait for that is
/// not waited for anyway.
fn after(step: &mut Fields, reading: &mut Reading<'_>) {
    if step.has("after") {
        return;
    }
    let Some(field) = step.take_one(&["dependsOn", "needs", "dependencies"]) else { return };
    reading.note(&field.key_span, &format!("`{}`", field.key), "`after`");
    let is_empty = matches!(&field.value.value, Value::List(items) if items.is_empty());
    if !is_empty {
        step.put("after", field.key_span, field.value);
    }
}

/// `retries`, which counts how often something is tried again, as `retry`, which counts the first time, too.
fn retries(step: &mut Fields, reading: &mut Reading<'_>) {
    let Some(mut field) = step.take("retries") else { return };
    if step.has("retry") {
        return reading.leave_out(&field.key_span, "`retries`", "the step has a `retry`");
    }
    reading.note(&field.key_span, "`retries`", "`retry`, with the first time");
    if let Value::Number(number) = &field.value.value
        && let Some(again) = number.as_u64()
    {
        field.value.value = Value::Number(Number::from(again.saturating_add(1)));
    }
    step.put("retry", field.key_span, field.value);
}

/// How often a step is tried that does not say it itself: as its service says, else as the workflow does.
fn general_retry(step: &mut Fields, again: Option<(Span, u64)>, rules: &Rules<'_>, reading: &mut Reading<'_>) {
    if step.has("retry") {
        return;
    }
    if let Some((span, again)) = again {
        reading.note(&span, "`retries` of a service", "`retry` of its steps, with the first time");
        let value = Value::Number(Number::from(again.saturating_add(1)));
        step.put("retry", span.clone(), Node { span, value });
    } else if let Some(policy) = rules.retry {
        step.put("retry", policy.span.clone(), policy.clone());
    }
}

/// `config`: the time limit, the fallback and the tokens are the step's, the rest goes with the arguments.
fn config(step: &mut Fields, reading: &mut Reading<'_>) {
    let Some(field) = step.take("config") else { return };
    reading.note(&field.key_span, "`config`", "`timeout`, `fallback`, `limits` and `args`");
    let (_, mut config) = match fields(field.value) {
        Ok(config) => config,
        Err(other) => return step.put("config", field.key_span, other),
    };
    for key in ["timeout", "fallback", "retries"] {
        let Some(found) = config.take(key) else { continue };
        if step.has(key) {
            reading.leave_out(&found.key_span, &format!("`config.{key}`"), "the step says it itself");
        } else {
            step.put(key, found.key_span, found.value);
        }
    }
    retries(step, reading);
    if let Some(tokens) = config.take("maxTokens") {
        let span = tokens.value.span.clone();
        if step.has("limits") {
            reading.leave_out(&tokens.key_span, "`config.maxTokens`", "the step has `limits`");
        } else {
            step.put("limits", tokens.key_span.clone(), table(&span, vec![("tokens", tokens.key_span, tokens.value)]));
        }
    }
    if config.0.is_empty() {
        return;
    }
    let args = step.take("args").map(|field| (field.key_span, field.value));
    let (key_span, args) = args.unwrap_or_else(|| (field.key_span.clone(), table(&field.key_span, Vec::new())));
    match fields(args) {
        Ok((span, mut args)) => {
            for field in config.0 {
                if args.has(&field.key) {
                    reading.leave_out(
                        &field.key_span,
                        &format!("`config.{}`", field.key),
                        "the step's arguments have it",
                    );
                } else {
                    args.0.push(field);
                }
            }
            step.put("args", key_span, args.into_node(span));
        }
        Err(other) => step.put("args", key_span, other),
    }
}

/// `required`, `parallel` as a word, `description`, and `output` as a table of types.
fn flags(step: &mut Fields, reading: &mut Reading<'_>) {
    let is_bool = |node: &Node| matches!(node.value, Value::Bool(_));
    if step.get("required").is_some_and(is_bool)
        && let Some(field) = step.take("required")
    {
        if field.value.value == Value::Bool(true) {
            reading.leave_out(&field.key_span, "`required: true`", "every step is, unless it says `optional: true`");
        } else {
            reading.note(&field.key_span, "`required: false`", "`optional: true`");
            let yes = Node { span: field.value.span, value: Value::Bool(true) };
            step.put("optional", field.key_span, yes);
        }
    }
    if step.get("parallel").is_some_and(is_bool)
        && let Some(field) = step.take("parallel")
    {
        reading.leave_out(&field.key_span, "`parallel`", "steps run side by side wherever that is safe");
    }
    if let Some(field) = step.take("description") {
        reading.leave_out(&field.key_span, "`description` of a step", "a comment says as much");
    }
    let is_types = |node: &Node| match &node.value {
        Value::Table(fields) => {
            !fields.is_empty() && fields.iter().all(|field| field.value.as_text().is_some_and(is_type))
        }
        _ => false,
    };
    if step.get("output").is_some_and(is_types) {
        step.rename(&["output"], "expect", reading);
    }
}

/// `fallback: NAME`: a tool if it has a dot, else a workflow.
fn fallback(step: &mut Fields, reading: &mut Reading<'_>) {
    let Some(name) = step.get("fallback").and_then(Node::as_text).map(str::to_owned) else { return };
    let Some(Field { key_span, value, .. }) = step.take("fallback") else { return };
    let way = if name.contains('.') { "tool" } else { "workflow" };
    reading.note(&key_span, "`fallback: NAME`", "`fallback: [{ tool: NAME }]` or `[{ workflow: NAME }]`");
    let span = value.span.clone();
    let only = table(&span, vec![(way, key_span.clone(), value)]);
    step.put("fallback", key_span, list(&span, vec![only]));
}

/// `compensation` as `undo`, by the step's own server unless it names another.
fn undo(step: &mut Fields, server: Option<&str>, rules: &Rules<'_>, reading: &mut Reading<'_>) {
    if step.has("undo") {
        return;
    }
    let Some(Field { key_span, value, .. }) = step.take("compensation") else { return };
    reading.note(&key_span, "`compensation`", "`undo`");
    let (span, mut undo) = match fields(value) {
        Ok(undo) => undo,
        Err(other) => return step.put("undo", key_span, other),
    };
    if self::server(&mut undo, rules, reading).is_none()
        && let (Some(server), Some(action)) = (server, undo.take("action"))
    {
        let tool = format!("{server}.{}", action.value.as_text().unwrap_or_default());
        undo.put("tool", action.key_span, text(&action.value.span, tool));
    }
    undo.rename(&["params", "parameters", "input", "with"], "args", reading);
    let mut undo = undo.into_node(span);
    // What came of the step itself is `result` there.
    if let Some(own) = step.get("id").and_then(Node::as_text) {
        each_text(&mut undo, &mut |text| {
            *text = text
                .replace(&format!("steps.{own}.result"), "result")
                .replace(&format!("steps.{own}.output"), "result");
        });
    }
    step.put("undo", key_span, undo);
}

/// `"${ a == b }"` as `a == b`: a condition is an expression already.
fn bare(node: &mut Node) {
    if let Value::Text(text) = &mut node.value
        && let Some(inner) = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
        && !inner.contains("${")
    {
        *text = inner.trim().to_owned();
    }
}
