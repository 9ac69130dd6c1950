//! Plans outside a run: looking at them, approving them, rejecting them; and what a run needs of the ledger.

use std::path::PathBuf;

use jiff::Timestamp;
use ops_ledger::receipt::{ApprovalHow, Approver};
use ops_ledger::statement::{Intent, PlanApproval, Statement};
use ops_ledger::store::{LedgerError, NewIntent, PlanFilter, PlanRecord, PlanStatus};
use ops_policy::digest::Digest;
use ops_policy::message::Input;
use ops_policy::plan::{NAMESPACE, Plan};
use ops_policy::settings::Own;
use serde::Serialize;

use crate::approving::Approved;
use crate::ending::Ending;
use crate::pinned::Pinned;
use crate::run::{Actor, Planned, Run};
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
    /// How many approvals it has.
    pub approvals: usize,
    /// How many it needs.
    pub needed: u32,
    /// Until when it is good, RFC 3339.
    pub expires: String,
    /// The run that made it.
    pub run: String,
}

/// An approval that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who gave it.
    pub principal: String,
    /// Their key.
    pub fingerprint: String,
    /// How many there are now, of how many.
    pub state: String,
}

/// An approval that was refused, with the receipt of the refusal.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub ending: Ending,
    /// Where its receipt was written out.
    pub receipt: Option<PathBuf>,
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
        let mut rows = Vec::new();
        for record in self.ledger().plans(&filter)? {
            let approvals = self.ledger().approvals(&record.id)?.len();
            let needed = self.document(&record.id).map_or(0, |plan| plan.approvals);
            let status = match record.status {
                PlanStatus::Waiting if !record.approvable => "never",
                PlanStatus::Waiting if record.expires <= now => "expired",
                PlanStatus::Waiting if approvals >= needed as usize => "approved",
                PlanStatus::Waiting => "waiting",
                PlanStatus::Applied => "applied",
                PlanStatus::Rejected => "rejected",
                PlanStatus::Superseded => "superseded",
            };
            rows.push(Row {
                approvals,
                needed,
                status: status.to_owned(),
                expires: record.expires.to_string(),
                id: record.id,
                capability: record.capability,
                run: record.run,
            });
        }
        Ok(rows)
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

    fn document(&self, id: &str) -> Result<Plan, Ending> {
        let document = self.ledger().plan_document(id)?;
        Plan::parse(&document).map_err(|error| Ending::denied("plan", format!("plan {id}: {error}")))
    }

    /// The last plan of a capability that was carried out, other than `except`.
    pub fn last_applied(&self, capability: &str, except: &str) -> Option<Plan> {
        let record = self.ledger().last_applied_plan(capability).ok()??;
        (record.id != except).then(|| self.document(&record.id).ok()).flatten()
    }

    /// Puts a plan away for good. Returns its id.
    ///
    /// # Errors
    ///
    /// There is no such plan, or it waits no more.
    pub fn reject(&self, id: &str) -> Result<String, Ending> {
        let record = self.plan_record(id)?;
        self.ledger().set_plan_status(&record.id, PlanStatus::Rejected)?;
        Ok(record.id)
    }

    /// Takes an approval: a signature over the plan's text by an approver of this moment.
    ///
    /// # Errors
    ///
    /// It does not count. The refusal has a receipt.
    pub fn approve(&self, id: &str, signature: &str, actor: &Actor) -> Result<Taken, Refused> {
        let now = Timestamp::now();
        self.take_approval(id, signature, now).map_err(|ending| {
            let receipt = match ending.status {
                Some(_) => self.refusal(id, &ending, actor, now),
                None => None,
            };
            Refused { ending, receipt }
        })
    }

    fn take_approval(&self, id: &str, signature: &str, now: Timestamp) -> Result<Taken, Ending> {
        let record = self.plan_record(id)?;
        let plan = self.document(&record.id)?;
        if digest(plan.hash()) != record.digest {
            return Err(Ending::denied("plan", "the plan's document is not the one that was stored"));
        }
        let pinned = Pinned::load(self.workspace(), now)?;
        let capability = pinned.capability(self.workspace(), &plan.capability)?;
        for (same, what) in [
            (plan.lock == pinned.lock.digest, "ops.lock"),
            (plan.binding == capability.binding_digest, "the binding"),
            (plan.component == capability.component_digest, "the component"),
            (plan.manifest == capability.manifest_digest, "the manifest"),
        ] {
            if !same {
                return Err(Ending::denied(
                    "plan",
                    format!("{what} has changed since plan {} was made; make a new plan", plan.id),
                ));
            }
        }
        if let Some(why) = plan.unapprovable() {
            return Err(Ending::denied("plan", format!("plan {} can never be approved: {why}", plan.id)));
        }
        if record.expires <= now {
            return Err(Ending::denied(
                "plan-expired",
                format!("plan {} expired at {}", plan.id, plan.expires),
            ));
        }
        let text = plan.text_to_sign();
        let approver =
            pinned.approvers.verify(NAMESPACE, text.as_bytes(), signature, now).map_err(|error| {
                Ending::denied("approval", format!("plan {} is not approved: {error}", plan.id))
            })?;
        if pinned.settings.approvals.own == Own::Refused && approver.principal == plan.requester {
            return Err(Ending::denied(
                "approval",
                format!(
                    "{} asked for this plan and may not approve it (ops.yaml: approvals.self)",
                    plan.requester
                ),
            ));
        }
        let approval = PlanApproval {
            ledger: self.ledger_id(),
            plan: plan_ref(&plan),
            how: ApprovalHow::Signed,
            approver: Approver {
                principal: approver.principal.clone(),
                fingerprint: Some(approver.fingerprint.clone()),
                kind: Some(approver.kind.name().to_owned()),
                touch: approver.touch,
                at: now,
            },
            text,
            signature: Some(signature.to_owned()),
        };
        let bundle = Statement::approval(approval.clone()).sign(self.key()).map_err(LedgerError::from)?;
        self.ledger().add_approval(&approval, &bundle)?;
        let held = self.ledger().approvals(&plan.id)?.len();
        Ok(Taken {
            principal: approver.principal,
            fingerprint: approver.fingerprint,
            state: format!("{held} of {}", plan.approvals),
        })
    }

    pub(crate) fn ledger_id(&self) -> String {
        self.ledger().ledger_id().to_owned()
    }
}

