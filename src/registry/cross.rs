//! What can be checked only when every file is read: names given twice, and fallbacks that lead nowhere or in circles.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::code;
use crate::model::name::ToolRef;
use crate::model::problem::{Problem, Severity, Source, Span};
use crate::model::suggest;
use crate::registry::authored::Authored;
use crate::registry::server::{Registry, Server};

/// Servers with the files that they stand in.
pub(super) type Found = Vec<(Arc<Source>, Authored)>;

/// Keeps the first server of each name and resolves fallbacks. `broken` are the names of those that could not be read:
/// known, but not there. If it `is_open`, names that no file has may become known later.
pub(super) fn resolve(
    found: Found,
    broken: &BTreeSet<String>,
    is_open: bool,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<Server>> {
    let mut servers = unique(found, problems);
    refuse_unknown(&mut servers, broken, is_open, problems);
    refuse_circles(&mut servers, problems);
    let names: BTreeSet<_> = servers.keys().cloned().collect();
    servers
        .into_values()
        .map(|(_, Authored { mut server, fallback, .. })| {
            // One that was left out for its own mistakes is no mistake of those that fall back on it.
            server.fallback = fallback.iter().filter_map(|(name, _)| names.get(name.as_str()).cloned()).collect();
            (Arc::clone(&server.name), Arc::new(server))
        })
        .collect()
}

/// The tools that capabilities name, with the files and places that they stand in.
pub(super) type Members = Vec<(Arc<Source>, ToolRef, Span)>;

/// Finds the members whose servers no file has, and the capabilities whose names could be mistaken for a server's tools.
pub(super) fn check_members(
    registry: &Registry,
    broken: &BTreeSet<String>,
    members: Members,
    problems: &mut Vec<Problem>,
) {
    for (source, tool, span) in members {
        let is_known = registry.servers.contains_key(tool.server.as_str()) || broken.contains(&tool.server);
        if !is_known {
            let message = format!("there is no server `{}`", tool.server);
            let near = suggest::did_you_mean(&tool.server, registry.servers.keys().map(AsRef::as_ref));
            let problem = Problem::error(code::UNKNOWN_NAME, &source, span, message).maybe_help(near);
            problems.push(if registry.discovery.sources.is_empty() { problem } else { still_to_be_found(problem) });
        } else if registry.capabilities.contains_key(&tool) {
            let message = format!("`{tool}` is a capability itself");
            problems.push(Problem::error(code::CONFLICT, &source, span, message).help("name tools of servers only"));
        }
    }
}

/// No mistake where sources may bring the server that is missing.
pub fn still_to_be_found(problem: Problem) -> Problem {
    let message = format!("{} yet; no source of `[discovery.sources]` has named it", problem.message);
    Problem { severity: Severity::Warning, message, ..problem }
}

type ByName = BTreeMap<Arc<str>, (Arc<Source>, Authored)>;

fn unique(found: Found, problems: &mut Vec<Problem>) -> ByName {
    let mut kept = ByName::new();
    for (source, authored) in found {
        let name = Arc::clone(&authored.server.name);
        match kept.get(&name) {
            None => {
                kept.insert(name, (source, authored));
            }
            Some((other, first)) => {
                let (line, _) = other.line_column(first.name_span.start);
                let message = format!("the server `{name}` is already defined at {}:{line}", other.name);
                problems.push(
                    Problem::error(code::DUPLICATE, &source, authored.name_span, message)
                        .help("rename or remove one of them"),
                );
            }
        }
    }
    kept
}

/// Leaves out the servers that fall back on themselves or on a name that no file has.
fn refuse_unknown(servers: &mut ByName, broken: &BTreeSet<String>, is_open: bool, problems: &mut Vec<Problem>) {
    let known: BTreeSet<String> = servers.keys().map(ToString::to_string).chain(broken.iter().cloned()).collect();
    servers.retain(|name, (source, authored)| {
        let before = problems.len();
        for (fallback, span) in &authored.fallback {
            if **fallback == **name {
                let message = format!("`{name}` falls back on itself");
                problems.push(Problem::error(code::CONFLICT, source, span.clone(), message).help("remove it"));
            } else if !known.contains(fallback) {
                let others = known.iter().map(String::as_str).filter(|other| *other != &**name);
                let message = format!("there is no server `{fallback}`");
                let mut problem = Problem::error(code::UNKNOWN_NAME, source, span.clone(), message);
                if let Some(near) = suggest::nearest(fallback, others) {
                    let quote = source.text[span.clone()].chars().next().filter(|first| matches!(first, '"' | '\''));
                    let quote = quote.map(String::from).unwrap_or_default();
                    problem =
                        problem.help(format!("did you mean `{near}`?")).replace_with(format!("{quote}{near}{quote}"));
                }
                problems.push(if is_open { still_to_be_found(problem) } else { problem });
            }
        }
        !problems[before..].iter().any(Problem::is_error)
    });
}

/// Leaves out, of each circle of fallbacks, the server whose fallback closes it.
///
/// Walks depth first without recursion: a chain may be as long as there are servers.
fn refuse_circles(servers: &mut ByName, problems: &mut Vec<Problem>) {
    let mut closing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for start in servers.keys() {
        // The servers on the way here, each with how many of its fallbacks were followed.
        let mut path: Vec<(&Arc<str>, usize)> = Vec::new();
        if seen.insert(start) {
            path.push((start, 0));
        }
        while let Some((name, followed)) = path.last_mut() {
            let (name, (source, authored)) = (*name, &servers[*name]);
            let Some((fallback, span)) = authored.fallback.get(*followed) else {
                path.pop();
                continue;
            };
            *followed += 1;
            let Some((next, _)) = servers.get_key_value(fallback.as_str()) else { continue };
            if seen.insert(next) {
                path.push((next, 0));
            } else if let Some(begin) = path.iter().position(|(on_path, _)| *on_path == next) {
                let circle: Vec<_> = path[begin..].iter().map(|(name, _)| &***name).chain([&**next]).collect();
                let message = format!("fallbacks lead in a circle: {}", circle.join(" -> "));
                problems.push(Problem::error(code::CONFLICT, source, span.clone(), message).help("remove one of them"));
                closing.insert(Arc::clone(name));
            }
        }
    }
    servers.retain(|name, _| !closing.contains(name));
}
