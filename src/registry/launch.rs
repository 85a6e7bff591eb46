//! How a server is reached: a command or a URL, in the words of every known client.

use std::collections::BTreeMap;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::dialect::Dialect;
use crate::registry::server::{Command, Http, Launch};
use crate::registry::text::Text;

/// What the URL is called: by us and most clients, by Windsurf, by Gemini CLI.
const URL_KEYS: [&str; 3] = ["url", "serverUrl", "httpUrl"];

/// The words for `type` in the clients' files.
const TYPES: [(&str, Transport); 8] = [
    ("stdio", Transport::Command),
    ("local", Transport::Command),
    ("http", Transport::Http),
    ("streamable-http", Transport::Http),
    ("streamableHttp", Transport::Http),
    ("streamable_http", Transport::Http),
    ("remote", Transport::Http),
    ("sse", Transport::Sse),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Command,
    Http,
    Sse,
}

/// Reads the keys that say how to reach the server that `table` describes.
pub(super) fn launch(reader: &mut Reader, table: &mut Table<'_>, dialect: Dialect) -> Option<Launch> {
    let transport = match dialect {
        Dialect::Own => None,
        Dialect::Foreign => transport(reader, table),
    };
    let command = table.take("command");
    let url = url_node(reader, table, dialect);
    let env = texts_by_name(reader, table, "env");
    let headers = texts_by_name(reader, table, "headers");
    let args = args(reader, table);
    let cwd = table.take("cwd").and_then(|node| text(reader, node, &table.path("cwd")));
    let whose = table.what();
    match (command, url) {
        (Some(command), None) => {
            contradiction(reader, table, transport, Transport::Http, "command");
            without_effect(reader, table, &["headers"], "url");
            let command = text(reader, command, &table.path("command"))?;
            Some(Launch::Command(Command { command, args, env, cwd }))
        }
        (None, Some((key, url))) => {
            contradiction(reader, table, transport, Transport::Command, key);
            without_effect(reader, table, &["args", "env", "cwd"], "command");
            let url = self::url(reader, url, &table.path(key))?;
            Some(Launch::Http(Http { url, headers }))
        }
        (Some(_), Some((key, _))) => {
            let span = table.key_span(key).unwrap_or_else(|| table.span());
            reader.error(code::CONFLICT, span, format!("`{whose}` has both `command` and `{key}`")).help =
                Some("keep the one by which the server is reached".to_owned());
            None
        }
        (None, None) => {
            let span = reader.head(&table.span());
            reader.error(code::MISSING, span, format!("`{whose}` needs `command` or `url`")).help =
                Some("`command` starts a process, `url` connects to a Streamable HTTP endpoint".to_owned());
            None
        }
    }
}

fn transport(reader: &mut Reader, table: &mut Table<'_>) -> Option<Transport> {
    let node = table.take("type")?;
    let transport = reader.word(node, &table.path("type"), &TYPES)?;
    if transport == Transport::Sse {
        let message = "HTTP+SSE servers are not supported yet";
        reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
            Some("use the server's Streamable HTTP url, with `\"type\": \"http\"`".to_owned());
    }
    Some(transport)
}

fn contradiction(reader: &mut Reader, table: &Table<'_>, given: Option<Transport>, other: Transport, key: &str) {
    if given == Some(other) {
        let span = table.key_span("type").unwrap_or_else(|| table.span());
        reader.error(code::CONFLICT, span, format!("`{}` does not go with `{key}`", table.path("type")));
    }
}

fn url_node<'a>(reader: &mut Reader, table: &mut Table<'a>, dialect: Dialect) -> Option<(&'static str, &'a Node)> {
    let keys = if dialect == Dialect::Own { &URL_KEYS[..1] } else { &URL_KEYS };
    let mut given =
        keys.iter().filter_map(|key| table.take(key).map(|node| (*key, node))).collect::<Vec<_>>().into_iter();
    let first = given.next()?;
    if let Some((second, _)) = given.next() {
        let span = table.key_span(second).unwrap_or_else(|| table.span());
        reader.error(code::CONFLICT, span, format!("both `{}` and `{second}` are given", first.0)).help =
            Some("keep the one of the Streamable HTTP endpoint".to_owned());
    }
    Some(first)
}

fn url(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
    let url = text(reader, node, what)?;
    let prefix = url.literal_prefix().to_ascii_lowercase();
    let host = prefix.strip_prefix("http://").or_else(|| prefix.strip_prefix("https://"));
    let fits = match host {
        Some(host) => !host.starts_with(['/', '?', '#']) && (!host.is_empty() || !url.is_literal()),
        None => prefix.is_empty() && !url.is_literal(),
    };
    if fits && !prefix.contains(char::is_whitespace) {
        return Some(url);
    }
    let problem = reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no URL of http or https"));
    problem.help =
        Some("it has the form `https://HOST/PATH`, or begins with a placeholder such as `${URL}`".to_owned());
    None
}

fn args(reader: &mut Reader, table: &mut Table<'_>) -> Vec<Text> {
    let Some(node) = table.take("args") else { return Vec::new() };
    let what = table.path("args");
    let Some(items) = reader.list(node, &what) else { return Vec::new() };
    items.iter().enumerate().filter_map(|(place, item)| text(reader, item, &format!("{what}[{place}]"))).collect()
}

fn texts_by_name(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> BTreeMap<String, Text> {
    let Some(node) = table.take(key) else { return BTreeMap::new() };
    let what = table.path(key);
    let Some(mut fields) = reader.table(node, &what) else { return BTreeMap::new() };
    fields
        .rest()
        .filter_map(|field| {
            let text = text(reader, &field.value, &fields.path(&field.key))?;
            Some((field.key.clone(), text))
        })
        .collect()
}

/// Text with placeholders. Numbers and booleans are taken as they are written: `PORT = 8080` is what people mean.
///
/// No problem repeats the value, which may be a secret.
fn text(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
    let written = match &node.value {
        Value::Number(_) | Value::Bool(_) => reader.slice(&node.span).to_owned(),
        _ => reader.text(node, what)?,
    };
    match Text::parse(&written) {
        Ok(text) => Some(text),
        Err(bad) => {
            reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}`: {}", bad.why)).help = Some(bad.help);
            None
        }
    }
}

fn without_effect(reader: &mut Reader, table: &Table<'_>, keys: &[&'static str], belongs_to: &str) {
    for key in keys {
        if let Some(span) = table.key_span(key) {
            let message = format!("`{}` has no effect without `{belongs_to}`", table.path(key));
            reader.warning(code::NO_EFFECT, span, message);
        }
    }
}
