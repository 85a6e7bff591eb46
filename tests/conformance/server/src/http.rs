//! Streamable HTTP, on the loopback address only.

use std::io::Write as _;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use http::{StatusCode, header};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use crate::Failure;
use crate::era::{Era, is_modern};
use crate::server::Fixture;

/// Serves until it is interrupted. Port 0 is any free one; the address is the only line of standard output.
pub(crate) async fn serve(era: Era, port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let config = StreamableHttpServerConfig::default().with_allowed_origins([
        "http://127.0.0.1:*",
        "http://localhost:*",
        "http://[::1]:*",
    ]);
    let stop = config.cancellation_token.clone();
    let fixture = Fixture::new(era);
    let service =
        StreamableHttpService::new(move || Ok(fixture.session()), Arc::<LocalSessionManager>::default(), config);
    let router = axum::Router::new().nest_service("/mcp", service).layer(from_fn_with_state(era, guard));
    writeln!(std::io::stdout(), "http://{address}/mcp")?;
    // Without it an answer waits 40 ms for the acknowledgement of its own headers.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let interrupted = async move {
        _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(interrupted).await?)
}

/// A legacy server has never heard of the modern version. rmcp would say so in the modern way, which a client takes for
/// a modern server that lacks a version.
async fn guard(State(era): State<Era>, request: Request, next: Next) -> Response {
    let version = request.headers().get("mcp-protocol-version").and_then(|version| version.to_str().ok());
    if era != Era::Legacy || !version.is_some_and(is_modern) {
        return next.run(request).await;
    }
    let body =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: unsupported protocol version"}}"#;
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
