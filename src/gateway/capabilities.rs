//! Jobs that several tools can do: members are tried one after the other for as long as nothing can happen twice.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::catalog::naming::exposed;
use crate::catalog::snapshot::{Catalog, Own};
use crate::engine::call::output_of;
use crate::gateway::answers::Stamp;
use crate::gateway::door::Gateway;
use crate::gateway::reply::{self, SERVED_BY_KEY, with_meta};
use crate::gateway::sharing::is_worth_keeping;
use crate::gateway::trail::{Trail, retold, told};
use crate::gateway::workflows::parse_input;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::name::ToolRef;
use crate::policy::rank::{Candidate, Record, ranked, sticky};
use crate::registry::capability::{Capability, Member, Route};
use crate::wire::canonical::canonical;
use crate::workflow::surroundings::Facts;
use crate::workflow::tool::hints;

/// What has been seen of the members; guarded for one look-up.
pub(super) type Records = Mutex<HashMap<ToolRef, Record>>;

/// Every capability whose answers are kept, as it was when it was last used, and how often it has been another before; guarded for
/// one look-up.
pub(super) type Revisions = Mutex<HashMap<ToolRef, (Capability, u64)>>;

impl Gateway {
    /// Has the job `name` done by one of those that can do it.
    pub(super) async fn call_capability(
        self: Arc<Self>,
        name: &ToolRef,
        capability: &Capability,
        call: Call,
    ) -> Result<Reply, Fault> {
        let arguments = parse_input(call.arguments.as_deref())?;
        let kept_as = capability.fallback.cached.and_then(|_| kept_as(name, &arguments, &call));
        let kept_as = kept_as.map(|key| (key, self.stamp(name, capability)));
        let mut last = Err(Fault::new(Kind::Unavailable, code::SERVER_DOWN, "no member could be called"));
        let mut trail = Trail::default();
        let is_shown = |member: &Member| self.shows_server(call.profile.as_deref(), &member.tool.server);
        let members = self.order(capability, &call).into_iter().map(|place| &capability.members[place]);
        for member in members.filter(|member| is_shown(member)) {
            let began = Instant::now();
            last = Arc::clone(&self).call_member(member, &arguments, &call).await;
            let is_success = last.as_ref().is_ok_and(|reply| !reply.is_tool_error());
            self.note(&member.tool, began, is_success);
            let effect = self.catalog().origin(&member.tool).map(|entry| entry.effect);
            if is_success {
                // An answer that was kept already would look younger than it is.
                let is_new = |reply: &&Reply| !reply.body.get().contains(reply::CACHED_KEY) && is_worth_keeping(reply);
                if let (Some((key, stamp)), Some(reply), Some(Effect::Read)) =
                    (&kept_as, last.as_ref().ok().filter(is_new), effect)
                {
                    self.answers.keep(key, *stamp, reply);
                }
                let name = member.tool.to_string();
                return last.map(|reply| trail.onto(with_meta(&reply, SERVED_BY_KEY, &name), &name));
            }
            let may_repeat = effect.is_none_or(Effect::may_repeat);
            let was_sent = last.as_ref().err().is_none_or(|fault| fault.was_sent);
            if was_sent && !may_repeat {
                return last;
            }
            tracing::info!(member = %member.tool, "could not do the job");
            match &last {
                Err(fault) => trail.failed(member.tool.to_string(), fault),
                Ok(_) => trail.failed_because(member.tool.to_string(), "its result is an error".to_owned()),
            }
        }
        if let Some(reply) = kept_as.and_then(|kept_as| self.kept_answer(&kept_as, capability.fallback.cached, &trail))
        {
            return Ok(reply);
        }
        match &capability.fallback.value {
            Some(value) => Ok(trail.onto(with_meta(&reply::structured(value), SERVED_BY_KEY, &"fallback"), "fallback")),
            None => last,
        }
    }

    /// The answer that was kept so, if it is no older than `most`.
    fn kept_answer(&self, (key, stamp): &(String, Stamp), most: Option<Duration>, trail: &Trail) -> Option<Reply> {
        let (reply, age) = self.answers.find(key, *stamp).filter(|(_, age)| most.is_some_and(|most| *age <= most))?;
        let reply = reply::kept(&reply, age, Some("nobody could do the job"));
        Some(trail.onto(with_meta(&reply, SERVED_BY_KEY, &"cache"), "cache"))
    }

