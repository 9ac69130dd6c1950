//! The live lane: session, then one read of identities and mailboxes, then one effect that makes the message as a draft
//! and submits it; the server moves it to Sent when it has gone out.

use std::collections::BTreeMap;

use communications_common::jmap::{Answers, Call, SUBMISSION, Session, is_id};
use ops_guest::{Ctx, Failure, Response, Undo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::message::Message;

/// What the server knows of a message that went out.
pub(crate) struct Sent {
    pub(crate) email_id: String,
    pub(crate) submission_id: String,
}

/// Plans the sending, or does it. `None` is a planned one.
pub(crate) fn send(ctx: &Ctx, message: &Message) -> Result<Option<Sent>, Failure> {
    let session = Session::open(ctx)?;
    if !session.offers(SUBMISSION) {
        return Err(Failure::failed(format!(
            "the mail server does not offer {SUBMISSION}, so it cannot send"
        )));
    }
    let (identity, mailboxes) = sender(ctx, &session, &message.from)?;
    let calls = sending(&session.account, &identity, &mailboxes, message)?;
    ctx.effect(message.summary(), session.request(&[SUBMISSION], &calls)?)
        .undo(Undo::impossible("a sent message cannot be recalled"))
        .perform()?
        .then(sent)
}

/// The identity to send as, and the mailboxes by role.
fn sender(ctx: &Ctx, session: &Session, from: &str) -> Result<(String, BTreeMap<String, String>), Failure> {
    let account = &session.account;
    let calls = [
        Call::new("Identity/get", json!({"accountId": account, "ids": null})),
        Call::new("Mailbox/get", json!({"accountId": account, "ids": null, "properties": ["id", "role"]})),
    ];
    let answers = session.read_calls(ctx, &[SUBMISSION], &calls)?;
    let mailboxes: Vec<Mailbox> = answers.list("Mailbox/get")?;
    // An id becomes a key and a part of a pointer, where other characters would have a meaning.
    if let Some(odd) = mailboxes.iter().find(|mailbox| !is_id(&mailbox.id)) {
        return Err(Failure::failed(format!(
            "the mail server has a mailbox with the id {:?}, which is none",
            odd.id
        )));
    }
    let roles = mailboxes.into_iter().filter_map(|mailbox| Some((mailbox.role?, mailbox.id))).collect();
    Ok((pick(answers.list("Identity/get")?, from)?, roles))
}

#[derive(Deserialize)]
struct Identity {
    id: String,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Mailbox {
    id: String,
    role: Option<String>,
}

/// The identity with this address, else the only or first one without any: Cyrus tells no addresses and checks the
/// sender itself.
fn pick(identities: Vec<Identity>, from: &str) -> Result<String, Failure> {
    let has = |identity: &&Identity| {
        identity.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(from))
    };
    let open = |identity: &&Identity| identity.email.as_deref().is_none_or(str::is_empty);
    let found = identities.iter().find(has).or_else(|| identities.iter().find(open));
    let found = found
        .ok_or_else(|| Failure::failed(format!("the mail server has no identity that may send as {from}")));
    found.map(|identity| identity.id.clone())
}

/// The two calls of the effect. A draft is submitted and moved on success (RFC 8621, section 7.5.1), so that a
/// message which was not taken never lies in Sent.
fn sending(
    account: &str,
    identity: &str,
    mailboxes: &BTreeMap<String, String>,
    message: &Message,
) -> Result<[Call; 2], Failure> {
    let mut moved = json!({"keywords/$draft": null});
    let draft_in = mailboxes.get("drafts").or(mailboxes.get("sent")).or(mailboxes.get("inbox"));
    let draft_in = draft_in
        .ok_or_else(|| Failure::failed("the mail server has no mailbox for drafts, sent or incoming mail"))?;
    if let (Some(drafts), Some(sent)) = (mailboxes.get("drafts"), mailboxes.get("sent")) {
        moved = json!({"keywords/$draft": null, format!("mailboxIds/{drafts}"): null, format!("mailboxIds/{sent}"): true});
    }
    let mut email = json!({
        "mailboxIds": {draft_in: true},
        "keywords": {"$draft": true, "$seen": true},
        "messageId": [message.message_id],
        "sentAt": message.created.to_string(),
        "from": [email_address(&message.from)],
        "to": headed(&message.recipients.to),
        "subject": message.subject,
        "bodyValues": {"text": {"value": message.body}},
        "textBody": [{"partId": "text", "type": "text/plain"}],
    });
    if let (Value::Object(email), false) = (&mut email, message.recipients.cc.is_empty()) {
        email.insert("cc".to_owned(), headed(&message.recipients.cc));
    }
    let submission = json!({
        "identityId": identity,
        "emailId": "#draft",
        // The one place where blind copies are named.
        "envelope": message.envelope(email_address),
    });
    let create = json!({"accountId": account, "create": {"draft": email}});
    let send = json!({
        "accountId": account,
        "create": {"send": submission},
        "onSuccessUpdateEmail": {"#send": moved},
    });
    Ok([Call::new("Email/set", create), Call::new("EmailSubmission/set", send)])
}

fn email_address(address: &str) -> Value {
    json!({"email": address})
}

fn headed(addresses: &[String]) -> Value {
    addresses.iter().map(|address| email_address(address)).collect()
}

/// What came of the effect.
fn sent(response: &Response) -> Result<Sent, Failure> {
    let answers = Answers::of(response)?;
    let email_id = answers.created("Email/set", "draft")?;
    let submission_id = answers.created("EmailSubmission/set", "send").map_err(|failure| {
        let why = failure.why();
        Failure::failed(format!("{why}; nothing was sent, a draft is left behind ({email_id})"))
    })?;
    Ok(Sent { email_id, submission_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_picked_by_its_address() {
        let identity =
            |id: &str, email: Option<&str>| Identity { id: id.into(), email: email.map(Into::into) };
        let from = "ops@example.test";
        for (identities, picked) in [
            (vec![identity("1", Some("x@example.test")), identity("2", Some("OPS@example.test"))], Some("2")),
            (vec![identity("1", None), identity("2", None)], Some("1")),
            (vec![identity("1", None), identity("2", Some(from))], Some("2")),
            (vec![identity("1", Some("x@example.test"))], None),
            (vec![], None),
        ] {
            assert_eq!(pick(identities, from).ok().as_deref(), picked);
        }
    }
}
