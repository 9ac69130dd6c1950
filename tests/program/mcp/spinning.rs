//! Forty guests that never stop are called at once. Another capability is served meanwhile, and all forty are stopped at
//! their limit. What is tested is an order: no clock decides.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use ops_tests::agent::Piped;
use ops_tests::scratch::Scratch;
use ops_tests::skip;
use serde_json::json;

const SPINNING: usize = 40;
/// Calls of another capability, one after the other, while they spin.
const MEANWHILE: usize = 10;

pub(super) fn trials() -> Vec<Trial> {
    vec![skip::trial("mcp::forty_spinning_guests_delay_no_other", None, forty)]
}

fn forty() {
    let scratch = Scratch::new();
    for (guest, limits) in [("echo", ""), ("spins", "limits: {time: 1s}\n")] {
        scratch.place(&format!("guest-{guest}"));
        scratch.write_binding(&format!(
            "capability: test.guest.{guest}\ncomponent: components/guest_{guest}.wasm\nsafety: read-only\n{limits}"
        ));
    }
    scratch.pin();
    let mut server = Piped::start(scratch.command());
    let call = json!({"name": "test_guest_spins", "arguments": {}});
    let mut spinning: BTreeSet<u64> = (0..SPINNING).map(|_| server.ask("tools/call", call.clone())).collect();
    let mut stopped = Vec::new();

    for _ in 0..MEANWHILE {
        for (method, params) in [
            ("tools/call", json!({"name": "test_guest_echo", "arguments": {"text": "meanwhile"}})),
            ("tools/list", json!({})),
        ] {
            let mut lines = server.request(method, params);
            assert!(lines.pop().unwrap().message["result"].is_object());
            for ended in lines {
                assert!(spinning.remove(&ended.message["id"].as_u64().unwrap()), "{}", ended.raw);
                stopped.push(ended);
            }
        }
    }
    assert!(!spinning.is_empty(), "the others waited until all forty were stopped");

    while !spinning.is_empty() {
        let ended = server.line();
        assert!(spinning.remove(&ended.message["id"].as_u64().unwrap()), "{}", ended.raw);
        stopped.push(ended);
    }
    let mut runs = BTreeSet::new();
    for ended in stopped {
        let said = ended.said().is("failed");
        assert_eq!(said.content["error"]["code"], "limit-time", "{}", said.content);
        runs.insert(said.run());
    }
    assert_eq!(runs.len(), SPINNING, "each has its receipt");
    server.finish();
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}
