//! `ops audit`: what it finds in a workspace, what suppresses that, and what code scanning is given.

use std::fs;

use jsonschema::Validator;
use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, guest, repository};
use ops_tests::skip;
use serde_json::{Value, json};

use crate::upgrade::{self, EFFECTS, QUEUE};

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn()| skip::trial(format!("auditing::{name}"), None, run);
    vec![
        trial("a_lock_that_does_not_hold_is_a_finding_and_no_end", lock),
        trial("what_is_not_as_pinned_is_named_with_its_line", changed),
        trial("what_cannot_be_read_ends_nothing_and_fails", unreadable),
        trial("a_power_that_appears_in_no_need_is_caught", gained),
        trial("what_runs_used_and_what_they_asked_for_in_vain", used),
        trial("a_suppression_needs_a_lock_that_holds_and_its_day", suppressed),
        trial("a_component_that_was_built_again_is_compared", rebuilt),
        trial("reviews_that_do_not_count_are_found", reviews),
        trial("sarif_is_what_the_standard_says", sarif),
        trial("it_changes_nothing", changes_nothing),
        trial("every_kind_is_in_the_docs", documented),
    ]
}

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";

fn echo() -> Scratch {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch
}

fn audit(scratch: &Scratch, words: &[&str]) -> Value {
    scratch.ops(&[&["audit", "--json"], words].concat()).exits(0).json()
}

/// The findings of a kind.
fn found(audit: &Value, id: &str) -> Vec<Value> {
    audit["findings"].as_array().unwrap().iter().filter(|finding| finding["id"] == id).cloned().collect()
}

#[track_caller]
fn one(audit: &Value, id: &str) -> Value {
    let found = found(audit, id);
    assert_eq!(found.len(), 1, "{id}: {:#}", audit["findings"]);
    found[0].clone()
}

#[track_caller]
fn none(audit: &Value, id: &str) {
    assert_eq!(found(audit, id), Vec::<Value>::new());
}

fn lock() {
    let scratch = echo();
    let held = audit(&scratch, &[]);
    none(&held, "lock-does-not-hold");
    assert_eq!(held["capabilities"][0]["needs_unknown"], Value::Null);
    scratch.ops(&["audit", "--fail-on", "high"]).exits(0);
    let settings = fs::read_to_string(scratch.path("ops/ops.yaml")).unwrap();
    scratch.write("ops/ops.yaml", &format!("{settings}# more\n"));
    let now = audit(&scratch, &[]);
    let finding = one(&now, "lock-does-not-hold");
    assert_eq!(
        (finding["severity"].as_str(), finding["file"].as_str()),
        (Some("high"), Some("ops/ops.lock"))
    );
    assert_eq!(now["lock"]["holds"], false);
    let page = &now["capabilities"][0];
    assert_eq!(page["capability"], "test.guest.echo");
    assert!(!page["summary"].as_str().unwrap().is_empty() && page["rights"].is_array(), "{page}");
    // Nobody vouches for what the manifest says.
    assert!(page["needs_unknown"].as_str().unwrap().contains("no lock holds"), "{page}");
    scratch.ops(&["audit", "--fail-on", "high"]).exits(1);
    fs::remove_file(scratch.path("ops/ops.lock")).unwrap();
    let now = audit(&scratch, &[]);
    assert!(now["capabilities"][0]["needs_unknown"].is_string(), "{now:#}");
    one(&now, "lock-does-not-hold");
    // There is nothing that a file could differ from.
    none(&now, "not-in-lock");
}

fn changed() {
    let scratch = echo();
    scratch.write_binding(&format!("{ECHO}limits: {{time: 5s}}\n"));
    let finding = one(&audit(&scratch, &[]), "not-in-lock");
    let at = (finding["capability"].as_str(), finding["file"].as_str(), finding["line"].as_u64());
    assert_eq!(at, (Some("test.guest.echo"), Some("ops/bindings/test.guest.echo.yaml"), Some(1)));
    scratch.write_binding(ECHO);
    none(&audit(&scratch, &[]), "not-in-lock");
    fs::copy(guest("guest-spins"), scratch.path("ops/components/guest_echo.wasm")).unwrap();
    let finding = one(&audit(&scratch, &["test.guest.echo"]), "not-in-lock");
    assert_eq!(finding["line"], 2, "the line that names the component");
    fs::remove_file(scratch.path("ops/bindings/test.guest.echo.yaml")).unwrap();
    let now = audit(&scratch, &[]);
    assert!(one(&now, "not-in-lock")["what"].as_str().unwrap().contains("no such file"), "{now:#}");
    assert!(now["capabilities"][0]["fault"].is_string());
    scratch.ops(&["audit", "no.such.thing"]).exits(2).says("there is no capability");
}

