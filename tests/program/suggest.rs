//! `ops suggest`: the patch applies, the same runs pass under it, and what they did not do is denied.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ran};
use ops_tests::server::Server;
use ops_tests::skip;
use serde_json::json;

use crate::hostile::yard::Yard;
use crate::unknown::{UNDO_RULES, machines, site};

const ASKS: &str = "test.guest.asks";

pub(crate) fn trials() -> Vec<Trial> {
    let git = (!skip::has_program("git")).then_some("git");
    let trial = |name: &str, test: fn()| skip::trial(format!("suggest::{name}"), git, test);
    vec![
        trial("a_patch_narrows_to_what_was_done", narrows),
        trial("runs_are_chosen_and_the_others_are_told_of", chosen),
        trial("effects_of_plans_and_their_undos_count_as_used", effects),
        trial("of_bodies_that_are_not_kept_nothing_is_guessed", not_kept),
        trial("the_simulated_stack_keeps_what_its_needs_name", simulated),
    ]
}

/// Takes a suggestion, applies it as a person does, and pins. What was printed for people is returned.
#[track_caller]
pub(crate) fn applied(scratch: &Scratch, capability: &str) -> Ran {
    let before = fs::read(scratch.path(&format!("ops/bindings/{capability}.yaml"))).unwrap();
    let told = scratch.ops(&["suggest", capability]).exits(0).says("a narrower binding");
    let after = fs::read(scratch.path(&format!("ops/bindings/{capability}.yaml"))).unwrap();
    assert_eq!(before, after, "a suggestion was applied by itself");
    scratch.write("narrower.patch", &told.stdout);
    ran(scratch.around(&mut Command::new("git")).args(["apply", "narrower.patch"])).exits(0);
    scratch.pin();
    scratch.ops(&["suggest", capability]).exits(0).says("as narrow as these runs allow");
    told
}

/// The binding of the guest that asks for what it is told to. `rules` are one a line.
fn binding(server: &Server, more: &str) -> String {
    format!(
        "# what it asks\nservices:\n  web:   # a stand-in\n    origin: {}\n    addresses: [127.0.0.0/8]\n    rules:\n      \
         # whatever there is\n      - {{id: any, method: GET, path: /**, effect: read, query: [q]}}   # all of it\n  \
         other:\n    origin: {}\n    addresses: [127.0.0.0/8]\n    rules: [{{id: one, method: GET, path: /one, effect: read}}]\n{more}",
        server.origin(),
        server.origin(),
    )
}

fn narrows() {
    let server = Server::answering("good day");
    let yard = Yard::new("asks");
    let scratch = &yard.scratch;
    ran(scratch.around(&mut Command::new("git")).args(["init", "-q"])).exits(0);
    yard.bind(&binding(&server, ""));
    let hello = ["--ask", "web/hello", "--ask", "web/vms/1?q=x"];
    let _ = yard.run(&hello).ends("done", 0, None);
    let hostile = ["web/secret", "web/hello?q=x", "other/one"];
    for what in hostile {
        assert_eq!(answer(&yard, what).0, json!(200), "today's binding allows {what}");
    }
    // It learns from the first run alone.
    let keys = scratch.ops(&["runs", "list", "--json"]).exits(0).json();
    let first = keys["runs"].as_array().unwrap().iter().rfind(|row| row["capability"] == ASKS).unwrap();
    let key = first["key"].as_str().unwrap();
    let short = &key[key.find("__R").unwrap() + 2..];
    let told = scratch.ops(&["suggest", ASKS, "--from", short]).exits(0);
    for words in
        ["exact-paths", "not-used: ", "other GET /one", "web GET /secret", "dialled", "twice-the-most", key]
    {
        assert!(told.stderr.contains(words), "no `{words}` in:\n{}", told.stderr);
    }
    assert!(
        told.stdout.starts_with(&format!("--- a/ops/bindings/{ASKS}.yaml\n+++ b/ops/bindings/{ASKS}.yaml\n"))
    );
    scratch.write("narrower.patch", &told.stdout);
    ran(scratch.around(&mut Command::new("git")).args(["apply", "narrower.patch"])).exits(0);
    scratch.pin();
    let text = fs::read_to_string(scratch.path(&format!("ops/bindings/{ASKS}.yaml"))).unwrap();
    for kept in
        ["# what it asks\n", "# a stand-in\n", "# whatever there is\n", "# all of it\n", "127.0.0.1/32"]
    {
        assert!(text.contains(kept), "no `{kept}` in:\n{text}");
    }

    let _ = yard.run(&hello).ends("done", 0, None).denies_nothing();
    for what in hostile {
        assert_eq!(answer(&yard, what).0, json!(null), "the narrower binding allows {what}");
    }
    for (method, url) in [("GET", "web:/secret"), ("POST", "web:/hello"), ("GET", "web:/vms/2")] {
        scratch.ops(&["explain", ASKS, method, url]).exits(1);
    }
    scratch.ops(&["explain", ASKS, "GET", "web:/vms/1?q=y"]).exits(0);

    // Another address: the ranges of today allow it, those of the suggestion do not.
    let elsewhere = text.replace("//127.0.0.1:", "//127.0.0.2:");
    for (text, is_denied) in [(elsewhere.replace("127.0.0.1/32", "127.0.0.0/8"), false), (elsewhere, true)] {
        scratch.write_binding(&text);
        scratch.pin();
        let run = yard.run(&["--ask", "web/hello"]);
        let denied = run.receipt["denied"].as_array().unwrap().iter();
        assert_eq!(
            denied.filter(|denial| denial["kind"] == "address").count() > 0,
            is_denied,
            "{}",
            run.receipt["denied"]
        );
    }
}

