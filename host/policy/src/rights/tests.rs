use serde_json::json;

use super::*;
use crate::manifest::Need;

fn binding(text: &str) -> Binding {
    let text = format!("{{capability: a.b, component: a.wasm, {text}}}");
    Binding::parse("b.yaml", text.as_bytes()).unwrap()
}

fn manifest(safety: Safety, needs: Vec<(NeedKind, bool)>) -> Manifest {
    Manifest {
        name: "a.b".to_owned(),
        summary: "A sample.".to_owned(),
        version: "1.0.0".to_owned(),
        safety,
        input: json!({}),
        output: json!({}),
        needs: needs.into_iter().map(|(need, optional)| Need { need, optional }).collect(),
    }
}

fn service(name: &str, path: &str) -> NeedKind {
    let rule = RuleNeed {
        method: "POST".to_owned(),
        path: path.to_owned(),
        effect: RuleEffect::Mutate,
        query: vec!["no".to_owned()],
        headers: vec![],
    };
    NeedKind::Service { name: name.to_owned(), rules: vec![rule] }
}

fn directory(access: Access) -> NeedKind {
    NeedKind::Directory { name: "outbox".to_owned(), access }
}

const MAIL: &str = "approval: {mode: manual}, safety: mutating, services: {mail: {origin: \"https://m.example\", \
                    rules: [{id: r, method: POST, path: /x, effect: mutate}]}}";

#[test]
fn a_lock_names_arguments_of_the_capability() {
    let binding = binding("safety: read-only, lock: \"vm/{vm_id}\"");
    let with = |input| Manifest { input, ..manifest(Safety::ReadOnly, vec![]) };
    let schema = json!({"type": "object", "properties": {"vm_id": {"type": "integer"}}});
    assert!(Rights::intersect(&with(schema), &binding).is_ok());
    let missing = Rights::intersect(&with(json!({})), &binding).unwrap_err();
    let texts: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["`lock: vm/{vm_id}` names the argument `vm_id`, which the capability does not have"]);
}

#[test]
fn needs_and_grants_meet() {
    let binding = binding(
        "safety: destructive, approval: {mode: manual}, directories: {outbox: {path: state/o, access: stage}, \
         spare: {path: state/s, access: read}}, contracts: [a.yaml, b.yaml], config: {from: x, other: 1}",
    );
    let needs = vec![
        (directory(Access::Read), false),
        (NeedKind::Contract { name: "a.yaml".to_owned() }, false),
        (NeedKind::Config { key: "from".to_owned(), meaning: "The sender.".to_owned() }, false),
        (NeedKind::Config { key: "gone".to_owned(), meaning: "Nothing.".to_owned() }, true),
        (NeedKind::Invoke { name: "c.d".to_owned() }, true),
        (service("mail", "/x"), true),
    ];
    let rights = Rights::intersect(&manifest(Safety::Mutating, needs), &binding).unwrap();
    assert_eq!(rights.safety, Safety::Destructive);
    assert_eq!(rights.directories["outbox"].access, Access::Read, "no more than is needed");
    assert_eq!(rights.contracts.iter().collect::<Vec<_>>(), ["a.yaml"]);
    assert_eq!(Value::from(rights.config.clone()), json!({"from": "x"}));
    assert!(rights.is_optional_unbound("mail") && !rights.is_optional_unbound("other"));
    assert_eq!(rights.unneeded(), ["directory spare", "contract b.yaml", "config other"]);
}

#[test]
fn a_service_without_a_need_has_no_effect() {
    let rights = Rights::intersect(&manifest(Safety::Mutating, vec![]), &binding(MAIL)).unwrap();
    assert!(rights.services.is_empty());
    assert_eq!(rights.unneeded(), ["service mail"]);
}

#[test]
fn several_needs_of_one_service_add_up() {
    let needs = vec![(service("mail", "/x"), false), (service("mail", "/y"), true)];
    let rights = Rights::intersect(&manifest(Safety::Mutating, needs), &binding(MAIL)).unwrap();
    assert_eq!(rights.services["mail"].needs.len(), 2);
}

