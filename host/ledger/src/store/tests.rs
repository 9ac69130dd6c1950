use std::os::unix::fs::PermissionsExt;

use std::time::Duration;

use super::*;
use crate::digest::Digest;
use crate::receipt::{Approver, PlanRef};
use crate::runlock::RunLock;
use crate::statement::PlanApproval;

const CAPABILITY: &str = "communications.mail.send.test";

fn key(end: &str) -> String {
    format!("CAP-20261122-014405__{CAPABILITY}__R{end}")
}

fn input() -> Digest {
    Digest::of(b"input")
}

fn plan(id: &str) -> PlanRecord {
    PlanRecord {
        id: id.into(),
        digest: Digest::of(id.as_bytes()),
        capability: CAPABILITY.into(),
        input_digest: input(),
        run: key("planner"),
        created: "2026-11-22T01:44:05Z".parse().unwrap(),
        expires: "2026-11-23T01:44:05Z".parse().unwrap(),
        status: PlanStatus::Waiting,
        approvable: true,
    }
}

fn store(ledger: &Ledger, id: &str) -> PlanRecord {
    let plan = plan(id);
    ledger.store_plan(&plan, b"{}", b"seed", Durability::Durable).unwrap();
    plan
}

fn approve(ledger: &Ledger, plan: &str) -> Result<String, LedgerError> {
    let approval = PlanApproval {
        ledger: ledger.ledger_id().into(),
        plan: PlanRef { id: plan.into(), digest: Digest::of(plan.as_bytes()) },
        how: ApprovalHow::Signed,
        approver: Approver {
            principal: "alice".into(),
            fingerprint: Some("SHA256:x".into()),
            kind: Some("ssh-ed25519".into()),
            touch: true,
            at: "2026-11-22T01:45:00Z".parse().unwrap(),
        },
        text: "ops-plan v1".into(),
        signature: Some("armour".into()),
    };
    ledger.add_approval(&approval, b"approval bundle")
}

fn intend(ledger: &Ledger, run: &str, plan: Option<&str>, approvals: &[String]) -> Result<u64, LedgerError> {
    let intent = NewIntent {
        run,
        capability: CAPABILITY,
        input_digest: &input(),
        plan,
        approvals,
        bundle: b"intent bundle",
        continues: None,
        undoes: None,
    };
    let sequence = ledger.intend(&intent, Durability::Soft)?;
    let next = ledger.effects(run)?.len() as u64 + 1;
    ledger.effect_started(run, next, &Digest::of(b"request"), &[])?;
    Ok(sequence)
}

fn end(ledger: &Ledger, run: &str, status: Status, settles: Option<&str>) -> Result<u64, LedgerError> {
    let receipt = NewReceipt { settles, ..NewReceipt::new(run, CAPABILITY, status) };
    let bundle = format!("receipt of {run}");
    ledger.commit_receipt(&receipt, Durability::Durable, |_| Ok(bundle.into_bytes()))
}

#[test]
fn a_ledger_keeps_its_id_and_is_private() {
    let state = crate::scratch();
    let id = Ledger::open(state.path()).unwrap().ledger_id().to_owned();
    assert_eq!(id.len(), 32);
    let ledger = Ledger::open(state.path()).unwrap();
    assert_eq!(ledger.ledger_id(), id);
    store(&ledger, "p1");
    for entry in std::fs::read_dir(state.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn processes_that_open_at_once_agree() {
    let state = crate::scratch();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Ledger::open(state.path()).unwrap().ledger_id().to_owned()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_is_no_ledger_of_ours_is_refused() {
    let state = crate::scratch();
    let path = state.path().join("ledger.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other(x)").unwrap();
    crate::private::set_private(&path).unwrap();
    assert!(matches!(Ledger::open(state.path()), Err(LedgerError::Foreign { .. })));

    std::fs::write(&path, "not a database at all, but long enough to be looked at".repeat(20)).unwrap();
    assert!(matches!(Ledger::open(state.path()), Err(LedgerError::Sqlite(_))));

    std::fs::remove_file(&path).unwrap();
    drop(Ledger::open(state.path()).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Ledger::open(state.path()), Err(LedgerError::File(_))));

    crate::private::set_private(&path).unwrap();
    let newer = Connection::open(&path).unwrap();
    newer.execute_batch("UPDATE meta SET value = '9' WHERE key = 'schema'").unwrap();
    assert!(matches!(Ledger::open(state.path()), Err(LedgerError::Foreign { .. })));

    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Ledger::open(state.path()), Err(LedgerError::File(_))));
}

