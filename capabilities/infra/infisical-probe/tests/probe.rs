//! The probe in a scripted world.

use infra_infisical_probe::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

#[test]
fn only_infisicals_own_ok_is_one() {
    let status = |message: &str| json!({"date": "2026-03-02T02:22:49.000Z", "message": message, "emailConfigured": false, "inviteOnlySignup": false});
    for (answer, result, cause, part) in [
        (Answer::get("/api/status").json(status("Ok")), "ok", Value::Null, "it says Ok"),
        (Answer::get("/api/status").json(status("Degraded")), "failed", json!("api_error"), "Degraded"),
        (
            Answer::get("/api/status").json(json!({"date": "now", "message": "Ok"})),
            "failed",
            json!("unexpected_answer"),
            "200 without the time",
        ),
        (
            Answer::get("/api/status").json(json!({"message": "Ok"})),
            "failed",
            json!("unexpected_answer"),
            "missing field `date`",
        ),
        (Answer::get("/api/status").bytes("<html>"), "failed", json!("unexpected_answer"), "not the JSON"),
        (
            Answer::get("/api/status").status(302).json(status("Ok")),
            "failed",
            json!("unexpected_answer"),
            "302 without",
        ),
        (Answer::get("/api/status").status(502), "failed", json!("api_error"), "answered 502"),
    ] {
        let ran = World::new(&CAPABILITY).service("infisical", [answer]).plan(json!({}));
        let output = ran.output();
        let row = &output["checks"][0];
        assert_eq!(
            (&row["check"], &row["result"], &row["cause"]),
            (&json!("status"), &json!(result), &cause),
            "{part}"
        );
        assert!(row["why"].as_str().is_some_and(|why| why.contains(part)), "{row}");
        assert_eq!(output["result"], result);
    }
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert_eq!((&ran.output()["result"], ran.reads.len()), (&json!("not-bound"), 0));
}
