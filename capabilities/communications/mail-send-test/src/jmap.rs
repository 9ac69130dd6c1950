//! The live lane: JMAP (RFC 8620, RFC 8621), as Cyrus and Stalwart speak it.
//!
//! Session, then one read of identities and mailboxes, then one effect that makes the message as a draft and submits
//! it; the server moves it to Sent when it has gone out.

use std::collections::BTreeMap;

use http::Uri;
use ops_guest::{Ctx, Failure, Request, Response, Undo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::message::Message;

const SERVICE: &str = "mail";
const CORE: &str = "urn:ietf:params:jmap:core";
const MAIL: &str = "urn:ietf:params:jmap:mail";
const SUBMISSION: &str = "urn:ietf:params:jmap:submission";

/// What the server knows of a message that went out.
pub(crate) struct Sent {
    pub(crate) email_id: String,
    pub(crate) submission_id: String,
}

/// Plans the sending, or does it. `None` is a planned one.
pub(crate) fn send(ctx: &Ctx, message: &Message) -> Result<Option<Sent>, Failure> {
    let session = Session::open(ctx)?;
    let (identity, mailboxes) = session.sender(ctx, &message.from)?;
    let calls = sending(&session.account, &identity, &mailboxes, message);
    let request = Request::post_json(SERVICE, &session.api, &envelope(calls))?;
    ctx.effect(format!("send \"{}\" from {} to {}", message.subject, message.from, message.to), request)
        .undo(Undo::impossible("a sent message cannot be recalled"))
        .perform()?
        .then(sent)
}

/// Where the server's interface is, and whose mail it is.
struct Session {
    api: String,
    account: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionAnswer {
    api_url: String,
    capabilities: BTreeMap<String, Value>,
    primary_accounts: BTreeMap<String, String>,
}

impl Session {
    fn open(ctx: &Ctx) -> Result<Self, Failure> {
        let mut response = ctx.fetch(Request::get(SERVICE, "/.well-known/jmap"))?;
        // Cyrus redirects to `/jmap`. A host never follows one, so it is done here, once, within the same service.
        if let (301 | 302 | 303 | 307 | 308, Some(location)) = (response.status, response.header("location"))
        {
            response = ctx.fetch(Request::get(SERVICE, path(location)?))?;
        }
        let answer: SessionAnswer = response.json()?;
        if !answer.capabilities.contains_key(SUBMISSION) {
            return Err(Failure::failed("the mail server offers no JMAP submission, so it cannot send"));
        }
        let account = answer.primary_accounts.get(MAIL).cloned();
        let account = account
            .ok_or_else(|| Failure::failed("the mail server has no mail account for this credential"))?;
        Ok(Self { api: path(&answer.api_url)?, account })
    }

    /// The identity to send as, and the mailboxes by role.
    fn sender(&self, ctx: &Ctx, from: &str) -> Result<(String, BTreeMap<String, String>), Failure> {
        let request = envelope(json!([
            ["Identity/get", {"accountId": self.account, "ids": null}, "identities"],
            ["Mailbox/get", {"accountId": self.account, "ids": null, "properties": ["id", "role"]}, "mailboxes"],
        ]));
        let answers = Answers::of(&ctx.fetch(Request::post_json(SERVICE, &self.api, &request)?)?)?;
        let identities: Vec<Identity> = answers.list("identities")?;
        let mailboxes: Vec<Mailbox> = answers.list("mailboxes")?;
        let roles = mailboxes.into_iter().filter_map(|mailbox| Some((mailbox.role?, mailbox.id))).collect();
        Ok((pick(identities, from)?, roles))
    }
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

/// Path and query of an absolute or relative URL. Its host is of no use: the binding says where the service is.
fn path(url: &str) -> Result<String, Failure> {
    let path = url.parse::<Uri>().ok().and_then(|uri| uri.path_and_query().map(ToString::to_string));
    path.filter(|path| path.starts_with('/'))
        .ok_or_else(|| Failure::failed(format!("the mail server names an address that is none: {url}")))
}

fn envelope(calls: Value) -> Value {
    json!({"using": [CORE, MAIL, SUBMISSION], "methodCalls": calls})
}

/// The two calls of the effect. A draft is submitted and moved on success (RFC 8621, section 7.5.1), so that a
/// message which was not taken never lies in Sent.
fn sending(account: &str, identity: &str, mailboxes: &BTreeMap<String, String>, message: &Message) -> Value {
    let mut moved = json!({"keywords/$draft": null});
    let draft_in = mailboxes.get("drafts").or(mailboxes.get("sent")).or(mailboxes.get("inbox"));
    if let (Some(drafts), Some(sent)) = (mailboxes.get("drafts"), mailboxes.get("sent")) {
        moved = json!({"keywords/$draft": null, format!("mailboxIds/{drafts}"): null, format!("mailboxIds/{sent}"): true});
    }
    let email = json!({
        "mailboxIds": draft_in.map(|id| json!({id: true})),
        "keywords": {"$draft": true, "$seen": true},
        "messageId": [message.message_id],
        "sentAt": message.created.to_string(),
        "from": [{"email": message.from}],
        "to": [{"email": message.to}],
        "subject": message.subject,
        "bodyValues": {"text": {"value": message.body}},
        "textBody": [{"partId": "text", "type": "text/plain"}],
    });
    let submission = json!({
        "identityId": identity,
        "emailId": "#draft",
        "envelope": {"mailFrom": {"email": message.from}, "rcptTo": [{"email": message.to}]},
    });
    json!([
        ["Email/set", {"accountId": account, "create": {"draft": email}}, "draft"],
        ["EmailSubmission/set",
            {"accountId": account, "create": {"send": submission}, "onSuccessUpdateEmail": {"#send": moved}}, "send"],
    ])
}

/// What came of the effect.
fn sent(response: &Response) -> Result<Sent, Failure> {
    let answers = Answers::of(response)?;
    let email_id = answers.created("Email/set", "draft", "draft")?;
    let submission_id =
        answers.created("EmailSubmission/set", "send", "send").map_err(|failure| match failure {
            Failure::Failed(why) => {
                Failure::failed(format!("{why}; nothing was sent, a draft is left behind ({email_id})"))
            }
            other => other,
        })?;
    Ok(Sent { email_id, submission_id })
}

/// The method responses of one request: name, arguments, call id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answers {
    method_responses: Vec<(String, Value, String)>,
}

impl Answers {
    fn of(response: &Response) -> Result<Self, Failure> {
        response.json()
    }

    /// The arguments of the answer to a call. JMAP reports errors with status 200, so they are looked for here.
    fn to(&self, call: &str) -> Result<&Value, Failure> {
        let mut answers = self.method_responses.iter().filter(|(_, _, id)| id == call);
        match answers.next() {
            Some((name, error, _)) if name == "error" => Err(refused(call, error)),
            Some((_, arguments, _)) => Ok(arguments),
            None => Err(Failure::failed(format!("the mail server did not answer the call \"{call}\""))),
        }
    }

    fn list<T: for<'de> Deserialize<'de>>(&self, call: &str) -> Result<Vec<T>, Failure> {
        let list = self.to(call)?.get("list").cloned().unwrap_or_default();
        serde_json::from_value(list)
            .map_err(|error| Failure::failed(format!("the list of {call} does not fit: {error}")))
    }

    /// The id of an object that was to be created.
    fn created(&self, method: &str, call: &str, object: &str) -> Result<String, Failure> {
        let arguments = self.to(call)?;
        if let Some(error) = arguments.get("notCreated").and_then(|map| map.get(object)) {
            return Err(refused(method, error));
        }
        let id = arguments.get("created").and_then(|map| map.get(object)?.get("id")?.as_str());
        id.map(str::to_owned)
            .ok_or_else(|| Failure::failed(format!("the mail server's answer to {method} names no id")))
    }
}

/// A JMAP error as a failure.
fn refused(what: &str, error: &Value) -> Failure {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    Failure::failed(
        format!("the mail server refused {what}: {} {}", text("type"), text("description"))
            .trim_end()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_url_is_cut_to_its_path() {
        for (url, expected) in [
            ("/jmap/", Some("/jmap/")),
            ("https://mail.example.test/jmap/", Some("/jmap/")),
            ("https://mail.example.test", Some("/")),
            ("/jmap/session?x=1", Some("/jmap/session?x=1")),
            ("jmap", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(path(url).ok().as_deref(), expected, "{url}");
        }
    }

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
