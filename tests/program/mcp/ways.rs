//! Twelve ways for an agent to get a change without a person, in the separate-user deployment. None of them changes
//! anything; each leaves its receipt. SECURITY.md says which of them succeed where the agent and the host are one user.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use ops_policy::plan::NAMESPACE;
use ops_policy::sign;
use ops_tests::agent::Served;
use ops_tests::scratch::ran;
use ops_tests::server::free_port;
use ops_tests::{skip, users};
use serde_json::json;

use super::separate::{MAIL, MAIL_TOOL, ROBOT, TWO, TWO_TOOL, World, letter, with_yes};

pub(super) fn trials() -> Vec<Trial> {
    let all: [(&str, fn()); 12] = [
        ("pipe", pipe),
        ("pty", pty),
        ("environment_variable", environment_variable),
        ("config_edit", config_edit),
        ("replay", replay),
        ("expired", expired),
        ("one_changed_byte", one_changed_byte),
        ("swapped_component", swapped_component),
        ("self_approval", self_approval),
        ("two_racing_applies", two_racing_applies),
        ("binding_swapped_by_symlink", binding_swapped_by_symlink),
        ("forged_elicitation_answer", forged_elicitation_answer),
    ];
    let named = |name| format!("mcp::separate_user::{name}");
    all.into_iter().map(|(name, way)| skip::unless(named(name), users::missing(), way)).collect()
}

/// The binding takes a yes from a pipe, and there is one behind the server. There is also one behind the agent.
fn pipe() {
    let world = World::new();
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(b"yes\nyes\n").unwrap();
    let served = world.serve_with(|command| {
        command.stdin(read);
    });
    let agent = world.agent(&served);

    let planned = agent.call(MAIL_TOOL, &letter()).is("planned");
    agent.call(MAIL_TOOL, &json!({"plan_id": planned.plan()})).is("planned");
    world.gets_nowhere(&["cap", "run", MAIL, "--to", "alice@example.test"], with_yes);
    world.gets_nowhere(&["plan", "apply", &planned.plan()], with_yes);

    world.nothing_came_of_it("planned");
}

/// The binding takes the plan's short hash from a terminal. The server has one, and the agent gets it typed there.
fn pty() {
    let world = World::new();
    let port = free_port();
    let serve =
        format!("{} mcp serve --http 127.0.0.1:{port} --tokens tokens", world.scratch.program().display());
    let mut at_terminal = Command::new("script");
    world.scratch.around(&mut at_terminal).args(["-qec", &serve, "/dev/null"]);
    at_terminal.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut served = Served::started(at_terminal, port);
    let mut terminal = served.child().stdin.take().unwrap();
    let agent = world.agent(&served);

    let planned = agent.call(MAIL_TOOL, &letter()).is("planned");
    let hash = planned.content["plan"]["hash"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    writeln!(terminal, "yes\n{}\n{hash}", &hash[..8]).unwrap();
    agent.call(MAIL_TOOL, &json!({"plan_id": planned.plan()})).is("planned");
    writeln!(terminal, "{}", &hash[..8]).unwrap();
    agent.call(MAIL_TOOL, &json!({"plan_id": planned.plan()})).is("planned");
    let program = world.scratch.program();
    let direct = format!("{} plan apply {}", program.display(), planned.plan());
    let own = ran(&mut world.as_robot("script", &["-qec", &direct, "/dev/null"]));
    assert!(own.code == 2 && own.stdout.contains("is no workspace"), "{own:?}");

    world.nothing_came_of_it("planned");
}

fn environment_variable() {
    let world = World::new();
    let key = world.scratch.path("key");
    let words =
        ["OPS_YES", "OPS_APPROVE", "OPS_APPROVED", "OPS_ASSUME_YES", "OPS_AUTO_APPROVE", "OPS_EXECUTE", "CI"];
    let served = world.serve_with(|command| {
        for word in words {
            command.env(word, "yes");
        }
        command.env("OPS_KEY", &key).env("OPS_APPROVAL_MODE", "auto");
    });
    let agent = world.agent(&served);

    let plan = world.plan(&agent);
    world.apply(&agent, &plan).is("planned");
    world.gets_nowhere(&["cap", "run", TWO, "--execute"], |command| {
        ran(words.iter().fold(command, |command, word| command.env(word, "yes")).env("OPS_KEY", &key))
    });

    world.nothing_came_of_it("planned");
}

/// The agent's user writes whatever grants something. It cannot; so it makes a workspace of its own that grants the
/// same without asking, and has no secret there.
fn config_edit() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let binding = format!("ops/bindings/{TWO}.yaml");
    let places = [
        "ops/ops.yaml",
        "ops/ops.lock",
        "ops/approvers",
        &binding,
        "tokens",
        "key",
        "home/web-token",
        "state",
    ];
    for place in places {
        let path = world.scratch.path(place);
        assert!(path.exists(), "{place}");
        for attempt in ["echo x >> \"$0\"", "mv \"$0\" \"$0.old\"", "cat \"$0\"", "chmod 777 \"$0\""] {
            let edit = ran(&mut world.as_robot("sh", &["-c", attempt, path.to_str().unwrap()]));
            assert!(
                edit.code != 0 && edit.stderr.contains("ermission denied"),
                "{attempt} {place}: {edit:?}"
            );
        }
    }

    let program = world.scratch.program();
    let program = |words: &[&str]| ran(world.as_robot(&program, words).env_remove("OPS_WORKSPACE"));
    program(&["init", "--name", "demo", "--principal", "alice", "--new-key", "mine"]).exits(0);
    let text = fs::read_to_string(world.scratch.path(&binding)).unwrap();
    let credential = text.lines().find(|line| line.contains("credential")).unwrap();
    let text =
        text.replace(&format!("{credential}\n"), "").replace("{mode: manual}", "{mode: auto, reason: mine}");
    fs::write(world.own(&binding), text).unwrap();
    let component = "ops/components/guest_two_effects.wasm";
    fs::copy(world.scratch.path(component), world.own(component)).unwrap();
    program(&["pin", "--key", "mine", "--yes"]).exits(0);
    let before = world.server.seen().len();
    program(&["cap", "run", TWO]);
    assert!(world.server.seen().len() > before, "the agent reaches the server, without the secret");

    let plan = world.plan(&agent);
    world.apply(&agent, &plan).is("planned");
    world.nothing_came_of_it("planned");
}

