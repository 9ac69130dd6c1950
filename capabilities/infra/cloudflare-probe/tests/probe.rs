//! The probe in a scripted world: what it asks, and what it makes of answers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use infra_cloudflare_probe::CAPABILITY;
use ops_guest::NetError;
use ops_guest::testing::{Answer, Ran, World};
use serde_json::{Value, json};

const VERIFY: &str = "/client/v4/user/tokens/verify";

fn page(number: usize) -> String {
    format!("/client/v4/zones?per_page=50&page={number}")
}

fn envelope(result: Value) -> Value {
    json!({"success": true, "errors": [], "messages": [], "result": result})
}

fn active() -> Answer {
    Answer::get(VERIFY).json(envelope(json!({"id": "1", "status": "active"})))
}

fn zones(number: usize, of: usize, statuses: &[&str]) -> Answer {
    let zones: Vec<_> =
        statuses.iter().map(|status| json!({"id": "z", "name": "a.test", "status": status})).collect();
    let mut answer = envelope(json!(zones));
    answer["result_info"] = json!({"page": number, "per_page": 50, "count": zones.len(), "total_pages": of});
    Answer::get(&page(number)).json(answer)
}

fn run(answers: impl IntoIterator<Item = Answer>) -> Ran {
    World::new(&CAPABILITY).service("cloudflare", answers).plan(json!({}))
}

/// Result, cause and reason of a check.
fn row(ran: &Ran, number: usize) -> (String, Value, String) {
    let row = &ran.output()["checks"][number];
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("result"), row["cause"].clone(), text("why"))
}

#[test]
fn all_pages_are_asked_for() {
    let ran = run([active(), zones(1, 2, &["active"; 50]), zones(2, 2, &["active", "pending"])]);
    assert_eq!(ran.output()["result"], "ok");
    assert_eq!(ran.reads.len(), 3);
    assert_eq!(row(&ran, 1), ("ok".into(), Value::Null, "52 zones, 1 of them not active".into()));
    // An account without zones has one page, or none.
    for pages in [0, 1] {
        assert_eq!(run([active(), zones(1, pages, &[])]).output()["result"], "ok", "{pages}");
    }
}

#[test]
fn a_very_large_account_is_not_asked_for_whole() {
    let pages = (1..=21).map(|number| zones(number, 21, &["active"; 50]));
    let ran = run(std::iter::once(active()).chain(pages));
    assert_eq!((ran.reads.len(), ran.output()["result"].as_str()), (21, Some("ok")));
    assert!(row(&ran, 1).2.starts_with("the first 1000 zones"), "{ran:?}");
}

#[test]
fn without_a_binding_nothing_is_asked_and_nothing_is_ok() {
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert_eq!(ran.reads, [""; 0]);
    assert_eq!(ran.output()["result"], "not-bound");
    assert_eq!((row(&ran, 0).0, row(&ran, 1).0), ("not-bound".into(), "not-bound".into()));
    assert_eq!(ran.output()["latency_ms"], Value::Null);
}

/// A refused token, a limit, and what else goes wrong are different causes; what comes after them is not asked.
#[test]
fn what_goes_wrong_has_a_cause() {
    let refused = json!({"success": false, "errors": [{"code": 1000, "message": "Invalid API Token"}], "messages": [], "result": null});
    for (answer, cause, part) in [
        (Answer::get(VERIFY).status(401).json(refused.clone()), "token_invalid", "answered 401"),
        (Answer::get(VERIFY).status(403).json(refused.clone()), "token_invalid", "answered 403"),
        (
            Answer::get(VERIFY).json(envelope(json!({"id": "1", "status": "expired"}))),
            "token_invalid",
            "the token is expired",
        ),
        (Answer::get(VERIFY).status(429).header("retry-after", "300"), "rate_limited", "for 300 seconds"),
        (Answer::get(VERIFY).status(500).bytes("boom"), "api_error", "answered 500"),
        (Answer::get(VERIFY).status(400).json(refused.clone()), "api_error", "Invalid API Token"),
        (Answer::get(VERIFY).json(refused), "api_error", "no success: 1000 Invalid API Token"),
        (Answer::get(VERIFY).bytes("<html>"), "unexpected_answer", "not the JSON"),
        (Answer::get(VERIFY).json(envelope(Value::Null)), "unexpected_answer", "without a result"),
        (
            Answer::get(VERIFY).fails(NetError::Unreachable("nobody listens".into())),
            "network_error",
            "nobody listens",
        ),
        (Answer::get(VERIFY).fails(NetError::NotGranted("no rule".into())), "not_granted", "no rule"),
    ] {
        let ran = run([answer]);
        let (result, found, why) = row(&ran, 0);
        assert_eq!((result.as_str(), &found, why.contains(part)), ("failed", &json!(cause), true), "{why}");
        assert_eq!(ran.output()["result"], "failed", "{cause}");
        let after = row(&ran, 1);
        assert_eq!((after.0.as_str(), after.2.as_str()), ("skipped", "`token` failed before it"));
        assert_eq!(ran.reads.len(), 1, "{cause}: nothing more is asked");
    }
}

#[test]
fn zones_are_held_to_what_the_api_says() {
    let mut without_pages = envelope(json!([]));
    without_pages["result_info"] = Value::Null;
    for (answers, cause, part) in [
        (vec![zones(1, 2, &["active"]), Answer::get(&page(2)).status(429)], "rate_limited", "left alone"),
        (vec![zones(1, 3, &[])], "unexpected_answer", "page 1 of 3 has no zones"),
        (vec![Answer::get(&page(1)).json(without_pages)], "unexpected_answer", "the number of its pages"),
        (vec![Answer::get(&page(1)).status(403)], "token_invalid", "answered 403"),
    ] {
        let ran = run(std::iter::once(active()).chain(answers));
        assert_eq!(row(&ran, 0).0, "ok");
        let (result, found, why) = row(&ran, 1);
        assert_eq!((result.as_str(), &found, why.contains(part)), ("failed", &json!(cause), true), "{why}");
        assert_eq!(ran.output()["result"], "failed");
    }
}
