//! Named views: which servers, tools and workflows the hosts of one endpoint see.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::model::code;
use crate::model::name::is_server_name;
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

    /// Whether the tool that hosts know as `name` is seen, if its server is.
    pub fn admits_tool(&self, name: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.matches(name)) && !self.deny.matches(name)
    }
}

/// Reads the table of profiles into `profiles`; those of a later file replace those of the same name.
pub(super) fn read(reader: &mut Reader, node: &Node, profiles: &mut BTreeMap<Arc<str>, Arc<Profile>>) {
    let Some(mut all) = reader.table(node, "profiles") else { return };
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
}
