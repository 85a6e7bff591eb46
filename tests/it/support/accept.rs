//! What every stand-in for a server over TCP does first.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Serves each connection on a thread of its own, request by request, until `serve` has none left.
pub(crate) fn accept<T: Send + Sync + 'static>(
    listener: TcpListener,
    shared: &Arc<T>,
    serve: fn(&Arc<T>, &TcpStream) -> Option<()>,
) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || while serve(&shared, &stream).is_some() {});
        }
    });
}
