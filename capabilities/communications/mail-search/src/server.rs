//! The live lane: one request of three calls, of which each refers to what the first one found.

use std::collections::BTreeMap;

use communications_common::jmap::{Answers, Call, Session, plain, reference};
use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::criteria::Criteria;

const QUERY: &str = "Email/query";
const GET: &str = "Email/get";
const SNIPPETS: &str = "SearchSnippet/get";

/// A message that was found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    id: String,
    /// When the server received it.
    date: String,
    /// Who sent it.
    from: String,
    subject: String,
    /// How its text begins.
    preview: String,
    /// Where the words that were looked for stand, where the server tells it.
    snippet: Option<String>,
}

/// The newest messages that fit, and how many there are in all where the server counts them.
pub(crate) fn search(ctx: &Ctx, criteria: &Criteria) -> Result<(Option<u64>, Vec<Message>), Failure> {
    let session = Session::open(ctx)?;
    let answers = session.read_calls(ctx, &[], &calls(&session, criteria))?;
    let found: Found = read(QUERY, answers.to(QUERY)?)?;
    let mut emails: BTreeMap<_, _> =
        answers.list::<Email>(GET)?.into_iter().map(|email| (email.id.clone(), email)).collect();
    let mut snippets = snippets(&answers);
    // A server may give the messages in another order than it found them, and one may be gone by then.
    let messages = found.ids.iter().filter_map(|id| {
        let email = emails.remove(id)?;
        Some(message(email, snippets.remove(id)))
    });
    Ok((found.total, messages.collect()))
}

fn calls(session: &Session, criteria: &Criteria) -> Vec<Call> {
    let account = &session.account;
    let filter = filter(criteria);
    let mut query = json!({
        "accountId": account,
        "sort": [{"property": "receivedAt", "isAscending": false}],
        "limit": u64::from(criteria.top).min(session.objects_in_get()),
        "calculateTotal": true,
    });
    if let (Value::Object(arguments), Some(filter)) = (&mut query, &filter) {
        arguments.insert("filter".to_owned(), filter.clone());
    }
    let get = json!({
        "accountId": account,
        "#ids": reference(QUERY, "/ids"),
        "properties": ["id", "receivedAt", "from", "subject", "preview"],
    });
    let mut calls = vec![Call::new(QUERY, query), Call::new(GET, get)];
    // Only text that stands in a message can be shown in it.
    if criteria.query.is_some() || criteria.subject.is_some() {
        let snippets = json!({"accountId": account, "filter": filter, "#emailIds": reference(QUERY, "/ids")});
        calls.push(Call::new(SNIPPETS, snippets));
    }
    calls
}

/// One condition, all of whose properties must fit (RFC 8621, section 4.4.1).
fn filter(criteria: &Criteria) -> Option<Value> {
    let parts = [
        ("text", &criteria.query),
        ("from", &criteria.from),
        ("subject", &criteria.subject),
        ("after", &criteria.since),
    ];
    let set: Map<_, _> = parts
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value.as_deref()?))))
        .collect();
    (!set.is_empty()).then_some(Value::Object(set))
}

#[derive(Deserialize)]
struct Found {
    ids: Vec<String>,
    total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Email {
    id: String,
    received_at: String,
    from: Option<Vec<Address>>,
    subject: Option<String>,
    #[serde(default)]
    preview: String,
}

#[derive(Deserialize)]
struct Address {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snippet {
    email_id: String,
    subject: Option<String>,
    preview: Option<String>,
}

fn read<T: for<'de> Deserialize<'de>>(method: &str, arguments: &Value) -> Result<T, Failure> {
    T::deserialize(arguments).map_err(|error| {
        Failure::failed(format!("the mail server's answer to {method} has another shape: {error}"))
    })
}

/// By message. They are an extra: a server that has none, or refuses, costs nothing else.
fn snippets(answers: &Answers) -> BTreeMap<String, String> {
    let found = answers.list::<Snippet>(SNIPPETS).unwrap_or_default();
    found
        .into_iter()
        .filter_map(|snippet| Some((snippet.email_id, plain(&snippet.preview.or(snippet.subject)?))))
        .collect()
}

fn message(email: Email, snippet: Option<String>) -> Message {
    let from: Vec<_> = email.from.into_iter().flatten().map(sender).collect();
    Message {
        id: email.id,
        date: email.received_at,
        from: from.join(", "),
        subject: email.subject.unwrap_or_default(),
        preview: email.preview,
        snippet,
    }
}

/// `Alice <alice@example.test>`, or the address alone.
fn sender(address: Address) -> String {
    let email = address.email.unwrap_or_default();
    match address.name.filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{name} <{email}>"),
        None => email,
    }
}
