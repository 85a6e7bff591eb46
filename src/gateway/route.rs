//! From a name to the server that answers to it, and on to the next one where that is allowed.

use std::sync::Arc;
use std::time::Instant;

use crate::catalog::naming::SEPARATOR;
use crate::catalog::snapshot::Catalog;
use crate::downstream::endpoint::Terms;
use crate::downstream::fleet::Fleet;
use crate::downstream::request::Request;
use crate::downstream::state::Phase;
use crate::gateway::builtin::Builtin;
use crate::gateway::capabilities::shown_as;
use crate::gateway::door::Gateway;
use crate::gateway::interceptors::Passage;
use crate::gateway::replicas::{caller, is_safe};
use crate::gateway::reply::{self, SERVED_BY_KEY};
use crate::gateway::trail::Trail;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::entry::{Entry, Kind as EntryKind};
use crate::model::fault::{Fault, Kind};
use crate::model::name::ToolRef;
use crate::model::suggest::did_you_mean;
use crate::registry::server::Server;
use crate::wire::object::Object;

impl Gateway {
    /// A tool by the name that hosts see.
    pub(super) async fn call_exposed(self: Arc<Self>, name: &str, call: Call) -> Result<Reply, Fault> {
        let profile = call.profile.clone();
        let seen = || self.seen(profile.as_deref());
        if seen().has_own(name) {
            if let Some(agent) = self.shown_agent(name) {
                let agent = Arc::clone(&agent.name);
                return self.call_agent(&agent, call).await.map(reply::for_host);
            }
            return match (Builtin::find(name), self.capability(name)) {
                (Some(builtin), _) => self.call_builtin(builtin, call).await,
                // Few calls are of one, and all of them would have to have room for it.
                (None, Some((name, capability))) => Box::pin(self.call_capability(&name, &capability, call)).await,
                (None, None) => self.run_as_tool(name, call).await,
            };
        }
        if seen().tool(name).is_none()
            && let Err(fault) = self.await_owner(name, &call).await
        {
            let tool = name.split_once(SEPARATOR).map_or(name, |(_, tool)| tool);
            return Box::pin(self.call_elsewhere(tool, &call, fault, None, &mut Trail::default())).await;
        }
        match seen().tool(name) {
            Some(offer) => self.call_entry(&offer.entry, call).await,
            None => Err(no_such_tool(&seen(), name)),
        }
    }

    /// A tool by its server's name and its own.
    pub(super) async fn call_tool(self: Arc<Self>, tool: &ToolRef, call: Call) -> Result<Reply, Fault> {
        let (profile, is_delegated) = (call.profile.clone(), call.is_delegated);
        let seen = || self.usable_through(profile.as_deref(), is_delegated);
        if let Some(capability) = self.registry().capabilities.get(tool)
            && seen().has_own(&shown_as(tool))
        {
            // A member is a tool of a server, so that this goes no deeper.
            return Box::pin(Arc::clone(&self).call_capability(tool, capability, call)).await;
        }
        let is_shown = self.shows_server(profile.as_deref(), &tool.server);
        let endpoint = self.pool.get(&tool.server).filter(|_| is_shown);
        let endpoint = endpoint.ok_or_else(|| self.no_such_server(&tool.server))?;
        if seen().origin(tool).is_none()
            && let Err(fault) = self.await_listing(&endpoint, &call).await
        {
            return Box::pin(self.call_elsewhere(&tool.tool, &call, fault, None, &mut Trail::default())).await;
        }
        if let Some(entry) = seen().origin(tool) {
            self.call_entry(entry, call).await
        } else {
            let listing = self.pool.get(&tool.server).and_then(|endpoint| endpoint.listing());
            let tools = listing.map(|listing| listing.entries.clone()).unwrap_or_default();
            let near = did_you_mean(&tool.tool, tools.iter().map(|entry| entry.id.as_str()));
            let fault = Fault::new(Kind::NotFound, code::NO_SUCH_TOOL, "has no tool of this name");
            Err(hinted(fault, near).server(&tool.server).target(&tool.tool))
        }
    }

    /// Calls a tool, with what the registry's interceptors do before and after that.
    async fn call_entry(self: &Arc<Self>, entry: &Arc<Entry>, call: Call) -> Result<Reply, Fault> {
        match self.passage(entry, None) {
            None => self.call_within(entry, &call).await,
            Some(passage) => Box::pin(self.call_through(passage, entry, call)).await,
        }
    }