fn unreadable() {
    let scratch = echo();
    scratch.write("ops/bindings/a.b.yaml", "capability: a.b\ncomponent: [\nsafety: read-only\n");
    let now = audit(&scratch, &[]);
    let finding = one(&now, "unreadable");
    assert_eq!((finding["capability"].as_str(), finding["severity"].as_str()), (Some("a.b"), Some("high")));
    assert!(finding["line"].as_u64().is_some(), "{finding}");
    let names: Vec<_> =
        now["capabilities"].as_array().unwrap().iter().map(|page| &page["capability"]).collect();
    assert_eq!(names, ["a.b", "test.guest.echo"]);
    scratch.write("ops/components/guest_echo.wasm", "no component");
    assert_eq!(found(&audit(&scratch, &[]), "unreadable").len(), 2);
    scratch.ops(&["audit", "--fail-on", "high"]).exits(1);
}

/// The component gains `effects`, and its manifest says the same words.
fn gained() {
    let (scratch, _server) = upgrade::world();
    none(&audit(&scratch, &[]), "import-not-needed");
    upgrade::place(&scratch, "queue-list-upgraded");
    for _ in 0..2 {
        let finding = one(&audit(&scratch, &[QUEUE]), "import-not-needed");
        assert_eq!((finding["severity"].as_str(), finding["line"].as_u64()), (Some("high"), Some(2)));
        assert!(finding["what"].as_str().unwrap().contains(EFFECTS), "{finding}");
        // What is signed is no better.
        scratch.pin();
    }
    // A lock that does not hold says nothing of needs, neither for nor against.
    let settings = fs::read_to_string(scratch.path("ops/ops.yaml")).unwrap();
    scratch.write("ops/ops.yaml", &format!("{settings}# more\n"));
    let now = audit(&scratch, &[QUEUE]);
    none(&now, "import-not-needed");
    assert_eq!(now["capabilities"][0]["rights"][0]["needed"], "unknown");
    assert!(now["capabilities"][0]["needs_unknown"].is_string(), "{now:#}");
    scratch.write("ops/ops.yaml", &settings);
    let ran = scratch.ops(&["audit", "--fail-on", "high"]).exits(1);
    assert!(ran.stdout.contains("import-not-needed") && ran.stdout.contains(EFFECTS), "{}", ran.stdout);
}

fn used() {
    let (scratch, _server) = upgrade::world();
    let binding = scratch.path(&format!("ops/bindings/{QUEUE}.yaml"));
    let text = fs::read_to_string(&binding).unwrap();
    for _ in 0..9 {
        scratch.ops(&["cap", "run", QUEUE]).exits(0);
    }
    let row = |audit: &Value| audit["capabilities"][0]["rights"][0].clone();
    let now = audit(&scratch, &[]);
    assert_eq!(
        (row(&now)["used"].as_u64(), row(&now)["needed"].as_str()),
        (Some(9), Some("whole")),
        "{now:#}"
    );
    assert_eq!(row(&audit(&scratch, &["--runs", "4"]))["used"], 4);
    // Under another id it is another rule, which nothing has used.
    fs::write(&binding, text.replace("id: queue", "id: list")).unwrap();
    scratch.pin();
    let now = audit(&scratch, &[]);
    assert_eq!(row(&now)["used"], 0);
    none(&now, "grant-never-used");
    none(&now, "asked-for-more");
    // The server asks for nothing that is not granted; a path that is not there any more is asked for in vain.
    fs::write(&binding, text.replace("path: /queue", "path: /other")).unwrap();
    scratch.pin();
    scratch.ops(&["cap", "run", QUEUE]);
    let now = audit(&scratch, &[]);
    let finding = one(&now, "asked-for-more");
    assert!(finding["what"].as_str().unwrap().contains("/queue"), "{finding}");
    assert_eq!(now["capabilities"][0]["denied"][0]["runs"], 1);
    assert_eq!(now["timeline"].as_array().unwrap().len(), 10);
    scratch.breaks("its binding is another one");
}

/// `ops.yaml` with one suppression, of the binding's private range where it is of that kind.
fn suppressing(scratch: &Scratch, finding: &str, expires: &str) {
    let subject =
        if finding == "private-range" { "subject: services/queue/addresses/127.0.0.1/32, " } else { "" };
    let settings = fs::read_to_string(scratch.path("ops/ops.yaml")).unwrap();
    let settings = settings.split("audit:").next().unwrap();
    let line = format!(
        "{{finding: {finding}, capability: {QUEUE}, {subject}reason: \"a test server\", expires: {expires}}}"
    );
    scratch.write("ops/ops.yaml", &format!("{settings}audit:\n  suppress:\n    - {line}\n"));
}

