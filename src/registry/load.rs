//! From files to a snapshot and to everything that is wrong with them.
//!
//! A server with an error is left out, the others stay. `[defaults]` count for every server of every file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::document::format::Format;
use crate::document::node::Node;
use crate::document::parse::parse;
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::durability::Durability;
use crate::model::problem::{Problem, Source};
use crate::model::suggest;
use crate::registry::agent;
use crate::registry::authored::{self, Authored};
use crate::registry::capability;
use crate::registry::cross;
use crate::registry::dialect::{Dialect, format};
use crate::registry::discovery;
use crate::registry::engine;
use crate::registry::flag;
use crate::registry::found::{self, Found};
use crate::registry::interceptor;
use crate::registry::level;
use crate::registry::manifest::{self, is_manifest};
use crate::registry::mentions::Mentions;
use crate::registry::model;
use crate::registry::profile;
use crate::registry::server::{Orchestrator, Registry};
use crate::registry::settings::{Settings, duration, text, texts, whole, word};

/// What the table of servers is called: by us and VS Code, by most clients, by Zed.
const ROOTS: [&str; 3] = ["servers", "mcpServers", "context_servers"];

/// Reads `files` together. The problems are in the order of the files and of the places in them.
pub fn load(files: &[Arc<Source>]) -> (Registry, Vec<Problem>) {
    load_with(files, &[])
}

/// The same with the servers that sources have `found`.
pub fn load_with(files: &[Arc<Source>], new: &[Found]) -> (Registry, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut readable = Vec::new();
    for source in files {
        match parse(source, format(source)) {
            Ok(root) => readable.push((Reader::new(source), root)),
            Err(problem) => problems.push(problem),
        }
    }
    let mut settings = Settings::default();
    let mut registry = Registry::default();
    let mut mentions = Mentions::default();
    for (reader, root) in &mut readable {
        settings = common(reader, root, settings, &mut registry, &mut mentions);
    }
    let mut found = Vec::new();
    let mut broken = BTreeSet::new();
    for (reader, root) in &mut readable {
        if is_manifest(root) {
            match described(reader, root, &settings) {
                Ok(server) => found.push((Arc::clone(&reader.source), server)),
                Err(name) => broken.extend(name),
            }
            continue;
        }
        let dialect = dialect(root, &reader.source);
        for key in ROOTS {
            let Some(mut table) = root.get(key).and_then(|servers| reader.table(servers, key)) else { continue };
            for field in table.rest() {
                match authored::read(reader, key, field, dialect, &settings) {
                    Ok(server) => found.push((Arc::clone(&reader.source), server)),
                    Err(name) => _ = broken.insert(name),
                }
            }
        }
    }
    problems.extend(readable.into_iter().flat_map(|(reader, _)| reader.problems));
    found::add(&mut found, new, &broken, &settings, &mut problems);
    registry.origins =
        found.iter().map(|(source, one)| (Arc::clone(&one.server.name), source.name.as_str().into())).collect();
    // A name that no file has may be that of a server which is still to be found.
    let is_open = !registry.discovery.sources.is_empty();
    registry.servers = cross::resolve(found, &broken, is_open, &mut problems);
    cross::check_members(&registry, &broken, std::mem::take(&mut mentions.members), &mut problems);
    mentions.check(&registry, &broken, &mut problems);
    found::soften(new, &mut problems);
    let sources = || files.iter().chain(new.iter().map(|found| &found.source));
    let file = |problem: &Problem| sources().position(|file| Arc::ptr_eq(file, &problem.source));
    problems.sort_by_key(|problem| (file(problem), problem.span.start));
    (registry, problems)
}

/// The server that a file describes; `Err` tells the name of one that cannot be used, if it has one.
fn described(reader: &mut Reader, root: &Node, settings: &Settings) -> Result<Authored, Option<String>> {
    let Some(field) = manifest::entry(root) else {
        let span = reader.head(&root.span);
        reader.error(code::WRONG_VALUE, span, "the file describes no server of a kind that is known").help =
            Some("it needs an npm, PyPI, OCI or NuGet package with stdio, or a remote endpoint over HTTP".to_owned());
        return Err(None);
    };
    authored::read(reader, "server", &field, Dialect::Foreign, settings).map_err(Some)
}

/// What each table of a file was asked for.
#[cfg(test)]
pub(super) fn asked(source: &Arc<Source>) -> Vec<(String, Vec<&'static str>)> {
    let root = parse(source, format(source)).expect("a file that can be read");
    let mut reader = Reader::new(source);
    let mut registry = Registry::default();
    let settings = common(&mut reader, &root, Settings::default(), &mut registry, &mut Mentions::default());
    for field in root.get("servers").and_then(|node| reader.table(node, "servers")).expect("servers").rest() {
        let _ = authored::read(&mut reader, "servers", field, Dialect::Own, &settings);
    }
    reader.asked
}

/// Ours has `servers`; so has VS Code's, but only in JSON and without our other tables.
fn dialect(root: &Node, source: &Source) -> Dialect {
    let is_foreign = root.get("mcpServers").is_some() || root.get("context_servers").is_some();
    let is_ours = root.get("orchestrator").is_some() || root.get("defaults").is_some();
    if is_foreign || (format(source) == Format::Json && !is_ours) { Dialect::Foreign } else { Dialect::Own }
}

