//! A lane over a pair of byte streams, one line for each message.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use crate::downstream::notice::Inbox;
use crate::downstream::stdio::lane::Lane;
use crate::wire::lines::{Line, Lines, MAX_LINE};
use crate::wire::outbox::write_all;

/// How long a server may take nothing from its input before the connection counts as dead.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// What the streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The standard streams of a child. They are read to their end, also when nobody listens any more: a child that cannot
    /// write cannot end in order.
    Pipes,
    /// The two directions of a socket, left as soon as the lane is closed.
    Socket,
}

/// Opens a lane over `reader` and `writer`; its two tasks run on `tasks`.
pub fn open(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    ends: Ends,
    inbox: &Arc<Inbox>,
    tasks: &TaskTracker,
) -> Arc<Lane> {
    let (lane, queue) = Lane::new(inbox, tasks);
    let writing = Arc::clone(&lane);
    tasks.spawn(async move {
        if let Err(error) = write_all(queue, writer, WRITE_STALL).await {
            writing.close(&ends.unwritten(&error));
        }
    });
    let reading = Arc::clone(&lane);
    tasks.spawn(async move {
        let read = async {
            let result = read(&reading, Lines::new(reader, MAX_LINE)).await;
            reading.close(&ends.unread(result));
        };
        match ends {
            Ends::Pipes => read.await,
            Ends::Socket => tokio::select! {
                () = read => {}
                _ = reading.closed() => {}
            },
        }
    });
    lane
}

/// Hands in each line until the stream ends.
async fn read<R: AsyncRead + Unpin>(lane: &Arc<Lane>, mut lines: Lines<R>) -> io::Result<()> {
    while let Some(line) = lines.next().await? {
        match line {
            Line::Text(text) => lane.hear(&text),
            Line::TooLong(head) => lane.salvage(&head, &format!("it is longer than {MAX_LINE} bytes")),
        }
    }
    Ok(())
}

impl Ends {
    /// Why nothing more is read.
    fn unread(self, result: io::Result<()>) -> String {
        match (self, result) {
            (Self::Pipes, Ok(())) => "it closed its output".to_owned(),
            (Self::Pipes, Err(error)) => format!("its output cannot be read: {error}"),
            (Self::Socket, Ok(())) => "it closed the connection".to_owned(),
            (Self::Socket, Err(error)) => format!("the connection broke off: {error}"),
        }
    }

    /// Why nothing more is written.
    fn unwritten(self, error: &io::Error) -> String {
        match self {
            Self::Pipes => format!("its input cannot be written: {error}"),
            Self::Socket => format!("nothing can be written to the connection: {error}"),
        }
    }
}
