//! The server itself: it answers from the data, logs, reports progress and asks where the suite wants it to.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CompleteRequestParams,
    CompleteResult, ContentBlock, DiscoverResult, GetPromptRequestParams, GetPromptResponse, Implementation,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, Tool, UnsubscribeRequestParams,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::data::{DATA, filled};
use super::rounds::{Next, States};

type Context = RequestContext<RoleServer>;
type Answer<T> = Result<T, ErrorData>;

/// The server; clones share the states that were handed out.
#[derive(Clone, Default)]
pub(crate) struct Fixture {
    states: Arc<States>,
}

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn client(context: &Context) -> ClientCapabilities {
    context.client_capabilities().unwrap_or_default()
}

/// What the server says of itself; `legacy` adds what protocol 2026-07-28 no longer has.
fn capabilities(legacy: bool) -> ServerCapabilities {
    let mut capabilities = json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}});
    if legacy {
        capabilities["logging"] = json!({});
        capabilities["resources"] = json!({"subscribe": true});
    }
    serde_json::from_value(capabilities).unwrap()
}

async fn log(context: &Context, line: &str) {
    let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
    let _ = context.peer.notify_logging_message(line).await;
}

/// Asks the client in the middle of the call.
async fn ask(question: &Value, arguments: &Value, context: &Context) -> Answer<CallToolResult> {
    let mut question = question.clone();
    let params = &mut question["params"];
    if let Some(prompt) = arguments.get("prompt") {
        params["messages"][0]["content"]["text"] = prompt.clone();
    }
    if let Some(message) = arguments.get("message") {
        params["message"] = message.clone();
    }
    match context.peer.send_request(serde_json::from_value(question).unwrap()).await {
        Ok(answer) => Ok(text(format!("the client answered {}", json!(answer)))),
        Err(error) => Ok(CallToolResult::error(vec![ContentBlock::text(error.to_string())])),
    }
}

async fn report_progress(context: &Context) -> CallToolResult {
    if let Some(token) = context.meta.get_progress_token() {
        for part in [0.0, 50.0, 100.0] {
            let progress = ProgressNotificationParam::new(token.clone(), part).with_total(100.0);
            let _ = context.peer.notify_progress(progress).await;
        }
    }
    text("All three parts are done.")
}

async fn with_logging(context: &Context) -> CallToolResult {
    for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        log(context, line).await;
    }
    text("Three lines were logged.")
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(capabilities(true)).with_server_info(Implementation::new("mcp-fixture", "0.1.0"))
    }

    async fn discover(&self, _: Context) -> Answer<DiscoverResult> {
        let mut info = self.get_info();
        info.capabilities = capabilities(false);
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), info))
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Answer<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(DATA.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        DATA.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Answer<CallToolResponse> {
        let name = request.name.as_ref();
        if let Some(answer) = DATA.answers.get(name) {
            return Ok(answer.clone().into());
        }
        if let Some(question) = DATA.asks.get(name) {
            let arguments = Value::Object(request.arguments.unwrap_or_default());
            return ask(question, &arguments, &context).await.map(Into::into);
        }
        if let Some(rounds) = DATA.rounds.get(name) {
            let (brought, state) = (request.input_responses.as_ref(), request.request_state.as_deref());
            return match self.states.next(name, rounds, brought, state, &client(&context))? {
                Next::Ask(ask) => Ok(ask.into()),
                Next::Done(done) => Ok(filled::<CallToolResult>(done, &[]).into()),
            };
        }
        match name {
            "test_tool_with_logging" => Ok(with_logging(&context).await.into()),
            "test_tool_with_progress" => Ok(report_progress(&context).await.into()),
            "test_logging_tool" => {
                if context.meta.log_level().is_some() {
                    log(&context, "a line that was asked for").await;
                }
                Ok(text("Done.").into())
            }
            "test_missing_capability" => missing_capability(&client(&context)).map(Into::into),
            _ => Err(ErrorData::invalid_params(format!("there is no tool {name}"), None)),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Answer<ListResourcesResult> {
        Ok(ListResourcesResult::with_all_items(DATA.resources.clone()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Answer<ListResourceTemplatesResult> {
        Ok(ListResourceTemplatesResult::with_all_items(DATA.templates.clone()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Answer<ReadResourceResponse> {
        let uri = request.uri.as_str();
        if let Some(contents) = DATA.contents.get(uri) {
            return Ok(contents.clone().into());
        }
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        match id {
            Some(id) => Ok(ReadResourceResponse::Complete(filled(&DATA.template, &[("id", id)]))),
            None => {
                Err(ErrorData::resource_not_found("there is no such resource", Some(json!({"uri": uri}))))
            }
        }
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Context) -> Answer<ListPromptsResult> {
        Ok(ListPromptsResult::with_all_items(DATA.prompts.clone()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Answer<GetPromptResponse> {
        let name = request.name.as_str();
        if let Some(rounds) = DATA.rounds.get(name) {
            let (brought, state) = (request.input_responses.as_ref(), request.request_state.as_deref());
            return match self.states.next(name, rounds, brought, state, &client(&context))? {
                Next::Ask(ask) => Ok(ask.into()),
                Next::Done(done) => Ok(GetPromptResponse::Complete(filled(done, &[]))),
            };
        }
        let Some(messages) = DATA.messages.get(name) else {
            return Err(ErrorData::invalid_params(format!("there is no prompt {name}"), None));
        };
        let arguments = request.arguments.unwrap_or_default();
        let arguments: Vec<_> =
            arguments.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
        Ok(GetPromptResponse::Complete(filled(messages, &arguments)))
    }

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Answer<CompleteResult> {
        let values = json!({"resultType": "complete", "completion": {"values": ["paris", "park", "party"]}});
        Ok(serde_json::from_value(values).unwrap())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }
}

fn missing_capability(client: &ClientCapabilities) -> Answer<CallToolResult> {
    if client.sampling.is_some() {
        return Ok(text("The client can sample."));
    }
    Err(ErrorData::missing_required_client_capability(
        ClientCapabilities::builder().enable_sampling().build(),
    ))
}
