//! Which bodies a rule needs, by those that were seen.
//!
//! Of a condition that the rule has, the values that were never seen go. A rule without one, all of whose bodies are those
//! of a protocol that says in a field of the body what is asked for, gets a condition on that field. A rule whose bodies
//! are not all known, or not all of one protocol, keeps what it has.

use std::collections::BTreeSet;

use super::Seen;
use crate::body::{self, Predicate};
use crate::scalar::Scalar;

/// The most values that a condition is given, and the longest of them, in bytes.
const MOST_VALUES: usize = 50;
const LONGEST_VALUE: usize = 128;

/// A protocol with one address for everything that can be asked.
pub(super) struct Protocol {
    /// For people.
    pub(super) name: &'static str,
    /// What else is in such a body, with the value where there is one only.
    mark: (&'static str, Option<&'static str>),
    /// Where the body says what is asked for.
    pub(super) pointer: &'static str,
}

const PROTOCOLS: [Protocol; 3] = [
    // RFC 8620, section 3.3.
    Protocol { name: "JMAP", mark: ("/using/*", None), pointer: "/methodCalls/*/0" },
    // JSON-RPC 2.0, section 4. A batch is a list, and gets no condition.
    Protocol { name: "JSON-RPC", mark: ("/jsonrpc", Some("2.0")), pointer: "/method" },
    // The name of the operation does not bind the text of the query, so this guards against slips only.
    Protocol { name: "GraphQL", mark: ("/query", None), pointer: "/operationName" },
];

/// The conditions without the values that no body had. None where all values were seen, or not all bodies are known.
pub(super) fn seen_values(old: &[Predicate], seen: &[&Seen<'_>]) -> Option<Vec<Predicate>> {
    let bodies = bodies(seen)?;
    let mut dropped = false;
    let narrowed = old.iter().map(|predicate| {
        let found = found(predicate.pointer(), &bodies)?;
        let allowed: Vec<_> =
            predicate.allowed().iter().filter(|value| found.contains(value)).cloned().collect();
        dropped |= allowed.len() < predicate.allowed().len();
        Predicate::new(predicate.pointer(), allowed).ok()
    });
    let narrowed = narrowed.collect::<Option<Vec<_>>>()?;
    dropped.then_some(narrowed)
}

/// A condition for a rule that has none. `places` are where the host puts secrets.
pub(super) fn multiplexed(seen: &[&Seen<'_>], places: &[&str]) -> Option<(&'static Protocol, Predicate)> {
    let bodies = bodies(seen)?;
    let protocol = PROTOCOLS.iter().find(|protocol| speaks(protocol, &bodies))?;
    let values = found(protocol.pointer, &bodies)?;
    let short = |value: &Scalar| matches!(value, Scalar::Text(text) if text.len() <= LONGEST_VALUE);
    if values.len() > MOST_VALUES || !values.iter().all(short) {
        return None;
    }
    let predicate = Predicate::new(protocol.pointer, values.into_iter().collect()).ok()?;
    // A condition also asks for a plain content type and an encoding that is none.
    let passes = |seen: &&Seen<'_>| {
        body::check(std::slice::from_ref(&predicate), places, seen.headers, seen.body).is_ok()
    };
    seen.iter().all(passes).then_some((protocol, predicate))
}

/// Every body; none where a request had none, or where one is not known.
fn bodies<'a>(seen: &[&Seen<'a>]) -> Option<Vec<&'a [u8]>> {
    let body = |seen: &&Seen<'a>| if seen.is_whole { seen.body } else { None };
    let bodies: Vec<_> = seen.iter().map(body).collect::<Option<_>>()?;
    (!bodies.is_empty()).then_some(bodies)
}

fn speaks(protocol: &Protocol, bodies: &[&[u8]]) -> bool {
    let (pointer, value) = protocol.mark;
    let fits = |found: &Scalar| match (found, value) {
        (Scalar::Text(text), Some(value)) => text == value,
        (Scalar::Text(_), None) => true,
        (Scalar::Bool(_) | Scalar::Int(_), _) => false,
    };
    bodies.iter().all(|body| body::values(pointer, body).is_some_and(|found| found.iter().all(fits)))
}

