//! Our verdicts against those of `ssh-keygen -Y`, where it is installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::testing::{SoftwareToken, ed25519_key, p256_key, public};
use super::*;
use crate::digest::Digest;
use crate::lock::{self, Lock, SignedLock};
use crate::sign::sign;

fn now() -> Timestamp {
    Timestamp::now()
}

/// A scratch folder, or nothing where `ssh-keygen` is missing.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn scratch(test: &str) -> Option<tempfile::TempDir> {
    let missing = Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).status().is_err();
    if missing {
        eprintln!("skipped: {test}: ssh-keygen is not installed");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

fn keygen(arguments: &[&str], folder: &Path, input: &str) -> bool {
    fs::write(folder.join("input"), input).unwrap();
    let status = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(folder)
        .stdin(fs::File::open(folder.join("input")).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.unwrap().success()
}

/// Whether `ssh-keygen` accepts a signature over `text` for `ops-plan` as one by `principal`.
fn accepts(folder: &Path, approvers: &str, principal: &str, signature: &str) -> bool {
    fs::write(folder.join("approvers"), approvers).unwrap();
    fs::write(folder.join("signature"), signature).unwrap();
    let arguments = ["-Y", "verify", "-f", "approvers", "-I", principal, "-n", "ops-plan", "-s", "signature"];
    keygen(&arguments, folder, "text")
}

/// Whether we do.
fn accept(approvers: &str, principal: &str, signature: &str) -> bool {
    Approvers::parse("approvers", approvers.as_bytes())
        .ok()
        .and_then(|approvers| approvers.verify("ops-plan", b"text", signature, now()).ok())
        .is_some_and(|approver| approver.is(principal))
}

#[test]
fn it_accepts_what_we_sign() {
    let Some(folder) = scratch("it_accepts_what_we_sign") else { return };
    for key in [ed25519_key(1), p256_key(1)] {
        let approvers = format!("alice {}\n", public(&key));
        assert!(accepts(folder.path(), &approvers, "alice", &sign(&key, "ops-plan", b"text").unwrap()));
        assert!(!accepts(folder.path(), &approvers, "alice", &sign(&key, "ops-lock", b"text").unwrap()));
        assert!(!accepts(folder.path(), &approvers, "alice", &sign(&key, "ops-plan", b"text.").unwrap()));
    }
}

#[test]
fn we_accept_what_it_signs() {
    let Some(folder) = scratch("we_accept_what_it_signs") else { return };
    for kind in ["ed25519", "ecdsa"] {
        assert!(keygen(&["-q", "-t", kind, "-N", "", "-C", "it", "-f", kind], folder.path(), ""));
        let public = fs::read_to_string(folder.path().join(format!("{kind}.pub"))).unwrap();
        let approvers = format!("alice {public}");
        for hash in ["hashalg=sha256", "hashalg=sha512"] {
            fs::write(folder.path().join("text"), "text").unwrap();
            let _ = fs::remove_file(folder.path().join("text.sig"));
            let arguments = ["-Y", "sign", "-q", "-O", hash, "-f", kind, "-n", "ops-plan", "text"];
            assert!(keygen(&arguments, folder.path(), ""));
            let signature = fs::read_to_string(folder.path().join("text.sig")).unwrap();
            assert!(accept(&approvers, "alice", &signature), "{kind} {hash}");
            assert!(!accept(&approvers, "bob", &signature), "{kind} {hash}");
            let elsewhere = Approvers::parse("approvers", approvers.as_bytes()).unwrap();
            assert!(elsewhere.verify("ops-lock", b"text", &signature, now()).is_err());
            assert!(elsewhere.verify("ops-plan", b"text.", &signature, now()).is_err());
        }
    }
}

#[test]
fn we_load_the_keys_that_it_makes() {
    let Some(folder) = scratch("we_load_the_keys_that_it_makes") else { return };
    for (kind, passphrase) in [("ed25519", ""), ("ecdsa", "open sesame")] {
        assert!(keygen(&["-q", "-t", kind, "-N", passphrase, "-f", kind], folder.path(), ""));
        let pem = fs::read_to_string(folder.path().join(kind)).unwrap();
        let key = crate::sign::load(&pem, Some(passphrase)).unwrap();
        let approvers = format!("alice {}\n", public(&key));
        assert!(accepts(folder.path(), &approvers, "alice", &sign(&key, "ops-plan", b"text").unwrap()));
    }
    assert!(keygen(&["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"], folder.path(), ""));
    let pem = fs::read_to_string(folder.path().join("rsa")).unwrap();
    let refusal = crate::sign::load(&pem, None).unwrap_err();
    assert_eq!(refusal, crate::sign::KeyError::KindNotAccepted { kind: "ssh-rsa".to_owned() });
}

#[test]
fn a_real_certificate_signature_is_called_one() {
    let Some(folder) = scratch("a_real_certificate_signature_is_called_one") else { return };
    for name in ["ca", "user"] {
        assert!(keygen(&["-q", "-t", "ed25519", "-N", "", "-f", name], folder.path(), ""));
    }
    let arguments = ["-q", "-s", "ca", "-I", "alice", "-n", "alice", "user.pub"];
    assert!(keygen(&arguments, folder.path(), ""));
    fs::write(folder.path().join("text"), "text").unwrap();
    let arguments = ["-Y", "sign", "-q", "-f", "user-cert.pub", "-n", "ops-plan", "text"];
    assert!(keygen(&arguments, folder.path(), ""));
    let signature = fs::read_to_string(folder.path().join("text.sig")).unwrap();
    let user = fs::read_to_string(folder.path().join("user.pub")).unwrap();
    let approvers = Approvers::parse("approvers", format!("alice {user}").as_bytes()).unwrap();
    let verdict = approvers.verify("ops-plan", b"text", &signature, now()).unwrap_err();
    assert_eq!(verdict, SignatureError::Certificate);
}

#[test]
fn it_verifies_the_body_of_a_lock() {
    let Some(folder) = scratch("it_verifies_the_body_of_a_lock") else { return };
    let lock = Lock {
        version: lock::VERSION,
        workspace: "demo".to_owned(),
        counter: 1,
        development: false,
        files: [("ops.yaml".to_owned(), Digest::of(b"ops"))].into(),
        components: [].into(),
        reviews: [].into(),
    };
    let key = ed25519_key(1);
    let signature = sign(&key, lock::NAMESPACE, &lock.body().unwrap()).unwrap();
    let signed = SignedLock::parse("ops.lock", &SignedLock::render(&lock, &signature).unwrap()).unwrap();
    fs::write(folder.path().join("approvers"), format!("alice {}\n", public(&key))).unwrap();
    fs::write(folder.path().join("signature"), &signed.signature).unwrap();
    let body = String::from_utf8(signed.body).unwrap();
    let arguments =
        ["-Y", "verify", "-f", "approvers", "-I", "alice", "-n", lock::NAMESPACE, "-s", "signature"];
    assert!(keygen(&arguments, folder.path(), &body));
    assert!(!keygen(&arguments, folder.path(), body.trim_end()));
}

#[test]
fn principals_and_options_mean_the_same_to_both() {
    let Some(folder) = scratch("principals_and_options_mean_the_same_to_both") else { return };
    let key = ed25519_key(1);
    let signature = sign(&key, "ops-plan", b"text").unwrap();
    let public = public(&key);
    let principals =
        ["alice", "Alice", "alice@example.test", "bob", "eve@example.test", "al", "*", "alice,bob"];
    for line in [
        format!("alice {public}"),
        format!("alice,bob {public}"),
        format!("* {public} comment"),
        format!("a*e {public}"),
        format!("?lice,!alice {public}"),
        format!("*@example.test,!eve@* {public}"),
        format!("!eve@example.test,* {public}"),
        format!("alice namespaces=\"ops-plan\" {public}"),
        format!("alice namespaces=\"ops-*,!ops-plan\" {public}"),
        format!("alice namespaces=\"ops-lock\" {public}"),
        format!("alice valid-after=\"20200101Z\",valid-before=\"20990101Z\" {public}"),
        format!("alice valid-before=\"20200101000000Z\" {public}"),
        format!("alice valid-after=\"209901010000Z\" {public}"),
        format!("alice valid-after=\"20990101Z\",valid-before=\"20200101Z\" {public}"),
        format!("alice unknown-option {public}"),
        format!("alice namespaces=ops-plan {public}"),
    ] {
        let approvers = format!("{line}\n");
        for principal in principals {
            assert_eq!(
                accept(&approvers, principal, &signature),
                accepts(folder.path(), &approvers, principal, &signature),
                "{principal} on {line}"
            );
        }
    }
}

#[test]
fn it_accepts_hardware_signatures_without_a_touch_and_we_do_not() {
    let Some(folder) = scratch("it_accepts_hardware_signatures_without_a_touch_and_we_do_not") else {
        return;
    };
    for token in SoftwareToken::both() {
        let approvers = format!("alice {}\n", token.public());
        let (touched, untouched) = (token.sign(1, "ops-plan", b"text"), token.sign(0, "ops-plan", b"text"));
        assert!(accepts(folder.path(), &approvers, "alice", &touched));
        assert!(accepts(folder.path(), &approvers, "alice", &untouched));
        assert!(accept(&approvers, "alice", &touched));
        assert!(!accept(&approvers, "alice", &untouched));
    }
}
