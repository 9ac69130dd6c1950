//! The audit log: one line for each decision, in a file of ours alone, as the published schema has it; and what people
//! are told of a denial.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use libtest_mimic::Trial;
use ops_tests::scratch::repository;
use ops_tests::server::{Reply, Server};
use ops_tests::skip;
use serde_json::{Value, json};

use crate::hostile::yard::{Run, Yard, entries, saw, web};

/// A test: what it shows, the guest's folder in `tests/guests`, and the story.
type Test = (&'static str, &'static str, fn(&Yard));

const HELLO: &str = "{id: hello, method: GET, path: /hello, effect: read}";

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [Test; 10] = [
        ("an_allowed_read_is_a_line", "reads-service", an_allowed_read),
        ("a_denied_read_is_a_line_with_what_was_missing", "ungranted-path", a_denied_read),
        ("a_plan_and_its_apply_are_lines", "changes", a_plan_and_its_apply),
        ("a_denied_read_says_what_to_write", "ungranted-path", |yard| what_to_write(yard, "", "GET /secret")),
        ("a_denied_effect_says_what_to_write", "denied-effect", |yard| {
            what_to_write(yard, "safety: mutating\napproval: {mode: manual}\n", "POST /forbidden");
        }),
        ("a_query_is_in_no_line", "asks", a_query),
        ("a_secret_that_is_asked_for_by_its_value_is_in_no_line", "asks", by_its_value),
        ("a_failure_is_a_line_with_its_kind", "reads-service", a_failure),
        ("what_is_refused_before_the_run_is_a_line", "opens-socket", before_the_run),
        ("a_log_that_others_can_read_stops_the_run", "reads-service", not_ours_alone),
    ];
    let trial = |(what, guest, story): Test| {
        skip::trial(format!("audit::{what}"), None, move || {
            let yard = Yard::new(guest);
            story(&yard);
            yard.is_unharmed();
        })
    };
    tests.map(trial).into()
}

/// The log's file.
fn file(yard: &Yard) -> PathBuf {
    entries(&yard.scratch.path("state/ops"))[0].join("audit.jsonl")
}

