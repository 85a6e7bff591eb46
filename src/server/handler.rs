//! What rmcp asks of us: who we are, subscriptions, the log level.
#![expect(deprecated, reason = "hosts of the initialize era set a log level; SEP-2577 deprecates the types")]

use std::sync::Arc;

use rmcp::ServerHandler;
use rmcp::model::{
    CustomRequest, CustomResult, ErrorData, Implementation, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscriptionFilter,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};

use crate::gateway::door::Gateway;
use crate::gateway::refresh::Versions;
use crate::server::host::Host;

/// The methods that are answered on the raw lane. If one arrives here, its sender has not said who it is.
const OWN_METHODS: [&str; 8] = [
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
];

/// The part of a host's connection that rmcp drives.
pub struct Handler {
    gateway: Arc<Gateway>,
    host: Arc<Host>,
}

impl Handler {
    /// The handler of one host.
    pub fn new(gateway: Arc<Gateway>, host: Arc<Host>) -> Self {
        Self { gateway, host }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).with_title("MCP orchestrator"),
            )
            .with_instructions(self.gateway.instructions())
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let level = serde_json::to_value(request.level).ok().and_then(|level| level.as_str().map(ToOwned::to_owned));
        let level = level.filter(|level| self.host.set_level(level));
        let level = level.ok_or_else(|| ErrorData::invalid_params("there is no such log level", None))?;
        self.gateway.set_log_level(&level).await;
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let all =
            SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().resources_list_changed().build();
        Some(requested.intersection(&all))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut versions = self.gateway.versions();
        let mut known: Versions = *versions.borrow_and_update();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = versions.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let now = *versions.borrow_and_update();
                    let sink = context.sink();
                    // The sink sends only what was subscribed to; a failure means that the host is gone.
                    if now.tools != known.tools {
                        let _ = sink.notify_tool_list_changed().await;
                    }
                    if now.prompts != known.prompts {
                        let _ = sink.notify_prompt_list_changed().await;
                    }
                    if now.resources != known.resources {
                        let _ = sink.notify_resource_list_changed().await;
                    }
                    known = now;
                }
            }
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // rmcp takes a known method with wrong parameters for an unknown method.
        if OWN_METHODS.contains(&request.method.as_str()) {
            return Err(ErrorData::invalid_params(format!("the parameters of {} are wrong", request.method), None));
        }
        Err(ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, request.method, None))
    }
}
