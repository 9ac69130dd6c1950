//! A ledger for tests, with entries of every kind, each signed as the host signs it.

use tempfile::TempDir;

use super::*;
use crate::key::HostKey;
use crate::log::{Checkpoint, LogKey};
use crate::receipt::{Approver, EffectOutcome, LedgerPlace, PlanRef, Receipt, sample};
use crate::statement::{Intent, PlanApproval, Statement};

const CAPABILITY: &str = "communications.mail.send.test";

/// Entries that [`Sample::round`] adds.
pub(crate) const ROUND: u64 = 8;

/// What SQLite does for a query.
pub(super) fn steps(query: &str) -> Vec<String> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(connect::SCHEMA).unwrap();
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let values = rusqlite::params_from_iter((0..plan.parameter_count()).map(|_| 1));
    plan.query_map(values, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A ledger with its keys.
pub(crate) struct Sample {
    pub(crate) state: TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) host: HostKey,
    pub(crate) log: LogKey,
}

/// What a run of the sample is to end as.
struct End {
    run: String,
    status: Status,
    plan: Option<PlanRef>,
    effect: Option<EffectOutcome>,
    recovery: bool,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let state = crate::scratch();
        let ledger = Ledger::open(state.path()).unwrap();
        let host = HostKey::load_or_create(state.path()).unwrap();
        let log = ledger.log_key().unwrap();
        Self { state, ledger, host, log }
    }

    /// A ledger with so many rounds, a checkpoint after each, and its tiles beside it.
    pub(crate) fn with_rounds(rounds: u64) -> Self {
        let sample = Self::new();
        for number in 0..rounds {
            sample.round(number);
            sample.ledger.checkpoint(&sample.log).unwrap();
        }
        sample.publish();
        sample
    }

    pub(crate) fn tiles(&self) -> PathBuf {
        self.state.path().join("tiles")
    }

    pub(crate) fn publish(&self) -> Checkpoint {
        let checkpoint = self.ledger.checkpoint(&self.log).unwrap();
        self.ledger.write_tiles(&self.tiles(), &checkpoint, false).unwrap();
        checkpoint
    }

    pub(crate) fn check(&self, since: Option<&Checkpoint>) -> Checked {
        check(&self.ledger, &self.host, &self.log, since, &self.tiles())
    }

    /// One of everything: a read, a refusal, a plan that is approved and carried out, and a run that died.
    pub(crate) fn round(&self, number: u64) {
        let key = |name: &str| format!("CAP-20261122-{number:06}__{CAPABILITY}__R{name}");
        let done = |run, status| End { run, status, plan: None, effect: None, recovery: false };
        self.end(&done(key("read"), Status::Done));
        self.end(&done(key("denied"), Status::Denied));

        let plan = self.plan(&format!("p{number}"), &key("planner"), number);
        self.end(&End { plan: Some(plan.clone()), ..done(key("planner"), Status::Planned) });
        let approval = self.approve(&plan);
        self.intend(&key("apply"), &plan, &[approval], number);
        self.ledger.effect_performed(&key("apply"), 1, b"{\"status\":200}", &[]).unwrap();
        let effect = Some(EffectOutcome::Performed);
        self.end(&End { plan: Some(plan), effect, ..done(key("apply"), Status::Done) });

        let lost = PlanRef { id: format!("q{number}"), digest: Digest::of(b"never stored") };
        self.intend(&key("lost"), &lost, &[], number + 1_000_000);
        let effect = Some(EffectOutcome::Started);
        self.end(&End { effect, recovery: true, ..done(key("lost"), Status::Unknown) });
    }

    fn plan(&self, id: &str, run: &str, number: u64) -> PlanRef {
        let document = format!("{{\"plan\":{number}}}");
        let record = PlanRecord {
            id: id.into(),
            digest: Digest::of(document.as_bytes()),
            capability: CAPABILITY.into(),
            input_digest: Digest::of(&number.to_be_bytes()),
            run: run.into(),
            created: "2026-11-22T01:44:05Z".parse().unwrap(),
            expires: "2026-11-23T01:44:05Z".parse().unwrap(),
            status: PlanStatus::Waiting,
            approvable: true,
        };
        self.ledger.store_plan(&record, document.as_bytes(), b"seed", Durability::Soft).unwrap();
        PlanRef { id: id.into(), digest: record.digest }
    }

    fn approve(&self, plan: &PlanRef) -> String {
        let approval = PlanApproval {
            ledger: self.ledger.ledger_id().into(),
            plan: plan.clone(),
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
        let bundle = Statement::approval(approval.clone()).sign(&self.host).unwrap();
        self.ledger.add_approval(&approval, &bundle).unwrap()
    }

    fn intend(&self, run: &str, plan: &PlanRef, approvals: &[String], input: u64) {
        let intent = Intent {
            ledger: self.ledger.ledger_id().into(),
            run: run.into(),
            capability: CAPABILITY.into(),
            at: "2026-11-22T01:46:00Z".parse().unwrap(),
            plan: plan.clone(),
            approvals: approvals.to_vec(),
        };
        let bundle = Statement::intent(intent).sign(&self.host).unwrap();
        let new = NewIntent {
            run,
            capability: CAPABILITY,
            input_digest: &Digest::of(&input.to_be_bytes()),
            plan: (!approvals.is_empty()).then_some(plan.id.as_str()),
            approvals,
            bundle: &bundle,
            continues: None,
            undoes: None,
        };
        self.ledger.intend(&new, Durability::Soft).unwrap();
        self.ledger.effect_started(run, 1, &Digest::of(b"request 1"), &[]).unwrap();
    }

    fn end(&self, end: &End) {
        let new = NewReceipt { recovery: end.recovery, ..NewReceipt::new(&end.run, CAPABILITY, end.status) };
        let sign = |sequence| {
            Statement::receipt(&Digest::of(end.run.as_bytes()), self.receipt(end, sequence)).sign(&self.host)
        };
        self.ledger.commit_receipt(&new, Durability::Soft, sign).unwrap();
    }

    fn receipt(&self, end: &End, sequence: u64) -> Receipt {
        let mut receipt = sample::applied();
        receipt.run.id.clone_from(&end.run);
        receipt.run.status = end.status;
        receipt.run.plan.clone_from(&end.plan);
        receipt.effects.truncate(usize::from(end.effect.is_some()));
        for effect in &mut receipt.effects {
            effect.outcome = end.effect.unwrap();
        }
        let id = self.ledger.ledger_id().to_owned();
        receipt.ledger = LedgerPlace { id, intent: None, sequence };
        receipt
    }
}

/// Checks a ledger of the sample.
pub(crate) fn check(
    ledger: &Ledger,
    host: &HostKey,
    log: &LogKey,
    since: Option<&Checkpoint>,
    tiles: &Path,
) -> Checked {
    ledger.check(&Against {
        host: &host.public(),
        log: Some(log.verifier()),
        since,
        tiles,
        plan_digest: &|document| Some(Digest::of(document)),
    })
}
