//! Servers behind Unix sockets.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use super::launch::fixture_path;

/// Listens at `path`: every connection gets a fixture server of its own with these arguments, as its standard streams.
pub(crate) fn lines(path: &Path, args: &[&str]) {
    let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    accept(path, move |stream| {
        let input = OwnedFd::from(stream.try_clone().expect("a second handle"));
        start(&args, Stdio::from(input), Stdio::from(OwnedFd::from(stream)));
    });
}

/// Listens at `path` and passes every connection on to `port`.
pub(crate) fn relay(path: &Path, port: u16) {
    accept(path, move |near| {
        let far = TcpStream::connect(("127.0.0.1", port)).expect("the server behind it listens");
        let (mut near_in, mut far_in) = (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
        let (mut near, mut far) = (near, far);
        std::thread::spawn(move || {
            // Fails only if one of the two has gone.
            let _ = io::copy(&mut near_in, &mut far);
            let _ = far.shutdown(Shutdown::Both);
        });
        std::thread::spawn(move || {
            let _ = io::copy(&mut far_in, &mut near);
            let _ = near.shutdown(Shutdown::Both);
        });
    });
}

fn accept(path: &Path, serve: impl Fn(UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(path).expect("a free path");
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
}

#[expect(clippy::disallowed_methods, reason = "a server that is started before the program under test")]
fn start(args: &[String], input: Stdio, output: Stdio) {
    let mut fixture = Command::new(fixture_path());
    fixture.args(args).stdin(input).stdout(output).stderr(Stdio::null());
    let mut child = fixture.spawn().expect("the fixture");
    std::thread::spawn(move || child.wait());
}
