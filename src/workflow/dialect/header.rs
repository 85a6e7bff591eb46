//! What stands around the steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::node::{Field, Node, Value};
use crate::model::name::{is_workflow_name, nearest_step_id};
use crate::model::problem::Span;
use crate::workflow::dialect::naming::Names;
use crate::workflow::dialect::step::{self, Service};
use crate::workflow::dialect::{Fields, Reading, each_text, fields, list, table, text};

/// How a step that failed is tried again, as a whole workflow says it.
const RETRY_POLICY: [(&str, &[&str]); 4] = [
    ("attempts", &["max_attempts", "maxAttempts", "attempts"]),
    ("delay", &["base_delay", "baseDelay", "delay"]),
    ("max_delay", &["max_delay", "maxDelay"]),
    ("backoff", &["strategy", "backoff"]),
];

/// The workflows of a file: one, or those of a table `workflows` that are carried out by `services`.
pub(super) fn workflows(root: Node, reading: &mut Reading<'_>) -> Vec<Node> {
    let is_many = root.get("workflows").is_some() && root.get("steps").is_none();
    let (span, mut whole) = match fields(root) {
        Ok(whole) => whole,
        Err(other) => return vec![other],
    };
    if !is_many {
        return vec![workflow(whole, span, &BTreeMap::new(), reading)];
    }
    let services = whole.take("services").map(|field| services(field.value, reading)).unwrap_or_default();
    let Some(Field { key_span, value: Node { value: Value::Table(all), .. }, .. }) = whole.take("workflows") else {
        return vec![whole.into_node(span)];
    };
    reading.note(&key_span, "each entry of `workflows`", "a workflow of its own");
    for field in &whole.0 {
        reading.leave_out(
            &field.key_span,
            &format!("`{}`", field.key),
            "beside `workflows` only `services` has a meaning",
        );
    }
    let one = |Field { key, key_span, value }: Field| match fields(value) {
        Ok((span, mut fields)) => {
            if !fields.has("name") {
                fields.put("name", key_span.clone(), text(&key_span, key));
            }
            workflow(fields, span, &services, reading)
        }
        Err(other) => other,
    };
    all.into_iter().map(one).collect()
}

