//! Opening a connection to a child: which protocol it speaks, and what it says about itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era, LEGACY, client_info};
use crate::downstream::request::Request;
use crate::downstream::stdio::child::{Child, spawn};
use crate::downstream::stdio::lane::Lane;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server;

/// How long a modern server's silence on `initialize` is waited for before its word on `server/discover` counts.
const SILENCE: Duration = Duration::from_millis(500);

/// How long a dead process may still have answers in its pipe.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// How long after its output a process may still be there.
const LAST_BREATH: Duration = Duration::from_millis(400);

/// A connected child.
pub struct Stdio {
    /// The process.
    pub child: Arc<Child>,
    /// The connection to it.
    pub lane: Arc<Lane>,
}

impl Stdio {
    /// Closes the connection and ends the child with everything it has started.
    pub async fn close(&self, why: &str) {
        self.lane.close(why);
        self.child.end().await;
    }
}

/// Starts the server's command and finds out which protocol it speaks.
///
/// Both questions (`server/discover`, `initialize`) are asked at once, so neither a slow start nor a silent server costs a
/// time limit. A server that ends on the unknown one is started again and asked in the old way alone.
pub async fn connect(
    name: &str,
    command: &server::Command,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    watchdog: &Arc<Watchdog>,
    tasks: &TaskTracker,
) -> Result<(Stdio, About), Fault> {
    let open = async |era| {
        let (child, pipes) = spawn(name, command, inbox.tail(), watchdog, tasks)?;
        let lane = Lane::open(pipes.stdout, pipes.stdin, Arc::clone(inbox), tasks);
        let stdio = Stdio { child: Arc::new(child), lane };
        watch(&stdio, tasks);
        let opening = Opening(Some(stdio));
        opening.greet(era, capabilities).await
    };
    match open(known).await {
        Err(fault) if known.is_none() && fault.code == code::SERVER_DOWN => open(Some(Era::Legacy)).await,
        result => result,
    }
}

/// A child that is not connected yet. If its connecting is given up, it is killed with everything it has started.
struct Opening(Option<Stdio>);

impl Opening {
    async fn greet(mut self, era: Option<Era>, capabilities: &Value) -> Result<(Stdio, About), Fault> {
        let stdio = self.0.as_ref().expect("there from the beginning");
        let about = match greet(&stdio.lane, era, capabilities).await {
            Ok(about) => about,
            Err(fault) => {
                let fault = explained(stdio, fault).await;
                stdio.close("it could not be connected").await;
                return Err(fault);
            }
        };
        Ok((self.0.take().expect("taken only here"), about))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(stdio) = &self.0 {
            stdio.lane.close("connecting to it was given up");
            stdio.child.kill();
        }
    }
}

/// Closes the lane once the process is gone, however long somebody else holds its pipes open.
fn watch(stdio: &Stdio, tasks: &TaskTracker) {
    let (child, lane) = (Arc::clone(&stdio.child), Arc::clone(&stdio.lane));
    tasks.spawn(async move {
        let how = child.exited().await;
        // Whoever waits is told how the process ended rather than that its output closed.
        let _ = timeout(LAST_ANSWERS, lane.closed()).await;
        lane.close(&how);
    });
}

/// A closed pipe is usually the first sign of a dead process: say how it died, if that is known soon.
pub async fn explained(stdio: &Stdio, fault: Fault) -> Fault {
    if fault.code != code::SERVER_DOWN {
        return fault;
    }
    match how_it_ended(stdio).await {
        Some(how) => Fault { message: how, ..fault },
        None => fault,
    }
}

/// How the process ended, if it has, or does within a moment.
pub async fn how_it_ended(stdio: &Stdio) -> Option<String> {
    timeout(LAST_BREATH, stdio.child.exited()).await.ok()
}

async fn greet(lane: &Arc<Lane>, known: Option<Era>, capabilities: &Value) -> Result<About, Fault> {
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
