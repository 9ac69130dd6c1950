//! What a call answers: one envelope for every capability and every outcome, as structured content and as its text.
//!
//! Whatever comes from a guest or a service in it is data: each text is cut at a length, and what would move a cursor,
//! turn text around or hide is written out. The whole is then checked against the tool's output schema; data that does
//! not fit any more is left out, and the answer says so.

use ops_policy::visible::{self, clip};
use ops_runner::agents;
use ops_runner::pinned::Refusal;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use crate::front::Front;
use crate::tools::Offer;

/// The longest message, in bytes.
const MOST_MESSAGE: usize = 8 * 1024;
/// The longest rendered plan, in bytes. All of it is in the resource `ops://plans/ID`.
const MOST_PLAN: usize = 64 * 1024;
/// The longest data, in bytes of JSON. A binding allows 256 KiB unless it says otherwise.
const MOST_DATA: usize = 1024 * 1024;
/// How many refusals are told, and the length of each, in bytes.
const MOST_DENIED: (usize, usize) = (20, 300);

/// A plan that waits, with the text that its approver sees.
pub(crate) struct Waiting {
    pub(crate) plan: std::sync::Arc<ops_policy::plan::Plan>,
    pub(crate) text: String,
}

/// The result of a tool from what the runner answered.
pub(crate) fn result(offer: &Offer, answer: agents::Answer, waiting: Option<&Waiting>) -> CallToolResult {
    let is_error = !matches!(answer.status.as_str(), "done" | "planned" | "applying");
    let mut message = clip(&visible::lines(&for_agents(&answer.message)), MOST_MESSAGE);
    let mut envelope = Map::new();
    envelope.insert("status".into(), answer.status.as_str().into());
    envelope.insert("message".into(), Value::Null);
    // Without a status of its own a run has no receipt.
    if let Some(run) = answer.run.as_ref().filter(|_| answer.status != "usage") {
        envelope.insert("run_key".into(), run.as_str().into());
        if answer.status != "applying" {
            envelope.insert("receipt".into(), format!("ops://receipts/{run}").into());
        }
    }
    if let Some(code) = &answer.code {
        envelope.insert("error".into(), json!({"code": code}));
    }
    if let Some(waiting) = waiting {
        let next = how_to_approve(offer, &waiting.plan.id);
        message = match answer.status.as_str() {
            "planned" => format!("Nothing was changed. {next}"),
            // What a person types to see the new plan is told in what follows.
            _ => format!("{}\n{next}", message.split("\na new plan is stored").next().unwrap_or_default()),
        };
        envelope.insert("plan".into(), plan(waiting));
    }
    if !answer.denied.is_empty() {
        let told = answer.denied.iter().take(MOST_DENIED.0);
        let told = told.map(|what| clip(&visible::visible(what), MOST_DENIED.1)).collect::<Vec<_>>();
        envelope.insert("denied".into(), told.into());
    }
    envelope.insert("message".into(), message.as_str().into());
    let Some(data) = answer.output else { return written(offer, envelope, is_error) };
    match shown(data) {
        Ok(data) => drop(envelope.insert("data".into(), data)),
        Err(why) => drop(envelope.insert("message".into(), with(&message, &why).into())),
    }
    let envelope = Value::Object(envelope);
    if offer.answers_with(&envelope) {
        return said(envelope, is_error);
    }
    let Value::Object(mut envelope) = envelope else { return said(envelope, is_error) };
    envelope.remove("data");
    let why = "its output holds characters that are not shown to agents, and without them it is not what its schema says";
    envelope.insert("message".into(), with(&message, why).into());
    said(Value::Object(envelope), is_error)
}

/// The last line about wrong arguments is for people at a terminal.
fn for_agents(message: &str) -> String {
    match message.rsplit_once('\n') {
        Some((text, last)) if last.starts_with("`ops cap run ") && last.ends_with("` lists them") => {
            format!("{text}\nthe tool's inputSchema lists them")
        }
        _ => message.to_owned(),
    }
}

/// A result for a call that did not come as far as a run.
pub(crate) fn refused(offer: &Offer, status: &str, message: &str) -> CallToolResult {
    let message = clip(&visible::lines(message), MOST_MESSAGE);
    let mut envelope = Map::new();
    envelope.insert("status".into(), status.into());
    envelope.insert("message".into(), message.into());
    envelope.insert("error".into(), json!({"code": status}));
    written(offer, envelope, true)
}

/// A result where no tool is served at all, and of the host's own tools where they have nothing to tell.
pub(crate) fn unserved(front: &Front, refusal: &Refusal) -> CallToolResult {
    let status = match refusal.code {
        word @ ("usage" | "busy") => word,
        _ => "denied",
    };
    let message = clip(&visible::lines(&front.without_folders(&refusal.message)), MOST_MESSAGE);
    said(json!({"status": status, "message": message, "error": {"code": refusal.code}}), true)
}

/// Structured content, and the same as text for clients that know no other. In the text, what hides is written as JSON
/// can.
pub(crate) fn said(content: Value, is_error: bool) -> CallToolResult {
    let text = visible::json(&content.to_string());
    let mut result = if is_error {
        CallToolResult::error(vec![ContentBlock::text(text)])
    } else {
        CallToolResult::success(vec![ContentBlock::text(text)])
    };
    result.structured_content = Some(content);
    result
}

/// An envelope of the host's own words. That it fits is for the tests to see; where it did not, it is still the truth.
fn written(offer: &Offer, envelope: Map<String, Value>, is_error: bool) -> CallToolResult {
    let envelope = Value::Object(envelope);
    debug_assert!(offer.answers_with(&envelope), "{envelope}");
    said(envelope, is_error)
}

fn with(message: &str, why: &str) -> String {
    format!("{message}\nthe output is left out: {why}; the receipt has its hash")
}

fn how_to_approve(offer: &Offer, id: &str) -> String {
    format!(
        "Plan {id} waits for approval ({}). On the host, a person looks at it and approves it:\n  \
         ops plan show {id}\n  ops plan approve {id} --key KEY\n\
         ops_plan_status tells when that is done. Then call this tool again with {{\"plan_id\": \"{id}\"}}.",
        visible::visible(&offer.approval)
    )
}

fn plan(waiting: &Waiting) -> Value {
    let Waiting { plan, text } = waiting;
    json!({
        "id": plan.id,
        "hash": plan.hash(),
        "expires": plan.expires,
        "approvals": plan.approvals,
        "text": clip(&visible::lines(text), MOST_PLAN),
    })
}

/// Data with every text in it made visible, if it is not too long.
fn shown(data: Value) -> Result<Value, String> {
    let length = data.to_string().len();
    if length > MOST_DATA {
        return Err(format!("it has {length} bytes, and an agent is shown at most {MOST_DATA}"));
    }
    Ok(plain(data))
}

fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain_text(&text)),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (plain_text(&name), plain(value))).collect()
        }
        other => other,
    }
}

/// A text for a reader: lines end as lines do everywhere but in mail, and nothing hides.
fn plain_text(text: &str) -> String {
    visible::lines(&text.replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests;
