//! The smallest web site: one page, on the loopback interface.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const PAGE: &str = "<html><head><title>Tides</title></head><body><article><h1>Tides</h1>\
    <p>High water is at noon, and the harbour is open to everybody who has a boat.</p></article></body></html>";

/// Serves until it is dropped.
pub(super) struct Site {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    pub(super) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback interface");
        let address = listener.local_addr().expect("it is bound");
        let is_over = Arc::new(AtomicBool::new(false));
        let asked_to_end = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if asked_to_end.load(Ordering::Acquire) {
                    return;
                }
                // A visitor who leaves early does not matter.
                let _ = answer(stream);
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }

    /// The address of the page that is there.
    pub(super) fn page(&self) -> String {
        format!("http://{}/tides.html", self.address)
    }

    /// The address of one that is not.
    pub(super) fn missing_page(&self) -> String {
        format!("http://{}/missing.html", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = if request.contains(" /tides.html ") { ("200 OK", PAGE) } else { ("404 Not Found", "") };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close");
    write!(stream, "{head}\r\n\r\n{body}")
}
