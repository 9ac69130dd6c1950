//! A capability calls others, reads what the host knows, and asks for another one to be started: what is granted works and
//! is on record, and nothing else does.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::server::{Reply, Server};
use ops_tests::skip::trial;
use serde_json::Value;

const INVOKES: &str = "test.guest.invokes";
const HOST: &str = "test.guest.reads-the-host";

/// The guests of these tests.
pub(crate) const GUESTS: [&str; 5] =
    ["calls-back", "invokes", "reads-the-host", "stages-what-it-heard", "starts"];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| trial(format!("invoke::{name}"), None, test);
    vec![
        trial("each_call_is_a_run_with_a_receipt", linked),
        trial("what_the_binding_does_not_name_is_not_called", refused),
        trial("calls_go_three_deep_and_no_deeper", deep),
        trial("a_called_capability_that_fails_has_a_receipt_too", failing),
        trial("an_application_hears_what_the_plan_heard", planned),
        trial("calls_are_counted", counted),
        trial("a_run_with_calls_can_be_replayed", replayed),
        trial("what_a_run_asks_for_is_started_as_a_run_of_its_own", started),
        trial("what_the_binding_does_not_list_is_not_started", not_started),
        trial("a_target_is_held_until_what_was_started_has_ended", held),
        trial("the_host_answers_what_a_rule_lets_through", host),
        trial("receipts_and_outputs_are_read_by_whole_keys", keys),
    ]
}

fn component(guest: &str) -> String {
    format!("components/{}.wasm", guest.replace('-', "_"))
}

/// A workspace with `echo`, and with `invokes` that may call these.
fn calling(may: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    bind_echo(&scratch);
    bind_invokes(&scratch, may);
    scratch
}

fn bind_echo(scratch: &Scratch) {
    let component = component("guest-echo");
    scratch.bind(
        "guest-echo",
        &format!("capability: test.guest.echo\ncomponent: {component}\nsafety: read-only\n"),
    );
}

fn bind_invokes(scratch: &Scratch, may: &[&str]) {
    let component = component("guest-invokes");
    let may = may.join(", ");
    scratch.bind(
        "guest-invokes",
        &format!("capability: {INVOKES}\ncomponent: {component}\nsafety: read-only\ninvoke: [{may}]\n"),
    );
}

fn call(scratch: &Scratch, words: &[&str]) -> Value {
    let words = [&["cap", "run", INVOKES, "--json"], words].concat();
    scratch.ops(&words).exits(0).json()
}

/// The predicate of a run's receipt.
fn receipt(scratch: &Scratch, key: &str) -> Value {
    let folder = scratch.receipts().into_iter().find(|folder| folder.ends_with(format!("R{key}"))).unwrap();
    ops_tests::scratch::predicate(&folder)
}

