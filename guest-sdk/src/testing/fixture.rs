//! A world from a fixture that `ops receipts export --fixture` wrote: the answers of a real run, in its order, and what
//! the capability asked and returned there. `[random]` in an expected text stands for one word of random bytes.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::raw::ops::capability::effects::{Effect, Outcome, Undo};
use crate::raw::ops::capability::invoke as calls;
use crate::raw::ops::capability::types::{NetError, Request, Response};
use crate::{Failure, Header, RateLimit, Upstream};

const RANDOM: &str = "[random]";

/// What is left of a fixture's questions and answers.
pub(super) struct Tape {
    left: VecDeque<Value>,
    number: usize,
}

impl Tape {
    pub(super) fn new(fixture: &Value) -> Self {
        assert_eq!(fixture["version"], 1, "the fixture has a version that this ops-guest does not know");
        let crossings = fixture["crossings"].as_array().expect("a fixture has a list of crossings");
        Self { left: crossings.iter().cloned().collect(), number: 0 }
    }

    /// How many questions the capability has left out.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    pub(super) fn read(&mut self, request: &Request) -> (Result<Response, NetError>, u64) {
        let next = self.next(&json!({"read": asked(request)}), &["read"]);
        (answer(&next["answer"]), clock(&next))
    }

    pub(super) fn invoke(&mut self, wanted: &[calls::Call]) -> (Vec<calls::Answer>, u64) {
        let asked = |call: &calls::Call| {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            json!({"capability": call.capability, "arguments": arguments})
        };
        let asked: Vec<_> = wanted.iter().map(asked).collect();
        let next = self.next(&json!({"invoke": asked}), &["invoke"]);
        let given = next["answer"].as_array().expect("a fixture answers calls with a list");
        (given.iter().map(super::invoked::of_fixture).collect(), clock(&next))
    }

    pub(super) fn change(&mut self, effect: &Effect) -> (Result<Outcome, NetError>, u64) {
        let undo = match &effect.undo {
            Undo::Request(back) => json!({"request": asked(back)}),
            Undo::ByHand(text) => json!({"by_hand": text}),
            Undo::Impossible(text) => json!({"impossible": text}),
        };
        let found = json!({"effect": asked(&effect.request), "summary": effect.summary, "undo": undo});
        let next = self.next(&found, &["effect", "summary", "undo"]);
        let outcome = match &next["answer"] {
            Value::String(planned) if planned == "planned" => Ok(Outcome::Planned),
            given => answer(given).map(Outcome::Performed),
        };
        (outcome, clock(&next))
    }

    fn next(&mut self, found: &Value, parts: &[&str]) -> Value {
        self.number += 1;
        let number = self.number;
        let Some(next) = self.left.pop_front() else {
            panic!("question {number}: the fixture has ended, and the capability asks {found:#}");
        };
        for part in parts {
            let same = fits(&next[part], &found[part]);
            assert!(
                same,
                "question {number} is not that of the fixture\nfixture: {:#}\nasked: {found:#}",
                next[part]
            );
        }
        next
    }
}

/// Checks how the capability ended.
pub(super) fn assert_end(expected: &Value, found: &Result<Value, Failure>) {
    let found = match found {
        Ok(output) => json!({"output": output}),
        Err(failure) => json!({"failure": failure_json(failure)}),
    };
    assert!(
        fits(expected, &found),
        "it does not end as in the fixture\nfixture: {expected:#}\nfound: {found:#}"
    );
}

/// Whether a value is the expected one.
fn fits(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(expected), Value::String(found)) => text_fits(expected, found),
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(one, other)| fits(one, other))
        }
        (Value::Object(expected), Value::Object(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|(name, one)| found.get(name).is_some_and(|other| fits(one, other)))
        }
        _ => expected == found,
    }
}

fn text_fits(expected: &str, found: &str) -> bool {
    let mut parts = expected.split(RANDOM);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    for part in parts {
        let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        match rest.get(word..).filter(|_| word > 0).and_then(|after| after.strip_prefix(part)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

fn asked(request: &Request) -> Value {
    let fields: Vec<_> = request.headers.iter().map(|field| json!([field.name, field.value])).collect();
    json!({
        "service": request.service, "method": request.method, "path": request.path,
        "headers": fields, "body": request.body.as_deref().map(body),
    })
}

fn body(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => json!({"json": value}),
        _ => json!({"text": String::from_utf8_lossy(bytes)}),
    }
}

fn clock(crossing: &Value) -> u64 {
    crossing["clock"].as_u64().unwrap_or(0)
}

fn answer(given: &Value) -> Result<Response, NetError> {
    if let Some(error) = given.get("error") {
        return Err(net_error(error));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let field = |field: &Value| Header { name: text(&field[0]), value: text(&field[1]) };
    let body = &given["body"];
    Ok(Response {
        status: given["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
        headers: given["headers"].as_array().into_iter().flatten().map(field).collect(),
        body: match body.get("json") {
            Some(value) => value.to_string().into_bytes(),
            None => text(&body["text"]).into_bytes(),
        },
    })
}

fn net_error(error: &Value) -> NetError {
    let message = error["message"].as_str().unwrap_or_default().to_owned();
    match error["kind"].as_str().unwrap_or_default() {
        "not-granted" => NetError::NotGranted(message),
        "invalid-request" => NetError::InvalidRequest(message),
        "unreachable" => NetError::Unreachable(message),
        "tls" => NetError::Tls(message),
        "timeout" => NetError::Timeout(message),
        "connection" => NetError::Connection(message),
        "too-large" => NetError::TooLarge(message),
        "limit" => NetError::Limit(message),
        other => panic!("the fixture has an error of the unknown kind `{other}`"),
    }
}

fn failure_json(failure: &Failure) -> Value {
    let said = |code: &str, message: &str| json!({"code": code, "message": message});
    match failure {
        Failure::InvalidInput(why) => said("invalid-input", why),
        Failure::NotGranted(why) => said("not-granted", why),
        Failure::Conflict(why) => said("conflict", why),
        Failure::Incomplete(why) => said("incomplete", why),
        Failure::Failed(why) => said("failed", why),
        Failure::Upstream(Upstream { service, status, message }) => {
            json!({"code": "upstream", "service": service, "status": status, "message": message})
        }
        Failure::RateLimited(RateLimit { service, seconds }) => {
            json!({"code": "rate-limited", "service": service, "seconds": seconds})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_word_is_any_one_word() {
        for (expected, found, fit) in [
            ("a", "a", true),
            ("a", "b", false),
            ("<[random]@example.test>", "<00ff@example.test>", true),
            ("<[random]@example.test>", "<@example.test>", false),
            ("<[random]@example.test>", "<a b@example.test>", false),
            ("[random]-[random]", "x1-y2", true),
            ("[random]-[random]", "x1-y2-z3", false),
            ("[random]", "x", true),
        ] {
            assert_eq!(text_fits(expected, found), fit, "{expected} {found}");
        }
    }
}
