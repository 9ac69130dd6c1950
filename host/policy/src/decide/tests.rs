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
fn what_is_for_undo_is_seen_by_an_undo_only() {
    let rules = r#"
      - {id: stop, method: POST, path: "/vms/{id}/stop", effect: mutate, for: undo}
      - {id: halt, method: POST, path: "/vms/{id}/stop", effect: mutate, query: [k]}
      - {id: remove, method: DELETE, path: "/vms/{id}", effect: destroy, for: undo}
      - {id: drop, method: DELETE, path: "/vms/{id}", effect: destroy}
      - {id: clear, method: PUT, path: "/vms/{id}", effect: destroy, for: undo}
      - {id: list, method: GET, path: "/vms", effect: read}
"#;
    let effects = [RuleEffect::Read, RuleEffect::Mutate, RuleEffect::Destroy];
    let needs = ["GET", "POST", "PUT", "DELETE"]
        .into_iter()
        .flat_map(|method| effects.map(|effect| need(method, "/vms/**", effect)));
    let rights = rights_for(rules, needs.chain([need("GET", "/vms", RuleEffect::Read)]).collect());
    let only_undo = |rule: &str| Err(DenyReason::OnlyUndo { rule: rule.to_owned() });
    let no_rule = |door| Err(DenyReason::NoRule(door));
    for (method, path, fetch, perform, undo) in [
        ("POST", "/vms/1/stop", no_rule(Door::Fetch), Ok("halt"), Ok("stop")),
        ("DELETE", "/vms/1", no_rule(Door::Fetch), Ok("drop"), Ok("remove")),
        ("PUT", "/vms/1", no_rule(Door::Fetch), only_undo("clear"), Ok("clear")),
        ("GET", "/vms", Ok("list"), no_rule(Door::Perform), no_rule(Door::Undo)),
        ("PUT", "/vms", no_rule(Door::Fetch), no_rule(Door::Perform), no_rule(Door::Undo)),
    ] {
        for (door, expected) in [(Door::Fetch, fetch), (Door::Perform, perform), (Door::Undo, undo)] {
            let decision = decide(&rights, door, &request(method, path));
            let decision = decision
                .as_ref()
                .map(|allowed| allowed.rule.as_str())
                .map_err(|denial| denial.reason.clone());
            assert_eq!(decision, expected, "{door:?} {method} {path}");
        }
    }
    let denial = decide(&rights, Door::Perform, &request("PUT", "/vms/1")).unwrap_err();
    assert!(denial.to_string().contains("it is `for: undo`: only a plan that takes a run back"), "{denial}");
    assert_eq!(denial.suggestion(), None);
    // The author bounds an undo too, but for rules that serve nothing else.
    let rights = rights_for(rules, vec![need("PUT", "/other", RuleEffect::Destroy)]);
    assert_eq!(decide(&rights, Door::Undo, &request("DELETE", "/vms/1")).unwrap().rule, "remove");
    let ordinary = Request { path: "/vms/1/stop?k=1".to_owned(), ..request("POST", "") };
    let denial = decide(&rights, Door::Undo, &ordinary).unwrap_err();
    assert_eq!(denial.reason, DenyReason::NotNeeded);
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
        (
            Door::Undo,
            request("DELETE", "/vms/1/x"),
            "no rule with `effect: mutate` or `destroy`",
            Some("- {id: NAME, method: DELETE, path: /vms/1/x, effect: destroy, for: undo}"),
        ),
        (Door::Fetch, request("GET", "/other"), "does not say that it needs", None),
        (Door::Fetch, request("POST", "/jmap/"), "rule `query` does not allow this body", None),
    ] {
        let denial = decide(&rights(), door, &asked).unwrap_err();
        assert!(denial.to_string().contains(words), "{denial}");
        let lines = suggestion.map(|rule| format!("services:\n  mail:\n    rules:\n      {rule}"));
        assert_eq!(denial.suggestion(), lines, "{denial}");
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
    let lines = denial.suggestion().unwrap().replace("NAME", "added");
    let line = lines.strip_prefix("services:\n  mail:\n    rules:\n").unwrap();
    let rights = rights_for(&format!("{RULES}{line}\n"), vec![need("GET", "/vms/**", RuleEffect::Read)]);
    assert_eq!(decide(&rights, Door::Fetch, &asked).unwrap().rule, "added");

    let asked = Request { service: "spare".to_owned(), ..request("DELETE", "/x") };
    let denial = decide(&rights, Door::Perform, &asked).unwrap_err();
    assert_eq!(denial.reason, DenyReason::ServiceNotBound);
    let lines = denial.suggestion().unwrap();
    let lines = lines.replace("NAME", "added").replace("https://…", "https://spare.example");
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {{mode: manual}}\n{lines}"
    );
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap();
    assert_eq!(binding.services["spare"].rules[0].effect, RuleEffect::Destroy);
}

#[test]
fn a_rule_for_undo_needs_no_higher_class() {
    for (safety, door, class) in [
        ("mutating", Door::Undo, None),
        ("mutating", Door::Perform, Some("safety: destructive")),
        ("read-only", Door::Undo, Some("safety: destructive")),
    ] {
        let mut rights = rights();
        rights.safety = serde_json::from_value(json!(safety)).unwrap();
        let denial = decide(&rights, door, &request("DELETE", "/none")).unwrap_err();
        let lines = denial.suggestion().unwrap();
        assert_eq!(lines.lines().find(|line| line.starts_with("safety")), class, "{lines}");
        assert_eq!(lines.contains("for: undo"), class.is_none(), "{lines}");
    }
}