#[test]
fn plans_are_found_by_a_unique_beginning() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let first = store(&ledger, "ab12");
    store(&ledger, "ab34");
    store(&ledger, "ab3");
    assert_eq!(ledger.plan("ab1").unwrap(), first);
    assert_eq!(ledger.plan("ab3").unwrap().id, "ab3", "a whole id is not ambiguous");
    assert!(matches!(ledger.plan("ab"), Err(LedgerError::Ambiguous { .. })));
    for missing in ["x", "ab35", "%", "ab_2"] {
        assert!(matches!(ledger.plan(missing), Err(LedgerError::NotFound { .. })), "{missing}");
    }
    assert!(ledger.plan("").is_err());
    assert_eq!(ledger.plan_document("ab12").unwrap(), b"{}");
    assert_eq!(ledger.plan_secret("ab12").unwrap().as_slice(), b"seed");

    ledger.set_plan_status("ab34", PlanStatus::Rejected).unwrap();
    let filter = PlanFilter { status: Some(PlanStatus::Waiting), capability: None, limit: 10 };
    let waiting: Vec<String> = ledger.plans(&filter).unwrap().into_iter().map(|plan| plan.id).collect();
    assert_eq!(waiting, ["ab3", "ab12"]);
}

#[test]
fn only_waiting_plans_change_their_status() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    store(&ledger, "p1");
    assert!(ledger.set_plan_status("p1", PlanStatus::Applied).is_err(), "only an intent takes a plan up");
    ledger.set_plan_status("p1", PlanStatus::Rejected).unwrap();
    for status in [PlanStatus::Waiting, PlanStatus::Superseded, PlanStatus::Rejected] {
        let refused = ledger.set_plan_status("p1", status);
        assert!(matches!(refused, Err(LedgerError::PlanNotWaiting { .. })), "{status:?}");
    }
    assert!(matches!(approve(&ledger, "p1"), Err(LedgerError::PlanNotWaiting { .. })));
}

#[test]
fn an_approval_is_used_once() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    store(&ledger, "p1");
    store(&ledger, "p2");
    let approvals = [approve(&ledger, "p1").unwrap()];
    let elsewhere = intend(&ledger, &key("a"), Some("p2"), &approvals);
    assert!(matches!(elsewhere, Err(LedgerError::ApprovalElsewhere { .. })));
    assert_eq!(ledger.plan("p2").unwrap().status, PlanStatus::Waiting, "a refused intent changed something");

    intend(&ledger, &key("a"), Some("p1"), &approvals).unwrap();
    assert_eq!(ledger.approvals("p1").unwrap()[0].consumed_by, Some(key("a")));
    end(&ledger, &key("a"), Status::Done, None).unwrap();
    let again = intend(&ledger, &key("b"), Some("p1"), &approvals);
    assert!(matches!(again, Err(LedgerError::PlanNotWaiting { .. })));
    let twice = ledger.write(Durability::Soft, |transaction| {
        approvals::consume(transaction, &approvals[0], Some("p1"), &key("b"))
    });
    assert!(matches!(twice, Err(LedgerError::ApprovalUsed { .. })));
}

#[test]
fn two_processes_cannot_take_up_one_plan() {
    let state = crate::scratch();
    store(&Ledger::open(state.path()).unwrap(), "p1");
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let path = state.path();
                scope.spawn(move || {
                    let ledger = Ledger::open(path).unwrap();
                    usize::from(intend(&ledger, &key(&number.to_string()), Some("p1"), &[]).is_ok())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1);
}

#[test]
fn what_can_never_be_approved_is_neither_approved_nor_applied() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let dry = PlanRecord { approvable: false, ..plan("dry") };
    ledger.store_plan(&dry, b"{}", b"", Durability::Soft).unwrap();
    assert!(matches!(approve(&ledger, "dry"), Err(LedgerError::PlanNotApprovable { .. })));
    let applied = intend(&ledger, &key("a"), Some("dry"), &[]);
    assert!(matches!(applied, Err(LedgerError::PlanNotApprovable { .. })));
}

#[test]
fn a_run_with_n_effects_waits_n_plus_one_times() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let run = key("a");
    intend(&ledger, &run, None, &[]).unwrap();
    for number in 1..=3 {
        if number > 1 {
            ledger.effect_started(&run, number, &Digest::of(b"request"), &[]).unwrap();
        }
        ledger.effect_performed(&run, number, b"answer", &[]).unwrap();
    }
    end(&ledger, &run, Status::Done, None).unwrap();
    assert_eq!(ledger.durable_commits(), 4);
    assert!(ledger.effects(&run).unwrap().iter().all(|effect| effect.progress == EffectProgress::Performed));

    let other = key("b");
    let read = NewReceipt::new(&other, "a.b", Status::Done);
    let due = || ledger.wait_unsynced(Duration::ZERO);
    due();
    assert!(!due(), "what was taken note of is not due again");
    ledger.commit_receipt(&read, Durability::Soft, |_| Ok(b"receipt".to_vec())).unwrap();
    assert!(due());
    assert_eq!(ledger.durable_commits(), 4, "a read-only run waited for the disk");
    ledger.sync().unwrap();
}

