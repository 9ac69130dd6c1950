use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::manifest::{Access, Need, NeedKind, RuleEffect, RuleNeed, Safety};

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

fn asked(door: Door, service: &str, method: &str, path: &str, body: Option<&str>) -> Asked {
    let headers = body.map(|_| header("content-type", "application/json")).into_iter().collect();
    let (service, method, path) = (service.to_owned(), method.to_owned(), path.to_owned());
    let body = body.map(|body| body.as_bytes().to_vec());
    Asked { door, request: Request { service, method, path, headers, body } }
}

fn service_need(name: &str, optional: bool) -> Need {
    let rule = |method: &str, effect| RuleNeed {
        method: method.into(),
        path: "/**".into(),
        effect,
        query: vec!["a".into(), "b".into()],
        headers: vec!["x-one".into(), "x-two".into()],
    };
    let rules = vec![
        rule("GET", RuleEffect::Read),
        rule("POST", RuleEffect::Read),
        rule("POST", RuleEffect::Mutate),
        rule("DELETE", RuleEffect::Destroy),
    ];
    Need { need: NeedKind::Service { name: name.into(), rules }, optional }
}

fn manifest(needs: Vec<Need>) -> Manifest {
    Manifest {
        name: "a.b".into(),
        summary: String::new(),
        version: "1.0.0".into(),
        safety: Safety::ReadOnly,
        input: json!({"type": "object"}),
        output: json!({"type": "object", "properties": {"next": {"type": "string", "x-ops-starts": true}}}),
        needs,
    }
}

fn binding(rest: &str) -> Binding {
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {{mode: manual}}\n{rest}"
    );
    Binding::parse("b.yaml", text.as_bytes()).unwrap()
}

