//! The host's own tools: how far a plan is, a receipt, what would be decided about a request, and what is not right.
//!
//! All of them read, for every role, and each looks at the capabilities of its caller alone: another's plans and
//! receipts are not there for it.

use ops_policy::message::Header;
use ops_policy::visible::{self, clip};
use ops_runner::agents::PlanState;
use ops_runner::explain::Question;
use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer;
use crate::caller::Caller;
use crate::front::Front;

/// The lane of the host's own work.
pub(crate) const LANE: &str = "ops";

const PLAN_STATUS: &str = "ops_plan_status";
const RECEIPT: &str = "ops_receipt";
const EXPLAIN: &str = "ops_explain";
const STATUS: &str = "ops_status";

/// The longest text of a message or a receipt, in bytes.
const MOST_TEXT: usize = 64 * 1024;
/// Plans and runs that are listed at most.
const MOST_LISTED: usize = 50;

/// Whether a name is that of a tool of the host's own.
pub(crate) fn is_own(name: &str) -> bool {
    [PLAN_STATUS, RECEIPT, EXPLAIN, STATUS].contains(&name)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPlan {
    plan_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRun {
    run_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRequest {
    capability: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<OneHeader>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneHeader {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What clients are told of them.
pub(crate) fn tools() -> [Tool; 4] {
    let text = |about: &str| json!({"type": "string", "maxLength": 1024, "description": about});
    let headers = json!({
        "type": "array",
        "description": "Header fields that the capability would set.",
        "items": {"type": "object", "properties": {"name": text("The field's name."), "value": text("Its value.")},
                  "required": ["name", "value"], "additionalProperties": false},
    });
    let body = json!({"type": "string", "description": "The body, where there is one."});
    [
        tool(
            PLAN_STATUS,
            "How far a plan is: pending, approved, applying, applied, expired, rejected or superseded.",
            &json!({"plan_id": text("The plan's id.")}),
            &["plan_id"],
        ),
        tool(
            RECEIPT,
            "The signed receipt of a run, as text: what it was, was allowed, did and returned.",
            &json!({"run_key": text("The run's key.")}),
            &["run_key"],
        ),
        tool(
            EXPLAIN,
            "Whether a capability may make a request, and why. Sends nothing.",
            &json!({
                "capability": text("The capability's name, the title of its tool."),
                "method": text("The method, such as GET."),
                "url": text("The URL, or SERVICE:/path."),
                "headers": headers,
                "body": body,
            }),
            &["capability", "method", "url"],
        ),
        tool(STATUS, "What waits for a person here, and what is not right.", &json!({}), &[]),
    ]
}

fn tool(name: &'static str, about: &'static str, properties: &Value, required: &[&str]) -> Tool {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    let reads = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(name, about, schema).with_annotations(reads)
}

/// Calls one of them. Blocks.
pub(crate) fn call(front: &Front, caller: &Caller, name: &str, arguments: JsonObject) -> CallToolResult {
    let answered = front.role(caller).and_then(|_| match name {
        PLAN_STATUS => plan_status(front, caller, read(arguments)?),
        RECEIPT => receipt(front, caller, read(arguments)?),
        EXPLAIN => explain(front, caller, read(arguments)?),
        _ => read(arguments).and_then(|Nothing {}| status(front, caller)),
    });
    match answered {
        Ok(content) => answer::said(content, false),
        Err(message) => {
            let message = clip(&visible::lines(&message), MOST_TEXT);
            answer::said(json!({"status": "usage", "message": message}), true)
        }
    }
}

/// Arguments, read strictly.
fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| format!("the arguments are not right: {error}"))
}

/// A plan that this caller may see, by its whole id.
///
/// # Errors
///
/// There is none.
pub(crate) fn plan_of(front: &Front, caller: &Caller, id: &str) -> Result<PlanState, String> {
    let found = front.runner.plan_state(id).ok();
    found
        .filter(|plan| plan.id == id && caller.only.admits(&plan.capability))
        .ok_or_else(|| format!("/plan_id: there is no plan `{}`", clip(&visible::visible(id), 100)))
}

fn plan_status(front: &Front, caller: &Caller, OfPlan { plan_id }: OfPlan) -> Result<Value, String> {
    let plan = plan_of(front, caller, &plan_id)?;
    let next = match plan.status {
        "pending" => format!("a person approves it on the host: ops plan approve {} --key KEY", plan.id),
        "approved" => "call its tool with this plan_id".to_owned(),
        "applying" => "its run has not ended; ask again".to_owned(),
        "applied" => "it is done with; its run's receipt says what came of it".to_owned(),
        _ => "call its tool without plan_id for a new plan".to_owned(),
    };
    let mut status = json!({
        "plan_id": plan.id,
        "capability": plan.capability,
        "status": plan.status,
        "approvals": plan.approvals,
        "needed": plan.needed,
        "expires": plan.expires,
        "next": next,
    });
    if let (Some((run, ended)), Value::Object(fields)) = (plan.applied_by, &mut status) {
        fields.insert("run_key".into(), run.as_str().into());
        if let Some(ended) = ended {
            fields.insert("run_status".into(), ended.into());
            fields.insert("receipt".into(), format!("ops://receipts/{run}").into());
        }
    }
    Ok(status)
}

fn receipt(front: &Front, caller: &Caller, OfRun { run_key }: OfRun) -> Result<Value, String> {
    let Receipt { capability, status, text, .. } = receipt_of(front, caller, &run_key)?;
    Ok(json!({
        "run_key": run_key,
        "capability": capability,
        "status": status,
        "receipt": format!("ops://receipts/{run_key}"),
        "text": clip(&visible::lines(&text), MOST_TEXT),
    }))
}

/// What is told of a receipt.
pub(crate) struct Receipt {
    capability: String,
    status: &'static str,
    /// The signed statement.
    pub(crate) statement: Value,
    /// The same for people.
    text: String,
}

/// A receipt that this caller may see, by its whole run key.
///
/// # Errors
///
/// There is none.
pub(crate) fn receipt_of(front: &Front, caller: &Caller, key: &str) -> Result<Receipt, String> {
    let none = || format!("/run_key: there is no receipt `{}`", clip(&visible::visible(key), 100));
    let (statement, text) = front.runner.receipt(key).map_err(|_| none())?;
    let run = &statement.predicate.run;
    if run.id != key || !caller.only.admits(&run.capability) {
        return Err(none());
    }
    let (capability, status) = (run.capability.clone(), run.status.word());
    let statement = serde_json::to_value(&statement).map_err(|error| error.to_string())?;
    Ok(Receipt { capability, status, statement, text })
}

fn explain(front: &Front, caller: &Caller, asked: OfRequest) -> Result<Value, String> {
    let OfRequest { capability, method, url, headers, body } = asked;
    // The runner would suggest names of others.
    let is_seen = caller.only.globs().is_empty() || {
        let shelf = front.look()?;
        caller.only.admits(&capability) && shelf.offers.values().any(|offer| offer.capability == capability)
    };
    if !is_seen {
        let capability = clip(&visible::visible(&capability), 100);
        return Err(format!("/capability: there is no capability `{capability}`"));
    }
    let headers = headers.into_iter().map(|OneHeader { name, value }| Header { name, value }).collect();
    let body = body.map(String::into_bytes);
    let method = method.to_ascii_uppercase();
    let explanation = front.runner.explain(Question { capability, method, url, headers, body });
    explanation.map(|explanation| explanation.json()).map_err(|ending| ending.message)
}

fn status(front: &Front, caller: &Caller) -> Result<Value, String> {
    let shelf = front.look()?;
    let sees = |capability: &str| caller.only.admits(capability);
    let offers = shelf.offers.values().filter(|offer| sees(&offer.capability)).count();
    let mut not_tools: Vec<_> = shelf
        .hidden
        .iter()
        .filter(|(capability, _)| sees(capability))
        .map(|(capability, why)| visible::visible(&format!("{capability}: {why}")))
        .collect();
    // The runner's words name no capability, so they are for those who see every one.
    if caller.only.globs().is_empty() {
        not_tools.extend(shelf.refused.iter().map(|why| visible::lines(why)));
    }
    let plans = front.runner.plans().map_err(|ending| ending.message)?;
    let plans = plans.into_iter().filter(|row| row.status == "waiting" || row.status == "approved");
    let plans = plans.filter(|row| sees(&row.capability)).take(MOST_LISTED);
    let plans: Vec<_> = plans
        .map(|row| {
            let status = if row.status == "waiting" { "pending" } else { "approved" };
            json!({"plan_id": row.id, "capability": row.capability, "status": status, "expires": row.expires})
        })
        .collect();
    let unknown = front.runner.runs(true, 1000).map_err(|ending| ending.message)?;
    let unknown = unknown.into_iter().filter(|run| run.status == "unknown" && sees(&run.capability));
    let unknown: Vec<_> = unknown
        .take(MOST_LISTED)
        .map(|run| json!({"run_key": run.key, "capability": run.capability}))
        .collect();
    Ok(json!({"capabilities": offers, "not_tools": not_tools, "plans": plans, "unknown_runs": unknown}))
}
