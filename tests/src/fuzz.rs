//! What fuzzing runs, and what must hold of every input: the four targets of `tests/fuzz`, as plain functions.
//!
//! Each takes any bytes. It panics only where a property is broken; that, and a panic of the host's own code, is what a
//! fuzzer looks for. `tests/program/corpus.rs` replays the kept inputs on every run of the tests. This file depends on
//! `ops-policy` and `serde_json` alone, because the fuzzers compile it into a crate of their own.

use std::collections::BTreeSet;

use ops_policy::address;
use ops_policy::binding::Binding;
use ops_policy::body::{self, PLACEHOLDER, Predicate};
use ops_policy::decide::{Door, decide};
use ops_policy::explain::request_for;
use ops_policy::manifest::{Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::message::{Header, Request};
use ops_policy::origin::{Origin, Scheme};
use ops_policy::path::RequestTarget;
use ops_policy::rights::Rights;
use ops_policy::rule::PathPattern;
use ops_policy::scalar::Scalar;
use ops_policy::settings::Settings;
use ops_policy::target_lock::TargetLock;
use ops_policy::visible;
use serde_json::{Value, json};

/// A target.
type Target = fn(&[u8]);

/// The targets by name. Each has a folder of that name in `tests/fuzz/corpus`.
pub const TARGETS: [(&str, Target); 4] =
    [("binding", binding), ("origin", origin), ("rules", rules), ("body", body)];

/// Reading bindings and `ops.yaml`.
pub fn binding(data: &[u8]) {
    match Binding::parse("b.yaml", data) {
        Err(error) => readable(&error.to_string()),
        Ok(binding) => {
            assert_eq!(Binding::parse("b.yaml", data).as_ref(), Ok(&binding));
            within_its_class(&binding);
        }
    }
    match Settings::parse("ops.yaml", data) {
        Err(error) => readable(&error.to_string()),
        Ok(Settings { records, .. }) => {
            assert!((3600..=315_360_000).contains(&records.retention.as_secs()), "{records:?}");
            assert!((1 << 20..=1 << 40).contains(&records.store), "{records:?}");
        }
    }
    // Whatever is pasted as a secret's source, no error repeats it.
    let pasted =
        String::from_utf8_lossy(data).replace(['\n', '\r', ',', '"', '\'', '\\', '{', '}', '[', ']'], " ");
    let text =
        format!("workspace: demo\nsecrets:\n  a: {{from: {pasted}hunter2, origins: [\"https://x\"]}}\n");
    if let Err(error) = Settings::parse("ops.yaml", text.as_bytes()) {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

/// A message fits on a screen, and nothing in it hides.
fn readable(message: &str) {
    assert!(message.lines().count() <= 20, "{message}");
    assert!(message.lines().all(|line| visible::visible(line) == line), "{message}");
}

/// A binding grants what its class and the forms of its parts allow.
fn within_its_class(binding: &Binding) {
    let highest = match binding.safety {
        Safety::ReadOnly => RuleEffect::Read,
        Safety::Mutating => RuleEffect::Mutate,
        Safety::Destructive => RuleEffect::Destroy,
    };
    for service in binding.services.values() {
        let Some(origin) = &service.origin else {
            assert!(
                service.credential.is_none() && service.secrets.is_empty() && service.addresses.is_empty()
            );
            assert!(service.rules.iter().all(|rule| rule.effect == RuleEffect::Read));
            continue;
        };
        assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Ok(origin));
        if origin.scheme() == Scheme::Http {
            assert!(!service.addresses.is_empty() && service.addresses.iter().all(address::is_loopback));
            assert_eq!(service.tls, None);
        }
        let ids: BTreeSet<_> = service.rules.iter().map(|rule| &rule.id).collect();
        assert_eq!(ids.len(), service.rules.len());
        for rule in &service.rules {
            let reads = rule.effect == RuleEffect::Read || binding.safety == Safety::ReadOnly;
            assert!(if rule.only_undo { !reads } else { rule.effect <= highest });
            assert_eq!(PathPattern::parse(&rule.path.to_string()).as_ref(), Ok(&rule.path));
            let filled =
                rule.idempotency.iter().chain(service.credential.iter().map(|credential| &credential.header));
            for name in filled {
                assert!(!rule.headers.contains(name), "{name}");
            }
            assert!(rule.headers.iter().all(|name| !is_the_hosts(name)), "{:?}", rule.headers);
        }
        assert!(service.secrets.iter().all(|secret| service.rule(&secret.rule).is_some()));
    }
    if let Some(lock) = &binding.lock {
        names_one_target(lock);
    }
}

/// A lock is its own text, and a value that holds all that separates adds no part to the target.
fn names_one_target(lock: &TargetLock) {
    let text = lock.to_string();
    assert_eq!(TargetLock::parse(&text).as_ref(), Ok(lock));
    let with = |value: &str| {
        let arguments = lock.arguments().into_iter().map(|name| (name.to_owned(), Value::from(value)));
        lock.resolve(&arguments.collect::<Value>()).unwrap()
    };
    let (plain, odd) = (with("a"), with("/{%}\u{e9}\0"));
    assert_eq!(odd.matches('/').count(), text.matches('/').count(), "{odd}");
    assert!(odd.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}".contains(&byte)), "{odd}");
    assert_eq!(plain == odd, lock.arguments().is_empty(), "{text}");
    assert_eq!(lock.resolve(&json!({})).is_ok(), lock.arguments().is_empty(), "{text}");
}

/// Header names that no request may carry, a short list that was written without looking at the policy's.
fn is_the_hosts(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let never = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "x-http-method-override",
        "accept-encoding",
    ];
    never.contains(&name.as_str()) || name.starts_with("proxy-") || name.starts_with("x-forwarded-")
}

/// Reading origins, authorities of URLs, and ranges of addresses.
pub fn origin(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(origin) = Origin::parse(&text) {
        let canonical = origin.to_string();
        assert_eq!(Origin::parse(&canonical).as_ref(), Ok(&origin));
        let host = origin.host();
        assert!(
            host.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()),
            "{canonical}"
        );
        assert!(
            !host.contains(['/', '\\', '?', '#', '@', '%', '*', ' ']) && !host.ends_with('.'),
            "{canonical}"
        );
        assert!(origin.port() != 0 && !text.contains('@'), "{canonical}");
        assert!(text.to_lowercase().starts_with(origin.scheme().as_str()), "{canonical}");
        reached_by_url(&origin);
    }
    if let Ok(range) = address::parse(&text) {
        assert_eq!(address::parse(&range.to_string()).as_ref(), Ok(&range));
        for never in NEVER_LISTED {
            assert!(!range.contains(&never.parse::<std::net::IpAddr>().unwrap()), "{range} holds {never}");
        }
    }
    let binding = Binding::parse("b.yaml", SMALL.as_bytes()).unwrap();
    if let Ok(request) = request_for(&manifest("/**"), &binding, "GET", &text, vec![], None) {
        let before = text.strip_suffix(&request.path).unwrap_or(&text);
        let lives_there =
            Origin::parse(before).is_ok_and(|origin| Some(origin) == binding.services["web"].origin);
        assert!(request.service == "web" && (lives_there || before == "web:"), "{text}");
    }
}

