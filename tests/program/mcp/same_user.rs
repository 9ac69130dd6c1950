//! The same-user deployment: what SECURITY.md says an agent with a shell can do, it can. Where this test fails because
//! the way is closed, the table there has to say so.

use std::fs;

use libtest_mimic::Trial;
use ops_tests::agent::Piped;
use ops_tests::scratch::Scratch;
use ops_tests::skip;
use serde_json::json;

pub(super) fn trials() -> Vec<Trial> {
    vec![skip::trial(
        "mcp::same_user::an_agent_with_a_shell_makes_itself_an_approver",
        None,
        makes_itself_an_approver,
    )]
}

fn makes_itself_an_approver() {
    let scratch = Scratch::new();
    scratch.bind(
        "communications-mail-send-test",
        "\
capability: communications.mail.send.test
component: components/communications_mail_send_test.wasm
safety: mutating
approval: {mode: manual}
directories:
  outbox: {path: state/outbox, access: stage}
config: {from: ops@example.test, allowed_recipient_domains: [example.test]}
",
    );
    // The person's key is on a token, as far as the agent is concerned.
    fs::remove_file(scratch.path("key")).unwrap();

    fs::create_dir(scratch.path("own")).unwrap();
    scratch.ops(&["init", "own", "--name", "own", "--principal", "mallory", "--new-key", "mine"]).exits(0);
    let approvers = scratch.path("ops/approvers");
    let mine = fs::read_to_string(scratch.path("own/ops/approvers")).unwrap();
    fs::write(&approvers, fs::read_to_string(&approvers).unwrap() + &mine).unwrap();
    scratch.ops(&["pin", "--key", "mine", "--yes"]).exits(2);
    scratch.ops(&["trust", "--yes"]).exits(0);
    scratch.ops(&["pin", "--key", "mine", "--yes"]).exits(0);

    let mut server = Piped::start(scratch.command());
    let mut call = |arguments| {
        let params = json!({"name": "communications_mail_send_test", "arguments": arguments});
        server.request("tools/call", params).pop().unwrap().said()
    };
    let plan = call(json!({"to": ["alice@example.test"]})).is("planned").plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "mine"]).exits(0);
    call(json!({"plan_id": plan})).is("done");

    let receipt = scratch.last_receipt();
    assert_eq!(receipt["approval"]["approvers"][0]["principal"], "mallory", "it leaves its name");
    assert_eq!(receipt["host"]["deployment"], "same-user");
}
