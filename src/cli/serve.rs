//! `serve`: until the host leaves or a signal comes.

use tokio_util::sync::CancellationToken;

use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;

/// Serves the host at our standard streams.
pub async fn serve(app: &App, terminal: Terminal) -> Exit {
    let stop = CancellationToken::new();
    let served = app.serve_stdio(stop.clone());
    tokio::pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        () = asked_to_stop() => {
            stop.cancel();
            served.await
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

/// Waits for a signal that asks us to end. A hang-up is none: hosts come and go with their terminals.
#[cfg(unix)]
pub async fn asked_to_stop() {
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
            _ = hang_up.recv() => tracing::info!("ignored a hang-up"),
        }
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
