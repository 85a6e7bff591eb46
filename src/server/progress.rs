//! Progress of one call, told to the host under its own token.

use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;

use crate::model::call::Progress;
use crate::wire::outbox::{Message, Outbox};

/// Passes progress on, rising only. A host that sends its request again, with answers, is told under the new token.
pub struct Reporter(Mutex<State>);

/// Where progress goes, and the last value that was told.
struct State {
    token: Option<Box<RawValue>>,
    outlet: Outbox,
    last: Option<f64>,
}

impl Reporter {
    /// Progress under `token`; none is told without one.
    pub fn new(token: Option<&RawValue>, outlet: Outbox) -> Self {
        Self(Mutex::new(State { token: token.map(ToOwned::to_owned), outlet, last: None }))
    }

    /// From now on under `token`.
    pub fn redirect(&self, token: Option<&RawValue>, outlet: Outbox) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            State { token: token.map(ToOwned::to_owned), outlet, last: None };
    }
}

impl Progress for Reporter {
    fn report(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = &state.token else { return };
        if state.last.is_some_and(|last| progress <= last) {
            return;
        }
        let mut params = serde_json::json!({ "progressToken": token, "progress": progress });
        if let Some(total) = total {
            params["total"] = total.into();
        }
        if let Some(message) = message {
            params["message"] = message.into();
        }
        state.last = Some(progress);
        let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
        // A host that does not keep up loses progress rather than answers.
        let _ = state.outlet.try_send(Message::from(line));
    }
}
