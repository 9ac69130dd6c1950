use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ssh_key::SshSig;

use super::testing::{SoftwareToken, armour, ed25519_key, p256_key, public, text};
use super::*;
use crate::sign::sign;

const NOW: &str = "2026-11-22T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn parse(file: &str) -> Result<Approvers, ApproversError> {
    Approvers::parse("approvers", file.as_bytes())
}

/// What became of a signature by key 1 over `text` for `ops-plan`, with one line of options for that key.
fn verdict(options: &str) -> Result<Approver, SignatureError> {
    let key = ed25519_key(1);
    let file = format!("alice {options} {}\n", public(&key));
    parse(&file).unwrap().verify("ops-plan", b"text", &sign(&key, "ops-plan", b"text").unwrap(), now())
}

#[test]
fn both_kinds_of_file_keys_verify() {
    for (key, kind) in [(ed25519_key(1), KeyKind::Ed25519), (p256_key(1), KeyKind::EcdsaP256)] {
        let file = format!("# approvers\n\n \t\nalice@example.test {} a comment, \"quoted\"\n", public(&key));
        let signature = sign(&key, "ops-plan", b"text").unwrap();
        let approver = parse(&file).unwrap().verify("ops-plan", b"text", &signature, now()).unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        assert!(fingerprint.starts_with("SHA256:"));
        let principal = "alice@example.test".to_owned();
        assert_eq!(approver, Approver { principal, fingerprint, kind, touch: false, verified: false });
    }
}

#[test]
fn each_refusal_has_its_own_name() {
    let (key, other) = (ed25519_key(1), ed25519_key(2));
    let approvers = parse(&format!("alice {}\n", public(&key))).unwrap();
    let good = sign(&key, "ops-plan", b"text").unwrap();
    let refusal = |message: &[u8], pem: &str| approvers.verify("ops-plan", message, pem, now()).unwrap_err();

    assert_eq!(refusal(b"text.", &good), SignatureError::BadSignature { principal: "alice".to_owned() });
    let elsewhere = sign(&key, "ops-\u{202e}lock", b"text").unwrap();
    assert_eq!(
        refusal(b"text", &elsewhere),
        SignatureError::WrongNamespace {
            expected: "ops-plan".to_owned(),
            found: "ops-\\u{202e}lock".to_owned()
        }
    );
    let fingerprint = other.fingerprint(HashAlg::Sha256).to_string();
    assert_eq!(
        refusal(b"text", &sign(&other, "ops-plan", b"text").unwrap()),
        SignatureError::KeyNotListed { fingerprint }
    );
    for damaged in [
        "",
        "yes",
        &good.replace("BEGIN", "BEGUN"),
        &good.replacen("U1NI", "U1NJ", 1),
        &good.replace(SIGNATURE_END, &format!("AAAA\n{SIGNATURE_END}")),
        &format!("text before\n{good}"),
        &format!("{good}{good}"),
        &" ".repeat(MAX_SIGNATURE + 1),
    ] {
        assert!(matches!(refusal(b"text", damaged), SignatureError::NotASignature { .. }), "{damaged}");
    }
}

#[test]
fn a_key_moved_into_another_signature_is_refused() {
    let (key, other) = (ed25519_key(1), ed25519_key(2));
    let approvers = parse(&format!("alice {}\n", public(&key))).unwrap();
    let theirs = SshSig::from_pem(sign(&other, "ops-plan", b"text").unwrap()).unwrap();
    let forged = SshSig::new(
        key.public_key().key_data().clone(),
        "ops-plan",
        HashAlg::Sha512,
        theirs.signature().clone(),
    );
    let forged = forged.unwrap().to_pem(ssh_key::LineEnding::LF).unwrap();
    assert_eq!(
        approvers.verify("ops-plan", b"text", &forged, now()).unwrap_err(),
        SignatureError::BadSignature { principal: "alice".to_owned() }
    );
}

#[test]
fn other_versions_and_reserved_bytes_are_refused() {
    let key = ed25519_key(1);
    let approvers = parse(&format!("alice {}\n", public(&key))).unwrap();
    let good = SshSig::from_pem(sign(&key, "ops-plan", b"text").unwrap()).unwrap();
    let inner = Vec::try_from(good.signature().clone()).unwrap();
    let build = |version: u8, reserved: &[u8]| {
        armour(&[
            [b"SSHSIG\0\0\0".as_slice(), &[version]].concat(),
            text(&key.public_key().to_bytes().unwrap()),
            text(b"ops-plan"),
            text(reserved),
            text(b"sha512"),
            text(&inner),
        ])
    };
    assert!(approvers.verify("ops-plan", b"text", &build(1, b""), now()).is_ok());
    for pem in [build(0, b""), build(2, b""), build(1, b"x")] {
        let refusal = approvers.verify("ops-plan", b"text", &pem, now()).unwrap_err();
        assert!(matches!(refusal, SignatureError::NotASignature { .. }), "{refusal}");
    }
}