/// Reads what stands beside the servers.
fn common(
    reader: &mut Reader,
    root: &Node,
    settings: Settings,
    registry: &mut Registry,
    mentions: &mut Mentions,
) -> Settings {
    if is_manifest(root) {
        return settings;
    }
    let Some(mut table) = reader.table(root, "") else { return settings };
    let is_registry = ROOTS.map(|key| table.take(key).is_some()).contains(&true);
    let own = table.take("orchestrator").and_then(|node| reader.table(node, "orchestrator"));
    let defaults = table.take("defaults").and_then(|node| reader.table(node, "defaults"));
    if let Some(node) = table.take("capabilities") {
        let named = capability::read(reader, node, &mut registry.capabilities);
        mentions.members.extend(named.into_iter().map(|(tool, span)| (Arc::clone(&reader.source), tool, span)));
    }
    let (models, agents) = (table.take("models"), table.take("agents"));
    if let Some(node) = models {
        model::read(reader, node, &mut registry.models, mentions);
    }
    if let Some(node) = agents {
        agent::read(reader, node, &mut registry.agents, mentions);
    }
    let flags = table.take("flags");
    if let Some(node) = flags {
        flag::read(reader, node, &mut registry.flags);
    }
    let levels = table.take("levels");
    if let Some(node) = levels {
        registry.levels = level::read(reader, node).or_else(|| registry.levels.take());
    }
    let profiles = table.take("profiles");
    if let Some(node) = profiles {
        let servers = profile::read(reader, node, &mut registry.profiles);
        mentions.servers.extend(servers.into_iter().map(|(name, span)| (Arc::clone(&reader.source), name, span)));
    }
    let discovery = table.take("discovery");
    if let Some(node) = discovery {
        discovery::read(reader, node, &mut registry.discovery);
    }
    let engine = table.take("engine");
    if let Some(node) = engine {
        engine::read(reader, node, &mut registry.engine);
    }
    let interceptors = table.take("interceptors");
    if let Some(node) = interceptors {
        interceptor::read(reader, node, &mut registry.interceptors);
    }
    let is_ours = [own.is_some(), defaults.is_some()].contains(&true)
        || [profiles, models, agents, flags, interceptors, discovery, levels, engine].iter().any(Option::is_some);
    if !is_registry && !is_ours {
        no_servers(reader, &mut table);
        return settings;
    }
    if let Some(own) = own {
        orchestrate(reader, own, &mut registry.orchestrator);
    }
    let settings = match defaults {
        Some(mut table) => {
            let refined = settings.refined(reader, &mut table);
            table.finish(reader);
            refined
        }
        None => settings,
    };
    match dialect(root, &reader.source) {
        Dialect::Own => table.finish(reader),
        // The rest of a client's settings is not ours to judge, but what `inputs` promises would be missed.
        Dialect::Foreign => {
            if let Some(span) = table.key_span("inputs") {
                reader.warning(code::IGNORED_KEY, span, "`inputs` is ignored: nobody is asked for values here").help =
                    Some("use `${VAR}` in place of `${input:…}` and set the variable".to_owned());
            }
        }
    }
    settings
}

fn orchestrate(reader: &mut Reader, mut table: Table<'_>, orchestrator: &mut Orchestrator) {
    orchestrator.workflows.extend(texts(reader, &mut table, "workflows").unwrap_or_default());
    if let Some(runs) = whole(reader, &mut table, "max_concurrent_runs", 1..=100_000) {
        orchestrator.max_concurrent_runs = runs;
    }
    if let Some(waiting) = whole(reader, &mut table, "max_waiting_runs", 0..=100_000) {
        orchestrator.max_waiting_runs = waiting;
    }
    let graces = Duration::ZERO..=Duration::from_hours(1);
    if let Some(grace) = duration(reader, &mut table, "shutdown_grace", graces) {
        orchestrator.shutdown_grace = grace;
    }
    if let Some(steps) = whole(reader, &mut table, "max_concurrent_steps", 1..=100_000) {
        orchestrator.max_concurrent_steps = steps;
    }
    if let Some(node) = table.take("settle") {
        let settle = reader.duration(node, "orchestrator.settle");
        orchestrator.settle = settle.unwrap_or(orchestrator.settle);
    }
    let ages = Duration::ZERO..=Duration::from_hours(24 * 3_650);
    if let Some(age) = duration(reader, &mut table, "remember", ages) {
        orchestrator.remember = age;
    }
    let durabilities = Durability::ALL.map(|durability| (durability.as_str(), durability));
    if let Some(durability) = word(reader, &mut table, "durability", &durabilities) {
        orchestrator.durability = durability;
    }
    let ages = Duration::from_mins(1)..=Duration::from_hours(24 * 3_650);
    if let Some(age) = duration(reader, &mut table, "keep_runs", ages) {
        orchestrator.keep_runs = age;
    }
    if let Some(count) = whole(reader, &mut table, "keep_runs_count", 1..=10_000_000) {
        orchestrator.keep_runs_count = count;
    }
    if let Some(node) = table.take("prefix") {
        orchestrator.prefix = reader.boolean(node, "orchestrator.prefix").unwrap_or(orchestrator.prefix);
    }
    if let Some(instructions) = text(reader, &mut table, "instructions") {
        orchestrator.instructions = Some(instructions);
    }
    table.finish(reader);
}

/// A file that has none of the tables we know. Perhaps one is only misspelt.
fn no_servers(reader: &mut Reader, table: &mut Table<'_>) {
    let near = table.rest().find_map(|field| Some((field, suggest::nearest(&field.key, ROOTS)?)));
    let problem = match near {
        Some((field, near)) => {
            let span = field.key_span.clone();
            let replacement = reader.requoted(&span, near);
            let message = format!("the file has no servers, only `{}`", field.key);
            Problem::error(code::MISSING, &reader.source, span, message)
                .help(format!("did you mean `{near}`?"))
                .replace_with(replacement)
        }
        None => Problem::error(code::MISSING, &reader.source, reader.head(&table.span()), "the file has no servers")
            .help(format!("they stand under `{}`", ROOTS.join("`, `"))),
    };
    reader.problem(problem);
}

#[cfg(test)]
mod tests;
