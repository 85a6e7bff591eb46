//! A public server that runs by itself and speaks HTTP+SSE.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::install::installed;
use crate::support::{DEADLINE, eventually};

/// The running server; ended when dropped.
pub(super) struct EventStream {
    process: Child,
    pub(super) port: u16,
}

impl EventStream {
    /// `None` where the servers cannot be installed.
    #[expect(clippy::disallowed_methods, reason = "a server that runs before the program under test")]
    pub(super) fn start() -> Option<Self> {
        let server = installed()?.npm_server("server-everything");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut node = Command::new("node");
        node.arg(server).arg("sse").env("PORT", port.to_string());
        node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self { process: node.spawn().expect("Node.js has installed it"), port };
        assert!(eventually(DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok()), "it does not listen");
        Some(running)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
