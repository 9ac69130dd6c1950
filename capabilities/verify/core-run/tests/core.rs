//! Gates are run and believed, in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{registry, topology};
use ops_guest::testing::{Ran, World};
use ops_guest::{Failure, InvokeError, Invoked};
use serde_json::{Value, json};
use verify_core_run::CAPABILITY;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");
const GATES: [&str; 6] = [
    "gates.registry.check",
    "gates.topology.check",
    "gates.records.check",
    "gates.infra.baseline.check",
    "gates.docs.check",
    "gates.ledger.check",
];

fn passed(gate: &Value) -> Invoked {
    Invoked::with(
        &format!("CAP-{}", gate.as_str().unwrap()),
        json!({"gate": gate, "result": "pass", "looked_at": ["something"], "findings": []}),
    )
}

/// All gates pass, but for one, of which this is the answer.
fn run(gate: &'static str, answer: impl Fn(Invoked) -> Invoked + Copy + 'static) -> Ran {
    let world = World::new(&CAPABILITY).contract(registry::NAME, REGISTRY).contract(topology::NAME, TOPOLOGY);
    let world = GATES.iter().fold(world, |world, name| {
        world.invocable(name, move |arguments| {
            let own = passed(&arguments["gate"]);
            if arguments["gate"] == gate { answer(own) } else { own }
        })
    });
    let mut world = world;
    world.plan(json!({}))
}

#[test]
fn ten_that_ran_and_passed() {
    let ran = run("none", |own| own);
    let output = ran.output();
    for (field, value) in [
        ("scope", json!("core")),
        ("summary", json!("10/10 PASS")),
        ("result", json!("PASS")),
        ("total", json!(10)),
        ("passed", json!(10)),
        ("failing_gate_ids", json!([])),
        ("findings", json!([])),
    ] {
        assert_eq!(output[field], value, "{field}");
    }
    assert_eq!(output["gates"][3]["gate"], "D127");
    assert_eq!(output["gates"][3]["run_key"], "CAP-D127");
    assert_eq!(output["looked_at"].as_array().unwrap().len(), 10);
    assert_eq!(output["looked_at"][3], json!({"gate": "D127", "looked_at": "something"}));
    assert_eq!(ran.reads.len(), 10, "{:?}", ran.reads);
}

#[test]
fn a_gate_without_an_answer_is_looked_up_by_its_run() {
    let ran = run("D320", |_| Invoked::failed("CAP-1", "it trapped"));
    assert_eq!(ran.output()["findings"][0]["fix"], "look at its run: `ops receipts show CAP-1`");
}

/// One gate answers otherwise; the other nine pass.
#[test]
fn nothing_else_is_a_pass() {
    type Answer = fn(Invoked) -> Invoked;
    let cases: [(Answer, &str, &str, &str); 10] = [
        (|own| with(own, "result", json!("skipped")), "skipped", "INCOMPLETE", ""),
        (
            |own| {
                let finding =
                    json!({"file": "bindings/a.yaml", "line": 7, "what": "it is soft", "fix": "harden it"});
                with(with(own, "result", json!("fail")), "findings", json!([finding]))
            },
            "fail",
            "FAIL",
            "it is soft",
        ),
        (|own| with(own, "looked_at", json!([])), "error", "FAIL", "not what it looked at"),
        (|own| with(own, "looked_at", json!([""])), "error", "FAIL", "not what it looked at"),
        (|own| with(own, "gate", json!("D1")), "error", "FAIL", "answered for D1"),
        (|own| with(own, "result", json!("maybe")), "error", "FAIL", "not what was expected"),
        (|own| Invoked { run: None, ..own }, "error", "FAIL", "without a run"),
        (|own| Invoked { milliseconds: 10_001, ..own }, "error", "FAIL", "its budget is 10000 ms"),
        (|_| Invoked::failed("CAP-1", "it trapped"), "error", "FAIL", "it trapped"),
        (
            |own| Invoked { run: None, outcome: Err(InvokeError::NotGranted("not named".into())), ..own },
            "error",
            "FAIL",
            "not named",
        ),
    ];
    for (answer, result, outcome, what) in cases {
        let ran = run("D320", answer);
        let output = ran.output();
        let row = output["gates"].as_array().unwrap().iter().find(|row| row["gate"] == "D320").unwrap();
        assert_eq!(
            (&row["result"], &output["result"]),
            (&json!(result), &json!(outcome)),
            "{what}: {output:#}"
        );
        assert!(!output["summary"].as_str().unwrap().contains("PASS"), "{output:#}");
        assert_eq!((&output["passed"], &output["total"]), (&json!(9), &json!(10)));
        let findings = output["findings"].as_array().unwrap();
        assert_eq!(findings.is_empty(), what.is_empty(), "{output:#}");
        assert!(
            findings
                .iter()
                .all(|found| found["gate"] == "D320" && found["what"].as_str().unwrap().contains(what))
        );
    }
}

fn with(own: Invoked, field: &str, value: Value) -> Invoked {
    let mut output = own.outcome.unwrap();
    output[field] = value;
    Invoked { outcome: Ok(output), ..own }
}

#[test]
fn failures_are_counted_by_what_they_mean() {
    let ran = run("D403", |own| with(with(own, "result", json!("fail")), "findings", json!([])));
    let output = ran.output();
    assert_eq!(output["failing_gate_ids"], json!(["D403"]));
    assert_eq!(
        output["failure_class"],
        json!({"deterministic": 1, "freshness": 0, "advisory": 0, "error": 0})
    );
}

#[test]
fn contracts_that_cannot_be_read_end_the_run_with_their_line() {
    let broken = REGISTRY.replacen("class: invariant", "class: eternal", 1);
    let mut world =
        World::new(&CAPABILITY).contract(registry::NAME, &broken).contract(topology::NAME, TOPOLOGY);
    let ran = world.plan(json!({}));
    let Failure::Failed(why) = ran.failure() else { panic!("{ran:?}") };
    assert!(why.starts_with("bindings/gate.registry.yaml, line 8: unknown word `eternal`"), "{why}");
}

#[test]
fn the_manifest_says_which_results_are_failures() {
    let output: Value = serde_json::from_str(&CAPABILITY.manifest().output).unwrap();
    assert_eq!(output["properties"]["result"]["x-ops-fails-on"], json!(["FAIL", "INCOMPLETE"]));
}
