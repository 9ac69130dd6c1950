//! Receipts that are not what they seem, and readers of receipts that nobody here wrote. Also what components import.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use ops_ledger::bundle::Bundle;
use ops_ledger::dsse::pae;
use ops_ledger::key::HostKey;
use ops_sandbox::engine::Sandbox;
use ops_tests::scratch::{Ran, Scratch, guest, ran, repository};
use ops_tests::skip;
use serde_json::Value;
use tempfile::TempDir;

const BUNDLE: &str = "receipt.sigstore.json";

const BINDING: &str = "
capability: communications.mail.send.test
component: components/communications_mail_send_test.wasm
safety: mutating
approval: {mode: manual}
directories:
  outbox: {path: state/outbox, access: stage}
config:
  from: ops@example.test
  allowed_recipient_domains: [example.test]
";

pub(crate) fn trials() -> Vec<Trial> {
    let python = skip::python(&["securesystemslib.dsse", "cryptography", "in_toto_attestation"]);
    let no_python = python.is_none().then_some("a Python with securesystemslib and in-toto-attestation");
    let no_openssl = (!skip::has_program("openssl")).then_some("openssl");
    let other_reader = python.unwrap_or_default();
    vec![
        skip::trial("verify::a_good_receipt_is_accepted", None, a_good_receipt_is_accepted),
        skip::trial("verify::what_is_wrong_is_named", None, what_is_wrong_is_named),
        skip::trial("verify::another_hosts_key_is_refused", None, another_hosts_key_is_refused),
        skip::trial("verify::other_tools_agree", no_python, move || other_tools_agree(&other_reader)),
        skip::trial("verify::openssl_agrees", no_openssl, openssl_agrees),
        skip::trial("verify::capabilities_import_what_their_lists_say", None, imports_are_as_listed),
        skip::trial("verify::guests_import_only_what_they_use", None, imports_are_few),
    ]
}

fn a_good_receipt_is_accepted() {
    let scratch = applied();
    let folder = newest(&scratch);
    let key = folder.file_name().unwrap().to_str().unwrap().strip_prefix('R').unwrap();
    for what in [key, folder.to_str().unwrap(), "--all"] {
        let verified = scratch.ops(&["receipts", "verify", what]).exits(0);
        assert!(
            verified.stdout.contains("good  CAP-") || verified.stdout.contains("good  /"),
            "{}",
            verified.stdout
        );
        assert!(!verified.stdout.contains("BAD"), "{}", verified.stdout);
    }
    scratch.ops(&["receipts", "verify", "--all"]).says("2 of 2 receipts are good");
}

/// A damage: what is done to a copy of a good receipt, and the check that must name it, with its words.
struct Damage {
    name: &'static str,
    does: fn(&Path, &HostKey),
    named: &'static str,
}

fn what_is_wrong_is_named() {
    let damages = [
        Damage {
            name: "a flipped byte in the statement",
            does: |folder, _| edit(folder, "/dsseEnvelope/payload", |payload| payload[100] ^= 1),
            named: "signature: BAD: ",
        },
        Damage {
            name: "a flipped byte in the signature",
            does: |folder, _| edit(folder, "/dsseEnvelope/signatures/0/sig", |signature| signature[0] ^= 1),
            named: "signature: BAD: ",
        },
        Damage {
            name: "a flipped byte in the evidence",
            does: |folder, _| {
                let mut output = fs::read(folder.join("output.json")).unwrap();
                output[2] ^= 1;
                fs::write(folder.join("output.json"), output).unwrap();
            },
            named: "evidence output.json: BAD: the evidence file \"output.json\" is not the one",
        },
        Damage {
            name: "the evidence of another run",
            does: |folder, _| {
                let other = sibling(folder).join("evidence.json");
                fs::copy(other, folder.join("evidence.json")).unwrap();
            },
            named: "subject: BAD: evidence.json is not the file that the receipt was made over",
        },
        Damage {
            name: "evidence that is missing",
            does: |folder, _| fs::remove_file(folder.join("plan.json")).unwrap(),
            named: "evidence plan.json: BAD: the evidence file \"plan.json\" is missing",
        },
        Damage {
            name: "a file that nothing vouches for",
            does: |folder, _| fs::write(folder.join("more.json"), "{}").unwrap(),
            named: "folder: BAD: \"more.json\" is not part of this receipt",
        },
        Damage {
            name: "another predicate type, signed by this host",
            does: |folder, host| {
                let payload = String::from_utf8(payload(folder)).unwrap();
                let other = payload.replace("run-receipt/v1", "run-forecast/v1");
                assert_ne!(payload, other);
                fs::write(folder.join(BUNDLE), Bundle::sign(other.as_bytes(), host).to_bytes().unwrap())
                    .unwrap();
            },
            named: "predicate type: BAD: it is a signed \"https://opscap.dev/attestations/run-forecast/v1\"",
        },
        Damage {
            name: "another key that signs for itself",
            does: |folder, _| {
                let (_keep, stranger) = stranger();
                let bundle = Bundle::sign(&payload(folder), &stranger);
                fs::write(folder.join(BUNDLE), bundle.to_bytes().unwrap()).unwrap();
            },
            named: "key: BAD: the key ",
        },
        Damage {
            name: "another key that signs in this host's name",
            does: |folder, host| {
                let (_keep, stranger) = stranger();
                let bundle = Bundle::sign(&payload(folder), &stranger).to_bytes().unwrap();
                let forged = String::from_utf8(bundle).unwrap().replace(stranger.key_id(), host.key_id());
                fs::write(folder.join(BUNDLE), forged).unwrap();
            },
            named: "signature: BAD: ",
        },
        Damage {
            name: "no bundle at all",
            does: |folder, _| fs::write(folder.join(BUNDLE), "{}").unwrap(),
            named: "bundle: BAD: the bundle is not a Sigstore bundle",
        },
    ];
    let scratch = applied();
    let host = host_key(&scratch);
    for damage in damages {
        let folder = copy(&newest(&scratch));
        (damage.does)(&folder.1, &host);
        let verified = scratch.ops(&["receipts", "verify", folder.1.to_str().unwrap()]).exits(1);
        let faults: Vec<_> = verified.stdout.lines().filter(|line| line.contains(": BAD: ")).collect();
        let named = faults.first().is_some_and(|fault| fault.trim_start().starts_with(damage.named));
        assert!(named && faults.len() == 1, "{}: {}", damage.name, verified.stdout);
    }
}

