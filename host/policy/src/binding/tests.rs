use super::*;
use crate::approval::{Accept, Mode};
use crate::manifest::RuleEffect;
use crate::scalar::Scalar;
use crate::service::Tls;

/// The binding of the design, as an operator would write it.
const MAIL: &str = r#"capability: communications.mail.send.test
component: components/communications_mail_send_test.wasm   # its hash is in ops.lock
safety: mutating
approval: {mode: manual}
services:
  mail:
    origin: https://mail.example.internal:443
    tls: {ca: tls/internal-ca.pem}
    addresses: [10.2.0.0/16]
    credential: {secret: mail-token, header: Authorization, as: "Bearer {}"}
    rules:
      - {id: session, method: GET,  path: /.well-known/jmap, effect: read}
      - {id: query, method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Mailbox/get, Email/get]}}
      - {id: send, method: POST, path: /jmap/, effect: mutate, query: [x], headers: [Idempotency-Key]}
directories:
  outbox: {path: state/outbox, access: stage}
contracts: [communications.stack.contract.yaml]
config: {from: ops@example.test, vm: 214, verbose: false, domains: [example.test]}
invoke: []
limits: {
  memory: 32MiB,
}
"#;

fn parse(text: &str) -> Result<Binding, String> {
    Binding::parse("ops/bindings/x.yaml", text.as_bytes()).map_err(|error| error.to_string())
}

/// The design's binding with one piece of text replaced.
fn with(old: &str, new: &str) -> Result<Binding, String> {
    assert!(MAIL.contains(old), "{old}");
    parse(&MAIL.replacen(old, new, 1))
}

fn refused(cases: &[(&str, &str, &str)]) {
    for (old, new, message) in cases {
        let error = with(old, new).expect_err(new);
        assert!(error.contains(message), "{new}:\n{error}");
        assert!(error.lines().count() <= 15, "{error}");
    }
}

#[test]
fn the_design_reads_as_written() {
    let binding = parse(MAIL).unwrap();
    let mail = &binding.services["mail"];
    assert_eq!(mail.place(), "https://mail.example.internal:443");
    assert_eq!(
        mail.rules.iter().map(|rule| rule.effect).collect::<Vec<_>>(),
        [RuleEffect::Read, RuleEffect::Read, RuleEffect::Mutate]
    );
    assert_eq!(mail.rules[2].headers, ["idempotency-key"]);
    let credential = mail.credential.as_ref().unwrap();
    assert_eq!((credential.before.as_str(), credential.after.as_str()), ("Bearer ", ""));
    assert_eq!(binding.config["vm"], Setting::One(Scalar::Int(214)));
    assert_eq!(binding.config["domains"], Setting::Many(vec![Scalar::Text("example.test".to_owned())]));
    assert_eq!((binding.limits.memory, binding.limits.requests), (32 * 1024 * 1024, 20));
    let approval = &binding.approval;
    assert_eq!(
        (approval.mode, approval.approvals, approval.accept.as_slice()),
        (Mode::Manual, 1, &[Accept::Signed][..])
    );
}

