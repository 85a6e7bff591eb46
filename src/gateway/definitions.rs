//! The tool definitions of what the program itself offers: its own tools and the workflows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::catalog::instructions::merged;
use crate::catalog::snapshot::{Catalog, Own};
use crate::gateway::agents::shown_agent_as;
use crate::gateway::builtin::Builtin;
use crate::gateway::capabilities::shown_as;
use crate::gateway::described::describe;
use crate::gateway::door::Gateway;
use crate::workflow::plan::plan;
use crate::workflow::tool::definition;

impl Gateway {
    /// The names of our own tools, of every workflow, capability and agent.
    pub(super) fn own_names(&self) -> BTreeSet<String> {
        let builtin = Builtin::ALL.into_iter().map(|builtin| builtin.name().to_owned());
        let registry = self.registry();
        let capabilities = registry.capabilities.keys().map(shown_as);
        let agents = registry.agents.keys().map(|name| shown_agent_as(name));
        builtin.chain(self.workflows().names().map(ToOwned::to_owned)).chain(capabilities).chain(agents).collect()
    }

    /// The definitions of our own tools, of every workflow, capability and agent, over the tools that `servers` has.
    pub(super) fn own_tools(&self, servers: Arc<Catalog>) -> Vec<Own> {
        let may_save = self.authoring.get().is_some();
        let may_reload = self.reloads.get().is_some();
        let has_levels = self.registry().levels.is_some();
        let builtin = Builtin::ALL
            .into_iter()
            .filter(|builtin| match builtin {
                Builtin::Save => may_save,
                Builtin::Reload => may_reload,
                Builtin::SetLevel => has_levels,
                _ => true,
            })
            .map(|builtin| Own { name: builtin.name().to_owned(), definition: object(describe(builtin)) });
        let capabilities = self.capability_tools(&servers, |_| true);
        let agents = self.agent_tools(&servers);
        let known = self.known_over(servers);
        let set = self.workflows();
        let workflows = set.names().filter_map(|name| set.get(name)).map(|workflow| Own {
            name: workflow.name.to_string(),
            definition: definition(workflow, &plan(workflow, &known)),
        });
        builtin.chain(workflows).chain(capabilities).chain(agents).collect()
    }

    /// Advice to models who see through `profile`: ours, then every server's.
    pub fn instructions(&self, profile: Option<&str>) -> String {
        let shown = || self.pool.iter().filter(|endpoint| self.shows_server(profile, &endpoint.server.name));
        let servers: Vec<_> = shown().map(|endpoint| endpoint.server.name.to_string()).collect();
        let set = self.workflows();
        let workflows = set.names().map(AsRef::as_ref);
        let workflows: Vec<_> = workflows.filter(|name| self.shows_workflow(profile, name)).collect();
        let own = self.registry().orchestrator.instructions.clone().unwrap_or_default();
        let own = format!(
            "{own}{}This server combines {} MCP servers ({}) and {} workflows ({}) behind one endpoint. \
             Tools are named server__tool. Prefer a workflow when one fits: it makes several calls in one. \
             `run_workflow` also runs a definition that you write. Errors say what to do next; \
             `orchestrator_status` says how every server does.",
            if own.is_empty() { "" } else { "\n\n" },
            servers.len(),
            servers.join(", "),
            workflows.len(),
            workflows.join(", "),
        );
        let listings: Vec<_> = shown()
            .filter_map(|endpoint| Some((endpoint.server.name.to_string(), endpoint.listing()?.instructions.clone()?)))
            .collect();
        let advice: Vec<_> = listings.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        merged(&own, &advice)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
