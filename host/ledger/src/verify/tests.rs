use super::*;
use crate::export::{Export, export};
use crate::key::HostKey;
use crate::log::LogKey;
use crate::log::proof::{ReceiptProof, TlogProof};
use crate::receipt::sample;
use crate::receipt::{LedgerPlace, Status};
use crate::statement::{Intent, Statement};
use crate::store::{Durability, Ledger, NewReceipt};

/// A signed receipt in its folder.
struct Signed {
    _home: tempfile::TempDir,
    key: HostKey,
    bundle: Vec<u8>,
    evidence: Vec<u8>,
    statement: Statement<Receipt>,
    folder: PathBuf,
}

fn key() -> HostKey {
    HostKey::load_or_create(crate::scratch().path()).unwrap()
}

fn signed() -> Signed {
    let home = crate::scratch();
    let key = HostKey::load_or_create(home.path()).unwrap();
    let mut receipt = sample::applied();
    let mut evidence = Evidence::new(&receipt.run.id);
    evidence.add_file("output.json", "application/json", b"{\"sent\":true}", Place::Exported).unwrap();
    evidence.add_file("stdout.txt", "text/plain", b"", Place::Exported).unwrap();
    receipt.evidence = evidence.records();
    let evidence = evidence.to_bytes().unwrap();
    let statement = Statement::receipt(&Digest::of(&evidence), receipt);
    let bundle = statement.sign(&key).unwrap();
    let bodies: &[(&str, &[u8])] = &[("output.json", b"{\"sent\":true}"), ("stdout.txt", b"")];
    let what = Export { statement: &statement, bundle: &bundle, evidence: Some(&evidence), bodies };
    let folder = export(&home.path().join("receipts"), &what).unwrap();
    Signed { _home: home, key, bundle, evidence, statement, folder }
}

fn faults(report: &Report) -> Vec<String> {
    report.faults().map(ToString::to_string).collect()
}

#[test]
fn a_good_receipt_is_accepted_with_every_check_named() {
    let good = signed();
    let report = verify_folder(&good.folder, &[key().public(), good.key.public()]);
    assert_eq!(faults(&report), Vec::<String>::new());
    assert!(report.accepted() && report.evidence == EvidenceState::Present);
    assert!(report.checks.iter().all(|check| matches!(check.verdict, Verdict::Passed)));
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "receipt file",
            "bundle",
            "key",
            "signature",
            "predicate type",
            "receipt",
            "folder",
            "receipt.md",
            "subject",
            "evidence.json",
            "evidence list",
            "evidence output.json",
            "evidence stdout.txt"
        ]
    );
    assert_eq!(report.statement.unwrap(), good.statement);
}

/// Whatever a flipped byte does to the file, it never changes what is accepted.
#[test]
fn no_flipped_byte_changes_what_is_accepted() {
    let good = signed();
    for at in (0..good.bundle.len()).step_by(7) {
        for bit in [0x01, 0x20, 0x80] {
            let mut bad = good.bundle.clone();
            bad[at] ^= bit;
            let report = verify_bundle(&bad, Some(&good.evidence), &[good.key.public()]);
            if report.accepted() {
                assert_eq!(report.statement.unwrap(), good.statement, "byte {at}");
            }
        }
    }
}

#[test]
fn a_flipped_byte_is_named() {
    let good = signed();
    let text = String::from_utf8(good.bundle.clone()).unwrap();
    for field in ["\"payload\":\"", "\"sig\":\""] {
        let at = text.find(field).unwrap() + field.len() + 20;
        let mut bad = good.bundle.clone();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let report = verify_bundle(&bad, None, &[good.key.public()]);
        assert!(matches!(report.faults().next(), Some(Fault::Signature(DsseError::Signature))), "{field}");
        assert!(report.statement.is_none(), "a receipt was shown before its signature was good");
    }
}

#[test]
fn another_key_is_named() {
    let good = signed();
    for pinned in [vec![], vec![key().public()]] {
        let report = verify_bundle(&good.bundle, Some(&good.evidence), &pinned);
        assert!(!report.accepted());
        assert!(matches!(report.faults().next(), Some(Fault::UnknownKey(_))), "{:?}", faults(&report));
    }
}

