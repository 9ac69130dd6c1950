//! How `ops mcp serve` behaves towards its client: two versions of the protocol, progress, calls that are given up
//! before and after something was changed, a full lane, and its own end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use libtest_mimic::Trial;
use ops_tests::agent::{PROTOCOL, Piped, Said, Served, message, token};
use ops_tests::scratch::{Scratch, ran};
use ops_tests::server::{Reply, Server, free_port};
use ops_tests::skip;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long something that must happen is waited for. Nothing but a defect takes as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Calls of one capability that are taken at once, and one more.
const TOO_MANY: u64 = 4 + 64 + 1;

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name, run: fn()| skip::trial(format!("mcp::serving::{name}"), None, run);
    vec![
        trial("a_client_of_2025_is_served", client_of_2025),
        trial("a_client_of_2026_is_served", client_of_2026),
        trial("what_is_no_request_is_refused_and_the_next_one_served", no_request),
        trial("standard_output_is_the_protocols_alone", descriptor_one),
        trial("a_call_that_is_cancelled_before_the_intent_stops", cancelled_before),
        trial("a_call_that_is_cancelled_after_the_intent_goes_on", cancelled_after),
        trial("a_client_that_leaves_after_the_intent_leaves_nothing_half_done", left_after),
        trial("a_dropped_connection_stops_what_has_changed_nothing", dropped_connection),
        trial("a_full_lane_says_busy_and_delays_no_other", full_lane),
        trial("a_plan_is_carried_out_once_however_often_it_is_sent", ten_times),
        trial("a_server_that_is_told_to_end_ends_its_runs", terminated),
        trial("a_server_that_is_told_to_end_still_answers", terminated_after),
        trial("a_server_on_pipes_that_is_told_to_end_still_answers", terminated_after_on_pipes),
        trial("a_lock_for_development_is_not_served_over_http", development),
        trial("a_name_comes_with_its_role", named),
        trial("a_cold_server_refuses_nobody", cold),
        trial("without_a_lock_the_host_is_at_fault", no_lock),
        trial("a_host_that_is_not_as_required_does_not_serve", unfit),
    ]
}

/// A server that says when it is asked for something, and waits for leave before it answers.
struct Slow {
    server: Server,
    asked: Receiver<()>,
    leave: Sender<()>,
}

impl Slow {
    fn at(path: &'static str) -> Self {
        let (ask, asked) = channel();
        let (leave, may) = channel();
        let (ask, may) = (Mutex::new(ask), Mutex::new(may));
        let server = Server::start(move |seen, _| {
            if seen.target == path {
                let _ = ask.lock().unwrap().send(());
                // A test that has ended gives leave too.
                let _ = may.lock().unwrap().recv();
            }
            Reply::Answer(200, "done".to_owned())
        });
        Self { server, asked, leave }
    }

    fn wait_until_asked(&self) {
        self.asked.recv_timeout(PATIENCE).expect("nobody asked");
    }

    /// A workspace whose capability reads from this server.
    fn read(&self) -> Scratch {
        let scratch = Scratch::new();
        scratch.bind(
            "guest-reads-service",
            &format!(
                "capability: test.guest.reads-service\ncomponent: components/guest_reads_service.wasm\n\
                 safety: read-only\nservices:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n      \
                 - {{id: hello, method: GET, path: /hello, effect: read}}\n",
                self.server.origin()
            ),
        );
        scratch
    }

    /// A workspace whose capability changes two things at this server.
    fn changed(&self) -> Scratch {
        let scratch = Scratch::new();
        scratch.bind(
            "guest-two-effects",
            &format!(
                "capability: test.guest.two-effects\ncomponent: components/guest_two_effects.wasm\nsafety: mutating\n\
                 approval: {{mode: manual}}\nservices:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n      \
                 - {{id: task, method: GET, path: /task, effect: read}}\n      \
                 - {{id: a, method: POST, path: /a, effect: mutate}}\n      \
                 - {{id: b, method: POST, path: /b, effect: mutate}}\n",
                self.server.origin()
            ),
        );
        scratch
    }

