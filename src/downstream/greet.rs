//! The first words over a lane: which protocol the server speaks, and what it says about itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::time::sleep;

use crate::downstream::protocol::{About, Era, LEGACY, client_info};
use crate::downstream::request::Request;
use crate::downstream::stdio::lane::Lane;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How long a modern server's silence on `initialize` is waited for before its word on `server/discover` counts.
const SILENCE: Duration = Duration::from_millis(500);

/// Finds out which protocol the server speaks, unless that is `known`, and what it says about itself.
///
/// Both questions (`server/discover`, `initialize`) are asked at once, so neither a slow start nor a silent server costs a
/// time limit.
pub async fn greet(lane: &Arc<Lane>, known: Option<Era>, capabilities: &Value) -> Result<About, Fault> {
    let about = match known {
        Some(Era::Legacy) => initialize(lane, capabilities).await?,
        Some(Era::Modern) => discover(lane).await?,
        None => detect(lane, capabilities).await?,
    };
    if about.era == Era::Legacy {
        lane.notify("notifications/initialized", "{}");
    }
    Ok(about)
}

/// Greets a server whose lane has nothing behind it that must be ended. If it does not work out, or is given up, the lane is closed.
pub async fn introduce(lane: Arc<Lane>, known: Option<Era>, capabilities: &Value) -> Result<(Arc<Lane>, About), Fault> {
    let mut opening = Opening(Some(Arc::clone(&lane)));
    let about = greet(&lane, known, capabilities).await?;
    opening.0 = None;
    Ok((lane, about))
}

/// Closes a lane that does not come to be used.
struct Opening(Option<Arc<Lane>>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(lane) = &self.0 {
            lane.close("connecting to it was given up");
        }
    }
}

async fn detect(lane: &Arc<Lane>, capabilities: &Value) -> Result<About, Fault> {
    let (mut modern, mut refused) = (None, None);
    let (discovered, initialized) = (discover(lane), initialize(lane, capabilities));
    tokio::pin!(discovered, initialized);
    let silence = sleep(SILENCE);
    tokio::pin!(silence);
    let mut is_discovering = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut discovered, if is_discovering => {
                is_discovering = false;
                match (answer, refused.take()) {
                    (Ok(about), Some(_)) => return Ok(about),
                    (Err(_), Some(fault)) => return Err(fault),
                    (Ok(about), None) => {
                        modern = Some(about);
                        silence.as_mut().reset(tokio::time::Instant::now() + SILENCE);
                    }
                    (Err(_), None) => {}
                }
            }
            answer = &mut initialized, if refused.is_none() => match (answer, modern.take()) {
                (Ok(about), _) | (Err(_), Some(about)) => return Ok(about),
                (Err(fault), None) if is_discovering => refused = Some(fault),
                (Err(fault), None) => return Err(fault),
            },
            () = &mut silence, if modern.is_some() => {
                if let Some(about) = modern.take() {
                    return Ok(about);
                }
            }
        }
    }
}

async fn initialize(lane: &Arc<Lane>, capabilities: &Value) -> Result<About, Fault> {
    let member = |value: &Value| to_raw_value(value).expect("JSON values always serialise");
    let request = Request::new("initialize")
        .with_text("protocolVersion", LEGACY)
        .with("capabilities", member(capabilities))
        .with("clientInfo", member(&client_info()));
    let result = lane.request(&request, None).await.map_err(refusal)?;
    About::from_initialize(result.get()).map_err(unusable)
}

async fn discover(lane: &Arc<Lane>) -> Result<About, Fault> {
    let result = lane.request(&Request::new("server/discover"), Some(Era::Modern)).await.map_err(refusal)?;
    About::from_discover(result.get()).map_err(unusable)
}

/// An error to the very first request means that the server is there but not usable.
fn refusal(fault: Fault) -> Fault {
    if fault.rpc.is_some() {
        let message = format!("refused to be connected: {}", fault.message);
        // The server's error answers our question, not the call that waits for it.
        return Fault { kind: Kind::Unavailable, message, rpc: None, ..fault };
    }
    fault
}

/// The server answers, but not as we need it.
pub fn unusable(why: String) -> Fault {
    Fault::new(Kind::Unavailable, code::BAD_ANSWER, why).hint("update the server, or pin its `era` in the registry")
}
