//! The gates of the registry in a scripted world.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use gates_common::{Finding, Report, Verdict, registry, topology};
use gates_registry_check::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

const REGISTRY: &str = "schema_version: \"1.0\"\nowner: platform\ngates:\n  - id: D1\n    name: one\n    class: invariant\n    \
    severity: low\n    budget: 2s\n    capability: gates.one.check\n    description: One.\n    fix: Mend it.\n";
const TOPOLOGY: &str = "schema_version: \"1.0\"\nowner: platform\ncore: [D1]\ndomains:\n  - {id: core, description: All., \
    criticality: critical, capability_prefixes: [gates, infra]}\nassignments:\n  - {gate: D1, primary: core}\nrelease: [core]\n";
const ACTIONS: &str = "schema_version: \"1.0\"\nobserved_by: infra.smoke\nactions:\n  - id: a\n    start: {capability: infra.mend, arguments: {machine: a}}\n";

/// What is bound: a gate, a probe that may call it, and one that changes files.
fn bound() -> Value {
    let one = |name: &str, safety: &str| {
        json!({
            "name": name, "domain": "x", "summary": "", "safety": safety, "approval": "manual", "reason": null,
            "accept": ["signed"], "binding": format!("bindings/{name}.yaml"), "component": "", "services": [],
            "directories": [], "contracts": [], "invoke": [], "starts": [], "unneeded": [], "fault": null,
            "arguments": [], "lines": {"approval": 4, "invoke gates.one.check": 9, "contract a.yaml": 7, "rule ops b": 8},
        })
    };
    let mut smoke = one("infra.smoke", "read-only");
    smoke["approval"] = json!("auto");
    smoke["invoke"] = json!(["gates.one.check"]);
    let mut gate = one("gates.one.check", "read-only");
    gate["services"] = json!([{"name": "ops", "origin": null, "addresses": [], "rules": [
        {"id": "b", "method": "GET", "path": "/b", "effect": "read", "needed": true},
    ]}]);
    let mut mend = one("infra.mend", "mutating");
    mend["arguments"] = json!(["machine", "even_if_healthy"]);
    mend["directories"] = json!([{"name": "notes", "path": "state/notes", "access": "stage"}]);
    json!([gate, smoke, mend])
}

fn look(gate: &str, bound: &Value, config: Value, settings: Value, files: Value) -> Report {
    let ran = World::new(&CAPABILITY)
        .config(config)
        .contract(registry::NAME, REGISTRY)
        .contract(topology::NAME, TOPOLOGY)
        .contract("recovery.actions.yaml", ACTIONS)
        .service(
            "ops",
            [
                Answer::get("/registry").json(json!({"capabilities": bound})),
                Answer::get("/sync").json(files),
                Answer::get("/settings").json(json!({"approvals": settings})),
            ],
        )
        .plan(json!({"gate": gate}));
    serde_json::from_value(ran.output().clone()).unwrap()
}

fn checked(gate: &str, bound: &Value) -> Report {
    let settings = json!({"self": "refused", "destructive": 2});
    let files = json!({"files": ["ops/capabilities.yaml"], "differences": []});
    look(gate, bound, json!({"auto": [], "own": "refused", "destructive": 2}), settings, files)
}

fn with(pointer: &str, value: Value) -> Value {
    let mut bound = bound();
    *bound.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    bound
}

fn only(report: &Report) -> &Finding {
    let [found] = report.findings.as_slice() else { panic!("{report:#?}") };
    assert_eq!(report.result, Verdict::Fail);
    found
}

#[test]
fn what_is_well_passes_with_evidence() {
    for gate in ["D63", "D67", "D401", "D405"] {
        let report = checked(gate, &bound());
        assert!(report.result == Verdict::Pass && !report.looked_at.is_empty(), "{report:#?}");
    }
}

