//! Tests of runs whose outcome nobody knows: what a person says of them, and who goes on with them.

use super::*;
use crate::receipt::Status;

const CAPABILITY: &str = "infra.vm.provision";

fn key(end: &str) -> String {
    format!("CAP-20261122-014405__{CAPABILITY}__R{end}")
}

fn intend(ledger: &Ledger, run: &str, continues: Option<&str>) -> Result<u64, LedgerError> {
    let intent = NewIntent {
        run,
        capability: CAPABILITY,
        input_digest: &Digest::of(b"input"),
        plan: None,
        approvals: &[],
        bundle: b"intent",
        continues: continues.map(|run| (run, performed(ledger, run))),
        undoes: None,
    };
    let sequence = ledger.intend(&intent, Durability::Soft)?;
    let next = performed(ledger, run) + 1;
    ledger.effect_started(run, next, &Digest::of(b"request"), &[])?;
    Ok(sequence)
}

fn performed(ledger: &Ledger, run: &str) -> u64 {
    progress(ledger, run).iter().filter(|progress| **progress == EffectProgress::Performed).count() as u64
}

fn end(ledger: &Ledger, receipt: &NewReceipt<'_>) -> Result<u64, LedgerError> {
    ledger.commit_receipt(receipt, Durability::Durable, |_| Ok(b"receipt".to_vec()))
}

fn unknown(ledger: &Ledger, run: &str) {
    end(ledger, &NewReceipt { recovery: true, ..NewReceipt::new(run, CAPABILITY, Status::Unknown) }).unwrap();
}

fn resolve(
    ledger: &Ledger,
    run: &str,
    effect: u64,
    outcome: Outcome<'_>,
    by: &str,
) -> Result<u64, LedgerError> {
    let resolves = Some(Resolution { run, effect, outcome });
    end(ledger, &NewReceipt { resolves, ..NewReceipt::new(by, CAPABILITY, Status::Done) })
}

/// A run that performed one effect, started the next, and died.
fn died() -> (tempfile::TempDir, Ledger, String) {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let run = key("a");
    intend(&ledger, &run, None).unwrap();
    ledger.effect_performed(&run, 1, b"answer 1", &[b"read".to_vec(), b"effect 1".to_vec()]).unwrap();
    ledger.effect_started(&run, 2, &Digest::of(b"request 2"), &[b"poll".to_vec()]).unwrap();
    unknown(&ledger, &run);
    (state, ledger, run)
}

fn progress(ledger: &Ledger, run: &str) -> Vec<EffectProgress> {
    ledger.effects(run).unwrap().iter().map(|effect| effect.progress).collect()
}

#[test]
fn an_unknown_run_blocks_its_input_until_every_effect_is_told_of() {
    let (_state, ledger, run) = died();
    assert!(matches!(intend(&ledger, &key("b"), None), Err(LedgerError::Blocked { .. })));
    assert!(resolve(&ledger, &run, 1, Outcome::NotPerformed, &key("r")).is_err(), "it has an answer");
    assert!(resolve(&ledger, &run, 3, Outcome::NotPerformed, &key("r")).is_err(), "it never started");
    resolve(&ledger, &run, 2, Outcome::NotPerformed, &key("r")).unwrap();
    assert!(resolve(&ledger, &run, 2, Outcome::Performed, &key("s")).is_err(), "told of twice");
    assert_eq!(progress(&ledger, &run), [EffectProgress::Performed, EffectProgress::NotPerformed]);
    intend(&ledger, &key("b"), None).unwrap();
    let record = ledger.run(&run).unwrap();
    assert_eq!(record.settled_by, Some(key("b")), "a new run takes its place");
    assert!(intend(&ledger, &key("c"), Some(&run)).is_err(), "and it cannot be resumed after that");
}

