//! The least that a process between a host and a server can cost: bytes are copied both ways, unread.
//!
//! `byte-relay COMMAND [ARGUMENT…]`

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::process::{Command, Stdio};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().ok_or("which server? byte-relay COMMAND [ARGUMENT…]")?);
    let mut server = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let to_server = server.stdin.take().ok_or("no standard input")?;
    let from_server = server.stdout.take().ok_or("no standard output")?;
    thread::spawn(move || relay(stdin().lock(), to_server));
    relay(from_server, stdout().lock())?;
    server.wait()?;
    Ok(())
}

fn relay(mut from: impl Read, mut to: impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).and_then(|()| to.flush())?,
        }
    }
}