fn suppressed() {
    let (scratch, _server) = upgrade::world();
    let finding = one(&audit(&scratch, &[]), "private-range");
    assert_eq!(finding["severity"], "low");
    scratch.ops(&["audit", "--fail-on", "low"]).exits(1);
    suppressing(&scratch, "private-range", "2999-12-31");
    // Nobody has signed it yet.
    one(&audit(&scratch, &[]), "private-range");
    scratch.pin();
    let now = audit(&scratch, &[]);
    none(&now, "private-range");
    assert_eq!(now["suppressed"][0]["finding"]["id"], "private-range");
    assert_eq!(now["suppressed"][0]["reason"], "a test server");
    let text = scratch.ops(&["audit"]).exits(0).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("1 suppressed") && text.contains("a test server (until 2999-12-31)"), "{text}");
    suppressing(&scratch, "private-range", "2020-01-01");
    scratch.pin();
    let now = audit(&scratch, &[]);
    one(&now, "private-range");
    let expired = one(&now, "suppression-expired");
    assert_eq!(expired["file"], "ops/ops.yaml");
    assert!(expired["line"].as_u64().is_some(), "{expired}");
    later(&scratch);
    suppressing(&scratch, "auto-approval", "2999-12-31");
    scratch.pin();
    one(&audit(&scratch, &[]), "suppression-unused");
    suppressing(&scratch, "no-such", "2999-12-31");
    scratch.ops(&["pin", "--check"]).exits(2).says("there is no finding `no-such`");
}

/// What is added beside something that is suppressed is shown, and the lines that the audit shows are what suppresses it.
fn later(scratch: &Scratch) {
    suppressing(scratch, "private-range", "2999-12-31");
    let path = scratch.path(&format!("ops/bindings/{QUEUE}.yaml"));
    let before = fs::read_to_string(&path).unwrap();
    let address = "127.0.0.1";
    let more =
        before.replace(&format!("addresses: [{address}"), &format!("addresses: [127.0.0.0/8, {address}"));
    assert_ne!(more, before, "{before}");
    fs::write(&path, more).unwrap();
    scratch.pin();
    let finding = one(&audit(scratch, &[]), "private-range");
    assert!(finding["what"].as_str().unwrap().contains("127.0.0.0/8"), "{finding}");
    let text = scratch.ops(&["audit", QUEUE]).exits(0).stdout;
    let entry = text.split("    - finding: private-range\n").nth(1).unwrap();
    let entry: Vec<_> = entry.lines().take_while(|line| line.starts_with("      ")).collect();
    let entry = format!("    - finding: private-range\n{}\n", entry.join("\n"))
        .replace("reason: \"\"", "reason: lab");
    let settings = fs::read_to_string(scratch.path("ops/ops.yaml")).unwrap();
    scratch.write("ops/ops.yaml", &format!("{settings}{entry}"));
    scratch.pin();
    let now = audit(scratch, &[]);
    none(&now, "private-range");
    none(&now, "suppression-unused");
    // Without a subject it would hide what comes: it hides nothing.
    let settings = settings.replace("subject: services/queue/addresses/127.0.0.1/32, ", "");
    scratch.write("ops/ops.yaml", &settings);
    scratch.pin();
    let now = audit(scratch, &[]);
    assert_eq!(found(&now, "private-range").len(), 2);
    assert!(one(&now, "suppression-unused")["what"].as_str().unwrap().contains("without a `subject:`"));
    fs::write(&path, before).unwrap();
}

fn rebuilt() {
    let scratch = echo();
    let folder = scratch.path("again");
    fs::create_dir(&folder).unwrap();
    let words = ["--rebuilt", folder.to_str().unwrap()];
    assert_eq!(one(&audit(&scratch, &words), "not-reproducible")["severity"], "low");
    fs::copy(guest("guest-echo"), folder.join("guest_echo.wasm")).unwrap();
    none(&audit(&scratch, &words), "not-reproducible");
    fs::copy(guest("guest-spins"), folder.join("guest_echo.wasm")).unwrap();
    assert_eq!(one(&audit(&scratch, &words), "not-reproducible")["severity"], "high");
    scratch.ops(&["audit", "--rebuilt", "no-such-folder"]).exits(2).says("no such folder");
}

fn reviews() {
    let scratch = echo();
    let settings = fs::read_to_string(scratch.path("ops/ops.yaml")).unwrap();
    none(&audit(&scratch, &[]), "review-missing");
    scratch.write("ops/ops.yaml", &format!("{settings}require: {{review: read-only}}\n"));
    scratch.pin();
    assert_eq!(one(&audit(&scratch, &[]), "review-missing")["severity"], "high");
    scratch.ops(&["review", "sign", "test.guest.echo", "--key", "key", "--expires", "30d", "--yes"]).exits(0);
    let now = audit(&scratch, &[]);
    assert_eq!(now["capabilities"][0]["review"]["state"], "valid", "{now:#}");
    none(&now, "review-missing");
    scratch.write_binding(&format!("{ECHO}limits: {{time: 5s}}\n"));
    scratch.pin();
    let finding = one(&audit(&scratch, &[]), "review-outdated");
    assert_eq!(finding["severity"], "high");
    assert!(finding["what"].as_str().unwrap().contains("its runs are refused"), "{finding}");
    // Where nobody asks for one, it weighs less.
    scratch.write("ops/ops.yaml", &settings);
    scratch.pin();
    assert_eq!(one(&audit(&scratch, &[]), "review-outdated")["severity"], "medium");
}

