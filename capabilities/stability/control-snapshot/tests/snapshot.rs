//! The snapshot in a scripted world, its contract, and the contract's published schema.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ops_guest::testing::{Answer, Ran, World};
use ops_guest::{Failure, InvokeError, Invoked};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use stability_control_snapshot::{CAPABILITY, Contract, NAME};

const CONTRACT: &str = include_str!("../../../../ops/bindings/stability.control.contract.yaml");
/// The clock of a scripted world stands at 2026-11-22T09:00:00Z.
const HALF_AN_HOUR_AGO: &str = "2026-11-22T08:30:00Z";
const LONG_AGO: &str = "2026-11-20T08:30:00Z";

/// What a world is made of; each test changes one thing.
struct Made {
    mail: Invoked,
    smoke: Invoked,
    unknown: Value,
    fast: Value,
    core: Value,
    ledger: Value,
}

impl Made {
    /// Where all is well.
    fn well() -> Self {
        Self {
            mail: Invoked::with("CAP-1", json!({"status": "OK", "lane": "live"})),
            smoke: Invoked::with("CAP-2", json!({"result": "PASS"})),
            unknown: json!([]),
            fast: json!([run("verify.run", "done", LONG_AGO)]),
            core: json!([
                run("verify.core.run", "running", HALF_AN_HOUR_AGO),
                run("verify.core.run", "done", HALF_AN_HOUR_AGO)
            ]),
            ledger: json!({"consistent": true, "entries": 12, "findings": []}),
        }
    }

    fn look(self) -> Ran {
        let Self { mail, smoke, unknown, fast, core, ledger } = self;
        World::new(&CAPABILITY)
            .contract(NAME, CONTRACT)
            .service(
                "ops",
                [
                    Answer::get("/runs?status=unknown").json(json!({"runs": unknown})),
                    Answer::get("/runs?capability=verify.run&last=2").json(json!({"runs": fast})),
                    Answer::get("/runs?capability=verify.core.run&last=2").json(json!({"runs": core})),
                    Answer::get("/ledger").json(ledger),
                ],
            )
            .invocable("communications.stack.status", move |_| mail.clone())
            .invocable("infra.core.smoke", move |_| smoke.clone())
            .plan(json!({}))
    }
}

fn run(capability: &str, status: &str, at: &str) -> Value {
    json!({"run": "CAP-9", "capability": capability, "status": status, "at": at, "dry_run": false, "parent": null, "started_by": null})
}

fn status(ran: &Ran, list: &str, key: &str, name: &str) -> Value {
    let rows = ran.output()[list].as_array().unwrap();
    rows.iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("no {name}: {rows:#?}"))["status"]
        .clone()
}

#[test]
fn all_is_well_only_where_all_was_looked_at() {
    let ran = Made::well().look();
    assert_eq!(ran.output()["summary"], "HEALTHY", "{:#}", ran.output());
    assert_eq!(status(&ran, "domains", "domain", "infra"), "healthy");
    assert_eq!(status(&ran, "records", "record", "last verification"), "healthy");
}

#[test]
fn the_worst_counts() {
    let well = Made::well;
    let answers = |output: Value| Invoked::with("CAP-3", output);
    let cases: [(&str, Made, &str, &str); 13] = [
        (
            "simulation",
            Made { mail: answers(json!({"status": "OK", "lane": "simulation"})), ..well() },
            "not-bound",
            "WARN",
        ),
        (
            "failed in simulation",
            Made { mail: answers(json!({"status": "FAILED", "lane": "simulation"})), ..well() },
            "incident",
            "INCIDENT",
        ),
        ("unbound", Made { smoke: answers(json!({"result": "INCOMPLETE"})), ..well() }, "not-bound", "WARN"),
        ("down", Made { smoke: answers(json!({"result": "FAIL"})), ..well() }, "incident", "INCIDENT"),
        (
            "another word",
            Made { smoke: answers(json!({"result": "FINE"})), ..well() },
            "incident",
            "INCIDENT",
        ),
        ("no word", Made { smoke: answers(json!({})), ..well() }, "incident", "INCIDENT"),
        (
            "no answer",
            Made { smoke: Invoked::failed("CAP-3", "it trapped"), ..well() },
            "incident",
            "INCIDENT",
        ),
        (
            "no run",
            Made { smoke: Invoked { run: None, ..answers(json!({"result": "PASS"})) }, ..well() },
            "incident",
            "INCIDENT",
        ),
        (
            "unknown runs",
            Made { unknown: json!([run("infra.vm.provision", "unknown", LONG_AGO)]), ..well() },
            "warn",
            "WARN",
        ),
        ("old", Made { core: json!([]), ..well() }, "warn", "WARN"),
        ("never", Made { core: json!([]), fast: json!([]), ..well() }, "warn", "WARN"),
        (
            "failed",
            Made { core: json!([run("verify.core.run", "failed", HALF_AN_HOUR_AGO)]), ..well() },
            "incident",
            "INCIDENT",
        ),
        (
            "ledger",
            Made {
                ledger: json!({"consistent": false, "entries": 1, "findings": ["a seal is broken"]}),
                ..well()
            },
            "incident",
            "INCIDENT",
        ),
    ];
    for (name, made, worst, summary) in cases {
        let ran = made.look();
        assert_eq!(ran.output()["summary"], summary, "{name}: {:#}", ran.output());
        let rows = ["domains", "records"].map(|list| ran.output()[list].as_array().unwrap().clone()).concat();
        assert!(rows.iter().any(|row| row["status"] == worst), "{name}: {rows:#?}");
    }
}

#[test]
fn a_wrong_set_up_is_no_incident() {
    let refused =
        Invoked { run: None, milliseconds: 0, outcome: Err(InvokeError::NotGranted("not named".into())) };
    let ran = Made { smoke: refused, ..Made::well() }.look();
    assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains("under `invoke`")), "{ran:?}");
    for text in [CONTRACT.replace("status: healthy", "status: fine"), String::new()] {
        let ran = World::new(&CAPABILITY).contract(NAME, &text).plan(json!({}));
        assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(NAME)), "{ran:?}");
    }
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(NAME)), "{ran:?}");
}

#[test]
fn an_incident_is_a_failed_check() {
    let output: Value = serde_json::from_str(&CAPABILITY.manifest().output).unwrap();
    assert_eq!(output["properties"]["summary"]["x-ops-fails-on"], json!(["INCIDENT"]));
}

/// `BLESS=1` writes the schema.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Contract>();
    let file = NAME.replace(".yaml", ".schema.json");
    schema.insert("$id".into(), format!("https://opscap.dev/schemas/{file}").into());
    schema.insert("title".into(), "Watched domains".into());
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/schemas").join(&file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(published, made, "the types have changed: run with BLESS=1 and look at the difference");
}
