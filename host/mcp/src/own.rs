//! The host's own tools: how far a plan is, a receipt, what would be decided about a request, and what is not right.
//!
//! All of them read, for every role, and each looks at the capabilities of its caller alone: another's plans and
//! receipts are not there for it.

use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use ops_policy::message::Header;
use ops_policy::visible::{self, clip};
use ops_runner::agents::PlanState;
use ops_runner::ending::Ending;
use ops_runner::explain::{NO_SERVICE, Question};
use ops_runner::pinned::Refusal;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::front::Front;

/// The lane of the host's own work.
pub(crate) const LANE: &str = "the host's own tools";
/// The code of what is wrong with a call.
pub(crate) const USAGE: &str = "usage";

const PLAN_STATUS: &str = "ops_plan_status";
const RECEIPT: &str = "ops_receipt";
const EXPLAIN: &str = "ops_explain";
const STATUS: &str = "ops_status";

/// The longest text of a message or a receipt, in bytes.
const MOST_TEXT: usize = 64 * 1024;
/// Faults of arguments that are told at most.
const MOST_FAULTS: usize = 20;
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
///
/// # Errors
///
/// The arguments do not fit, the caller has no role, or the host cannot answer.
pub(crate) fn call(
    front: &Front,
    caller: &Caller,
    name: &str,
    arguments: JsonObject,
) -> Result<Value, Refusal> {
    front.role(caller)?;
    match name {
        PLAN_STATUS => plan_status(front, caller, read(name, arguments)?),
        RECEIPT => receipt(front, caller, read(name, arguments)?),
        EXPLAIN => explain(front, caller, read(name, arguments)?),
        _ => read(name, arguments).and_then(|Nothing {}| status(front, caller)),
    }
}

/// A refusal of what the caller sent.
pub(crate) fn usage(message: String) -> Refusal {
    Refusal { code: USAGE, message: clip(&message, MOST_TEXT) }
}

/// An end without a run, as a refusal.
pub(crate) fn of_ending(ending: Ending) -> Refusal {
    Refusal { code: ending.code.unwrap_or(USAGE), message: ending.message }
}

/// Arguments, read strictly. What does not fit is named by its JSON pointer.
fn read<T: DeserializeOwned>(tool: &str, arguments: JsonObject) -> Result<T, Refusal> {
    let wrong = |why: &dyn std::fmt::Display| usage(format!("the arguments are not right:\n  {why}"));
    let arguments = Value::Object(arguments);
    let own = tools().into_iter().find(|own| own.name == tool);
    let schema = own.map_or(Value::Bool(true), |own| Value::Object((*own.input_schema).clone()));
    let validator = jsonschema::draft202012::new(&schema).map_err(|error| wrong(&error))?;
    let faults: Vec<_> =
        validator.iter_errors(&arguments).take(MOST_FAULTS).map(|error| fault(&error)).collect();
    if !faults.is_empty() {
        return Err(wrong(&faults.join("\n  ")));
    }
    serde_json::from_value(arguments).map_err(|error| wrong(&error))
}

/// What is wrong, after the pointer to the property that is missing, too much or not right.
fn fault(error: &ValidationError<'_>) -> String {
    let property = match error.kind() {
        ValidationErrorKind::Required { property } => property.as_str(),
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.first().map(String::as_str),
        _ => None,
    };
    let mut place = error.instance_path().to_string();
    if let Some(property) = property {
        place = format!("{place}/{}", property.replace('~', "~0").replace('/', "~1"));
    }
    format!("{}: {}", clip(&visible::visible(&place), 300), clip(&visible::visible(&error.to_string()), 300))
}

/// A plan that this caller may see, by its whole id.
///
/// # Errors
///
/// There is none.
pub(crate) fn plan_of(front: &Front, caller: &Caller, id: &str) -> Result<PlanState, Refusal> {
    let found = front.runner.plan_state(id).ok();
    found
        .filter(|plan| plan.id == id && caller.only.admits(&plan.capability))
        .ok_or_else(|| usage(format!("/plan_id: there is no plan `{}`", clip(&visible::visible(id), 100))))
}