#[test]
fn another_predicate_type_is_named() {
    let good = signed();
    let intent = Statement::intent(Intent {
        ledger: "5e".repeat(16),
        run: good.statement.predicate.run.id.clone(),
        capability: "a.b".into(),
        at: good.statement.predicate.run.started_on,
        plan: good.statement.predicate.run.plan.clone().unwrap(),
        approvals: vec![],
    });
    let mut renamed = good.statement.clone();
    renamed.predicate_type = "https://slsa.dev/provenance/v1".into();
    for bundle in [intent.sign(&good.key).unwrap(), renamed.sign(&good.key).unwrap()] {
        let report = verify_bundle(&bundle, Some(&good.evidence), &[good.key.public()]);
        assert!(!report.accepted());
        assert!(matches!(report.faults().next(), Some(Fault::PredicateType(_))), "{:?}", faults(&report));
    }
}

#[test]
fn a_statement_about_something_else_is_refused() {
    let good = signed();
    let mut two = good.statement.clone();
    two.subject.push(two.subject[0].clone());
    let mut other = good.statement.clone();
    other.subject[0].name = "plan.json".into();
    for statement in [two, other] {
        let report = verify_bundle(&statement.sign(&good.key).unwrap(), None, &[good.key.public()]);
        assert!(matches!(report.faults().next(), Some(Fault::Schema(_))), "{:?}", faults(&report));
    }
}

/// A tool that checks only the signature accepts this; we must not.
#[test]
fn wrong_evidence_is_named() {
    let (good, other) = (signed(), signed());
    let report = verify_bundle(&good.bundle, Some(&other.evidence), &[good.key.public()]);
    assert!(!report.accepted());
    assert!(matches!(report.faults().next(), Some(Fault::WrongEvidence { .. })), "{:?}", faults(&report));
}

#[test]
fn evidence_of_another_run_is_named() {
    let good = signed();
    let evidence = Evidence::new("R-of-another-run").to_bytes().unwrap();
    let statement = Statement::receipt(&Digest::of(&evidence), good.statement.predicate.clone());
    let bundle = statement.sign(&good.key).unwrap();
    let report = verify_bundle(&bundle, Some(&evidence), &[good.key.public()]);
    assert!(matches!(report.faults().next(), Some(Fault::EvidenceList)), "{:?}", faults(&report));
}

#[test]
fn every_change_of_the_folder_is_named() {
    type Change = fn(&Path);
    let cases: [(Change, &str); 8] = [
        (|folder| std::fs::write(folder.join("output.json"), "{\"sent\":null}").unwrap(), "is not the one"),
        (|folder| std::fs::write(folder.join("output.json"), "x".repeat(99)).unwrap(), "is not the one"),
        (|folder| std::fs::remove_file(folder.join("stdout.txt")).unwrap(), "\"stdout.txt\" is missing"),
        (|folder| std::fs::write(folder.join("more.txt"), "").unwrap(), "not part of this receipt"),
        (|folder| std::fs::write(folder.join("evidence.json"), "{}").unwrap(), "is not the file"),
        (
            |folder| std::fs::remove_file(folder.join("evidence.json")).unwrap(),
            "though \"output.json\" is there",
        ),
        (|folder| std::fs::remove_file(folder.join("receipt.sigstore.json")).unwrap(), "cannot open"),
        (
            |folder| {
                std::fs::remove_file(folder.join("output.json")).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", folder.join("output.json")).unwrap();
            },
            "cannot open",
        ),
    ];
    for (change, said) in cases {
        let good = signed();
        change(&good.folder);
        let report = verify_folder(&good.folder, &[good.key.public()]);
        let faults = faults(&report);
        assert!(!report.accepted());
        assert!(faults.iter().any(|fault| fault.contains(said)), "{said:?} is not in {faults:?}");
    }
}

#[test]
fn erased_evidence_is_a_state_and_no_fault() {
    let good = signed();
    for name in ["evidence.json", "output.json", "stdout.txt"] {
        std::fs::remove_file(good.folder.join(name)).unwrap();
    }
    let report = verify_folder(&good.folder, &[good.key.public()]);
    assert_eq!(faults(&report), Vec::<String>::new());
    assert!(report.accepted() && report.evidence == EvidenceState::Erased);
}

