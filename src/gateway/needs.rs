//! Which servers a workflow may call, as far as its text tells: those are waited for before it is planned, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::gateway::door::Gateway;
use crate::model::name::ToolRef;
use crate::registry::agent::{Work, able};
use crate::registry::patterns::Patterns;
use crate::workflow::definition::{Block, Step, Workflow};
use crate::workflow::modifier::Fallback;
use crate::workflow::verb::Verb;

/// What has been found so far.
#[derive(Default)]
struct Needs {
    servers: BTreeSet<String>,
    /// So that a workflow that leads back to itself is looked at once.
    workflows: BTreeSet<String>,
}

impl Gateway {
    /// The servers that have `tool`, or that have the tools which can do it, if it is a job.
    pub fn servers_of(&self, tool: &ToolRef) -> Vec<String> {
        match self.registry().capabilities.get(tool) {
            Some(job) => job.members.iter().map(|member| member.tool.server.clone()).collect(),
            None => vec![tool.server.clone()],
        }
    }

    /// The servers that `workflow` names: by its tools, jobs, models and agents with their tools, and by the workflows that it runs; and
    /// those that decide what goes on at all.
    pub fn servers_for(&self, workflow: &Workflow) -> BTreeSet<String> {
        let registry = self.registry();
        let mut needs = Needs::default();
        self.need(workflow, &mut needs);
        if registry.levels.is_some() {
            let required = registry.servers.values().filter(|server| server.required);
            needs.servers.extend(required.map(|server| server.name.to_string()));
        }
        needs.servers
    }

    fn need(&self, workflow: &Workflow, needs: &mut Needs) {
        workflow.blocks().for_each(|(_, block)| self.need_block(block, needs));
    }

    fn need_block(&self, block: &Block, needs: &mut Needs) {
        for step in &block.steps {
            self.need_step(step, needs);
            step.blocks().for_each(|(_, block)| self.need_block(block, needs));
        }
    }

    fn need_step(&self, step: &Step, needs: &mut Needs) {
        match &step.verb {
            Verb::Tool { tool, .. } => needs.servers.extend(self.servers_of(tool)),
            Verb::Workflow { name, .. } => self.need_workflow(name, needs),
            Verb::Llm(llm) => self.need_any(llm.tools.iter().map(|(name, _)| name.to_string()), needs),
            Verb::Agent(errand) => self.need_agent(&errand.agent, needs),
            _ => {}
        }
        for fallback in &step.fallback {
            match fallback {
                Fallback::Tool { tool, .. } => needs.servers.extend(self.servers_of(tool)),
                Fallback::Workflow { name, .. } => self.need_workflow(name, needs),
                Fallback::Cached(_) | Fallback::Value(_) => {}
            }
        }
    }

    fn need_workflow(&self, name: &str, needs: &mut Needs) {
        if needs.workflows.insert(name.to_owned())
            && let Some(workflow) = self.workflows().get(name).map(Arc::clone)
        {
            self.need(&workflow, needs);
        }
    }

    fn need_agent(&self, name: &str, needs: &mut Needs) {
        for agent in able(&self.registry().agents, name) {
            match &agent.work {
                Work::Tool(stand_in) => needs.servers.extend(self.servers_of(&stand_in.tool)),
                Work::Model(thinker) => self.need_any(thinker.tools.written().iter().cloned(), needs),
            }
        }
    }

    /// The servers of the tools and jobs that `patterns` may mean.
    fn need_any(&self, patterns: impl Iterator<Item = String>, needs: &mut Needs) {
        let heads = patterns.map(|name| name.split('.').next().unwrap_or_default().to_owned());
        let Ok(heads) = Patterns::parse(heads.collect()) else { return };
        let registry = self.registry();
        let jobs = registry.capabilities.keys().filter(|job| heads.matches(&job.server));
        needs.servers.extend(jobs.flat_map(|job| self.servers_of(job)));
        let servers = self.pool().iter().map(|fleet| fleet.server.name.to_string());
        needs.servers.extend(servers.filter(|name| heads.matches(name)));
    }
}