#[test]
fn effects_go_in_order() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let (run, request) = (key("a"), Digest::of(b"request"));
    assert!(ledger.effect_started(&run, 1, &request, &[]).is_err(), "an effect without an intent");
    intend(&ledger, &run, None, &[]).unwrap();
    assert!(ledger.effect_started(&run, 2, &request, &[]).is_err(), "the first has no answer");
    assert!(ledger.effect_performed(&run, 2, b"", &[]).is_err(), "never started");
    ledger.effect_performed(&run, 1, b"answer", &[]).unwrap();
    assert!(ledger.effect_performed(&run, 1, b"other", &[]).is_err(), "performed twice");
    assert!(ledger.effect_started(&run, 3, &request, &[]).is_err(), "a number was left out");
    ledger.effect_started(&run, 2, &request, &[]).unwrap();
    end(&ledger, &run, Status::Unknown, None).unwrap();
    assert!(ledger.effect_performed(&run, 2, b"", &[]).is_err(), "after the receipt");
}

/// The process dies after its intent: the next one finds the run, and the same input is blocked until it is settled.
#[test]
fn a_crash_leaves_a_dangling_run_that_blocks() {
    let state = crate::scratch();
    let run = key("a");
    {
        let ledger = Ledger::open(state.path()).unwrap();
        let lock = RunLock::hold(state.path(), &run).unwrap();
        store(&ledger, "p1");
        intend(&ledger, &run, Some("p1"), &[]).unwrap();
        assert_eq!(ledger.dangling().unwrap(), [], "a living run is not dangling");
        assert_eq!(ledger.blocked_by(CAPABILITY, &input()).unwrap(), Some(run.clone()));
        drop(lock);
    }
    let ledger = Ledger::open(state.path()).unwrap();
    let dangling = ledger.dangling().unwrap();
    assert_eq!((dangling.len(), &dangling[0].run, dangling[0].plan.as_deref()), (1, &run, Some("p1")));
    let effects = ledger.effects(&run).unwrap();
    assert!(effects.len() == 1 && effects[0].progress == EffectProgress::Started, "{effects:?}");
    assert!(
        matches!(intend(&ledger, &key("b"), None, &[]), Err(LedgerError::Blocked { run: by }) if by == run)
    );
    assert_eq!(ledger.blocked_by(CAPABILITY, &Digest::of(b"other")).unwrap(), None);

    end(&ledger, &run, Status::Unknown, None).unwrap();
    assert_eq!(ledger.dangling().unwrap(), []);
    assert!(matches!(end(&ledger, &run, Status::Done, None), Err(LedgerError::RunState { .. })));
    assert_eq!(
        ledger.blocked_by(CAPABILITY, &input()).unwrap(),
        Some(run.clone()),
        "a receipt alone settles nothing"
    );

    end(&ledger, &key("c"), Status::Done, Some(&run)).unwrap();
    assert_eq!(ledger.blocked_by(CAPABILITY, &input()).unwrap(), None);
    assert!(end(&ledger, &key("d"), Status::Done, Some(&run)).is_err(), "settled twice");
    assert!(end(&ledger, &key("d"), Status::Done, Some(&key("c"))).is_err(), "there was nothing to settle");
    intend(&ledger, &key("b"), None, &[]).unwrap();
}

#[test]
fn a_failed_step_leaves_nothing_behind() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let run = key("a");
    let receipt = NewReceipt::new(&run, CAPABILITY, Status::Done);
    let value = serde_json::from_str::<u8>("x").unwrap_err();
    let failed = ledger.commit_receipt(&receipt, Durability::Durable, |_| Err(StatementError::Value(value)));
    assert!(matches!(failed, Err(LedgerError::Statement(_))));
    assert!(matches!(ledger.receipt(&key("a")), Err(LedgerError::NotFound { .. })));
    assert_eq!(end(&ledger, &key("a"), Status::Done, None).unwrap(), 1, "a sequence was used up");
}

