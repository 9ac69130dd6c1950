//! Plans outside a run: looking at them; and what a run needs of the ledger.

use std::time::Duration;

use jiff::Timestamp;
use ops_ledger::failpoint;
use ops_ledger::statement::{Intent, Statement};
use ops_ledger::store::{Durability, LedgerError, NewIntent, PlanFilter, PlanRecord, PlanStatus};
use ops_policy::digest::Digest;
use ops_policy::message::Input;
use ops_policy::plan::Plan;
use serde::Serialize;
use tokio::sync::watch;

use crate::approvals;
use crate::approving::Approved;
use crate::ending::Ending;
use crate::run::{Planned, Run};
use crate::runner::Runner;
use crate::statement::{digest, plan_ref};

/// Plans that are listed at most.
const MAX_LISTED: u32 = 1000;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The plan's id.
    pub id: String,
    /// The capability.
    pub capability: String,
    /// `waiting`, `approved`, `expired`, `applied`, `rejected` or `superseded`; `never` for a dry run's plan, which can
    /// never be approved.
    pub status: String,
    /// How many people have approved it, not too long ago.
    pub approvals: u64,
    /// How many it needs, each by another person.
    pub needed: u32,
    /// Until when it is good, RFC 3339.
    pub expires: String,
    /// The run that made it.
    pub run: String,
}

impl Runner {
    /// The plans, newest first.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn plans(&self) -> Result<Vec<Row>, Ending> {
        let filter = PlanFilter { status: None, capability: None, limit: MAX_LISTED };
        let now = Timestamp::now();
        let lifetime = self.approval_lifetime(now);
        self.ledger().plans(&filter)?.into_iter().map(|record| self.row_at(record, lifetime, now)).collect()
    }

    /// One line for a plan.
    pub(crate) fn plan_row(&self, record: PlanRecord, now: Timestamp) -> Result<Row, Ending> {
        self.row_at(record, self.approval_lifetime(now), now)
    }

    fn row_at(&self, record: PlanRecord, lifetime: Duration, now: Timestamp) -> Result<Row, Ending> {
        let plan = self.document(&record.id).ok();
        let approvals = plan.as_ref().map_or(Ok(0), |plan| self.people(plan, lifetime, now))?;
        let needed = plan.map_or(0, |plan| plan.approvals);
        let status = match record.status {
            PlanStatus::Waiting if !record.approvable => "never",
            PlanStatus::Waiting if record.expires <= now => "expired",
            PlanStatus::Waiting if approvals >= u64::from(needed) => "approved",
            PlanStatus::Waiting => "waiting",
            PlanStatus::Applied => "applied",
            PlanStatus::Rejected => "rejected",
            PlanStatus::Superseded => "superseded",
        };
        Ok(Row {
            approvals,
            needed,
            status: status.to_owned(),
            expires: record.expires.to_string(),
            id: record.id,
            capability: record.capability,
            run: record.run,
        })
    }

    /// How long an approval is good.
    fn approval_lifetime(&self, now: Timestamp) -> Duration {
        self.pinned(now).map_or(approvals::LONGEST, |pinned| approvals::lifetime(&pinned.settings))
    }

    /// A plan by its id, or the beginning of it.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn plan(&self, id: &str) -> Result<Plan, Ending> {
        let record = self.plan_record(id)?;
        self.document(&record.id)
    }

    pub(crate) fn plan_record(&self, id: &str) -> Result<PlanRecord, Ending> {
        Ok(self.ledger().plan(id)?)
    }

    pub(crate) fn document(&self, id: &str) -> Result<Plan, Ending> {
        let document = self.ledger().plan_document(id)?;
        if document.is_empty() {
            return Err(Ending::denied(
                "plan",
                format!(
                    "plan {id} was erased after the retention of ops.yaml; its receipts still name its hash"
                ),
            ));
        }
        Plan::parse(&document).map_err(|error| Ending::denied("plan", format!("plan {id}: {error}")))
    }

    /// The last plan of a capability that was carried out, other than `except`.
    pub fn last_applied(&self, capability: &str, except: &str) -> Option<Plan> {
        let record = self.ledger().last_applied_plan(capability).ok()??;
        (record.id != except).then(|| self.document(&record.id).ok()).flatten()
    }

    pub(crate) fn ledger_id(&self) -> String {
        self.ledger().ledger_id().to_owned()
    }
}

