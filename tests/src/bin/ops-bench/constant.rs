//! The baseline of the agents' host: a server of the official SDK with one tool that answers a constant, over its own
//! streams.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::json;
use std::sync::Arc;

/// The hidden word that makes this program the server.
pub(crate) const WORD: &str = "constant-server";

/// The tool, as a client calls it.
pub(crate) const TOOL: crate::client::Tool =
    crate::client::Tool { name: "constant", arguments: "{}", proof: "the same each time" };

#[derive(Clone)]
struct Constant;

impl ServerHandler for Constant {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let serde_json::Value::Object(schema) = json!({"type": "object"}) else {
            return Ok(ListToolsResult::default());
        };
        let tool = Tool::new(TOOL.name, "Answers a constant.", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(TOOL.proof)]).into())
    }
}

/// Serves until the client goes.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        Constant.serve(rmcp::transport::stdio()).await.unwrap().waiting().await.unwrap();
    });
}
