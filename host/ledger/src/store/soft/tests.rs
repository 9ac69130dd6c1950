use super::*;
use crate::evidence::{Evidence, Place};
use crate::statement::EVIDENCE_NAME;
use crate::store::sample::Sample;
use crate::verify;

const OUTPUT: &str = "output.json";

/// A receipt whose one body is its run key.
fn soft(run: &str) -> SoftReceipt {
    let mut evidence = Evidence::new(run);
    evidence.add_file(OUTPUT, "application/json", run.as_bytes(), Place::Exported).unwrap();
    let index = evidence.to_bytes().unwrap();
    let mut bodies = Bodies::default();
    bodies.add(OUTPUT, run.as_bytes()).unwrap();
    bodies.add(EVIDENCE_NAME, &index).unwrap();
    let mut receipt = crate::receipt::sample::applied();
    receipt.run.id = run.to_owned();
    receipt.run.status = Status::Done;
    receipt.effects.clear();
    receipt.run.plan = None;
    receipt.evidence = evidence.records();
    SoftReceipt { receipt, evidence: Digest::of(&index), bodies, files: 0 }
}

impl Sample {
    fn soft(&self, run: &str) -> Result<u64, LedgerError> {
        let mut soft = soft(run);
        soft.receipt.ledger.id = self.ledger.ledger_id().to_owned();
        self.ledger.commit_soft(soft, &self.host)
    }

    fn key(&self) -> crate::key::PublicKey {
        self.host.public()
    }
}

#[test]
fn a_receipt_is_signed_and_its_bodies_lie_in_the_same_file() {
    let sample = Sample::new();
    assert_eq!(sample.soft("K1").unwrap(), 1);
    assert_eq!(sample.soft("K2").unwrap(), 2);
    assert_eq!(sample.ledger.durable_commits(), 0);
    assert!(!sample.state.path().join("content").exists());
    let stored = sample.ledger.receipt("K2").unwrap();
    let index = sample.ledger.body("K2", EVIDENCE_NAME).unwrap().unwrap();
    let report = verify::verify_bundle(&stored.bundle, Some(&index), &[sample.key()]);
    assert_eq!(report.faults().count(), 0);
    assert_eq!(report.statement.unwrap().predicate.ledger.sequence, 2);
    assert_eq!(sample.ledger.body("K2", OUTPUT).unwrap().unwrap(), b"K2");
    assert_eq!(sample.ledger.body("K2", "plan.json").unwrap(), None);
    assert_eq!(sample.ledger.body("K3", OUTPUT).unwrap(), None);
    assert!(sample.ledger.body("K2", "../host.key").is_err());
    assert_eq!(sample.check(None).findings, [""; 0]);
}

/// Long bodies are files, and are found there.
#[test]
fn one_reader_for_both_places() {
    let sample = Sample::new();
    let mut soft = soft("R1");
    (soft.bodies, soft.files) = (Bodies::default(), 3);
    crate::content::put(sample.state.path(), "R1", OUTPUT, b"abc", false).unwrap();
    sample.ledger.commit_soft(soft, &sample.host).unwrap();
    assert_eq!(sample.ledger.body("R1", OUTPUT).unwrap().unwrap(), b"abc");
    assert_eq!(sample.ledger.kept_bytes().unwrap(), 3);
}

#[test]
fn receipts_of_many_threads_are_all_there_each_with_its_own_sequence() {
    let sample = Sample::new();
    let mut sequences: Vec<u64> = std::thread::scope(|scope| {
        let commit = |thread: u32| {
            let sample = &sample;
            move || (0..20).map(|run| sample.soft(&format!("R{thread}x{run}")).unwrap()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(commit(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=160).collect::<Vec<_>>());
    for run in ["R0x0", "R7x19"] {
        assert_eq!(sample.ledger.body(run, OUTPUT).unwrap().unwrap(), run.as_bytes());
    }
    assert_eq!(sample.check(None).findings, [""; 0]);
}

/// What is committed together, as one thread finds it in the queue.
fn queued(sample: &Sample, runs: &[&str]) -> Vec<Arc<Waiting>> {
    let waiting = |run: &&str| {
        let mut soft = soft(run);
        soft.receipt.ledger.id = sample.ledger.ledger_id().to_owned();
        Arc::new(Waiting::new(soft).unwrap())
    };
    runs.iter().map(waiting).collect()
}

#[test]
fn one_that_cannot_be_committed_takes_no_other_with_it() {
    let sample = Sample::new();
    sample.soft("R1").unwrap();
    let all = queued(&sample, &["R2", "R1", "R3"]);
    sample.ledger.commit_together(&mut sample.ledger.inner(), &all, &sample.host);
    let done: Vec<_> = all.iter().map(|one| one.take().unwrap()).collect();
    assert!(matches!(done.as_slice(), [Ok(2), Err(LedgerError::RunState { .. }), Ok(3)]), "{done:?}");
    assert_eq!(sample.ledger.size().unwrap(), 3);
    assert_eq!(sample.check(None).findings, [""; 0]);
}

#[test]
fn what_waits_is_committed_by_whoever_comes_next() {
    let sample = Sample::new();
    let left = queued(&sample, &["R1", "R2"]);
    sample.ledger.queue().waiting.extend(left.iter().cloned());
    assert_eq!(sample.soft("R3").unwrap(), 3);
    assert!(left.iter().all(|one| matches!(one.take(), Some(Ok(1 | 2)))));
}

#[test]
fn bodies_are_erased_with_their_row_and_are_nowhere_on_disk() {
    let sample = Sample::new();
    let secret = "R-a-name-that-is-nowhere-else-in-the-file";
    sample.soft(secret).unwrap();
    let body = [OUTPUT.as_bytes(), secret.as_bytes()].concat();
    let is_there = || {
        ["ledger.db", "ledger.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(sample.state.path().join(name)).unwrap();
            bytes.windows(body.len()).any(|window| window == body)
        })
    };
    assert!(is_there());
    sample.ledger.erased(secret).unwrap();
    sample.ledger.empty_log().unwrap();
    assert!(!is_there());
    assert_eq!(sample.ledger.body(secret, OUTPUT).unwrap(), None);
    assert_eq!(sample.ledger.kept_bytes().unwrap(), 0);
    assert_eq!(sample.check(None).findings, [""; 0]);
}

#[test]
fn a_changed_body_is_found() {
    let sample = Sample::new();
    sample.soft("R1").unwrap();
    let other = rusqlite::Connection::open(sample.state.path().join("ledger.db")).unwrap();
    let trigger: String = other
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'kept_stays'", [], |row| row.get(0))
        .unwrap();
    other.execute_batch("DROP TRIGGER kept_stays; UPDATE kept SET bodies = x'ff00'").unwrap();
    other.execute_batch(&trigger).unwrap();
    let findings = sample.check(None).findings;
    assert!(findings.iter().any(|finding| finding.contains("the row 1 of the table kept")), "{findings:?}");
    assert!(matches!(sample.ledger.body("R1", OUTPUT), Err(LedgerError::RunState { .. })));
}

/// A thread that fails while it leads hands the lead on, and nobody waits for it for good.
#[test]
fn a_lead_that_fails_is_handed_on() {
    let sample = Sample::new();
    let all = queued(&sample, &["R1"]);
    sample.ledger.queue().led = true;
    drop(Lead { ledger: &sample.ledger, all: all.clone() });
    assert!(matches!(all[0].take(), Some(Err(LedgerError::RunState { .. }))));
    assert_eq!(sample.soft("R2").unwrap(), 1);
    assert!(!sample.ledger.queue().led);
}