/// Addresses that a binding can never open: each kind of them once.
const NEVER_LISTED: [&str; 14] = [
    "0.0.0.0",
    "169.254.169.254",
    "169.254.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "8.8.8.8",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "2606:4700::1111",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
];

const SMALL: &str = "{capability: a.b, component: a.wasm, safety: read-only, services: {web: {origin: \"https://web.example\", \
     rules: [{id: r, method: GET, path: /**, effect: read}]}}}";

/// A URL of an origin leads to the service that lives there, and with another port it does not.
fn reached_by_url(origin: &Origin) {
    let service = json!({
        "origin": origin.to_string(),
        "addresses": if origin.scheme() == Scheme::Http { json!(["127.0.0.1"]) } else { json!([]) },
        "rules": [{"id": "r", "method": "GET", "path": "/**", "effect": "read"}],
    });
    let binding = Binding::parse("b.yaml", with_service(&service, "read-only").as_bytes()).unwrap();
    let find = |url: &str| request_for(&manifest("/**"), &binding, "GET", url, vec![], None);
    assert!(find(&format!("{origin}/a")).is_ok_and(|request| request.path == "/a"), "{origin}");
    let port = if origin.port() == 1 { 2 } else { 1 };
    assert!(find(&format!("{}://{}:{port}/a", origin.scheme().as_str(), origin.host())).is_err(), "{origin}");
}

