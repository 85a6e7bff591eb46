//! Servers that sources of `[discovery.sources]` have named: what they may be, so that no source does more than its owner allows.
//!
//! A source never shadows a server of the files, never starts a program unless it may, and never reads the environment or a
//! socket of this machine. What is wrong with one of its servers is a warning: it is not the user's files that are wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::format::Format;
use crate::document::parse::parse;
use crate::document::reader::Reader;
use crate::model::code;
use crate::model::name::is_server_name;
use crate::model::problem::{Problem, Severity, Source, Span};
use crate::registry::authored::{self, Authored, MOST_PRIORITY};
use crate::registry::cross;
use crate::registry::dialect::Dialect;
use crate::registry::manifest;
use crate::registry::server::{Address, Launch};
use crate::registry::settings::Settings;
use crate::registry::source::ServerSource;
use crate::registry::text::Text;
use crate::registry::tools::ToolRules;

/// A server as a source has named it.
#[derive(Debug, Clone)]
pub struct Found {
    /// What its source knows it by.
    pub name: String,
    /// A document with this one server: `mcpServers`, or a `server.json`.
    pub source: Arc<Source>,
    /// Who has named it.
    pub by: Arc<ServerSource>,
}

/// Reads servers that were found, and adds those to `servers` whose names are not `taken`.
pub(super) fn add(
    servers: &mut cross::Found,
    found: &[Found],
    taken: &BTreeSet<String>,
    settings: &Settings,
    problems: &mut Vec<Problem>,
) {
    let mut taken: BTreeMap<String, String> = taken
        .iter()
        .map(|name| (name.clone(), "the registry".to_owned()))
        .chain(servers.iter().map(|(source, authored)| (authored.server.name.to_string(), source.name.clone())))
        .collect();
    for one @ Found { source, by, .. } in found {
        let (read, told) = read(one, settings);
        problems.extend(told);
        let Some(authored) = read else { continue };
        let name = authored.server.name.to_string();
        if let Some(other) = taken.get(&name) {
            let message = format!("the server `{name}` is already defined by {other}, which counts");
            let problem = Problem::warning(code::NAME_TAKEN, source, authored.name_span, message);
            problems.push(problem.help("give the source a `prefix`, or rename one of them"));
        } else {
            taken.insert(name, by.title());
            servers.push((Arc::clone(source), authored));
        }
    }
}

/// Nothing that is wrong with what was found makes the user's files wrong.
pub(super) fn soften(found: &[Found], problems: &mut [Problem]) {
    let is_found = |source: &Arc<Source>| found.iter().any(|one| Arc::ptr_eq(&one.source, source));
    for problem in problems.iter_mut().filter(|problem| is_found(&problem.source)) {
        problem.severity = Severity::Warning;
    }
}

fn read(Found { name, source, by }: &Found, settings: &Settings) -> (Option<Authored>, Vec<Problem>) {
    let root = match parse(source, Format::Json) {
        Ok(root) => root,
        Err(problem) => return (None, vec![problem]),
    };
    let mut reader = Reader::new(source);
    let field = if manifest::is_manifest(&root) {
        let field = if by.allow_commands { manifest::entry(&root) } else { manifest::remote_entry(&root) };
        if field.is_none() {
            refuse(&mut reader, name, root.span, "it has no remote endpoint, and may not be a program");
        }
        field
    } else {
        let table = root.get("mcpServers").and_then(|node| reader.table(node, "mcpServers"));
        table.and_then(|mut table| table.rest().next().cloned())
    };
    let read = field.and_then(|field| authored::read(&mut reader, "servers", &field, Dialect::Foreign, settings).ok());
    let admitted = read.and_then(|authored| admit(&mut reader, name, authored, by));
    // What a client's file would be warned of is nobody's business here.
    reader.problems.retain(|problem| problem.code != code::IGNORED_KEY);
    (admitted, reader.problems)
}

/// The server as far as its source may say, or nothing.
fn admit(reader: &mut Reader, found_as: &str, mut authored: Authored, by: &ServerSource) -> Option<Authored> {
    let span = authored.name_span.clone();
    let found = reader.problems.len();
    let server = &mut authored.server;
    for launch in std::iter::once(&server.launch).chain(server.replicas.others.iter().map(|other| &other.launch)) {
        check(reader, (found_as, &span), launch, by);
    }
    let name = format!("{}{}", by.prefix, server.name);
    if !is_server_name(&name) {
        refuse(reader, found_as, span, &format!("`{name}` is too long for a server's name"));
    }
    server.name = Arc::from(name);
    // Whether the program can do without it is for its user to say.
    server.required = false;
    // Where two offer one thing, the files' servers come first, whatever it says of itself.
    server.priority = server.priority.saturating_add(MOST_PRIORITY + 1);
    if !by.trusted {
        server.trusted = false;
        server.tools = ToolRules::default();
    }
    (reader.problems.len() == found).then_some(authored)
}

fn check(reader: &mut Reader, (name, span): (&str, &Span), launch: &Launch, by: &ServerSource) {
    match launch {
        Launch::Command(_) if !by.allow_commands => {
            refuse(reader, name, span.clone(), "it is a program, which the source may not have started");
        }
        Launch::Command(command) => {
            let texts = [Some(&command.command), command.cwd.as_ref()];
            let texts = texts.into_iter().flatten().chain(&command.args).chain(command.env.values());
            check_variables(reader, (name, span), texts, by);
        }
        Launch::Url(Address { url, headers, .. }) => {
            let written = url.literal_prefix().to_ascii_lowercase();
            let is_web = ["http://", "https://"].iter().any(|scheme| written.starts_with(scheme));
            if !(is_web || by.allow_commands) {
                refuse(reader, name, span.clone(), "its address is neither of http nor of https");
            }
            check_variables(reader, (name, span), std::iter::once(url).chain(headers.values()), by);
        }
    }
}

/// A placeholder would carry what is in the environment to whoever the source names.
fn check_variables<'a>(
    reader: &mut Reader,
    (name, span): (&str, &Span),
    texts: impl Iterator<Item = &'a Text>,
    by: &ServerSource,
) {
    let unknown: BTreeSet<_> = texts
        .flat_map(Text::placeholders)
        .filter(|name| !by.variables.contains(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !unknown.is_empty() {
        let all = unknown.into_iter().collect::<Vec<_>>().join(", ");
        refuse(reader, name, span.clone(), &format!("it wants {all}, which the source's `variables` do not name"));
    }
}

fn refuse(reader: &mut Reader, name: &str, span: Span, why: &str) {
    let problem = reader.warning(code::FOUND_REFUSED, span, format!("the server `{name}` is not used: {why}"));
    problem.help = Some("see `[discovery.sources]` in docs/discovery.md for what a source may bring".to_owned());
}

#[cfg(test)]
mod tests;