/// Rights with a service of these lines, which the author needs with any POST under `/`.
fn rights_to_post(service: &str) -> Rights {
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {{mode: manual}}\nservices:\n  mail:\n    \
         origin: https://m.example\n{service}"
    );
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let needs = ["/{x}"].map(|path| need("POST", path, RuleEffect::Mutate)).to_vec();
    Rights::intersect(&manifest(needs), &binding).unwrap()
}

#[test]
fn a_body_with_a_secret_is_parsed_and_holds_the_placeholder() {
    let rights = rights_to_post(
        "    rules:\n      - {id: login, method: POST, path: /login, effect: mutate}\n      \
         - {id: other, method: POST, path: /other, effect: mutate}\n    \
         secrets: [{name: password, at: /auth/password, rule: login}]\n",
    );
    let posts = |path: &str, body: Option<&str>| {
        let asked = Request {
            headers: vec![header("content-type", "application/json")],
            body: body.map(|body| body.as_bytes().to_vec()),
            ..request("POST", path)
        };
        decide(&rights, Door::Perform, &asked)
            .map(|allowed| (allowed.rule, allowed.request.body.map(|body| String::from_utf8(body).unwrap())))
    };
    let sent = posts("/login", Some(" {\"auth\": {\"password\": \"[secret]\"}}")).unwrap();
    assert_eq!(sent, ("login".to_owned(), Some("{\"auth\":{\"password\":\"[secret]\"}}".to_owned())));
    let missing = DenyReason::Placeholder { rule: "login".to_owned(), at: "/auth/password".to_owned() };
    for body in ["{}", "{\"auth\":{\"password\":\"guess\"}}", "{\"auth\":{\"password\":[\"[secret]\"]}}"] {
        assert_eq!(posts("/login", Some(body)).unwrap_err().reason, missing, "{body}");
    }
    for body in [None, Some(""), Some("{\"auth\":{\"password\":\"[secret]\",\"Password\":\"x\"}}")] {
        let denial = posts("/login", body).unwrap_err();
        assert!(
            matches!(denial.reason, DenyReason::Body { .. }) && denial.suggestion().is_none(),
            "{denial}"
        );
    }
    // A rule without a secret in it takes any body.
    assert!(posts("/other", Some("{}")).is_ok());
    let text = posts("/login", Some("{}")).unwrap_err().to_string();
    assert!(text.contains("the body does not hold \"[secret]\" there"), "{text}");
}

#[test]
fn each_field_of_a_body_secret_counts() {
    let text = |secret: &str| {
        format!(
            "    rules:\n      - {{id: login, method: POST, path: /login, effect: mutate}}\n      \
             - {{id: other, method: POST, path: /other, effect: mutate}}\n    secrets: [{secret}]\n"
        )
    };
    // Which of the two requests, with the placeholder in two places, pass under each rule.
    let decisions = |secret: &str| {
        let rights = rights_to_post(&text(secret));
        ["/login", "/other"].map(|path| {
            ["{\"a\":\"[secret]\"}", "{\"b\":\"[secret]\"}"].map(|body| {
                let headers = vec![header("content-type", "application/json")];
                let asked = Request { headers, body: Some(body.into()), ..request("POST", path) };
                decide(&rights, Door::Perform, &asked).is_ok()
            })
        })
    };
    assert_eq!(decisions("{name: s, at: /a, rule: login}"), [[true, false], [true, true]]);
    assert_eq!(decisions("{name: s, at: /b, rule: login}"), [[false, true], [true, true]]);
    assert_eq!(decisions("{name: s, at: /a, rule: other}"), [[true, true], [true, false]]);
    // The name decides where it may go: see `Settings::admit`.
    let secret = |name: &str| {
        let rights = rights_to_post(&text(&format!("{{name: {name}, at: /a, rule: login}}")));
        rights.services["mail"]
            .grant
            .secrets_of("login")
            .map(|secret| secret.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((secret("s"), secret("t")), (vec!["s".to_owned()], vec!["t".to_owned()]));
}

#[test]
fn an_idempotency_header_and_the_method_make_a_rule_repeatable() {
    for (method, effect, field, repeatable) in [
        ("POST", "read", "", true),
        ("POST", "mutate", "", false),
        ("POST", "mutate", ", idempotency: X-Key", true),
        ("PATCH", "destroy", "", false),
        ("PUT", "mutate", "", true),
        ("DELETE", "destroy", "", true),
        ("GET", "mutate", "", false),
    ] {
        let rule = format!("    rules: [{{id: r, method: {method}, path: /x, effect: {effect}{field}}}]\n");
        let rights = rights_to_post(&rule);
        let rule = rights.services["mail"].grant.rule("r").unwrap();
        assert_eq!(rule.is_repeatable(), repeatable, "{method} {effect}{field}");
    }
}

#[test]
fn what_the_host_fills_no_guest_sets() {
    let rights = rights_to_post(
        "    credential: {secret: token, header: X-Api-Key, as: \"{}\"}\n    \
         rules: [{id: r, method: POST, path: /x, effect: mutate, idempotency: Idempotency-Key}]\n",
    );
    for name in ["x-api-key", "X_API_KEY", "Idempotency-Key", "idempotency_key"] {
        let asked = Request { headers: vec![header(name, "1")], ..request("POST", "/x") };
        let denial = decide(&rights, Door::Perform, &asked).unwrap_err();
        assert!(
            matches!(denial.reason, DenyReason::HostHeader(_)) && denial.suggestion().is_none(),
            "{denial}"
        );
    }
    let asked = Request { headers: vec![header("Host", "evil.example")], ..request("POST", "/x") };
    let denial = decide(&rights, Door::Perform, &asked).unwrap_err().to_string();
    assert!(denial.contains("`host` can never be set by a capability"), "{denial}");
}
