use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::approvers::SignatureError;
use crate::approvers::testing::{ed25519_key, public};
use crate::manifest::{Need, NeedKind, RuleEffect, RuleNeed, Safety};
use crate::review::Review;
use crate::sign::sign;

const COMPONENT: &str = "components/mail.wasm";

fn manifest() -> Manifest {
    Manifest {
        name: "communications.mail.send.test".to_owned(),
        summary: "Sends a test message.".to_owned(),
        version: "0.1.0".to_owned(),
        safety: Safety::Mutating,
        input: json!({"type": "object", "properties": {"to": {"type": "string", "maxLength": 254}}}),
        output: json!({"type": "object"}),
        needs: vec![service(&["/jmap/"], true), config("from")],
    }
}

fn service(paths: &[&str], optional: bool) -> Need {
    let rule = |path: &&str| RuleNeed {
        method: "POST".to_owned(),
        path: (*path).to_owned(),
        effect: RuleEffect::Mutate,
        query: vec![],
        headers: vec!["x-id".to_owned()],
    };
    let rules = paths.iter().map(rule).collect();
    Need { need: NeedKind::Service { name: "mail".to_owned(), rules }, optional }
}

fn config(key: &str) -> Need {
    Need { need: NeedKind::Config { key: key.to_owned(), meaning: "who".to_owned() }, optional: false }
}

fn lock() -> Lock {
    let component = Component {
        digest: Digest::of(b"component"),
        capabilities: ["communications.mail.send.test".to_owned()].into(),
        manifest: manifest(),
        imports: ["ops:capability/fetch@0.1.0".to_owned()].into(),
        interface: Digest::of(b"interface"),
    };
    Lock {
        version: VERSION,
        workspace: "demo".to_owned(),
        counter: 7,
        development: false,
        files: [
            ("ops.yaml".to_owned(), Digest::of(b"ops")),
            ("approvers".to_owned(), Digest::of(b"approvers")),
        ]
        .into(),
        components: [(COMPONENT.to_owned(), component)].into(),
        reviews: BTreeMap::new(),
    }
}

fn signed(lock: &Lock) -> Vec<u8> {
    let signature = sign(&ed25519_key(1), NAMESPACE, &lock.body().unwrap()).unwrap();
    SignedLock::render(lock, &signature).unwrap()
}

fn parse(file: &[u8]) -> Result<SignedLock, LockError> {
    SignedLock::parse("ops.lock", file)
}

/// Reads it as a host does that has admitted these bytes before.
fn again(file: &[u8]) -> Result<SignedLock<OnDemand>, LockError> {
    let seen = Seen { counter: 1, digest: Digest::of(file) };
    SignedLock::parse_again("ops.lock", file, Some(&seen))
}

fn approvers(options: &str) -> Approvers {
    let line = format!("alice {options} {}\n", public(&ed25519_key(1)));
    Approvers::parse("approvers", line.as_bytes()).unwrap()
}

#[test]
fn survives_its_file() {
    let file = signed(&lock());
    let read = parse(&file).unwrap();
    assert_eq!(read.lock, lock());
    assert_eq!(read.body, lock().body().unwrap());
    assert!(read.body.ends_with(b"}\n"));
    assert_eq!([read.body.as_slice(), read.signature.as_bytes()].concat(), file);
    assert_eq!(read.digest, Digest::of(&file));
    assert_eq!(read.verify(&approvers(""), Timestamp::UNIX_EPOCH).unwrap().principal, "alice");
}

/// A review of the lock's capability, by the key that signs locks here.
fn reviewed(lock: &Lock) -> SignedReview {
    let (name, binding) = ("communications.mail.send.test", "ops.yaml");
    let subject = lock.subject(name, binding).unwrap();
    let review = Review::new(subject, Timestamp::UNIX_EPOCH, Duration::from_secs(60)).unwrap();
    let signature = sign(&ed25519_key(1), crate::review::NAMESPACE, review.text().as_bytes()).unwrap();
    SignedReview { review, signature }
}

