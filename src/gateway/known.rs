//! What workflows are checked and planned against: the servers, tools and workflows as they are known now.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::snapshot::Catalog;
use crate::gateway::agents;
use crate::gateway::capabilities::{self, shown_as};
use crate::gateway::door::Gateway;
use crate::model::effect::Effect;
use crate::model::entry::{Entry, Kind};
use crate::model::name::ToolRef;
use crate::registry::agent::{Agent, Agents, known_as, most};
use crate::registry::capability::Capability;
use crate::registry::server::Registry;
use crate::workflow::definition::Workflow;
use crate::workflow::plan::plan;
use crate::workflow::surroundings::{Facts, Surroundings};

/// A gateway's knowledge at one moment.
pub struct Known<'a> {
    gateway: &'a Gateway,
    registry: Arc<Registry>,
    /// Through which profile it is seen.
    profile: Option<Arc<str>>,
    /// What is seen through it.
    catalog: Arc<Catalog>,
    /// What all servers offer.
    servers: Arc<Catalog>,
    /// What workflows may do, as far as it has been found out. One that is being looked at counts as destructive, so that
    /// one that calls itself is not looked at for ever.
    effects: RefCell<HashMap<String, Effect>>,
}

impl Gateway {
    /// What is known now.
    pub fn known(&self) -> Known<'_> {
        self.known_over(self.catalog())
    }

    /// What is known now to those who see through `profile`.
    pub(super) fn known_through(&self, profile: Option<&Arc<str>>) -> Known<'_> {
        let profile = profile.cloned();
        Known { profile: profile.clone(), catalog: self.seen(profile.as_deref()), ..self.known() }
    }

    /// What is known if `catalog` is what the servers offer.
    pub(super) fn known_over(&self, catalog: Arc<Catalog>) -> Known<'_> {
        let (servers, registry) = (Arc::clone(&catalog), self.registry());
        Known { gateway: self, registry, profile: None, catalog, servers, effects: RefCell::default() }
    }
}

impl Known<'_> {
    fn shows(&self, server: &str) -> bool {
        self.gateway.shows_server(self.profile.as_deref(), server)
    }

    fn capabilities(&self) -> impl Iterator<Item = (&ToolRef, &Arc<Capability>)> {
        let all = self.registry.capabilities.iter();
        all.filter(|(name, _)| self.profile.is_none() || self.catalog.has_own(&shown_as(name)))
    }

    fn agents_shown(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Agent>)> {
        let all = self.registry.agents.iter();
        all.filter(|(name, _)| self.profile.is_none() || self.catalog.has_own(&agents::shown_agent_as(name)))
    }

    /// What the registry says of a tool whose server has not told its tools yet.
    fn said_of(&self, tool: &ToolRef) -> Option<Facts> {
        let server = self.registry.servers.get(tool.server.as_str())?;
        let is_unknown = self.gateway.pool.get(&tool.server)?.listing().is_none();
        let effect = server.tools.get(&tool.tool)?.effect.filter(|_| is_unknown && self.shows(&tool.server))?;
        Some(Facts { effect, input_schema: None, output_schema: None })
    }

    /// What calling `workflow` may do.
    fn effect_of(&self, workflow: &Workflow) -> Effect {
        if let Some(known) = self.effects.borrow().get(workflow.name.as_ref()) {
            return *known;
        }
        self.effects.borrow_mut().insert(workflow.name.to_string(), Effect::Destructive);
        let effect = plan(workflow, self).effect();
        self.effects.borrow_mut().insert(workflow.name.to_string(), effect);
        effect
    }
}

impl Surroundings for Known<'_> {
    fn servers(&self) -> Vec<String> {
        let servers = self.registry.servers.keys().filter(|server| self.shows(server)).map(ToString::to_string);
        servers.chain(self.capabilities().map(|(name, _)| name.server.clone())).collect()
    }

    fn tools_of(&self, server: &str) -> Option<Vec<String>> {
        let mut jobs: Vec<_> =
            self.capabilities().filter(|(name, _)| name.server == server).map(|(name, _)| name.tool.clone()).collect();
        let Some(endpoint) = self.gateway.pool.get(server) else { return Some(jobs).filter(|jobs| !jobs.is_empty()) };
        let listing = endpoint.listing()?;
        let tools = listing.entries.iter().filter(|entry| entry.kind == Kind::Tool).map(|entry| entry.id.clone());
        let is_shown = |tool: &String| {
            self.profile.is_none()
                || self.catalog.origin(&ToolRef { server: server.to_owned(), tool: tool.clone() }).is_some()
        };
        jobs.extend(tools.filter(is_shown));
        Some(jobs)
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let capability = self.capabilities().find(|(name, _)| *name == tool);
        let capability = capability
            .map(|(_, capability)| capabilities::facts(capability, &self.servers, |server| self.shows(server)));
        capability.or_else(|| self.catalog.origin(tool).map(|entry| facts(entry))).or_else(|| self.said_of(tool))
    }

    fn providers(&self, tool: &ToolRef) -> Option<Vec<String>> {
        let (_, capability) = self.capabilities().find(|(name, _)| *name == tool)?;
        let servers = capability.members.iter().map(|member| &member.tool.server);
        Some(servers.filter(|server| self.shows(server)).cloned().collect())
    }

    fn workflows(&self) -> Vec<String> {
        let is_shown = |name: &&str| self.gateway.shows_workflow(self.profile.as_deref(), name);
        self.gateway.workflows().names().filter(is_shown).map(ToString::to_string).collect()
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        let is_shown = self.gateway.shows_workflow(self.profile.as_deref(), name);
        let set = self.gateway.workflows();
        let workflow = set.get(name).filter(|_| is_shown)?;
        Some(Facts {
            effect: self.effect_of(workflow),
            input_schema: Some(Arc::clone(&workflow.input_schema)),
            output_schema: workflow.output_schema.clone(),
        })
    }

    fn flags(&self) -> Option<Vec<String>> {
        Some(self.registry.flags.keys().map(ToString::to_string).collect())
    }

    fn models(&self) -> Option<Vec<String>> {
        Some(self.registry.models.keys().map(ToString::to_string).collect())
    }

    fn agents(&self) -> Option<Vec<String>> {
        let shown: Agents = self.agents_shown().map(|(name, agent)| (Arc::clone(name), Arc::clone(agent))).collect();
        Some(known_as(&shown))
    }

    fn agent(&self, name: &str) -> Option<Effect> {
        most(&self.registry.agents, name, |tool| Some(self.servers.origin(tool)?.effect))
    }
}

/// What a server says of its tool.
pub fn facts(entry: &Entry) -> Facts {
    let schema = |key: &str| entry.definition.get(key).cloned().map(Arc::<Value>::new);
    Facts { effect: entry.effect, input_schema: schema("inputSchema"), output_schema: schema("outputSchema") }
}
