use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::binding::Binding;
use crate::decide::{Door, decide};
use crate::manifest::Manifest;
use crate::message::{Header, Request};
use crate::rights::Rights;
use crate::rule::PathPattern;

/// A small world, so that rights and requests meet often.
const SEGMENTS: [&str; 4] = ["a", "b", "{x}", "{y}"];
const KEYS: [&str; 2] = ["k", "l"];
const NAMES: [&str; 2] = ["x-one", "x-two"];
const WORDS: [&str; 3] = ["get", "set", "query"];
const POINTERS: [&str; 4] = ["/calls/*/0", "/calls/0/0", "/calls/1/0", "/kind"];

fn pattern() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(prop::sample::select(&SEGMENTS[..]), 0..4);
    (segments, 0..3).prop_map(|(segments, end)| {
        let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        match (end, text.as_str()) {
            (0, "") | (1, _) => text + "/",
            (0, _) => text,
            _ => text + "/**",
        }
    })
}

/// Every path of up to four segments, one of which is in no pattern.
fn paths() -> Vec<String> {
    let mut all = vec![String::new()];
    for _ in 0..4 {
        let longer: Vec<String> =
            all.iter().flat_map(|path| ["a", "b", "z"].map(|next| format!("{path}/{next}"))).collect();
        all.extend(longer);
        all.sort();
        all.dedup();
    }
    let closed: Vec<String> = all.iter().map(|path| format!("{path}/")).collect();
    all.into_iter().filter(|path| !path.is_empty()).chain(closed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn patterns_are_compared_exactly(one in pattern(), other in pattern()) {
        let (one, other) = (PathPattern::parse(&one).unwrap(), PathPattern::parse(&other).unwrap());
        let both = one.intersect(&other);
        let mut covered = true;
        for path in paths() {
            let (ours, theirs) = (one.matches(&path), other.matches(&path));
            covered &= ours || !theirs;
            let common = both.as_ref().is_some_and(|both| both.matches(&path));
            prop_assert_eq!(common, ours && theirs, "{} {} {}", one, other, path);
        }
        prop_assert_eq!(one.subsumes(&other), covered, "{} {}", one, other);
        let same = one.subsumes(&other) && other.subsumes(&one);
        prop_assert_eq!(same, one.canonical() == other.canonical());
    }
}

fn subset(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(of, 0..=of.len()).prop_map(|some| some.into_iter().map(str::to_owned).collect())
}

fn body() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
    let words = prop::sample::subsequence(&WORDS[..], 1..=3)
        .prop_map(|some| some.into_iter().map(str::to_owned).collect::<Vec<_>>());
    prop::collection::btree_map(prop::sample::select(&POINTERS[..]), words, 0..3)
        .prop_map(|map| map.into_iter().map(|(at, words)| (at.to_owned(), words)).collect())
}

/// A rule, part by part, so that two can differ in one of them.
#[derive(Clone, Debug)]
struct Plain {
    effect: &'static str,
    method: &'static str,
    path: String,
    query: Vec<String>,
    headers: Vec<String>,
    body: Vec<(String, Vec<String>)>,
    undo: bool,
    secret: bool,
}

impl Plain {
    /// This rule with one part of another.
    fn with(&self, part: usize, other: &Self) -> Self {
        let (mut rule, other) = (self.clone(), other.clone());
        match part {
            0 => rule.effect = other.effect,
            1 => rule.method = other.method,
            2 => rule.path = other.path,
            3 => rule.query = other.query,
            4 => rule.headers = other.headers,
            5 => rule.body = other.body,
            6 => rule.undo = !rule.undo,
            _ => rule.secret = !rule.secret,
        }
        rule
    }

    /// Its YAML; a remark says whether a secret goes into its bodies.
    fn text(&self) -> String {
        let Self { effect, method, path, query, headers, body, undo, secret } = self;
        let body: serde_json::Map<String, serde_json::Value> =
            body.iter().map(|(at, words)| (at.clone(), json!(words))).collect();
        let undo = if *undo && *effect != "read" { ", for: undo" } else { "" };
        let mark = if *secret { "# secret" } else { "" };
        format!(
            "{{id: ID, method: {method}, path: {}, effect: {effect}, query: {}, headers: {}, body: {}{undo}}} {mark}",
            json!(path),
            json!(query),
            json!(headers),
            json!(body)
        )
    }

