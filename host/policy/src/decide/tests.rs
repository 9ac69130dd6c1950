use serde_json::json;

use super::*;
use crate::binding::Binding;
use crate::manifest::{Manifest, Need, NeedKind, RuleNeed, Safety};

mod properties;

const RULES: &str = r#"
      - {id: session, method: GET, path: /.well-known/jmap, effect: read}
      - {id: query, method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Email/get]}}
      - {id: names, method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Identity/get]}}
      - {id: send, method: POST, path: /jmap/, effect: mutate, body: {"/methodCalls/*/0": [Email/set]}}
      - {id: list, method: GET, path: "/vms/{id}/log", effect: read, query: [start, limit], headers: [Range]}
      - {id: drop, method: DELETE, path: "/vms/{id}", effect: destroy}
      - {id: unneeded, method: GET, path: /other, effect: read}
"#;

fn need(method: &str, path: &str, effect: RuleEffect) -> RuleNeed {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    RuleNeed {
        method: method.to_owned(),
        path: path.to_owned(),
        effect,
        query: words(&["start", "limit", "secret"]),
        headers: words(&["Range", "X-Other"]),
    }
}

fn manifest(rules: Vec<RuleNeed>) -> Manifest {
    let needs = [("mail", rules, false), ("spare", vec![], true)];
    Manifest {
        name: "a.b".to_owned(),
        summary: "A sample.".to_owned(),
        version: "1.0.0".to_owned(),
        safety: Safety::Destructive,
        input: json!({}),
        output: json!({}),
        needs: needs
            .into_iter()
            .map(|(name, rules, optional)| Need {
                need: NeedKind::Service { name: name.to_owned(), rules },
                optional,
            })
            .collect(),
    }
}

fn rights_for(rules: &str, needs: Vec<RuleNeed>) -> Rights {
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {{mode: manual}}\nservices:\n  mail:\n    \
         origin: https://m.example\n    rules:{rules}"
    );
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    Rights::intersect(&manifest(needs), &binding).unwrap()
}

fn rights() -> Rights {
    rights_for(
        RULES,
        vec![
            need("GET", "/.well-known/jmap", RuleEffect::Read),
            need("POST", "/jmap/", RuleEffect::Read),
            need("POST", "/jmap/", RuleEffect::Mutate),
            need("GET", "/vms/**", RuleEffect::Read),
            need("DELETE", "/vms/{id}", RuleEffect::Destroy),
        ],
    )
}

