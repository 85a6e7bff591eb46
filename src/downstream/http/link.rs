//! A session with an HTTP server: opened and kept by rmcp, used by `post`.
#![expect(deprecated, reason = "servers of the initialize era still log; SEP-2577 deprecates the types")]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, LoggingMessageNotificationParam, ProtocolVersion,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, NotificationContext, Peer, RoleClient,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::ending::Ending;
use crate::downstream::http::client::Observed;
use crate::downstream::http::faults::{causes, without_urls};
use crate::downstream::http::site::Site;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era, LEGACY, MODERN};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::bounded;

/// A session with one server.
pub struct Link {
    pub(super) site: Site,
    pub(super) observed: Observed,
    pub(super) inbox: Arc<Inbox>,
    pub(super) tasks: TaskTracker,
    pub(super) next_id: AtomicU64,
    pub(super) about: About,
    ending: Ending,
    end: CancellationToken,
}

/// Opens a session with the server at `site`.
pub async fn connect(
    site: Site,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    tasks: &TaskTracker,
) -> Result<Link, Fault> {
    let observed = Observed::new(site.client.clone());
    let mut config = StreamableHttpClientTransportConfig::with_uri(site.url.as_str());
    config.custom_headers.clone_from(&site.headers);
    config.max_concurrent_requests = 64;
    let transport = StreamableHttpClientTransport::with_client(observed.clone(), config);
    let capabilities = serde_json::from_value(capabilities.clone()).unwrap_or_default();
    let handler = Handler { inbox: Arc::clone(inbox), capabilities };
    let service = handler.serve_with_lifecycle(transport, lifecycle(known)).await;
    let service = service.map_err(|error| connect_fault(&error, &site))?;
    let about = about(service.peer())?;
    let ending = Ending::default();
    let end = CancellationToken::new();
    let (announce, ended) = (ending.clone(), end.clone());
    tasks.spawn(async move {
        let stop = service.cancellation_token();
        let waiting = service.waiting();
        tokio::pin!(waiting);
        tokio::select! {
            _ = &mut waiting => {}
            () = ended.cancelled() => {
                stop.cancel();
                let _ = waiting.await;
            }
        }
        announce.announce("the connection was closed");
    });
    Ok(Link {
        site,
        observed,
        inbox: Arc::clone(inbox),
        tasks: tasks.clone(),
        next_id: AtomicU64::new(1_000_000),
        about,
        ending,
        end,
    })
}

impl Link {
    /// What the server said about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The server.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Waits until the session is lost; says why.
    pub async fn closed(&self) -> String {
        self.ending.wait().await
    }

    /// Gives the session up.
    pub fn close(&self, why: &str) {
        self.ending.announce(why);
        self.end.cancel();
    }
}

fn lifecycle(known: Option<Era>) -> ClientLifecycleMode {
    let modern = vec![ProtocolVersion::V_2026_07_28];
    match known {
        Some(Era::Legacy) => ClientLifecycleMode::Initialize,
        Some(Era::Modern) => ClientLifecycleMode::Discover { preferred_versions: modern },
        None => ClientLifecycleMode::Auto {
            preferred_versions: modern,
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
    }
}

fn about(peer: &Peer<RoleClient>) -> Result<About, Fault> {
    let info =
        peer.peer_info().ok_or_else(|| Fault::new(Kind::Internal, code::INTERNAL, "no peer after the handshake"))?;
    let revision = info.protocol_version.to_string();
    Ok(About {
        era: if revision.as_str() >= MODERN { Era::Modern } else { Era::Legacy },
        revision,
        name: info.server_info.as_ref().map(|server| server.name.clone()),
        version: info.server_info.as_ref().map(|server| server.version.clone()),
        instructions: info.instructions.clone(),
        capabilities: serde_json::to_value(&info.capabilities).unwrap_or_default(),
    })
}

fn connect_fault(error: &ClientInitializeError, site: &Site) -> Fault {
    let error = match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => fallback,
        other => other,
    };
    let said = match error {
        ClientInitializeError::TransportError { error, .. } => match error.error.downcast_ref() {
            // It does not pass on what caused it.
            Some(StreamableHttpError::<reqwest::Error>::Client(error)) => causes(error),
            _ => causes(error.error.as_ref()),
        },
        ClientInitializeError::JsonRpcError(error) => error.message.to_string(),
        other => other.to_string(),
    };
    let said = bounded(&without_urls(&said), 300);
    if error.is_authorization_required() || said.contains("HTTP 401") || said.contains("HTTP 403") {
        let message = format!("the server demands authentication: {said}");
        return Fault::new(Kind::Denied, code::AUTH_NEEDED, message).hint("set the server's `headers` in the registry");
    }
    let code = match error {
        ClientInitializeError::JsonRpcError(_) => code::SERVER_ERROR,
        _ => code::SERVER_DOWN,
    };
    let fault = Fault::new(Kind::Unavailable, code, format!("cannot connect: {said}{}", site.via()));
    // An older server has an event stream at its URL, and takes no POST there.
    let is_perhaps_old = said.contains("HTTP 404") || said.contains("HTTP 405");
    if is_perhaps_old { fault.hint("if its url is that of an HTTP+SSE server, say `type = \"sse\"`") } else { fault }
}

/// Receives what the server sends outside of our own requests.
struct Handler {
    inbox: Arc<Inbox>,
    capabilities: ClientCapabilities,
}

impl Handler {
    fn hear(&self, method: &str, params: &impl Serialize) {
        self.inbox.hear(method, to_raw_value(params).ok().as_deref());
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let identity = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let mut config = ClientConfig::new(self.capabilities.clone(), identity);
        config.protocol_version = ProtocolVersion::V_2025_11_25;
        debug_assert_eq!(config.protocol_version.as_str(), LEGACY);
        config
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.inbox.hear("notifications/tools/list_changed", None);
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.inbox.hear("notifications/prompts/list_changed", None);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.inbox.hear("notifications/resources/list_changed", None);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.hear("notifications/resources/updated", &params);
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.hear("notifications/message", &params);
    }
}
