//! Runs of which nobody knows what became: what is said of them, who may say it, and how they are gone on with. And
//! taking a run back.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::server::{Reply, Seen, Server};
use ops_tests::skip::trial;
use serde_json::Value;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("unknown::what_did_not_happen_is_done_once_when_the_run_goes_on", None, not_performed),
        trial("unknown::what_happened_is_not_done_again", None, answered),
        trial("unknown::what_happened_without_an_answer_ends_the_run", None, performed),
        trial("unknown::only_an_approver_says_what_became_of_an_effect", None, signed),
        trial("unknown::a_run_with_nothing_in_doubt_is_resumed_or_given_up", None, given_up),
        trial("unknown::an_old_approval_is_not_good_for_a_resume", None, old_approval),
        trial("unknown::what_is_safe_to_repeat_is_repeated_without_asking", None, repeatable),
        trial("undo::takes_back_in_reverse_order_after_an_approval", None, undo),
        trial("undo::needs_rules_and_something_to_take_back", None, undo_refused),
        trial("undo::leaves_alone_what_the_service_refused", None, refused_effect),
        trial("undo::goes_to_no_other_server", None, moved),
        trial("undo::takes_back_what_a_run_did_that_was_given_up", None, given_up_and_undone),
        trial("unknown::a_ledger_or_a_key_that_is_gone_is_noticed", None, lost),
    ]
}

/// A server for `test.guest.sets-up`. The effect of this name is answered with silence, the first time.
pub(crate) fn machines(silent: &'static str) -> Server {
    let asked = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::new(AtomicUsize::new(0));
    Server::start(move |seen, _| {
        let step = seen.target.rsplit('/').next().unwrap_or_default();
        match (seen.method.as_str(), step) {
            ("GET", "task") => Reply::Answer(200, "done".into()),
            ("GET", _) => Reply::Answer(404, String::new()),
            (_, step) if step == silent && asked.fetch_add(1, Ordering::SeqCst) == 0 => {
                Reply::Silence(Duration::from_secs(300))
            }
            ("POST", "stop") => {
                stopped.store(1, Ordering::SeqCst);
                Reply::Answer(200, "stopping".into())
            }
            // It is still stopping when it is first asked to go.
            ("DELETE", _) if stopped.fetch_add(1, Ordering::SeqCst) == 1 => {
                Reply::Answer(500, "it is running".into())
            }
            (_, step) => Reply::Answer(200, format!("{step} ok")),
        }
    })
}