#[test]
fn receipts_know_their_sequence_and_are_found() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    for (number, end) in ["aaa", "aab"].iter().enumerate() {
        let run = key(end);
        let receipt = NewReceipt::new(&run, CAPABILITY, Status::Denied);
        let sign = |sequence: u64| Ok(sequence.to_string().into_bytes());
        let sequence = ledger.commit_receipt(&receipt, Durability::Soft, sign).unwrap();
        assert_eq!(sequence, number as u64 + 1);
        let stored = ledger.receipt(&key(end)).unwrap();
        assert_eq!(stored.bundle, sequence.to_string().as_bytes());
        assert_eq!(stored.summary.sequence, sequence);
    }
    assert_eq!(ledger.receipt("Raaa").unwrap().summary.run, key("aaa"));
    assert!(matches!(ledger.receipt("CAP-2026"), Err(LedgerError::Ambiguous { .. })));
    assert!(matches!(ledger.receipt("Raa"), Err(LedgerError::Ambiguous { .. })));
    assert!(matches!(ledger.receipt("Rx"), Err(LedgerError::NotFound { .. })));

    let all = ReceiptFilter { capability: None, status: None, limit: 1 };
    assert_eq!(ledger.receipts(&all).unwrap()[0].run, key("aab"), "the newest comes first");
    let done = ReceiptFilter { capability: None, status: Some(Status::Done), limit: 10 };
    assert_eq!(ledger.receipts(&done).unwrap(), []);
}

#[test]
fn the_last_applied_plan_is_the_last_that_changed_something() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    assert_eq!(ledger.last_applied_plan(CAPABILITY).unwrap(), None);
    for (id, status) in [("p1", Status::Done), ("p2", Status::Partial), ("p3", Status::Stale)] {
        store(&ledger, id);
        intend(&ledger, &key(id), Some(id), &[]).unwrap();
        end(&ledger, &key(id), status, None).unwrap();
    }
    assert_eq!(ledger.last_applied_plan(CAPABILITY).unwrap().unwrap().id, "p2");
    ledger.set_plan_status("p3", PlanStatus::Superseded).unwrap();
}

/// What our own statements must never be able to do.
#[test]
fn what_was_written_stays_written() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    store(&ledger, "p1");
    let approvals = [approve(&ledger, "p1").unwrap()];
    intend(&ledger, &key("a"), Some("p1"), &approvals).unwrap();
    ledger.effect_performed(&key("a"), 1, b"answer", &[]).unwrap();
    let run = key("a");
    let receipt = NewReceipt { kept: 1, ..NewReceipt::new(&run, CAPABILITY, Status::Done) };
    ledger.commit_receipt(&receipt, Durability::Durable, |_| Ok(b"receipt".to_vec())).unwrap();
    let other = Connection::open(state.path().join("ledger.db")).unwrap();
    for statement in [
        "UPDATE entries SET envelope = x'00'",
        "DELETE FROM entries",
        "DELETE FROM entries WHERE sequence = 3",
        "INSERT OR REPLACE INTO entries SELECT 1, 'receipt', run, at, x'00', digest FROM entries WHERE sequence = 1",
        "INSERT INTO entries SELECT 9, kind, run, at, envelope, digest FROM entries WHERE sequence = 1",
        "UPDATE plans SET digest = 'x'",
        "UPDATE plans SET approvable = 0",
        "DELETE FROM plans",
        "UPDATE approvals SET consumed_by = NULL",
        "UPDATE approvals SET principal = 'bob'",
        "DELETE FROM approvals",
        "UPDATE runs SET receipt = NULL",
        "UPDATE runs SET status = 'failed'",
        "UPDATE runs SET intent = NULL",
        "DELETE FROM runs",
        "UPDATE effects SET state = 'started'",
        "UPDATE effects SET response = x'00'",
        "UPDATE effects SET request_digest = 'x'",
        "DELETE FROM effects",
    ] {
        assert!(other.execute_batch(statement).is_err(), "{statement}");
    }
}

#[test]
fn damage_on_disk_is_noticed() {
    let state = crate::scratch();
    let ledger = Ledger::open(state.path()).unwrap();
    let run = key("a");
    let receipt = NewReceipt { kept: 1, ..NewReceipt::new(&run, CAPABILITY, Status::Done) };
    ledger.commit_receipt(&receipt, Durability::Durable, |_| Ok(b"receipt".to_vec())).unwrap();
    let other = Connection::open(state.path().join("ledger.db")).unwrap();
    other.execute_batch("DROP TRIGGER entries_stay; UPDATE entries SET envelope = x'00'").unwrap();
    assert!(matches!(ledger.receipt(&key("a")), Err(LedgerError::RunState { .. })));
}

/// A ledger has as many runs as it has receipts: what is asked for each plan, or typed all day, must not cost a look at all.
#[test]
fn no_question_looks_at_all_runs() {
    for query in [
        listing::newest(),
        listing::of_plan(),
        plans::LAST_APPLIED.to_owned(),
        approvals::RESUMABLE.to_owned(),
        check::PLANS.to_owned(),
    ] {
        let steps = sample::steps(&query);
        let is_costly = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN runs");
        assert!(!steps.is_empty() && !steps.iter().any(is_costly), "{query}\n{steps:?}");
    }
}
