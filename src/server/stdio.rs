//! A host that has started us and talks over our standard streams.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::{StdioReader, Transport, stdio_pipes};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::door::Gateway;
use crate::server::handler::Handler;
use crate::server::host::Host;
use crate::server::lane::Lane;
use crate::server::notify::announce;
use crate::wire::lines::{Line, Lines, MAX_LINE};
use crate::wire::outbox::{CAPACITY, Message, Outbox, write_all};

/// A host may pause for as long as it likes; this only ends a writer that nobody will ever read.
const WRITE_STALL: Duration = Duration::from_hours(24);

/// How long what is still in the queue to the host may take to be written at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves the host until its input ends, its output is closed, or `stop`.
pub async fn serve(gateway: Arc<Gateway>, stop: CancellationToken) {
    let (reader, writer) = stdio_pipes();
    let (outbox, queue) = mpsc::channel(CAPACITY);
    let tasks = TaskTracker::new();
    let ended = stop.child_token();
    let host = Arc::new(Host::default());
    let writing = tasks.spawn({
        let ended = ended.clone();
        async move {
            if let Err(error) = write_all(queue, writer, WRITE_STALL).await {
                tracing::info!(%error, "the host no longer reads");
            }
            ended.cancel();
        }
    });
    tasks.spawn(announce(Arc::clone(&gateway), Arc::clone(&host), outbox.clone(), ended.clone()));
    let lane = Lane::new(Arc::clone(&gateway), Arc::clone(&host), outbox.clone(), tasks.clone());
    let connection = Connection { lines: Lines::new(reader, MAX_LINE), outbox, lane, ended: ended.clone() };
    let handler = Handler::new(gateway, host);
    // rmcp waits for its own handlers after the end of input; the host does not, so neither do we.
    let served = async {
        match handler.serve_with_ct(connection, ended.clone()).await {
            Ok(service) => drop(service.waiting().await),
            Err(error) => tracing::debug!(%error, "the host left before it had opened the connection"),
        }
    };
    ended.run_until_cancelled(Box::pin(served)).await;
    ended.cancel();
    if timeout(LAST_WORDS, writing).await.is_err() {
        tracing::debug!("the host did not read our last words");
    }
}

/// rmcp's view of the connection: the messages that are its to answer.
struct Connection {
    lines: Lines<StdioReader>,
    outbox: Outbox,
    lane: Lane,
    ended: CancellationToken,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.lane.abandon();
        self.ended.cancel();
    }
}

impl Transport<RoleServer> for Connection {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(&mut self, item: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let outbox = self.outbox.clone();
        async move {
            let line = serde_json::to_string(&item)?;
            outbox.send(Message::from(line)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = self.next().await;
        if message.is_none() {
            self.lane.abandon();
            self.ended.cancel();
        }
        message
    }

    async fn close(&mut self) -> io::Result<()> {
        self.ended.cancel();
        Ok(())
    }
}

impl Connection {
    async fn next(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            match self.lines.next().await {
                Ok(Some(Line::Text(line))) => {
                    if let Some(message) = self.lane.take(&line).await {
                        return Some(message);
                    }
                }
                Ok(Some(Line::TooLong(head))) => self.lane.refuse(&head).await,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "the host's messages cannot be read");
                    return None;
                }
            }
        }
    }
}