const RULES: &str = "services:
  web:
    origin: https://a.example
    addresses: [10.0.0.0/8]
    rules:
      - {id: get, method: GET, path: '/m/{x}/s', effect: read, query: [a, b], headers: [x-one, x-two]}
      - {id: query, method: POST, path: /jmap/, effect: read, body: {'/methodCalls/*/0': [Email/get, Mailbox/get, Thread/get]}}
      - {id: open, method: GET, path: /o/**, effect: read}
      - {id: change, method: POST, path: /jmap/, effect: mutate}
      - {id: back, method: DELETE, path: /m/**, effect: destroy, for: undo}
      - {id: never, method: DELETE, path: /n, effect: destroy}
  spare: {origin: https://b.example, rules: [{id: a, method: GET, path: /a, effect: read}]}
  strange: {origin: https://c.example, rules: [{id: a, method: GET, path: /a, effect: read}]}
directories: {in: {path: state/in, access: stage}, other: {path: state/other, access: read}}
contracts: [x.yaml, y.yaml]
config: {k: 1, l: 2}
invoke: [c.d, c.e, g.h]
starts: [s.a, s.b]
";

fn needs() -> Vec<Need> {
    let need = |need, optional| Need { need, optional };
    vec![
        service_need("web", false),
        service_need("spare", true),
        need(NeedKind::Directory { name: "in".into(), access: Access::Read }, false),
        need(NeedKind::Contract { name: "x.yaml".into() }, true),
        need(NeedKind::Config { key: "k".into(), meaning: String::new() }, true),
        need(NeedKind::Invoke { name: "c.**".into() }, true),
    ]
}

fn observed() -> Observed {
    let jmap = |name: &str| format!(r#"{{"using":["x"],"methodCalls":[["{name}",{{}},"0"]]}}"#);
    let mut with_key = asked(Door::Fetch, "web", "GET", "/m/1/s?b=2", None);
    with_key.request.headers.push(header("X-One", "1"));
    Observed {
        requests: vec![
            with_key,
            asked(Door::Fetch, "web", "POST", "/jmap/", Some(&jmap("Email/get"))),
            asked(Door::Fetch, "web", "GET", "/o/a/b", None),
            asked(Door::Fetch, "web", "GET", "/o/c", None),
            asked(Door::Perform, "web", "POST", "/jmap/", Some(&jmap("Email/set"))),
            asked(Door::Undo, "web", "DELETE", "/m/1", None),
            // Denied today, so no part of it.
            asked(Door::Fetch, "web", "GET", "/secret", None),
            asked(Door::Fetch, "nobody", "GET", "/", None),
        ],
        told: Vec::new(),
        dialled: BTreeMap::from([("web".into(), BTreeSet::from(["10.1.2.3".parse().unwrap()]))]),
        invoked: BTreeSet::from(["c.e".into()]),
        started: BTreeSet::from(["s.b".into()]),
        most_requests: Some(5),
    }
}

#[test]
fn what_was_not_used_goes_and_the_rest_is_narrowed() {
    let (old, manifest) = (binding(RULES), manifest(needs()));
    let suggestion = suggest(&old, &manifest, &observed()).unwrap();
    let expected = "services:
  web:
    origin: https://a.example
    addresses: [10.1.2.3/32]
    rules:
      - {id: get, method: GET, path: /m/1/s, effect: read, query: [b], headers: [x-one]}
      - {id: query, method: POST, path: /jmap/, effect: read, body: {'/methodCalls/*/0': [Email/get]}}
      - {id: open, method: GET, path: /o/a/b, effect: read}
      - {id: open-2, method: GET, path: /o/c, effect: read}
      - {id: change, method: POST, path: /jmap/, effect: mutate, body: {'/methodCalls/*/0': [Email/set]}}
      - {id: back, method: DELETE, path: /m/**, effect: destroy, for: undo}
directories: {in: {path: state/in, access: read}}
contracts: [x.yaml]
config: {k: 1}
invoke: [c.e]
starts: [s.b]
limits: {requests: 10}
";
    assert_eq!(suggestion.binding, binding(expected));
    assert_eq!((suggestion.proof.decided, suggestion.proof.by_path), (6, 0));
    let used: BTreeSet<_> = suggestion.steps.iter().map(|step| step.by).collect();
    let all = [
        Generalisation::NotNeeded,
        Generalisation::NotUsed,
        Generalisation::ForUndo,
        Generalisation::NotRecorded,
        Generalisation::NeededAccess,
        Generalisation::OneValue,
        Generalisation::ExactPaths,
        Generalisation::QueryKeys,
        Generalisation::Headers,
        Generalisation::BodyValues,
        Generalisation::Multiplexed,
        Generalisation::Dialled,
        Generalisation::TwiceTheMost,
    ];
    assert_eq!(used, BTreeSet::from(all));
    // A second look has nothing left to say.
    let again = suggest(&suggestion.binding, &manifest, &observed()).unwrap();
    assert_eq!(again.binding, suggestion.binding);
}

#[test]
fn what_would_have_been_denied_is_told() {
    let (old, manifest) = (binding(RULES), manifest(needs()));
    let new = suggest(&old, &manifest, &observed()).unwrap().binding;
    assert_eq!(would_deny(&old, &new, &manifest, &observed()), []);
    let more = Observed {
        requests: vec![
            asked(Door::Fetch, "web", "GET", "/m/2/s?a=1", None),
            asked(Door::Fetch, "web", "GET", "/m/2/s", None),
            asked(Door::Fetch, "web", "GET", "/secret", None),
            asked(Door::Fetch, "spare", "GET", "/a", None),
        ],
        told: vec![Told {
            service: "web".into(),
            rule: "never".into(),
            method: "DELETE".into(),
            path: "/n".into(),
        }],
        dialled: BTreeMap::from([("web".into(), BTreeSet::from(["10.9.9.9".parse().unwrap()]))]),
        invoked: BTreeSet::from(["c.d".into()]),
        started: BTreeSet::new(),
        most_requests: Some(11),
    };
    let told: Vec<_> =
        would_deny(&old, &new, &manifest, &more).into_iter().map(|one| (one.what, one.count)).collect();
    let expected = [
        ("a call of c.d", 1),
        ("a run with 11 requests", 1),
        ("spare GET /a", 1),
        ("web DELETE /n", 1),
        ("web GET /m/2/s", 2),
        ("web at 10.9.9.9", 1),
    ];
    assert_eq!(told, expected.map(|(what, count)| (what.to_owned(), count)));
}

#[test]
fn what_is_required_or_not_on_record_stays() {
    let rest = "services:\n  web: {origin: https://a.example, addresses: [10.0.0.0/8], rules: [{id: a, method: GET, path: /o/**, effect: read, query: [a]}]}\ninvoke: [c.d, c.e]\n";
    let old = binding(rest);
    let mut needs = vec![service_need("web", false)];
    needs.push(Need { need: NeedKind::Invoke { name: "c.**".into() }, optional: false });
    let manifest = manifest(needs);
    let none = suggest(&old, &manifest, &Observed::default()).unwrap();
    assert_eq!(none.binding, old);
    assert!(none.steps.iter().all(|step| step.by == Generalisation::Required), "{:?}", none.steps);

    // Of a receipt only the path is known.
    let told = Told { service: "web".into(), rule: "gone".into(), method: "GET".into(), path: "/o/1".into() };
    let some = Observed { told: vec![told], ..Observed::default() };
    let some = suggest(&old, &manifest, &some).unwrap();
    let rule = some.binding.services["web"].rules.first().unwrap();
    assert_eq!((rule.path.to_string().as_str(), rule.query.len()), ("/o/1", 1));
    assert_eq!((some.proof.decided, some.proof.by_path), (0, 1));
    assert_eq!(some.unknown.len(), 2, "{:?}", some.unknown);
}

#[test]
fn an_undo_that_an_effect_states_counts_as_used() {
    let rest = "services:\n  web:\n    origin: https://a.example\n    rules:\n      - {id: make, method: POST, path: /m, effect: mutate}\n      - {id: unmake, method: DELETE, path: '/m/{x}', effect: destroy}\n";
    let old = binding(rest);
    let manifest = manifest(vec![service_need("web", false)]);
    let make = asked(Door::Perform, "web", "POST", "/m", None);
    let unmake = asked(Door::Undo, "web", "DELETE", "/m/7", None);
    let both = Observed { requests: vec![make.clone(), unmake], ..Observed::default() };
    let ids = |observed: &Observed| -> Vec<String> {
        let new = suggest(&old, &manifest, observed).unwrap().binding;
        new.services["web"].rules.iter().map(|rule| format!("{} {}", rule.id, rule.path)).collect()
    };
    assert_eq!(ids(&both), ["make /m", "unmake /m/7"]);
    assert_eq!(ids(&Observed { requests: vec![make], ..Observed::default() }), ["make /m"]);
}

#[test]
fn a_rule_with_a_secret_in_its_body_is_not_split() {
    let rest = "services:\n  web:\n    origin: https://a.example\n    rules:\n      - {id: a, method: POST, path: /o/**, effect: mutate, idempotency: x-once}\n    secrets: [{name: pass, at: /p, rule: a}]\n";
    let manifest = manifest(vec![service_need("web", false)]);
    let ask = |path| asked(Door::Perform, "web", "POST", path, Some(r#"{"p":"[secret]"}"#));
    let one = Observed { requests: vec![ask("/o/1")], ..Observed::default() };
    let two = Observed { requests: vec![ask("/o/1"), ask("/o/2")], ..Observed::default() };
    for (observed, path) in [(one, "/o/1"), (two, "/o/**")] {
        let new = suggest(&binding(rest), &manifest, &observed).unwrap().binding;
        let web = &new.services["web"];
        assert_eq!((web.rules.len(), web.secrets.len()), (1, 1));
        assert_eq!(web.rules.first().unwrap().path.to_string(), path);
    }
}

fn any_request() -> impl Strategy<Value = Asked> {
    let door = prop_oneof![Just(Door::Fetch), Just(Door::Perform), Just(Door::Undo)];
    let service = prop_oneof![4 => Just("web"), 1 => Just("spare"), 1 => Just("strange")];
    let method = prop_oneof![Just("GET"), Just("POST"), Just("DELETE")];
    let path = prop_oneof![
        Just("/jmap/".to_owned()),
        "/m/[12]/s",
        "/m/[12]",
        "/o/[a-f]{1,2}(/[ab])?(/[ab]/)?",
        Just("/n".to_owned()),
        Just("/a".to_owned()),
    ];
    let query = prop_oneof![3 => Just(""), 1 => Just("?a=1"), 1 => Just("?b=1&a=2"), 1 => Just("?c=1")];
    let body = prop_oneof![
        2 => Just(None),
        1 => Just(Some(r#"{"using":["x"],"methodCalls":[["Email/get",{},"0"]]}"#)),
        1 => Just(Some(r#"{"using":["x"],"methodCalls":[["Email/set",{},"0"],["Mailbox/get",{},"1"]]}"#)),
        1 => Just(Some(r#"{"jsonrpc":"2.0","method":"m"}"#)),
        1 => Just(Some("{\"jsonrpc\":")),
    ];
    let headers = proptest::collection::vec(prop_oneof![Just("x-one"), Just("X-Two"), Just("x-three")], 0..2);
    (door, service, method, path, query, body, headers).prop_map(
        |(door, service, method, path, query, body, headers)| {
            let mut one = asked(door, service, method, &format!("{path}{query}"), body);
            one.request.headers.extend(headers.into_iter().map(|name| header(name, "1")));
            one
        },
    )
}

proptest! {
    /// What was observed is allowed under the suggestion; what the suggestion allows is allowed today, with the same effect;
    /// and its text says so.
    #[test]
    fn observed_is_allowed_and_nothing_is_allowed_anew(
        seen in proptest::collection::vec(any_request(), 0..12),
        others in proptest::collection::vec(any_request(), 0..40),
        addresses in proptest::collection::btree_set(any::<[u8; 3]>(), 0..6),
    ) {
        let (old, manifest) = (binding(RULES), manifest(needs()));
        let dialled = addresses.iter().map(|[a, b, c]| IpAddr::from([10, *a, *b, *c])).collect();
        let observed = Observed {
            requests: seen.clone(),
            dialled: BTreeMap::from([("web".to_owned(), dialled)]),
            ..Observed::default()
        };
        let suggestion = suggest(&old, &manifest, &observed).unwrap();
        let before = Rights::intersect(&manifest, &old).unwrap();
        let after = Rights::intersect(&manifest, &suggestion.binding).unwrap();
        for asked in &seen {
            let [before, after] = [&before, &after].map(|rights| decide(rights, asked.door, &asked.request));
            prop_assert_eq!(before.map(|one| one.effect).ok(), after.map(|one| one.effect).ok());
        }
        for asked in &others {
            if let Ok(new) = decide(&after, asked.door, &asked.request) {
                let old = decide(&before, asked.door, &asked.request);
                prop_assert_eq!(old.unwrap().effect, new.effect);
            }
        }
        for address in observed.dialled.values().flatten() {
            let listed = |binding: &Binding| {
                binding.services.get("web").is_none_or(|web| web.addresses.iter().any(|range| range.contains(address)))
            };
            prop_assert!(listed(&suggestion.binding));
        }
        prop_assert_eq!(would_deny(&old, &suggestion.binding, &manifest, &observed), vec![]);
        let text = write_whole::binding(&old);
        let written = rewrite(&text, &old, &suggestion.binding).unwrap();
        prop_assert_eq!(Binding::parse("", written.text.as_bytes()).unwrap(), suggestion.binding);
    }
}

#[test]
fn a_suggestion_that_is_wider_or_denies_what_was_observed_is_withdrawn() {
    let (old, manifest) = (binding(RULES), manifest(needs()));
    let observed = observed();
    let rights = Rights::intersect(&manifest, &old).unwrap();
    let allowed: Vec<_> = observed
        .requests
        .iter()
        .filter_map(|asked| Some((asked, decide(&rights, asked.door, &asked.request).ok()?)))
        .collect();
    let judged = |text: &str| match prove::prove(&old, &binding(text), &manifest, &allowed, &[]) {
        Err(SuggestError::Withdrawn(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(prove::prove(&old, &old, &manifest, &allowed, &[]).is_ok());
    for (from, to) in [
        ("addresses: [10.0.0.0/8]", "addresses: [10.0.0.0/8, 192.168.0.0/16]"),
        ("/m/{x}/s", "/m/**"),
        ("effect: read, query: [a, b]", "effect: read, query: [a, b, c]"),
        ("Thread/get]", "Thread/get, Email/set]"),
        ("invoke: [c.d", "invoke: [c.f, c.d"),
        ("path: state/other, access: read", "path: state/other, access: stage"),
    ] {
        assert!(RULES.contains(from), "{from}");
        let why = judged(&RULES.replace(from, to));
        assert!(why.contains("not granted today"), "{to}: {why}");
    }
    let why = judged(&RULES.replace("Email/get, ", ""));
    assert!(why.contains("would deny what was observed"), "{why}");
}