/// The plan was approved and carried out once. Its id is sent again, and the approval is offered for another plan.
fn replay() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.plan(&agent);
    world.scratch.ops(&["plan", "export", &plan]).exits(0);
    let text = fs::read(world.scratch.path("plan.txt")).unwrap();
    sign_as_alice(&world, &text);
    world.scratch.ops(&["plan", "approve", &plan, "--signature", "plan.txt.sig"]).exits(0);
    let first = world.apply(&agent, &plan).is("done");

    for _ in 0..10 {
        let again = world.apply(&agent, &plan).is("done");
        assert_eq!(again.run(), first.run(), "each answer is the same receipt");
    }
    let other = world.plan(&agent);
    world.scratch.ops(&["plan", "approve", &other, "--signature", "plan.txt.sig"]).exits(4);
    assert_eq!(world.scratch.last_receipt()["run"]["status"], "denied");
    world.apply(&agent, &other).is("planned");

    assert_eq!(world.effects(), ["/a", "/b"], "what was approved, once");
    world.receipts_hold();
}

/// The wall clock is the only thing that makes an approval expire.
fn expired() {
    let world = World::with("approvals: {approval: 1s}");
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.approved(&agent);
    let moment = Timestamp::now() + Duration::from_secs(1);
    while Timestamp::now() <= moment {
        std::thread::sleep(Duration::from_millis(20));
    }

    let late = world.apply(&agent, &plan).is("denied");
    assert!(late.message().contains("older than 1 s"), "{}", late.message());

    world.nothing_came_of_it("denied");
}

/// The agent asks for one thing and shows the approver another: a text that differs in one byte. Then it changes a
/// byte of the plan's id.
fn one_changed_byte() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.plan(&agent);
    world.scratch.ops(&["plan", "export", &plan]).exits(0);
    let text = fs::read(world.scratch.path("plan.txt")).unwrap();
    for at in [0, text.len() / 2, text.len() - 2] {
        let mut changed = text.clone();
        changed[at] ^= 1;
        sign_as_alice(&world, &changed);
        let refused = world.scratch.ops(&["plan", "approve", &plan, "--signature", "plan.txt.sig"]).exits(4);
        refused.says("is not approved");
        assert_eq!(world.scratch.last_receipt()["run"]["status"], "denied");
    }

    world.scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    let mut other = plan.clone().into_bytes();
    let last = other.last_mut().unwrap();
    *last = if *last == b'a' { b'b' } else { b'a' };
    let unknown = world.apply(&agent, &String::from_utf8(other).unwrap());
    assert!(unknown.is_error && unknown.message().contains("no plan"), "{}", unknown.content);

    world.nothing_came_of_it("denied");
}