/// What came of asking for one thing: the status, and why there was none.
fn answer(yard: &Yard, what: &str) -> (serde_json::Value, serde_json::Value) {
    let run = yard.run(&["--ask", what]);
    let output = run.output();
    (output["answers"][0]["status"].clone(), output["answers"][0]["error"].clone())
}

fn chosen() {
    let server = Server::answering("good day");
    let yard = Yard::new("asks");
    let scratch = &yard.scratch;
    yard.bind(&binding(&server, ""));
    scratch.ops(&["suggest", ASKS]).exits(2).says("it has none");
    scratch.ops(&["suggest", "test.guest.ask"]).exits(2).says("did you mean");
    let denied = yard.run(&["--strict", "--ask", "nobody/x"]);
    assert_eq!(denied.receipt["run"]["status"], "failed");
    scratch.ops(&["suggest", ASKS]).exits(2).says("ended as failed");
    let key = |run: &crate::hostile::yard::Run<'_>| run.receipt["run"]["id"].as_str().unwrap().to_owned();
    let failed = key(&denied);
    let one = key(&yard.run(&["--ask", "web/1"]));
    let two = key(&yard.run(&["--ask", "web/2"]));
    let _ = yard.run(&["--ask", "web/3"]);

    let both = format!("{one},{two}");
    let told = scratch.ops(&["suggest", ASKS, "--from", &both, "--json"]).exits(0).json();
    assert_eq!(told["from"], json!([one, two]));
    assert_eq!(told["would_have_denied"][0]["what"], "web GET /3");
    assert_eq!((&told["past_runs"], &told["proof"]["decided"]), (&json!(4), &json!(2)));
    let told = scratch.ops(&["suggest", ASKS, "--json"]).exits(0).json();
    assert_eq!(told["left_out"], json!([{"why": "ended as failed", "runs": 1}]));
    let told = scratch.ops(&["suggest", ASKS, "--runs", "1", "--json"]).exits(0).json();
    assert_eq!(told["from"].as_array().unwrap().len(), 1);
    scratch.ops(&["suggest", ASKS, "--from", &failed]).exits(2).says("ended as failed");
    scratch.ops(&["suggest", ASKS, "--from", "Rnone"]).exits(2);
    scratch.ops(&["suggest", "test.guest.echo", "--from", &one]).exits(2).says("is a run of");

    // Another component is another capability as far as its runs tell.
    let wasm = scratch.path("ops/components/guest_asks.wasm");
    let mut bytes = fs::read(&wasm).unwrap();
    // An empty custom section of the name `x`.
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&wasm, bytes).unwrap();
    scratch.pin();
    scratch.ops(&["suggest", ASKS]).exits(2).says("another component");
}

