//! A minimal proxy before one server, written the way rmcp suggests: typed on both sides, over standard input and output.
//!
//! `typed-proxy COMMAND [ARGUMENT…]`

use std::error::Error;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{Peer, RequestContext, RoleClient, RoleServer, ServiceError};
use rmcp::transport::{TokioChildProcess, stdio_pipes};
use rmcp::{ServerHandler, ServiceExt as _};
use tokio::process::Command;

struct Proxy {
    server: Peer<RoleClient>,
}

impl ServerHandler for Proxy {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.server.list_all_tools().await.map(ListToolsResult::with_all_items).map_err(failed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.server.call_tool_once(request).await.map_err(failed)
    }
}

fn failed(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => ErrorData::internal_error(other.to_string(), None),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().ok_or("which server? typed-proxy COMMAND [ARGUMENT…]")?);
    command.args(arguments);
    let client = ().serve(TokioChildProcess::new(command)?).await?;
    let proxy = Proxy { server: client.peer().clone() };
    proxy.serve(stdio_pipes()).await?.waiting().await?;
    client.cancel().await?;
    Ok(())
}
