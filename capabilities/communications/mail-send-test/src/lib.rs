//! Sends one test message.
//!
//! The binding chooses the lane. Where it maps the service `mail`, the message goes out through JMAP (*live*). Where
//! it does not, the message and a record of it are staged in the directory `outbox` (*simulation*).
//!
//! A send cannot converge: a second run sends, or stages, a second message with an id of its own. That is what is
//! asked for, and each needs its own approval.

mod message;
mod recipients;
mod server;

use std::fs;

use communications_common::Lane;
use message::Message;
use ops_guest::{Ctx, Failure, capability};
use recipients::Recipients;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to send, and to whom.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A recipient's address, in one of the domains that the binding allows; without any, its default recipient.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(min = 3, max = 254)))]
    to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(min = 3, max = 254)))]
    cc: Vec<String>,
    /// Who gets a copy without being named in the message.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(min = 3, max = 254)))]
    bcc: Vec<String>,
    /// The subject line.
    #[serde(default = "subject")]
    #[schemars(length(max = 200))]
    subject: String,
    /// The text of the message.
    #[serde(default = "body")]
    #[schemars(length(max = 10_000))]
    body: String,
}

fn subject() -> String {
    "Test message".to_owned()
}

fn body() -> String {
    "This is a test message. Nobody needs to answer it.".to_owned()
}

/// The settings of the binding.
#[derive(Deserialize)]
struct Config {
    from: String,
    allowed_recipient_domains: Vec<String>,
    default_recipient: Option<String>,
    domain: Option<String>,
}

/// What became of the message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// It lies in the outbox, and nothing was sent.
    Simulated,
    /// It would be sent.
    Planned,
    /// The mail server took it.
    Sent,
}

/// The message, without its text, and what became of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: Status,
    lane: Lane,
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    /// Who got a copy without being named in the message: here and in the envelope only.
    bcc: Vec<String>,
    subject: String,
    /// The size of the text, in bytes.
    size: u64,
    /// The message's own id, without angle brackets.
    message_id: String,
    /// The record's place in the outbox, in a simulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// The mail server's id of the message, once it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_id: Option<String>,
    /// The mail server's id of the submission, once it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    submission_id: Option<String>,
}

#[capability(
    name = "communications.mail.send.test",
    summary = "Sends one test message, or stages it where no mail service is bound.",
    safety = "mutating",
    needs(
        service("mail", optional,
            rule(GET "/.well-known/jmap", read),
            rule(GET "/jmap", read),
            rule(GET "/jmap/", read),
            rule(GET "/jmap/session", read),
            rule(POST "/jmap/", read),
            rule(POST "/jmap/", mutate)),
        directory("outbox", stage, optional),
        config("from", "The address that test messages come from."),
        config("allowed_recipient_domains", "The domains that test messages may go to, as a list."),
        config("default_recipient", "Who gets a test message that names nobody.", optional),
        config("domain", "The domain in message ids, where it is not that of `from`.", optional),
    )
)]
fn send_test(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let message = Message::new(ctx, input, &ctx.config()?)?;
    let lane = Lane::of(ctx);
    if lane == Lane::Simulation {
        let record = stage(ctx, &message)?;
        return Ok(output(Status::Simulated, lane, message, Some(record), None));
    }
    Ok(match server::send(ctx, &message)? {
        None => output(Status::Planned, lane, message, None, None),
        sent => output(Status::Sent, lane, message, None, sent),
    })
}

/// Puts the message and its record into the outbox, and says where the record is.
fn stage(ctx: &Ctx, message: &Message) -> Result<String, Failure> {
    let outbox = ctx.directory("outbox");
    let place = |error| {
        Failure::failed(format!(
            "neither the service `mail` nor a usable directory `outbox` is bound ({error}); grant one and pin again"
        ))
    };
    let record = format!("{}.yaml", message.unique);
    fs::write(outbox.join(format!("{}.eml", message.unique)), message.to_eml()?).map_err(place)?;
    fs::write(outbox.join(&record), message.to_record("simulated")).map_err(place)?;
    Ok(format!("outbox/{record}"))
}

fn output(
    status: Status,
    lane: Lane,
    message: Message,
    record: Option<String>,
    sent: Option<server::Sent>,
) -> Output {
    let size = message.size();
    let Message { from, recipients, subject, message_id, .. } = message;
    let Recipients { to, cc, bcc } = recipients;
    let (email_id, submission_id) = sent.map(|sent| (sent.email_id, sent.submission_id)).unzip();
    Output { status, lane, from, to, cc, bcc, subject, size, message_id, record, email_id, submission_id }
}
