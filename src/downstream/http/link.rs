//! A session with an HTTP server: opened and kept by rmcp, used by `post`.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rmcp::ClientHandler;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, Peer, RoleClient, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::ending::Ending;
use crate::downstream::http::client::Observed;
use crate::downstream::http::faults::{NEEDS_TOKEN, STILL_REFUSED, causes, without_urls};
use crate::downstream::http::site::Site;
use crate::downstream::http::unasked::InFlight;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era, LEGACY, MODERN};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::bounded;
use crate::wire::mirror::Mirrored;

/// A session with one server.
pub struct Link {
    pub(super) site: Site,
    pub(super) observed: Observed,
    pub(super) inbox: Arc<Inbox>,
    pub(super) tasks: TaskTracker,
    pub(super) next_id: AtomicU64,
    pub(super) about: About,
    /// The arguments that headers repeat, by the tool.
    pub(super) mirrored: ArcSwap<HashMap<String, Vec<Mirrored>>>,
    /// The requests that wait for an answer; guarded for one look-up.
    pub(super) in_flight: Mutex<HashMap<u64, InFlight>>,
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
) -> Result<Arc<Link>, Fault> {
    let observed = Observed::new(&site);
    let capabilities: ClientCapabilities = serde_json::from_value(capabilities.clone()).unwrap_or_default();
    let open = |mode| {
        let mut config = StreamableHttpClientTransportConfig::with_uri(site.url.as_str());
        config.custom_headers.clone_from(&site.headers);
        config.max_concurrent_requests = 64;
        let transport = StreamableHttpClientTransport::with_client(observed.clone(), config);
        Handler { capabilities: capabilities.clone() }.serve_with_lifecycle(transport, mode)
    };
    let service = match open(lifecycle(known)).await {
        // Some old servers answer what they do not know with something.
        Err(ClientInitializeError::ExpectedInitResult(_)) if known.is_none() => {
            open(lifecycle(Some(Era::Legacy))).await
        }
        result => result,
    };
    let service: RunningService<RoleClient, Handler> =
        service.map_err(|error| observed.refused().unwrap_or_else(|| connect_fault(&error, &site)))?;
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
    let link = Arc::new(Link {
        site,
        observed,
        inbox: Arc::clone(inbox),
        tasks: tasks.clone(),
        next_id: AtomicU64::new(1_000_000),
        about,
        mirrored: ArcSwap::default(),
        in_flight: Mutex::default(),
        ending,
        end,
    });
    let weak = Arc::downgrade(&link);
    link.observed.tap(Box::new(move |data| weak.upgrade().is_some_and(|link| link.overhear(data))));
    Ok(link)
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

    /// Learns which arguments of which tools headers are to repeat, in place of what was known.
    pub fn mirror(&self, mirrored: HashMap<String, Vec<Mirrored>>) {
        self.mirrored.store(Arc::new(mirrored));
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
        ClientInitializeError::TransportError { error, .. } => {
            match error.error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
                // rmcp shows it, but does not name it as its source, so that what caused it would be lost.
                Some(StreamableHttpError::Client(error)) => causes(error),
                _ => causes(error.error.as_ref()),
            }
        }
        ClientInitializeError::JsonRpcError(error) => error.message.to_string(),
        other => other.to_string(),
    };
    let said = bounded(&without_urls(&said), 300);
    if error.is_authorization_required() || said.contains("HTTP 401") || said.contains("HTTP 403") {
        let message = format!("the server demands authentication: {said}");
        return Fault::new(Kind::Denied, code::AUTH_NEEDED, message).hint(if site.account.is_some() {
            STILL_REFUSED
        } else {
            NEEDS_TOKEN
        });
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

/// Who we are, towards rmcp. What the server sends outside of our own requests is tapped before rmcp would read it.
struct Handler {
    capabilities: ClientCapabilities,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let identity = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let mut config = ClientConfig::new(self.capabilities.clone(), identity);
        config.protocol_version = ProtocolVersion::V_2025_11_25;
        debug_assert_eq!(config.protocol_version.as_str(), LEGACY);
        config
    }
}
