//! Standard error as a sink that nobody ever waits for.
//!
//! Many hosts read nothing of what a server writes there. Once the pipe is full, whoever writes would wait for ever, and the
//! log would stop the program. So a thread of its own writes, and what it cannot keep up with is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

/// How many lines wait to be written.
const WAITING: usize = 4_096;

/// How long the end of the program waits for them.
const LAST: Duration = Duration::from_millis(300);

/// Where the log is written.
#[derive(Clone)]
pub struct Sink {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// Ends the writing; what waits is written first, as long as somebody reads it.
pub struct Rest {
    lines: Option<SyncSender<Vec<u8>>>,
    written: Receiver<()>,
}

/// Begins to write what comes to `out`.
pub fn open(out: impl Write + Send + 'static) -> (Sink, Rest) {
    let (lines, waiting) = sync_channel(WAITING);
    let (announce, written) = channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dropped);
    // It is not joined: it may hang in a write for as long as the program lives.
    std::thread::spawn(move || {
        drain(&waiting, out, &counted);
        let _ = announce.send(());
    });
    (Sink { lines: lines.clone(), dropped }, Rest { lines: Some(lines), written })
}

/// Writes until everybody has gone, or an empty line says that the program ends.
fn drain(waiting: &Receiver<Vec<u8>>, mut out: impl Write, dropped: &AtomicU64) {
    for line in waiting {
        let missing = dropped.swap(0, Ordering::Relaxed);
        let gap = if missing > 0 {
            format!("({missing} lines of the log were dropped: nobody read them)\n")
        } else {
            String::new()
        };
        let is_over = line.is_empty() || out.write_all(gap.as_bytes()).and_then(|()| out.write_all(&line)).is_err();
        if is_over {
            return;
        }
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line.to_vec()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.lines.take().is_some_and(|lines| lines.try_send(Vec::new()).is_ok()) {
            let _ = self.written.recv_timeout(LAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until it is told to.
    struct Stuck(Receiver<()>, SyncSender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        let (unstick, stuck) = channel();
        let (out, written) = sync_channel(WAITING * 2);
        let (mut sink, rest) = open(Stuck(stuck, out));
        for _ in 0..WAITING + 100 {
            sink.write_all(b"line\n").expect("it never fails");
        }
        drop(unstick);
        drop(sink);
        let told: Vec<u8> = written.iter().take(WAITING).flatten().collect();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("line\n") && told.contains("lines of the log were dropped"), "{told:.200}");
        drop(rest);
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let (unstick, stuck) = channel();
        let (out, written) = sync_channel(16);
        let (mut sink, rest) = open(Stuck(stuck, out));
        drop(unstick);
        sink.write_all(b"last words\n").expect("it never fails");
        drop(rest);
        assert_eq!(written.try_recv().expect("it was written"), b"last words\n");
    }
}
