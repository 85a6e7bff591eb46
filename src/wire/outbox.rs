//! A bounded queue of messages and the task that writes them in batches.
//!
//! Reading and writing are separate tasks on purpose: a peer that does not read must not keep us from reading it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many messages may wait to be written.
pub const CAPACITY: usize = 1024;

/// How many messages are written at once.
const BATCH: usize = 256;

/// A message that may still be withdrawn while it waits.
///
/// Without this, a request whose caller has given up would be sent as soon as a stalled peer reads again, and a tool would
/// run although its caller was told that it had not answered.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU8);

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Takes the message back; false if it has been written already.
    pub fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes [`Ticket::claim`] back: the message has certainly not reached anybody.
    pub fn give_back(&self) {
        self.0.store(WAITING, Ordering::Release);
    }

    /// Whether the message has left us, or may have.
    pub fn was_written(&self) -> bool {
        self.0.load(Ordering::Acquire) == WRITTEN
    }

    /// Marks the message as written; false if it has been withdrawn, so that it must not be.
    pub fn claim(&self) -> bool {
        self.0.compare_exchange(WAITING, WRITTEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// One message, without its newline.
pub struct Message {
    /// The JSON text.
    pub text: Bytes,
    /// Whether it may be withdrawn.
    pub ticket: Option<Arc<Ticket>>,
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self { text: text.into(), ticket: None }
    }
}

/// The queue's writing end.
pub type Outbox = mpsc::Sender<Message>;

/// Writes what arrives in `queue` until it is closed, one flush for everything that is waiting.
///
/// Ends with an error if the peer is gone, or takes nothing for `stall`.
pub async fn write_all(
    mut queue: mpsc::Receiver<Message>,
    mut writer: impl AsyncWrite + Unpin,
    stall: Duration,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut text = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        text.clear();
        for message in batch.drain(..) {
            if message.ticket.is_none_or(|ticket| ticket.claim()) {
                text.extend_from_slice(&message.text);
                text.push(b'\n');
            }
        }
        write_steadily(&mut writer, &text, stall).await?;
        text.shrink_to(1024 * 1024);
    }
    Ok(())
}

/// Like `write_all`, but the time limit starts anew with each part that the peer takes.
async fn write_steadily(writer: &mut (impl AsyncWrite + Unpin), mut text: &[u8], stall: Duration) -> io::Result<()> {
    let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read");
    while !text.is_empty() {
        let taken = timeout(stall, writer.write(text)).await.map_err(stalled)??;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        text = &text[taken..];
    }
    timeout(stall, writer.flush()).await.map_err(stalled)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_withdrawn_message_is_never_written() {
        let (sender, queue) = mpsc::channel(8);
        let kept = Arc::new(Ticket::default());
        let withdrawn = Arc::new(Ticket::default());
        assert!(withdrawn.withdraw());
        for (text, ticket) in [("1", &kept), ("2", &withdrawn)] {
            let message = Message { text: text.into(), ticket: Some(Arc::clone(ticket)) };
            sender.send(message).await.expect("there is room");
        }
        drop(sender);
        let mut written = Vec::new();
        write_all(queue, &mut written, Duration::from_secs(1)).await.expect("memory does not fail");
        assert_eq!(written, b"1\n");
        assert!(kept.was_written() && !kept.withdraw());
        assert!(!withdrawn.was_written());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_noticed() {
        let (near, _far) = tokio::io::duplex(16);
        let (sender, queue) = mpsc::channel(8);
        sender.send("x".repeat(100).into()).await.expect("there is room");
        let error = write_all(queue, near, Duration::from_secs(5)).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