    async fn call_through(
        self: &Arc<Self>,
        mut passage: Passage,
        entry: &Arc<Entry>,
        call: Call,
    ) -> Result<Reply, Fault> {
        let call = passage.before(self.pool.hooks(), entry, call).await?;
        let reply = self.call_within(entry, &call).await?;
        passage.after(self.pool.hooks(), reply).await
    }

    /// Calls a tool, unless an answer is there already.
    async fn call_within(self: &Arc<Self>, entry: &Arc<Entry>, call: &Call) -> Result<Reply, Fault> {
        let fleet = self.pool.get(&entry.server).ok_or_else(|| self.no_such_server(&entry.server))?;
        if let Some(sharing) = self.sharing(&fleet, entry, call) {
            // The future is a large one, and few tools need it.
            return Box::pin(self.call_shared(sharing, entry, call.clone())).await;
        }
        let rule = fleet.server.tools.get(&entry.id);
        let is_write = !entry.effect.is_read() || rule.is_some_and(|rule| !rule.invalidates.is_empty());
        let _writing = is_write.then(|| self.answers.writing(&fleet.server, rule));
        self.call_together(entry, call).await
    }

    /// Calls a tool at its server, then at the server's fallbacks for as long as nothing can have happened twice.
    ///
    /// While somebody else can be asked at once, nobody is waited for; if nobody else can do it, the server itself is asked
    /// again as patiently as the registry says.
    pub(super) async fn call_unshared(&self, entry: &Arc<Entry>, call: &Call) -> Result<Reply, Fault> {
        let name = |fault: Fault| Fault { target: Some(entry.id.clone()), ..fault };
        let fleet = self.pool.get(&entry.server).ok_or_else(|| self.no_such_server(&entry.server))?;
        self.keeps_server(&entry.server, call)?;
        let mut trail = Trail::default();
        let is_alone = !fleet.server.fallback.iter().any(|other| self.offer_of(other, &entry.id, call).is_some());
        let terms = Terms { may_wait: is_alone, ..terms(&fleet.server, entry, call) };
        let request = self.tool_request(entry, call);
        // With the same idempotency key, if it is made again.
        let again = (!is_alone).then(|| request.clone());
        let fault = match self.converse_any(&fleet, request, terms, caller(call), &mut trail).await {
            Ok(reply) => return Ok(reply),
            Err(fault) => fault,
        };
        let Some(again) = again.filter(|_| is_safe(&fault, entry.effect)) else { return Err(name(fault)) };
        let is_timeout = fault.kind == Kind::Timeout;
        let fault = Fault { server: Some(entry.server.to_string()), ..fault };
        let fault = match Box::pin(self.call_elsewhere(&entry.id, call, fault, Some(entry), &mut trail)).await {
            Ok(reply) => return Ok(reply),
            Err(fault) => fault,
        };
        // Who did not answer within its time limit has had its chance.
        if is_timeout || !is_safe(&fault, entry.effect) {
            return Err(name(fault));
        }
        trail.failed(fault.server.clone().unwrap_or_default(), &fault);
        let terms = Terms { may_wait: true, ..terms };
        let again = self.converse_any(&fleet, again, terms, caller(call), &mut trail);
        Box::pin(again).await.map_err(name)
    }

    /// The tool `id` at the fallbacks of the server that `fault` names, for as long as nothing can have happened twice. What is to
    /// happen to calls of `seen_as` has happened to this one.
    async fn call_elsewhere(
        &self,
        id: &str,
        call: &Call,
        mut fault: Fault,
        seen_as: Option<&Entry>,
        trail: &mut Trail,
    ) -> Result<Reply, Fault> {
        // Headers are for the server that the registry means them for.
        let call = &Call { headers: Vec::new(), ..call.clone() };
        let first = fault.server.as_deref().and_then(|server| self.registry().servers.get(server).cloned());
        for other in first.iter().flat_map(|server| &server.fallback) {
            let Some((next, entry)) = self.offer_of(other, id, call) else { continue };
            tracing::info!(to = %other, %fault, "falling back");
            if self.keeps_server(other, call).is_err() {
                continue;
            }
            trail.failed(fault.server.clone().unwrap_or_default(), &fault);
            let result = match self.passage(&entry, seen_as) {
                None => self.call_next(&next, &entry, call, trail).await,
                Some(mut passage) => {
                    let call = passage.before(self.pool.hooks(), &entry, call.clone()).await?;
                    match self.call_next(&next, &entry, &call, trail).await {
                        Ok(reply) => passage.after(self.pool.hooks(), reply).await,
                        Err(fault) => Err(fault),
                    }
                }
            };
            match result {
                Ok(reply) => return Ok(reply::with_meta(&reply, SERVED_BY_KEY, other)),
                Err(next_fault) => {
                    fault = next_fault;
                    if !is_safe(&fault, entry.effect) {
                        break;
                    }
                }
            }
        }
        Err(fault)
    }

