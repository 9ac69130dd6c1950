//! `D402` in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{Report, Verdict, impact, topology};
use gates_docs_check::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

const TOPOLOGY: &str = "schema_version: \"1.0\"\nowner: platform\ncore: [D1]\ndomains:\n  - {id: infra, description: Machines., \
    criticality: high, capability_prefixes: [infra]}\n  - {id: mail, description: Mail., criticality: low, \
    capability_prefixes: [mail]}\nassignments:\n  - {gate: D1, primary: infra, secondary: [mail]}\nrelease: [infra, mail]\n";
const IMPACT: &str = "schema_version: \"1.0\"\nowner: platform\nroutes:\n  - domain: infra\n    pages: [infra.smoke]\n    \
    guides: [infra/README.md]\n  - {domain: mail, pages: [mail.send]}\n";

fn bound(name: &str) -> Value {
    json!({
        "name": name, "domain": "x", "summary": "", "safety": "read-only", "approval": "auto", "reason": null,
        "accept": [], "binding": "", "component": "", "services": [], "directories": [], "contracts": [], "invoke": [],
        "starts": [], "unneeded": [], "fault": null, "arguments": [],
    })
}

fn look(contract: &str, pages: &[&str], guide: &str) -> Report {
    let files: Vec<_> = pages.iter().map(|name| format!("docs/capabilities/{name}.md")).collect();
    with(contract, json!({"files": files, "differences": []}), guide)
}

fn with(contract: &str, sync: Value, guide: &str) -> Report {
    let answers = [
        Answer::get("/registry").json(json!({"capabilities": [bound("infra.smoke"), bound("mail.send")]})),
        Answer::get("/sync").json(sync),
    ];
    let ran = World::new(&CAPABILITY)
        .contract(topology::NAME, TOPOLOGY)
        .contract(impact::NAME, contract)
        .directory("skills", &[("infra/README.md", guide)])
        .service("ops", answers)
        .plan(json!({"gate": "D402"}));
    serde_json::from_value(ran.output().clone()).unwrap()
}

const BOTH: [&str; 2] = ["infra.smoke", "mail.send"];
const GUIDE: &str = "Run `ops cap run infra.smoke`.\n";

#[test]
fn documents_that_are_there() {
    let report = look(IMPACT, &BOTH, GUIDE);
    assert_eq!((report.result, report.findings.len()), (Verdict::Pass, 0), "{report:#?}");
    assert!(report.looked_at.iter().any(|saw| saw == "the guide skills/infra/README.md"));
}

#[test]
fn a_guide_has_the_whole_name() {
    for (guide, result) in [
        ("Run infra.smoke.\n", Verdict::Pass),
        ("(infra.smoke)", Verdict::Pass),
        ("Run infra.smoke.deep.\n", Verdict::Fail),
        ("Run infra.smokes or infra.smoke-test.\n", Verdict::Fail),
        ("Run my.infra.smoke or xinfra.smoke.\n", Verdict::Fail),
        ("Run infra.smokes, then `infra.smoke`.\n", Verdict::Pass),
    ] {
        assert_eq!(look(IMPACT, &BOTH, guide).result, result, "{guide}");
    }
}

/// A binding that cannot be used keeps every page from being made: other gates say so.
#[test]
fn pages_that_cannot_be_made_are_one_mistake() {
    let differs = json!({"file": "bindings/a.yaml", "line": 1, "what": "unknown field", "fix": "mend it"});
    let report = with(IMPACT, json!({"files": [], "differences": [differs]}), GUIDE);
    assert_eq!((report.result, report.findings.len()), (Verdict::Skipped, 0), "{report:#?}");
}

#[test]
fn each_that_is_not_is_told_at_its_line() {
    let changed = |from: &str, to: &str| IMPACT.replace(from, to);
    for (contract, pages, guide, line, what) in [
        (
            changed("  - {domain: mail, pages: [mail.send]}\n", ""),
            &BOTH[..],
            GUIDE,
            2,
            "the domain `mail` has capabilities",
        ),
        (changed("domain: mail, pages", "domain: post, pages"), &BOTH, GUIDE, 7, "`post` is no domain"),
        (
            IMPACT.to_owned(),
            &BOTH[..1],
            GUIDE,
            7,
            "there is no generated page docs/capabilities/mail.send.md",
        ),
        (
            changed("pages: [mail.send]", "pages: [infra.smoke]"),
            &BOTH,
            GUIDE,
            7,
            "is no capability of the domain `mail`",
        ),
        (
            changed("infra/README.md", "infra/GUIDE.md"),
            &BOTH,
            GUIDE,
            6,
            "there is no readable guide skills/infra/GUIDE.md",
        ),
        (IMPACT.to_owned(), &BOTH, "Run mail.send.\n", 6, "names no capability of the domain `infra`"),
        (IMPACT.to_owned(), &BOTH, "", 6, "names no capability of the domain `infra`"),
        (changed("\"1.0\"", "\"2.0\""), &BOTH, GUIDE, 1, "unknown word `2.0`"),
    ] {
        let report = look(&contract, pages, guide);
        let found = report.findings.iter().find(|found| found.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert_eq!((found.file.as_str(), found.line), ("bindings/docs.impact.contract.yaml", line), "{what}");
        assert!(report.result == Verdict::Fail && !found.fix.is_empty());
    }
}