fn plan_status(front: &Front, caller: &Caller, OfPlan { plan_id }: OfPlan) -> Result<Value, Refusal> {
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

fn receipt(front: &Front, caller: &Caller, OfRun { run_key }: OfRun) -> Result<Value, Refusal> {
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
pub(crate) fn receipt_of(front: &Front, caller: &Caller, key: &str) -> Result<Receipt, Refusal> {
    let none = || usage(format!("/run_key: there is no receipt `{}`", clip(&visible::visible(key), 100)));
    let (statement, text) = front.runner.receipt(key).map_err(|_| none())?;
    let run = &statement.predicate.run;
    if run.id != key || !caller.only.admits(&run.capability) {
        return Err(none());
    }
    let (capability, status) = (run.capability.clone(), run.status.word());
    let statement = serde_json::to_value(&statement)
        .map_err(|error| Refusal { code: "host", message: error.to_string() })?;
    Ok(Receipt { capability, status, statement, text })
}

fn explain(front: &Front, caller: &Caller, asked: OfRequest) -> Result<Value, Refusal> {
    let OfRequest { capability, method, url, headers, body } = asked;
    // The runner would suggest names of others.
    let is_seen = caller.only.globs().is_empty() || {
        let shelf = front.look()?;
        caller.only.admits(&capability) && shelf.offers.values().any(|offer| offer.capability == capability)
    };
    if !is_seen {
        let capability = clip(&visible::visible(&capability), 100);
        return Err(usage(format!("/capability: there is no capability `{capability}`")));
    }
    let headers = headers.into_iter().map(|OneHeader { name, value }| Header { name, value }).collect();
    let body = body.map(String::into_bytes);
    let method = method.to_ascii_uppercase();
    let explanation = front.runner.explain(Question { capability, method, url, headers, body });
    match explanation {
        Ok(explanation) => Ok(explanation.json()),
        // To ask about a service that is not granted is no mistake.
        Err(ending) if ending.code == Some(NO_SERVICE) => {
            Ok(json!({"allowed": false, "why": ending.message}))
        }
        Err(ending) if ending.status.is_none() => Err(usage(format!("/url: {}", ending.message))),
        Err(ending) => Err(of_ending(ending)),
    }
}

fn status(front: &Front, caller: &Caller) -> Result<Value, Refusal> {
    // What is wrong with the lock is what is asked for here.
    let (shelf, mut not_tools) = match front.look() {
        Ok(shelf) => (shelf, Vec::new()),
        Err(refusal) => {
            let why = front.without_folders(&refusal.message);
            (Arc::default(), vec![visible::lines(&format!("nothing is served: {why}"))])
        }
    };
    let sees = |capability: &str| caller.only.admits(capability);
    let offers = shelf.offers.values().filter(|offer| sees(&offer.capability)).count();
    let hidden = shelf.hidden.iter().filter(|(capability, _)| sees(capability));
    not_tools.extend(hidden.map(|(capability, why)| visible::visible(&format!("{capability}: {why}"))));
    // The runner's words name no capability, so they are for those who see every one.
    if caller.only.globs().is_empty() {
        not_tools.extend(shelf.refused.iter().map(|why| visible::lines(why)));
    }
    let plans = front.runner.plans().map_err(of_ending)?;
    let plans = plans.into_iter().filter(|row| row.status == "waiting" || row.status == "approved");
    let plans = plans.filter(|row| sees(&row.capability)).take(MOST_LISTED);
    let plans: Vec<_> = plans
        .map(|row| {
            let status = if row.status == "waiting" { "pending" } else { "approved" };
            json!({"plan_id": row.id, "capability": row.capability, "status": status, "expires": row.expires})
        })
        .collect();
    let unknown = front.runner.runs(true, 1000).map_err(of_ending)?;
    let unknown = unknown.into_iter().filter(|run| run.status == "unknown" && sees(&run.capability));
    let unknown: Vec<_> = unknown
        .take(MOST_LISTED)
        .map(|run| json!({"run_key": run.key, "capability": run.capability}))
        .collect();
    Ok(json!({"capabilities": offers, "not_tools": not_tools, "plans": plans, "unknown_runs": unknown}))
}
