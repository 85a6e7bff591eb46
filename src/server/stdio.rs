//! A host that has started us and talks over our standard streams.

use std::sync::Arc;
use std::time::Duration;

use rmcp::transport::{StdioReader, stdio_pipes};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::door::Gateway;
use crate::server::connection::Connection;
use crate::server::host::Host;
use crate::server::notify::announce;
use crate::server::parking::Parking;
use crate::wire::lines::{Line, Lines, MAX_LINE};
use crate::wire::outbox::{CAPACITY, Outbox, queue, write_all};

/// A host may pause for as long as it likes; this only ends a writer that nobody will ever read.
const WRITE_STALL: Duration = Duration::from_hours(24);

/// How long what is still in the queue to the host may take to be written at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves the host, which sees through `profile`, until its input ends, its output is closed, or `stop`.
pub async fn serve(gateway: Arc<Gateway>, profile: Option<Arc<str>>, stop: CancellationToken) {
    let (reader, writer) = stdio_pipes();
    let (outbox, messages) = queue(CAPACITY);
    let tasks = TaskTracker::new();
    let ended = stop.child_token();
    let host = Arc::new(Host::seeing(profile));
    let writing = tasks.spawn({
        let ended = ended.clone();
        async move {
            if let Err(error) = write_all(messages, writer, WRITE_STALL).await {
                tracing::info!(%error, "the host no longer reads");
            }
            ended.cancel();
        }
    });
    tasks.spawn(announce(Arc::clone(&gateway), Arc::clone(&host), outbox.clone(), ended.clone()));
    let parking = Arc::new(Parking::new(gateway.pool().us()));
    let connection = Connection::new(gateway, host, parking, tasks.clone());
    ended.run_until_cancelled(read(Lines::new(reader, MAX_LINE), &connection, &outbox)).await;
    connection.abandon();
    ended.cancel();
    drop((connection, outbox));
    if timeout(LAST_WORDS, writing).await.is_err() {
        tracing::debug!("the host did not read our last words");
    }
}

async fn read(mut lines: Lines<StdioReader>, connection: &Connection, outbox: &Outbox) {
    loop {
        match lines.next().await {
            Ok(Some(Line::Text(line))) => connection.take(&line, outbox),
            Ok(Some(Line::TooLong(head))) => connection.refuse(&head, outbox),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the host's messages cannot be read");
                return;
            }
        }
    }
}