#[test]
fn a_run_goes_on_with_what_the_other_has_done() {
    let (_state, ledger, run) = died();
    resolve(&ledger, &run, 2, Outcome::Answered { response: b"answer 2", journal: b"effect 2" }, &key("r"))
        .unwrap();
    let next = key("b");
    intend(&ledger, &next, Some(&run)).unwrap();
    assert_eq!(
        progress(&ledger, &next),
        [EffectProgress::Performed, EffectProgress::Performed, EffectProgress::Started]
    );
    let journal = ledger.journal(&next).unwrap();
    assert_eq!(journal, [&b"read"[..], b"effect 1", b"poll", b"effect 2"]);
    assert_eq!(ledger.journal(&run).unwrap(), Vec::<Vec<u8>>::new());
    ledger.effect_performed(&next, 3, b"answer 3", &[]).unwrap();
    end(&ledger, &NewReceipt::new(&next, CAPABILITY, Status::Done)).unwrap();
    assert_eq!(ledger.journal(&next).unwrap(), Vec::<Vec<u8>>::new(), "its recording has it");
    intend(&ledger, &key("c"), None).unwrap();
}

#[test]
fn only_a_run_with_an_unknown_outcome_is_gone_on_with_and_only_once() {
    let (_state, ledger, run) = died();
    assert!(intend(&ledger, &key("b"), Some(&key("none"))).is_err());
    intend(&ledger, &key("b"), Some(&run)).unwrap();
    assert_eq!(
        progress(&ledger, &key("b")),
        [EffectProgress::Performed, EffectProgress::Started],
        "the doubt stays"
    );
    assert!(intend(&ledger, &key("c"), Some(&run)).is_err(), "twice");
    end(&ledger, &NewReceipt::new(&key("b"), CAPABILITY, Status::Done)).unwrap();
    assert!(intend(&ledger, &key("c"), Some(&key("b"))).is_err(), "its outcome is known");
}

#[test]
fn an_effect_that_happened_without_an_answer_settles_the_run() {
    let (_state, ledger, run) = died();
    let by = key("r");
    let receipt = NewReceipt {
        resolves: Some(Resolution { run: &run, effect: 2, outcome: Outcome::Performed }),
        settles: Some(&run),
        ..NewReceipt::new(&by, CAPABILITY, Status::Partial)
    };
    end(&ledger, &receipt).unwrap();
    let record = ledger.run(&run).unwrap();
    assert_eq!((record.settled_by, record.performed), (Some(by.clone()), 2));
    assert_eq!(ledger.run(&by).unwrap().continues, Some(run.clone()));
    assert!(intend(&ledger, &key("b"), Some(&run)).is_err());
    intend(&ledger, &key("b"), None).unwrap();
}

#[test]
fn runs_are_listed() {
    let (_state, ledger, run) = died();
    end(&ledger, &NewReceipt::new(&key("z"), "a.b", Status::Done)).unwrap();
    let all = ledger.runs(&RunFilter { unknown: false, limit: 10 }).unwrap();
    assert_eq!(all.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [key("z"), run.clone()]);
    // By where they begin in the log: an intent, where there is one.
    intend(&ledger, &key("m"), Some(&run)).unwrap();
    end(&ledger, &NewReceipt::new(&key("n"), "a.b", Status::Done)).unwrap();
    end(&ledger, &NewReceipt::new(&key("m"), CAPABILITY, Status::Unknown)).unwrap();
    let all = ledger.runs(&RunFilter { unknown: false, limit: 3 }).unwrap();
    assert_eq!(all.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [key("n"), key("m"), key("z")]);
    let unknown = ledger.runs(&RunFilter { unknown: true, limit: 10 }).unwrap();
    assert_eq!((unknown.len(), unknown[0].performed, unknown[0].in_doubt.as_slice()), (1, 1, &[2][..]));
    assert_eq!(ledger.run("Ra").unwrap().run, run);
    assert!(matches!(ledger.run("Rq"), Err(LedgerError::NotFound { .. })));
}
