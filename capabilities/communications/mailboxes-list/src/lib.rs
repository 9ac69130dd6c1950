//! Lists the mailboxes of the communications stack: those that the mail server has, or, where no mail service is
//! bound, those that the contract names.

use std::collections::BTreeMap;

use communications_common::Lane;
use communications_common::contract::Contract;
use communications_common::jmap::{Call, Session};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many folders deep a name is followed: a server's answer may go in circles.
const DEPTH: usize = 20;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// The mailboxes, and where they were read.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    lane: Lane,
    mailboxes: Vec<Row>,
}

/// One mailbox.
#[derive(Serialize, JsonSchema)]
struct Row {
    id: String,
    /// Its mail address, in a simulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Its name with those of the folders that it lies in, at a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it is for, where that is told.
    role: Option<String>,
    /// How far it is: `planned`, `active` or `retired`. What a mail server has is active.
    status: &'static str,
    /// How many messages it holds, where a mail server tells it.
    total: Option<u64>,
    /// How many of them are unread.
    unread: Option<u64>,
}

#[capability(
    name = "communications.mailboxes.list",
    summary = "Lists the mailboxes of the communications stack.",
    safety = "read-only",
    needs(
        service("mail", optional,
            rule(GET "/.well-known/jmap", read),
            rule(GET "/jmap", read),
            rule(GET "/jmap/", read),
            rule(GET "/jmap/session", read),
            rule(POST "/jmap/", read)),
        contract("communications.stack.contract.yaml", optional),
    )
)]
fn list(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let lane = Lane::of(ctx);
    let mailboxes = match lane {
        Lane::Simulation => agreed(&Contract::of(ctx)?),
        Lane::Live => at_server(ctx)?,
    };
    Ok(Output { lane, mailboxes })
}

/// Those of the contract, in its order.
fn agreed(contract: &Contract) -> Vec<Row> {
    let row = |mailbox: &communications_common::contract::Mailbox| Row {
        id: mailbox.id.clone(),
        address: Some(mailbox.address.clone()),
        name: None,
        role: Some(mailbox.role.clone()),
        status: mailbox.status.as_str(),
        total: None,
        unread: None,
    };
    contract.mailboxes.iter().map(row).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mailbox {
    id: String,
    name: String,
    parent_id: Option<String>,
    role: Option<String>,
    #[serde(default)]
    sort_order: u64,
    total_emails: Option<u64>,
    unread_emails: Option<u64>,
}

/// Those of the mail server, in the order that it wishes for (RFC 8621, section 2), then by name.
fn at_server(ctx: &Ctx) -> Result<Vec<Row>, Failure> {
    let session = Session::open(ctx)?;
    let call = Call::new(
        "Mailbox/get",
        json!({
            "accountId": session.account,
            "ids": null,
            "properties": ["id", "name", "parentId", "role", "sortOrder", "totalEmails", "unreadEmails"],
        }),
    );
    let found: Vec<Mailbox> = session.read_calls(ctx, &[], &[call])?.list("Mailbox/get")?;
    let by_id: BTreeMap<_, _> = found.iter().map(|mailbox| (mailbox.id.as_str(), mailbox)).collect();
    let mut named: Vec<_> = found.iter().map(|mailbox| (full_name(mailbox, &by_id), mailbox)).collect();
    named.sort_by(|(a, one), (b, other)| (one.sort_order, a).cmp(&(other.sort_order, b)));
    let row = |(name, mailbox): (String, &Mailbox)| Row {
        id: mailbox.id.clone(),
        address: None,
        name: Some(name),
        role: mailbox.role.clone(),
        status: "active",
        total: mailbox.total_emails,
        unread: mailbox.unread_emails,
    };
    Ok(named.into_iter().map(row).collect())
}

/// `Projects/2026/Mail`.
fn full_name(mailbox: &Mailbox, by_id: &BTreeMap<&str, &Mailbox>) -> String {
    let mut names = vec![mailbox.name.as_str()];
    let mut at = mailbox;
    while let Some(parent) = at.parent_id.as_deref().and_then(|id| by_id.get(id))
        && names.len() < DEPTH
    {
        names.push(&parent.name);
        at = parent;
    }
    names.reverse();
    names.join("/")
}
