//! Reads the rules for a server's tools.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::name::is_server_name;
use crate::model::problem::{Problem, Span};
use crate::registry::dialect::Dialect;
use crate::registry::naming::legal_name;
use crate::registry::patterns::{compiled, patterns};
use crate::registry::rate::rate_limit;
use crate::registry::settings::{boolean, duration, text, word};
use crate::registry::tools::batch::batch;
use crate::registry::tools::sharing::{cache, refuse_for_writes};
use crate::registry::tools::{KeyPlace, ToolOverride, ToolRules};

/// The rules in `table`, the entry of one server.
pub(in crate::registry) fn rules(
    reader: &mut Reader,
    table: &mut Table<'_>,
    dialect: Dialect,
    takes_headers: bool,
) -> ToolRules {
    let mut rules = ToolRules::default();
    if dialect == Dialect::Foreign {
        // Gemini CLI's and Windsurf's words. To drop them silently would offer tools that the user has switched off.
        for key in ["excludeTools", "disabledTools"] {
            if let Some(denied) = patterns(reader, table, key) {
                rules.deny = denied;
            }
        }
        rules.allow = patterns(reader, table, "includeTools");
    }
    let Some(node) = table.take("tools") else { return rules };
    let what = table.path("tools");
    if dialect == Dialect::Foreign && matches!(node.value, Value::List(_)) {
        // Copilot CLI lists the tools that may be used.
        rules.allow = reader.texts(node, &what).and_then(|written| compiled(reader, node, &what, written));
        return rules;
    }
    let Some(mut table) = reader.table(node, &what) else { return rules };
    rules.allow = patterns(reader, &mut table, "allow").or(rules.allow);
    rules.deny = patterns(reader, &mut table, "deny").unwrap_or(rules.deny);
    let mut renamed: BTreeMap<String, (&str, Span)> = BTreeMap::new();
    for field in table.rest() {
        let Some((told, rename_span)) = told(reader, &field.value, &table.path(&field.key), takes_headers) else {
            continue;
        };
        if let (Some(rename), Some(span)) = (&told.rename, rename_span) {
            if let Some((other, other_span)) = renamed.get(rename) {
                let message = format!("`{other}` and `{}` are both renamed to `{rename}`", field.key);
                let problem = Problem::error(code::DUPLICATE, &reader.source, span, message);
                reader.problem(problem.related(other_span.clone(), "the first").help("choose another name"));
            } else {
                renamed.insert(rename.clone(), (&field.key, span));
            }
        }
        rules.overrides.insert(field.key.clone(), told);
    }
    rules
}

/// What is said about one tool, and where its new name stands.
fn told(reader: &mut Reader, node: &Node, what: &str, takes_headers: bool) -> Option<(ToolOverride, Option<Span>)> {
    let mut table = reader.table(node, what)?;
    let rename_node = table.take("rename");
    let rename = rename_node.and_then(|node| rename(reader, node, &table.path("rename")));
    let sharing = ["cache", "coalesce", "hedge", "batch"].map(|key| (key, table.key_span(key)));
    let key_node = table.take("idempotency");
    let idempotency = key_node.and_then(|node| key_place(reader, node, &table.path("idempotency"), takes_headers));
    let effect = word(reader, &mut table, "effect", &Effect::ALL.map(|effect| (effect.as_str(), effect)));
    let told = ToolOverride {
        rename,
        title: text(reader, &mut table, "title"),
        description: text(reader, &mut table, "description"),
        // With a key the server knows a repeated call again.
        effect: effect.or_else(|| idempotency.as_ref().map(|_| Effect::Idempotent)),
        idempotency,
        timeout: duration(reader, &mut table, "timeout", Duration::from_millis(1)..=Duration::from_hours(24)),
        rate_limit: rate_limit(reader, &mut table),
        cache: cache(reader, &mut table),
        coalesce: boolean(reader, &mut table, "coalesce").unwrap_or(false),
        batch: batch(reader, &mut table),
        hedge: duration(reader, &mut table, "hedge", Duration::from_millis(1)..=Duration::from_hours(1)),
        invalidates: patterns(reader, &mut table, "invalidates").unwrap_or_default(),
    };
    refuse_for_writes(reader, told.effect, &sharing);
    table.finish(reader);
    Some((told, rename_node.map(|node| node.span.clone())))
}

/// Where the key of a call goes.
fn key_place(reader: &mut Reader, node: &Node, what: &str, takes_headers: bool) -> Option<KeyPlace> {
    let mut table = reader.table(node, what)?;
    let argument = text(reader, &mut table, "argument");
    let header_node = table.take("header");
    let header = header_node.and_then(|node| reader.text(node, &table.path("header")));
    table.finish(reader);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match (argument, header) {
        (Some(argument), None) if !argument.is_empty() => Some(KeyPlace::Argument(argument)),
        (None, Some(header)) if is_name(&header) && takes_headers => Some(KeyPlace::Header(header)),
        (None, Some(header)) if is_name(&header) => {
            let message = format!("`{what}.header` needs a server that is reached over Streamable HTTP");
            reader.error(code::CONFLICT, node.span.clone(), message).help =
                Some("use `argument`, if the tool has one for it".to_owned());
            None
        }
        _ => {
            let message = format!("`{what}` says where the key goes: in one argument or one header");
            reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
                Some("write `{ argument = \"request_id\" }` or `{ header = \"Idempotency-Key\" }`".to_owned());
            None
        }
    }
}

fn rename(reader: &mut Reader, node: &Node, what: &str) -> Option<String> {
    let name = reader.text(node, what)?;
    if is_server_name(&name) {
        return Some(name);
    }
    let message = format!("`{what}` cannot be a tool's name");
    reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
        Some(format!("use 1 to 64 of `A-Z a-z 0-9 _ -`, for instance `{}`", legal_name(&name)));
    None
}
