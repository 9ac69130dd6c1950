//! The choice in a scripted world: which action, from which observation, and what attempts so far make of it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, SystemTime};

use ops_guest::Failure;
use ops_guest::testing::{Answer, Ran, World};
use recovery_dispatch::CAPABILITY;
use serde_json::{Value, json};

const NAME: &str = "recovery.actions.yaml";
const CONTRACT: &str = include_str!("../../../../ops/bindings/recovery.actions.yaml");
const RESTART: &str = "infra.container.restart";
const SMOKE: &str = "infra.core.smoke";
const DISPATCH: &str = "recovery.dispatch";
/// 2026-03-02T12:00:00Z.
const NOON: u64 = 1_772_452_800;

fn run(key: &str, capability: &str, at: &str, started_by: Option<&str>) -> Value {
    json!({"run": key, "capability": capability, "status": "done", "at": at, "dry_run": false, "parent": null, "started_by": started_by})
}

fn runs(capability: &str, last: u32, runs: &[Value]) -> Answer {
    Answer::get(&format!("/runs?capability={capability}&last={last}")).json(json!({"runs": runs}))
}

fn output(key: &str, output: Value) -> Answer {
    Answer::get(&format!("/runs/{key}/output")).json(output)
}

/// A report of the smoke test in which these systems ended so.
fn smoke(systems: &[(&str, &str)]) -> Value {
    let rows: Vec<_> = systems
        .iter()
        .map(|(system, result)| json!({"system": system, "result": result, "why": "", "run": "P", "milliseconds": 1}))
        .collect();
    json!({"asked": "all", "checks": [], "systems": rows, "passed": 0, "failures": 0, "not_bound": 0, "result": "FAIL"})
}

/// A world at noon in which nothing has been run.
fn world(answers: impl IntoIterator<Item = Answer>) -> World {
    let none =
        [runs(DISPATCH, 1000, &[]), runs(RESTART, 1000, &[]), runs(SMOKE, 1000, &[]), runs(SMOKE, 10, &[])];
    World::new(&CAPABILITY)
        .contract(NAME, CONTRACT)
        .service("ops", none.into_iter().chain(answers))
        .now(SystemTime::UNIX_EPOCH + Duration::from_secs(NOON))
}

fn deterministic(system: Option<&str>) -> Value {
    let mut arguments = json!({"gate": "D320", "failure_class": "deterministic"});
    if let Some(system) = system {
        arguments["system"] = json!(system);
    }
    arguments
}

fn decided(ran: &Ran) -> (&str, Value) {
    (ran.output()["result"].as_str().unwrap(), ran.output()["action"].clone())
}

#[test]
fn a_system_has_its_own_action() {
    for (system, action, capability, arguments) in [
        ("cloudflare", "recover-cloudflare-readpath", SMOKE, json!({"system": "cloudflare"})),
        (
            "vaultwarden",
            "recover-vaultwarden-container",
            RESTART,
            json!({"container": "vaultwarden", "even_if_healthy": true}),
        ),
        (
            "infisical",
            "recover-infisical-stack",
            RESTART,
            json!({"container": "infisical-backend", "even_if_healthy": true}),
        ),
        (
            "authentik",
            "recover-authentik-stack",
            RESTART,
            json!({"container": "authentik-server", "even_if_healthy": true}),
        ),
    ] {
        let ran = world([]).plan(deterministic(Some(system)));
        assert_eq!(decided(&ran), ("dispatch", json!(action)));
        assert_eq!(ran.output()["start"], json!({"capability": capability, "arguments": arguments}));
        assert_eq!((&ran.output()["attempts"], &ran.output()["max_attempts"]), (&json!(0), &json!(2)));
    }
}

#[test]
fn the_gate_has_two_names_and_one_form() {
    let by_id = json!({"gate_id": "D320", "failure_class": "freshness"});
    let ran = world([]).plan(by_id);
    assert_eq!(decided(&ran), ("dispatch", json!("refresh-infra-core-smoke")));
    assert_eq!(ran.output()["start"], json!({"capability": SMOKE, "arguments": {"system": "all"}}));
    for (arguments, part) in [
        (json!({"failure_class": "freshness"}), "give the gate that failed"),
        (json!({"gate": "D320", "gate_id": "D63", "failure_class": "freshness"}), "give one"),
        (json!({"gate": "320", "failure_class": "freshness"}), "is no gate's id"),
        (
            json!({"gate": "D320", "failure_class": "freshness", "system": "authentik"}),
            "for no single system",
        ),
    ] {
        let ran = world([]).plan(arguments);
        assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(part)), "{ran:?}");
    }
}