impl Run<'_> {
    /// Whether a plan is in the ledger: an intent that was refused may have come that far.
    pub(crate) fn is_stored(&self, plan: &Plan) -> bool {
        self.runner.ledger().plan(&plan.id).is_ok_and(|stored| stored.id == plan.id)
    }

    /// Puts a plan into the ledger. The next durable commit makes it durable.
    pub(crate) fn store_plan(&self, plan: &Plan, seed: &[u8; 32]) -> Result<(), Ending> {
        let document = serde_json::to_vec(plan).map_err(|error| Ending::denied("plan", error.to_string()))?;
        let time = |text: &str| {
            text.parse::<Timestamp>().map_err(|error| Ending::denied("plan", format!("{text}: {error}")))
        };
        let record = PlanRecord {
            id: plan.id.clone(),
            digest: digest(plan.hash()),
            capability: plan.capability.clone(),
            input_digest: digest(input_digest(&plan.input)),
            run: plan.run.clone(),
            created: time(&plan.created)?,
            expires: time(&plan.expires)?,
            status: PlanStatus::Waiting,
            approvable: plan.unapprovable().is_none(),
        };
        Ok(self.runner.ledger().store_plan(&record, &document, seed, Durability::Soft)?)
    }

    /// One commit: the intent, the plan's end, the approvals' end.
    pub(crate) fn commit_intent(&mut self, planned: &Planned, approved: &Approved) -> Result<(), Ending> {
        let plan = &planned.plan;
        failpoint::reach("before-intent");
        if !self.record.stored_plan {
            self.store_plan(plan, &planned.seed)?;
        }
        // Those that the run which this one continues has used up are good for it still.
        let fresh = approved.approvals.iter().filter(|approval| approval.consumed_by.is_none());
        let approvals: Vec<String> = fresh.map(|approval| approval.id.clone()).collect();
        let intent = Intent {
            ledger: self.runner.ledger_id(),
            run: self.key.clone(),
            capability: self.name.clone(),
            at: Timestamp::now(),
            plan: plan_ref(plan),
            approvals: approvals.clone(),
        };
        let bundle = Statement::intent(intent).sign(self.runner.key()).map_err(LedgerError::from)?;
        let digest = digest(input_digest(&plan.input));
        let new = NewIntent {
            run: &self.key,
            capability: &self.name,
            input_digest: &digest,
            plan: Some(&plan.id),
            approvals: &approvals,
            bundle: &bundle,
            continues: self.record.continues.as_deref().map(|run| (run, self.record.before as u64)),
            undoes: plan.undoes.as_deref(),
        };
        // The start of the first effect syncs the intent too; files have no such commit before them.
        let durability =
            if plan.effects.len() > self.record.before { Durability::Soft } else { Durability::Durable };
        let sequence = self.runner.ledger().intend(&new, durability)?;
        failpoint::reach(match self.record.continues {
            Some(_) => "resume-intended",
            None => "intent-committed",
        });
        self.record.intent = Some(sequence);
        if self.role.is_some() {
            // From here a client that goes away changes nothing.
            self.order.cancel = watch::channel(false).1;
        }
        self.record.effects = std::mem::take(&mut self.taken_over);
        Ok(())
    }
}

/// The same for the same arguments and settings: two runs of it at once could do a thing twice.
pub(crate) fn input_digest(input: &Input) -> Digest {
    Digest::of(format!("{}\n{}", input.arguments, input.config).as_bytes())
}
