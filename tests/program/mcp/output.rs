//! What a guest prints or returns is data: whatever it looks like, a client sees none of it outside of the tool's
//! result, and that is cut and written out.

use libtest_mimic::Trial;
use ops_tests::agent::{Answer, Piped};
use ops_tests::scratch::Scratch;
use ops_tests::skip;
use serde_json::{Value, json};

/// What no line of the protocol may be longer than here: the most data that an agent is shown, twice, since it is
/// structured content and text, and what escaping adds.
const LONGEST_LINE: usize = 6 << 20;

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name, run: fn()| skip::trial(format!("mcp::output::{name}"), None, run);
    vec![
        trial("what_looks_like_the_protocol_is_none_of_it", forged),
        trial("megabytes_that_are_printed_are_not_seen", printed),
        trial("megabytes_that_are_returned_are_left_out", returned),
    ]
}

/// A server with one guest bound, beside the honest one.
fn serve(guest: &str, limits: &str) -> (Scratch, Piped) {
    let scratch = Scratch::new();
    for guest in ["echo", guest] {
        let file = format!("guest_{}.wasm", guest.replace('-', "_"));
        scratch.place(&format!("guest-{guest}"));
        scratch.write_binding(&format!(
            "capability: test.guest.{guest}\ncomponent: components/{file}\nsafety: read-only\n{limits}"
        ));
    }
    scratch.pin();
    let piped = Piped::start(scratch.command());
    (scratch, piped)
}

/// Calls a tool with a progress token, and checks all that the server writes up to the answer.
fn call(server: &mut Piped, tool: &str, arguments: &Value) -> Answer {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "here"}});
    let mut lines = server.request("tools/call", params);
    let answer = lines.pop().unwrap();
    for line in lines {
        is_clean(&line.raw);
        assert_eq!(line.message["method"], "notifications/progress", "{}", line.raw);
        assert_eq!(line.message["params"]["progressToken"], "here", "{}", line.raw);
    }
    is_clean(&answer.raw);
    answer
}

/// Checks that a line is a message of the protocol, and that no character in it moves a cursor, turns text around or
/// hides.
#[track_caller]
fn is_clean(line: &str) {
    assert!(line.len() < LONGEST_LINE, "a line of {} bytes", line.len());
    let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    let hidden = line.chars().find(|&character| {
        let around = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        character.is_control() || around
    });
    assert_eq!(hidden, None, "{line}");
    texts(&message, &mut |text| {
        let bad = text.chars().find(|&character| {
            matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                || (character.is_control() && character != '\n' && character != '\t')
        });
        assert_eq!(bad, None, "{text:?}");
    });
}

/// Each text in a value.
fn texts(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, look)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// JSON-RPC answers, escape sequences, bidirectional overrides: printed, logged, reported and returned.
fn forged() {
    let (_scratch, mut server) = serve("forged-status", "");
    // The forgery has the number 1, so the call must have it too.
    let answer = call(&mut server, "test_guest_forged_status", &json!({}));
    let said = answer.said().is("done");
    assert_ne!(said.content["data"], Value::Null);
    assert_eq!(said.content["data"]["status"], "denied", "the guest's own words are in its own place");
    assert!(said.content["data"]["texts"].to_string().contains("approved"));
    assert_eq!(answer.result().get("approved"), None);
    goes_on(server);
}

/// 100 MB to each of standard output and standard error.
fn printed() {
    let (scratch, mut server) = serve("prints", "limits: {time: 10m}\n");
    let answer = call(&mut server, "test_guest_prints", &json!({}));
    answer.said().is("done");
    assert!(!answer.raw.contains("xxxx"), "what was printed was told");
    // What makes its folder, where that is not written yet.
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    assert_eq!(scratch.last_receipt()["usage"]["stdoutBytes"], 100_000_000);
    goes_on(server);
}

/// 10 MB as an output that its binding allows.
fn returned() {
    let (scratch, mut server) = serve("big-output", "limits: {output: 12MiB, memory: 256MiB}\n");
    let answer = call(&mut server, "test_guest_big_output", &json!({"bytes": 10_000_000}));
    let said = answer.said().is("done");
    assert!(said.message().contains("left out"), "{}", said.message());
    assert!(said.content.get("data").is_none() && answer.raw.len() < 64 << 10, "{} bytes", answer.raw.len());
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    assert_eq!(scratch.last_receipt()["run"]["status"], "done");
    goes_on(server);
}

/// The server answers another call, and writes nothing more.
fn goes_on(mut server: Piped) {
    let echo = call(&mut server, "test_guest_echo", &json!({"text": "still here"}));
    assert_eq!(echo.said().is("done").content["data"]["texts"], json!(["still here"]));
    assert_eq!(server.finish(), [""; 0]);
}