fn published() -> Validator {
    let schema = fs::read(repository().join("tests/sarif/sarif-schema-2.1.0.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    // One regular expression in it has a bracket too many, which strict readers refuse. Nothing here has a language.
    for of in ["run", "toolComponent"] {
        let language = schema["definitions"][of]["properties"]["language"].as_object_mut().unwrap();
        assert_eq!(language.remove("pattern"), Some(json!("^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$")));
    }
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[track_caller]
fn is_sarif(validator: &Validator, log: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}\n{log:#}", errors.join("\n"));
}

fn sarif() {
    let validator = published();
    assert!(!validator.is_valid(&json!({"version": "2.1.0"})), "it refuses what is none");
    let (scratch, _server) = upgrade::world();
    suppressing(&scratch, "private-range", "2999-12-31");
    upgrade::place(&scratch, "queue-list-upgraded");
    scratch.pin();
    scratch.write("ops/bindings/a.b.yaml", "capability: a.b\n");
    let log = scratch.ops(&["audit", "--format", "sarif"]).exits(0).json();
    is_sarif(&validator, &log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let of = |id: &str| results.iter().find(|result| result["ruleId"] == id).unwrap();
    let place = &of("import-not-needed")["locations"][0]["physicalLocation"];
    let uri = format!("ops/bindings/{QUEUE}.yaml");
    assert_eq!(place["artifactLocation"], json!({"uri": uri, "uriBaseId": "%SRCROOT%"}));
    assert_eq!(place["region"], json!({"startLine": 2}));
    assert_eq!(of("import-not-needed")["level"], "error");
    assert_eq!(of("import-not-needed")["suppressions"], json!([]));
    let suppression = &of("private-range")["suppressions"][0];
    assert_eq!((&suppression["kind"], &suppression["status"]), (&json!("external"), &json!("accepted")));
    assert!(suppression["justification"].as_str().unwrap().contains("a test server"));
    // Files are named from the repository's root, wherever that is, and lines may move.
    let root = scratch.path("ops").canonicalize().unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    let text = fs::read_to_string(root.join("bindings").join(format!("{QUEUE}.yaml"))).unwrap();
    fs::write(root.join("bindings").join(format!("{QUEUE}.yaml")), format!("# more\n{text}")).unwrap();
    scratch.ops(&["pin", "--check"]);
    let moved = scratch.ops(&["audit", "--format", "sarif"]).exits(0).json();
    is_sarif(&validator, &moved);
    let results = moved["runs"][0]["results"].as_array().unwrap();
    let same = results.iter().find(|result| result["ruleId"] == "import-not-needed").unwrap();
    let place = &same["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], format!("bindings/{QUEUE}.yaml"));
    assert_eq!(place["region"]["startLine"], 3);
    assert_eq!(same["partialFingerprints"], of("import-not-needed")["partialFingerprints"]);
}

fn changes_nothing() {
    let scratch = echo();
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "hi"]).exits(0);
    let size =
        |scratch: &Scratch| scratch.ops(&["ledger", "verify", "--json"]).exits(0).json()["size"].clone();
    let (before, lock) = (size(&scratch), fs::read(scratch.path("ops/ops.lock")).unwrap());
    for format in ["text", "json", "sarif"] {
        scratch.ops(&["audit", "--format", format]).exits(0);
        scratch.ops(&["audit", "test.guest.echo", "--format", format]).exits(0);
    }
    assert_eq!((size(&scratch), fs::read(scratch.path("ops/ops.lock")).unwrap()), (before, lock));
}

/// docs/auditing.md has each kind in its table, with the severity that it has at most.
fn documented() {
    let text = fs::read_to_string(repository().join("docs/auditing.md")).unwrap();
    for kind in ops_policy::finding::KINDS {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.id)));
        let row = row.unwrap_or_else(|| panic!("docs/auditing.md does not list `{}`", kind.id));
        let severity = row.split('|').nth(2).unwrap();
        assert!(severity.contains(kind.severity.as_str()), "{row}");
    }
    let placed =
        text.split("These kinds need one").nth(1).and_then(|text| text.split(". Without").next()).unwrap();
    for kind in ops_policy::finding::KINDS {
        assert_eq!(placed.contains(&format!("`{}`", kind.id)), kind.placed, "{}", kind.id);
    }
}