fn linked() {
    let scratch = calling(&["test.guest.echo"]);
    let names = ["--name", "test.guest.echo", "--name", "test.guest.echo"];
    let said = call(&scratch, &[&names[..], &["--arguments", r#"{"text": "hello"}"#]].concat());
    let parent = said["run_key"].as_str().unwrap();
    let answers = said["data"]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 2);
    let mut children = Vec::new();
    for answer in answers {
        assert_eq!(answer["output"]["texts"], serde_json::json!(["hello"]));
        let child = receipt(&scratch, answer["run"].as_str().unwrap());
        assert_eq!(
            (&child["run"]["calledBy"], &child["run"]["status"]),
            (&said["run_key"], &Value::from("done"))
        );
        assert_eq!(child["actor"], receipt(&scratch, parent)["actor"]);
        children.push(answer["run"].clone());
    }
    assert_ne!(children[0], children[1]);
    let parent = receipt(&scratch, parent);
    let invoked: Vec<_> =
        parent["invoked"].as_array().unwrap().iter().map(|one| one["run"].clone()).collect();
    assert_eq!((&invoked, &parent["grants"]["invoke"][0]), (&children, &Value::from("test.guest.echo")));
    scratch.ops(&["receipts", "verify", "--all"]).exits(0).says("3");
    let shown = scratch.ops(&["cap", "show", INVOKES]).exits(0).stdout;
    assert!(shown.contains("may call test.guest.echo"), "{shown}");
}

fn refused() {
    let scratch = calling(&["test.guest.echo"]);
    bind_two_effects(&scratch);
    let said = call(&scratch, &["--name", "test.guest.reads-service", "--name", "no.such"]);
    for answer in said["data"]["answers"].as_array().unwrap() {
        assert!(
            answer["why"].as_str().unwrap().contains("under `invoke:`") && answer["run"].is_null(),
            "{answer}"
        );
    }
    let denied = scratch.last_receipt()["denied"].to_string();
    assert!(
        denied.contains("invoke test.guest.reads-service") && denied.contains("invoke no.such"),
        "{denied}"
    );
    // One that may change something is refused by its own run, which has a receipt, even where the binding names it.
    bind_invokes(&scratch, &["test.guest.two-effects"]);
    let said = call(&scratch, &["--name", "test.guest.two-effects"]);
    let answer = &said["data"]["answers"][0];
    assert!(answer["why"].as_str().unwrap().contains("no other capability can call it"), "{answer}");
    let child = receipt(&scratch, answer["run"].as_str().unwrap());
    assert_eq!(
        (&child["run"]["status"], &child["outcome"]["errorCode"]),
        (&"denied".into(), &"invoke".into())
    );
    // And one that nobody bound is no run at all.
    bind_invokes(&scratch, &["test.guest.gone"]);
    let said = call(&scratch, &["--name", "test.guest.gone"]);
    let answer = &said["data"]["answers"][0];
    assert!(answer["why"].as_str().unwrap().contains("there is no capability") && answer["run"].is_null());
}

fn bind_two_effects(scratch: &Scratch) {
    scratch.bind(
        "guest-two-effects",
        "capability: test.guest.two-effects\ncomponent: components/guest_two_effects.wasm\nsafety: mutating\n\
         approval: {mode: manual}\nservices:\n  web:\n    origin: https://web.example.test:443\n    rules:\n\
         \x20     - {id: task, method: GET, path: /task, effect: read}\n\
         \x20     - {id: a, method: POST, path: /a, effect: mutate}\n\
         \x20     - {id: b, method: POST, path: /b, effect: mutate}\n",
    );
}

fn deep() {
    let scratch = Scratch::new();
    let component = component("guest-invokes");
    scratch.bind(
        "guest-invokes",
        &format!("capability: {INVOKES}\ncomponent: {component}\nsafety: read-only\ninvoke: [test.guest.calls-back]\n"),
    );
    scratch.bind(
        "guest-calls-back",
        &format!(
            "capability: test.guest.calls-back\ncomponent: components/guest_calls_back.wasm\nsafety: read-only\n\
             invoke: [{INVOKES}]\n"
        ),
    );
    // Each of the two calls the other one.
    let said = call(&scratch, &["--name", "test.guest.calls-back"]);
    let text = said["data"].to_string();
    assert!(text.contains("calls go at most 3 capabilities deep"), "{text}");
    let denied: Vec<_> = scratch
        .receipts()
        .iter()
        .map(|folder| ops_tests::scratch::predicate(folder))
        .filter(|receipt| receipt["outcome"]["errorCode"] == "limit-depth")
        .collect();
    assert_eq!((denied.len(), scratch.receipts().len()), (1, 5));
}

fn failing() {
    let scratch = calling(&["test.guest.panics"]);
    let component = component("guest-panics");
    scratch.bind(
        "guest-panics",
        &format!("capability: test.guest.panics\ncomponent: {component}\nsafety: read-only\n"),
    );
    let said = call(&scratch, &["--name", "test.guest.panics"]);
    let answer = &said["data"]["answers"][0];
    assert!(answer["why"].as_str().unwrap().contains("crashed"), "{answer}");
    assert_eq!(receipt(&scratch, answer["run"].as_str().unwrap())["run"]["exitCode"], 4);
    // Wrong arguments are no run.
    bind_invokes(&scratch, &["test.guest.echo"]);
    bind_echo(&scratch);
    for arguments in [r#"{"texts": 1}"#, "[]"] {
        let said = call(&scratch, &["--name", "test.guest.echo", "--arguments", arguments]);
        let answer = &said["data"]["answers"][0];
        assert!(answer["why"].is_string() && answer["run"].is_null(), "{answer}");
    }
}

fn planned() {
    let changed = Arc::new(AtomicBool::new(false));
    let later = changed.clone();
    let server = Server::start(move |_, _| {
        Reply::Answer(200, if later.load(Ordering::SeqCst) { "later" } else { "before" }.into())
    });
    let scratch = Scratch::new();
    scratch.bind(
        "guest-reads-service",
        &format!(
            "capability: test.guest.reads-service\ncomponent: components/guest_reads_service.wasm\nsafety: read-only\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: hello, method: GET, path: /hello, effect: read}}\n",
            server.origin()
        ),
    );
    fs::create_dir_all(scratch.path("ops/state/notes")).unwrap();
    scratch.bind(
        "guest-stages-what-it-heard",
        "capability: test.guest.stages-what-it-heard\ncomponent: components/guest_stages_what_it_heard.wasm\n\
         safety: mutating\napproval: {mode: manual}\ndirectories: {notes: {path: state/notes, access: stage}}\n\
         invoke: [test.guest.reads-service]\n",
    );
    let plan = scratch.ops(&["cap", "run", "test.guest.stages-what-it-heard"]).exits(3);
    let shown = scratch.ops(&["plan", "show", &plan.plan()]).exits(0).stdout;
    assert!(shown.contains("the answer of test.guest.reads-service, run CAP-"), "{shown}");
    let asked = server.seen().len();
    changed.store(true, Ordering::SeqCst);
    scratch.ops(&["plan", "approve", &plan.plan(), "--key", "key", "--apply"]).exits(0);
    assert_eq!(fs::read_to_string(scratch.path("ops/state/notes/heard.txt")).unwrap(), "before");
    assert_eq!(server.seen().len(), asked, "nothing is called in an application");
}

fn counted() {
    let scratch = calling(&["test.guest.echo"]);
    let many = ["--name", "no.such"].repeat(513);
    let ran = scratch.ops(&[&["cap", "run", INVOKES, "--json"][..], &many].concat()).exits(4);
    assert_eq!(ran.json()["error"]["code"], "limit-calls");
}

fn replayed() {
    let scratch = calling(&["test.guest.echo"]);
    let said = call(
        &scratch,
        &["--name", "test.guest.echo", "--name", "no.such", "--arguments", r#"{"text": "a"}"#],
    );
    let key = said["run_key"].as_str().unwrap();
    let runs = scratch.receipts().len();
    scratch.ops(&["receipts", "replay", key]).exits(0);
    assert_eq!(scratch.receipts().len(), runs, "nothing was called again");
    let folder = scratch.path("fixture");
    scratch
        .ops(&[
            "receipts",
            "export",
            key,
            "--keep",
            "arguments",
            "--keep",
            "name",
            "--fixture",
            folder.to_str().unwrap(),
        ])
        .exits(0);
    let fixture = fs::read_to_string(folder.join("fixture.json")).unwrap();
    let fixture: Value = serde_json::from_str(&fixture).unwrap();
    let crossing = &fixture["crossings"][0];
    assert_eq!(crossing["invoke"][0]["capability"], "test.guest.echo");
    assert!(crossing["answer"][0]["output"].is_object() && crossing["answer"][1]["not_granted"].is_string());
}

/// A workspace in which `starts` may have these started.
fn starting(may: &str) -> Scratch {
    let scratch = Scratch::new();
    bind_echo(&scratch);
    fs::create_dir_all(scratch.path("ops/state/notes")).unwrap();
    let component = component("guest-starts");
    scratch.bind(
        "guest-starts",
        &format!(
            "capability: test.guest.starts\ncomponent: {component}\nsafety: read-only\nstarts: [{may}]\n"
        ),
    );
    scratch
}

const STARTS: [&str; 3] = ["cap", "run", "test.guest.starts"];

fn started() {
    let scratch = starting("test.guest.echo, test.guest.two-effects");
    bind_two_effects(&scratch);
    let echo = ["--name", "test.guest.echo", "--arguments", r#"{"text": "hello"}"#];
    let said = scratch.ops(&[&STARTS[..], &echo, &["--json"]].concat()).exits(0).json();
    let second = &said["started"];
    assert_eq!(
        (&second["capability"], &second["data"]["texts"][0]),
        (&"test.guest.echo".into(), &"hello".into())
    );
    let started = receipt(&scratch, second["run_key"].as_str().unwrap());
    assert_eq!((&started["run"]["startedBy"], &started["run"]["calledBy"]), (&said["run_key"], &Value::Null));
    // One that may change something goes its own way: to a plan, here to the network that is not there.
    let ran = scratch.ops(&[&STARTS[..], &["--name", "test.guest.two-effects"]].concat());
    assert!(ran.stderr.contains("started on its word: test.guest.two-effects") && ran.code != 0, "{ran:?}");
    let runs = scratch.receipts().len();
    // A dry run starts nothing, and so does a run that chose nothing.
    scratch.ops(&[&STARTS[..], &echo, &["--dry-run"]].concat()).exits(0);
    scratch.ops(&STARTS).exits(0);
    assert_eq!(scratch.receipts().len(), runs + 2);
    // Called, and not asked for by a person, it starts nothing either.
    bind_invokes(&scratch, &["test.guest.starts"]);
    call(&scratch, &["--name", "test.guest.starts", "--arguments", r#"{"name": "test.guest.echo"}"#]);
    assert_eq!(scratch.receipts().len(), runs + 4);
}

fn not_started() {
    let scratch = starting("test.guest.two-effects");
    let ran = scratch.ops(&[&STARTS[..], &["--name", "test.guest.echo"]].concat()).exits(4);
    drop(ran.says("starts: [test.guest.echo]"));
    assert_eq!(scratch.receipts().len(), 1);
}

/// Whoever counts what was started before must see the start that is under way.
fn held() {
    let scratch = Scratch::new();
    let bind = |guest: &str, more: &str| {
        let (name, component) = (guest.replace("guest-", "test.guest."), component(guest));
        scratch
            .bind(guest, &format!("capability: {name}\ncomponent: {component}\nsafety: read-only\n{more}"));
    };
    bind("guest-sleeps", "limits: {time: 10m}\n");
    bind("guest-starts", "starts: [test.guest.sleeps]\nlock: one\nlimits: {wait: 1ms}\n");
    let words = ["cap", "run", "test.guest.starts", "--name", "test.guest.sleeps"];
    let mut first = scratch.command().args(words).stderr(std::process::Stdio::null()).spawn().unwrap();
    // Its receipt is there, and what it had started sleeps.
    while scratch.receipts().is_empty() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before");
        std::thread::yield_now();
    }
    let second = scratch.ops(&["cap", "run", "test.guest.starts", "--json"]).exits(4);
    assert_eq!(second.json()["error"]["code"], "locked");
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), rustix::process::Signal::INT)
        .unwrap();
    first.wait().unwrap();
    scratch.ops(&["cap", "run", "test.guest.starts"]).exits(0);
}

/// A workspace with a capability that may read these paths of the host.
fn asking(rules: &str) -> Scratch {
    let scratch = Scratch::new();
    bind_echo(&scratch);
    let component = component("guest-reads-the-host");
    scratch.bind(
        "guest-reads-the-host",
        &format!(
            "capability: {HOST}\ncomponent: {component}\nsafety: read-only\nservices:\n  ops:\n    rules:\n{rules}\n\
             limits: {{response: 4MiB}}\n"
        ),
    );
    scratch
}

fn ask(scratch: &Scratch, path: &str) -> (u64, Value) {
    let said = scratch.ops(&["cap", "run", HOST, path, "--json"]).exits(0).json();
    (said["data"]["status"].as_u64().unwrap(), said["data"]["body"].clone())
}

fn host() {
    let scratch =
        asking("      - {id: all, method: GET, path: /**, effect: read, query: [last, status, capability]}");
    scratch.ops(&["cap", "run", "test.guest.echo", "a"]).exits(2);
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "a"]).exits(0);
    let (status, registry) = ask(&scratch, "/registry");
    let names: Vec<_> = registry["capabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!((status, names), (200, vec!["test.guest.echo", HOST]));
    let own = &registry["capabilities"][1];
    assert_eq!((&own["services"][0]["name"], &own["services"][0]["origin"]), (&"ops".into(), &Value::Null));
    assert_eq!((&own["services"][0]["rules"][0]["needed"], &own["fault"]), (&true.into(), &Value::Null));
    let (_, lock) = ask(&scratch, "/lock");
    assert_eq!((&lock["holds"], lock["changed"].as_array().map(Vec::len)), (&true.into(), Some(0)), "{lock}");
    let (_, sync) = ask(&scratch, "/sync");
    assert!(sync["differences"].is_array() && sync["files"].is_array(), "{sync}");
    let (_, settings) = ask(&scratch, "/settings");
    assert_eq!(settings["approvals"]["approval_seconds"], 3600);
    let (_, ledger) = ask(&scratch, "/ledger");
    assert_eq!(ledger["consistent"], true, "{ledger}");
    let (_, runs) = ask(&scratch, "/runs?capability=test.guest.echo&last=5");
    assert_eq!((runs["runs"].as_array().unwrap().len(), &runs["runs"][0]["status"]), (1, &"done".into()));
    assert_eq!(ask(&scratch, "/runs?status=unknown").1["runs"], serde_json::json!([]));
    let (_, receipts) = ask(&scratch, "/receipts?last=3");
    assert_eq!((&receipts["receipts"], &receipts["bad"]), (&3.into(), &serde_json::json!([])), "{receipts}");
    assert_eq!(ask(&scratch, "/plans").1["plans"], serde_json::json!([]));
    assert_eq!(ask(&scratch, "/runs?last=0").0, 400);
    assert_eq!(ask(&scratch, "/secrets").0, 404);
    // A binding that was changed since is told, without the lock's being less than it is.
    scratch.write("ops/bindings/test.guest.echo.yaml", "capability: test.guest.echo\n");
    let (_, lock) = ask(&scratch, "/lock");
    assert_eq!(lock["changed"][0]["what"], "changed");
    // What no rule lets through is denied like any request.
    let narrow = asking("      - {id: lock, method: GET, path: /lock, effect: read}");
    let ran = narrow.ops(&["cap", "run", HOST, "/registry"]).exits(1);
    drop(ran.says("NotGranted"));
    assert!(narrow.last_receipt()["denied"].to_string().contains("GET /registry"));
    assert_eq!(narrow.last_receipt()["grants"]["services"][0]["origin"], Value::Null);
}

/// The key of the newest run.
fn latest(scratch: &Scratch) -> String {
    scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned()
}

fn keys() {
    let scratch = asking("      - {id: all, method: GET, path: /**, effect: read}");
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "hello"]).exits(0);
    let key = latest(&scratch);
    let (status, receipt) = ask(&scratch, &format!("/receipts/{key}"));
    assert_eq!(
        (status, &receipt["verifies"], &receipt["status"], &receipt["safety"]),
        (200, &true.into(), &"done".into(), &"read-only".into())
    );
    let (status, output) = ask(&scratch, &format!("/runs/{key}/output"));
    assert_eq!((status, &output["texts"][0]), (200, &"hello".into()));
    // The end of a key is for people.
    let end = key.rsplit("__").next().unwrap();
    assert_eq!(ask(&scratch, &format!("/receipts/{end}")).0, 404);
    assert_eq!(ask(&scratch, &format!("/runs/{end}/output")).0, 404);
    // A receipt of which the copy for people was changed does not verify.
    let folder = scratch.receipts().into_iter().find(|folder| folder.ends_with(format!("R{key}"))).unwrap();
    let output = folder.join("output.json");
    fs::write(&output, fs::read_to_string(&output).unwrap().replace("hello", "other")).unwrap();
    let (_, receipt) = ask(&scratch, &format!("/receipts/{key}"));
    assert_eq!(receipt["verifies"], false, "{receipt}");
    assert!(receipt["why"].as_str().unwrap().contains("BAD"), "{receipt}");
    assert_eq!(ask(&scratch, &format!("/runs/{key}/output")).0, 200, "the host's own copy is as it was");
    // The host's copy of a long output is a file.
    let long = format!("hello{}", " ".repeat(70_000));
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", &long]).exits(0);
    let key = latest(&scratch);
    let kept = crate::replay::content(&scratch).join(&key).join("output.json");
    fs::write(&kept, fs::read_to_string(&kept).unwrap().replace("hello", "other")).unwrap();
    assert_eq!(ask(&scratch, &format!("/runs/{key}/output")).0, 500);
    // A copy of another run's good receipt is not this run's.
    let scratch = asking("      - {id: all, method: GET, path: /**, effect: read}");
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "one"]).exits(0);
    let one = latest(&scratch);
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "two"]).exits(0);
    let two = latest(&scratch);
    let place = |key: &str| scratch.path("receipts/sessions").join(format!("R{key}"));
    fs::remove_dir_all(place(&one)).unwrap();
    let copied =
        std::process::Command::new("cp").arg("-a").args([place(&two), place(&one)]).status().unwrap();
    assert!(copied.success());
    assert_eq!(ask(&scratch, &format!("/receipts/{one}")).1["verifies"], false);
    let checked = scratch.ops(&["receipts", "verify", &one]);
    assert!(checked.code != 0 && checked.stdout.contains("another receipt"), "{checked:?}");
    // And a folder of that name in somebody's way is no receipt.
    fs::remove_dir_all(place(&one)).unwrap();
    fs::rename(place(&two), scratch.path(&one)).unwrap();
    assert!(scratch.ops(&["receipts", "verify", &one]).exits(0).stdout.contains("good"));
}
