//! An answer that comes as a stream of events, and is resumed where it broke off.
//!
//! A server of the initialize era may end a stream whenever it likes and is then asked for the rest (2025-11-25,
//! basic/transports). A modern server's stream is the request itself: it is lost with it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::value::RawValue;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::downstream::http::events::Events;
use crate::downstream::http::faults::lost;
use crate::downstream::http::link::Link;
use crate::downstream::http::post::result_of;
use crate::downstream::http::unasked::report;
use crate::downstream::protocol::Era;
use crate::downstream::request::Request;
use crate::model::code;
use crate::model::fault::Fault;
use crate::wire::envelope::Envelope;

/// How long a server that does not say it is left alone before it is asked for the rest.
const PAUSE: Duration = Duration::from_secs(1);

/// The least of it, whatever the server says.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// How often in a row the rest is asked for and nothing comes.
const MAX_FRUITLESS: u32 = 3;

/// A request whose answer is on its way.
pub(super) struct Awaited<'a> {
    pub(super) id: u64,
    pub(super) request: &'a Request,
    /// Ends the questions that belong to it.
    pub(super) over: &'a CancellationToken,
}

/// How far a stream has been read.
struct Place {
    last_event: Option<String>,
    pause: Duration,
    fruitless: u32,
}

impl Place {
    fn update(&mut self, events: &Events) {
        if events.has_begun {
            self.fruitless = 0;
        }
        if events.last_id.is_some() {
            self.last_event.clone_from(&events.last_id);
        }
        if let Some(pause) = events.retry {
            self.pause = pause.max(LEAST_PAUSE);
        }
    }
}

/// The final word, or why the stream ended without one.
type Read = ControlFlow<Result<Box<RawValue>, Fault>, String>;

impl Link {
    /// Reads events until the answer comes. The time limit is the caller's.
    pub(super) async fn events(
        self: &Arc<Self>,
        response: reqwest::Response,
        awaited: &Awaited<'_>,
    ) -> Result<Box<RawValue>, Fault> {
        let mut place = Place { last_event: None, pause: PAUSE, fruitless: 0 };
        let mut read = self.read(response, awaited, &mut place).await;
        loop {
            let why = match read {
                ControlFlow::Break(result) => return result,
                ControlFlow::Continue(why) => why,
            };
            let can_resume = self.about().era == Era::Legacy && place.fruitless < MAX_FRUITLESS;
            let Some(last) = place.last_event.clone().filter(|_| can_resume) else { return Err(lost(why)) };
            place.fruitless += 1;
            sleep(place.pause).await;
            read = self.resume(&last, awaited, &mut place).await;
        }
    }

    /// Asks for what came after the event `last`.
    async fn resume(self: &Arc<Self>, last: &str, awaited: &Awaited<'_>, place: &mut Place) -> Read {
        let get = self.site.get(self.site.url.clone()).header(ACCEPT, "text/event-stream");
        let get = self.within_session(get).header("Last-Event-ID", last);
        let response = match self.send_for(awaited.request, get).await {
            Ok(response) => response,
            Err(fault) => return ControlFlow::Continue(format!("the answer broke off: {}", fault.message)),
        };
        if !response.status().is_success() {
            let why = self.refusal(response).await.message;
            return ControlFlow::Break(Err(lost(format!("the answer broke off and cannot be resumed: {why}"))));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            let why = format!("the answer broke off, and its rest has content of type {kind:?}");
            return ControlFlow::Break(Err(lost(why)));
        }
        self.read(response, awaited, place).await
    }

    async fn read(self: &Arc<Self>, response: reqwest::Response, awaited: &Awaited<'_>, place: &mut Place) -> Read {
        let mut events = Events::of(response);
        loop {
            let event = events.next().await;
            place.update(&events);
            match event {
                Ok(Some(event)) => {
                    if let Some(result) = self.take_in(&event.data, awaited) {
                        return ControlFlow::Break(result);
                    }
                }
                Ok(None) => return ControlFlow::Continue("the answer broke off before it was complete".to_owned()),
                // What is longer than it may be is so the next time, too.
                Err(fault) if fault.code == code::BAD_ANSWER => return ControlFlow::Break(Err(fault)),
                Err(fault) => return ControlFlow::Continue(fault.message),
            }
        }
    }

    /// Takes in one message; it may be the answer.
    fn take_in(self: &Arc<Self>, data: &[u8], awaited: &Awaited<'_>) -> Option<Result<Box<RawValue>, Fault>> {
        let envelope = Envelope::parse(data.trim_ascii())?;
        match (&envelope.method, envelope.id) {
            (None, _) if envelope.number() == Some(awaited.id) => return Some(result_of(&envelope)),
            (Some(method), Some(theirs)) => self.question(awaited, method, theirs, envelope.params),
            (Some(method), None) if method == "notifications/progress" => {
                if let Some(listener) = awaited.request.progress.as_deref() {
                    report(listener, envelope.params);
                }
            }
            (Some(method), None) => self.inbox.hear(method, envelope.params),
            (None, _) => {}
        }
        None
    }

    /// Puts a question of the server, which belongs to the request.
    fn question(self: &Arc<Self>, awaited: &Awaited<'_>, method: &str, id: &RawValue, params: Option<&RawValue>) {
        let asker = awaited.request.ask.clone().map(|ask| (ask, vec![Arc::clone(&awaited.request.asking)]));
        let over = awaited.over.clone();
        self.put(asker, async move { over.cancelled().await }, (method, id, params));
    }
}
