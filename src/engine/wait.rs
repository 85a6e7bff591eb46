//! Lets time pass.

use std::sync::Arc;
use std::time::Duration;

use crate::document::duration::{from_millis, parse_duration};
use crate::engine::event::{Failure, Timestamp};
use crate::engine::frame::{End, FrameId, Next};
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;
use crate::workflow::moment;
use crate::workflow::verb::Wait;

/// A `wait` that runs.
#[derive(Debug)]
pub(super) struct WaitFrame {
    at: Arc<str>,
    /// How much time is to pass.
    time: Duration,
}

impl WaitFrame {
    /// The wait of the step at the address `at`, which begins `now`. A point in time that has passed is not waited for.
    pub(super) fn new(wait: &Wait, scope: &Scope, at: &Arc<str>, now: Timestamp) -> Result<Self, Box<Failure>> {
        let (template, what) = match wait {
            Wait::For(template) => (template, "a duration, for example `5m` or milliseconds"),
            Wait::Until(template) => (template, "a point in time, for example `2027-01-31T08:00:00Z`"),
        };
        let given = scope.value(template, "wait", Some(at))?.to_json();
        let time = match wait {
            Wait::For(_) => match &given {
                serde_json::Value::String(text) => parse_duration(text),
                given => given.as_u64().and_then(from_millis),
            },
            Wait::Until(_) => moment::parse(&given).and_then(|due| from_millis(due.saturating_sub(now))),
        };
        let Some(time) = time else {
            let message = format!("`wait` of step `{at}` needs {what}, but was given `{given}`");
            return Err(Failure::new(fault::Kind::Invalid, code::EXPRESSION_FAILED, message).at(at).into());
        };
        Ok(Self { at: Arc::clone(at), time })
    }

    pub(super) fn start(&self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        if self.time.is_zero() {
            return over();
        }
        turn.start_timer(id, format!("{}#wait", self.at).into(), self.time);
        Next::Wait
    }
}

/// The time has passed.
pub(super) fn over() -> Next {
    Next::End(End::completed(Value::null()))
}
