//! Named views: which servers, tools and workflows the hosts of one endpoint see.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::document::parse::parse;
use crate::document::reader::Reader;
use crate::model::code;
use crate::model::name::{is_pattern, is_server_name};
use crate::model::problem::{Problem, Source, Span};
use crate::model::suggest::did_you_mean;
use crate::registry::dialect::format;
use crate::registry::naming::legal_name;
use crate::registry::patterns::{Patterns, patterns};

/// What the hosts of one profile see. What a list does not restrict is seen whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// The servers whose tools, prompts and resources are seen.
    servers: Option<Patterns>,
    /// The workflows that are seen. They may use what the profile does not show.
    workflows: Option<Patterns>,
    /// The tools that are seen, by the names that hosts see, ours and workflows included.
    allow: Option<Patterns>,
    /// The tools that are not, whatever `allow` says.
    deny: Patterns,
}

impl Profile {
    /// Whether anything of `server` may be seen.
    pub fn admits_server(&self, server: &str) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.matches(server))
    }

    /// Whether the workflow `name` is seen.
    pub fn admits_workflow(&self, name: &str) -> bool {
        self.workflows.as_ref().is_none_or(|workflows| workflows.matches(name)) && self.admits_tool(name)
    }

    /// What agents and capabilities may use for those who see through it: the names of tools bound only what is called by name.
    /// `None` if that is all that is seen.
    #[must_use]
    pub fn reach(&self) -> Option<Self> {
        let is_bounded_by_names = self.allow.is_some() || !self.deny.is_empty();
        is_bounded_by_names.then(|| Self { allow: None, deny: Patterns::default(), ..self.clone() })
    }

    /// Whether the tool that hosts know as `name` is seen, if its server is.
    pub fn admits_tool(&self, name: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.matches(name)) && !self.deny.matches(name)
    }
}

/// The servers or workflows that profiles name in full, with the places that they stand in.
pub(super) type Named = Vec<(String, Span)>;

/// The names under `key` that are no patterns.
fn named(node: Option<&Node>) -> Named {
    let Some(Value::List(items)) = node.map(|node| &node.value) else { return Named::new() };
    let named = items.iter().filter_map(|item| match &item.value {
        Value::Text(name) if !is_pattern(name) => Some((name.clone(), item.span.clone())),
        _ => None,
    });
    named.collect()
}

/// The workflows that the profiles of a registry file name although nobody knows them.
pub fn unknown_workflows(source: &Arc<Source>, known: &[&str]) -> Vec<Problem> {
    let Ok(root) = parse(source, format(source)) else { return Vec::new() };
    let Some(Value::Table(profiles)) = root.get("profiles").map(|node| &node.value) else { return Vec::new() };
    let all = profiles.iter().flat_map(|profile| named(profile.value.get("workflows")));
    let unknown = all.filter(|(name, _)| !known.contains(&name.as_str()));
    let problem = |(name, span): (String, Span)| {
        let near = did_you_mean(&name, known.iter().copied());
        Problem::error(code::UNKNOWN_NAME, source, span, format!("there is no workflow `{name}`")).maybe_help(near)
    };
    unknown.map(problem).collect()
}

/// Reads the table of profiles into `profiles`; those of a later file replace those of the same name. Gives back the servers that they
/// name.
pub(super) fn read(reader: &mut Reader, node: &Node, profiles: &mut BTreeMap<Arc<str>, Arc<Profile>>) -> Named {
    let mut servers = Named::new();
    let Some(mut all) = reader.table(node, "profiles") else { return servers };
    for field in all.rest() {
        let what = format!("profiles.{}", field.key);
        if !is_server_name(&field.key) {
            let message = format!("`{}` cannot be a profile's name", field.key);
            reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
                Some(format!("use 1 to 64 of `A-Z a-z 0-9 _ -`, for instance `{}`", legal_name(&field.key)));
            continue;
        }
        let found = reader.problems.len();
        let Some(mut table) = reader.table(&field.value, &what) else { continue };
        servers.extend(named(field.value.get("servers")));
        let mut profile = Profile {
            servers: patterns(reader, &mut table, "servers"),
            workflows: patterns(reader, &mut table, "workflows"),
            ..Profile::default()
        };
        if let Some(mut tools) = table.take("tools").and_then(|node| reader.table(node, &format!("{what}.tools"))) {
            profile.allow = patterns(reader, &mut tools, "allow");
            profile.deny = patterns(reader, &mut tools, "deny").unwrap_or_default();
            tools.finish(reader);
        }
        table.finish(reader);
        // One that is not what its author meant may show too much.
        if !reader.failed_since(found) {
            profiles.insert(field.key.as_str().into(), Arc::new(profile));
        }
    }
    servers
}