/// Matching rules. The lines of the input are the rule's pattern, query keys and header names, then the request's
/// target and its header fields.
pub fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pattern, keys, names, target) = (line(), line(), line(), line());
    let fields: Vec<Header> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| Header { name: name.to_owned(), value: value.to_owned() })
        .collect();
    if let Ok(parsed) = RequestTarget::parse(target) {
        plain_target(&parsed);
        if let Ok(pattern) = PathPattern::parse(pattern) {
            assert_eq!(
                pattern.matches(parsed.path()),
                naive_match(&pattern.to_string(), parsed.path()),
                "{pattern} {target}"
            );
        }
    }
    let (keys, names) = (words(keys), words(names));
    let rule = json!({"id": "r", "method": "GET", "path": pattern, "effect": "read", "query": keys, "headers": names});
    let service = json!({"origin": "https://web.example", "rules": [rule]});
    let Ok(binding) = Binding::parse("b.yaml", with_service(&service, "read-only").as_bytes()) else {
        return;
    };
    let mut manifest = manifest(pattern);
    if let Some(NeedKind::Service { rules, .. }) = manifest.needs.first_mut().map(|need| &mut need.need) {
        for rule in rules {
            (rule.query, rule.headers) = (keys.clone(), names.clone());
        }
    }
    let rights = Rights::intersect(&manifest, &binding).unwrap();
    let request = Request {
        service: "web".to_owned(),
        method: "GET".to_owned(),
        path: target.to_owned(),
        headers: fields.clone(),
        body: None,
    };
    assert!(decide(&rights, Door::Perform, &request).is_err());
    match decide(&rights, Door::Fetch, &request) {
        Err(denial) => readable(&denial.to_string()),
        Ok(allowed) => {
            let sent = allowed.request;
            let parsed = RequestTarget::parse(target).unwrap();
            assert!(naive_match(pattern, parsed.path()) && sent.target == parsed.to_wire());
            assert!(parsed.keys().all(|key| keys.iter().any(|listed| listed == key)), "{target}");
            assert_eq!(sent.headers.len(), fields.len());
            let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            let always = ["accept", "content-type", "if-match", "if-none-match"];
            for header in &sent.headers {
                assert!(always.contains(&header.name.as_str()) || lower.contains(&header.name), "{header:?}");
                assert!(!is_the_hosts(&header.name), "{header:?}");
                assert!(header.value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{header:?}");
            }
            let folded: BTreeSet<String> =
                sent.headers.iter().map(|header| header.name.replace('_', "-")).collect();
            assert_eq!(folded.len(), sent.headers.len());
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What is taken as a target has one spelling, and none of the known ways around a list, even if it is decoded twice.
fn plain_target(target: &RequestTarget) {
    let wire = target.to_wire();
    assert_eq!(RequestTarget::parse(&wire).as_ref(), Ok(target));
    assert!(wire.bytes().all(|byte| byte.is_ascii_graphic()) && !wire.contains(['\\', '#']), "{wire}");
    let twice = unescaped(&unescaped(target.path().as_bytes()));
    assert_eq!(
        twice.iter().filter(|byte| **byte == b'/').count(),
        target.path().matches('/').count(),
        "{wire}"
    );
    assert!(twice.iter().all(|byte| !byte.is_ascii_control() && *byte != b'\\'), "{wire}");
    let text = String::from_utf8(twice).unwrap();
    assert!(text.starts_with('/') && !text.contains("//"), "{wire}");
    assert!(text.split('/').all(|segment| !matches!(segment.split(';').next(), Some("." | ".."))), "{wire}");
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (mut plain, mut rest) = (Vec::new(), text);
    while let [first, after @ ..] = rest {
        rest = match after {
            [high, low, after @ ..] if *first == b'%' && digit(*high).is_some() && digit(*low).is_some() => {
                plain.push(digit(*high).unwrap() * 16 + digit(*low).unwrap());
                after
            }
            _ => {
                plain.push(*first);
                after
            }
        };
    }
    plain
}

/// The reference: the pattern's table in the design, read literally.
fn naive_match(pattern: &str, path: &str) -> bool {
    match (pattern.split_once('/'), path.split_once('/')) {
        _ if pattern == "**" => !path.is_empty() && !path.starts_with('/'),
        (Some((part, pattern)), Some((segment, path))) => one(part, segment) && naive_match(pattern, path),
        (None, None) => one(pattern, path),
        _ => false,
    }
}

fn one(part: &str, segment: &str) -> bool {
    if part.starts_with('{') { !segment.is_empty() } else { part == segment }
}

/// Conditions on bodies. The first line of the input is a pointer and the allowed words behind it; the rest is the body.
pub fn body(data: &[u8]) {
    let split = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, rest) = data.split_at(split);
    let sent = rest.get(1..).unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let mut terms = first.split(' ');
    let pointer = terms.next().unwrap_or_default();
    let allowed: Vec<Scalar> = terms.map(scalar).collect();
    let headers = [Header { name: "content-type".to_owned(), value: "application/json".to_owned() }];

    let written = match body::check(&[], &[], &headers, Some(sent)) {
        Err(error) => return readable(&visible::visible(&error.to_string())),
        Ok(written) => written,
    };
    // What goes out means what came in, to another parser too, and is its own plain form.
    let value: Value = serde_json::from_slice(sent).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value);
    assert_eq!(body::check(&[], &[], &headers, Some(&written)).as_ref(), Ok(&written));
    assert!(written.len() <= sent.len());

    if let Ok(predicate) = Predicate::new(pointer, allowed.clone()) {
        let passed = body::check(&[predicate], &[], &headers, Some(sent)).is_ok();
        let steps: Vec<&str> = pointer.split('/').skip(1).collect();
        let expected = found(&value, &steps)
            .is_some_and(|values| values.iter().all(|value| is_allowed(value, &allowed)));
        assert_eq!(passed, expected, "{pointer} {allowed:?} {value}");
    }
    filled(pointer, &headers, &written, &value);
}

/// Filling a secret in changes the text at its place, and nothing else.
fn filled(pointer: &str, headers: &[Header], written: &[u8], value: &Value) {
    const SECRET: &str = "a\"b\\\n\u{1}\u{20ac}";
    let holds = body::check(&[], &[pointer], headers, Some(written)).is_ok();
    let result = body::fill(written, &[(pointer, SECRET)]);
    assert_eq!(holds, result.is_ok(), "{pointer} {value}");
    let place =
        value.pointer(pointer).filter(|_| !pointer.is_empty() && !pointer.split('/').any(|step| step == "*"));
    let Ok(filled) = result else { return };
    assert_eq!(place, Some(&Value::from(PLACEHOLDER)), "{pointer} {value}");
    let mut after: Value = serde_json::from_slice(&filled).unwrap();
    assert_eq!(after.pointer(pointer), Some(&Value::from(SECRET)));
    *after.pointer_mut(pointer).unwrap() = PLACEHOLDER.into();
    assert_eq!(&after, value);
    assert!(body::fill(&filled, &[(pointer, SECRET)]).is_err());
}

fn scalar(word: &str) -> Scalar {
    match word.parse::<i64>() {
        Ok(number) => Scalar::Int(number),
        Err(_) if word == "true" || word == "false" => Scalar::Bool(word == "true"),
        Err(_) => Scalar::Text(word.to_owned()),
    }
}

/// The reference: what a pointer with `*` finds, or nothing where one branch ends before a value.
fn found<'a>(value: &'a Value, steps: &[&str]) -> Option<Vec<&'a Value>> {
    let Some((step, rest)) = steps.split_first() else { return Some(vec![value]) };
    match (value, *step) {
        (Value::Array(values), "*") if !values.is_empty() => {
            let each: Option<Vec<_>> = values.iter().map(|value| found(value, rest)).collect();
            Some(each?.concat())
        }
        (_, "*") => None,
        // serde_json has a pointer of its own, for a single step at a time.
        (value, step) => found(value.pointer(&format!("/{step}"))?, rest),
    }
}