#[test]
fn certificates_and_other_kinds_are_named() {
    let approvers = parse("").unwrap();
    let build = |key: Vec<u8>| {
        armour(&[
            b"SSHSIG\0\0\0\x01".to_vec(),
            text(&key),
            text(b"ops-plan"),
            text(b""),
            text(b"sha512"),
            text(&[text(b"ssh-ed25519"), text(&[0; 64])].concat()),
        ])
    };
    let certificate = build([text(b"ssh-ed25519-cert-v01@openssh.com"), text(&[1; 32])].concat());
    assert_eq!(
        approvers.verify("ops-plan", b"", &certificate, now()).unwrap_err(),
        SignatureError::Certificate
    );
    let rsa =
        build([text(b"ssh-rsa"), text(&[1, 0, 1]), text(&[&[0], [0xab; 256].as_slice()].concat())].concat());
    assert_eq!(
        approvers.verify("ops-plan", b"", &rsa, now()).unwrap_err(),
        SignatureError::KindNotAccepted { kind: "ssh-rsa".to_owned() }
    );
}

#[test]
fn hardware_keys_must_be_touched() {
    for token in SoftwareToken::both() {
        let approvers = parse(&format!("alice {}\n", token.public())).unwrap();
        let check = |pem: &str| approvers.verify("ops-plan", b"text", pem, now());
        for (flags, verified) in [(0x01, false), (0x05, true)] {
            let approver = check(&token.sign(flags, "ops-plan", b"text")).unwrap();
            assert!(approver.kind.is_hardware() && approver.touch);
            assert_eq!(approver.verified, verified);
        }
        for flags in [0x00, 0x04, 0x20] {
            assert_eq!(
                check(&token.sign(flags, "ops-plan", b"text")).unwrap_err(),
                SignatureError::NoTouch { principal: "alice".to_owned() }
            );
        }
        // The flags are signed too: an untouched signature does not become a touched one.
        let untouched = token.sign(0, "ops-plan", b"other text");
        assert_eq!(
            check(&untouched).unwrap_err(),
            SignatureError::BadSignature { principal: "alice".to_owned() }
        );
    }
}

#[test]
fn an_untouched_signature_under_another_name_is_refused() {
    for token in SoftwareToken::both() {
        let approvers = parse(&format!("alice {}\n", token.public())).unwrap();
        for name in ["none@example.test", "ssh-ed25519", "sk-ssh-ed25519@example.test"] {
            for flags in [0x00, 0x01] {
                let pem = token.sign_as(name, flags, "ops-plan", b"text");
                let refusal = approvers.verify("ops-plan", b"text", &pem, now()).unwrap_err();
                assert!(matches!(refusal, SignatureError::NotASignature { .. }), "{name}: {refusal}");
            }
        }
    }
}

#[test]
fn the_crate_alone_would_accept_that_name() {
    // Why the frame is read by us. If this fails, the crate has learnt it.
    let [token, _] = SoftwareToken::both();
    let key = PublicKey::from_openssh(&token.public()).unwrap();
    let renamed = SshSig::from_pem(token.sign_as("none@example.test", 0, "ops-plan", b"text")).unwrap();
    assert!(key.verify("ops-plan", b"text", &renamed).is_ok());
}

#[test]
fn no_changed_byte_verifies() {
    let mut signatures = vec![];
    for key in [ed25519_key(1), p256_key(1)] {
        signatures.push((public(&key), sign(&key, "ops-plan", b"text").unwrap()));
    }
    for token in SoftwareToken::both() {
        signatures.push((token.public(), token.sign(1, "ops-plan", b"text")));
    }
    for (key, pem) in signatures {
        let approvers = parse(&format!("alice {key}\n")).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let good = STANDARD.decode(base64).unwrap();
        assert!(approvers.verify("ops-plan", b"text", &armour(std::slice::from_ref(&good)), now()).is_ok());
        for position in 0..good.len() {
            let mut bytes = good.clone();
            bytes[position] ^= 1;
            let verdict = approvers.verify("ops-plan", b"text", &armour(&[bytes]), now());
            assert!(verdict.is_err(), "{key}: byte {position}");
        }
    }
}

#[test]
fn options_restrict() {
    for options in [
        "",
        "namespaces=\"ops-plan\"",
        "namespaces=\"ops-*,!ops-lock\"",
        "valid-after=\"20261122120000Z\"",
        "valid-after=\"202611221159Z\",valid-before=\"20261122120000Z\"",
        "valid-before=\"20270101Z\",namespaces=\"other,ops-plan\"",
    ] {
        assert!(verdict(options).is_ok(), "{options}");
    }
    for options in ["namespaces=\"ops-lock\"", "namespaces=\"ops-*,!ops-plan\"", "namespaces=\"OPS-PLAN\""] {
        let namespace = "ops-plan".to_owned();
        let principal = "alice".to_owned();
        let expected = SignatureError::NamespaceNotAllowed { line: 1, principal, namespace };
        assert_eq!(verdict(options).unwrap_err(), expected, "{options}");
    }
    for options in ["valid-before=\"20261122115959Z\"", "valid-after=\"20261122120001Z\""] {
        let expected = SignatureError::NotValidNow { line: 1, principal: "alice".to_owned(), now: now() };
        assert_eq!(verdict(options).unwrap_err(), expected, "{options}");
    }
}