    /// Requests that it may well let pass: its own method, paths, keys and fields, and each body through each door.
    fn asked(&self, bodies: &[Vec<u8>]) -> Vec<(Door, Request)> {
        let keys: Vec<_> = self.query.iter().map(|key| format!("{key}=1")).collect();
        let query = if keys.is_empty() { String::new() } else { format!("?{}", keys.join("&")) };
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let mut headers: Vec<_> = self.headers.iter().map(|name| header(name, "1")).collect();
        headers.push(header("content-type", "application/json"));
        let paths = [("z", "/z"), ("a", "/b"), ("b", "/a/b")].map(|(free, rest)| {
            let path = self.path.replace("{x}", free).replace("{y}", free);
            path.strip_suffix("/**").map_or(path.clone(), |fixed| format!("{fixed}{rest}"))
        });
        let mut all = Vec::new();
        for path in paths {
            for body in bodies {
                let (method, path, body) =
                    (self.method.to_owned(), format!("{path}{query}"), Some(body.clone()));
                let request = Request { service: "web".into(), method, path, headers: headers.clone(), body };
                all.extend([Door::Fetch, Door::Perform, Door::Undo].map(|door| (door, request.clone())));
            }
        }
        all
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    let effect = prop::sample::select(vec!["read", "mutate", "destroy"]);
    let method = prop::sample::select(vec!["POST", "PUT"]);
    let undo = prop::bool::weighted(0.3);
    let lists = (subset(&KEYS), subset(&NAMES), body());
    (effect, method, pattern(), lists, undo, prop::bool::weighted(0.3)).prop_map(
        |(effect, method, path, (query, headers, body), undo, secret)| Plain {
            effect,
            method,
            path,
            query,
            headers,
            body,
            undo,
            secret,
        },
    )
}

/// A rule as its YAML.
fn rule() -> impl Strategy<Value = String> {
    plain().prop_map(|plain| plain.text())
}

/// Bodies in which every condition of this world finds something, or nothing.
fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let calls = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..3);
    let one = (calls, prop::sample::select(&WORDS[..]), any::<bool>()).prop_map(|(calls, kind, token)| {
        let calls: Vec<_> = calls.into_iter().map(|word| json!([word])).collect();
        let token = if token { "[secret]" } else { "none" };
        json!({"calls": calls, "kind": kind, "token": token}).to_string().into_bytes()
    });
    prop::collection::vec(one, 8)
}