/// Nobody signed `receipt.md`, so a changed one must not pass as checked.
#[test]
fn a_changed_page_is_not_vouched_for() {
    let good = signed();
    std::fs::write(good.folder.join("receipt.md"), "# all is well").unwrap();
    let report = verify_folder(&good.folder, &[good.key.public()]);
    let page = report.checks.iter().find(|check| check.name == "receipt.md").unwrap();
    assert!(matches!(page.verdict, Verdict::NotMade(_)));
}

/// A receipt's proof file, and the keys that it is checked with.
fn proven() -> (ReceiptProof, HostKey, LogKey) {
    let home = crate::scratch();
    let host = HostKey::load_or_create(home.path()).unwrap();
    let ledger = Ledger::open(home.path()).unwrap();
    let log = ledger.log_key().unwrap();
    for run in ["CAP-1", "CAP-2", "CAP-3"] {
        let new = NewReceipt::new(run, "a.b", Status::Done);
        let sign = |sequence| {
            let mut receipt = sample::applied();
            receipt.run.id = run.into();
            receipt.ledger = LedgerPlace { id: ledger.ledger_id().into(), intent: None, sequence };
            Statement::receipt(&Digest::of(b""), receipt).sign(&host)
        };
        ledger.commit_receipt(&new, Durability::Soft, sign).unwrap();
    }
    let checkpoint = ledger.checkpoint(&log).unwrap();
    let file = ledger.receipt_proof("CAP-2", &checkpoint).unwrap();
    (file, host, log)
}

fn checked(file: &ReceiptProof, host: &HostKey, log: &LogKey) -> Vec<String> {
    let report = verify_proof(&serde_json::to_vec(file).unwrap(), &[host.public()], Some(log.verifier()));
    assert_eq!(report.accepted(), report.faults().next().is_none());
    faults(&report)
}

#[test]
fn a_proof_holds_offline() {
    let (file, host, log) = proven();
    assert_eq!(checked(&file, &host, &log), Vec::<String>::new());
    let text = serde_json::to_string(&file).unwrap();
    assert!(
        text.starts_with("{\"mediaType\":\"application/vnd.opscap.receipt-proof.v1+json\",\"bundle\":\"")
    );
    let unpinned = verify_proof(text.as_bytes(), &[host.public()], None);
    assert!(!unpinned.accepted(), "no key, and yet accepted");
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let (good, host, log) = proven();
    let (other, other_host, other_log) = proven();
    let cases = [
        (ReceiptProof { media_type: "x".into(), ..good.clone() }, "is not a receipt's proof"),
        (ReceiptProof { bundle: format!("{} ", good.bundle), ..good.clone() }, "of another bundle"),
        (ReceiptProof { leaf: good.leaf.replace("CAP-2", "CAP-1"), ..good.clone() }, "does not lead"),
        (
            ReceiptProof { tlog_proof: good.tlog_proof.replace("index 1", "index 0"), ..good.clone() },
            "does not lead",
        ),
        (
            ReceiptProof { tlog_proof: other.tlog_proof.clone(), ..good.clone() },
            "not a note that the log's key",
        ),
        (ReceiptProof { bundle: other.bundle.clone(), ..good.clone() }, "none of the keys that you trust"),
    ];
    for (file, named) in cases {
        let faults = checked(&file, &host, &log);
        assert!(faults.iter().any(|fault| fault.contains(named)), "{named}: {faults:?}");
    }
    // Everything of the other log is good by itself, and it is not the log that this reader pinned.
    assert_eq!(checked(&other, &other_host, &other_log), Vec::<String>::new());
    assert!(!checked(&other, &other_host, &log).is_empty());
    let report = verify_proof(&vec![b' '; 20 << 20], &[host.public()], Some(log.verifier()));
    assert!(!report.accepted());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, at: usize, flip: u8) {
        let host = key();
        verify_proof(&bytes, &[host.public()], None);
        let mut text = b"c2sp.org/tlog-proof@v1\nindex 1\n\nx\n1\n".to_vec();
        let at = at % text.len();
        text[at] ^= flip;
        if let Ok(text) = String::from_utf8(text) {
            let log = LogKey::load_or_create(crate::scratch().path(), "1").unwrap();
            if let Ok(proof) = TlogProof::parse(&text) {
                proptest::prop_assert!(proof.check(&bytes, log.verifier()).is_err());
            }
        }
    }
}