impl Run<'_> {
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
        Ok(self.runner.ledger().store_plan(&record, &document, seed, ops_ledger::store::Durability::Soft)?)
    }

    /// One durable commit: the intent, the plan's end, the approvals' end, the start of the first effect.
    pub(crate) fn commit_intent(
        &mut self,
        planned: &Planned,
        approved: &Approved,
        first: Option<Digest>,
    ) -> Result<(), Ending> {
        let plan = &planned.plan;
        if !self.record.stored_plan {
            self.store_plan(plan, &planned.seed)?;
        }
        let approvals: Vec<String> = approved.approvals.iter().map(|approval| approval.id.clone()).collect();
        let intent = Intent {
            ledger: self.runner.ledger_id(),
            run: self.key.clone(),
            capability: self.name.clone(),
            at: Timestamp::now(),
            plan: plan_ref(plan),
            approvals: approvals.clone(),
        };
        let bundle = Statement::intent(intent).sign(self.runner.key()).map_err(LedgerError::from)?;
        let sequence = self.runner.ledger().intend(&NewIntent {
            run: &self.key,
            capability: &self.name,
            input_digest: &digest(input_digest(&plan.input)),
            plan: Some(&plan.id),
            approvals: &approvals,
            bundle: &bundle,
            first_effect: first.map(digest).as_ref(),
        })?;
        self.record.intent = Some(sequence);
        Ok(())
    }
}

/// The same for the same arguments and settings: two runs of it at once could do a thing twice.
pub(crate) fn input_digest(input: &Input) -> Digest {
    Digest::of(format!("{}\n{}", input.arguments, input.config).as_bytes())
}