    async fn call_next(
        &self,
        next: &Arc<Fleet>,
        entry: &Entry,
        call: &Call,
        trail: &mut Trail,
    ) -> Result<Reply, Fault> {
        let terms = terms(&next.server, entry, call);
        self.converse_any(next, self.tool_request(entry, call), terms, caller(call), trail).await
    }

    /// The tool `id` of `server`, if it has one and the caller's profile does not hide it.
    fn offer_of(&self, server: &str, id: &str, call: &Call) -> Option<(Arc<Fleet>, Arc<Entry>)> {
        if !self.shows_server(call.profile.as_deref(), server) {
            return None;
        }
        let origin = ToolRef { server: server.to_owned(), tool: id.to_owned() };
        Some((self.pool.get(server)?, self.catalog().origin(&origin).cloned()?))
    }

    /// A prompt by the name that hosts see.
    pub(super) async fn get_prompt(&self, name: &str, call: Call) -> Result<Reply, Fault> {
        if self.seen(call.profile.as_deref()).prompt(name).is_none() {
            self.await_owner(name, &call).await?;
        }
        let catalog = self.seen(call.profile.as_deref());
        let Some(offer) = catalog.prompt(name) else {
            let known = catalog.offers(EntryKind::Prompt).map(|(name, _)| name);
            let fault = Fault::new(Kind::NotFound, code::NO_SUCH_PROMPT, format!("there is no prompt `{name}`"));
            return Err(hinted(fault, did_you_mean(name, known)));
        };
        let request = Request::new("prompts/get").with_text("name", &offer.entry.id);
        let request = match &call.arguments {
            Some(arguments) => request.with("arguments", arguments.clone()),
            None => request,
        };
        self.ask(&offer.entry, request, &call).await
    }

    /// A resource by its URI.
    pub(super) async fn read_resource(&self, uri: &str, call: Call) -> Result<Reply, Fault> {
        if self.seen(call.profile.as_deref()).resource(uri).is_none() {
            self.settle().await;
        }
        let seen = self.seen(call.profile.as_deref());
        let entry = seen.resource(uri).map(|offer| Arc::clone(&offer.entry));
        let Some(entry) = entry.or_else(|| seen.unlisted(uri).map(Arc::new)) else {
            return Err(Fault::new(Kind::NotFound, code::NO_SUCH_RESOURCE, "no server has this resource")
                .target(uri)
                .hint("list the resources to see which there are"));
        };
        self.ask(&entry, Request::new("resources/read").with_text("uri", uri), &call).await
    }

    /// Completes an argument of a prompt or a resource template.
    pub(super) async fn complete(&self, call: Call) -> Result<Reply, Fault> {
        let wrong =
            || Fault::new(Kind::Invalid, code::BAD_REQUEST, "a completion needs a `ref` to a prompt or resource");
        let params = call.arguments.as_deref().and_then(Object::parse).ok_or_else(wrong)?;
        let mut reference = params.get("ref").and_then(Object::parse).ok_or_else(wrong)?;
        let text = |key| reference.get(key).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let catalog = self.seen(call.profile.as_deref());
        let entry = match (text("name"), text("uri")) {
            (Some(name), _) => catalog.prompt(&name).map(|offer| Arc::clone(&offer.entry)),
            (None, Some(uri)) => catalog.resource(&uri).map(|offer| Arc::clone(&offer.entry)),
            (None, None) => return Err(wrong()),
        };
        let missing =
            || Fault::new(Kind::NotFound, code::NO_SUCH_PROMPT, "the completion's `ref` names nothing that is offered");
        let entry = entry.ok_or_else(missing)?;
        if reference.get("name").is_some() {
            reference.set("name", &entry.id);
        }
        let mut request = Request::new("completion/complete").with("ref", reference.to_raw());
        for key in ["argument", "context"] {
            if let Some(value) = params.get(key) {
                request = request.with(key, value.to_owned());
            }
        }
        self.ask(&entry, request, &call).await
    }

