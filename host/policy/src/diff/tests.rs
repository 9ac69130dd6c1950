use std::collections::BTreeSet;

use super::*;
use crate::approvers::Approvers;
use crate::digest::Digest;
use crate::settings::Settings;

const BASE: &str = "capability: a.b\ncomponent: components/a.wasm\nsafety: mutating\napproval: {mode: manual}\nservices:\n  mail:\n    \
                    origin: https://mail.example\n    rules:\n      - {id: get, method: POST, path: /jmap/, effect: read, body: \
                    {\"/methodCalls/*/0\": [Email/get, Mailbox/get]}}\n      - {id: set, method: POST, path: /jmap/, effect: mutate, \
                    body: {\"/methodCalls/*/0\": [Email/set]}}\n";

fn compared(from: &str, to: &str) -> Vec<(Class, String)> {
    let parse = |text: &str| Binding::parse("b", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let new = BASE.replace(from, to);
    assert!(new != BASE || from == to, "{from}");
    bindings(&parse(BASE), &parse(&new)).into_iter().map(|change| (change.class, change.means)).collect()
}

#[test]
fn a_rule_that_is_parted_grants_the_same() {
    let whole = "{id: get, method: POST, path: /jmap/, effect: read, body: {\"/methodCalls/*/0\": [Email/get, Mailbox/get]}}";
    let one = "{id: get, method: POST, path: /a, effect: read, body: {/kind: [x]}}";
    let both = "{id: get, method: POST, path: /a, effect: read, body: {/kind: [x, y]}}";
    let parse = |rules: &str| Binding::parse("b", BASE.replace(whole, rules).as_bytes()).unwrap();
    let parted = format!("{one}\n      - {}", one.replace("id: get", "id: too").replace("[x]", "[y]"));
    let found = bindings(&parse(both), &parse(&parted));
    assert_eq!(gravest(&found), Class::Unchanged, "{found:?}");
    assert_eq!(gravest(&bindings(&parse(&parted), &parse(both))), Class::Unchanged);
    assert_eq!(gravest(&bindings(&parse(one), &parse(both))), Class::Widened);
}

#[test]
fn each_change_is_said_once() {
    for (from, to, class, means) in [
        ("safety", "safety", None, ""),
        (
            "mutating",
            "destructive",
            Some(Class::Widened),
            "it may destroy things, approved by one person (signed)",
        ),
        ("{mode: manual}", "{mode: auto, reason: x}", Some(Class::Widened), "less is asked of people"),
        ("mail.example", "mail.example:8443", Some(Class::Widened), "go to another place"),
        (
            "[Email/set]",
            "[Email/set, Email/import]",
            Some(Class::Widened),
            "change something by more requests",
        ),
        ("Email/get, ", "", Some(Class::Narrowed), "fewer requests pass"),
        ("id: set", "id: change", Some(Class::Moved), "the rule `set` is now called `change`"),
        ("  mail:", "  post:", Some(Class::Moved), "the service `mail` is now called `post`"),
    ] {
        let found = compared(from, to);
        let classes: Vec<_> = found.iter().map(|(class, _)| *class).collect();
        // Where nobody is asked there is a reason more, besides.
        assert_eq!(classes.first().copied(), class, "{from} {found:?}");
        assert!(found.len() <= 1 || to.contains("reason"), "{from} {found:?}");
        assert!(found.iter().any(|(_, text)| text.contains(means)) || class.is_none(), "{from} {found:?}");
    }
}

#[test]
fn a_power_that_no_need_is_for_is_told() {
    let manifest = serde_json::json!({
        "name": "a.b", "summary": "s", "version": "1.0.0", "safety": "read-only", "input": {"type": "object"}, "output": {},
        "needs": [{"need": {"kind": "service", "name": "mail", "rules": [{"method": "GET", "path": "/", "effect": "read"}]},
                   "optional": false}],
    });
    let shape = |imports: &[&str]| Shape {
        digest: Digest::of(imports.concat().as_bytes()),
        manifest: Some(serde_json::from_value(manifest.clone()).unwrap()),
        imports: imports.iter().map(|import| (*import).to_owned()).collect::<BTreeSet<_>>(),
        interface: Digest::of(imports.concat().as_bytes()),
    };
    let (fetch, effects) = ("ops:capability/fetch@0.1.0", "ops:capability/effects@0.1.0");
    let old = shape(&[fetch]);
    let found = components(&old, &shape(&[fetch, effects]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].class, Class::Widened);
    assert!(found[0].means.ends_with("; no need of its author's says what for"), "{}", found[0].means);
    // Another interface that reaches nothing, or the same in a newer version, is no more.
    for imports in [&[fetch, "wasi:cli/environment@0.2.6"][..], &["ops:capability/fetch@0.1.1"]] {
        assert!(gravest(&components(&old, &shape(imports))) < Class::Widened, "{imports:?}");
    }
    let found = components(&old, &shape(&[fetch, "wasi:sockets/tcp@0.2.6"]));
    assert!(found[0].means.ends_with("nothing grants that, so it would not run"), "{found:?}");
    assert_eq!(components(&old, &old), []);
}

#[test]
fn settings_are_compared_one_by_one() {
    let base = "workspace: demo\nsecrets: {token: {from: \"env:TOKEN\", origins: [\"https://a.example\"]}}\napprovals: {self: \
                refused, destructive: 2, plan: 2h}\nagents: {reader: [alice]}\nrequire: {landlock: true, review: mutating}\naudit: {suppress: [{finding: \
                private-range, capability: a.b, reason: r, expires: 2027-05-01}]}\n";
    let parse =
        |text: &str| Settings::parse("ops.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    for (from, to, class) in [
        ("a.example\"]", "a.example\", \"https://b.example\"]", Class::Widened),
        ("env:TOKEN", "env:OTHER", Class::Moved),
        ("self: refused", "self: allowed", Class::Widened),
        ("destructive: 2", "destructive: 1", Class::Widened),
        ("destructive: 2", "destructive: 3", Class::Narrowed),
        ("plan: 2h", "plan: 1h", Class::Narrowed),
        ("plan: 2h", "plan: 3h", Class::Widened),
        ("reader: [alice]", "proposer: [alice]", Class::Widened),
        ("reader: [alice]", "reader: []", Class::Narrowed),
        ("landlock: true", "landlock: false", Class::Widened),
        ("review: mutating", "review: destructive", Class::Widened),
        ("review: mutating", "review: read-only", Class::Narrowed),
        (", review: mutating", "", Class::Widened),
        ("capability: a.b", "capability: workspace", Class::Widened),
        ("2027-05-01", "2027-05-02", Class::Widened),
        ("2027-05-01", "2027-04-30", Class::Narrowed),
        ("reason: r", "reason: s", Class::Moved),
        (
            "audit: {suppress: [{finding: private-range, capability: a.b, reason: r, expires: 2027-05-01}]}",
            "",
            Class::Narrowed,
        ),
    ] {
        let found = settings(&parse(base), &parse(&base.replace(from, to)));
        // What is suppressed for another is a suppression more and one less.
        let number = if to == "capability: workspace" { 2 } else { 1 };
        assert_eq!(found.len(), number, "{to}: {found:?}");
        assert_eq!(found[0].class, class, "{to}: {found:?}");
    }
    assert_eq!(settings(&parse(base), &parse(base)), []);
    // One more place of the same finding is one more suppression.
    let one = "{finding: private-range, capability: a.b, subject: one, reason: r, expires: 2027-05-01}";
    let both = format!("workspace: demo\naudit: {{suppress: [{one}, {}]}}\n", one.replace("one", "two"));
    let found = settings(&parse(&format!("workspace: demo\naudit: {{suppress: [{one}]}}\n")), &parse(&both));
    assert_eq!(found.iter().map(|change| change.class).collect::<Vec<_>>(), [Class::Widened], "{found:?}");
}

#[test]
fn a_key_more_is_a_right_more() {
    let key = |letter: &str| {
        let seed = [letter.as_bytes()[0]; 32];
        crate::sign::generate(&seed.into(), "x").unwrap().public.trim().to_owned()
    };
    let parse = |text: &str| Approvers::parse("approvers", text.as_bytes()).unwrap();
    let alice = format!("alice namespaces=\"ops-lock,ops-plan\" {}\n", key("a"));
    let fewer = format!("alice namespaces=\"ops-plan\" {}\n", key("a"));
    let bob = format!("bob {}\n", key("b"));
    let classes = |old: &str, new: &str| -> Vec<Class> {
        approvers(&parse(old), &parse(new)).into_iter().map(|change| change.class).collect()
    };
    assert_eq!(classes(&alice, &alice), []);
    assert_eq!(classes(&alice, &format!("{alice}{bob}")), [Class::Widened]);
    assert_eq!(classes(&alice, &fewer), [Class::Narrowed]);
    assert_eq!(classes(&fewer, &alice), [Class::Widened]);
    assert_eq!(classes(&alice, &bob), [Class::Widened, Class::Narrowed]);
    // The order of a list and a comment say nothing.
    assert_eq!(classes(&alice, &alice.replace("ops-lock,ops-plan", "ops-plan,ops-lock")), []);
}

#[test]
fn the_first_rule_that_matches_decides_and_its_going_shows() {
    let bound = |rules: &[&str], secrets: &str| {
        let text = format!(
            "capability: a.b\ncomponent: a.wasm\nsafety: destructive\napproval: {{mode: manual}}\nservices:\n  web:\n    origin: \
             https://web.example\n    rules:\n      - {{{}}}\n{secrets}",
            rules.join("}\n      - {")
        );
        Binding::parse("b", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let one = "id: one, method: DELETE, path: \"/a/{x}\", effect: destroy";
    let all = "id: all, method: DELETE, path: /**, effect: mutate";
    let part = "id: part, method: DELETE, path: \"/{x}/b\", effect: mutate";
    for (old, new, class) in [
        (vec![one, all], vec![all, one], Class::Widened),
        (vec![all, one], vec![one, all], Class::Narrowed),
        (vec![one, part], vec![part, one], Class::Widened),
        (vec![one, all], vec![all], Class::Widened),
        (vec![all], vec![one, all], Class::Narrowed),
        (vec![one, all], vec![one, all], Class::Unchanged),
        // What decides on nothing may stand anywhere, and go.
        (vec![all, one], vec![all], Class::Unchanged),
    ] {
        let found = bindings(&bound(&old, ""), &bound(&new, ""));
        assert_eq!(gravest(&found), class, "{old:?} {new:?} {found:?}");
    }
    // Secrets and repetitions go with the rule that decides.
    let plain = "id: plain, method: POST, path: \"/{x}/log\", effect: mutate";
    let with = "id: with, method: POST, path: \"/a/{x}\", effect: mutate, idempotency: x-key";
    let secrets = "    secrets:\n      - {name: token, at: /token, rule: with}\n";
    let found = bindings(&bound(&[plain, with], secrets), &bound(&[with, plain], secrets));
    assert_eq!(gravest(&found), Class::Widened, "{found:?}");
    let found = bindings(&bound(&[with, plain], secrets), &bound(&[plain, with], secrets));
    assert!(gravest(&found) < Class::Widened, "{found:?}");
    // What is for undo needs no need of the author's, so a rule that does is no stand-in for it.
    let undo = format!("{plain}, for: undo");
    let found = bindings(&bound(&[plain], ""), &bound(&[&undo], ""));
    assert_eq!(gravest(&found), Class::Widened, "{found:?}");
}

#[test]
fn a_secret_under_another_name_is_followed() {
    let base = "workspace: demo\nsecrets:\n  prod: {from: \"env:PROD\", origins: [\"https://a.example\"]}\n  weather: {from: \
                \"env:WEATHER\", origins: [\"https://w.example\"]}\n";
    let parse = |text: &str| Settings::parse("ops.yaml", text.as_bytes()).unwrap();
    let found = settings(&parse(base), &parse(&base.replace("env:WEATHER", "env:PROD")));
    assert_eq!(gravest(&found), Class::Widened, "{found:?}");
    let found = settings(&parse(base), &parse(&base.replace("env:WEATHER", "file:/run/weather")));
    assert_eq!(gravest(&found), Class::Moved, "{found:?}");
}