fn another_hosts_key_is_refused() {
    let (here, there) = (applied(), applied());
    let folder = newest(&here);
    let verify = |key: &HostKey| {
        let file = here.path("host.pem");
        fs::write(&file, key.public_pem()).unwrap();
        here.ops(&["receipts", "verify", folder.to_str().unwrap(), "--host-key", file.to_str().unwrap()])
    };
    verify(&host_key(&here)).exits(0);
    let refused = verify(&host_key(&there)).exits(1);
    assert!(refused.stdout.contains("none of the keys that you trust"), "{}", refused.stdout);
}

fn other_tools_agree(python: &str) {
    let scratch = applied();
    let key = scratch.path("host.pem");
    fs::write(&key, host_key(&scratch).public_pem()).unwrap();
    let reads = |script: &str, folder: &Path, more: &[&Path]| {
        let script = repository().join("tests/verify").join(script);
        ran(Command::new(python).arg(script).arg(folder.join(BUNDLE)).args(more))
    };
    let good = newest(&scratch);
    let accepted = reads("securesystemslib_accepts.py", &good, &[&key]).exits(0);
    assert!(accepted.stdout.starts_with("accepted: "), "{}", accepted.stdout);
    let valid = reads("in_toto_validates.py", &good, &[]).exits(0);
    assert_eq!(valid.stdout.trim(), "valid: https://opscap.dev/attestations/run-receipt/v1");

    let flipped = copy(&good);
    edit(&flipped.1, "/dsseEnvelope/payload", |payload| payload[100] ^= 1);
    reads("securesystemslib_accepts.py", &flipped.1, &[&key]).exits(1).says("refused: ");
    let nothing = copy(&good);
    edit(&nothing.1, "/dsseEnvelope/payload", |payload| *payload = b"{}".to_vec());
    reads("in_toto_validates.py", &nothing.1, &[]).exits(1).says("refused: ");
}

fn openssl_agrees() {
    let scratch = applied();
    let folder = newest(&scratch);
    let bundle = Bundle::parse(&fs::read(folder.join(BUNDLE)).unwrap()).unwrap();
    let signature = &bundle.dsse_envelope.only_signature().unwrap().sig;
    let file = |name: &str, bytes: &[u8]| {
        fs::write(scratch.path(name), bytes).unwrap();
    };
    file("host.pem", host_key(&scratch).public_pem().as_bytes());
    file("signature", &STANDARD.decode(signature).unwrap());
    let verify = |signed: &[u8]| -> Ran {
        file("signed", signed);
        let words = "pkeyutl -verify -pubin -inkey host.pem -rawin -in signed -sigfile signature";
        ran(Command::new("openssl").current_dir(scratch.path("")).args(words.split(' ')))
    };
    let mut signed = pae("application/vnd.in-toto+json", &payload(&folder));
    verify(&signed).exits(0);
    signed[100] ^= 1;
    verify(&signed).exits(1);
}

