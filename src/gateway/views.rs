//! What hosts see: everything, or what their profile shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::snapshot::Catalog;
use crate::downstream::pool::OURSELVES;
use crate::gateway::door::Gateway;
use crate::model::freshness::Freshness;
use crate::registry::profile::Profile;

/// The catalog, and the part of it that each profile shows.
#[derive(Default)]
pub(super) struct Views {
    whole: Arc<Catalog>,
    shown: BTreeMap<Arc<str>, Arc<Catalog>>,
}

impl Views {
    /// The views of `whole` through `profiles`; `is_workflow` tells workflows from what else is ours.
    pub(super) fn of(
        whole: Catalog,
        profiles: &BTreeMap<Arc<str>, Arc<Profile>>,
        is_workflow: impl Fn(&str) -> bool + Copy,
    ) -> Self {
        let shown =
            profiles.iter().map(|(name, profile)| (Arc::clone(name), Arc::new(through(&whole, profile, is_workflow))));
        Self { shown: shown.collect(), whole: Arc::new(whole) }
    }
}

fn through(whole: &Catalog, profile: &Profile, is_workflow: impl Fn(&str) -> bool) -> Catalog {
    let is_own_shown = |name: &str| {
        if is_workflow(name) { profile.admits_workflow(name) } else { profile.admits_tool(name) }
    };
    whole.subset(is_own_shown, |server| profile.admits_server(server), |tool| profile.admits_tool(tool))
}

impl Gateway {
    /// The whole catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.views.load().whole)
    }

    /// What is seen through `profile`: everything without one, nothing through one that there is not.
    pub fn seen(&self, profile: Option<&str>) -> Arc<Catalog> {
        match profile {
            None => self.catalog(),
            Some(profile) => self.views.load().shown.get(profile).cloned().unwrap_or_default(),
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