fn binding(rules: &[String]) -> Binding {
    let mut text = "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {mode: manual}\nservices:\n  web:\n    \
                    origin: https://web.example\n    rules:\n"
        .to_owned();
    let mut secrets = String::new();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&format!("      - {}\n", rule.replace("id: ID", &format!("id: r{number}"))));
        if rule.ends_with("# secret") {
            secrets.push_str(&format!("      - {{name: token, at: /token, rule: r{number}}}\n"));
        }
    }
    if !secrets.is_empty() {
        text.push_str(&format!("    secrets:\n{secrets}"));
    }
    Binding::parse("b", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn requests(binding: &Binding) -> Vec<Right> {
    let of_requests = |held: Held| matches!(held.right, Right::Requests(_)).then_some(held.right);
    granted(binding).into_iter().filter_map(of_requests).collect()
}

/// A manifest that needs everything of this world, so that the binding alone decides.
fn manifest() -> Manifest {
    let rules: Vec<_> = ["POST", "PUT"]
        .into_iter()
        .flat_map(|method| ["read", "mutate", "destroy"].map(|effect| (method, effect)))
        .flat_map(|(method, effect)| ["/", "/**"].map(|path| (method, effect, path)))
        .map(|(method, effect, path)| json!({"method": method, "path": path, "effect": effect, "query": KEYS, "headers": NAMES}))
        .collect();
    serde_json::from_value(json!({
        "name": "a.b", "summary": "s", "version": "1.0.0", "safety": "destructive", "input": {}, "output": {},
        "needs": [{"need": {"kind": "service", "name": "web", "rules": rules}, "optional": false}],
    }))
    .unwrap()
}

fn passes(binding: &Binding, (door, request): &(Door, Request)) -> bool {
    decide(&Rights::intersect(&manifest(), binding).unwrap(), *door, request).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The algebra against the decision: where a set of rules covers another rule, it lets pass what that lets pass.
    #[test]
    fn what_covers_allows(
        ours in prop::collection::vec(plain(), 1..3),
        (other, part) in (plain(), 0..8_usize),
        bodies in bodies(),
    ) {
        // The two differ in one part, so that each part is put to the test.
        let theirs = ours[0].with(part, &other);
        let set = binding(&ours.iter().map(Plain::text).collect::<Vec<_>>());
        let one = binding(&[theirs.text()]);
        let Some(right) = requests(&one).pop() else { return Ok(()) };
        if covers(&requests(&set), &right) {
            for asked in theirs.asked(&bodies) {
                prop_assert!(!passes(&one, &asked) || passes(&set, &asked), "{right} is covered, {asked:?} denied");
            }
        }
    }

    /// What is not called widened lets nothing more pass, and calls nothing by a lesser effect than before.
    #[test]
    fn what_is_not_widened_allows_no_more(
        ours in prop::collection::vec(plain(), 1..4),
        (other, part, at) in (plain(), 0..8_usize, any::<prop::sample::Index>()),
        change in 0..4_usize,
        bodies in bodies(),
    ) {
        let mut theirs = ours.clone();
        let at = at.index(theirs.len());
        match change {
            0 => theirs.rotate_left(at),
            1 if theirs.len() > 1 => drop(theirs.remove(at)),
            2 => theirs.insert(at, other),
            _ => theirs[at] = theirs[at].with(part, &other),
        }
        let [old, new] = [&ours, &theirs].map(|rules| binding(&rules.iter().map(Plain::text).collect::<Vec<_>>()));
        let changes = crate::diff::bindings(&old, &new);
        if crate::diff::gravest(&changes) == crate::diff::Class::Widened {
            return Ok(());
        }
        let allowed = |binding: &Binding, (door, request): &(Door, Request)| {
            let allowed = decide(&Rights::intersect(&manifest(), binding).unwrap(), *door, request).ok()?;
            let secrets = binding.services["web"].secrets_of(&allowed.rule).count();
            Some((allowed.effect, secrets))
        };
        for asked in theirs.iter().flat_map(|rule| rule.asked(&bodies)) {
            let (before, after) = (allowed(&old, &asked), allowed(&new, &asked));
            let more = after.is_some_and(|(effect, secrets)| {
                before.is_none_or(|(was, had)| effect < was || secrets > had)
            });
            prop_assert!(!more, "{before:?} {after:?} {asked:?} {changes:?}");
        }
    }

    /// An intersection allows what both allow, and nothing else.
    #[test]
    fn an_intersection_is_both(one in plain(), other in plain(), part in 0..8_usize, bodies in bodies()) {
        let other = one.with(part, &other);
        let (first, second) = (binding(&[one.text()]), binding(&[other.text()]));
        let (Some(ours), Some(theirs)) = (requests(&first).pop(), requests(&second).pop()) else { return Ok(()) };
        let both = ours.intersect(&theirs);
        if let Some(both) = &both {
            prop_assert!(ours.subsumes(both) && theirs.subsumes(both));
        }
        for asked in one.asked(&bodies).iter().chain(&other.asked(&bodies)) {
            let common = passes(&first, asked) && passes(&second, asked);
            prop_assert!(both.is_some() || !common, "{asked:?} passes both, which have nothing in common");
        }
    }

    #[test]
    fn the_order_is_one(rights in prop::collection::vec(any_right(), 3)) {
        let [a, b, c] = [&rights[0], &rights[1], &rights[2]];
        prop_assert!(a.subsumes(a));
        prop_assert!(!(a.subsumes(b) && b.subsumes(c)) || a.subsumes(c), "{a}; {b}; {c}");
        // What is greater and smaller is the same, in one canonical form; conditions on a body are compared with care.
        if a.subsumes(b) && b.subsumes(a) && !matches!(a, Right::Requests(_) | Right::Secret { .. }) {
            prop_assert_eq!(a, b);
        }
        if let Some(both) = a.intersect(b) {
            prop_assert!(a.subsumes(&both) && b.subsumes(&both), "{a}; {b}; {both}");
        }
        if a.subsumes(b) {
            let both = a.intersect(b).unwrap();
            prop_assert!(both.subsumes(b) && b.subsumes(&both), "{a}; {b}; {both}");
        }
        prop_assert_eq!(a.intersect(b).is_some(), b.intersect(a).is_some());
    }
}

/// A right of any kind.
fn any_right() -> impl Strategy<Value = Right> {
    let name = || prop::sample::select(&["one", "two"][..]).prop_map(str::to_owned);
    let approval = (
        any::<bool>(),
        prop::sample::subsequence(&[Accept::Signed, Accept::Confirmed, Accept::Piped][..], 1..=3),
        1..3_u8,
    )
        .prop_map(|(auto, accept, approvals)| match auto {
            true => Approval { mode: Mode::Auto, accept: vec![], reason: None, approvals: 0 },
            false => Approval { mode: Mode::Manual, accept, reason: None, approvals },
        });
    let tls = prop::sample::select(vec![
        None,
        Some(Tls::Authority { ca: "tls/a.pem".into() }),
        Some(Tls::Authority { ca: "tls/b.pem".into() }),
        Some(Tls::Pinned { fingerprint: crate::service::Fingerprint::parse(&"ab".repeat(32)).unwrap() }),
    ]);
    let range = prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "fd00::/8"]);
    let access = prop::sample::select(vec![Access::Read, Access::Stage]);
    let path = prop::option::of(prop::sample::select(vec!["state", "state/a", "state/ab", "gaps"]));
    let value = prop::option::of(0..2_i64);
    let family =
        prop::sample::select(vec!["gates.**", "gates.infra.**", "gates.infra.check", "gate.x", "gates.a"]);
    let limit = prop::sample::select(vec![Limit::Memory, Limit::Time]);
    let safety = prop::sample::select(vec![Safety::ReadOnly, Safety::Mutating, Safety::Destructive]);
    prop_oneof![
        3 => rule().prop_filter_map("no body could meet it", |rule| requests(&binding(&[rule])).pop()),
        2 => (rule(), any::<prop::sample::Index>()).prop_map(|(rule, index)| {
            // A secret in the body goes with its rule's requests.
            let mut all = granted(&binding(&[rule]));
            all.remove(index.index(all.len())).right
        }),
        1 => safety.prop_map(Right::Safety),
        1 => approval.prop_map(Right::Approval),
        1 => (name(), tls).prop_map(|(service, tls)| Right::Trust { service, tls }),
        1 => (name(), range).prop_map(|(service, range)| Right::Address { service, range: range.parse().unwrap() }),
        1 => (name(), path, access).prop_map(|(name, path, access)| {
            Right::Directory { name, path: path.map(str::to_owned), access }
        }),
        1 => (name(), value).prop_map(|(key, value)| Right::Config { key, value: value.map(|value| Setting::One(crate::scalar::Scalar::Int(value))) }),
        1 => family.prop_map(|name| Right::Invoke(name.to_owned())),
        1 => (limit, 0..3_u64).prop_map(|(of, most)| Right::Limit { of, most }),
        1 => prop::option::of(name()).prop_map(Right::Beside),
        1 => name().prop_map(Right::Contract),
    ]
}