    /// A request that changes nothing, at the one server that can answer it.
    async fn ask(&self, entry: &Entry, request: Request, call: &Call) -> Result<Reply, Fault> {
        let fleet = self.pool.get(&entry.server).ok_or_else(|| self.no_such_server(&entry.server))?;
        self.keeps_server(&entry.server, call)?;
        let request = Request {
            meta: call.meta.clone(),
            progress: call.progress.clone(),
            ask: call.ask.clone(),
            ..with_extra(request, call)
        };
        let mut trail = Trail::default();
        let terms = terms(&fleet.server, entry, call);
        let result = self.converse_any(&fleet, request, terms, caller(call), &mut trail).await;
        result.map_err(|fault| fault.target(&entry.id))
    }

    /// If `name` is of a server that has not been listed yet, waits for that.
    async fn await_owner(&self, name: &str, call: &Call) -> Result<(), Fault> {
        let owner = self.pool.iter().find(|endpoint| {
            let rest = name.strip_prefix(endpoint.server.name.as_ref());
            rest.is_some_and(|rest| rest.starts_with(SEPARATOR))
        });
        if let Some(endpoint) = owner {
            self.await_listing(&endpoint, call).await
        } else {
            // A bare name may be any server's.
            self.settle().await;
            Ok(())
        }
    }

    /// Waits until `fleet` has been listed, or whoever takes its place meanwhile; its fault if it cannot be.
    pub(super) async fn await_listing(&self, fleet: &Arc<Fleet>, call: &Call) -> Result<(), Fault> {
        let mut fleet = Arc::clone(fleet);
        loop {
            let Err(fault) = self.await_one_listing(&fleet, call).await else { return Ok(()) };
            let name = &fleet.server.name;
            let now = self.pool.get(name).ok_or_else(|| self.no_such_server(name))?;
            if Arc::ptr_eq(&now, &fleet) {
                return Err(fault);
            }
            fleet = now;
        }
    }

    async fn await_one_listing(&self, endpoint: &Fleet, call: &Call) -> Result<(), Fault> {
        if endpoint.listing().is_some() {
            // It may have been listed in this moment.
            self.refresh();
            return Ok(());
        }
        endpoint.want();
        let limit = endpoint.server.connect_timeout;
        let limit = call.limits.left(Instant::now()).map_or(limit, |left| left.min(limit));
        let is_settled = tokio::time::timeout(limit, endpoint.settled()).await.is_ok();
        self.refresh();
        if endpoint.listing().is_some() {
            return Ok(());
        }
        let state = endpoint.state();
        let starting = || {
            let message = format!("is still starting after {} s", limit.as_secs_f32());
            Fault::new(Kind::Unavailable, code::SERVER_STARTING, message)
        };
        let fault = if is_settled { state.fault.unwrap_or_else(starting) } else { starting() };
        let fault = Fault { retry_after: state.phase.retry_in(Instant::now()), ..fault };
        let fault =
            if matches!(state.phase, Phase::CrashLoop(_)) { Fault { code: code::CRASH_LOOP, ..fault } } else { fault };
        Err(fault.server(endpoint.server.name.as_ref()))
    }

    pub(super) fn no_such_server(&self, name: &str) -> Fault {
        let near = did_you_mean(name, self.registry().servers.keys().map(AsRef::as_ref));
        hinted(Fault::new(Kind::NotFound, code::NO_SUCH_SERVER, format!("there is no server `{name}`")), near)
    }
}

fn no_such_tool(seen: &Catalog, name: &str) -> Fault {
    let near = seen.near_tool(name).map(|near| format!("did you mean `{near}`?"));
    hinted(Fault::new(Kind::NotFound, code::NO_SUCH_TOOL, format!("there is no tool `{name}`")), near)
}

fn hinted(fault: Fault, hint: Option<String>) -> Fault {
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The request with what else the caller's params held.
pub(super) fn with_extra(request: Request, call: &Call) -> Request {
    let request = Request { caller: Arc::clone(&call.principal.name), ..request };
    call.extra.iter().fold(request, |request, (key, value)| request.with(key.clone(), value.clone()))
}

fn terms(server: &Server, entry: &Entry, call: &Call) -> Terms {
    let rule = server.tools.get(&entry.id);
    let timeout = rule.and_then(|rule| rule.timeout).unwrap_or(server.timeout);
    Terms { effect: entry.effect, timeout, limits: call.limits, may_wait: true }
}
