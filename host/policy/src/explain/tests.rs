use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::manifest::{Need, RuleEffect, RuleNeed, Safety};

const BINDING: &str = r#"{capability: a.b, component: a.wasm, safety: mutating, approval: {mode: manual}, services: {
  mail: {origin: "https://mail.example", rules: [
    {id: list, method: GET, path: /a, effect: read, query: [k]},
    {id: query, method: POST, path: /jmap/, effect: read, body: {/call: [get]}},
    {id: send, method: POST, path: /jmap/, effect: mutate, body: {/call: [set]}},
    {id: back, method: PUT, path: /back, effect: destroy, for: undo},
    {id: extra, method: GET, path: /extra, effect: read}]},
  pve: {origin: "https://10.0.0.1:8006", addresses: [10.0.0.1], rules: [{id: r, method: GET, path: /, effect: read}]},
  twin: {origin: "https://10.0.0.1:8006", addresses: [10.0.0.1], rules: [{id: r, method: GET, path: /, effect: read}]}}}"#;

fn binding() -> Binding {
    Binding::parse("b.yaml", BINDING.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn manifest() -> Manifest {
    let rule = |method: &str, path: &str, effect| RuleNeed {
        method: method.to_owned(),
        path: path.to_owned(),
        effect,
        query: vec!["k".to_owned()],
        headers: vec![],
    };
    let rules = vec![
        rule("GET", "/a", RuleEffect::Read),
        rule("POST", "/jmap/", RuleEffect::Read),
        rule("POST", "/jmap/", RuleEffect::Mutate),
        rule("GET", "/b", RuleEffect::Read),
    ];
    let service = |name: &str, rules, optional| Need {
        need: NeedKind::Service { name: name.to_owned(), rules },
        optional,
    };
    Manifest {
        name: "a.b".to_owned(),
        summary: String::new(),
        version: "1.0.0".to_owned(),
        safety: Safety::Mutating,
        input: json!({}),
        output: json!({}),
        needs: vec![
            service("mail", rules, false),
            service("spare", vec![rule("GET", "/", RuleEffect::Read)], true),
        ],
    }
}

fn asked(method: &str, url: &str, body: Option<&str>) -> Request {
    let body = body.map(|body| body.as_bytes().to_vec());
    request_for(&manifest(), &binding(), method, url, vec![], body).unwrap_or_else(|error| panic!("{error}"))
}

/// Decision, author and operator, a word or the text each.
fn told(explanation: &Explanation) -> [String; 3] {
    let side = |side: &Side| match side {
        Side::Covers { what } => format!("covers: {what}"),
        Side::Refuses { why } => format!("refuses: {why}"),
    };
    let decision = match &explanation.decision {
        Decision::Allowed(allowed) => format!("allowed by {}", allowed.rule),
        Decision::Denied(_) => "denied".to_owned(),
        Decision::NoRun(_) => "no run".to_owned(),
    };
    [decision, side(&explanation.author), side(&explanation.operator)]
}

#[test]
fn each_side_says_what_it_thinks() {
    let no_rule = "refuses: no rule with `effect: read` has this method and path";
    let no_need = "refuses: the manifest states no need with `effect: read`, this method and this path";
    for (method, url, body, expected) in [
        (
            "GET",
            "mail:/a?k=1",
            None,
            ["allowed by list", "covers: GET /a (read)", "covers: rule `list`: GET /a (read)"],
        ),
        (
            "GET",
            "https://MAIL.example:443/a",
            None,
            ["allowed by list", "covers: GET /a", "covers: rule `list`"],
        ),
        ("GET", "mail:/extra", None, ["denied", no_need, "covers: rule `extra`"]),
        ("GET", "mail:/b", None, ["denied", "covers: GET /b", no_rule]),
        ("GET", "https://mail.example", None, ["denied", no_need, no_rule]),
        (
            "GET",
            "mail:/a?x=1",
            None,
            [
                "denied",
                "refuses: the manifest states a need",
                "refuses: rule `list` does not list the query key `x`",
            ],
        ),
        (
            "GET",
            "mail:/a#x",
            None,
            [
                "denied",
                "refuses: no need can state",
                "refuses: no rule can grant such a request: the path is refused: it holds a fragment",
            ],
        ),
        (
            "POST",
            "mail:/jmap/",
            Some(r#"{"call":"set"}"#),
            ["allowed by send", "covers: POST /jmap/ (mutate)", "covers: rule `send`"],
        ),
        (
            "POST",
            "mail:/jmap/",
            Some(r#"{"call":"get"}"#),
            ["allowed by query", "covers: POST /jmap/ (read)", "covers: rule `query`"],
        ),
        (
            "GET",
            "spare:/",
            None,
            [
                "denied",
                "covers: GET / (read)",
                "refuses: the binding does not grant this service; the binding of a.b grants mail (https://mail.example:443), pve",
            ],
        ),
        (
            "GET",
            "pve:/",
            None,
            ["denied", "refuses: the manifest does not name this service", "covers: rule `r`"],
        ),
        (
            "PUT",
            "mail:/back",
            None,
            [
                "denied",
                "refuses: the manifest states no need with `effect: mutate` or `destroy`, this method and this path",
                "refuses: rule `back` has this method and path, and it is `for: undo`",
            ],
        ),
    ] {
        let explanation = explain(&manifest(), &binding(), &asked(method, url, body), None);
        for (told, expected) in told(&explanation).iter().zip(expected) {
            assert!(told.starts_with(expected), "{method} {url}: {told}");
        }
    }
}

#[test]
fn the_door_that_fits_is_taken() {
    for (method, url, body, door) in [
        ("POST", "mail:/jmap/", Some(r#"{"call":"set"}"#), Door::Perform),
        ("POST", "mail:/jmap/", Some(r#"{"call":"get"}"#), Door::Fetch),
        ("POST", "mail:/jmap/", Some(r#"{"call":"drop"}"#), Door::Perform),
        ("POST", "mail:/none", None, Door::Perform),
        ("GET", "mail:/none", None, Door::Fetch),
        ("GET", "mail:/a?x=1", None, Door::Fetch),
        ("PUT", "mail:/back", None, Door::Perform),
    ] {
        let explanation = explain(&manifest(), &binding(), &asked(method, url, body), None);
        assert_eq!(explanation.door, door, "{method} {url} {body:?}");
    }
    let back = asked("PUT", "mail:/back", None);
    let undone = explain(&manifest(), &binding(), &back, Some(Door::Undo));
    let expected = [
        "allowed by back",
        "covers: an undo that the component states with an effect",
        "covers: rule `back`: PUT /back (destroy, for undo only)",
    ];
    assert_eq!(told(&undone), expected);
    let asked = asked("POST", "mail:/jmap/", Some(r#"{"call":"set"}"#));
    let fetched = explain(&manifest(), &binding(), &asked, Some(Door::Fetch));
    assert!(told(&fetched)[2].contains("rule `query` does not allow this body"), "{fetched:?}");
}

#[test]
fn a_binding_that_lacks_something_makes_no_run() {
    let mut manifest = manifest();
    manifest.needs.push(Need { need: NeedKind::Contract { name: "c.yaml".to_owned() }, optional: false });
    let explanation = explain(&manifest, &binding(), &asked("GET", "mail:/a", None), None);
    assert_eq!(told(&explanation)[0], "no run");
    assert_eq!(explanation.suggestion().as_deref(), Some("contracts: [c.yaml]"));
    assert!(matches!(
        (&explanation.author, &explanation.operator),
        (Side::Covers { .. }, Side::Covers { .. })
    ));
}

#[test]
fn a_suggestion_is_given_where_a_line_would_help() {
    for (url, lines) in [
        (
            "mail:/b",
            Some("services:\n  mail:\n    rules:\n      - {id: NAME, method: GET, path: /b, effect: read}"),
        ),
        (
            "spare:/",
            Some(
                "services:\n  spare:\n    origin: https://…\n    rules:\n      - {id: NAME, method: GET, path: /, effect: read}",
            ),
        ),
        ("mail:/extra", None),
        ("mail:/a", None),
    ] {
        let explanation = explain(&manifest(), &binding(), &asked("GET", url, None), None);
        assert_eq!(explanation.suggestion().as_deref(), lines, "{url}");
    }
}

#[test]
fn urls_that_fit_no_service() {
    let grants =
        "the binding of a.b grants mail (https://mail.example:443), pve (https://10.0.0.1:8006), twin";
    for (url, words) in [
        ("https://mail.example:444/a", vec!["no service lives at https://mail.example:444", grants]),
        ("http://mail.example/a", vec!["no service lives at http://mail.example:80", grants]),
        ("https://mail.example.evil.example/", vec!["no service lives at", grants]),
        ("https://me:hunter2@mail.example/a", vec!["user names do not belong here", grants]),
        ("ftp://mail.example/a", vec!["it must begin with https://", grants]),
        ("https://*.example/", vec!["wildcards"]),
        ("https://10.0.0.1:8006/", vec!["pve, twin live at https://10.0.0.1:8006", "as SERVICE:/path"]),
        ("mial:/a", vec!["there is no service `mial`", grants]),
        ("mail.example/a", vec!["is neither scheme://host/path nor SERVICE:/path", grants]),
        ("mail:a", vec!["is neither", grants]),
        ("/a", vec!["is neither"]),
        ("", vec!["is neither"]),
        ("\u{202e}x", vec!["`\\u{202e}x` is neither"]),
    ] {
        let error = request_for(&manifest(), &binding(), "GET", url, vec![], None).unwrap_err().to_string();
        assert!(words.iter().all(|words| error.contains(words)), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let nothing = Binding { services: [].into(), ..binding() };
    let error = request_for(&manifest(), &nothing, "GET", "https://x/", vec![], None).unwrap_err();
    assert!(error.to_string().ends_with("the binding of a.b grants no service"), "{error}");
    let query = asked("GET", "https://mail.example?k=1", None);
    assert!(matches!(explain(&manifest(), &binding(), &query, None).decision, Decision::Denied(_)));
}

#[test]
fn a_body_is_json_unless_said_otherwise() {
    let typed = vec![Header { name: "Content-Type".to_owned(), value: "text/plain".to_owned() }];
    let (manifest, binding) = (manifest(), binding());
    let with =
        |headers, body| request_for(&manifest, &binding, "POST", "mail:/", headers, body).unwrap().headers;
    assert_eq!(with(typed.clone(), Some(vec![])), typed);
    assert_eq!(with(vec![], Some(vec![]))[0].value, "application/json");
    assert_eq!(with(vec![], None), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_sides_agree_with_the_decision(
        service in prop::sample::select(vec!["mail", "pve", "spare", "none"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "TRACE"]),
        path in prop::sample::select(vec!["/a", "/a?k=1", "/a?x=1", "/b", "/back", "/extra", "/jmap/", "/", "/..", "//"]),
        header in prop::option::of(prop::sample::select(vec!["accept", "x-a", "host"])),
        body in prop::option::of(prop::sample::select(vec!["{\"call\":\"get\"}", "{\"call\":\"set\"}", "{}", "x"])),
        door in prop::sample::select(vec![Door::Fetch, Door::Perform, Door::Undo]),
    ) {
        let mut headers: Vec<Header> = header.iter().map(|name| Header { name: (*name).to_owned(), value: "1".to_owned() }).collect();
        headers.push(Header { name: "content-type".to_owned(), value: "application/json".to_owned() });
        let body = body.map(|body| body.as_bytes().to_vec());
        let request = Request { service: service.to_owned(), method: method.to_owned(), path: path.to_owned(), headers, body };
        let explanation = explain(&manifest(), &binding(), &request, Some(door));
        let rights = Rights::intersect(&manifest(), &binding()).unwrap();
        let expected = match decide(&rights, door, &request) {
            Ok(allowed) => Decision::Allowed(Box::new(allowed)),
            Err(denial) => Decision::Denied(denial),
        };
        prop_assert_eq!(&explanation.decision, &expected);
        let covered = |side: &Side| matches!(side, Side::Covers { .. });
        let both = covered(&explanation.author) && covered(&explanation.operator);
        prop_assert_eq!(both, matches!(explanation.decision, Decision::Allowed(_)), "{:?}", explanation);
        let open = explain(&manifest(), &binding(), &request, None);
        prop_assert!(!both || door == Door::Undo || matches!(open.decision, Decision::Allowed(_)), "{:?}", open);
    }
}
