//! What hosts see: everything, or what their profile shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::snapshot::Catalog;
use crate::downstream::pool::OURSELVES;
use crate::gateway::agents::shown_agent_as;
use crate::gateway::capabilities::shown_as;
use crate::gateway::door::Gateway;
use crate::model::call::Call;
use crate::model::freshness::Freshness;
use crate::registry::agent::{Agent, Work};
use crate::registry::capability::Capability;
use crate::registry::profile::Profile;
use crate::registry::server::Registry;

/// The catalog, and the part of it that each profile shows.
#[derive(Default)]
pub(super) struct Views {
    whole: Arc<Catalog>,
    shown: BTreeMap<Arc<str>, View>,
}

/// What those who see through one profile have.
#[derive(Default)]
struct View {
    /// What they see.
    seen: Arc<Catalog>,
    /// What agents and capabilities may use for them.
    reached: Arc<Catalog>,
}

impl Gateway {
    /// The views of `whole` through every profile.
    pub(super) fn views_of(&self, whole: Catalog) -> Views {
        let registry = self.registry();
        let view = |profile: &Profile| {
            let seen = Arc::new(self.through(&whole, profile));
            let reached = profile.reach().map(|profile| Arc::new(self.through(&whole, &profile)));
            View { reached: reached.unwrap_or_else(|| Arc::clone(&seen)), seen }
        };
        let shown = registry.profiles.iter().map(|(name, profile)| (Arc::clone(name), view(profile))).collect();
        Views { shown, whole: Arc::new(whole) }
    }

    fn through(&self, whole: &Catalog, profile: &Profile) -> Catalog {
        let (registry, workflows) = (self.registry(), self.workflows());
        let hidden = hidden(&registry, profile);
        let is_own_shown = |name: &str| {
            if workflows.get(name).is_some() {
                profile.admits_workflow(name)
            } else {
                profile.admits_tool(name) && !hidden.contains(name)
            }
        };
        let shown =
            whole.subset(is_own_shown, |server| profile.admits_server(server), |tool| profile.admits_tool(tool));
        shown.redefined(self.capability_tools(whole, |server| profile.admits_server(server)))
    }

    /// The whole catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.views.load().whole)
    }

    /// What is seen through `profile`: everything without one, nothing through one that there is not.
    pub fn seen(&self, profile: Option<&str>) -> Arc<Catalog> {
        match profile {
            None => self.catalog(),
            Some(profile) => {
                self.views.load().shown.get(profile).map(|view| Arc::clone(&view.seen)).unwrap_or_default()
            }
        }
    }

    /// What `call` may use: what its caller sees, or what may be used for its caller.
    pub(super) fn usable_by(&self, call: &Call) -> Arc<Catalog> {
        self.usable_through(call.profile.as_deref(), call.is_delegated)
    }

    /// What is seen through `profile`, or what may be used for those who see through it.
    pub(super) fn usable_through(&self, profile: Option<&str>, is_delegated: bool) -> Arc<Catalog> {
        match profile.filter(|_| is_delegated) {
            None => self.seen(profile),
            Some(profile) => {
                self.views.load().shown.get(profile).map(|view| Arc::clone(&view.reached)).unwrap_or_default()
            }
        }
    }

    /// How long what is seen through `profile` may be kept, and by whom: no longer than any server's lists.
    pub fn freshness(&self, profile: Option<&str>) -> Freshness {
        let shown = self.pool.iter().filter(|endpoint| self.shows_server(profile, &endpoint.server.name));
        let all = shown.filter_map(|endpoint| endpoint.freshness()).fold(Freshness::MOST, Freshness::and);
        // Who has a token sees what others do not.
        Freshness { is_public: all.is_public && profile.is_none(), ..all }
    }

    /// Whether anything of `server` is seen through `profile`. What we say ourselves is for everybody.
    pub fn shows_server(&self, profile: Option<&str>, server: &str) -> bool {
        let shows =
            |name: &str| self.registry().profiles.get(name).is_some_and(|profile| profile.admits_server(server));
        server == OURSELVES || profile.is_none_or(shows)
    }

    /// Whether the workflow `name` is seen through `profile`.
    pub(super) fn shows_workflow(&self, profile: Option<&str>, name: &str) -> bool {
        let shows =
            |named: &str| self.registry().profiles.get(named).is_some_and(|profile| profile.admits_workflow(name));
        profile.is_none_or(shows)
    }
}

/// The names of the capabilities and agents that could do nothing without a server that `profile` hides.
fn hidden(registry: &Registry, profile: &Profile) -> BTreeSet<String> {
    let is_hidden = |job: &Capability| !job.members.iter().any(|member| profile.admits_server(&member.tool.server));
    let jobs = registry.capabilities.iter().filter(|(_, job)| is_hidden(job)).map(|(name, _)| shown_as(name));
    let needs_hidden = |agent: &Agent| match &agent.work {
        Work::Model(_) => false,
        Work::Tool(stand_in) => match registry.capabilities.get(&stand_in.tool) {
            Some(job) => is_hidden(job),
            None => !profile.admits_server(&stand_in.tool.server),
        },
    };
    let agents = registry.agents.values().filter(|agent| needs_hidden(agent)).map(|agent| shown_agent_as(&agent.name));
    jobs.chain(agents).collect()
}
