//! Searches mail, newest first.
//!
//! Where the binding maps the service `mail`, the mail server is asked (*live*). Where it does not, there is no mail
//! to search: the contract's mailboxes are searched instead, and the output says so (*simulation*).

mod catalogue;
mod criteria;
mod server;

use communications_common::Lane;
use criteria::Criteria;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to look for. All of it must fit; without any of it, the newest messages are found.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Text anywhere in a message: addresses, subject, body.
    #[schemars(length(min = 1, max = 200), extend("x-ops-positional" = 1))]
    query: Option<String>,
    /// How many messages to show at most, the newest ones: 1 to 100.
    #[serde(default = "top")]
    #[schemars(range(min = 1, max = 100))]
    top: u32,
    /// Text in the sender's address or name.
    #[schemars(length(min = 1, max = 200))]
    from: Option<String>,
    /// Text in the subject.
    #[schemars(length(min = 1, max = 200))]
    subject: Option<String>,
    /// Received on this day (2026-11-22, UTC), at this time (2026-11-22T09:00:00Z), or later.
    #[schemars(length(max = 40))]
    since: Option<String>,
}

fn top() -> u32 {
    10
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    lane: Lane,
    /// The text that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    top: u32,
    /// How many there are in all, where the server counts them.
    matches: Option<u64>,
    /// Messages, newest first, from a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<server::Message>>,
    /// Mailboxes of the contract, in a simulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    mailboxes: Option<Vec<catalogue::Row>>,
}

#[capability(
    name = "communications.mail.search",
    summary = "Searches mail, newest first.",
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
fn search(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let criteria = Criteria::of(input)?;
    let lane = Lane::of(ctx);
    let (matches, messages, mailboxes) = match lane {
        Lane::Live => {
            let (matches, messages) = server::search(ctx, &criteria)?;
            (matches, Some(messages), None)
        }
        Lane::Simulation => {
            let (matches, mailboxes) = catalogue::search(ctx, &criteria)?;
            (Some(matches), None, Some(mailboxes))
        }
    };
    let Criteria { query, top, .. } = criteria;
    Ok(Output { lane, query, top, matches, messages, mailboxes })
}
