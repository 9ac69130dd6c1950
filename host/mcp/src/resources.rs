//! Resources: receipts and plans, by URI. A client finds those in answers; the list has the newest.

use ops_policy::visible;
use ops_runner::pinned::Refusal;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use crate::caller::Caller;
use crate::front::Front;
use crate::own::{of_ending, plan_of, receipt_of, usage};

const RECEIPTS: &str = "ops://receipts/";
const PLANS: &str = "ops://plans/";
const JSON: &str = "application/json";

/// How many of each are listed.
const MOST_LISTED: usize = 50;
/// How many of the ledger's newest receipts are looked at for those that the caller may see.
const LOOKED_AT: u32 = 500;

/// The newest receipts and the plans that wait, of the capabilities that the caller sees.
pub(crate) fn list(front: &Front, caller: &Caller) -> Result<Vec<Resource>, Refusal> {
    front.role(caller)?;
    let receipts = front.runner.receipts(LOOKED_AT).map_err(of_ending)?;
    let receipts = receipts.into_iter().filter(|row| caller.only.admits(&row.capability)).take(MOST_LISTED);
    let receipts = receipts.map(|row| {
        let name = format!("receipt {}", row.key);
        Resource::new(format!("{RECEIPTS}{}", row.key), name)
            .with_description(format!("{}, {}, {}", row.capability, row.status, row.at))
            .with_mime_type(JSON)
    });
    let plans = front.runner.plans().map_err(of_ending)?;
    let waits = |status: &str| status == "waiting" || status == "approved";
    let plans = plans.into_iter().filter(|row| caller.only.admits(&row.capability) && waits(&row.status));
    let plans = plans.take(MOST_LISTED).map(|row| {
        Resource::new(format!("{PLANS}{}", row.id), format!("plan {}", row.id))
            .with_description(format!("{}, {}, good until {}", row.capability, row.status, row.expires))
            .with_mime_type(JSON)
    });
    Ok(plans.chain(receipts).collect())
}

/// The two kinds that there are.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let receipt = "The signed statement of a run: what it was, was allowed, did and returned.";
    let plan = "What would be changed, as its hash covers it.";
    vec![
        ResourceTemplate::new(format!("{RECEIPTS}{{run_key}}"), "receipt")
            .with_description(receipt)
            .with_mime_type(JSON),
        ResourceTemplate::new(format!("{PLANS}{{plan_id}}"), "plan")
            .with_description(plan)
            .with_mime_type(JSON),
    ]
}

/// One of them.
///
/// # Errors
///
/// There is none of that name for this caller.
pub(crate) fn read(front: &Front, caller: &Caller, uri: &str) -> Result<ReadResourceResult, Refusal> {
    front.role(caller)?;
    let document = if let Some(key) = uri.strip_prefix(RECEIPTS) {
        serde_json::to_string_pretty(&receipt_of(front, caller, key)?.statement)
    } else if let Some(id) = uri.strip_prefix(PLANS) {
        let id = plan_of(front, caller, id)?.id;
        let plan = front.runner.plan(&id).map_err(of_ending)?;
        serde_json::to_string_pretty(&json!({"hash": plan.hash(), "plan": plan}))
    } else {
        let uri = visible::clip(&visible::visible(uri), 200);
        return Err(usage(format!("there is no resource `{uri}`; there are {RECEIPTS}KEY and {PLANS}ID")));
    };
    let document = visible::json(&document.map_err(|error| usage(error.to_string()))?);
    Ok(ReadResourceResult::new(vec![ResourceContents::text(document, uri).with_mime_type(JSON)]))
}
