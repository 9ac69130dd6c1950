//! The probe in a scripted world.

use infra_authentik_probe::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::json;

const LIVE: &str = "/-/health/live/";
const READY: &str = "/-/health/ready/";

#[test]
fn it_lives_and_is_ready_or_it_is_not() {
    for (live, ready, rows, result) in [
        (200, 200, ["ok", "ok"], "ok"),
        (204, 204, ["ok", "ok"], "ok"),
        (200, 503, ["ok", "failed"], "failed"),
        (503, 200, ["failed", "skipped"], "failed"),
        (200, 302, ["ok", "failed"], "failed"),
        (202, 200, ["failed", "skipped"], "failed"),
    ] {
        let answers = [Answer::get(LIVE).status(live), Answer::get(READY).status(ready)];
        let ran = World::new(&CAPABILITY).service("authentik", answers).plan(json!({}));
        let output = ran.output();
        let found = [0, 1].map(|row: usize| output["checks"][row]["result"].as_str().unwrap_or_default());
        assert_eq!((found, &output["result"]), (rows, &json!(result)), "{live} {ready}");
    }
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert_eq!((&ran.output()["result"], ran.reads.len()), (&json!("not-bound"), 0));
}

#[test]
fn the_cause_is_told() {
    let answers = [Answer::get(LIVE), Answer::get(READY).status(503).bytes("database is away")];
    let ran = World::new(&CAPABILITY).service("authentik", answers).plan(json!({}));
    let row = &ran.output()["checks"][1];
    assert_eq!(row["cause"], "api_error");
    assert!(row["why"].as_str().is_some_and(|why| why.contains("database is away")), "{row}");
}