#[test]
fn the_newest_observation_says_which_system_failed() {
    let seen = [
        run("S3", SMOKE, "2026-03-02T11:50:00Z", None),
        run("S2", SMOKE, "2026-03-02T11:40:00Z", None),
        run("S1", SMOKE, "2026-03-02T11:30:00Z", None),
    ];
    let answers = |systems: Value| {
        vec![
            runs(SMOKE, 10, &seen),
            // The newest run was denied and has no output.
            Answer::get("/runs/S3/output").status(404),
            output("S2", smoke(&[("cloudflare", "pass")])),
            output("S1", systems),
        ]
    };
    let all = smoke(&[
        ("cloudflare", "fail"),
        ("vaultwarden", "pass"),
        ("infisical", "not-bound"),
        ("authentik", "fail"),
    ]);
    let ran = world(answers(all)).plan(deterministic(None));
    assert_eq!(decided(&ran), ("dispatch", json!("recover-authentik-stack")), "Cloudflare passed since");
    assert_eq!((&ran.output()["observed_in"], &ran.output()["system"]), (&json!("S1"), &json!("authentik")));

    let well = smoke(&[("vaultwarden", "pass"), ("infisical", "not-bound"), ("authentik", "pass")]);
    let ran = world(answers(well)).plan(deterministic(None));
    assert_eq!(decided(&ran), ("no-action", Value::Null));
    assert!(ran.output()["why"].as_str().unwrap().contains("saw no system fail"), "{ran:?}");

    let ran = world([]).plan(deterministic(None));
    assert_eq!(decided(&ran), ("no-action", Value::Null));
    let old = [run("S0", SMOKE, "2026-02-28T12:00:00Z", None)];
    let ran = world([runs(SMOKE, 10, &old)]).plan(deterministic(None));
    assert!(
        ran.output()["why"].as_str().unwrap().starts_with("no recent run of infra.core.smoke"),
        "{ran:?}"
    );
    let strange = [runs(SMOKE, 10, &seen), output("S3", json!({"x": 1}))];
    assert!(world(strange).plan(deterministic(None)).failure().why().contains("give --system"));
}

#[test]
fn what_nothing_answers_is_no_action() {
    let ran = world([]).plan(json!({"gate": "D63", "failure_class": "deterministic"}));
    assert_eq!(decided(&ran), ("no-action", Value::Null));
    assert_eq!(ran.output()["start"], Value::Null);
    let (first, _) = CONTRACT.split_once("  - id: recover-authentik-stack").unwrap();
    let without = World::new(&CAPABILITY)
        .contract(NAME, first)
        .service("ops", [])
        .plan(deterministic(Some("authentik")));
    assert!(without.output()["why"].as_str().unwrap().ends_with("for authentik"), "{without:?}");
}

fn dispatches(runs_: &[Value]) -> Answer {
    runs(DISPATCH, 1000, runs_)
}

/// The output of a dispatch that chose to restart this container.
fn restart(container: &str) -> Value {
    json!({"start": {"capability": RESTART, "arguments": {"container": container, "even_if_healthy": true}}})
}

/// Dispatches that chose to restart Authentik, each with the run that the host started.
fn attempts(times: &[&str]) -> Vec<Answer> {
    let one = |number: usize, at: &str| run(&format!("D{number}"), DISPATCH, at, None);
    let all: Vec<_> = times.iter().enumerate().map(|(number, at)| one(number, at)).collect();
    let mut started: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(number, at)| run(&format!("A{number}"), RESTART, at, Some(&format!("D{number}"))))
        .collect();
    // By a person, and by dispatches that chose something else, or nothing.
    started.push(run("P", RESTART, "2026-03-02T11:59:00Z", None));
    started.push(run("O", RESTART, "2026-03-02T11:59:00Z", Some("DO")));
    let others = ["DO", "DN"].map(|key| run(key, DISPATCH, "2026-03-02T11:59:00Z", None));
    // A dry run is not even asked what it chose.
    let mut dry = run("DD", DISPATCH, "2026-03-02T11:59:30Z", None);
    dry["dry_run"] = json!(true);
    let all: Vec<_> = [dry].into_iter().chain(others).chain(all).collect();
    let mut answers = vec![
        dispatches(&all),
        runs(RESTART, 1000, &started),
        output("DO", restart("infisical-backend")),
        output("DN", json!({"start": null})),
    ];
    answers.extend((0..times.len()).map(|number| output(&format!("D{number}"), restart("authentik-server"))));
    answers
}

#[test]
fn attempts_are_counted_rested_and_then_somebody_is_called() {
    for (times, result, count) in [
        (vec![], "dispatch", 0),
        (vec!["2026-03-02T11:45:00Z"], "cooldown", 1),
        (vec!["2026-03-02T11:30:00Z"], "dispatch", 1),
        (vec!["2026-03-02T11:29:59Z"], "dispatch", 1),
        (vec!["2026-03-02T11:31:00Z", "2026-03-02T10:00:00Z"], "cooldown", 2),
        (vec!["2026-03-02T11:00:00Z", "2026-03-02T10:00:00Z"], "escalate", 2),
        (vec!["2026-03-02T11:00:00Z", "2026-03-01T11:59:59Z"], "dispatch", 1),
    ] {
        let ran = world(attempts(&times)).plan(deterministic(Some("authentik")));
        let output = ran.output();
        assert_eq!(
            (output["result"].as_str(), &output["attempts"]),
            (Some(result), &json!(count)),
            "{times:?}"
        );
        assert_eq!(output["start"].is_null(), result != "dispatch");
        assert_eq!(
            output["escalate_to"],
            if result == "escalate" { json!("infrastructure") } else { Value::Null }
        );
        assert_eq!(output["retry_at"].is_null(), result != "cooldown");
    }
    let ran = world(attempts(&["2026-03-02T11:45:00Z"])).plan(deterministic(Some("authentik")));
    assert_eq!(ran.output()["retry_at"], "2026-03-02T12:15:01Z");
}

