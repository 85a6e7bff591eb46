//! A fixture server behind HTTP+SSE on loopback, whose transport can misbehave.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::accept::accept;
use super::launch::fixture_path;
use super::web::{Arrived, read, respond};
use super::{DEADLINE, eventually};

/// How the transport behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// Says where to post to by a whole URL.
    Absolute,
    /// Answers the POST of a request only when the request itself has been answered.
    Holds,
    /// Wants messages posted to this other port.
    Foreign(u16),
    /// This status instead of an event stream.
    Status(u16),
    /// A page instead of an event stream.
    Page,
    /// Ends the event stream before it says anything.
    Ends,
    /// Begins with a message.
    Hasty,
    /// This status to the POSTs of calls.
    Rejects(u16),
    /// Hangs up on the POSTs of calls.
    HangsUp,
}

/// A running server; its threads end with the test process.
pub(crate) struct EventServer {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    /// Where the fixtures keep their records.
    record: PathBuf,
    port: u16,
    arrived: Mutex<Vec<(String, Arrived)>>,
    sessions: Mutex<HashMap<u64, ChildStdin>>,
    next_session: AtomicU64,
    /// What the fixtures have said.
    said: Mutex<String>,
}

impl EventServer {
    /// A server called `name` of the test that lives in `home`.
    pub(crate) fn start(manner: Manner, home: &Path, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            manner,
            record: home.join(name),
            port,
            arrived: Mutex::default(),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
            said: Mutex::default(),
        });
        accept(listener, &shared, Shared::serve);
        Self { port, shared }
    }

    /// Its registry entry.
    pub(crate) fn entry(&self, name: &str) -> String {
        let url = format!("http://127.0.0.1:{}/sse?key=hunter2", self.port);
        format!("[servers.{name}]\ntype = \"sse\"\nurl = \"{url}\"\nconnect_timeout = \"5s\"\nretry = 1\n")
    }

    /// The headers of every request so far, by verb.
    pub(crate) fn headers(&self, verb: &str) -> Vec<String> {
        let arrived = self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.iter().filter(|(own, _)| own == verb).map(|(_, request)| request.headers.clone()).collect()
    }

    /// How many calls have arrived.
    pub(crate) fn calls(&self) -> usize {
        let arrived = self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.iter().filter(|(_, request)| request.body["method"] == "tools/call").count()
    }
}

impl Shared {
    /// Answers one request; `None` when the connection is to be closed.
    fn serve(self: &Arc<Self>, stream: &TcpStream) -> Option<()> {
        let (verb, path, headers, body) = read(stream)?;
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let arrived = Arrived { path: path.clone(), headers, body: message.clone() };
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push((verb.clone(), arrived));
        if verb == "GET" {
            return self.open(stream);
        }
        match self.manner {
            Manner::Rejects(status) if message["method"] == "tools/call" => {
                return respond(stream, status, "", "text/plain", "out of paper");
            }
            Manner::HangsUp if message["method"] == "tools/call" => return None,
            _ => {}
        }
        let session: u64 = path.split_once("session=")?.1.parse().ok()?;
        let is_taken = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let session = sessions.get_mut(&session);
            session.is_some_and(|session| session.write_all(&[&body[..], b"\n"].concat()).is_ok())
        };
        if !is_taken {
            return respond(stream, 404, "", "text/plain", "no such session");
        }
        if self.manner == Manner::Holds && message["method"].is_string() && message["id"].is_u64() {
            let answer = format!("\"id\":{},\"result\"", message["id"]);
            eventually(DEADLINE, || self.said.lock().unwrap_or_else(PoisonError::into_inner).contains(&answer));
            return respond(stream, 200, "", "text/plain", "done");
        }
        respond(stream, 202, "", "text/plain", "Accepted")
    }

    fn open(self: &Arc<Self>, stream: &TcpStream) -> Option<()> {
        match self.manner {
            Manner::Status(status) => {
                return respond(stream, status, "Location: /elsewhere\r\n", "text/plain", "closed");
            }
            Manner::Page => return respond(stream, 200, "", "text/html", "<html>Welcome</html>"),
            Manner::Ends => return respond(stream, 200, "", "text/event-stream", ": nothing\n\n"),
            _ => {}
        }
        let mut stream = stream.try_clone().expect("a second handle");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n").ok()?;
        if self.manner == Manner::Hasty {
            stream.write_all(b"data: {}\n\n").ok()?;
        }
        let session = self.next_session.fetch_add(1, Ordering::Relaxed);
        let place = format!("/messages?session={session}");
        let endpoint = match self.manner {
            Manner::Absolute => format!("http://127.0.0.1:{}{place}", self.port),
            Manner::Foreign(port) => format!("http://127.0.0.1:{port}{place}"),
            _ => place,
        };
        self.play(session, stream, &format!(": hello\n\nevent: endpoint\ndata: {endpoint}\n\n"));
        // The next request comes over another connection.
        None
    }

    /// Starts the fixture of a session, then says `greeting`; the stream ends with the fixture.
    #[expect(clippy::disallowed_methods, reason = "a server that is started before the program under test")]
    fn play(self: &Arc<Self>, session: u64, mut stream: TcpStream, greeting: &str) {
        let mut fixture = Command::new(fixture_path());
        fixture.args(["healthy", "--record"]).arg(&self.record).stdin(Stdio::piped()).stdout(Stdio::piped());
        fixture.stderr(Stdio::null());
        let mut child = fixture.spawn().expect("the fixture");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session, input);
        // Whoever is told where to post to may do so at once.
        stream.write_all(greeting.as_bytes()).expect("the client reads");
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                shared.said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
                if stream.write_all(format!("event: message\ndata: {line}\n\n").as_bytes()).is_err() {
                    break;
                }
            }
            shared.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
            // Fails only if the other side has closed it.
            let _ = stream.shutdown(Shutdown::Both);
            let _ = child.wait();
        });
    }
}
