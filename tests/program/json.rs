//! `--json` of every command, against its schema in `docs/schemas/cli/`.
//!
//! Which commands have `--json` is read from the program's own help, so that one without a schema, or one that nothing
//! here runs, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;

use jsonschema::{Registry, Resource, Validator};
use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, repository};
use ops_tests::skip;
use serde_json::Value;

use crate::unknown::{UNDO_RULES, killed, machines, site as machine_site};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        skip::trial("json::every_command_says_what_its_schema_says", None, every_command),
        skip::trial("json::a_schema_that_lets_anything_through_is_noticed", None, strict),
    ]
}

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";
const SEND: &str = "capability: communications.mail.send.test\n\
                    component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                    approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                    config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";
const CALL: [&str; 6] = ["cap", "run", "communications.mail.send.test", "--to", "a@example.test", "--json"];
/// The envelope of a run, which several commands print.
const ENVELOPE: &str = "envelope";
/// Commands of which it is not in their help: their flags are those of the capability.
const RUNS: [&str; 5] = ["cap run", "loops list", "loops show", "loops create", "loops close"];

/// The schema files by their stems: a command's words with `-` between.
fn schemas() -> BTreeMap<String, Value> {
    let folder = repository().join("docs/schemas/cli");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let schema = files.filter_map(|path| {
        let stem = path.file_name()?.to_str()?.strip_suffix(".schema.json")?.to_owned();
        Some((stem, serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()))
    });
    schema.collect()
}