    /// The changes that it was asked for.
    fn changes(&self) -> Vec<String> {
        let seen = self.server.seen();
        seen.into_iter().filter(|seen| seen.method == "POST").map(|seen| seen.target).collect()
    }
}

/// A workspace with these guests, all of them read-only.
fn reading(guests: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    for guest in guests {
        scratch.place(&format!("guest-{guest}"));
        scratch.write_binding(&format!(
            "capability: test.guest.{guest}\ncomponent: components/guest_{}.wasm\nsafety: read-only\n",
            guest.replace('-', "_")
        ));
    }
    scratch.pin();
    scratch
}

/// A server on pipes whose lines a test writes and reads itself.
struct Raw {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Raw {
    fn start(scratch: &Scratch) -> Self {
        let mut command = scratch.command();
        let mut child =
            command.args(["mcp", "serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn write(&mut self, line: &str) {
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn ask(&mut self, line: &str) -> Value {
        self.write(line);
        self.read()
    }

    /// Closes the server's input, if it is not closed yet, and waits for its end.
    fn ends(mut self) {
        drop(self.to.take());
        let mut left = String::new();
        self.from.read_to_string(&mut left).unwrap();
        assert!(self.child.wait().unwrap().success(), "{left}");
    }
}

/// The envelope of the answer to the last request.
fn call(server: &mut Piped, tool: &str, arguments: &Value) -> Said {
    server.request("tools/call", json!({"name": tool, "arguments": arguments})).pop().unwrap().said()
}

/// A plan of two effects that a person has approved.
fn approved(scratch: &Scratch, server: &mut Piped) -> String {
    let plan = call(server, "test_guest_two_effects", &json!({})).is("planned").plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    plan
}

fn apply(server: &mut Piped, plan: &str) -> u64 {
    server.ask("tools/call", json!({"name": "test_guest_two_effects", "arguments": {"plan_id": plan}}))
}

/// How the last run ended.
fn last_status(scratch: &Scratch) -> Value {
    scratch.last_receipt()["run"]["status"].clone()
}

fn client_of_2025() {
    let scratch = reading(&["echo"]);
    let mut server = Raw::start(&scratch);
    // It may ask whether somebody is there before it says who it is.
    assert_eq!(server.ask(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#)["result"], json!({}));
    let began = server.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"old","version":"7"}}}"#,
    );
    let began = &began["result"];
    assert_eq!(began["protocolVersion"], "2025-11-25");
    assert_eq!(began["serverInfo"]["name"], "ops");
    assert!(began["serverInfo"]["version"].is_string() && began["serverInfo"]["title"].is_string());
    let mut kinds: Vec<_> = began["capabilities"].as_object().unwrap().keys().collect();
    kinds.sort();
    assert_eq!(kinds, ["prompts", "resources", "tools"], "and nothing that is deprecated");
    server.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

    let listed = server.ask(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(listed["result"]["tools"][0]["name"], "test_guest_echo");
    assert_eq!(listed["result"]["tools"][0]["title"], "test.guest.echo");
    assert_eq!(listed["result"].get("resultType"), None, "which it would not know");
    let called = server.ask(
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"test_guest_echo","arguments":{"text":"hi"}}}"#,
    );
    assert_eq!(called["result"]["isError"], false);
    assert_eq!(called["result"]["structuredContent"]["data"]["texts"], json!(["hi"]));
    assert_eq!(server.ask(r#"{"jsonrpc":"2.0","id":4,"method":"ping"}"#)["result"], json!({}));
    server.ends();
    let actor = scratch.last_receipt()["actor"].clone();
    assert_eq!((&actor["kind"], &actor["via"]), (&json!("agent"), &json!("mcp")));
    assert_eq!(actor["client"], "old/7");

    // One that speaks what nobody speaks here is offered what this server speaks.
    let mut server = Raw::start(&scratch);
    let began = server.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"old","version":"7"}}}"#,
    );
    assert_eq!(began["result"]["protocolVersion"], "2025-11-25");
    server.ends();
}