#[test]
fn what_is_named_is_bound() {
    for (bound, file, line, what) in [
        (
            with("/0/name", json!("gates.two.check")),
            "bindings/gate.registry.yaml",
            9,
            "D1 is checked by `gates.one.check`, which is not bound",
        ),
        (with("/0/safety", json!("mutating")), "bindings/gate.registry.yaml", 9, "which is mutating"),
        (
            with("/2/name", json!("infra.other")),
            "bindings/recovery.actions.yaml",
            5,
            "`infra.mend` is to be run",
        ),
        (
            with("/1/name", json!("infra.watch")),
            "bindings/recovery.actions.yaml",
            2,
            "`infra.smoke` is to be run",
        ),
        (
            with("/2/arguments", json!(["container"])),
            "bindings/recovery.actions.yaml",
            5,
            "`infra.mend` is started with `machine`, which is no argument of it",
        ),
        (with("/1/starts", json!(["infra.gone"])), "bindings/infra.smoke.yaml", 0, "may start `infra.gone`"),
    ] {
        let report = checked("D63", &bound);
        let found = report.findings.iter().find(|found| found.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert_eq!((found.file.as_str(), found.line), (file, line), "{what}");
    }
    let report = checked("D63", &with("/0/safety", json!("mutating")));
    assert!(report.findings.iter().any(|found| found.file == "bindings/infra.smoke.yaml" && found.line == 9));
    let mut more = bound();
    let mut stray = more[1].clone();
    stray["name"] = json!("mail.stray");
    more.as_array_mut().unwrap().push(stray);
    assert_eq!(only(&checked("D63", &more)).what, "`mail.stray` belongs to no domain");
}

#[test]
fn grants_without_a_need_and_faults_are_found() {
    let report = checked("D401", &with("/0/unneeded", json!(["contract a.yaml"])));
    assert_eq!((only(&report).line, only(&report).file.as_str()), (7, "bindings/gates.one.check.yaml"));
    let report = checked("D401", &with("/0/services/0/rules/0/needed", json!(false)));
    assert_eq!((only(&report).line, only(&report).what.contains("`rule ops b`")), (8, true));
    let report = checked("D401", &with("/1/fault", json!("its component is gone")));
    assert_eq!(only(&report).what, "its component is gone");
}

#[test]
fn approvals_are_as_they_were_agreed() {
    for (bound, what) in [
        (with("/2/approval", json!("auto")), "`infra.mend` changes things without an approval"),
        (with("/2/safety", json!("destructive")), ""),
    ] {
        let report = checked("D405", &bound);
        match what {
            "" => assert_eq!(report.result, Verdict::Pass),
            what => assert!(only(&report).what.contains(what) && only(&report).line == 4, "{report:#?}"),
        }
    }
    let mut confirmed = with("/2/safety", json!("destructive"));
    confirmed[2]["accept"] = json!(["confirmed"]);
    assert!(only(&checked("D405", &confirmed)).what.contains("a typed word approves it"));

    let agreed = json!({"auto": ["infra.mend"], "own": "refused"});
    let strict = json!({"self": "refused", "destructive": 1});
    let check =
        |bound: &Value, settings: &Value| look("D405", bound, agreed.clone(), settings.clone(), json!({}));
    let auto = with("/2/approval", json!("auto"));
    assert_eq!(check(&auto, &strict).result, Verdict::Pass);
    // What was agreed covers small records, and nothing else.
    let mut wide = auto.clone();
    wide[2]["directories"][0]["path"] = json!("skills");
    assert!(only(&check(&wide, &strict)).what.contains("change files in skills"));
    let mut sends = auto.clone();
    sends[2]["services"] = json!([{"name": "pve", "origin": "https://pve.test:443", "addresses": [], "rules": [
        {"id": "stop", "method": "POST", "path": "/stop", "effect": "mutate", "needed": true},
    ]}]);
    assert!(only(&check(&sends, &strict)).what.contains("send `stop` to pve"));
    let report = check(&bound(), &json!({"self": "allowed", "destructive": 1}));
    assert_eq!(
        (only(&report).file.as_str(), only(&report).fix.contains("self: refused")),
        ("ops.yaml", true)
    );
    let two = json!({"auto": [], "own": "allowed", "destructive": 2});
    let report = look("D405", &bound(), two, json!({"self": "allowed", "destructive": 1}), json!({}));
    assert!(only(&report).what.contains("needs 1 approvals, and 2 were agreed"));
}

#[test]
fn generated_files_are_in_sync() {
    let differs =
        json!({"file": "ops/capabilities.yaml", "line": 3, "what": "it differs", "fix": "`ops sync`"});
    let files = json!({"files": ["ops/capabilities.yaml"], "differences": [differs]});
    let report = look("D67", &bound(), json!({}), json!({}), files);
    assert_eq!((only(&report).line, only(&report).fix.as_str()), (3, "`ops sync`"));
    let nothing = look("D67", &bound(), json!({}), json!({}), json!({"files": [], "differences": []}));
    assert_eq!(nothing.result, Verdict::Error);
}

/// A binding that cannot run is D401's, and keeps everything from being generated.
#[test]
fn a_binding_that_cannot_run_fails_one_gate() {
    let differs =
        json!({"file": "bindings/infra.mend.yaml", "line": 3, "what": "unknown field", "fix": "mend it"});
    let files = json!({"files": [], "differences": [differs]});
    let mut faulty = with("/2/fault", json!("unknown field"));
    faulty[2]["arguments"] = json!([]);
    let check = |gate: &str, bound: &Value| look(gate, bound, json!({}), json!({}), files.clone());
    assert_eq!(check("D67", &faulty).result, Verdict::Skipped);
    assert_eq!(check("D63", &faulty).result, Verdict::Pass);
    assert_eq!(only(&check("D401", &faulty)).what, "unknown field");
    let mut gate = with("/0/fault", json!("unknown field"));
    gate[0]["safety"] = json!("");
    assert_eq!(check("D63", &gate).result, Verdict::Pass);
    // Where D401 has nothing to say of it, D67 says it.
    assert_eq!(only(&check("D67", &bound())).what, "unknown field");
}

/// One mistake fails one gate: a registry that cannot be read is D127's.
#[test]
fn what_another_gate_tells_is_skipped() {
    let ran = World::new(&CAPABILITY)
        .contract(registry::NAME, "gates: []\n")
        .contract(topology::NAME, TOPOLOGY)
        .plan(json!({"gate": "D63"}));
    assert_eq!(ran.output()["result"], "skipped");
}
