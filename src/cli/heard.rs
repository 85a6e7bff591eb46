//! What is known without asking anybody: what the files say, and what their servers were last heard to offer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::app::load::Loaded;
use crate::catalog::snapshot::{Catalog, Contribution};
use crate::downstream::listing::Listing;
use crate::downstream::memory::Memory;
use crate::gateway::capabilities;
use crate::gateway::known::facts;
use crate::model::effect::Effect;
use crate::model::entry::Kind;
use crate::model::name::ToolRef;
use crate::registry::agent::{known_as, most};
use crate::workflow::definition::Workflow;
use crate::workflow::plan::plan;
use crate::workflow::surroundings::{Facts, Surroundings};

/// The files, and what is remembered of their servers.
pub struct Heard<'a> {
    loaded: &'a Loaded,
    /// What each server was last heard to offer, and when.
    listings: BTreeMap<Arc<str>, (Listing, Timestamp)>,
    /// All of that.
    servers: Catalog,
    /// The servers whose tools were asked for.
    asked: RefCell<BTreeSet<Arc<str>>>,
    /// What workflows may do, as far as it has been found out. One that is being looked at counts as destructive, so that one that calls
    /// itself is not looked at for ever.
    effects: RefCell<HashMap<String, Effect>>,
}

impl<'a> Heard<'a> {
    /// What the files say, and what is kept in the folder `catalogue` if there is one.
    pub fn of(loaded: &'a Loaded, catalogue: Option<&Path>) -> Self {
        let age = loaded.registry.orchestrator.remember;
        let memory = catalogue.map(|folder| Memory::new(folder.to_path_buf(), age, true));
        let enabled = || loaded.registry.servers.iter().filter(|(_, server)| !server.disabled);
        let recalled = enabled().filter_map(|(name, server)| {
            let (listing, recalled) = memory.as_ref()?.recall(server)?;
            Some((Arc::clone(name), (listing, recalled.at)))
        });
        let listings: BTreeMap<_, _> = recalled.collect();
        let contribution = |(name, server): (&Arc<str>, &'a Arc<_>)| {
            Some(Contribution { server, entries: &listings.get(name)?.0.entries })
        };
        let contributions = enabled().filter_map(contribution).collect();
        let servers = Catalog::build(contributions, BTreeSet::new(), loaded.registry.orchestrator.prefix);
        Self { loaded, listings, servers, asked: RefCell::default(), effects: RefCell::default() }
    }

    /// When those servers were heard whose tools were asked for.
    pub fn times(&self) -> BTreeMap<Arc<str>, String> {
        let asked = self.asked.borrow();
        let heard = asked.iter().filter_map(|name| Some((Arc::clone(name), self.listings.get(name)?.1)));
        heard.map(|(name, at)| (name, at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())).collect()
    }

    /// Those whose tools were asked for and of which nothing is remembered.
    pub fn unheard(&self) -> Vec<Arc<str>> {
        self.asked.borrow().iter().filter(|name| !self.listings.contains_key(*name)).cloned().collect()
    }

    /// How sure it is what the servers offer, in a line or two; with the effects of steps, if these are shown.
    pub fn notes(&self, shows_effects: bool) -> Vec<String> {
        let (times, unheard) = (self.times(), self.unheard());
        let recalled = (!times.is_empty()).then(|| {
            let servers: Vec<_> = times.iter().map(|(name, at)| format!("`{name}` (as of {at})")).collect();
            format!("not asked now, but remembered: what is offered by {}", servers.join(", "))
        });
        let unknown = (shows_effects && !unheard.is_empty()).then(|| {
            let servers: Vec<_> = unheard.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "effects are not known of what nothing is remembered of: {}; unless the registry says otherwise, its tools count as \
                 destructive until `mcp-orchestrator tools` has asked",
                servers.join(", ")
            )
        });
        recalled.into_iter().chain(unknown).collect()
    }

    fn ask(&self, server: &str) {
        if let Some((name, server)) = self.loaded.registry.servers.get_key_value(server)
            && !server.disabled
        {
            self.asked.borrow_mut().insert(Arc::clone(name));
        }
    }

    fn effect_of(&self, workflow: &Workflow) -> Effect {
        if let Some(known) = self.effects.borrow().get(workflow.name.as_ref()) {
            return *known;
        }
        self.effects.borrow_mut().insert(workflow.name.to_string(), Effect::Destructive);
        let effect = plan(workflow, self).effect();
        self.effects.borrow_mut().insert(workflow.name.to_string(), effect);
        effect
    }

    /// What the registry says of a tool whose server has not told its tools yet.
    fn said_of(&self, tool: &ToolRef) -> Option<Facts> {
        let is_unknown = !self.listings.contains_key(tool.server.as_str());
        let server = self.loaded.registry.servers.get(tool.server.as_str()).filter(|_| is_unknown)?;
        Some(Facts { effect: server.tools.get(&tool.tool)?.effect?, input_schema: None, output_schema: None })
    }
}

impl Surroundings for Heard<'_> {
    fn servers(&self) -> Vec<String> {
        let jobs = self.loaded.registry.capabilities.keys().map(|job| job.server.clone());
        self.loaded.registry.servers.keys().map(ToString::to_string).chain(jobs).collect()
    }

    fn tools_of(&self, server: &str) -> Option<Vec<String>> {
        self.ask(server);
        let all = self.loaded.registry.capabilities.keys().filter(|job| job.server == server);
        let jobs = all.map(|job| job.tool.clone());
        if let Some((listing, _)) = self.listings.get(server) {
            let tools = listing.entries.iter().filter(|entry| entry.kind == Kind::Tool);
            return Some(jobs.chain(tools.map(|entry| entry.id.clone())).collect());
        }
        // Who is no server is known by the jobs alone.
        (!self.loaded.registry.servers.contains_key(server)).then(|| jobs.collect())
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let Some(job) = self.loaded.registry.capabilities.get(tool) else {
            self.ask(&tool.server);
            return self.servers.origin(tool).map(|entry| facts(entry)).or_else(|| self.said_of(tool));
        };
        job.members.iter().for_each(|member| self.ask(&member.tool.server));
        Some(capabilities::facts(job, &self.servers, |_| true))
    }

    fn providers(&self, tool: &ToolRef) -> Option<Vec<String>> {
        let capability = self.loaded.registry.capabilities.get(tool)?;
        Some(capability.members.iter().map(|member| member.tool.server.clone()).collect())
    }

    fn workflows(&self) -> Vec<String> {
        self.loaded.workflows.names().map(ToOwned::to_owned).collect()
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        let workflow = self.loaded.workflows.get(name)?;
        Some(Facts {
            effect: self.effect_of(workflow),
            input_schema: Some(Arc::clone(&workflow.input_schema)),
            output_schema: workflow.output_schema.clone(),
        })
    }

    fn flags(&self) -> Option<Vec<String>> {
        Some(self.loaded.registry.flags.keys().map(ToString::to_string).collect())
    }

    fn models(&self) -> Option<Vec<String>> {
        Some(self.loaded.registry.models.keys().map(ToString::to_string).collect())
    }

    fn agents(&self) -> Option<Vec<String>> {
        Some(known_as(&self.loaded.registry.agents))
    }

    fn agent(&self, name: &str) -> Option<Effect> {
        most(&self.loaded.registry.agents, name, |tool| Some(self.tool(tool)?.effect))
    }
}
