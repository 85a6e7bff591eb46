//! A queue of messages, bounded by number and by bytes, and the task that writes them in batches.
//!
//! Reading and writing are separate tasks on purpose: a peer that does not read must not keep us from reading it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

/// How many messages may wait to be written.
pub const CAPACITY: usize = 1024;

/// How many bytes of large messages may wait to be written. A message that is longer than this waits alone.
const ROOM: u32 = 16 * 1024 * 1024;

/// Messages up to this length need no room: their number bounds them well enough, and a short one need not wait, nor be
/// dropped, because of long ones.
const SMALL: usize = 4 * 1024;

/// How many messages are taken out of the queue at once.
const BATCH: usize = 256;

/// How many bytes are collected before they are written.
const CHUNK: usize = 256 * 1024;

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
    /// By which it may be withdrawn.
    pub ticket: Option<Arc<Ticket>>,
    /// Its share of the room, given back when the message is gone.
    room: Option<OwnedSemaphorePermit>,
}

impl Message {
    /// A message that may be withdrawn by `ticket`.
    pub fn with_ticket(text: String, ticket: &Arc<Ticket>) -> Self {
        Self { ticket: Some(Arc::clone(ticket)), ..Self::from(text) }
    }

    /// How much room it needs.
    fn weight(&self) -> u32 {
        match self.text.len() {
            ..=SMALL => 0,
            bytes => u32::try_from(bytes).unwrap_or(ROOM).min(ROOM),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self { text: text.into(), ticket: None, room: None }
    }
}

/// A queue of at most `capacity` messages.
pub fn queue(capacity: usize) -> (Outbox, Queue) {
    let (sender, queue) = mpsc::channel(capacity);
    (Outbox { sender, room: Arc::new(Semaphore::new(ROOM as usize)) }, queue)
}

/// The queue's reading end.
pub type Queue = mpsc::Receiver<Message>;

/// The queue's writing end.
#[derive(Clone)]
pub struct Outbox {
    sender: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
}

/// Why a message is not in the queue: nobody reads it any more, or there is no room.
#[derive(Debug)]
pub struct NotQueued;

impl Outbox {
    /// Queues `message` once there is room for it. Dropping the future takes the message back.
    pub async fn send(&self, mut message: Message) -> Result<(), NotQueued> {
        let weight = message.weight();
        if weight > 0 {
            message.room = Arc::clone(&self.room).acquire_many_owned(weight).await.ok();
        }
        self.sender.send(message).await.map_err(|_| NotQueued)
    }

    /// Queues `message` if there is room for it now.
    pub fn try_send(&self, mut message: Message) -> Result<(), NotQueued> {
        let weight = message.weight();
        if weight > 0 {
            message.room = Some(Arc::clone(&self.room).try_acquire_many_owned(weight).map_err(|_| NotQueued)?);
        }
        self.sender.try_send(message).map_err(|_| NotQueued)
    }

    /// Waits until nobody reads the queue any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// Writes what arrives in `queue` until it is closed, one flush for everything that is waiting.
///
/// Ends with an error if the peer is gone, or takes nothing for `stall`.
pub async fn write_all(mut queue: Queue, mut writer: impl AsyncWrite + Unpin, stall: Duration) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut text = Vec::with_capacity(SMALL);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        for message in batch.drain(..) {
            if message.ticket.as_ref().is_some_and(|ticket| !ticket.claim()) {
                continue;
            }
            if text.len() + message.text.len() >= CHUNK {
                write_steadily(&mut writer, &text, stall).await?;
                text.clear();
            }
            if message.text.len() >= CHUNK {
                // Not worth a copy. It keeps its room until it has been written.
                write_steadily(&mut writer, &message.text, stall).await?;
            } else {
                text.extend_from_slice(&message.text);
            }
            text.push(b'\n');
        }
        write_steadily(&mut writer, &text, stall).await?;
        text.clear();
        timeout(stall, writer.flush()).await.map_err(stalled)??;
    }
    Ok(())
}

/// Like `write_all`, but the time limit starts anew with each part that the peer takes.
async fn write_steadily(writer: &mut (impl AsyncWrite + Unpin), mut text: &[u8], stall: Duration) -> io::Result<()> {
    while !text.is_empty() {
        let taken = timeout(stall, writer.write(text)).await.map_err(stalled)??;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        text = &text[taken..];
    }
    Ok(())
}

fn stalled(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_withdrawn_message_is_never_written() {
        let (outbox, queue) = queue(8);
        let kept = Arc::new(Ticket::default());
        let withdrawn = Arc::new(Ticket::default());
        assert!(withdrawn.withdraw());
        for (text, ticket) in [("1", &kept), ("2", &withdrawn)] {
            outbox.send(Message::with_ticket(text.to_owned(), ticket)).await.expect("there is room");
        }
        drop(outbox);
        let mut written = Vec::new();
        write_all(queue, &mut written, Duration::from_secs(1)).await.expect("memory does not fail");
        assert_eq!(written, b"1\n");
        assert!(kept.was_written() && !kept.withdraw());
        assert!(!withdrawn.was_written());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_noticed() {
        let (near, _far) = tokio::io::duplex(16);
        let (outbox, queue) = queue(8);
        outbox.send("x".repeat(100).into()).await.expect("there is room");
        let error = write_all(queue, near, Duration::from_secs(5)).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn large_messages_wait_for_room_and_small_ones_do_not() {
        let (outbox, mut queue) = queue(8);
        let large = || Message::from("x".repeat(ROOM as usize * 2 / 3));
        outbox.send(large()).await.expect("there is room");
        assert!(outbox.send(large()).now_or_never().is_none() && outbox.try_send(large()).is_err());
        for _ in 0..2 {
            outbox.try_send(Message::from("small".to_owned())).expect("it needs no room");
        }
        drop(queue.recv().await);
        outbox.try_send(large()).expect("the first one is gone");
    }

    #[tokio::test]
    async fn a_message_that_is_larger_than_all_the_room_waits_alone() {
        let (outbox, mut queue) = queue(8);
        let huge = || Message::from("x".repeat(ROOM as usize + 1));
        outbox.send(huge()).await.expect("nothing else waits");
        assert!(outbox.try_send(huge()).is_err());
        drop(queue.recv().await);
        outbox.try_send(huge()).expect("nothing else waits");
    }
}
