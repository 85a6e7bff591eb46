//! Servers that listen at a Unix socket and speak lines over it, as over standard streams.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use crate::downstream::greet::introduce;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era};
use crate::downstream::stdio::lane::Lane;
use crate::downstream::stdio::pipes::{self, Ends};
use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// Connects to the socket at `path` and finds out which protocol the server speaks.
///
/// A server that hangs up on the unknown one of the two first questions is asked once more in the old way alone.
pub async fn connect(
    path: &Path,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    tasks: &TaskTracker,
) -> Result<(Arc<Lane>, About), Fault> {
    let greet = async |(reader, writer), era| {
        let lane = pipes::open(reader, writer, Ends::Socket, inbox, tasks);
        introduce(lane, era, capabilities).await
    };
    match greet(dial(path).await?, known).await {
        Err(fault) if known.is_none() && fault.code == code::SERVER_DOWN => {
            greet(dial(path).await?, Some(Era::Legacy)).await
        }
        result => result,
    }
}

#[cfg(unix)]
async fn dial(path: &Path) -> Result<(impl AsyncRead + use<>, impl AsyncWrite + use<>), Fault> {
    use std::io::ErrorKind;
    let stream = tokio::net::UnixStream::connect(path).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no socket at",
            ErrorKind::ConnectionRefused => "nobody listens at the socket",
            ErrorKind::PermissionDenied => "access is denied to the socket",
            _ => "the system refuses the socket",
        };
        let message = format!("cannot connect: {why} `{}` ({error})", path.display());
        Fault::new(Kind::Unavailable, code::SERVER_DOWN, message)
            .hint("start the server, or correct its `url` in the registry")
    })?;
    Ok(stream.into_split())
}

#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "it waits on systems that have such sockets")]
async fn dial(_path: &Path) -> Result<(impl AsyncRead + use<>, impl AsyncWrite + use<>), Fault> {
    Err::<(tokio::io::Empty, tokio::io::Sink), _>(unavailable())
}

/// The fault of a socket on a system that has none.
#[cfg(not(unix))]
pub fn unavailable() -> Fault {
    Fault::new(Kind::Unavailable, code::SPAWN_FAILED, "Unix sockets are not available on this system")
        .hint("give the server an `http` url")
}
