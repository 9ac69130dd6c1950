use super::*;
use crate::testing::{Guest, sandbox};

async fn described(guest: Guest<'_>) -> Result<Manifest, DescribeError> {
    let (sandbox, _folder) = sandbox();
    Guests::new(&sandbox.load(&guest.build()).unwrap()).unwrap().describe().await
}

#[tokio::test]
async fn a_component_says_what_it_is() {
    let manifest = described(Guest::default()).await.unwrap();
    assert_eq!(manifest.name, "tests.guest.run");
    assert_eq!(manifest.safety, Safety::ReadOnly);
    assert_eq!(manifest.input, serde_json::json!({"type": "object"}));
    assert!(manifest.needs.is_empty());
}

#[tokio::test]
async fn one_that_does_not_say_it_is_refused() {
    let socket = r#"
      (import "wasi:sockets/tcp@0.2.6" "[method]tcp-socket.subscribe" (func $wait (param i32) (result i32)))
      (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
      (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;
    let log = r#"(import "ops:capability/report@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    let http = r#"
      (import "wasi:http/types@0.2.6" "[constructor]fields" (func $fields (result i32)))
      (import "wasi:http/types@0.2.6" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
      (import "wasi:http/types@0.2.6" "[method]future-incoming-response.subscribe"
        (func $wait (param i32) (result i32)))
      (import "wasi:http/outgoing-handler@0.2.6" "handle" (func $handle (param i32 i32 i32 i32)))
      (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;
    let sleep = r#"
      (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $timer (param i64) (result i32)))
      (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;
    for (imports, describe, expected) in [
        ("", "unreachable", "wasm `unreachable` instruction executed"),
        (socket, "(call $block (call $wait (call $network))) unreachable", "wasi:sockets/instance-network"),
        (http, "(call $block (call $wait (call $request (call $fields)))) unreachable", "wasi:http/types"),
        (log, "(call $log (i32.const 0) (i32.const 0) (i32.const 0)) unreachable", "ops:capability/report"),
        ("", "(loop $again (br $again)) unreachable", "more than 100 ms"),
        (sleep, "(call $block (call $timer (i64.const -1))) unreachable", "more than 100 ms"),
        (
            "",
            "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
            "more than 16 MiB",
        ),
    ] {
        let error = described(Guest { imports, describe, ..Guest::default() }).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let (sandbox, _folder) = sandbox();
    let other = sandbox.load(&wat::parse_str("(component)").unwrap()).unwrap();
    assert!(matches!(Guests::new(&other).unwrap().describe().await, Err(DescribeError::NotCapability(_))));
}

#[tokio::test]
async fn every_field_is_bounded() {
    let deep = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    for (name, input, expected) in [
        ("", "{}", "name is empty"),
        ("a\nb", "{}", "name has control"),
        ("a\u{202e}b", "{}", "name has control"),
        (&"n".repeat(TEXT_BYTES + 1), "{}", "name is longer"),
        ("n", "", "input is not JSON"),
        ("n", "{", "input is not JSON"),
        ("n", "true", "input is not a JSON object"),
        ("n", &deep(SCHEMA_DEPTH + 1), "input is nested"),
        ("n", &deep(100_000), "input is longer"),
        ("n", &deep(10_000), "input is not JSON"),
    ] {
        let guest = Guest { name: name.to_owned(), input: input.to_owned(), ..Guest::default() };
        let error = described(guest).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let most = Guest { name: "n".repeat(TEXT_BYTES), input: deep(SCHEMA_DEPTH), ..Guest::default() };
    assert!(described(most).await.is_ok());
}

#[test]
fn needs_are_bounded_and_named_by_their_place() {
    let rule = |method: &str| guest::RuleNeed {
        method: method.to_owned(),
        path: "/".to_owned(),
        effect: guest::RuleEffect::Mutate,
        query: vec!["q".to_owned()],
        headers: Vec::new(),
    };
    let service = |rules| guest::Need {
        kind: guest::NeedKind::Service(guest::ServiceNeed { name: "mail".to_owned(), rules }),
        optional: true,
    };
    let manifest = |needs| guest::Manifest {
        name: "n".to_owned(),
        summary: "s".to_owned(),
        version: "1.0.0".to_owned(),
        safety: guest::Safety::Destructive,
        input: "{}".to_owned(),
        output: "{}".to_owned(),
        needs,
    };
    let good = checked(manifest(vec![service(vec![rule("POST")])])).unwrap();
    let NeedKind::Service { name, rules } = &good.needs[0].need else { panic!("a service") };
    assert_eq!((name.as_str(), rules[0].effect, good.needs[0].optional), ("mail", RuleEffect::Mutate, true));
    for (needs, expected) in [
        (vec![service(vec![rule("GET"), rule("")])], "needs[0].rules[1].method is empty"),
        (vec![service(vec![rule("GET"); ENTRIES + 1])], "needs[0].rules has more than"),
        (vec![service(Vec::new()); ENTRIES + 1], "needs has more than"),
    ] {
        let error = checked(manifest(needs)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