#[test]
fn the_least_that_a_binding_needs() {
    let binding = parse("capability: a.b\ncomponent: components/a.wasm\nsafety: read-only\n").unwrap();
    assert_eq!((binding.approval.mode, binding.approval.approvals), (Mode::Auto, 0));
    assert!(binding.services.is_empty() && binding.directories.is_empty());
    for text in ["", "\n", "---\n", "# nothing\n", "[]", "binding", "42"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn other_spellings_of_the_same() {
    for (old, new) in [
        ("capability:", "\u{feff}capability:"),
        ("capability:", "---\ncapability:"),
        ("method: GET,  path", "\"method\": 'GET', path"),
        (
            "approval: {mode: manual}",
            "approval:\n    mode: manual\n    accept:\n    - confirmed\n    - signed",
        ),
        ("approval: {mode: manual}", "approval: {mode: auto, reason: \"only a test mailbox\"}"),
        ("approval: {mode: manual}", "approval: {mode: manual, approvals: 3}"),
        ("invoke: []\n", ""),
    ] {
        assert!(with(old, new).is_ok(), "{new}: {:?}", with(old, new));
    }
    assert_eq!(parse(&MAIL.replace('\n', "\r\n")), parse(MAIL));
}

#[test]
fn yaml_with_two_readings() {
    refused(&[
        ("tls: {ca: tls/internal-ca.pem}", "tls:", "expected a map"),
        ("query: [x]", "idempotency: ~", "the value is missing"),
        ("approval: {mode: manual}", "approval: ~", "expected a map"),
        ("safety: mutating", "safety: mutating\nsafety: read-only", "the key `safety` is given twice"),
        ("vm: 214", "from: b", "the key `from` is given twice"),
        ("safety: mutating", "safety: &s mutating", "anchors (`&`) and aliases (`*`) are not allowed"),
        (
            "tls: {ca: tls/internal-ca.pem}",
            "<<: {origin: \"https://evil.example\"}",
            "merge keys (`<<`) are not allowed",
        ),
        ("vm: 214", "vm: !env HOME", "the tag `!env` is not allowed"),
        ("invoke: []", "---\ncapability: a.b", "one file holds one document"),
        ("vm: 214", "vm: 0600", "quote it"),
        ("vm: 214", "vm: 1.10", "quote it"),
        ("path: /jmap/, effect: read", "path: 1.10, effect: read", "quote it: \"1.10\""),
        (
            "from: ops@example.test",
            "from: ops@\u{202e}example.test",
            "control, direction or invisible character",
        ),
        (
            "from: ops@example.test",
            "from: ops@\u{200b}example.test",
            "control, direction or invisible character",
        ),
        (
            "from: ops@example.test",
            "from: ops@\u{7}example.test",
            "control, direction or invisible character",
        ),
        ("component: components", "component: ~ #", "the value is missing"),
    ]);
}

#[test]
fn words_that_are_not_known() {
    refused(&[
        ("approval:", "aprovals:", "unknown field `aprovals`, expected one of `capability`"),
        ("approval:", "aprovals:", "did you mean `approval`?"),
        (
            "safety: mutating",
            "safety: mutates",
            "unknown word `mutates`, expected one of `read-only`, `mutating`, `destructive`",
        ),
        ("safety: mutating", "safety: mutatin", "did you mean `mutating`?"),
        ("mode: manual", "mode: manul", "unknown word `manul`, expected one of `manual`, `auto`"),
        ("mode: manual", "mode: manual, acept: [signed]", "did you mean `accept`?"),
        ("method: GET", "method: get", "unknown word `get`"),
        ("method: GET", "method: TRACE", "unknown word `TRACE`"),
        (
            "effect: mutate",
            "effect: write",
            "unknown word `write`, expected one of `read`, `mutate`, `destroy`",
        ),
        ("access: stage", "access: write", "unknown word `write`, expected one of `read`, `stage`"),
        ("memory:", "memmory:", "did you mean `memory`?"),
        ("safety: mutating\n", "", "the field `safety` is missing"),
        ("approval: {mode: manual}", "approval: manual", "expected a map, such as {"),
        ("rules:\n", "rule:\n", "did you mean `rules`?"),
    ]);
}

#[test]
fn fields_of_later_versions() {
    refused(&[
        ("invoke: []", "invoke: [gates.*]", "names each capability in full"),
        ("invoke: []", "invoke: [a.b, a.b]", "listed twice"),
        ("invoke: []", "invoke: [communications.mail.send.test]", "names the capability itself"),
        ("invoke: []", "starts: [a]", "names each capability in full"),
    ]);
}

#[test]
fn what_one_run_at_a_time_works_on() {
    assert_eq!(parse(MAIL).unwrap().lock, None);
    let lock = with("invoke: []", "lock: \"mail/{to}\"").unwrap().lock.unwrap();
    assert_eq!((lock.to_string().as_str(), lock.arguments()), ("mail/{to}", vec!["to"]));
    refused(&[
        ("invoke: []", "lock: \"{to}\"", "in plain letters what it is"),
        ("invoke: []", "lock: \"mail/{To}\"", "names no argument"),
        ("invoke: []", "lock: [mail]", "expected"),
        ("invoke: []", "lock: ~", "the value is missing"),
        ("invoke: []", "lock:", "the value is missing"),
    ]);
}

#[test]
fn what_is_kept_of_a_run() {
    for (text, record) in
        [("", Record::Full), ("record: full", Record::Full), ("record: digests", Record::Digests)]
    {
        assert_eq!(with("invoke: []", text).unwrap().record, record, "{text}");
    }
    refused(&[
        ("invoke: []", "record: none", "unknown word `none`, expected one of `full`, `digests`"),
        ("invoke: []", "record: digest", "did you mean `digests`?"),
    ]);
}

#[test]
fn rules_for_undo() {
    let only_undo = |binding: &Binding| {
        let rules = binding.services["mail"].rules.iter().filter(|rule| rule.only_undo);
        rules.map(|rule| (rule.id.clone(), rule.effect)).collect::<Vec<_>>()
    };
    assert_eq!(only_undo(&parse(MAIL).unwrap()), []);
    for effect in ["mutate", "destroy"] {
        let binding = with("effect: mutate", &format!("effect: {effect}, for: undo")).unwrap();
        assert_eq!(only_undo(&binding).len(), 1, "{effect}");
    }
    refused(&[
        ("id: query,", "id: query, for: undo,", "its effect is mutate or destroy"),
        ("id: send,", "id: send, for: ~,", "quote it"),
        ("id: send,", "id: send, for: resume,", "unknown word `resume`, expected one of `undo`"),
    ]);
    let read_only = "{capability: a.b, component: a.wasm, safety: read-only, services: {web: {origin: \"https://x\", \
                     rules: [{id: r, method: PUT, path: /, effect: mutate, for: undo}]}}}";
    assert!(parse(read_only).unwrap_err().contains("changes nothing that could be undone"));
    // It is a right above reading like any other.
    let piped = "{capability: a.b, component: a.wasm, safety: mutating, approval: {mode: manual, accept: [piped]}, \
                 directories: {g: {path: gaps, access: stage}}, services: {web: {origin: \"https://x\", \
                 rules: [{id: r, method: PUT, path: /, effect: mutate, for: undo}]}}}";
    assert!(parse(piped).unwrap_err().contains("a rule of a service is above reading"));
}

#[test]
fn certificates() {
    let pin = vec!["AB"; 32].join(":");
    let pinned = with("{ca: tls/internal-ca.pem}", &format!("{{fingerprint: \"{pin}\"}}")).unwrap();
    let Some(Tls::Pinned { fingerprint }) = pinned.services["mail"].tls else { panic!("not pinned") };
    assert_eq!((fingerprint.bytes(), fingerprint.to_string()), ([0xab; 32], pin.clone()));
    let unquoted = with("{ca: tls/internal-ca.pem}", &format!("\n      fingerprint: {pin}")).unwrap();
    assert_eq!(unquoted, pinned);
    refused(&[
        ("tls: {ca: tls/internal-ca.pem}", "tls: {}", "exactly one of the two"),
        (
            "tls: {ca: tls/internal-ca.pem}",
            &format!("tls: {{ca: a.pem, fingerprint: \"{pin}\"}}"),
            "exactly one of the two",
        ),
        ("tls: {ca: tls/internal-ca.pem}", "tls: {fingerprint: \"AB:CD\"}", "64 hex digits"),
        ("tls: {ca: tls/internal-ca.pem}", "tls: {fingerprints: x}", "did you mean `fingerprint`?"),
        ("tls: {ca: tls/internal-ca.pem}", "tls: system", "expected a map, such as {"),
    ]);
}

#[test]
fn idempotency_headers() {
    let keyed = |field: &str| with("headers: [Idempotency-Key]", field);
    let binding = keyed("idempotency: Idempotency-Key").unwrap();
    let send = binding.services["mail"].rule("send").unwrap();
    assert_eq!(send.idempotency.as_deref(), Some("idempotency-key"));
    assert!(
        send.is_repeatable() && !parse(MAIL).unwrap().services["mail"].rule("send").unwrap().is_repeatable()
    );
    for (field, why) in [
        ("idempotency: Host", "cannot be an idempotency header"),
        ("idempotency: Accept", "cannot be an idempotency header"),
        ("idempotency: If_Match", "cannot be an idempotency header"),
        ("idempotency: Authorization", "carries the credential"),
        ("idempotency: \"a b\"", "is not a header name"),
        ("headers: [X-Key], idempotency: x_key", "is filled by the host"),
    ] {
        let error = keyed(field).unwrap_err();
        assert!(error.contains(why), "{field}: {error}");
    }
    refused(&[("id: query,", "id: query, idempotency: X-Key,", "needs no idempotency header")]);
}

#[test]
fn secrets_in_bodies() {
    let with_secrets = |list: &str| with("directories:\n", &format!("    secrets: [{list}]\ndirectories:\n"));
    let binding =
        with_secrets("{name: a, at: /auth/password, rule: send}, {name: b, at: /auth/token, rule: send}")
            .unwrap();
    let mail = &binding.services["mail"];
    let places: Vec<&str> = mail.secrets_of("send").map(|secret| secret.at.as_str()).collect();
    assert_eq!(places, ["/auth/password", "/auth/token"]);
    assert_eq!(mail.secrets_of("query").count(), 0);
    for (list, why) in [
        ("{name: A, at: /x, rule: send}", "is not a name"),
        ("{name: a, at: x, rule: send}", "a pointer begins with `/`"),
        ("{name: a, at: /~x, rule: send}", "in a pointer"),
        ("{name: a, at: /x/*, rule: send}", "a secret goes to one place"),
        ("{name: a, at: /x, rule: sent}", "did you mean `send`?"),
        ("{name: a, at: /x, rule: session}", "GET requests have no body"),
        ("{name: a, at: /x, rule: send}, {name: b, at: /x, rule: send}", "where the secret `a` goes already"),
        (
            "{name: a, at: /x, rule: send}, {name: b, at: /x/y, rule: send}",
            "where the secret `a` goes already",
        ),
        (
            "{name: a, at: /x/y, rule: send}, {name: b, at: /x, rule: send}",
            "where the secret `a` goes already",
        ),
        ("{name: a, at: /x}", "the field `rule` is missing"),
        ("{name: a, at: /x, rule: send, to: b}", "unknown field `to`"),
    ] {
        let error = with_secrets(list).unwrap_err();
        assert!(error.contains(why), "{list}: {error}");
    }
    assert!(with_secrets("{name: a, at: /x, rule: send}, {name: b, at: /xy, rule: send}").is_ok());
    assert!(with_secrets("{name: a, at: /x, rule: send}, {name: a, at: /x, rule: query}").is_ok());
    let text =
        MAIL.replace("directories:\n", "    secrets: [{name: a, at: /v, rule: query}]\ndirectories:\n");
    let error = parse(&text.replace("\"/methodCalls/*/0\"", "\"/v\"")).unwrap_err();
    assert!(error.contains("has a condition on `/v`"), "{error}");
}

#[test]
fn names_and_paths() {
    refused(&[
        ("capability: communications.mail.send.test", "capability: mail", "is not a name"),
        ("components/communications", "../communications", "it holds `..`"),
        ("components/communications", "/components/communications", "it is absolute"),
        ("_test.wasm ", "_test.so ", "ends in .wasm"),
        ("  mail:", "  Mail:", "is not a name"),
        ("  mail:", "  ops:", "has no `origin`"),
        ("  outbox:", "  contracts:", "taken by the contract files"),
        ("path: state/outbox", "path: bindings", "it is the workspace's `bindings`"),
        ("path: state/outbox", "path: components/x", "it lies in the workspace's `components`"),
        ("path: state/outbox", "path: state/.git", "it lies in a .git folder"),
        ("path: state/outbox", "path: state/../bindings", "it holds `..`"),
        ("path: state/outbox", "path: .", "empty part or `.`"),
        ("tls/internal-ca.pem", "/etc/ssl/ca.pem", "it is absolute"),
        ("[communications.stack.contract.yaml]", "[../ops.yaml]", "is not a contract file"),
        ("[communications.stack.contract.yaml]", "[a.yaml, a.yaml]", "listed twice"),
        ("vm: 214", "\"v m\": 214", "a config key is"),
    ]);
}

#[test]
fn services() {
    refused(&[
        ("https://mail.example.internal:443", "https://*.example", "wildcards"),
        (
            "https://mail.example.internal:443",
            "http://mail.example.internal",
            "plain http: is for loopback only",
        ),
        ("[10.2.0.0/16]", "[169.254.169.254]", "link-local"),
        ("[10.2.0.0/16]", "[0.0.0.0/0]", "unspecified"),
        ("[10.2.0.0/16]", "[8.8.8.8]", "globally routable"),
        ("as: \"Bearer {}\"", "as: \"Bearer\"", "with `{}` in it once"),
        ("as: \"Bearer {}\"", "as: \"{}{}\"", "with `{}` in it once"),
        ("as: \"Bearer {}\"", "as: \"Bearer\\n{}\"", "with `{}` in it once"),
        ("as: \"Bearer {}\"", "as: Bearer {}", "quote texts that hold `{`"),
        ("header: Authorization", "header: Host", "cannot carry a credential"),
        ("header: Authorization", "header: \"a b\"", "is not a header name"),
        ("secret: mail-token", "secret: Mail Token", "is not a name"),
        ("id: send", "id: query", "the id `query` is given to two rules"),
        ("id: send", "id: Send", "an id is"),
        ("path: /jmap/, effect: read", "path: /jmap/*, effect: read", "`*` stands only in a final `/**`"),
        ("path: /jmap/, effect: read", "path: /../x, effect: read", "dot segment"),
        ("effect: mutate", "effect: destroy", "above the binding's safety class"),
        ("[Idempotency-Key]", "[Authorization]", "carries the credential"),
        ("[Idempotency-Key]", "[accept-encoding]", "can never be set"),
        ("[Idempotency-Key]", "[HTTP2-Settings]", "can never be set"),
        ("[Idempotency-Key]", "[X-A, x_a]", "listed twice"),
        ("[Idempotency-Key]", "[X-HTTP-Method-Override]", "can never be set"),
        ("[Idempotency-Key]", "[Host]", "can never be set"),
        ("[Idempotency-Key]", "[\"a:b\"]", "is not a header name"),
        ("[Idempotency-Key]", "[a, A]", "listed twice"),
        ("query: [x]", "query: [x, x]", "listed twice"),
        ("query: [x]", "query: [\"\"]", "a query key is"),
        ("[Mailbox/get, Email/get]", "[]", "the list of allowed values is empty"),
        ("[Mailbox/get, Email/get]", "[1.5]", "quote it"),
        ("\"/methodCalls/*/0\"", "methodCalls", "a pointer begins with `/`"),
        ("id: query, method: POST", "id: query, method: GET", "could never match"),
    ]);
    let (before, rest) = MAIL.split_once("rules:").unwrap();
    let (_, after) = rest.split_once("directories:").unwrap();
    let none = format!("{before}rules: []\ndirectories:{after}");
    assert!(parse(&none).unwrap_err().contains("a service without rules grants nothing"));
    let local = MAIL
        .replace("[10.2.0.0/16]", "[127.0.0.1]")
        .replace("https://mail.example.internal:443", "http://localhost:8080");
    assert!(parse(&local).unwrap_err().contains("there is no TLS with an http: origin"));
    assert!(parse(&local.replace("    tls: {ca: tls/internal-ca.pem}\n", "")).is_ok());
}

#[test]
fn approvals() {
    refused(&[
        ("approval: {mode: manual}\n", "", "needs the field `approval`"),
        ("mode: manual", "mode: auto", "needs a `reason`"),
        ("mode: manual", "mode: auto, reason: \" \"", "the reason is empty"),
        ("mode: manual", "mode: auto, reason: x, accept: [signed]", "`accept` has no meaning"),
        ("mode: manual", "mode: auto, reason: x, approvals: 2", "`approvals` has no meaning"),
        ("mode: manual", "mode: manual, accept: []", "would accept no approval"),
        ("mode: manual", "mode: manual, accept: [signed, signed]", "listed twice"),
        ("mode: manual", "mode: manual, accept: [piped]", "a rule of a service is above reading"),
        ("mode: manual", "mode: manual, approvals: 4", "from 1 to 3"),
        ("mode: manual", "mode: manual, approvals: 2, accept: [confirmed]", "needs `accept: [signed]`"),
        ("safety: mutating", "safety: read-only", "above the binding's safety class"),
    ]);
}

#[test]
fn a_piped_yes_is_for_records_only() {
    let binding = |safety: &str, directories: &str| {
        parse(&format!(
            "{{capability: a.b, component: a.wasm, safety: {safety}, approval: {{mode: manual, accept: [piped]}}, \
             directories: {{{directories}}}}}"
        ))
    };
    assert!(
        binding("mutating", "g: {path: gaps/open, access: stage}, m: {path: maps, access: read}").is_ok()
    );
    for (directories, why) in [
        ("", "it stages no directory"),
        ("g: {path: gaps, access: read}", "it stages no directory"),
        ("g: {path: gaps, access: stage}, s: {path: skills, access: stage}", "it stages `skills`"),
        ("g: {path: gaps-2, access: stage}", "it stages `gaps-2`"),
    ] {
        let error = binding("mutating", directories).unwrap_err();
        assert!(error.contains(why), "{directories}: {error}");
    }
    let error = binding("read-only", "g: {path: gaps, access: read}").unwrap_err();
    assert!(error.contains("no plan that could be approved"), "{error}");
    let error = binding("read-only", "g: {path: gaps, access: stage}").unwrap_err();
    assert!(error.contains("a read-only capability stages nothing"), "{error}");
}

#[test]
fn errors_show_the_place() {
    let error = with("access: stage", "acess: stage").unwrap_err();
    let expected = [
        "ops/bindings/x.yaml:16:32: unknown field `acess`, expected one of `path`, `access`",
        "  16 |   outbox: {path: state/outbox, acess: stage}",
        "     |                                ^",
        "  did you mean `access`?",
    ];
    assert_eq!(error, expected.join("\n"));
}

#[test]
fn the_host_itself_is_a_service_that_is_read() {
    let binding = |service: &str| {
        let text = format!(
            "capability: a.b\ncomponent: components/a.wasm\nsafety: read-only\nservices:\n  ops:\n{service}"
        );
        Binding::parse("a.b.yaml", text.as_bytes()).map_err(|error| error.to_string())
    };
    let rule = "    rules: [{id: lock, method: GET, path: /lock, effect: read}]\n";
    let own = binding(rule).unwrap().services["ops"].clone();
    assert_eq!((own.origin.as_ref(), own.place().as_str(), own.rules.len()), (None, "this host", 1));
    for (service, why) in [
        (
            format!("    origin: https://a.test\n{rule}"),
            "a.b.yaml:6:13: the service `ops` is the host itself",
        ),
        (format!("{rule}    addresses: [10.0.0.0/8]\n"), "has no `addresses`"),
        (format!("{rule}    credential: {{secret: a, header: X-A, as: \"{{}}\"}}\n"), "has no `credential`"),
        (format!("{rule}    secrets: [{{name: a, at: /a, rule: lock}}]\n"), "has no `secrets`"),
        (rule.replace("GET", "POST"), "`method: GET` and `effect: read`"),
        ("    rules: []\n".to_owned(), "without rules"),
    ] {
        let error = binding(&service).unwrap_err();
        assert!(error.contains(why), "{service}: {error}");
    }
}

#[test]
fn what_it_may_call_is_kept_in_order() {
    let text = "capability: a.b\ncomponent: components/a.wasm\nsafety: read-only\ninvoke: [c.d, a.c]\nstarts: [e.f]\n";
    let binding = Binding::parse("a.b.yaml", text.as_bytes()).unwrap();
    assert_eq!((binding.invoke, binding.starts), (vec!["c.d".into(), "a.c".into()], vec!["e.f".to_owned()]));
}