fn validators() -> BTreeMap<String, Validator> {
    let schemas = schemas();
    let receipt = fs::read(repository().join("docs/schemas/run-receipt-v1.schema.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    let mut registry = Registry::new();
    for schema in schemas.values().chain([&receipt]) {
        let id = schema["$id"].as_str().unwrap();
        registry = registry.add(id, Resource::from_contents(schema.clone())).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = |schema: &Value| jsonschema::options().with_registry(&registry).build(schema).unwrap();
    schemas.iter().map(|(name, schema)| (name.clone(), validator(schema))).collect()
}

/// Every command, found by its help, whose help has `--json`.
fn commands(scratch: &Scratch, words: &[String], found: &mut BTreeSet<String>) {
    let call: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let help = scratch.ops(&call).exits(0).stdout;
    if help.contains("--json") {
        found.insert(words.join(" "));
    }
    let listed =
        help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    for line in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let word = line.split_whitespace().next().unwrap().to_owned();
        let inner: Vec<String> = words.iter().cloned().chain([word.clone()]).collect();
        if word != "help" && !RUNS.contains(&inner.join(" ").as_str()) {
            commands(scratch, &inner, found);
        }
    }
}

/// Runs commands, and holds what they print against their schemas.
struct Judge {
    validators: BTreeMap<String, Validator>,
    ran: Mutex<BTreeSet<String>>,
}

impl Judge {
    /// The command is the first one or two words.
    fn run(&self, scratch: &Scratch, words: &[&str], code: i32) -> Ran {
        let ran = scratch.ops(words).exits(code);
        let one = ["status", "doctor", "sync", "explain", "inspect", "suggest", "audit", "diff"]
            .contains(&words[0]);
        let command = words[..if one { 1 } else { 2 }].join(" ");
        self.valid(&command, &ran.json());
        self.ran.lock().unwrap().insert(command);
        ran
    }

    fn valid(&self, command: &str, document: &Value) {
        let name = if RUNS.contains(&command) { ENVELOPE.to_owned() } else { command.replace(' ', "-") };
        let validator = self
            .validators
            .get(&name)
            .unwrap_or_else(|| panic!("docs/schemas/cli/{name}.schema.json is missing"));
        let errors: Vec<_> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "ops {command} --json:\n{}\n{document:#}", errors.join("\n"));
    }
}

fn every_command() {
    let judge = Judge { validators: validators(), ran: Mutex::default() };
    let scratch = Scratch::new();
    looked_at(&judge, &scratch);
    planned(&judge, &scratch);
    recorded(&judge, &scratch);
    in_doubt(&judge);
    let mut wanted = BTreeSet::from(["cap run".to_owned(), "loops list".to_owned()]);
    commands(&scratch, &[], &mut wanted);
    let ran = judge.ran.into_inner().unwrap();
    assert_eq!(
        wanted.difference(&ran).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "nothing here runs these with --json"
    );
    let schemas: BTreeSet<_> = judge.validators.into_keys().collect();
    let mut named: BTreeSet<_> = ran
        .iter()
        .filter(|command| !RUNS.contains(&command.as_str()))
        .map(|command| command.replace(' ', "-"))
        .collect();
    named.extend([ENVELOPE.to_owned()]);
    assert_eq!(schemas, named, "each schema is that of a command");
}

/// What shows how things are.
fn looked_at(judge: &Judge, scratch: &Scratch) {
    // Before there is a lock, too.
    judge.run(scratch, &["status", "--json"], 1);
    judge.run(scratch, &["doctor", "--json"], 1);
    judge.run(scratch, &["audit", "--json"], 0);
    scratch.place("guest-echo");
    scratch.write_binding(ECHO);
    judge.run(scratch, &["sync", "--check", "--json"], 1);
    judge.run(scratch, &["sync", "--json"], 0);
    judge.run(scratch, &["sync", "--check", "--json"], 0);
    scratch.bind("communications-mail-send-test", SEND);
    judge.run(scratch, &["status", "--json"], 0);
    judge.run(scratch, &["doctor", "--json"], 0);
    judge.run(scratch, &["cap", "list", "--json"], 0);
    judge.run(scratch, &["cap", "show", "test.guest.echo", "--json"], 0);
    judge.run(scratch, &["cap", "show", "communications.mail.send.test", "--json"], 0);
    judge.run(scratch, &["inspect", "ops/components/guest_echo.wasm", "--json"], 0);
    judge.run(scratch, &["inspect", "ops/components/communications_mail_send_test.wasm", "--json"], 0);
    judge.run(scratch, &["review", "list", "--json"], 0);
    scratch.ops(&["review", "sign", "test.guest.echo", "--key", "key", "--yes"]).exits(0);
    judge.run(scratch, &["review", "list", "--json"], 0);
    judge.run(scratch, &["cap", "show", "test.guest.echo", "--json"], 0);
    judge.run(scratch, &["schedule", "list", "--json"], 0);
    let every = ["--every", "1h", "--json", "--", "--text", "hi"];
    judge.run(scratch, &[&["schedule", "print", "test.guest.echo"][..], &every[..]].concat(), 0);
    judge.run(scratch, &[&["schedule", "install", "test.guest.echo"][..], &every[..]].concat(), 0);
    judge.run(scratch, &["schedule", "list", "--json"], 0);
    judge.run(scratch, &["schedule", "remove", "test.guest.echo", "--json"], 0);
}

/// Runs, plans and approvals, those that are refused among them.
fn planned(judge: &Judge, scratch: &Scratch) {
    judge.run(scratch, &["cap", "run", "test.guest.echo", "--text", "hi", "--json"], 0);
    judge.run(scratch, &["suggest", "test.guest.echo", "--json"], 0);
    judge.run(scratch, &["diff", "--json"], 0);
    let binding = "ops/bindings/test.guest.echo.yaml";
    scratch.write("other.yaml", &format!("{ECHO}config: {{greeting: hello}}\n"));
    judge.run(scratch, &["diff", binding, "other.yaml", "--fail-on", "moved", "--json"], 1);
    judge.run(scratch, &["cap", "run", "test.guest.echo", "--no-such", "--json"], 2);
    judge.run(scratch, &["loops", "list", "--json"], 2);
    let plan = judge.run(scratch, &CALL, 3).plan();
    judge.run(scratch, &["plan", "list", "--json"], 0);
    judge.run(scratch, &["plan", "show", &plan, "--json"], 0);
    judge.run(scratch, &["plan", "apply", &plan, "--json"], 3);
    judge.run(scratch, &["plan", "approve", &plan, "--key", "key", "--json"], 0);
    judge.run(scratch, &["status", "--json"], 0);
    judge.run(scratch, &["plan", "apply", &plan, "--json"], 0);
    judge.run(scratch, &["plan", "approve", &plan, "--key", "key", "--json"], 4);
    judge.run(scratch, &["plan", "reject", &plan, "--json"], 4);
    judge.run(scratch, &["plan", "reject", "no-such", "--json"], 2);
    let call: Vec<&str> = CALL.iter().copied().chain(["--subject", "again"]).collect();
    let plan = judge.run(scratch, &call, 3).plan();
    judge.run(scratch, &["plan", "reject", &plan, "--json"], 0);
    let call: Vec<&str> = CALL.iter().copied().chain(["--subject", "third"]).collect();
    let plan = judge.run(scratch, &call, 3).plan();
    judge.run(scratch, &["plan", "approve", &plan, "--key", "key", "--apply", "--json"], 0);
}

/// Receipts and the ledger.
fn recorded(judge: &Judge, scratch: &Scratch) {
    let list = judge.run(scratch, &["receipts", "list", "--json"], 0).json();
    let keys: Vec<_> =
        list["receipts"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    for key in &keys {
        judge.run(scratch, &["receipts", "show", key, "--json"], 0);
        judge.run(scratch, &["runs", "show", key, "--json"], 0);
    }
    judge.run(scratch, &["runs", "list", "--json"], 0);
    judge.run(scratch, &["audit", "--json"], 0);
    judge.run(scratch, &["audit", "communications.mail.send.test", "--fail-on", "high", "--json"], 0);
    judge.run(scratch, &["receipts", "verify", "--all", "--json"], 0);
    judge.run(scratch, &["receipts", "key", "--json"], 0);
    judge.run(scratch, &["receipts", "prove", keys[0], "--json"], 0);
    judge.run(scratch, &["receipts", "prove", keys[0], "--to", "proof.json", "--json"], 0);
    judge.run(scratch, &["receipts", "replay", keys[0], "--json"], 0);
    judge.run(scratch, &["receipts", "replay", "--all", "--json"], 0);
    judge.run(scratch, &["ledger", "key", "--json"], 0);
    let note = judge.run(scratch, &["ledger", "checkpoint", "--json"], 0).json();
    scratch.write("checkpoint", note["note"].as_str().unwrap());
    judge.run(scratch, &["ledger", "verify", "--json"], 0);
    judge.run(scratch, &["ledger", "verify", "--since", "checkpoint", "--json"], 0);
    judge.run(scratch, &["ledger", "rebuild", "--json"], 0);
    judge.run(scratch, &["receipts", "prune", "--older-than", "0s", "--dry-run", "--json"], 0);
    judge.run(scratch, &["receipts", "prune", "--older-than", "0s", "--json"], 0);
    judge.run(scratch, &["receipts", "replay", keys[0], "--json"], 4);
    scratch.breaks("what its runs saw is erased");
}

/// Runs of which nobody knows what became, and taking one back.
fn in_doubt(judge: &Judge) {
    let server = machines("clone");
    let scratch = machine_site(&server, UNDO_RULES);
    judge.run(&scratch, &["explain", "test.guest.sets-up", "GET", "web:/machines/m1", "--json"], 0);
    judge.run(&scratch, &["explain", "test.guest.sets-up", "PATCH", "web:/machines/m1", "--json"], 1);
    let key = killed(&scratch, &server, 1);
    judge.run(&scratch, &["status", "--json"], 1);
    judge.run(&scratch, &["doctor", "--json"], 1);
    judge.run(&scratch, &["runs", "list", "--unknown", "--json"], 0);
    judge.run(&scratch, &["runs", "show", &key, "--json"], 0);
    judge.run(
        &scratch,
        &["runs", "resolve", &key, "--effect", "1", "not-performed", "--key", "key", "--json"],
        0,
    );
    judge.run(&scratch, &["cap", "resume", &key, "--json"], 0);
    let list = scratch.ops(&["runs", "list", "--json"]).exits(0).json();
    let last = list["runs"][0]["key"].as_str().unwrap().to_owned();
    let plan = judge.run(&scratch, &["runs", "undo", &last, "--json"], 3).plan();
    judge.run(&scratch, &["plan", "show", &plan, "--json"], 0);
}

/// A document with a field more, or one less, at its top is none.
fn strict() {
    for (name, schema) in schemas() {
        let shapes = match schema["oneOf"].as_array() {
            Some(shapes) => shapes.clone(),
            None => vec![schema.clone()],
        };
        for shape in shapes {
            let refers = shape["$ref"].is_string();
            assert!(refers || shape["additionalProperties"] == false, "{name}: any field may be added");
            let properties = shape["properties"].as_object().map(|fields| fields.len()).unwrap_or_default();
            let required = shape["required"].as_array().map(Vec::len).unwrap_or_default();
            assert!(refers || (required > 0 && required <= properties), "{name}: nothing is required");
        }
    }
}