fn client_of_2026() {
    let scratch = reading(&["echo"]);
    let mut server = Piped::start(scratch.command());
    let found = server.request("server/discover", json!({})).pop().unwrap();
    assert_eq!(found.result()["supportedVersions"], json!(["2025-11-25", PROTOCOL]));
    assert_eq!(found.result()["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "ops");
    let listed = server.request("tools/list", json!({})).pop().unwrap();
    assert_eq!(listed.result()["resultType"], "complete");
    assert_eq!(listed.result()["cacheScope"], "private");
    assert!(listed.result()["ttlMs"].is_u64());
    let again = server.request("tools/list", json!({})).pop().unwrap();
    assert_eq!(listed.result(), again.result(), "always in the same order");
    let called = call(&mut server, "test_guest_echo", &json!({"text": "hi"})).is("done");
    let read = server.request("resources/read", json!({"uri": called.content["receipt"]})).pop().unwrap();
    let receipt = read.result()["contents"][0]["text"].as_str().unwrap();
    let receipt: Value = serde_json::from_str(receipt).unwrap();
    assert_eq!(receipt["predicate"]["run"]["id"], called.run());
    server.finish();
}

fn no_request() {
    let scratch = reading(&["echo"]);
    let mut server = Piped::start(scratch.command());
    server.request("tools/list", json!({}));
    // Not JSON: there is nobody to answer to.
    server.send_line("{");
    server.send_line("");
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}));
    for (method, params, code) in [
        ("no/such/method", json!({}), -32601),
        ("tools/list", json!({"cursor": "2"}), -32602),
        ("tools/call", json!({"name": "test_guest_eko", "arguments": {}}), -32602),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({"name": 5}), -32602),
        ("tools/call", json!({"name": "test_guest_echo", "arguments": []}), -32602),
        ("tools/call", json!({"name": "ops_approve", "arguments": {}}), -32602),
        ("resources/read", json!({"uri": "file:///etc/passwd"}), -32602),
        ("resources/read", json!({"uri": "ops://receipts/../../etc/passwd"}), -32602),
    ] {
        let refused = server.request(method, params.clone()).pop().unwrap();
        assert_eq!(refused.message["error"]["code"], code, "{method} {params}: {}", refused.raw);
    }
    for (tool, arguments) in [
        ("test_guest_echo", json!({"text": "x", "more": 1})),
        ("test_guest_echo", json!({"text": 5})),
        ("test_guest_echo", json!({"text": "x".repeat(2 << 20)})),
        ("test_guest_echo", json!({"text": "x", "plan_id": "P1"})),
        ("ops_plan_status", json!({"plan_id": "P1"})),
        ("ops_plan_status", json!({"plan_id": "P1", "approve": true})),
        ("ops_receipt", json!({"run_key": "CAP"})),
        ("ops_status", json!({"all": true})),
    ] {
        let refused = call(&mut server, tool, &arguments).is("usage");
        assert!(refused.is_error && !refused.message().is_empty(), "{tool}");
        assert_eq!(refused.content["error"]["code"], "usage", "{tool}");
        let has_pointer = refused.message().contains(['/']) || refused.message().contains("longer than");
        assert!(has_pointer && !refused.message().contains("--help"), "{tool}: {}", refused.message());
    }
    call(&mut server, "test_guest_echo", &json!({"text": "still here"})).is("done");
    server.finish();
    assert_eq!(scratch.receipts().len(), 1, "only what was served");
}

fn descriptor_one() {
    let scratch = reading(&["echo"]);
    let mut server = Raw::start(&scratch);
    server.ask(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let of = |number: u8| std::fs::read_link(format!("/proc/{}/fd/{number}", server.child.id())).unwrap();
    assert_eq!(of(1), of(2), "what is printed goes where errors go");
    assert_eq!(of(0), std::path::Path::new("/dev/null"));
    server.ends();
}

fn cancelled_before() {
    let slow = Slow::at("/hello");
    let scratch = slow.read();
    let mut server = Piped::start(scratch.command());
    let number = server.ask("tools/call", json!({"name": "test_guest_reads_service", "arguments": {}}));
    slow.wait_until_asked();
    let cancelled = json!({"requestId": number, "reason": "changed my mind"});
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}));
    wait_for_receipt(&mut server, "interrupted");
    let left = server.finish();
    assert!(left.is_empty(), "a cancelled call is not answered: {left:?}");
    assert_eq!(last_status(&scratch), "interrupted");
}

