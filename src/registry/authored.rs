//! One server as a file has it, in our own words or in those of another client.

use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Field, Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::name::is_server_name;
use crate::model::problem::{Problem, Span};
use crate::registry::dialect::Dialect;
use crate::registry::launch;
use crate::registry::naming::legal_name;
use crate::registry::rate::rate_limit;
use crate::registry::replicas;
use crate::registry::server::{Era, Launch, Probe, Server, Start, Transport};
use crate::registry::settings::{Settings, boolean, duration, whole, word};
use crate::registry::tools;

/// How long a server may be without work before it is stopped.
const IDLE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24 * 30);

/// The largest number that a file may give as `priority`.
pub(super) const MOST_PRIORITY: u32 = 1_000_000;

/// A server as read from one file, before the others are known.
pub(super) struct Authored {
    pub(super) server: Server,
    /// Where its name stands.
    pub(super) name_span: Span,
    /// The fallbacks as written; `server.fallback` is filled in when all names are known.
    pub(super) fallback: Vec<(String, Span)>,
}

/// Reads the server `field` of the table called `root`. `Err` tells only the name of one that cannot be used.
pub(super) fn read(
    reader: &mut Reader,
    root: &str,
    field: &Field,
    dialect: Dialect,
    defaults: &Settings,
) -> Result<Authored, String> {
    let found = reader.problems.len();
    let name = name(reader, field, dialect);
    let authored = server(reader, &name, &format!("{root}.{}", field.key), field, dialect, defaults);
    if reader.failed_since(found) { Err(name) } else { authored.ok_or(name) }
}

fn server(
    reader: &mut Reader,
    name: &str,
    what: &str,
    field: &Field,
    dialect: Dialect,
    defaults: &Settings,
) -> Option<Authored> {
    let mut table = reader.table(&field.value, what)?;
    let disabled = is_disabled(reader, &mut table, dialect);
    if dialect == Dialect::Foreign {
        refuse_ambiguous_timeout(reader, &mut table, &field.value);
    }
    let launch = launch::launch(reader, &mut table, dialect);
    let mut replicas = replicas::read(reader, &mut table, dialect, launch.as_ref());
    let mut settings = defaults.clone().refined(reader, &mut table);
    let speaks_http = match &launch {
        Some(Launch::Command(_)) => false,
        Some(Launch::Url(address)) => !address.is_bare_socket(),
        None => true,
    };
    if !speaks_http && matches!(settings.health.probe, Probe::Http(_)) {
        match table.key_span("health") {
            Some(span) => {
                let message = format!("`{}` is probed over http but does not speak it", table.what());
                reader.error(code::CONFLICT, span, message).help = Some("use `ping` or `tool:NAME`".to_owned());
            }
            // What the defaults say is meant for the servers that it fits.
            None => settings.health.probe = Probe::Auto,
        }
    }
    let starts = [("lazy", Start::Lazy), ("eager", Start::Eager)];
    let start = word(reader, &mut table, "start", &starts).unwrap_or(Start::Eager);
    let required = boolean(reader, &mut table, "required").unwrap_or(false);
    let priority = whole(reader, &mut table, "priority", 0..=u64::from(MOST_PRIORITY)).unwrap_or(100);
    let trusted = boolean(reader, &mut table, "trusted").unwrap_or(true);
    let era = word(reader, &mut table, "era", &[("legacy", Era::Legacy), ("modern", Era::Modern)]);
    replicas.sticky = boolean(reader, &mut table, "sticky").unwrap_or(false);
    let idle_ttl = duration(reader, &mut table, "idle_ttl", IDLE);
    let version = table.take("version").and_then(|node| version(reader, node, &table.path("version")));
    let takes_headers = matches!(&launch, Some(Launch::Url(address))
         if !address.is_bare_socket() && address.transport != Some(Transport::Sse));
    let tools = tools::read::rules(reader, &mut table, dialect, takes_headers);
    let rate_limit = rate_limit(reader, &mut table);
    let fallback = fallback(reader, &mut table);
    match dialect {
        Dialect::Own => table.finish(reader),
        Dialect::Foreign => mention_rest(reader, table),
    }
    let Settings { connect_timeout, timeout, concurrency, retry, breaker, health, limits } = settings;
    let server = Server {
        name: Arc::from(name),
        launch: launch?,
        start,
        required,
        priority,
        concurrency,
        rate_limit,
        connect_timeout,
        timeout,
        retry,
        breaker,
        health,
        limits,
        version,
        tools,
        replicas,
        idle_ttl,
        fallback: Vec::new(),
        trusted,
        era,
        disabled,
    };
    Some(Authored { server, name_span: field.key_span.clone(), fallback })
}