    /// What kept answers of the job `name` depend on: who does it, and how.
    fn stamp(&self, name: &ToolRef, capability: &Capability) -> Stamp {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, revision) = revisions.entry(name.clone()).or_insert_with(|| (capability.clone(), 0));
        if known != capability {
            (*known, *revision) = (capability.clone(), *revision + 1);
        }
        let mut hasher = DefaultHasher::new();
        for member in &capability.members {
            self.pool.get(&member.tool.server).map(|fleet| fleet.number()).hash(&mut hasher);
        }
        Stamp { changes: *revision, writes: hasher.finish() }
    }

    async fn call_member(self: Arc<Self>, member: &Member, arguments: &Value, call: &Call) -> Result<Reply, Fault> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            let message = format!("the capability's {what} cannot be computed: {error}");
            Fault::new(Kind::Invalid, code::EXPRESSION_FAILED, message).target(member.tool.to_string())
        };
        let mut call = Call { is_delegated: true, providers: Vec::new(), ..call.clone() };
        if let Some(adapter) = &member.args {
            let adapted = adapter.apply(arguments).map_err(|error| wrong("`args`", &error))?;
            call.arguments = to_raw_value(&adapted).ok();
        }
        let reply = self.call_tool(&member.tool, call).await?;
        match &member.output {
            Some(adapter) if !reply.is_tool_error() => {
                let hops = told(&reply);
                let result = serde_json::from_str(reply.body.get()).map_err(|error| wrong("`output`", &error))?;
                let output = adapter.apply(&output_of(result)).map_err(|error| wrong("`output`", &error).sent())?;
                Ok(retold(reply::structured(&output), hops))
            }
            _ => Ok(reply),
        }
    }

    /// The places of the members in the order in which they are to be tried.
    fn order(&self, capability: &Capability, call: &Call) -> Vec<usize> {
        let members = &capability.members;
        if !call.providers.is_empty() {
            let wanted = call.providers.iter();
            return wanted.filter_map(|name| members.iter().position(|member| member.is_of(name))).collect();
        }
        match capability.route {
            Route::Order => (0..members.len()).collect(),
            Route::Score => {
                let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
                let candidates: Vec<_> = members.iter().map(|member| self.candidate(member, &records)).collect();
                ranked(&candidates, &capability.weights)
            }
            Route::Sticky => sticky(members.len(), |place| {
                let mut hasher = DefaultHasher::new();
                (&call.principal.name, members[place].tool.to_string()).hash(&mut hasher);
                hasher.finish()
            }),
        }
    }

    fn candidate(&self, member: &Member, records: &HashMap<ToolRef, Record>) -> Candidate {
        let record = records.get(&member.tool).copied().unwrap_or_default();
        let Some(fleet) = self.pool.get(&member.tool.server) else {
            return Candidate { record, load: 1.0, is_up: false };
        };
        let load = f64::from(fleet.counters().in_flight) / f64::from(u32::try_from(fleet.places()).unwrap_or(u32::MAX));
        Candidate { record, load: load.min(1.0), is_up: fleet.is_up() }
    }

    fn note(&self, tool: &ToolRef, began: Instant, is_success: bool) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.entry(tool.clone()).or_default().note(began.elapsed(), is_success);
    }

    /// The capability that hosts know as `name`, and what the registry calls it.
    pub(super) fn capability(&self, name: &str) -> Option<(ToolRef, Arc<Capability>)> {
        let registry = self.registry();
        let mut all = registry.capabilities.iter();
        all.find(|(known, _)| shown_as(known) == name)
            .map(|(known, capability)| (known.clone(), Arc::clone(capability)))
    }

    /// Capabilities as tools, over the tools that `servers` has, with the members whose servers are shown.
    pub(super) fn capability_tools(&self, servers: &Catalog, is_shown: impl Fn(&str) -> bool) -> Vec<Own> {
        let tool = |(name, capability): (&ToolRef, &Arc<Capability>)| {
            let known = facts(capability, servers, &is_shown);
            let members = capability.members.iter().filter(|member| is_shown(&member.tool.server));
            let members: Vec<_> = members.map(|member| member.tool.to_string()).collect();
            let what = capability.description.clone().unwrap_or_else(|| name.to_string());
            let schema = known.input_schema.map_or_else(|| json!({ "type": "object" }), |schema| Value::clone(&schema));
            let definition = Map::from_iter([
                ("name".to_owned(), json!(shown_as(name))),
                ("description".to_owned(), json!(format!("{what} (one of {})", members.join(", ")))),
                ("inputSchema".to_owned(), schema),
                ("annotations".to_owned(), Value::Object(hints(known.effect))),
            ]);
            Own { name: shown_as(name), definition }
        };
        self.registry().capabilities.iter().map(tool).collect()
    }
}

/// Under which key the answer to a call of the job `name` is kept: equal for calls of one caller that ask the same.
fn kept_as(name: &ToolRef, arguments: &Value, call: &Call) -> Option<String> {
    let arguments = canonical(&to_raw_value(arguments).ok()?)?;
    let who = (&*call.principal.name, call.profile.as_deref());
    Some(json!(["capability", name.to_string(), who, call.providers, arguments]).to_string())
}

/// Under which name hosts see a capability.
pub(super) fn shown_as(name: &ToolRef) -> String {
    exposed(&name.server, &name.tool)
}

/// What is known of a capability: the most that any member may do whose server is shown, and the arguments of the first of them that
/// takes them as they are.
pub fn facts(capability: &Capability, servers: &Catalog, is_shown: impl Fn(&str) -> bool) -> Facts {
    let members = || capability.members.iter().filter(|member| is_shown(&member.tool.server));
    let entries = || members().map(|member| (member, servers.origin(&member.tool)));
    let effect = entries().map(|(_, entry)| entry.map_or(Effect::Destructive, |entry| entry.effect)).max();
    let plain = entries().find(|(member, entry)| member.args.is_none() && entry.is_some());
    let schema = plain.and_then(|(_, entry)| entry?.definition.get("inputSchema").cloned());
    Facts { effect: effect.unwrap_or(Effect::Destructive), input_schema: schema.map(Arc::new), output_schema: None }
}
