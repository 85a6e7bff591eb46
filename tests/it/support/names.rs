//! A real name server on loopback: dnsmasq.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use super::{DEADLINE, eventually};

/// A running name server.
pub(crate) struct Names {
    process: Option<Child>,
    pub(crate) port: u16,
}

impl Names {
    /// One that knows these records, as options of dnsmasq, for a second each, and nothing else.
    pub(crate) fn with(records: &[String]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = socket.local_addr().expect("it is bound").port();
        drop(socket);
        let mut names = Self { process: None, port };
        names.know(records);
        names
    }

    /// Knows these records from now on.
    #[expect(clippy::disallowed_methods, reason = "a name server of the test, which ends it by itself")]
    pub(crate) fn know(&mut self, records: &[String]) {
        self.stop();
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--log-facility=-",
        ]);
        command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--local-ttl=1"]);
        command.arg(format!("--port={}", self.port)).arg("--local=/example/").args(records);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("dnsmasq is there: apt-get install dnsmasq-base"));
        let is_bound = || UdpSocket::bind(("127.0.0.1", self.port)).is_err();
        assert!(eventually(DEADLINE, is_bound), "dnsmasq does not listen");
    }

    /// Knows nothing any more, and does not answer.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stop();
    }
}
