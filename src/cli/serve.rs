//! `serve`: until the host leaves or a signal comes.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::app::reload::Watched;
use crate::app::run::App;
use crate::cli::args::Serve;
use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;
use crate::server::http::guard::Policy;
use crate::server::http::serve::Bound;
use crate::server::http::token;

/// Serves hosts at our standard streams, or over HTTP, or both.
pub async fn serve(app: &App, how: Serve, watched: Watched, terminal: Terminal) -> Exit {
    if how.allow_authoring
        && let Err(why) = app.allow_authoring()
    {
        terminal.error(&why);
        return Exit::Usage;
    }
    let is_stdio = how.stdio || how.http.is_none();
    let bound = match how.http {
        Some(address) => match bind(address, how, terminal).await {
            Ok(bound) => Some(bound),
            Err(exit) => return exit,
        },
        None => None,
    };
    let stop = CancellationToken::new();
    let carrier = match app.bind_carrier().await {
        Ok(carrier) => carrier,
        Err(why) => {
            terminal.error(&why);
            return Exit::Unexpected;
        }
    };
    let served = app.serve(is_stdio, bound, carrier, watched, stop.clone());
    tokio::pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        () = asked_to_stop(|| app.reload()) => {
            // Hosts are served meanwhile: they hear how their calls and runs end, and that no others begin.
            tokio::select! {
                result = &mut served => result,
                () = app.gateway().drain() => {
                    stop.cancel();
                    served.await
                }
            }
        }
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(fault) => {
            terminal.error(&format!("a required server cannot be started: {fault}"));
            Exit::of(&fault)
        }
    }
}

async fn bind(address: SocketAddr, how: Serve, terminal: Terminal) -> Result<Bound, Exit> {
    let token = if how.no_auth {
        if !address.ip().is_loopback() {
            terminal
                .error(&format!("refusing to serve {address} without a token: others than this machine could use it"));
            terminal.note(&format!("hint: leave out --no-auth, or set {}", token::VARIABLE));
            return Err(Exit::Usage);
        }
        None
    } else {
        let token = token::find().map_err(|error| {
            terminal.error(&format!("there is no token and none can be kept: {error}"));
            terminal.note(&format!("hint: set {}, or pass --no-auth on a loopback address", token::VARIABLE));
            Exit::Unexpected
        })?;
        if let Some(path) = &token.made_at {
            terminal.note(&format!("a token was made, shown only now and kept in {}:", path.display()));
            terminal.note(&format!("  Authorization: Bearer {}", token.secret.expose()));
        }
        Some(token.secret)
    };
    let policy = Policy { token, hosts: how.allow_host, origins: how.allow_origin };
    let bound = Bound::bind(address, policy).await.map_err(|error| {
        terminal.error(&format!("cannot serve {address}: {error}"));
        Exit::Unexpected
    })?;
    if let Ok(address) = bound.address() {
        terminal.note(&format!("serving http://{address}/mcp"));
    }
    Ok(bound)
}

/// Waits for a signal that asks us to end. A hang-up is none, as hosts come and go with their terminals: it says `on_hang_up`.
#[cfg(unix)]
pub async fn asked_to_stop(on_hang_up: impl Fn()) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hang_up.recv() => on_hang_up(),
        }
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn asked_to_stop(_: impl Fn()) {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