/// The server's name. In another client's file an illegal one is replaced, as that file is not to be changed.
fn name(reader: &mut Reader, field: &Field, dialect: Dialect) -> String {
    if is_server_name(&field.key) {
        return field.key.clone();
    }
    let legal = legal_name(&field.key);
    let span = field.key_span.clone();
    if dialect == Dialect::Foreign {
        let message = format!("the server `{}` is called `{legal}` here", field.key);
        reader.warning(code::WRONG_VALUE, span, message).help =
            Some("a server's name is 1 to 64 of `A-Z a-z 0-9 _ -`".to_owned());
        return legal;
    }
    let message = format!("`{}` cannot be a server's name", field.key);
    let replacement = reader.requoted(&span, &legal);
    let help = format!("use 1 to 64 of `A-Z a-z 0-9 _ -`, for instance `{legal}`");
    reader
        .problem(Problem::error(code::WRONG_VALUE, &reader.source, span, message).help(help).replace_with(replacement));
    field.key.clone()
}

fn is_disabled(reader: &mut Reader, table: &mut Table<'_>, dialect: Dialect) -> bool {
    let disabled = boolean(reader, table, "disabled").unwrap_or(false);
    let enabled = dialect == Dialect::Own || boolean(reader, table, "enabled").unwrap_or(true);
    disabled || !enabled
}

/// Some clients count a bare `timeout` in seconds, some in milliseconds. A small one is not guessed at.
fn refuse_ambiguous_timeout(reader: &mut Reader, table: &mut Table<'_>, node: &Node) {
    let Some(Value::Number(number)) = node.get("timeout").map(|timeout| &timeout.value) else { return };
    let Some(seconds) = number.as_u64().filter(|number| *number < 1_000) else { return };
    let Some(span) = table.key_span("timeout") else { return };
    table.ignore("timeout");
    let message = format!("`{}` could be in seconds or in milliseconds and is ignored", table.path("timeout"));
    reader.warning(code::IGNORED_KEY, span, message).help = Some(format!("write \"{seconds}s\" or \"{seconds}ms\""));
}

fn version(reader: &mut Reader, node: &Node, what: &str) -> Option<semver::VersionReq> {
    let text = reader.text(node, what)?;
    match semver::VersionReq::parse(&text) {
        Ok(version) => Some(version),
        Err(error) => {
            reader
                .error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no range of versions: {error}"))
                .help = Some("for example `>=1.2, <3`, `^1.4`, `2.*`".to_owned());
            None
        }
    }
}

fn fallback(reader: &mut Reader, table: &mut Table<'_>) -> Vec<(String, Span)> {
    let Some(node) = table.take("fallback") else { return Vec::new() };
    let names = reader.texts(node, &table.path("fallback")).unwrap_or_default();
    match &node.value {
        Value::List(items) => names.into_iter().zip(items.iter().map(|item| item.span.clone())).collect(),
        _ => Vec::new(),
    }
}

/// Mentions the keys of another client's entry that mean nothing to us.
fn mention_rest(reader: &mut Reader, mut table: Table<'_>) {
    for field in table.rest() {
        let message = format!("`{}` is ignored", table.path(&field.key));
        let help = (field.key == "envFile").then(|| "put the variables into `env`".to_owned());
        reader.warning(code::IGNORED_KEY, field.key_span.clone(), message).help = help;
    }
}
