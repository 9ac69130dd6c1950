//! A run that is killed while its effect is on the way: nobody knows what became of it, and `ops` says so.

use std::process::Stdio;
use std::time::Duration;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::server::{Reply, Server};
use ops_tests::skip::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("crash::a_killed_run_is_listed_and_blocks_its_input", None, killed)]
}

fn killed() {
    // The server takes the effect and never answers.
    let server = Server::start(|_, _| Reply::Silence(Duration::from_secs(300)));
    let scratch = Scratch::new();
    scratch.bind(
        "guest-two-effects",
        &format!(
            "capability: test.guest.two-effects\n\
             component: components/guest_two_effects.wasm\n\
             safety: mutating\n\
             approval: {{mode: manual}}\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: task, method: GET, path: /task, effect: read}}\n\
             \x20     - {{id: a, method: POST, path: /a, effect: mutate}}\n\
             \x20     - {{id: b, method: POST, path: /b, effect: mutate}}\n\
             limits: {{time: 5m}}\n",
            server.origin()
        ),
    );
    let plan = scratch.ops(&["cap", "run", "test.guest.two-effects"]).exits(3).plan();
    assert_eq!(server.connections(), 0, "planning sent something");

    let mut run = scratch
        .command()
        .args(["plan", "approve", &plan, "--key", "key", "--apply"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.seen().is_empty() {
        assert!(run.try_wait().unwrap().is_none(), "it ended without sending its effect");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();

    // One run has no end, and status says which.
    let status = scratch.ops(&["status", "--json"]).exits(1).json();
    let unknown = status["unknown"].as_array().unwrap();
    assert_eq!(unknown.len(), 1, "{status}");
    let key = unknown[0]["run"].as_str().unwrap().to_owned();
    scratch.ops(&["status"]).exits(1).says(&key);

    // The same input could do the same thing twice, so it is refused, with a receipt that names the run.
    scratch.ops(&["cap", "run", "test.guest.two-effects"]).exits(4).says(&key);
    let receipt = scratch.last_receipt();
    assert_eq!(
        (&receipt["run"]["status"], &receipt["outcome"]["errorCode"]),
        (&"denied".into(), &"blocked".into())
    );
    scratch.ops(&["plan", "apply", &plan]).exits(4);
    assert_eq!(server.seen().len(), 1, "the effect was sent once");
}