#[test]
fn a_set_is_covered_in_parts() {
    let of =
        |rules: &[&str]| requests(&binding(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>()));
    let both = "{id: ID, method: POST, path: /a, effect: read, body: {/kind: [get, query]}}";
    let get = "{id: ID, method: POST, path: /a, effect: read, body: {/kind: [get]}}";
    let query = "{id: ID, method: POST, path: /a, effect: read, body: {/kind: [query]}}";
    let set = "{id: ID, method: POST, path: /a, effect: read, body: {/kind: [set]}}";
    let whole = &of(&[both])[0];
    assert!(covers(&of(&[get, query]), whole));
    assert!(!covers(&of(&[get, set]), whole));
    assert!(!covers(&of(&[get]), whole));
    // Of every element of a list, one rule must judge all.
    let each = both.replace("/kind", "\"/calls/*/0\"");
    let (first, second) = (get.replace("/kind", "\"/calls/*/0\""), query.replace("/kind", "\"/calls/*/0\""));
    assert!(!covers(&of(&[&first, &second]), &of(&[&each])[0]));
}

#[test]
fn a_rule_behind_one_that_leaves_it_nothing_grants_nothing() {
    let wide = "{id: ID, method: PUT, path: /a/**, effect: destroy}".to_owned();
    let narrow = "{id: ID, method: PUT, path: \"/a/{x}\", effect: mutate}".to_owned();
    assert_eq!(requests(&binding(&[wide.clone(), narrow.clone()])).len(), 1);
    assert_eq!(requests(&binding(&[narrow, wide])).len(), 2);
}