fn is_allowed(value: &Value, allowed: &[Scalar]) -> bool {
    allowed.iter().any(|scalar| match (scalar, value) {
        (Scalar::Bool(one), Value::Bool(other)) => one == other,
        (Scalar::Int(one), Value::Number(other)) => other.as_i64() == Some(*one),
        (Scalar::Text(one), Value::String(other)) => one == other,
        _ => false,
    })
}

/// A binding with one service, as YAML: JSON is YAML.
fn with_service(service: &Value, safety: &str) -> String {
    json!({"capability": "a.b", "component": "a.wasm", "safety": safety, "services": {"web": service}})
        .to_string()
}

/// An author who needs to read that path of the service `web`.
fn manifest(path: &str) -> Manifest {
    let rule = RuleNeed {
        method: "GET".to_owned(),
        path: path.to_owned(),
        effect: RuleEffect::Read,
        query: vec![],
        headers: vec![],
    };
    Manifest {
        name: "a.b".to_owned(),
        summary: String::new(),
        version: "1.0.0".to_owned(),
        safety: Safety::ReadOnly,
        input: json!({}),
        output: json!({}),
        needs: vec![Need {
            need: NeedKind::Service { name: "web".to_owned(), rules: vec![rule] },
            optional: false,
        }],
    }
}
