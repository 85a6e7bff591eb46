//! What a server sends on no request's stream: notifications, and questions that may belong to any request in flight.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::downstream::candidates::{Candidate, choose};
use crate::downstream::http::link::Link;
use crate::downstream::question::{Asker, Asking, answer, capability_for, unanswered};
use crate::downstream::request::{Request, response_line};
use crate::model::ask::{Ask, Question};
use crate::model::call::Progress;
use crate::wire::envelope::Envelope;
use crate::wire::lines::flatten;

/// What of a request is needed while its answer is awaited.
pub(super) struct InFlight {
    progress: Option<Arc<dyn Progress>>,
    ask: Option<Arc<dyn Ask>>,
    asking: Arc<Asking>,
    over: CancellationToken,
}

impl InFlight {
    /// `over` is cancelled when the request is over.
    pub(super) fn new(request: &Request, over: CancellationToken) -> Self {
        let (progress, ask) = (request.progress.clone(), request.ask.clone());
        Self { progress, ask, asking: Arc::clone(&request.asking), over }
    }
}

impl Link {
    pub(super) fn in_flight(&self) -> MutexGuard<'_, HashMap<u64, InFlight>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one message; false leaves it to rmcp.
    pub(super) fn overhear(self: &Arc<Self>, data: &str) -> bool {
        let mut data = data.as_bytes().to_vec();
        flatten(&mut data);
        let Some(envelope) = Envelope::parse(&data) else { return false };
        match (&envelope.method, envelope.id) {
            (Some(method), Some(id)) if capability_for(method).is_some() => self.choose(method, id, envelope.params),
            (Some(method), None) if method == "notifications/progress" => self.progress(envelope.params),
            (Some(method), None) => self.inbox.hear(method, envelope.params),
            _ => return false,
        }
        true
    }

    fn progress(&self, params: Option<&RawValue>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Token {
            progress_token: u64,
        }
        let token = params.and_then(|params| serde_json::from_str::<Token>(params.get()).ok());
        let listener = token.and_then(|token| self.in_flight().get(&token.progress_token)?.progress.clone());
        if let Some(listener) = listener {
            report(listener.as_ref(), params);
        }
    }

    /// Puts a question to the host whose request it belongs to, if there can be only one.
    fn choose(self: &Arc<Self>, method: &str, id: &RawValue, params: Option<&RawValue>) {
        let candidate = |(id, one): (&u64, &InFlight)| {
            let (asking, over) = (Arc::clone(&one.asking), one.over.clone());
            Some(Candidate { id: *id, ask: one.ask.clone()?, asking, over })
        };
        let candidates = self.in_flight().iter().filter_map(candidate).collect();
        match choose(candidates) {
            Some(chosen) => {
                let moot = chosen.moot();
                self.put(Some(chosen.asker), moot, (method, id, params));
            }
            None => self.post_aside(response_line(id, &unanswered(method))),
        }
    }

    /// Puts a question of the server, and posts the answer.
    pub(super) fn put(
        self: &Arc<Self>,
        asker: Option<Asker>,
        moot: impl Future<Output = ()> + Send + 'static,
        (method, id, params): (&str, &RawValue, Option<&RawValue>),
    ) {
        let (server, method) = (self.inbox.server(), method.to_owned());
        let question = Question { server, method, params: params.map(ToOwned::to_owned) };
        let (link, id) = (Arc::clone(self), id.to_owned());
        self.tasks.spawn(async move {
            let answer = answer(asker, question, moot).await;
            link.post_aside(response_line(&id, &answer));
        });
    }
}

/// Passes a progress notification on.
pub(super) fn report(listener: &dyn Progress, params: Option<&RawValue>) {
    #[derive(Deserialize)]
    struct Params {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    }
    if let Some(params) = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok()) {
        listener.report(params.progress, params.total, params.message.as_deref());
    }
}