fn effects() {
    const NAME: &str = "test.guest.sets-up";
    let server = machines("");
    let more = "      - {id: wipe, method: PUT, path: /machines/**, effect: mutate}   # never used\n";
    let scratch = site(&server, &format!("{more}{UNDO_RULES}"));
    let call = |machine: &'static str| ["cap", "run", NAME, "--machine", machine, "--note", "hello"];
    // Plans that nobody has carried out yet are enough.
    scratch.ops(&call("m1")).exits(3);
    let told = applied(&scratch, NAME);
    let text = fs::read_to_string(scratch.path(&format!("ops/bindings/{NAME}.yaml"))).unwrap();
    assert!(!text.contains("wipe") && text.contains("path: /machines/m1/clone"), "{text}");
    for (id, path) in [("remove", "\"/machines/{m}\""), ("stop", "\"/machines/{m}/stop\"")] {
        assert!(text.contains(&format!("id: {id}, ")) && text.contains(&format!("path: {path}")), "{text}");
    }
    assert!(told.stderr.contains("for-undo: "), "{}", told.stderr);
    // What is asked only once an effect has been answered is in no plan, and that is said.
    assert!(told.stderr.contains("none of these runs carried its effects out"), "{}", told.stderr);
    let denied = scratch.ops(&["explain", NAME, "GET", "web:/machines/m1/task"]);
    assert_eq!(denied.code, 1, "{}", denied.stdout);

    scratch.write_binding(&text.replace("path: /machines/m1, ", "path: \"/machines/{m}\", "));
    scratch.pin();
    scratch.ops(&call("m2")).exits(4).says("POST");
}

fn not_kept() {
    let server = Server::answering("good day");
    let yard = Yard::new("asks");
    yard.bind(&binding(&server, "record: digests\n"));
    let _ = yard.run(&["--ask", "web/hello?q=1"]).ends("done", 0, None);
    let told = applied(&yard.scratch, ASKS);
    assert!(told.stderr.contains("its receipt has method, path and address"), "{}", told.stderr);
    assert!(told.stdout.contains("path: /hello, effect: read, query: [q]"), "{}", told.stdout);
    let _ = yard.run(&["--ask", "web/hello?q=1"]).ends("done", 0, None).denies_nothing();
    yard.scratch.ops(&["explain", ASKS, "GET", "web:/hello/x"]).exits(1);
}

/// The four capabilities of the mail stack as the repository binds them, where no mail service is.
fn simulated() {
    let scratch = Scratch::new();
    let folder = ops_tests::scratch::repository().join("ops/bindings");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let contract = "communications.stack.contract.yaml";
    scratch.write(&format!("ops/bindings/{contract}"), &read(contract));
    let send = ["communications.mail.send.test", "--to", "ops@communications.local"];
    let all: [(&str, &str, &[&str]); 4] = [
        ("communications-stack-status", "contracts", &["communications.stack.status"]),
        ("communications-mailboxes-list", "contracts", &["communications.mailboxes.list"]),
        ("communications-mail-search", "contracts", &["communications.mail.search"]),
        ("communications-mail-send-test", "directories", &send),
    ];
    for (guest, needed, words) in all {
        scratch.place(guest);
        // More than it needs, so that there is something to say.
        let text = read(&format!("{}.yaml", words[0]));
        let more = "  spare: {path: state/spare, access: read}\n";
        let text = match needed {
            "directories" => text.replace("directories:\n", &format!("directories:\n{more}")),
            _ => format!("{text}directories:\n{more}"),
        };
        scratch.write_binding(&text);
    }
    fs::create_dir_all(scratch.path("ops/state/spare")).unwrap();
    fs::create_dir_all(scratch.path("ops/state/outbox")).unwrap();
    scratch.pin();
    for (_, _, words) in all {
        let run = || scratch.ops(&[&["cap", "run"], words].concat());
        let before = run();
        let told = applied(&scratch, words[0]);
        let text = fs::read_to_string(scratch.path(&format!("ops/bindings/{}.yaml", words[0]))).unwrap();
        assert!(!text.contains("spare") && told.stderr.contains("not-needed"), "{text}");
        // What was bound by the repository is all needed, so it is left as it was written.
        assert_eq!(text, read(&format!("{}.yaml", words[0])));
        assert_eq!(run().code, before.code, "{}", before.stderr);
    }
}
