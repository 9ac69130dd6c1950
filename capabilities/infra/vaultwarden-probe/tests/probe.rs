//! The probe in a scripted world.

use infra_vaultwarden_probe::CAPABILITY;
use ops_guest::NetError;
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

#[test]
fn only_vaultwardens_own_answer_is_alive() {
    for (answer, result, cause, part) in [
        (Answer::get("/alive").json(json!("2026-03-02T02:22:49.123456Z")), "ok", Value::Null, "it is alive"),
        (
            Answer::get("/alive").bytes("<html>sign in</html>"),
            "failed",
            json!("unexpected_answer"),
            "200 without the time",
        ),
        (
            Answer::get("/alive").json(json!("yes")),
            "failed",
            json!("unexpected_answer"),
            "200 without the time",
        ),
        (Answer::get("/alive").status(204), "failed", json!("unexpected_answer"), "204 without"),
        (Answer::get("/alive").status(302), "failed", json!("unexpected_answer"), "302 without"),
        (Answer::get("/alive").status(500).bytes("db"), "failed", json!("api_error"), "answered 500"),
        (Answer::get("/alive").status(429), "failed", json!("rate_limited"), "left alone"),
        (
            Answer::get("/alive").fails(NetError::Timeout("20 s".into())),
            "failed",
            json!("network_error"),
            "20 s",
        ),
    ] {
        let ran = World::new(&CAPABILITY).service("vaultwarden", [answer]).plan(json!({}));
        let output = ran.output();
        let row = &output["checks"][0];
        assert_eq!(
            (&row["check"], &row["result"], &row["cause"]),
            (&json!("alive"), &json!(result), &cause),
            "{part}"
        );
        assert!(row["why"].as_str().is_some_and(|why| why.contains(part)), "{row}");
        assert_eq!(output["result"], result);
    }
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert_eq!((&ran.output()["result"], ran.reads.len()), (&json!("not-bound"), 0));
}