/// `services`: which server stands behind a name, and how patient one is with it.
fn services(node: Node, reading: &mut Reading<'_>) -> BTreeMap<String, Service> {
    let Ok((_, all)) = fields(node) else { return BTreeMap::new() };
    let mut service = |field: Field| {
        if let Value::Table(keys) = &field.value.value {
            let known = ["server", "tools", "timeout", "retries"];
            for other in keys.iter().filter(|other| !known.contains(&other.key.as_str())) {
                let why = "of a service `server`, `timeout` and `retries` have a meaning";
                reading.leave_out(&other.key_span, &format!("`{}` of a service", other.key), why);
            }
        }
        let number = |key: &str| match field.value.get(key).map(|node| &node.value) {
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let server = field.value.get("server").and_then(Node::as_text).unwrap_or(&field.key).to_owned();
        (field.key.clone(), Service { server, timeout: number("timeout"), retries: number("retries") })
    };
    all.0.into_iter().map(&mut service).collect()
}

fn workflow(mut whole: Fields, span: Span, services: &BTreeMap<String, Service>, reading: &mut Reading<'_>) -> Node {
    let before = reading.count;
    if whole.has("id") && whole.has("name") {
        whole.rename(&["name"], "title", reading);
    }
    whole.rename(&["id"], "name", reading);
    trigger(&mut whole, reading);
    guards(&mut whole, reading);
    let policy = whole.take_one(&["retryPolicy", "retry_policy"]).map(|field| {
        reading.note(&field.key_span, &format!("`{}`", field.key), "`retry` of every step");
        retry(field.value)
    });
    let names = Names::of(whole.get("steps"));
    if let Some(steps) = whole.0.iter_mut().find(|field| field.key == "steps")
        && let Value::List(items) = &mut steps.value.value
    {
        let rules = step::Rules { services, names: &names, retry: policy.as_ref() };
        let written = std::mem::take(items).into_iter().enumerate();
        *items = written.map(|(place, item)| step::step(place, item, &rules, reading)).collect();
    }
    fall_back(&mut whole, reading);
    if reading.count > before && !whole.has("input") {
        declare(&mut whole, &span, reading);
    }
    // Only a file that is another's in other ways, too, may name its workflow as it likes.
    let is_foreign = reading.count > before;
    if let Some(Field { key_span, value, .. }) = whole.take("name") {
        let name = value.as_text().unwrap_or_default().to_owned();
        let other =
            nearest_step_id(&name).filter(|other| is_foreign && !is_workflow_name(&name) && is_workflow_name(other));
        if let Some(other) = other {
            reading.note(&value.span, &format!("the name `{name}`"), &format!("`{other}`"));
            if !whole.has("title") {
                whole.put("title", key_span.clone(), value.clone());
            }
            whole.put("name", key_span, text(&value.span, other));
        } else {
            whole.put("name", key_span, value);
        }
    }
    whole.into_node(span)
}

/// `trigger: { event, payload: { … } }`: the payload is the input.
fn trigger(whole: &mut Fields, reading: &mut Reading<'_>) {
    if whole.has("triggers") {
        return;
    }
    let Some(Field { key_span, value, .. }) = whole.take("trigger") else { return };
    reading.note(&key_span, "`trigger`", "the only entry of `triggers`");
    let (span, mut inside) = match fields(value) {
        Ok(inside) => inside,
        Err(other) => return whole.put("triggers", key_span, other),
    };
    if let Some(payload) = inside.take("payload") {
        if whole.has("input") {
            reading.leave_out(&payload.key_span, "`payload` of a trigger", "the workflow has an `input`");
        } else {
            reading.note(&payload.key_span, "`payload` of a trigger", "the `input` of the workflow");
            whole.put("input", payload.key_span, declared(payload.value));
        }
    }
    let trigger = inside.into_node(span.clone());
    whole.put("triggers", key_span, list(&span, vec![trigger]));
    for field in whole.0.iter_mut().filter(|field| field.key != "triggers") {
        each_text(&mut field.value, &mut |text| *text = text.replace("trigger.payload", "input"));
    }
}

/// The input that a file does not declare: whatever its steps use of it.
fn declare(whole: &mut Fields, span: &Span, reading: &mut Reading<'_>) {
    let mut used = BTreeSet::new();
    for field in &mut whole.0 {
        each_text(&mut field.value, &mut |text| {
            for (place, _) in text.match_indices("input.") {
                let is_part = text[..place].ends_with(|before: char| before.is_alphanumeric() || "._".contains(before));
                let rest = &text[place + "input.".len()..];
                let end =
                    rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
                if !is_part && end > 0 {
                    used.insert(rest[..end].to_owned());
                }
            }
        });
    }
    if !used.is_empty() {
        let at = span.start..span.start;
        reading.note(&at, "an `input` that is not declared", "one field of any type for each that is used");
        let any = || table(&at, Vec::new());
        let fields = used.into_iter().map(|key| Field { key, key_span: at.clone(), value: any() }).collect();
        whole.put("input", at.clone(), Node { span: at.clone(), value: Value::Table(fields) });
    }
}

/// `audioData?: string` as a field that may be left out.
fn declared(mut node: Node) -> Node {
    if let Value::Table(fields) = &mut node.value {
        for field in fields {
            let Some(name) = field.key.strip_suffix('?').map(str::to_owned) else { continue };
            field.key = name;
            let span = field.value.span.clone();
            if let Some(kind) = field.value.as_text().map(str::to_owned) {
                let yes = Node { span: span.clone(), value: Value::Bool(true) };
                field.value =
                    table(&span, vec![("type", span.clone(), text(&span, kind)), ("optional", span.clone(), yes)]);
            }
        }
    }
    node
}

/// `guards: { budget, security, fallbacks }` as `budget` and `guards`.
fn guards(whole: &mut Fields, reading: &mut Reading<'_>) {
    let is_foreign = |node: &Node| ["budget", "security", "fallbacks"].iter().any(|key| node.get(key).is_some());
    if !whole.get("guards").is_some_and(is_foreign) {
        return;
    }
    let Some(Field { key_span, value, .. }) = whole.take("guards") else { return };
    let Ok((span, mut guards)) = fields(value) else { return };
    if let Some(Field { key_span, value, .. }) = guards.take("budget") {
        if whole.has("budget") {
            reading.leave_out(&key_span, "`guards.budget`", "the workflow has a `budget`");
        } else {
            reading.note(&key_span, "`guards.budget`", "`budget`");
            let keys = [("maxMs", "time"), ("maxTokens", "tokens"), ("maxCost", "cost")];
            whole.put("budget", key_span, renamed(value, &keys));
        }
    }
    let mut ours = Fields(Vec::new());
    if let Some(Field { key_span, value, .. }) = guards.take("security") {
        reading.note(&key_span, "`guards.security`", "`guards`");
        let keys = [("piiRedaction", "pii"), ("dataRetention", "retention"), ("encryption", "encrypt")];
        if let Ok((_, inside)) = fields(renamed(value, &keys)) {
            ours = inside;
        }
        for field in ours.0.iter_mut().filter(|field| field.key == "pii") {
            if let Value::Bool(redacts) = field.value.value {
                field.value.value = Value::Text(if redacts { "redact" } else { "allow" }.to_owned());
            }
        }
    }
    if let Some(field) = guards.take("fallbacks") {
        let why = "who stands in for whom is said by `[capabilities]` of the registry";
        reading.leave_out(&field.key_span, "`guards.fallbacks`", why);
    }
    ours.0.extend(guards.0);
    if !ours.0.is_empty() {
        whole.put("guards", key_span, ours.into_node(span));
    }
}

/// `fallback: NAME`: another workflow that is run in place of one that has failed.
fn fall_back(whole: &mut Fields, reading: &mut Reading<'_>) {
    if whole.get("fallback").and_then(Node::as_text).is_none() {
        return;
    }
    let (Some(fallback), Some(steps)) = (whole.take("fallback"), whole.take("steps")) else { return };
    reading.note(&fallback.key_span, "`fallback` of a workflow", "`fallback` of all its steps as one");
    let span = fallback.value.span.clone();
    let way = table(
        &span,
        vec![("workflow", fallback.key_span.clone(), fallback.value), ("args", span.clone(), text(&span, "$input"))],
    );
    let id = whole.get("name").and_then(Node::as_text).and_then(nearest_step_id).unwrap_or_else(|| "all".to_owned());
    let one = table(
        &steps.value.span.clone(),
        vec![
            ("id", steps.key_span.clone(), text(&steps.key_span, id)),
            ("steps", steps.key_span.clone(), steps.value.clone()),
            ("fallback", fallback.key_span.clone(), list(&span, vec![way])),
        ],
    );
    whole.put("steps", steps.key_span, list(&steps.value.span, vec![one]));
}

/// A table with some of its keys renamed.
fn renamed(node: Node, keys: &[(&str, &str)]) -> Node {
    let (span, mut inside) = match fields(node) {
        Ok(inside) => inside,
        Err(other) => return other,
    };
    for field in &mut inside.0 {
        if let Some((_, ours)) = keys.iter().find(|(theirs, _)| *theirs == field.key) {
            (*ours).clone_into(&mut field.key);
        }
    }
    inside.into_node(span)
}

/// A retry policy as `retry`.
pub(super) fn retry(node: Node) -> Node {
    let keys: Vec<_> =
        RETRY_POLICY.iter().flat_map(|(ours, theirs)| theirs.iter().map(move |theirs| (*theirs, *ours))).collect();
    renamed(node, &keys)
}