fn binding(server: &Server, more: &str) -> String {
    format!(
        "capability: test.guest.sets-up\n\
         component: components/guest_sets_up.wasm\n\
         safety: mutating\n\
         approval: {{mode: manual}}\n\
         directories: {{notes: {{path: state/notes, access: stage}}}}\n\
         services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
         \x20     - {{id: there, method: GET, path: \"/machines/{{m}}\", effect: read}}\n\
         \x20     - {{id: task, method: GET, path: \"/machines/{{m}}/task\", effect: read}}\n\
         \x20     - {{id: clone, method: POST, path: \"/machines/{{m}}/clone\", effect: mutate}}\n\
         \x20     - {{id: config, method: PUT, path: \"/machines/{{m}}/config\", effect: mutate}}\n\
         \x20     - {{id: start, method: POST, path: \"/machines/{{m}}/start\", effect: mutate}}\n{more}\
         limits: {{time: 5m}}\n",
        server.origin()
    )
}

pub(crate) const UNDO_RULES: &str = "      - {id: remove, method: DELETE, path: \"/machines/{m}\", effect: destroy, for: undo}\n\
                          \x20     - {id: stop, method: POST, path: \"/machines/{m}/stop\", effect: mutate, for: undo}\n";

pub(crate) fn site(server: &Server, more: &str) -> Scratch {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("ops/state/notes")).unwrap();
    scratch.bind("guest-sets-up", &binding(server, more));
    scratch
}

const CALL: [&str; 7] = ["cap", "run", "test.guest.sets-up", "--machine", "m1", "--note", "hello"];

/// Approves the plan of a call, carries it out, and kills it while it waits for the silent effect. Returns the run key.
pub(crate) fn killed(scratch: &Scratch, server: &Server, effects: usize) -> String {
    let plan = scratch.ops(&CALL).exits(3).plan();
    let mut run = scratch
        .command()
        .args(["plan", "approve", &plan, "--key", "key", "--apply"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while changes(server).len() < effects {
        assert!(run.try_wait().unwrap().is_none(), "it ended before the silent effect");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    unknown(scratch)
}

/// The key of the one run of which nobody knows what became.
fn unknown(scratch: &Scratch) -> String {
    let list = scratch.ops(&["runs", "list", "--unknown", "--json"]).exits(0).json();
    let runs = list["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{list}");
    runs[0]["key"].as_str().unwrap().to_owned()
}

/// What the server was told to change, as method and last part of the path.
fn changes(server: &Server) -> Vec<String> {
    let change = |seen: &Seen| {
        let step = seen.target.rsplit('/').next().unwrap_or_default();
        (seen.method != "GET").then(|| format!("{} {step}", seen.method))
    };
    server.seen().iter().filter_map(change).collect()
}

fn note(scratch: &Scratch) -> Option<String> {
    std::fs::read_to_string(scratch.path("ops/state/notes/m1.txt")).ok()
}

fn blocked(scratch: &Scratch, key: &str) {
    scratch.ops(&CALL).exits(4).says(key);
}

fn not_performed() {
    let server = machines("clone");
    let scratch = site(&server, "");
    let key = killed(&scratch, &server, 1);
    blocked(&scratch, &key);
    let receipt = receipt_of(&scratch, &key);
    assert_eq!(
        (&receipt["run"]["status"], &receipt["effects"][0]["outcome"]),
        (&"unknown".into(), &"started".into())
    );
    // A resume cannot know either; the receipt of the dead run stays the only one.
    scratch.ops(&["cap", "resume", &key]).exits(5).says("--effect 1 performed|not-performed");
    assert_eq!(receipt_of(&scratch, &key), receipt);
    scratch
        .ops(&["runs", "resolve", &key, "--effect", "1", "not-performed", "--key", "key"])
        .exits(0)
        .says("did not happen");
    let resolution = scratch.last_receipt();
    assert_eq!(resolution["run"]["mode"], "resolve");
    assert_eq!(resolution["run"]["continues"].as_str(), Some(key.as_str()));
    assert_eq!(resolution["approval"]["approvers"][0]["principal"], "alice");
    scratch.ops(&["cap", "resume", &key]).exits(0).says("3 effects, 1 file changed");
    let resumed = scratch.last_receipt();
    assert_eq!(
        (&resumed["run"]["status"], resumed["run"]["continues"].as_str()),
        (&"done".into(), Some(key.as_str()))
    );
    assert_eq!(changes(&server), ["POST clone", "POST clone", "PUT config", "POST start"]);
    assert_eq!(note(&scratch).as_deref(), Some("hello"));
    // It is over: nothing is left to resume, and the same input is welcome.
    scratch.ops(&["cap", "resume", &key]).exits(2).says("has taken its place");
    scratch.ops(&["status"]).exits(0);
    scratch.ops(&CALL).exits(3);
}

fn answered() {
    let server = machines("start");
    let scratch = site(&server, "");
    let key = killed(&scratch, &server, 3);
    let shown = scratch.ops(&["runs", "show", &key, "--json"]).exits(0).json();
    let states: Vec<_> =
        shown["effects"].as_array().unwrap().iter().map(|effect| effect["state"].clone()).collect();
    assert_eq!(states, ["performed", "performed", "started"]);
    // A resume that is refused says nothing of what the other run did.
    scratch.ops(&["cap", "resume", &key]).exits(5);
    scratch.ops(&["ledger", "verify"]).exits(0);
    scratch.write("answer.json", r#"{"status": 200, "body": "start ok"}"#);
    scratch
        .ops(&[
            "runs",
            "resolve",
            &key,
            "--effect",
            "3",
            "performed",
            "--answer",
            "answer.json",
            "--key",
            "key",
        ])
        .exits(0);
    let output = scratch.ops(&["cap", "resume", &key, "--json"]).exits(0).json();
    assert_eq!(output["data"]["answers"], serde_json::json!(["clone ok", "config ok", "start ok"]));
    assert_eq!(changes(&server), ["POST clone", "PUT config", "POST start"], "nothing was sent again");
    assert_eq!(note(&scratch).as_deref(), Some("hello"));
    let effects = scratch.last_receipt()["effects"].clone();
    assert!(effects.as_array().unwrap().iter().all(|effect| effect["outcome"] == "performed"), "{effects}");
}

fn performed() {
    let server = machines("start");
    let scratch = site(&server, "");
    let key = killed(&scratch, &server, 3);
    scratch
        .ops(&["runs", "resolve", &key, "--effect", "3", "performed", "--key", "key"])
        .exits(3)
        .says("its answer is lost");
    assert_eq!(scratch.last_receipt()["run"]["status"], "partial");
    scratch.ops(&["cap", "resume", &key]).exits(2).says("has taken its place");
    assert_eq!(note(&scratch), None);
    scratch.ops(&CALL).exits(3);
}

fn signed() {
    let server = machines("clone");
    let scratch = site(&server, "");
    let key = killed(&scratch, &server, 1);
    let resolve = ["runs", "resolve", &key, "--effect", "1", "not-performed"];
    let with = |more: &[&str]| scratch.ops(&[&resolve[..], more].concat());
    with(&[]).exits(2).says("outcome not-performed");
    make_key(&scratch, "stranger");
    let before = scratch.receipts().len();
    with(&["--key", "stranger"]).exits(4).says("is not resolved");
    assert_eq!(scratch.receipts().len(), before + 1, "a refusal has a receipt");
    blocked(&scratch, &key);
    scratch
        .ops(&["runs", "resolve", &key, "--effect", "2", "not-performed", "--key", "key"])
        .exits(2)
        .says("effect 1 is");
    scratch.ops(&["runs", "resolve", &key, "--give-up", "--effect", "1"]).exits(2);
    scratch.ops(&["runs", "resolve", "CAP-none", "--give-up", "--key", "key"]).exits(2);
    // The text that somebody signs elsewhere is the text that is shown.
    let text = with(&[]).stderr;
    let text = text.split_once(":\n").unwrap().1.trim_start_matches("\n").to_owned();
    scratch.write("text", &format!("{}\n", text.trim_end()));
    let mut sign = std::process::Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-q", "-n", "ops-resolution", "-f"])
        .arg(scratch.path("key"))
        .arg(scratch.path("text"));
    assert!(sign.status().unwrap().success());
    with(&["--signature", "text.sig"]).exits(0);
}

fn given_up() {
    let server = machines("none");
    let scratch = site(&server, "");
    let plan = scratch.ops(&CALL).exits(3).plan();
    let apply = |place: &str| {
        let mut command = scratch.command();
        command.args(["plan", "approve", &plan, "--key", "key", "--apply"]).env("OPS_FAILPOINT", place);
        assert!(!command.output().unwrap().status.success());
    };
    apply("guest-ended");
    let key = unknown(&scratch);
    scratch
        .ops(&["runs", "resolve", &key, "--effect", "1", "performed", "--key", "key"])
        .exits(2)
        .says("ops cap resume");
    blocked(&scratch, &key);
    scratch.ops(&["runs", "resolve", &key, "--give-up", "--key", "key"]).exits(3).says("is given up");
    assert_eq!(note(&scratch), None, "its files were not committed");
    scratch.ops(&CALL).exits(3);
    assert_eq!(changes(&server).len(), 3);
}

fn old_approval() {
    let server = machines("none");
    let scratch = site(&server, "");
    let plan = scratch.ops(&CALL).exits(3).plan();
    let mut command = scratch.command();
    command
        .args(["plan", "approve", &plan, "--key", "key", "--apply"])
        .env("OPS_FAILPOINT", "effect-performed:2");
    assert!(!command.output().unwrap().status.success());
    let key = unknown(&scratch);
    // Somebody else's list of approvers would be another lock, so time itself has to pass: the ledger's copy is aged.
    age_approvals(&scratch);
    scratch.ops(&["cap", "resume", &key]).exits(4).says("approve it again");
    assert_eq!(changes(&server).len(), 2);
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    scratch.ops(&["cap", "resume", &key]).exits(0);
    assert_eq!(changes(&server), ["POST clone", "PUT config", "POST start"]);
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(4);
}

fn repeatable() {
    let server = machines("config");
    let scratch = site(&server, "");
    let key = killed(&scratch, &server, 2);
    scratch.ops(&["cap", "resume", &key]).exits(0);
    assert_eq!(changes(&server), ["POST clone", "PUT config", "PUT config", "POST start"]);
}

fn undo() {
    let server = machines("none");
    let scratch = site(&server, UNDO_RULES);
    let plan = scratch.ops(&CALL).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let key = run_key(&scratch);
    let undo = scratch.ops(&["runs", "undo", &key]).exits(3).says("it goes with the machine");
    let undo = undo.plan();
    let another = scratch.ops(&["runs", "undo", &key]).exits(3).plan();
    assert_eq!(changes(&server).len(), 3, "planning sent something");
    let shown = scratch.ops(&["plan", "show", &undo, "--json"]).exits(0).json();
    assert_eq!(
        (&shown["plan"]["safety"], shown["plan"]["undoes"].as_str()),
        (&"destructive".into(), Some(key.as_str()))
    );
    let requests: Vec<_> = shown["plan"]["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| {
            format!("{} {}", effect["request"]["method"].as_str().unwrap(), effect["rule"].as_str().unwrap())
        })
        .collect();
    assert_eq!(requests, ["POST stop", "DELETE remove"], "the last comes first");
    scratch.ops(&["plan", "apply", &undo]).exits(3);
    scratch.ops(&["plan", "approve", &undo, "--key", "key", "--apply"]).exits(0);
    let told = changes(&server);
    assert_eq!(told[3..], ["POST stop", "DELETE m1", "DELETE m1"], "it is asked again while it stops");
    scratch.ops(&["runs", "undo", &key]).exits(2).says("was taken back before");
    // What came after it must not be taken away by a plan that was made before.
    scratch
        .ops(&["plan", "approve", &another, "--key", "key", "--apply"])
        .exits(4)
        .says("was taken back already");
    assert_eq!(changes(&server).len(), 6);
    scratch.ops(&["ledger", "verify"]).exits(0);
}

fn refused_effect() {
    // Somebody else's machine is there already.
    let server = Server::start(|seen, _| match (seen.method.as_str(), seen.target.ends_with("/clone")) {
        ("GET", _) => Reply::Answer(404, String::new()),
        (_, true) => Reply::Answer(409, "it exists".into()),
        _ => Reply::Answer(200, "ok".into()),
    });
    let scratch = site(&server, UNDO_RULES);
    let plan = scratch.ops(&CALL).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(1);
    let key = run_key(&scratch);
    scratch.ops(&["runs", "undo", &key]).exits(2).says("the service answered 409");
    assert_eq!(changes(&server), ["POST clone"]);
}

fn moved() {
    let server = machines("none");
    let scratch = site(&server, UNDO_RULES);
    let plan = scratch.ops(&CALL).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let key = run_key(&scratch);
    let elsewhere = machines("none");
    scratch.write_binding(&binding(&elsewhere, UNDO_RULES));
    scratch.pin();
    scratch.ops(&["runs", "undo", &key]).exits(4).says(&server.origin()).says(&elsewhere.origin());
    assert!(changes(&elsewhere).is_empty());
}

fn given_up_and_undone() {
    let server = machines("none");
    let scratch = site(&server, UNDO_RULES);
    let plan = scratch.ops(&CALL).exits(3).plan();
    let mut command = scratch.command();
    command
        .args(["plan", "approve", &plan, "--key", "key", "--apply"])
        .env("OPS_FAILPOINT", "effect-performed:2");
    assert!(!command.output().unwrap().status.success());
    let key = unknown(&scratch);
    scratch.ops(&["runs", "resolve", &key, "--give-up", "--key", "key"]).exits(3);
    let undo = scratch.ops(&["runs", "undo", &key]).exits(3).plan();
    scratch.ops(&["plan", "approve", &undo, "--key", "key", "--apply"]).exits(0);
    assert_eq!(changes(&server), ["POST clone", "PUT config", "DELETE m1"], "the start was never sent");
}

fn lost() {
    let scratch = Scratch::new();
    scratch.bind(
        "guest-echo",
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "hello"]).exits(0);
    scratch.breaks("its ledger goes");
    let state = std::fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path();
    let away = |name: &str| std::fs::rename(state.join(name), state.join(format!("{name}.away"))).unwrap();
    let back = |name: &str| std::fs::rename(state.join(format!("{name}.away")), state.join(name)).unwrap();
    away("host.key");
    scratch.ops(&["status"]).exits(2).says("host's key");
    back("host.key");
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        away(name);
    }
    scratch.ops(&["status"]).exits(2).says("ledger.db");
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        back(name);
    }
    scratch.ops(&["status"]).exits(0);
}

fn undo_refused() {
    let server = machines("none");
    let scratch = site(&server, "");
    scratch.ops(&["runs", "undo", "CAP-none"]).exits(2);
    let plan = scratch.ops(&CALL).exits(3).plan();
    let planned = run_key(&scratch);
    scratch.ops(&["runs", "undo", &planned]).exits(2).says("nothing that could be taken back");
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let key = run_key(&scratch);
    // No rule is for it, so it is denied, with the rule that is missing.
    scratch.ops(&["runs", "undo", &key]).exits(4).says("for: undo");
    assert_eq!(scratch.last_receipt()["run"]["status"], "denied");
}

fn receipt_of(scratch: &Scratch, key: &str) -> Value {
    ops_tests::scratch::predicate(&scratch.path("receipts/sessions").join(format!("R{key}")))
}

/// The key of the last run.
fn run_key(scratch: &Scratch) -> String {
    scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned()
}

fn make_key(scratch: &Scratch, name: &str) {
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(scratch.path(name));
    assert!(keygen.status().unwrap().success());
}

/// Makes every approval two hours old, as if the ledger's file had lain there for that long.
fn age_approvals(scratch: &Scratch) {
    let state = std::fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path();
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  db.execute('DROP TRIGGER approvals_stay')\n\
                  db.execute(\"UPDATE approvals SET at = strftime('%Y-%m-%dT%H:%M:%SZ', at, '-2 hours')\")\n\
                  db.commit()\n";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", script]).arg(state.join("ledger.db"));
    assert!(python.status().unwrap().success());
}