/// What an erased dispatch chose is not known: it counts where it started the same capability.
#[test]
fn an_attempt_of_which_nothing_is_known_counts() {
    let mut answers = attempts(&["2026-03-02T11:45:00Z"]);
    answers.push(Answer::get("/runs/D0/output").status(410));
    // This one was refused itself.
    answers.push(Answer::get("/runs/DN/output").status(404));
    let ran = world(answers).plan(deterministic(Some("authentik")));
    assert_eq!(decided(&ran), ("cooldown", json!("recover-authentik-stack")));
    assert_eq!(ran.output()["attempts"], 1);
}

/// What was denied was not tried. What has no run may have been a dry run.
#[test]
fn what_became_of_a_start_says_whether_it_counts() {
    let at = "2026-03-02T11:45:00Z";
    let with = |started: &[(&str, &str)]| {
        let runs_: Vec<_> = started
            .iter()
            .map(|(status, at)| {
                let mut run = run("A", RESTART, at, Some("D0"));
                run["status"] = json!(status);
                run
            })
            .collect();
        let answers = attempts(&[at]).into_iter().chain([runs(RESTART, 1000, &runs_)]);
        world(answers).plan(deterministic(Some("authentik")))
    };
    for (started, result, count) in [
        (&[][..], "dispatch", 0),
        (&[("denied", at)], "dispatch", 0),
        (&[("planned", at)], "cooldown", 1),
        (&[("denied", at), ("planned", at)], "cooldown", 1),
    ] {
        let ran = with(started);
        assert_eq!((decided(&ran).0, &ran.output()["attempts"]), (result, &json!(count)), "{started:?}");
    }
    // A plan that was carried out later is given its time from then.
    let ran = with(&[("planned", at), ("done", "2026-03-02T11:55:00Z")]);
    assert_eq!(
        (&ran.output()["attempts"], &ran.output()["retry_at"]),
        (&json!(1), &json!("2026-03-02T12:25:01Z"))
    );
}

/// Of two systems that failed, the one that can be helped is helped; then somebody is called; then it is waited.
#[test]
fn of_several_the_one_that_is_due_is_chosen() {
    let seen = [run("S", SMOKE, "2026-03-02T11:50:00Z", None)];
    let both = || {
        let failed = smoke(&[
            ("cloudflare", "pass"),
            ("vaultwarden", "fail"),
            ("infisical", "pass"),
            ("authentik", "fail"),
        ]);
        [runs(SMOKE, 10, &seen), output("S", failed)]
    };
    let ran = world(both()).plan(deterministic(None));
    assert_eq!(decided(&ran), ("dispatch", json!("recover-vaultwarden-container")), "the first of them");
    let one = [run("D", DISPATCH, "2026-03-02T11:45:00Z", None)];
    let tried = [dispatches(&one), output("D", restart("vaultwarden"))];
    let started = [
        run("A", RESTART, "2026-03-02T11:45:00Z", Some("D")),
        run("A0", RESTART, "2026-03-02T11:00:00Z", Some("D0")),
        run("A1", RESTART, "2026-03-02T10:00:00Z", Some("D1")),
    ];
    let tried = tried.into_iter().chain([runs(RESTART, 1000, &started)]);
    let ran = world(both().into_iter().chain(tried)).plan(deterministic(None));
    assert_eq!(decided(&ran), ("dispatch", json!("recover-authentik-stack")), "the other one rests");
    let more = [
        one[0].clone(),
        run("D0", DISPATCH, "2026-03-02T11:00:00Z", None),
        run("D1", DISPATCH, "2026-03-02T10:00:00Z", None),
    ];
    let chose = [("D", "vaultwarden"), ("D0", "authentik-server"), ("D1", "authentik-server")];
    let answers = both()
        .into_iter()
        .chain(chose.map(|(key, container)| output(key, restart(container))))
        .chain([dispatches(&more), runs(RESTART, 1000, &started)]);
    let ran = world(answers).plan(deterministic(None));
    assert_eq!(decided(&ran), ("escalate", json!("recover-authentik-stack")));
}

#[test]
fn the_schema_says_what_is_started_and_what_calls_somebody() {
    let output: Value = serde_json::from_str(&CAPABILITY.manifest().output).unwrap();
    assert_eq!(output["properties"]["start"]["x-ops-starts"], json!(true));
    assert_eq!(output["properties"]["result"]["x-ops-fails-on"], json!(["escalate"]));
}
