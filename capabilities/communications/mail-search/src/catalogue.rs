//! The simulation: a search of the contract's mailboxes, so that the command can be tried before there is any mail.

use communications_common::contract::{Contract, Mailbox};
use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::Serialize;

use crate::criteria::Criteria;

/// A mailbox of the contract.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Row {
    id: String,
    address: String,
    role: String,
    status: &'static str,
}

/// The mailboxes that fit, and how many they are in all.
pub(crate) fn search(ctx: &Ctx, criteria: &Criteria) -> Result<(u64, Vec<Row>), Failure> {
    let contract = Contract::of(ctx)?;
    let found: Vec<_> = contract.mailboxes.iter().filter(|mailbox| fits(mailbox, criteria)).collect();
    let matches = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let top = usize::try_from(criteria.top).unwrap_or(usize::MAX);
    Ok((matches, found.into_iter().take(top).map(row).collect()))
}

/// Text is compared as text and without regard to case. Mailboxes have neither subject nor date, so none fits a search
/// for these.
fn fits(mailbox: &Mailbox, criteria: &Criteria) -> bool {
    let Mailbox { id, address, role, status } = mailbox;
    let query = criteria
        .query
        .as_deref()
        .is_none_or(|text| [id, address, role, status.as_str()].iter().any(|field| contains(field, text)));
    let from = criteria.from.as_deref().is_none_or(|text| contains(address, text));
    query && from && criteria.subject.is_none() && criteria.since.is_none()
}

fn contains(field: &str, text: &str) -> bool {
    field.to_lowercase().contains(&text.to_lowercase())
}

fn row(mailbox: &Mailbox) -> Row {
    let Mailbox { id, address, role, status } = mailbox.clone();
    Row { id, address, role, status: status.as_str() }
}