/// Looks at the list of receipts until there is one that says how its run ended.
fn wait_for_receipt(server: &mut Piped, status: &str) {
    let end = std::time::Instant::now() + PATIENCE;
    let has_ended = |listed: &Value| {
        let mut listed = listed["resources"].as_array().unwrap().iter();
        listed.any(|one| {
            one["description"].as_str().is_some_and(|text| text.contains(&format!(", {status}, ")))
        })
    };
    while !has_ended(server.request("resources/list", json!({})).pop().unwrap().result()) {
        assert!(std::time::Instant::now() < end, "no receipt says {status}");
    }
}

fn cancelled_after() {
    let slow = Slow::at("/a");
    let scratch = slow.changed();
    let mut server = Piped::start(scratch.command());
    let plan = approved(&scratch, &mut server);
    let number = apply(&mut server, &plan);
    slow.wait_until_asked();
    server.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}),
    );
    // Whoever asks again waits for the same run.
    let again = apply(&mut server, &plan);
    slow.leave.send(()).unwrap();
    let answer = server.line();
    assert_eq!(answer.message["id"], again, "{}", answer.raw);
    answer.said().is("done");
    server.finish();
    assert_eq!(slow.changes(), ["/a", "/b"]);
}

fn left_after() {
    let slow = Slow::at("/a");
    let scratch = slow.changed();
    let mut server = Piped::start(scratch.command());
    let plan = approved(&scratch, &mut server);
    apply(&mut server, &plan);
    slow.wait_until_asked();
    let leaving = std::thread::spawn(move || server.finish());
    slow.leave.send(()).unwrap();
    leaving.join().unwrap();
    assert_eq!(slow.changes(), ["/a", "/b"]);
    assert_eq!(last_status(&scratch), "done");
}

fn dropped_connection() {
    let slow = Slow::at("/hello");
    let scratch = slow.read();
    scratch.write("ops/ops.yaml", "workspace: demo\nagents: {reader: [robot]}\n");
    scratch.pin();
    let token = token(&scratch, "robot");
    let port = free_port();
    let mut served = Served::start(scratch.command(), port);
    let body =
        message(1, "tools/call", json!({"name": "test_guest_reads_service", "arguments": {}})).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: {PROTOCOL}\r\nmcp-method: tools/call\r\nmcp-name: test_guest_reads_service\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    slow.wait_until_asked();
    drop(stream);
    let agent = served.agent(&token);
    let end = std::time::Instant::now() + PATIENCE;
    while scratch.receipts().is_empty() {
        assert!(std::time::Instant::now() < end, "the run goes on");
        agent.call("ops_status", &json!({}));
    }
    terminate(served.child());
    assert_eq!(last_status(&scratch), "interrupted");
    assert_eq!(scratch.last_receipt()["actor"]["id"], "robot");
}

/// The first calls of all find the tools unknown, all at once: none of them is refused for that.
fn cold() {
    let scratch = reading(&["echo"]);
    let mut server = Piped::start(scratch.command());
    for _ in 0..80 {
        server.ask("tools/call", json!({"name": "test_guest_echo", "arguments": {"text": "hi"}}));
    }
    for _ in 0..80 {
        let said = server.line().said();
        let status = said.content["status"].as_str().unwrap();
        assert!(
            status == "done" || (status == "busy" && said.message().contains("test.guest.echo")),
            "{said:?}"
        );
    }
    server.finish();
}

