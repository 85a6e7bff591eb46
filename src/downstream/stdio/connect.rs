//! Opening a connection to a child: starting it, and starting it again if it cannot bear the first question.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::downstream::greet::greet;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era};
use crate::downstream::stdio::child::{Child, spawn};
use crate::downstream::stdio::lane::Lane;
use crate::downstream::stdio::pipes::{self, Ends};
use crate::downstream::stdio::watchdog::Watchdog;
use crate::model::code;
use crate::model::fault::Fault;
use crate::registry::server::{self, Server};

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
/// A server that ends on the unknown one of the two first questions is started again and asked in the old way alone.
pub async fn connect(
    server: &Server,
    command: &server::Command,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    watchdog: &Arc<Watchdog>,
    tasks: &TaskTracker,
) -> Result<(Stdio, About), Fault> {
    let open = async |era| {
        let (child, pipes) = spawn(&server.name, (command, server.limits), inbox.tail(), watchdog, tasks)?;
        let lane = pipes::open(pipes.stdout, pipes.stdin, Ends::Pipes, inbox, tasks);
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