#[test]
fn what_is_missing_is_said_with_the_lines_that_grant_it() {
    let nothing = binding("safety: read-only");
    let needs = vec![
        (service("mail", "/vms/{id}"), false),
        (directory(Access::Stage), false),
        (NeedKind::Contract { name: "a.yaml".to_owned() }, false),
        (NeedKind::Config { key: "from".to_owned(), meaning: "The\nsender.".to_owned() }, false),
        (NeedKind::Invoke { name: "c.d".to_owned() }, false),
    ];
    let mut manifest = manifest(Safety::Mutating, needs);
    manifest.name = "a.c".to_owned();
    let missing = Rights::intersect(&manifest, &nothing).unwrap_err();
    let texts: Vec<String> = missing.iter().map(MissingGrant::to_string).collect();
    let in_binding = "; in the binding of a.b, this would grant it:\n";
    assert_eq!(
        texts,
        [
            "the component is a.c, and the binding is for a.b".to_owned(),
            format!("the component is mutating, and the binding allows less{in_binding}safety: mutating"),
            format!(
                "it needs the service `mail`, which is not granted{in_binding}services:\n  mail:\n    origin: https://…\n    \
             rules:\n      - {{id: rule-1, method: POST, path: \"/vms/{{id}}\", effect: mutate, query: [\"no\"]}}"
            ),
            format!(
                "it needs the directory `outbox`, which is not granted{in_binding}directories:\n  \
             outbox: {{path: state/outbox, access: stage}}"
            ),
            format!("it needs the contract `a.yaml`, which is not granted{in_binding}contracts: [a.yaml]"),
            format!(
                "it needs the setting `from` (The\\u{{a}}sender.), which is not given{in_binding}config:\n  from: …"
            ),
            format!("it needs to call the capability `c.d`, which is not granted{in_binding}invoke: [c.d]"),
        ]
    );
}

#[test]
fn the_lines_can_be_pasted() {
    let missing = Rights::intersect(
        &manifest(Safety::Mutating, vec![(service("mail", "/vms/{id}"), false)]),
        &binding("safety: mutating, approval: {mode: manual}"),
    )
    .unwrap_err();
    let lines = missing[0].lines.as_ref().unwrap().replace("https://…", "https://m.example");
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: mutating\napproval: {{mode: manual}}\n{lines}\n"
    );
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        Rights::intersect(&manifest(Safety::Mutating, vec![(service("mail", "/vms/{id}"), false)]), &binding)
            .is_ok()
    );
}

#[test]
fn less_than_needed_is_not_passed_over() {
    let binding = binding(
        "safety: mutating, approval: {mode: manual}, directories: {outbox: {path: state/o, access: read}}",
    );
    for optional in [false, true] {
        let missing = Rights::intersect(
            &manifest(Safety::Mutating, vec![(directory(Access::Stage), optional)]),
            &binding,
        );
        assert!(missing.unwrap_err()[0].what.contains("granted for reading"));
    }
}

#[test]
fn a_malformed_need_is_refused() {
    for path in ["x", "/a//b", "/*"] {
        let needs = vec![(service("mail", path), true)];
        let missing = Rights::intersect(&manifest(Safety::Mutating, needs), &binding(MAIL)).unwrap_err();
        assert!(missing[0].what.contains("its manifest is wrong about the service `mail`"), "{path}");
    }
}

#[test]
fn words_are_quoted_where_they_must_be() {
    for (word, expected) in [
        ("mail", "mail"),
        ("/.well-known/jmap", "/.well-known/jmap"),
        ("/a/{x}", "\"/a/{x}\""),
        ("NO", "\"NO\""),
        ("214", "\"214\""),
        ("a: b", "\"a: b\""),
        ("x\"}]\n- y", "\"x\\\"}]\\n- y\""),
        ("", "\"\""),
    ] {
        assert_eq!(quoted(word), expected);
    }
}

#[test]
fn a_call_needs_both_sides() {
    let invoke = |name: &str| (NeedKind::Invoke { name: name.to_owned() }, true);
    let granted =
        binding("safety: read-only, invoke: [gates.one.check, gatesx.one, c.d, e.f], starts: [g.h]");
    let needs = vec![invoke("gates.**"), invoke("c.d"), invoke("x.y")];
    let mut manifest = manifest(Safety::ReadOnly, needs);
    let rights = Rights::intersect(&manifest, &granted).unwrap();
    assert_eq!(rights.invoke.iter().collect::<Vec<_>>(), ["c.d", "gates.one.check"]);
    assert_eq!(rights.unneeded(), ["invoke gatesx.one", "invoke e.f", "starts g.h"]);
    manifest.output = json!({"properties": {"start": {"x-ops-starts": true}}});
    let rights = Rights::intersect(&manifest, &granted).unwrap();
    assert_eq!(rights.starts.iter().collect::<Vec<_>>(), ["g.h"]);
    manifest.needs = vec![Need { need: NeedKind::Invoke { name: "gate.**".into() }, optional: false }];
    let missing = Rights::intersect(&manifest, &granted).unwrap_err();
    assert!(missing[0].to_string().ends_with("this would grant it:\ninvoke: […]"), "{missing:?}");
}