/// Without a lock the lists fail by a fault of the host's, and `ops_status` says which. No folder of the host's is told.
fn no_lock() {
    let scratch = reading(&["echo"]);
    std::fs::remove_file(scratch.path("ops/ops.lock")).unwrap();
    let mut server = Piped::start(scratch.command());
    let listed = server.request("tools/list", json!({})).pop().unwrap();
    assert_eq!(listed.message["error"]["code"], -32603, "{}", listed.raw);
    assert!(!listed.raw.contains(scratch.path("ops").to_str().unwrap()), "{}", listed.raw);
    let status = call(&mut server, "ops_status", &json!({}));
    assert!(
        !status.is_error && status.content["not_tools"][0].as_str().unwrap().contains("ops.lock"),
        "{status:?}"
    );
    let refused = call(&mut server, "test_guest_echo", &json!({"text": "hi"})).is("denied");
    assert_eq!(refused.content["error"]["code"], "lock");
    scratch.pin();
    call(&mut server, "test_guest_echo", &json!({"text": "hi"})).is("done");
    server.finish();
}

/// A host that is not what `ops.yaml` requires serves nothing, and says so at once.
fn unfit() {
    let scratch = reading(&["echo"]);
    scratch.write("ops/ops.yaml", "workspace: demo\nrequire: {user: nobody-here}\n");
    scratch.pin();
    ran(scratch.command().args(["mcp", "serve"])).exits(2).says("requires the user `nobody-here`");
    scratch.ops(&["doctor"]).exits(1);
}

fn full_lane() {
    let slow = Slow::at("/hello");
    let scratch = slow.read();
    scratch.place("guest-echo");
    scratch.write_binding(
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch.pin();
    let mut server = Piped::start(scratch.command());
    let asked: Vec<_> = (0..TOO_MANY)
        .map(|_| server.ask("tools/call", json!({"name": "test_guest_reads_service", "arguments": {}})))
        .collect();
    // One of them is told so, whichever came last; others are served all the same.
    let refused = server.line();
    assert!(asked.contains(&refused.message["id"].as_u64().unwrap()), "{}", refused.raw);
    let refused = refused.said().is("busy");
    assert!(refused.is_error && refused.message().contains("try again later"), "{}", refused.message());
    call(&mut server, "test_guest_echo", &json!({"text": "meanwhile"})).is("done");
    for number in &asked {
        let cancelled = json!({"requestId": number});
        server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}));
    }
    server.finish();
}

fn ten_times() {
    let slow = Slow::at("/never");
    let scratch = slow.changed();
    let mut server = Piped::start(scratch.command());
    let plan = approved(&scratch, &mut server);
    for _ in 0..10 {
        apply(&mut server, &plan);
    }
    let answers: Vec<_> = (0..10).map(|_| server.line().said().is("done")).collect();
    let runs: std::collections::BTreeSet<_> = answers.iter().map(Said::run).collect();
    assert_eq!(runs.len(), 1, "each answer is the same receipt");
    assert!(answers.iter().all(|answer| answer.content["data"] == answers[0].content["data"]));
    assert_eq!(slow.changes(), ["/a", "/b"]);
    server.finish();
}

fn terminated() {
    let slow = Slow::at("/hello");
    let scratch = slow.read();
    let mut server = Raw::start(&scratch);
    let call = json!({"name": "test_guest_reads_service", "arguments": {}});
    server.write(&message(1, "tools/call", call).to_string());
    slow.wait_until_asked();
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    server.ends();
    assert_eq!(last_status(&scratch), "interrupted");
}

fn terminated_after() {
    let slow = Slow::at("/a");
    let scratch = slow.changed();
    scratch.write("ops/ops.yaml", "workspace: demo\nagents: {proposer: [robot]}\n");
    scratch.pin();
    let token = token(&scratch, "robot");
    let port = free_port();
    let mut served = Served::start(scratch.command(), port);
    let agent = served.agent(&token);
    let plan = agent.call("test_guest_two_effects", &json!({})).is("planned").plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    let waiting = std::thread::spawn(move || agent.call("test_guest_two_effects", &json!({"plan_id": plan})));
    slow.wait_until_asked();
    kill_process(Pid::from_child(served.child()), Signal::TERM).unwrap();
    // It has heard that once nobody new is let in.
    let end = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(std::time::Instant::now() < end, "it still listens");
    }
    slow.leave.send(()).unwrap();
    waiting.join().unwrap().is("done");
    assert!(served.child().wait().unwrap().success());
    assert_eq!(slow.changes(), ["/a", "/b"]);
}

