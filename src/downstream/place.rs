//! Where a server is, once the placeholders of its address are expanded.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::downstream::stdio::child::expand;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server::{Address, Transport};

/// A place to connect to.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// An HTTP server, perhaps behind a socket.
    Web {
        /// Its endpoint.
        url: Url,
        /// The socket that connections go to, whatever the URL's host.
        socket: Option<PathBuf>,
    },
    /// A socket that carries bare lines.
    Socket(PathBuf),
}

impl Place {
    /// Expands the placeholders of a registry entry.
    pub fn of(address: &Address) -> Result<Self, Fault> {
        parse(&expand(&address.url)?, address.transport).map_err(|why| {
            Fault::new(Kind::Unavailable, code::SPAWN_FAILED, format!("its url {why}")).hint("correct the registry")
        })
    }
}

/// What a URL names, or why it names nothing. The URL itself, which may hold secrets, is not repeated.
fn parse(text: &str, transport: Option<Transport>) -> Result<Place, String> {
    let web = |text: &str| Url::parse(text).map_err(|error| format!("is wrong: {error}"));
    let (scheme, rest) = text.split_once("://").ok_or("is wrong: it has no scheme")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Ok(Place::Web { url: web(text)?, socket: None }),
        "http+unix" => {
            let (socket, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            Ok(Place::Web { url: web(&format!("http://localhost{path}"))?, socket: Some(self::socket(socket)?) })
        }
        "unix" => {
            let (path, fragment) = rest.split_once('#').map_or((rest, None), |(path, fragment)| (path, Some(fragment)));
            let socket = self::socket(path)?;
            if transport.is_none() && fragment.is_none() {
                return Ok(Place::Socket(socket));
            }
            let path = fragment.unwrap_or("/");
            // Two slashes would name a host.
            if !path.starts_with('/') || path.starts_with("//") {
                return Err("has a fragment that is no absolute path".to_owned());
            }
            Ok(Place::Web { url: web(&format!("http://localhost{path}"))?, socket: Some(socket) })
        }
        other => Err(format!("has the scheme `{other}`, not http, https, unix or http+unix")),
    }
}

fn socket(encoded: &str) -> Result<PathBuf, String> {
    let path = percent_decode_str(encoded).decode_utf8().map_err(|_| "has a socket path that is not UTF-8")?;
    if !path.starts_with('/') || path.len() == 1 {
        return Err(
            "needs the absolute path of a socket, as in `unix:///run/x.sock` or, with every slash of it written \
                    `%2F`, `http+unix://%2Frun%2Fx.sock/mcp`"
                .to_owned(),
        );
    }
    Ok(PathBuf::from(path.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(url: &str, socket: Option<&str>) -> Place {
        Place::Web { url: Url::parse(url).expect("a URL"), socket: socket.map(PathBuf::from) }
    }

    #[test]
    fn each_scheme_names_its_place() {
        for (text, transport, place) in [
            ("https://x.example/mcp?k=1", None, web("https://x.example/mcp?k=1", None)),
            ("unix:///run/x.sock", None, Place::Socket("/run/x.sock".into())),
            ("UNIX:///run/my%20x.sock", None, Place::Socket("/run/my x.sock".into())),
            ("http+unix://%2Frun%2Fx.sock/mcp?k=1", None, web("http://localhost/mcp?k=1", Some("/run/x.sock"))),
            ("http+unix://%2Frun%2Fx.sock", None, web("http://localhost/", Some("/run/x.sock"))),
            ("unix:///run/x.sock", Some(Transport::Sse), web("http://localhost/", Some("/run/x.sock"))),
            ("unix:///run/x.sock#/mcp", None, web("http://localhost/mcp", Some("/run/x.sock"))),
        ] {
            assert_eq!(parse(text, transport), Ok(place), "{text}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused_without_repeating_it() {
        for text in [
            "x.example/secret",
            "ws://secret",
            "unix://secret",
            "unix:///",
            "unix:///%ff",
            "http+unix:///run/secret",
            "http://[secret",
            "unix:///run/x.sock#secret",
            "unix:///run/x.sock#//secret",
        ] {
            let why = parse(text, None).expect_err(text);
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
