//! The newest plans, approvals, refusals and runs, in one line of time.

use std::collections::BTreeSet;

use ops_ledger::receipt::{Receipt, Status};
use ops_ledger::store::{ReceiptFilter, ReceiptSummary};
use ops_policy::visible::{clip, visible};

use super::{Event, EventKind};
use crate::ending::Ending;
use crate::receipts::statement;
use crate::runner::Runner;

/// Events that are told at most.
const MOST: u32 = 200;
/// Capabilities that are each asked about by themselves; of more than that, the newest receipts of all are sifted.
const ASKED: usize = 8;
/// The longest text of an event, in bytes.
const TEXT: usize = 200;

/// The newest events, the newest first; of these capabilities only, where `only` names them.
pub(super) fn gather(runner: &Runner, only: Option<&BTreeSet<String>>) -> Result<Vec<Event>, Ending> {
    let is_meant = |capability: &str| only.is_none_or(|only| only.contains(capability));
    let mut events = Vec::new();
    let receipts = receipts(runner, only)?;
    let receipts: Vec<_> = receipts.into_iter().filter(|receipt| is_meant(&receipt.capability)).collect();
    let sequences: Vec<_> = receipts.iter().map(|receipt| receipt.sequence).collect();
    let key = runner.key().public();
    for (summary, bundle) in receipts.iter().zip(runner.ledger().bundles(&sequences)?) {
        let receipt = bundle.and_then(|bundle| statement(&bundle, &key).ok());
        events.push((summary.at, ended(summary, receipt.map(|statement| statement.predicate).as_ref())));
    }
    for approval in runner.ledger().newest_approvals(MOST)? {
        if is_meant(&approval.capability) {
            let event = Event {
                at: approval.at.to_string(),
                kind: EventKind::Approved,
                capability: approval.capability,
                who: Some(visible(&approval.principal)),
                what: format!("{}, plan {}", approval.how.word(), approval.plan),
                key: approval.run,
            };
            events.push((approval.at, event));
        }
    }
    events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    events.truncate(MOST as usize);
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

fn receipts(runner: &Runner, only: Option<&BTreeSet<String>>) -> Result<Vec<ReceiptSummary>, Ending> {
    let newest = |capability: Option<&String>| {
        runner.ledger().receipts(&ReceiptFilter {
            capability: capability.cloned(),
            status: None,
            limit: MOST,
        })
    };
    match only.filter(|only| only.len() <= ASKED) {
        None => Ok(newest(None)?),
        Some(only) => {
            let mut all = Vec::new();
            for capability in only {
                all.extend(newest(Some(capability))?);
            }
            Ok(all)
        }
    }
}

fn ended(summary: &ReceiptSummary, receipt: Option<&Receipt>) -> Event {
    let kind = match summary.status {
        Status::Planned => EventKind::Planned,
        Status::Denied => EventKind::Denied,
        _ => EventKind::Ran,
    };
    let what = match receipt {
        None => format!("{}; its receipt does not hold: ops ledger verify", summary.status.word()),
        Some(receipt) => told(receipt),
    };
    Event {
        at: summary.at.to_string(),
        kind,
        capability: summary.capability.clone(),
        who: receipt.map(|receipt| visible(&receipt.actor.id)),
        what: clip(&visible(&what), TEXT),
        key: summary.run.clone(),
    }
}

/// How a run ended, with what it changed and what it was refused.
fn told(receipt: &Receipt) -> String {
    let mut parts = vec![receipt.run.status.word().to_owned()];
    let count = |number: usize, one: &str, more: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {more}")),
    };
    parts.extend(count(receipt.effects.len(), "effect", "effects"));
    parts.extend(count(receipt.files.len(), "change to a file", "changes to files"));
    parts.extend(count(receipt.denied.len(), "refusal", "refusals"));
    parts.extend(receipt.outcome.error_code.clone().map(|code| format!("code {code}")));
    parts.join(", ")
}