fn found(pointer: &str, bodies: &[&[u8]]) -> Option<BTreeSet<Scalar>> {
    let found = bodies.iter().map(|body| body::values(pointer, body));
    Some(found.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Header;

    fn json() -> Vec<Header> {
        vec![Header { name: "content-type".into(), value: "application/json".into() }]
    }

    fn seen<'a>(headers: &'a [Header], body: &'a str) -> Seen<'a> {
        Seen { path: "/x".into(), keys: Vec::new(), headers, body: Some(body.as_bytes()), is_whole: true }
    }

    #[test]
    fn protocols_are_known_by_what_their_bodies_hold() {
        let cases: [(&[&str], Option<&str>); 11] = [
            (
                &[r#"{"using":["a"],"methodCalls":[["Email/get",{},"0"],["Email/query",{},"1"]]}"#],
                Some(r#"/methodCalls/*/0: ["Email/get", "Email/query"]"#),
            ),
            (&[r#"{"methodCalls":[["Email/get",{},"0"]]}"#], None),
            (&[r#"{"using":["a"],"methodCalls":[]}"#], None),
            (&[r#"{"using":["a"],"methodCalls":[[["Email/set"]]]}"#], None),
            (
                &[r#"{"jsonrpc":"2.0","method":"a","id":1}"#, r#"{"jsonrpc":"2.0","method":"b"}"#],
                Some(r#"/method: ["a", "b"]"#),
            ),
            (&[r#"{"jsonrpc":"1.0","method":"a"}"#], None),
            (&[r#"[{"jsonrpc":"2.0","method":"a"}]"#], None),
            (&[r#"{"query":"query A {a}","operationName":"A"}"#], Some(r#"/operationName: ["A"]"#)),
            (&[r#"{"query":"query A {a}"}"#], None),
            (&[r#"{"jsonrpc":"2.0","method":"a"}"#, "no json"], None),
            (&[r#"{"other":1}"#], None),
        ];
        for (bodies, expected) in cases {
            let headers = json();
            let all: Vec<_> = bodies.iter().map(|body| seen(&headers, body)).collect();
            let found = multiplexed(&all.iter().collect::<Vec<_>>(), &[]);
            assert_eq!(found.map(|(_, predicate)| predicate.to_string()).as_deref(), expected, "{bodies:?}");
        }
        let plain = [Header { name: "content-type".into(), value: "text/plain".into() }];
        let body = r#"{"jsonrpc":"2.0","method":"a"}"#;
        assert!(multiplexed(&[&seen(&plain, body)], &[]).is_none(), "the condition would deny it");
        let headers = json();
        let unknown = Seen { body: None, is_whole: false, ..seen(&headers, body) };
        assert!(multiplexed(&[&seen(&headers, body), &unknown], &[]).is_none());
        let long = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "a".repeat(200));
        assert!(multiplexed(&[&seen(&headers, &long)], &[]).is_none());
    }

    #[test]
    fn values_that_no_body_had_go() {
        let text = |text: &str| Scalar::Text(text.into());
        let old = vec![Predicate::new("/m", vec![text("a"), text("b"), text("c")]).unwrap()];
        let headers = json();
        let [one, other] = [seen(&headers, r#"{"m":"c"}"#), seen(&headers, r#"{"m":"a"}"#)];
        let new = seen_values(&old, &[&one, &other]).unwrap();
        assert_eq!(new.first().unwrap().allowed(), [text("a"), text("c")]);
        assert_eq!(seen_values(&new, &[&one, &other]), None, "nothing is left to drop");
        let unknown = Seen { body: None, is_whole: false, ..seen(&headers, "") };
        assert_eq!(seen_values(&old, &[&one, &unknown]), None);
        assert_eq!(seen_values(&old, &[]), None);
    }
}