/// All lines so far, each checked against the published schema.
#[track_caller]
fn lines(yard: &Yard) -> Vec<Value> {
    let schema = fs::read(repository().join("docs/schemas/audit-record-v1.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let Ok(text) = fs::read_to_string(file(yard)) else { return Vec::new() };
    assert_eq!(fs::metadata(file(yard)).unwrap().permissions().mode() & 0o7777, 0o600);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.inspect(|line| assert!(schema.is_valid(line), "{line}")).collect()
}

/// Runs the guest and returns the lines that came of it: the same ones were shown while they came.
#[track_caller]
fn traced<'a>(yard: &'a Yard, words: &[&str]) -> (Run<'a>, Vec<Value>) {
    let before = lines(yard).len();
    let run = yard.run(&[words, &["--trace-checks"]].concat());
    let lines = lines(yard).split_off(before);
    assert_eq!(shown(&run), lines, "{}", run.ran.stderr);
    for line in &lines {
        let about = (&line["run"], &line["capability"]);
        assert_eq!(about, (&run.receipt["run"]["id"], &run.receipt["run"]["capability"]));
    }
    (run, lines)
}

/// The lines of JSON on standard error.
fn shown(run: &Run<'_>) -> Vec<Value> {
    let lines = run.ran.stderr.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The fields of a line that a test can know beforehand, in the order of the schema.
fn known(line: &Value) -> Value {
    let mut line = line.clone();
    for unknown in ["time", "run", "capability", "sent", "received"] {
        line.as_object_mut().unwrap().remove(unknown);
    }
    line
}

fn an_allowed_read(yard: &Yard) {
    let server = Server::answering("good day");
    yard.bind(&web(&server, &[HELLO]));
    let (run, lines) = traced(yard, &[]);
    let run = run.ends("done", 0, None);
    let address = server.origin().replace("http://", "");
    let told: Vec<_> = lines.iter().map(known).collect();
    assert_eq!(
        told,
        [json!({"phase": "read", "decision": "allowed", "service": "web", "rule": "hello", "method": "GET",
                "path": "/hello", "address": address, "status": 200})]
    );
    // The receipt counts the same bytes.
    let used = &run.receipt["used"][0];
    assert_eq!((&lines[0]["sent"], &lines[0]["received"]), (&used["bytesSent"], &used["bytesReceived"]));

    // Without the flag nothing is shown, and the line is written all the same.
    let before = self::lines(yard).len();
    assert_eq!(shown(&yard.run(&[])), <[Value; 0]>::default());
    assert_eq!(self::lines(yard).len(), before + 1);
}

fn a_denied_read(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind(&web(&server, &[HELLO]));
    let (run, lines) = traced(yard, &[]);
    let _ = run.ends("done", 0, None);
    let told: Vec<_> = lines.iter().map(known).collect();
    assert_eq!(
        told,
        [json!({"phase": "read", "decision": "denied", "service": "web", "method": "GET", "path": "/secret",
                "missing": "no rule with `effect: read` has this method and path"})]
    );
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

/// The lines that a denial shows, put into the binding as they stand, grant what was denied.
fn what_to_write(yard: &Yard, safety: &str, asked: &str) {
    let server = Server::answering("hello");
    let rules = [HELLO, "{id: a, method: POST, path: /a, effect: mutate}"];
    let rules = if safety.is_empty() { &rules[..1] } else { &rules[1..] };
    yard.bind(&format!("{safety}{}", web(&server, rules)));
    let run = yard.run(&[]).says(asked);
    let told: Vec<_> = run.ran.stderr.lines().map(str::trim_end).collect();
    let from = told.iter().position(|line| line.trim_start() == "services:");
    let shown = &told[from.unwrap_or_else(|| panic!("no lines for the binding: {told:?}"))..][..4];
    let column = shown[0].len() - "services:".len();
    let lines: Vec<_> = shown.iter().map(|line| &line[column..]).collect();
    assert_eq!(lines[..3], ["services:", "  web:", "    rules:"], "{told:?}");
    let rule = lines[3].trim_start().trim_start_matches("- ").replace("NAME", "more");
    let rules: Vec<_> = rules.iter().copied().chain([rule.as_str()]).collect();
    yard.bind(&format!("{safety}{}", web(&server, &rules)));
    let _ = yard.run(&[]).denies_nothing();
}

fn a_plan_and_its_apply(yard: &Yard) {
    let server = Server::answering("ok");
    let rules = [
        "{id: item, method: POST, path: /item, effect: mutate}",
        "{id: put, method: PUT, path: /item, effect: mutate}",
        "{id: keyed, method: POST, path: /keyed, effect: mutate}",
    ];
    yard.bind(&format!("safety: mutating\napproval: {{mode: manual}}\n{}", web(&server, &rules)));
    let (run, planned) = traced(yard, &["--change", "PUT/item"]);
    let plan = run.ends("planned", 3, None).plan();
    let line = json!({"phase": "plan", "decision": "allowed", "service": "web", "rule": "put", "method": "PUT",
                      "path": "/item", "outcome": "planned"});
    assert_eq!(planned.iter().map(known).collect::<Vec<_>>(), [line]);

    let before = lines(yard).len();
    yard.approve(&plan).ends("done", 0, None);
    let address = server.origin().replace("http://", "");
    let line = |outcome: Value| {
        let mut line = json!({"phase": "apply", "decision": "allowed", "service": "web", "rule": "put",
                              "method": "PUT", "path": "/item"});
        line.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
        line
    };
    // Whatever happens to the host while it is on its way, the log says that it was sent.
    let expected = [line(json!({"outcome": "sending"})), line(json!({"address": address, "status": 200}))];
    let applied = lines(yard).split_off(before);
    let applied = applied.iter().filter(|line| line["phase"] == "apply").map(known);
    assert_eq!(applied.collect::<Vec<_>>(), expected);
}

fn a_query(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind(&web(&server, &["{id: all, method: GET, path: /**, effect: read, query: [q]}"]));
    let (run, lines) = traced(yard, &["--ask", "web/hello?q=needle-in-a-query", "--ask", "web/bye?needle=1"]);
    let _ = run.ends("done", 0, None);
    let told: Vec<_> = lines.iter().map(|line| (&line["decision"], &line["path"])).collect();
    assert_eq!(told, [(&json!("allowed"), &json!("/hello")), (&json!("denied"), &json!("/bye"))]);
    let text = fs::read_to_string(file(yard)).unwrap();
    assert!(!text.contains("needle-in-a-query"), "{text}");
    assert_eq!(saw(&server), ["GET /hello?q=needle-in-a-query"]);
}

fn a_failure(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Stream(|stream| std::io::Write::write_all(stream, b"220 mail.example ESMTP\r\n"))
    });
    yard.bind(&web(&server, &[HELLO]));
    let (_, lines) = traced(yard, &[]);
    let line = lines.last().unwrap();
    assert_eq!((&line["decision"], &line["outcome"]), (&json!("allowed"), &json!("connection")), "{line}");
    assert_eq!(line["status"], json!(null));
}

fn before_the_run(yard: &Yard) {
    yard.bind("");
    let (run, lines) = traced(yard, &["--address", "127.0.0.1:1"]);
    let _ = run.ends("denied", 4, Some("import"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["phase"], &lines[0]["decision"]), (&json!("run"), &json!("denied")));
    assert!(lines[0]["missing"].as_str().unwrap().contains("wasi:sockets/"), "{}", lines[0]);

    // A file that changed after it was pinned.
    yard.scratch.write("ops/bindings/test.guest.opens-socket.yaml", "capability: test.guest.opens-socket\n");
    let before = self::lines(yard).len();
    assert_eq!(yard.run(&["--address", "127.0.0.1:1"]).ran.code, 4);
    let lines = self::lines(yard).split_off(before);
    assert_eq!((&lines[0]["phase"], &lines[0]["decision"]), (&json!("run"), &json!("denied")));
    yard.bind("");
}

/// A decision that cannot be written down is not made.
fn not_ours_alone(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind(&web(&server, &[HELLO]));
    yard.run(&[]).ends("done", 0, None);
    fs::set_permissions(file(yard), fs::Permissions::from_mode(0o644)).unwrap();
    let run = yard.run(&[]);
    assert_eq!(run.ran.code, 4, "{:?}", run.ran);
    let _ = run.says("audit.jsonl").says("0600");
    assert_eq!(saw(&server), ["GET /hello"], "it was sent, and no line says so");
    fs::set_permissions(file(yard), fs::Permissions::from_mode(0o600)).unwrap();
}

/// However a guest came by the value of a secret: it is in no message, no receipt and no line, and its wrong usage after
/// a service was asked leaves a receipt all the same.
fn by_its_value(yard: &Yard) {
    const SECRET: &str = "hunter2-hunter2";
    let server = Server::answering("hello");
    let origins = json!([server.origin()]);
    yard.scratch.write(
        "ops/ops.yaml",
        &format!("workspace: demo\nsecrets:\n  token: {{from: \"env:TOKEN\", origins: {origins}}}\n"),
    );
    let grants = web(&server, &[HELLO]);
    let credential = "    credential: {secret: token, header: X-Token, as: \"{}\"}\n    rules:";
    yard.bind(&format!("safety: read-only\n{}", grants.replacen("    rules:", credential, 1)));
    let asked = ["web/hello", "web/hello?hunter2-hunter2", "nowhere/hunter2-hunter2", SECRET];
    let words: Vec<_> = asked.iter().flat_map(|what| ["--ask", what]).collect();
    let ran = ops_tests::scratch::ran(yard.command(&words).env("TOKEN", SECRET));
    let run = yard.ended(ran).ends("failed", 1, Some("invalid-input"));
    let run = run.says("[secret token]");
    assert!(!run.ran.stderr.contains(SECRET) && !run.ran.stdout.contains(SECRET), "{}", run.ran.stderr);
    assert_eq!(yard.files_with(SECRET), <[PathBuf; 0]>::default());
    assert_eq!(saw(&server), ["GET /hello"]);
}
