//! Sends one test message.
//!
//! The binding chooses the lane. Where it maps the service `mail`, the message goes out through JMAP (*live*). Where
//! it does not, the message and a record of it are staged in the directory `outbox` (*simulation*).
//!
//! A send cannot converge: a second run sends, or stages, a second message with an id of its own. That is what is
//! asked for, and each needs its own approval.

mod jmap;
mod message;

use std::fs;

use message::Message;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to send, and to whom.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recipient's address, in one of the domains that the binding allows.
    #[schemars(length(min = 3, max = 254))]
    to: String,
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

/// Which way it went.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Lane {
    /// Into the outbox.
    Simulation,
    /// To the mail server.
    Live,
}

/// The message, without its text, and what became of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: Status,
    lane: Lane,
    from: String,
    to: String,
    subject: String,
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
        config("domain", "The domain in message ids, where it is not that of `from`.", optional),
    )
)]
fn send_test(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let message = Message::new(ctx, input, &ctx.config()?)?;
    if !ctx.is_bound("mail") {
        let record = stage(ctx, &message)?;
        return Ok(output(Status::Simulated, Lane::Simulation, message, Some(record), None));
    }
    Ok(match jmap::send(ctx, &message)? {
        None => output(Status::Planned, Lane::Live, message, None, None),
        sent => output(Status::Sent, Lane::Live, message, None, sent),
    })
}

/// Puts the message and its record into the outbox, and says where the record is.
fn stage(ctx: &Ctx, message: &Message) -> Result<String, Failure> {
    let outbox = ctx.directory("outbox");
    let place = |error| {
        Failure::failed(format!(
            "neither the service `mail` nor a usable directory `outbox` is bound: {error}"
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
    sent: Option<jmap::Sent>,
) -> Output {
    let Message { from, to, subject, message_id, .. } = message;
    let (email_id, submission_id) = sent.map(|sent| (sent.email_id, sent.submission_id)).unzip();
    Output { status, lane, from, to, subject, message_id, record, email_id, submission_id }
}
