//! One step.

use std::collections::BTreeMap;

use serde_json::Number;

use crate::document::node::{Field, Node, Value};
use crate::model::name::is_step_id;
use crate::model::problem::Span;
use crate::workflow::authored::is_type;
use crate::workflow::dialect::header::retry;
use crate::workflow::dialect::{Fields, Reading, each_text, fields, list, slug, table, text};

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
    /// What the steps are called there, and here.
    pub(super) names: &'a [(String, String)],
    /// How a step is tried again that does not say it itself.
    pub(super) retry: Option<&'a Node>,
}

/// What the steps of a list are called: as they are written, and as they have to be called here. A step without a name has that
/// of its tool.
pub(super) fn names(steps: Option<&Node>) -> Vec<(String, String)> {
    let Some(Value::List(items)) = steps.map(|node| &node.value) else { return Vec::new() };
    let mut names: Vec<(String, String)> = Vec::new();
    for item in items {
        let given = ["id", "name", "tool", "action"].iter().find_map(|key| item.get(key)?.as_text());
        let written = given.unwrap_or_default().to_owned();
        let plain = if is_step_id(&written) { written.clone() } else { slug(&written) };
        let is_taken = |name: &str| names.iter().any(|(_, taken)| taken == name);
        let mut name = plain.clone();
        let mut number = 2;
        while is_taken(&name) {
            name = format!("{plain}_{number}");
            number += 1;
        }
        names.push((written, name));
    }
    names
}

/// A step as ours.
pub(super) fn step(node: Node, rules: &Rules<'_>, reading: &mut Reading<'_>) -> Node {
    let place = rules.names.iter().position(|(written, _)| {
        let given = ["id", "name", "tool", "action"].iter().find_map(|key| node.get(key)?.as_text());
        given == Some(written)
    });
    let (span, mut step) = match fields(node) {
        Ok(step) => step,
        Err(other) => return other,
    };
    let before = reading.notes.len();
    let server = server(&mut step, rules, reading);
    step.rename(&["name"], "id", reading);
    step.rename(&["params", "parameters", "input", "with"], "args", reading);
    step.rename(&["condition", "if"], "when", reading);
    step.rename(&["retries"], "retry", reading);
    step.rename(&["provider"], "providers", reading);
    if let Some(policy) = step.take_one(&["retryPolicy", "retry_policy"]) {
        reading.note(&policy.key_span, &format!("`{}`", policy.key), "`retry`");
        step.put("retry", policy.key_span, retry(policy.value));
    }
    if let Some(policy) = rules.retry.filter(|_| !step.has("retry")) {
        step.put("retry", policy.span.clone(), policy.clone());
    }
    after(&mut step, reading);
    config(&mut step, reading);
    flags(&mut step, reading);
    fallback(&mut step, reading);
    undo(&mut step, server.as_deref(), rules, reading);
    let is_foreign = reading.notes.len() > before || server.is_some();
    named(&mut step, place, is_foreign, rules, &span, reading);
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
    if let Some(retries) =
        service.and_then(|service| service.retries).filter(|_| !step.has("retry") && !step.has("retries"))
    {
        let value = Node { span: whose.value.span.clone(), value: number(retries.max(1)) };
        step.put("retry", whose.key_span, value);
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

/// `config`: the time limit, the fallback and the tokens are the step's, the rest goes with the arguments.
fn config(step: &mut Fields, reading: &mut Reading<'_>) {
    let Some(field) = step.take("config") else { return };
    reading.note(&field.key_span, "`config`", "`timeout`, `fallback`, `limits` and `args`");
    let (_, mut config) = match fields(field.value) {
        Ok(config) => config,
        Err(other) => return step.put("config", field.key_span, other),
    };
    for (theirs, ours) in [("timeout", "timeout"), ("fallback", "fallback"), ("retries", "retry")] {
        if let Some(found) = config.take(theirs).filter(|_| !step.has(ours)) {
            step.put(ours, found.key_span, found.value);
        }
    }
    if let Some(tokens) = config.take("maxTokens").filter(|_| !step.has("limits")) {
        let span = tokens.value.span.clone();
        step.put("limits", tokens.key_span.clone(), table(&span, vec![("tokens", tokens.key_span, tokens.value)]));
    }
    if config.0.is_empty() {
        return;
    }
    let args = step.take("args").map(|field| (field.key_span, field.value));
    let (key_span, args) = args.unwrap_or_else(|| (field.key_span.clone(), table(&field.key_span, Vec::new())));
    match fields(args) {
        Ok((span, mut args)) => {
            config.0.retain(|field| !args.has(&field.key));
            args.0.extend(config.0);
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
        reading.note(&field.key_span, "`required: false`", "`optional: true`");
        if field.value.value == Value::Bool(false) {
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

/// The id, and the names of other steps wherever they are named.
fn named(
    step: &mut Fields,
    place: Option<usize>,
    is_foreign: bool,
    rules: &Rules<'_>,
    span: &Span,
    reading: &mut Reading<'_>,
) {
    let Some((written, name)) = place.and_then(|place| rules.names.get(place)) else { return };
    match step.take("id") {
        Some(field) if is_foreign && written != name => {
            reading.note(&field.value.span, &format!("the name `{written}`"), &format!("`{name}`"));
            step.put("id", field.key_span, text(&field.value.span, name.clone()));
        }
        Some(field) => step.0.push(field),
        None if !name.is_empty() && is_foreign && step.has("tool") => {
            let at = span.start..span.start;
            reading.note(span, "a step without a name", "one with the name of its tool");
            step.put("id", at.clone(), text(&at, name.clone()));
        }
        None => {}
    }
    let changed: Vec<_> = rules.names.iter().filter(|(written, name)| written != name && !written.is_empty()).collect();
    for field in step.0.iter_mut().filter(|field| field.key != "id" && field.key != "tool") {
        each_text(&mut field.value, &mut |text| {
            for (written, name) in &changed {
                if text == written {
                    name.clone_into(text);
                }
                *text = text.replace(&format!("steps.{written}."), &format!("steps.{name}."));
            }
        });
    }
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