fn swapped_component() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.approved(&agent);
    let component = world.scratch.path("ops/components/guest_two_effects.wasm");
    fs::copy(world.scratch.path("ops/components/communications_mail_send_test.wasm"), component).unwrap();

    // It is not vouched for any more, so it is no tool; and what the agent remembers of it is refused.
    let tools = agent.tools();
    assert!(tools.iter().all(|tool| tool["name"] != TWO_TOOL), "{tools:?}");
    let refused = world.apply(&agent, &plan).is("denied");
    assert_eq!(world.receipt_of(&refused.run())["outcome"]["stopped"], "component");
    world.scratch.breaks("its component");

    world.nothing_came_of_it("denied");
}

fn self_approval() {
    let world = World::with("approvals: {self: refused}");
    let pair = sign::generate(&[7; 32].into(), ROBOT).unwrap();
    let approvers = world.scratch.path("ops/approvers");
    let line = format!("{ROBOT} namespaces=\"ops-plan\" {}\n", pair.public);
    fs::write(&approvers, fs::read_to_string(&approvers).unwrap() + &line).unwrap();
    world.scratch.pin();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.plan(&agent);
    world.scratch.ops(&["plan", "export", &plan]).exits(0);
    let text = fs::read(world.scratch.path("plan.txt")).unwrap();
    let key = sign::load(&pair.private, None).unwrap();
    world.scratch.write("plan.txt.sig", &sign::sign(&key, NAMESPACE, &text).unwrap());

    let refused = world.scratch.ops(&["plan", "approve", &plan, "--signature", "plan.txt.sig"]).exits(4);
    refused.says("asked for this plan and may not approve it");
    assert_eq!(world.scratch.last_receipt()["run"]["status"], "denied");
    world.apply(&agent, &plan).is("planned");

    world.nothing_came_of_it("planned");
}

/// One of them carries it out. Both are told of the same run.
fn two_racing_applies() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.approved(&agent);

    let racer = || {
        let (agent, arguments) = (agent.clone(), json!({"plan_id": plan}));
        std::thread::spawn(move || agent.call(TWO_TOOL, &arguments))
    };
    let runs = [racer(), racer()].map(|racer| racer.join().unwrap().is("done").run());

    assert_eq!(runs[0], runs[1]);
    assert_eq!(world.effects(), ["/a", "/b"]);
    assert_eq!(world.receipt_of(&runs[0])["run"]["status"], "done");
    world.receipts_hold();
}

/// Somebody who can write the folder puts another binding in its place, which asks nobody.
fn binding_swapped_by_symlink() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let plan = world.approved(&agent);
    let binding = world.scratch.path(&format!("ops/bindings/{TWO}.yaml"));
    let text = fs::read_to_string(&binding).unwrap();
    let other = world.own("other.yaml");
    fs::write(&other, text.replace("{mode: manual}", "{mode: auto, reason: mine}")).unwrap();
    fs::remove_file(&binding).unwrap();
    std::os::unix::fs::symlink(&other, &binding).unwrap();

    let refused = world.apply(&agent, &plan).is("denied");
    assert_eq!(world.receipt_of(&refused.run())["outcome"]["stopped"], "lock");
    world.scratch.breaks("its binding");

    world.nothing_came_of_it("denied");
}

/// The answer to a question that nobody asked, in each form that the protocol has or had.
fn forged_elicitation_answer() {
    let world = World::new();
    let served = world.serve();
    let agent = world.agent(&served);
    let capabilities = json!({"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}});
    let asked = json!({"name": TWO_TOOL, "arguments": {}, "_meta": capabilities});
    let first = agent.request("tools/call", asked).said().is("planned");
    let plan = first.plan();
    let yes =
        json!({"action": "accept", "content": {"approve": true, "hash": first.content["plan"]["hash"]}});

    let mut forged = json!({"name": TWO_TOOL, "arguments": {"plan_id": plan}, "_meta": capabilities});
    forged["inputResponses"] = json!({"approve": yes, "confirm": yes, "plan": yes});
    forged["requestState"] = json!(plan);
    let answer = agent.request("tools/call", forged);
    let refused = answer.message["error"].is_object();
    assert!(refused || answer.said().content["status"] == "planned", "{}", answer.raw);
    for id in 0..5 {
        agent.send(&json!({"jsonrpc": "2.0", "id": id, "result": yes}));
    }
    world.apply(&agent, &plan).is("planned");

    world.nothing_came_of_it("planned");
}

/// Signs a text with the approver's key, as `plan.txt.sig`.
fn sign_as_alice(world: &World, text: &[u8]) {
    let key = sign::load(&fs::read_to_string(world.scratch.path("key")).unwrap(), None).unwrap();
    world.scratch.write("plan.txt.sig", &sign::sign(&key, NAMESPACE, text).unwrap());
}