#[test]
fn reviews_stand_in_the_lock_and_a_lock_without_has_no_place_for_them() {
    let before = String::from_utf8(lock().body().unwrap()).unwrap();
    assert!(!before.contains("reviews"));
    let emptied = before.replacen("\n  }\n}", "\n  },\n  \"reviews\": {}\n}", 1);
    assert_ne!(emptied, before);
    let signature = sign(&ed25519_key(1), NAMESPACE, emptied.as_bytes()).unwrap();
    let error = parse(format!("{emptied}{signature}").as_bytes()).unwrap_err().to_string();
    assert!(error.contains("as `ops pin` writes it"), "{error}");

    let review = reviewed(&lock());
    let name = review.review.subject.capability.clone();
    let with = Lock { reviews: [(name.clone(), review.clone())].into(), ..lock() };
    let read = parse(&signed(&with)).unwrap().lock;
    let state = read.reviews[&name].state(
        &read.subject(&name, "ops.yaml").unwrap(),
        &approvers(""),
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(state.word(), "valid");
    assert_eq!(lock().subject("a.b", "ops.yaml"), None);
    assert_eq!(lock().subject(&name, "bindings/none.yaml"), None);

    let elsewhere = Lock { reviews: [("a.b".to_owned(), review.clone())].into(), ..lock() };
    assert!(elsewhere.body().unwrap_err().to_string().contains("is of another capability"));
    let mut long = review;
    long.review.expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let long = Lock { reviews: [(name, long)].into(), ..lock() };
    assert!(long.body().unwrap_err().to_string().contains("at most 366 days"));
}

#[test]
fn the_signature_must_count() {
    let read = parse(&signed(&lock())).unwrap();
    let refusal = |signed: &SignedLock, options| {
        signed.verify(&approvers(options), "2026-11-22T12:00:00Z".parse().unwrap()).unwrap_err()
    };
    assert!(matches!(
        refusal(&read, "namespaces=\"ops-plan\""),
        LockError::Signature(SignatureError::NamespaceNotAllowed { .. })
    ));
    assert!(matches!(
        refusal(&read, "valid-before=\"20260101Z\""),
        LockError::Signature(SignatureError::NotValidNow { .. })
    ));
    // The signature of another lock, and one that was made for a plan.
    let other = Lock { counter: 8, ..lock() };
    let moved = parse(&SignedLock::render(&other, &read.signature).unwrap()).unwrap();
    assert!(matches!(refusal(&moved, ""), LockError::Signature(SignatureError::BadSignature { .. })));
    let plan = sign(&ed25519_key(1), "ops-plan", &read.body).unwrap();
    let plan = parse(&SignedLock::render(&lock(), &plan).unwrap()).unwrap();
    assert!(matches!(refusal(&plan, ""), LockError::Signature(SignatureError::WrongNamespace { .. })));
}

#[test]
fn a_body_has_one_text() {
    let file = String::from_utf8(signed(&lock())).unwrap();
    let first_component = format!("\"{COMPONENT}\": {{\n      \"digest\"");
    assert!(file.contains(&first_component));
    for (from, to, message) in [
        ("\"counter\": 7", "\"counter\": 7,\n  \"counter\": 7", "duplicate field"),
        ("\"counter\": 7", "\"counter\": 7,\n  \"extra\": 1", "unknown field"),
        ("\"counter\": 7", "\"counter\": 7.0", "expected u64"),
        ("\"counter\": 7", "\"counter\": -7", "expected u64"),
        ("\"counter\": 7", "\"counter\":  7", "line 4"),
        ("\"version\": 1", "\"version\": 2", "version 2 is not known"),
        ("\"files\": {\n", "\"files\": {\n    \"ops.yaml\": \"sha256:00\",\n", "64 lower-case hex digits"),
        ("\"optional\": true", "\"optional\": true,\n            \"extra\": 1", "not as `ops pin` writes it"),
        ("\"maxLength\": 254", "\"maxLength\": 254.0", "floating-point"),
        ("\"maxLength\": 254", "\"maxLength\": 1e2", "floating-point"),
        (
            "\"maxLength\": 254",
            "\"maxLength\": 1,\n              \"maxLength\": 254",
            "not as `ops pin` writes it",
        ),
        ("}\n-----BEGIN", "}\n\n-----BEGIN", "not as `ops pin` writes it"),
        ("}\n-----BEGIN", "}\n{}\n-----BEGIN", "trailing characters"),
        ("\"ops.yaml\"", "\"../ops.yaml\"", "not a plain path"),
        ("\"ops.yaml\"", "\"/ops.yaml\"", "not a plain path"),
        ("\"ops.yaml\"", "\"./ops.yaml\"", "not a plain path"),
        ("\"ops.yaml\"", "\"bindings//x.yaml\"", "not a plain path"),
        ("\"ops.yaml\"", "\"bindings\\\\x.yaml\"", "not a plain path"),
        ("\"ops.yaml\"", "\"ops\\u202e.yaml\"", "`ops\\u{202e}.yaml` is not a plain path"),
        ("\"ops.yaml\"", "\"components/mail.wasm\"", "a file and a component"),
        ("\"demo\"", "\"\"", "the workspace's name"),
        ("\"demo\"", "\"de\\u001bmo\"", "the workspace's name"),
    ] {
        let changed = file.replacen(from, to, 1);
        assert_ne!(changed, file, "{from} is not there");
        match parse(changed.as_bytes()).unwrap_err() {
            LockError::Malformed { file, message: found } => {
                assert_eq!(file, "ops.lock");
                assert!(found.contains(message), "{to}\n  gave: {found}");
            }
            other => panic!("{to} gave: {other}"),
        }
    }
    // A path that is there twice: the last would win.
    let line = format!("    \"ops.yaml\": \"{}\"", Digest::of(b"ops"));
    let twice = file.replacen(&line, &format!("    \"ops.yaml\": \"{}\",\n{line}", Digest::of(b"x")), 1);
    assert_ne!(twice, file);
    assert!(parse(twice.as_bytes()).unwrap_err().to_string().contains("line 8 is not as"));
}

#[test]
fn what_was_seen_says_the_same_read_again() {
    let file = signed(&lock());
    let read = again(&file).unwrap();
    assert_eq!(read.lock.whole().unwrap(), lock());
    let all = read.lock.components.all().unwrap();
    assert_eq!(
        all.into_iter().map(|(path, found)| (path.as_str(), found.digest)).collect::<Vec<_>>(),
        [(COMPONENT, Digest::of(b"component"))]
    );
    assert_eq!(read.lock.components.get("components/none.wasm"), Ok(None));
    let whole = parse(&file).unwrap();
    assert_eq!((&read.body, &read.signature, read.digest), (&whole.body, &whole.signature, whole.digest));
    assert_eq!(Seen::of(&read), Seen::of(&whole));
    assert_eq!(read.verify(&approvers(""), Timestamp::UNIX_EPOCH).unwrap().principal, "alice");
}

#[test]
fn what_was_not_seen_is_checked_whole() {
    let file = String::from_utf8(signed(&lock())).unwrap();
    let other = file.replacen("\"counter\": 7", "\"counter\":  7", 1);
    let seen = Seen { counter: 7, digest: Digest::of(file.as_bytes()) };
    for seen in [None, Some(&seen)] {
        let error = SignedLock::parse_again("ops.lock", other.as_bytes(), seen).unwrap_err().to_string();
        assert!(error.contains("line 4 is not as `ops pin` writes it"), "{error}");
    }
    // The signature counts for what was seen, too.
    let moved = again(file.replacen("\"counter\": 7", "\"counter\": 8", 1).as_bytes()).unwrap();
    assert!(moved.verify(&approvers(""), Timestamp::UNIX_EPOCH).is_err());
}

/// Only a version of this program that has another format can have admitted such a lock.
#[test]
fn what_another_version_admitted_is_refused_and_not_left_out() {
    let file = String::from_utf8(signed(&lock())).unwrap();
    let error = again(file.replacen("\"version\": 1", "\"version\": 2", 1).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("version 2 is not known"), "{error}");
    let field = file.replacen("\"interface\"", "\"interfaces\"", 1);
    assert_ne!(field, file);
    let lock = again(field.as_bytes()).unwrap().lock;
    for refusal in [
        lock.components.get(COMPONENT).unwrap_err(),
        lock.components.check(COMPONENT, b"component").unwrap_err(),
        lock.components.all().unwrap_err(),
        lock.whole().unwrap_err(),
    ] {
        assert!(
            refusal.to_string().contains("components/mail.wasm: unknown field `interfaces`"),
            "{refusal}"
        );
    }
}

#[test]
fn body_and_signature_are_told_apart() {
    let file = String::from_utf8(signed(&lock())).unwrap();
    let (body, signature) = file.split_at(lock().body().unwrap().len());
    for text in [
        String::new(),
        body.to_owned(),
        signature.to_owned(),
        format!("{body}-----BEGIN SSH SIGNATURE-----\nAAAA\n"),
        file.trim_end().to_owned(),
        file.replace('\n', "\r\n"),
    ] {
        let refusal = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(refusal, LockError::NoSignature { .. }), "{text}: {refusal}");
    }
    for text in
        [format!("{file}\n"), format!("{file}x"), format!("{file}{signature}"), format!("{file}{file}")]
    {
        let refusal = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(refusal, LockError::Trailing { .. }), "{text}: {refusal}");
    }
    let large = vec![b' '; MAX_FILE + 1];
    assert_eq!(parse(&large).unwrap_err(), LockError::TooLarge { bytes: MAX_FILE + 1 });
    assert!(parse(b"\xff").unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn a_marker_inside_a_text_is_not_a_signature() {
    let mut lock = lock();
    let name = format!("\n{}\nAAAA\n{}\n", SIGNATURE_BEGIN, SIGNATURE_END);
    lock.components.get_mut(COMPONENT).unwrap().manifest.summary = name;
    assert_eq!(parse(&signed(&lock)).unwrap().lock, lock);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let signature = parse(&signed(&lock())).unwrap().signature;
    let mut float = lock();
    float.components.get_mut(COMPONENT).unwrap().manifest.output = json!({"anyOf": [{"maximum": 0.5}]});
    assert!(float.body().unwrap_err().to_string().contains("floating-point"));
    let mut outside = lock();
    outside.files.insert("../outside".to_owned(), Digest::of(b""));
    assert!(SignedLock::render(&outside, &signature).is_err());
    assert!(SignedLock::render(&lock(), "").is_err());
    assert!(SignedLock::render(&lock(), &format!("x{signature}")).is_err());
    let mut large = lock();
    large.components.get_mut(COMPONENT).unwrap().manifest.summary = "x".repeat(MAX_FILE);
    assert!(matches!(large.body(), Err(LockError::TooLarge { .. })));
}

#[test]
fn files_and_components_are_checked() {
    let lock = again(&signed(&lock())).unwrap().lock;
    assert_eq!(lock.check_file("ops.yaml", b"ops"), Ok(()));
    assert_eq!(lock.components.check(COMPONENT, b"component"), Ok(()));
    assert_eq!(lock.components.get(COMPONENT).unwrap().unwrap().manifest, manifest());
    let changed = lock.check_file("ops.yaml", b"ops2").unwrap_err().to_string();
    let (found, pinned) = (Digest::of(b"ops2").short(), Digest::of(b"ops").short());
    assert_eq!(
        changed,
        format!(
            "`ops.yaml` has changed: it is {found}, the lock says {pinned}; look at the change, then run `ops pin`"
        )
    );
    assert!(matches!(lock.components.check(COMPONENT, b"x"), Err(LockError::Changed { .. })));
    // The two lists are apart: a component's bytes are never taken for a binding.
    for refusal in [
        lock.check_file("bindings/new.yaml", b"").unwrap_err(),
        lock.check_file(COMPONENT, b"component").unwrap_err(),
        lock.components.check("ops.yaml", b"ops").unwrap_err(),
    ] {
        assert!(matches!(refusal, LockError::NotListed { .. }));
        assert!(refusal.to_string().contains("ops pin"));
    }
}

#[test]
fn an_older_or_a_second_lock_is_refused() {
    let numbered = |counter, workspace: &str| {
        parse(&signed(&Lock { counter, workspace: workspace.to_owned(), ..lock() })).unwrap()
    };
    let seen = Seen::of(&numbered(7, "demo"));
    assert_eq!(seen.admit(&numbered(7, "demo")), Ok(()));
    assert_eq!(seen.admit(&numbered(8, "other")), Ok(()));
    assert_eq!(seen.admit(&numbered(6, "demo")), Err(LockError::Older { counter: 6, seen: 7 }));
    assert!(matches!(seen.admit(&numbered(7, "other")), Err(LockError::Forked { counter: 7, .. })));
}

proptest! {
    #[test]
    fn one_changed_byte_is_noticed(position in any::<prop::sample::Index>(), change in 1_u8..=255) {
        let mut file = signed(&lock());
        let position = position.index(file.len());
        file[position] ^= change;
        let accepted = parse(&file)
            .and_then(|read| read.verify(&approvers(""), Timestamp::UNIX_EPOCH).map(|_| read.lock));
        prop_assert!(accepted.is_err());
    }
}