#[test]
fn one_key_may_have_several_lines_of_the_same_person() {
    let key = ed25519_key(1);
    let (line, now) = (public(&key), now());
    let file = format!("alice namespaces=\"ops-lock\" {line}\nalice namespaces=\"ops-plan\" {line}\n");
    let approvers = parse(&file).unwrap();
    for namespace in ["ops-lock", "ops-plan"] {
        let signature = sign(&key, namespace, b"text").unwrap();
        assert!(approvers.verify(namespace, b"text", &signature, now).is_ok(), "{namespace}");
    }
    let error = parse(&format!("alice {line}\n# note\nbob {line}\n")).unwrap_err();
    assert_eq!(error.to_string(), "approvers:3: line 1 gives this key to other principals");
}

#[test]
fn lines_that_are_not_understood_are_errors() {
    let key = public(&ed25519_key(1));
    let data = key.split(' ').nth(1).unwrap();
    for (line, message) in [
        ("alice".to_owned(), "unknown option or key kind ``"),
        (format!("alice touch-required {key}"), "unknown option or key kind `touch-required`"),
        (format!("alice no-touch-required=\"x\" {key}"), "unknown option or key kind `no-touch-required`"),
        (format!("alice Namespaces=\"x\" {key}"), "unknown option or key kind `Namespaces`"),
        (format!("*@example.test cert-authority {key}"), "certificates are not accepted"),
        (format!("alice namespaces=ops-plan {key}"), "must be in double quotes"),
        (format!("alice namespaces=\"ops-plan {key}"), "must be in double quotes"),
        (format!("alice namespaces {key}"), "needs a value"),
        (format!("alice namespaces=\"\" {key}"), "list of names"),
        (format!("alice namespaces=\"a, b\" {key}"), "list of names"),
        (format!("alice namespaces=\"a\",namespaces=\"b\" {key}"), "given twice"),
        (format!("alice namespaces=\"a\"valid-after=\"20260101Z\" {key}"), "a comma or a space is missing"),
        (format!("alice valid-after=\"20260101\" {key}"), "write it in UTC"),
        (format!("alice valid-after=\"2026-01-01Z\" {key}"), "write it in UTC"),
        (format!("alice valid-after=\"20261301Z\" {key}"), "write it in UTC"),
        (format!("alice valid-after=\"20260101\u{661}0Z\" {key}"), "write it in UTC"),
        (format!("alice valid-after=\"2027Z\",valid-before=\"2026Z\" {key}"), "write it in UTC"),
        (format!("alice valid-after=\"20270101Z\",valid-before=\"20260101Z\" {key}"), "must be later"),
        ("alice namespaces=\"a\" ".to_owned(), "the key is missing"),
        (format!("alice ssh-rsa {data}"), "keys of kind `ssh-rsa` are not accepted"),
        (format!("alice ecdsa-sha2-nistp384 {data}"), "keys of kind `ecdsa-sha2-nistp384`"),
        (format!("alice ssh-ed25519-cert-v01@openssh.com {data}"), "`ssh-ed25519-cert-v01@openssh.com`"),
        (format!("alice ecdsa-sha2-nistp256 {data}"), "damaged"),
        (format!("alice ssh-ed25519 {data}AAAA"), "damaged"),
        ("alice ssh-ed25519".to_owned(), "damaged"),
        (format!("alice,,bob {key}"), "empty principal"),
        (format!("!mallory {key}"), "matches nobody"),
        (format!("\"alice bob\" {key}"), "without quotes"),
        (format!("ali\u{200b}ce {key}"), "characters that nobody sees"),
        (format!("alice {key}\r"), "control character \\u{d}"),
        (format!("alice\0 {key}"), "control character \\u{0}"),
    ] {
        let error = parse(&format!("# first\n{line}\n")).unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.contains(message), "{line}\n  gave: {}", error.message);
    }
}

#[test]
fn a_file_is_bounded() {
    let lines = |count: usize| "#\n".repeat(count);
    assert!(parse(&lines(MAX_LINES)).is_ok());
    assert_eq!(parse(&lines(MAX_LINES + 1)).unwrap_err().line, MAX_LINES + 1);
    assert!(parse(&format!("#{}", "x".repeat(MAX_FILE))).is_err());
    let error = Approvers::parse("approvers", b"# one\n# two \xff\n").unwrap_err();
    assert_eq!(error.to_string(), "approvers:2: the line is not UTF-8");
}

#[test]
fn principals_are_patterns() {
    let approver = |principal: &str| Approver {
        principal: principal.to_owned(),
        fingerprint: String::new(),
        kind: KeyKind::Ed25519,
        touch: false,
        verified: false,
    };
    assert!(approver("*@example.test,!eve@example.test").is("bob@example.test"));
    assert!(!approver("*@example.test,!eve@example.test").is("eve@example.test"));
}

proptest! {
    #[test]
    fn no_input_stops_the_parser(line in "[ -~\t]{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&line);
        let _ = Approvers::parse("approvers", &bytes);
    }
}
