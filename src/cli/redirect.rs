//! Where the browser comes back to after a login: a loopback port that listens for one request.

use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How long a person may take to log in.
const LOGIN: Duration = Duration::from_mins(5);

/// How long a connection may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);

/// The longest request line that is read, in bytes.
const MAX_REQUEST: usize = 16 * 1024;

/// The path that the browser is sent to.
const PATH: &str = "/callback";

/// An open port.
pub struct Landing {
    listener: TcpListener,
    port: u16,
}

impl Landing {
    /// The first of `ports` that is free; 0 is any.
    pub async fn open(ports: &[u16]) -> io::Result<Self> {
        let mut result = Err(io::Error::other("there is no port to listen at"));
        for port in ports {
            result = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await;
            if result.is_ok() {
                break;
            }
        }
        let listener = result?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where the browser is to be sent.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Opens `page` in a browser; whether there is one.
    #[expect(clippy::disallowed_methods, reason = "a browser is no server of ours, and outlives us")]
    pub fn show(&self, page: &str) -> bool {
        // An address that begins so is no option, no file and no other program's business.
        if !page.starts_with("https://") && !page.starts_with("http://") {
            return false;
        }
        let (program, args): (&str, &[&str]) = match std::env::consts::OS {
            "macos" => ("open", &[]),
            "windows" => ("rundll32", &["url.dll,FileProtocolHandler"]),
            _ => ("xdg-open", &[]),
        };
        let mut opener = std::process::Command::new(program);
        opener.args(args).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        opener.spawn().is_ok()
    }

    /// Waits for the browser that `page` was opened in to come back; says to which address.
    pub async fn wait(&self, page: &str) -> Result<String, Fault> {
        let state = member(page, "state");
        let coming = async {
            loop {
                let Ok((mut browser, _)) = self.listener.accept().await else { continue };
                // Other programs and pages can find the port, too: only who knows the state ends the waiting.
                let target = timeout(REQUEST, target(&mut browser)).await.ok().flatten();
                let is_ours = |target: &String| target.starts_with(PATH) && member(target, "state") == state;
                let answer = match target.filter(is_ours) {
                    Some(target) if state.is_some() => Some(target),
                    _ => None,
                };
                let _ = timeout(REQUEST, reply(&mut browser, answer.as_deref())).await;
                if let Some(target) = answer {
                    return format!("http://127.0.0.1:{}{target}", self.port);
                }
            }
        };
        timeout(LOGIN, coming).await.map_err(|_| {
            let message = format!("nobody has logged in within {} s", LOGIN.as_secs());
            Fault::new(Kind::Timeout, code::AUTH_FAILED, message).hint("run the command again")
        })
    }
}

/// A member of the query of `address`, still encoded.
fn member(address: &str, name: &str) -> Option<String> {
    let query = address.parse::<Uri>().ok()?.query()?.to_owned();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// What a browser asks for.
async fn target(browser: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let length = browser.read(&mut part).await.ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&part[..length]);
        if head.len() > MAX_REQUEST {
            return None;
        }
    }
    let line = std::str::from_utf8(&head).ok()?.lines().next()?;
    let mut words = line.split(' ');
    (words.next()? == "GET").then(|| words.next().map(ToOwned::to_owned))?
}

async fn reply(browser: &mut TcpStream, target: Option<&str>) -> io::Result<()> {
    let (status, text) = match target {
        Some(target) if member(target, "error").is_some() => {
            ("200 OK", "No authorization. See the terminal; this page can be closed.")
        }
        Some(_) => ("200 OK", "Back at mcp-orchestrator. See the terminal; this page can be closed."),
        None => ("404 Not Found", "Nothing here."),
    };
    let head = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    browser.write_all(answer.as_bytes()).await?;
    browser.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_query_is_found() {
        assert_eq!(member("https://a.example/x?y=1&state=a%20b", "state").as_deref(), Some("a%20b"));
        assert_eq!(member("/callback?state=", "state").as_deref(), Some(""));
        assert_eq!(member("/callback?stat=1", "state"), None);
    }
}