#[test]
fn the_lesser_effect_is_the_greater_right() {
    let of = |effect: &str| {
        requests(&binding(&[format!("{{id: ID, method: PUT, path: /a, effect: {effect}}}")])).remove(0)
    };
    assert!(of("mutate").subsumes(&of("destroy")) && !of("destroy").subsumes(&of("mutate")));
    // Another door is another thing altogether.
    assert!(!of("read").subsumes(&of("mutate")) && !of("mutate").subsumes(&of("read")));
}

#[test]
fn every_right_is_one_plain_line() {
    let binding = Binding::parse(
        "b",
        b"{capability: a.b, component: a.wasm, safety: mutating, approval: {mode: manual, accept: [signed, confirmed]}, \
          services: {web: {origin: \"https://web.example\", addresses: [10.0.0.0/8], tls: {ca: tls/a.pem}, credential: \
          {secret: token, header: Authorization, as: \"Bearer {}\"}, rules: [{id: put, method: PUT, path: \"/v/{id}\", \
          effect: mutate, query: [k], headers: [x-one], body: {/kind: [set, 1]}, idempotency: x-key}], secrets: [{name: \
          other, at: /password, rule: put}]}}, directories: {out: {path: state/out, access: stage}}, contracts: \
          [c.yaml], config: {from: a}, invoke: [a.c], starts: [a.d], lock: \"vm/{id}\", record: digests}",
    )
    .unwrap();
    let lines: Vec<_> = granted(&binding).iter().map(|held| format!("{}: {}", held.at, held.right)).collect();
    assert_eq!(
        lines,
        [
            "/safety: safety mutating",
            "/approval: plans approved by one person (signed or confirmed at the terminal)",
            "/services/web/origin: service web at https://web.example:443",
            "/services/web/tls: service web by a certificate that tls/a.pem vouches for",
            "/services/web/addresses/0: service web dialled in 10.0.0.0/8",
            "/services/web/credential: service web with the secret `token` in the header authorization as \"Bearer {}\"",
            "/services/web/rules/id=put/idempotency: PUT /v/{x} of web repeated where no answer comes, with a key in x-key",
            "/services/web/rules/id=put: service web with the secret `other` in /password of the body of PUT /v/{x}",
            "/services/web/rules/id=put: PUT /v/{x} of web (mutate), query k, headers x-one, where /kind: [1, \"set\"], \
             with a secret at /password",
            "/directories/out: directory out at state/out (stage)",
            "/contracts/0: contract c.yaml",
            "/config/from: setting from = \"a\"",
            "/invoke/0: call a.c",
            "/starts/0: have a.d started",
            "/lock: run beside those with another target than vm/{id}",
            "/limits/memory: memory up to 64MiB",
            "/limits/time: time up to 20s",
            "/limits/requests: requests up to 20",
            "/limits/response: response up to 1MiB",
            "/limits/output: output up to 256KiB",
            "/limits/wait: wait up to 10s",
            "/record: kept on record as digests",
        ]
    );
}

#[test]
fn versions_of_one_track_are_one_import() {
    let of = |names: &[&str]| {
        let names: BTreeSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
        imported(&names).into_iter().map(|held| held.right.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(&["wasi:io/poll@0.2.6", "wasi:io/poll@0.2.12"]), ["import wasi:io/poll 0.2"]);
    assert_eq!(
        of(&["a:b/c@1.2.3", "a:b/c@2.0.0", "env"]),
        ["import a:b/c 1", "import a:b/c 2", "import env"]
    );
}