fn request(method: &str, path: &str) -> Request {
    Request {
        service: "mail".to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: vec![],
        body: None,
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

fn jmap(call: &str) -> Request {
    let body = format!("{{ \"methodCalls\": [[\"{call}\", {{}}, \"0\"]] }}");
    Request {
        headers: vec![header("Content-Type", "application/json")],
        body: Some(body.into_bytes()),
        ..request("POST", "/jmap/")
    }
}

#[test]
fn what_is_allowed_is_sent_in_one_form() {
    let asked = Request {
        headers: vec![header("Range", " bytes=0-1"), header("ACCEPT", "text/plain")],
        ..request("GET", "/vms/a%c3%a9/log?limit=5&start=%2f")
    };
    let allowed = decide(&rights(), Door::Fetch, &asked).unwrap();
    assert_eq!((allowed.rule.as_str(), allowed.effect), ("list", RuleEffect::Read));
    assert_eq!(
        allowed.request,
        WireRequest {
            method: "GET".to_owned(),
            target: "/vms/a%C3%A9/log?limit=5&start=%2F".to_owned(),
            headers: vec![header("range", "bytes=0-1"), header("accept", "text/plain")],
            body: None,
        }
    );
    let sent = decide(&rights(), Door::Perform, &jmap("Email/set")).unwrap();
    assert_eq!((sent.rule.as_str(), sent.effect), ("send", RuleEffect::Mutate));
    assert_eq!(sent.request.body.unwrap(), br#"{"methodCalls":[["Email/set",{},"0"]]}"#);
}

#[test]
fn rules_of_one_path_are_tried_in_order_and_by_door() {
    for (door, call, rule) in [
        (Door::Fetch, "Email/get", "query"),
        (Door::Fetch, "Identity/get", "names"),
        (Door::Perform, "Email/set", "send"),
    ] {
        assert_eq!(decide(&rights(), door, &jmap(call)).unwrap().rule, rule);
    }
    for (door, call, rule) in [(Door::Fetch, "Email/set", "query"), (Door::Perform, "Email/get", "send")] {
        let denial = decide(&rights(), door, &jmap(call)).unwrap_err();
        assert!(matches!(&denial.reason, DenyReason::Body { rule: first, .. } if first == rule), "{denial}");
    }
}

#[test]
fn denials_say_what_was_missing() {
    let log = "/vms/1/log";
    let with = |change: fn(&mut Request)| {
        let mut asked = request("GET", log);
        change(&mut asked);
        asked
    };
    for (door, asked, words, suggestion) in [
        (Door::Fetch, with(|r| r.service = "pve".to_owned()), "manifest does not name this service", None),
        (Door::Fetch, with(|r| r.service = "spare".to_owned()), "the service is optional", None),
        (Door::Fetch, request("TRACE", log), "no rule can grant this method", None),
        (Door::Fetch, request("get", log), "no rule can grant this method", None),
        (Door::Fetch, request("GET", "/vms/../log"), "dot segment", None),
        (Door::Fetch, request("GET", "https://evil.example/"), "does not begin with `/`", None),
        (Door::Fetch, with(|r| r.headers = vec![header("a", "\r\n")]), "not visible ASCII", None),
        (Door::Fetch, with(|r| r.body = Some(vec![])), "has no body", None),
        (
            Door::Perform,
            request("GET", log),
            "no rule with `effect: mutate` or `destroy`",
            Some("- {id: NAME, method: GET, path: /vms/1/log, effect: mutate}"),
        ),
        (
            Door::Fetch,
            request("DELETE", "/vms/1"),
            "no rule with `effect: read`",
            Some("- {id: NAME, method: DELETE, path: /vms/1, effect: read}"),
        ),
        (
            Door::Perform,
            request("DELETE", "/vms/1/x?a=1"),
            "no rule with",
            Some("- {id: NAME, method: DELETE, path: /vms/1/x, effect: destroy, query: [a]}"),
        ),
        (
            Door::Fetch,
            request("GET", "/vms/1/log?secret=1"),
            "rule `list` does not list the query key `secret`",
            Some("- {id: NAME, method: GET, path: /vms/1/log, effect: read, query: [secret]}"),
        ),
        (
            Door::Fetch,
            with(|r| r.headers = vec![header("X-Other", "1")]),
            "rule `list` does not list the header `x-other`",
            Some("- {id: NAME, method: GET, path: /vms/1/log, effect: read, headers: [x-other]}"),
        ),
        (
            Door::Fetch,
            with(|r| r.headers = vec![header("Authorization", "1")]),
            "does not list the header `authorization`",
            Some("- {id: NAME, method: GET, path: /vms/1/log, effect: read, headers: [authorization]}"),
        ),
        (Door::Fetch, request("GET", "/other"), "does not say that it needs", None),
        (Door::Fetch, request("POST", "/jmap/"), "rule `query` does not allow this body", None),
    ] {
        let denial = decide(&rights(), door, &asked).unwrap_err();
        assert!(denial.to_string().contains(words), "{denial}");
        assert_eq!(denial.suggestion().as_deref(), suggestion, "{denial}");
    }
}

#[test]
fn the_author_bounds_query_and_headers_too() {
    let rule =
        "\n      - {id: r, method: GET, path: /x, effect: read, query: [a, start], headers: [A, Range]}";
    let rights = rights_for(rule, vec![need("GET", "/x", RuleEffect::Read)]);
    assert!(decide(&rights, Door::Fetch, &request("GET", "/x?start=1")).is_ok());
    let denied = decide(&rights, Door::Fetch, &request("GET", "/x?a=1")).unwrap_err();
    assert_eq!(denied.reason, DenyReason::NotNeeded);
    let asked = Request { headers: vec![header("A", "1")], ..request("GET", "/x") };
    assert_eq!(decide(&rights, Door::Fetch, &asked).unwrap_err().reason, DenyReason::NotNeeded);
}

#[test]
fn the_author_bounds_method_and_door_too() {
    for (method, path, effect, allowed) in [
        ("PUT", "/x", RuleEffect::Mutate, true),
        ("POST", "/x", RuleEffect::Mutate, false),
        ("PUT", "/x", RuleEffect::Read, false),
        ("PUT", "/y", RuleEffect::Mutate, false),
    ] {
        let rule = "\n      - {id: r, method: PUT, path: /x, effect: mutate}";
        let rights = rights_for(rule, vec![need(method, path, effect)]);
        let decision = decide(&rights, Door::Perform, &request("PUT", "/x"));
        let reason = decision.err().map(|denial| denial.reason);
        assert_eq!(reason, (!allowed).then_some(DenyReason::NotNeeded), "{method} {path} {effect:?}");
    }
}

#[test]
fn a_denial_is_short_and_shows_nothing_hidden() {
    let long = "/".to_owned() + &"\u{202e}a".repeat(100_000);
    let asked =
        Request { service: long.clone(), method: long.clone(), ..request("GET", &(long + "?token=hunter2")) };
    let denial = decide(&rights(), Door::Fetch, &asked).unwrap_err().to_string();
    assert!(denial.len() < 4000 && !denial.contains('\u{202e}'), "{denial}");
    let denial = decide(&rights(), Door::Fetch, &request("GET", "/none?token=hunter2")).unwrap_err();
    assert!(!format!("{denial} {denial:?}").contains("hunter2"));
}

#[test]
fn a_large_body_is_refused() {
    let mut asked = jmap("Email/get");
    asked.body = Some(vec![b' '; BODY_BYTES + 1]);
    assert_eq!(decide(&rights(), Door::Fetch, &asked).unwrap_err().reason, DenyReason::BodySize);
}

#[test]
fn a_suggestion_works_when_it_is_added() {
    let asked = Request { headers: vec![header("Range", "x")], ..request("GET", "/vms/214/status?start=1") };
    let denial = decide(&rights(), Door::Fetch, &asked).unwrap_err();
    let line = denial.suggestion().unwrap().replace("NAME", "added");
    let rights =
        rights_for(&format!("{}      {line}\n", RULES), vec![need("GET", "/vms/**", RuleEffect::Read)]);
    assert_eq!(decide(&rights, Door::Fetch, &asked).unwrap().rule, "added");
}