fn terminated_after_on_pipes() {
    let slow = Slow::at("/a");
    let scratch = slow.changed();
    let mut server = Raw::start(&scratch);
    let call = |number: u64, arguments: Value| {
        message(number, "tools/call", json!({"name": "test_guest_two_effects", "arguments": arguments}))
            .to_string()
    };
    let planned = server.ask(&call(1, json!({})));
    let plan = planned["result"]["structuredContent"]["plan"]["id"].as_str().unwrap();
    scratch.ops(&["plan", "approve", plan, "--key", "key"]).exits(0);
    server.write(&call(2, json!({"plan_id": plan})));
    slow.wait_until_asked();
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    // Nothing new is taken from then on.
    let mut number = 3;
    while server.ask(&call(number, json!({})))["result"]["structuredContent"]["status"] != "busy" {
        number += 1;
    }
    slow.leave.send(()).unwrap();
    assert_eq!(server.read()["result"]["structuredContent"]["status"], "done");
    server.ends();
    assert_eq!(slow.changes(), ["/a", "/b"]);
}

/// Asks a process to end, and waits until it has.
fn terminate(child: &mut Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

fn development() {
    let scratch = reading(&["echo"]);
    scratch.write("ops/ops.yaml", "workspace: demo\nagents: {reader: [robot]}\n");
    scratch.pin();
    let token = token(&scratch, "robot");
    let mut served = Served::start(scratch.command(), free_port());
    let agent = served.agent(&token);
    agent.call("test_guest_echo", &json!({"text": "hi"})).is("done");
    scratch.ops(&["pin", "--development", "--key", "key", "--yes"]).exits(0);
    let refused = agent.call("test_guest_echo", &json!({"text": "hi"})).is("denied");
    assert!(refused.message().contains("development"), "{}", refused.message());
    assert_eq!(agent.request("tools/list", json!({})).message["error"]["code"], -32603);
    let status = agent.call("ops_status", &json!({}));
    assert!(status.content["not_tools"][0].as_str().unwrap().contains("development"), "{}", status.content);
    terminate(served.child());
    ran(scratch.command().args(["mcp", "serve", "--http", "0", "--tokens", "tokens"]))
        .exits(2)
        .says("signed for development");
    // On this machine, for this user, it is good.
    let mut server = Piped::start(scratch.command());
    call(&mut server, "test_guest_echo", &json!({"text": "hi"})).is("done");
    server.finish();
}

fn named() {
    let slow = Slow::at("/never");
    let scratch = slow.changed();
    scratch.write("ops/ops.yaml", "workspace: demo\nagents: {reader: [alice], proposer: [ci]}\n");
    scratch.pin();
    let start = |name: &str| {
        let mut command = scratch.command();
        command.args(["mcp", "serve", "--as", name]);
        Piped::started(command)
    };
    let mut alice = start("alice");
    let listed = alice.request("tools/list", json!({})).pop().unwrap();
    let names: Vec<_> =
        listed.result()["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["ops_plan_status", "ops_receipt", "ops_explain", "ops_status"]);
    let refused = call(&mut alice, "test_guest_two_effects", &json!({})).is("denied");
    assert_eq!(refused.content["error"]["code"], "role");
    alice.finish();
    let mut ci = start("ci");
    let planned = call(&mut ci, "test_guest_two_effects", &json!({})).is("planned");
    let again = call(&mut ci, "test_guest_two_effects", &json!({"plan_id": planned.plan()})).is("planned");
    for said in [&planned, &again] {
        assert!(said.message().contains("ops plan approve"), "{}", said.message());
        assert!(said.message().contains(r#"{"plan_id": ""#), "{}", said.message());
    }
    for nothing in [json!(""), Value::Null] {
        let refused = call(&mut ci, "test_guest_two_effects", &json!({"plan_id": nothing})).is("usage");
        assert!(refused.message().contains("leave plan_id away"), "{}", refused.message());
    }
    ci.finish();
    assert_eq!(scratch.last_receipt()["actor"]["id"], "ci");
    ran(scratch.command().args(["mcp", "serve", "--as", "mallory"])).exits(2).says("has no role");
}
