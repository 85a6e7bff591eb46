//! Names in one part of the files of what another part defines, to be looked for when everything is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::code;
use crate::model::name::{SAMPLING, ToolRef};
use crate::model::problem::{Problem, Source, Span};
use crate::model::suggest;
use crate::registry::cross::{Members, still_to_be_found};
use crate::registry::server::Registry;

/// Everything that is named somewhere.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// Members of capabilities.
    pub(super) members: Members,
    /// Models that other models fall back on, and that agents use.
    pub(super) models: Vec<(Arc<Source>, String, Span)>,
    /// Tools that are agents, or that agents use.
    pub(super) tools: Members,
    /// Servers that profiles show.
    pub(super) servers: Vec<(Arc<Source>, String, Span)>,
    /// Models that could not be read: known, but not there.
    pub(super) broken_models: BTreeSet<String>,
}

impl Mentions {
    /// Finds the models and the agents' tools that no file has. `broken` are the servers that could not be read.
    pub(super) fn check(self, registry: &Registry, broken: &BTreeSet<String>, problems: &mut Vec<Problem>) {
        for (source, name, span) in self.models {
            if name == SAMPLING || registry.models.contains_key(name.as_str()) || self.broken_models.contains(&name) {
                continue;
            }
            let near = suggest::did_you_mean(&name, registry.models.keys().map(AsRef::as_ref).chain([SAMPLING]));
            let message = format!("there is no model `{name}`");
            problems.push(Problem::error(code::UNKNOWN_NAME, &source, span, message).maybe_help(near));
        }
        for (source, name, span) in self.servers {
            // What a source may still bring is nobody's mistake, and one that was left out is told of by itself.
            let is_known = registry.origins.contains_key(name.as_str()) || broken.contains(&name);
            if !is_known && registry.discovery.sources.is_empty() {
                let near = suggest::did_you_mean(&name, registry.origins.keys().map(AsRef::as_ref));
                let message = format!("there is no server `{name}`");
                problems.push(Problem::error(code::UNKNOWN_NAME, &source, span, message).maybe_help(near));
            }
        }
        for (source, tool, span) in self.tools {
            let ToolRef { server, .. } = &tool;
            let is_job = registry.capabilities.keys().any(|job| job.server == *server);
            if is_job || registry.servers.contains_key(server.as_str()) || broken.contains(server) {
                continue;
            }
            let near = suggest::did_you_mean(server, registry.servers.keys().map(AsRef::as_ref));
            let message = format!("there is no server `{server}`");
            let problem = Problem::error(code::UNKNOWN_NAME, &source, span, message).maybe_help(near);
            problems.push(if registry.discovery.sources.is_empty() { problem } else { still_to_be_found(problem) });
        }
    }
}
