//! How a server is reached: a command or a URL, in the words of every known client.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::dialect::Dialect;
use crate::registry::oauth::{self, Oauth};
use crate::registry::server::{Address, Command, Launch, Transport};
use crate::registry::text::Text;

/// What the URL is called: by us and most clients, by Windsurf, by Gemini CLI.
const URL_KEYS: [&str; 3] = ["url", "serverUrl", "httpUrl"];

/// What the transport is called: by us and most clients, by the Python libraries, by Cline.
const TYPE_KEYS: [&str; 3] = ["type", "transport", "transportType"];

/// The words for `type` in the clients' files and in ours.
const TYPES: [(&str, Type); 8] = [
    ("stdio", Type::Command),
    ("local", Type::Command),
    ("http", Type::Url(Transport::Streamable)),
    ("streamable-http", Type::Url(Transport::Streamable)),
    ("streamableHttp", Type::Url(Transport::Streamable)),
    ("streamable_http", Type::Url(Transport::Streamable)),
    ("remote", Type::Url(Transport::Streamable)),
    ("sse", Type::Url(Transport::Sse)),
];

/// What a URL may begin with.
const SCHEMES: [&str; 4] = ["http://", "https://", "http+unix://", "unix://"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Command,
    Url(Transport),
}

/// Reads the keys that say how to reach the server that `table` describes.
pub(super) fn launch(reader: &mut Reader, table: &mut Table<'_>, dialect: Dialect) -> Option<Launch> {
    let given = kind(reader, table, dialect);
    let command = table.take("command");
    let url = url_node(reader, table, dialect);
    let env = texts_by_name(reader, table, "env");
    let headers = texts_by_name(reader, table, "headers");
    let oauth = oauth(reader, table, dialect, headers.keys());
    let args = args(reader, table);
    let cwd = table.take("cwd").and_then(|node| text(reader, node, &table.path("cwd")));
    let whose = table.what();
    match (command, url) {
        (Some(command), None) => {
            if let Some((key, Type::Url(_))) = given {
                contradiction(reader, table, key, "command");
            }
            without_effect(reader, table, &["headers", "auth"], "url");
            if command.as_text().is_some_and(|text| text.trim().is_empty()) {
                let message = format!("`{}` is empty", table.path("command"));
                reader.error(code::WRONG_VALUE, command.span.clone(), message).help =
                    Some("name the program that starts the server, and give its arguments as `args`".to_owned());
                return None;
            }
            let command = text(reader, command, &table.path("command"))?;
            Some(Launch::Command(Command { command, args, env, cwd }))
        }
        (None, Some((key, url))) => {
            without_effect(reader, table, &["args", "env", "cwd", "limits"], "command");
            let transport = match given {
                Some((given, Type::Command)) => {
                    contradiction(reader, table, given, key);
                    None
                }
                Some((_, Type::Url(transport))) => Some(transport),
                None => None,
            };
            let url = self::url(reader, url, &table.path(key))?;
            if oauth.is_some() {
                refuse_open_transport(reader, table, &url);
            }
            let address = Address { url, headers, transport, oauth };
            if address.is_bare_socket() {
                without_effect(reader, table, &["headers"], "type = \"http\"");
            }
            Some(Launch::Url(address))
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
                Some("`command` starts a process, `url` connects to a server that runs already".to_owned());
            None
        }
    }
}

/// What kind of server it is said to be, and by which key.
fn kind(reader: &mut Reader, table: &mut Table<'_>, dialect: Dialect) -> Option<(&'static str, Type)> {
    let keys = if dialect == Dialect::Own { &TYPE_KEYS[..1] } else { &TYPE_KEYS };
    let (key, node) = keys.iter().find_map(|key| Some((*key, table.take(key)?)))?;
    Some((key, reader.word(node, &table.path(key), &TYPES)?))
}

/// How the program is authorized. Other clients have other words for it.
fn oauth<'a>(
    reader: &mut Reader,
    table: &mut Table<'_>,
    dialect: Dialect,
    mut headers: impl Iterator<Item = &'a String>,
) -> Option<Arc<Oauth>> {
    if dialect == Dialect::Foreign {
        return None;
    }
    let node = table.take("auth")?;
    if headers.any(|name| name.eq_ignore_ascii_case("authorization")) {
        contradiction(reader, table, "auth", "headers.Authorization");
    }
    oauth::read(reader, node, &table.path("auth")).map(Arc::new)
}

/// A token that travels in the open is anybody's, and who is behind a socket cannot be asked whom it trusts.
fn refuse_open_transport(reader: &mut Reader, table: &Table<'_>, url: &Text) {
    let prefix = url.literal_prefix().to_ascii_lowercase();
    let is_near = |host: &str| ["localhost", "127.", "[::1]"].iter().any(|near| host.starts_with(near));
    let with = match prefix.split_once("://") {
        Some(("http", host)) if url.is_literal() && !is_near(host) => "a URL without encryption",
        Some(("unix" | "http+unix", _)) => "a socket",
        _ => return,
    };
    let span = table.key_span("auth").unwrap_or_else(|| table.span());
    let message = format!("`{}` does not go with {with}", table.path("auth"));
    reader.error(code::CONFLICT, span, message).help = Some("use `https://`".to_owned());
}

fn contradiction(reader: &mut Reader, table: &Table<'_>, given: &str, key: &str) {
    let span = table.key_span(given).unwrap_or_else(|| table.span());
    reader.error(code::CONFLICT, span, format!("`{}` does not go with `{key}`", table.path(given)));
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

/// A URL of an HTTP server or a socket.
pub(super) fn url(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
    let url = text(reader, node, what)?;
    let prefix = url.literal_prefix().to_ascii_lowercase();
    let scheme = SCHEMES.iter().find_map(|scheme| Some((*scheme, prefix.strip_prefix(scheme)?)));
    // What a placeholder stands for is seen when it is expanded.
    let is_open = !url.is_literal();
    let fits = match scheme {
        Some((_, "")) | None => is_open && (scheme.is_some() || prefix.is_empty()),
        Some(("unix://", path)) => path.starts_with('/') && (path.len() > 1 || is_open),
        Some(("http+unix://", path)) => path.starts_with("%2f") && (path.len() > 3 || is_open),
        Some((_, host)) => !host.starts_with(['/', '?', '#']),
    };
    if fits && !prefix.contains(char::is_whitespace) {
        return Some(url);
    }
    let message = format!("`{what}` is no URL of http, https or a socket");
    let problem = reader.error(code::WRONG_VALUE, node.span.clone(), message);
    problem.help = Some(
        "it has the form `https://HOST/PATH`, `unix:///PATH/OF/SOCKET` or `http+unix://%2FPATH%2FOF%2FSOCKET/PATH`, or \
         begins with a placeholder such as `${URL}`"
            .to_owned(),
    );
    None
}

/// The arguments of a program.
pub(super) fn args(reader: &mut Reader, table: &mut Table<'_>) -> Vec<Text> {
    let Some(node) = table.take("args") else { return Vec::new() };
    let what = table.path("args");
    let Some(items) = reader.list(node, &what) else { return Vec::new() };
    items.iter().enumerate().filter_map(|(place, item)| text(reader, item, &format!("{what}[{place}]"))).collect()
}

/// Texts with placeholders by name, such as `env` and `headers`.
pub(super) fn texts_by_name(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> BTreeMap<String, Text> {
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
pub(super) fn text(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
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