fn imports_are_as_listed() {
    let (_cache, sandbox) = sandbox();
    let mut seen = 0;
    for list in glob(&repository().join("capabilities"), "imports.txt") {
        let listed: Vec<_> = fs::read_to_string(&list).unwrap().lines().map(str::to_owned).collect();
        let crate_name = crate_name(&list.with_file_name("Cargo.toml"));
        let component = sandbox.load(&fs::read(guest(&crate_name)).unwrap()).unwrap();
        assert_eq!(component.imports(), listed, "{} against {}", crate_name, list.display());
        seen += 1;
    }
    // Each capability has a list. A crate that is no component, such as what several capabilities share, has none.
    let is_component = |manifest: &PathBuf| fs::read_to_string(manifest).unwrap().contains("\"cdylib\"");
    let manifests = glob(&repository().join("capabilities"), "Cargo.toml");
    let crates = manifests.iter().filter(|manifest| is_component(manifest)).count();
    assert_eq!(seen, crates, "a capability without an imports.txt");
}

/// A guest that asks nothing of services does not import their interfaces: its import list is its request.
fn imports_are_few() {
    let (_cache, sandbox) = sandbox();
    for (name, ours) in [
        ("guest-echo", [].as_slice()),
        ("guest-reads-service", &["fetch", "types"]),
        ("guest-denied-effect", &["effects", "types"]),
    ] {
        let component = sandbox.load(&fs::read(guest(name)).unwrap()).unwrap();
        let imported: Vec<_> =
            component.imports().iter().filter_map(|name| name.strip_prefix("ops:capability/")).collect();
        let expected: Vec<_> = ours.iter().map(|name| format!("{name}@0.1.0")).collect();
        assert_eq!(imported, expected, "{name}");
        let refused = ["wasi:sockets/", "wasi:http/"];
        let asks = |import: &String| refused.iter().any(|prefix| import.starts_with(prefix));
        assert!(!component.imports().iter().any(asks), "{name}: {:?}", component.imports());
    }
}

/// A workspace in which a plan was made, approved and carried out: two receipts.
pub(crate) fn applied() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("ops/state/outbox")).unwrap();
    scratch.bind("communications-mail-send-test", BINDING);
    let plan = scratch
        .ops(&["cap", "run", "communications.mail.send.test", "--to", "a@example.test"])
        .exits(3)
        .plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    scratch
}

/// The folder of the run that changed something.
pub(crate) fn newest(scratch: &Scratch) -> PathBuf {
    scratch.receipts().pop().unwrap()
}

/// A copy of a receipt's folder that may be damaged, beside a copy of the other receipt's.
fn copy(folder: &Path) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    for receipt in [folder.to_path_buf(), sibling(folder)] {
        let to = place.path().join(receipt.file_name().unwrap());
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(&receipt).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    let copied = place.path().join(folder.file_name().unwrap());
    (place, copied)
}

/// The other receipt's folder.
fn sibling(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().path()).find(|path| path != folder).unwrap()
}

/// Changes the bytes that lie in base64 at a JSON pointer of the bundle.
fn edit(folder: &Path, pointer: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let file = folder.join(BUNDLE);
    let mut bundle: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let field = bundle.pointer_mut(pointer).unwrap();
    let mut bytes = STANDARD.decode(field.as_str().unwrap()).unwrap();
    change(&mut bytes);
    *field = STANDARD.encode(bytes).into();
    fs::write(&file, serde_json::to_vec(&bundle).unwrap()).unwrap();
}

/// The bytes of the Statement that a bundle holds, unchecked.
fn payload(folder: &Path) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(&fs::read(folder.join(BUNDLE)).unwrap()).unwrap();
    STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap()
}

/// The host's key of a workspace, from its state.
fn host_key(scratch: &Scratch) -> HostKey {
    let state = glob(&scratch.path("state"), "host.key");
    assert_eq!(state.len(), 1, "{state:?}");
    HostKey::load_or_create(state[0].parent().unwrap()).unwrap()
}

/// A key that this host never saw.
pub(crate) fn stranger() -> (TempDir, HostKey) {
    let folder = private();
    let key = HostKey::load_or_create(folder.path()).unwrap();
    (folder, key)
}

fn sandbox() -> (TempDir, Sandbox) {
    let cache = private();
    let sandbox = Sandbox::new(cache.path()).unwrap();
    (cache, sandbox)
}

fn private() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// The name in a crate's manifest.
fn crate_name(manifest: &Path) -> String {
    let text = fs::read_to_string(manifest).unwrap();
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
    name.trim_end_matches('"').to_owned()
}

/// Every file of this name in a folder and below.
fn glob(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path {
            path if path.is_dir() => glob(&path, name),
            path if path.file_name().is_some_and(|found| found == name) => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
