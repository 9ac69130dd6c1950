//! Taking approvals from people, and refusing them. A refusal has a receipt, like every exit 4.
//!
//! Order of checks: the plan is the one that was stored; the lock, the binding, the component and the manifest are what
//! it rests on; it may be approved, and is still good; the binding takes signatures; the signature is by an approver
//! of this moment, who may approve it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ops_ledger::receipt::{ApprovalHow, Approver};
use ops_ledger::runlock::RunLock;
use ops_ledger::statement::{PlanApproval, Statement};
use ops_ledger::store::{LedgerError, PlanStatus};
use ops_policy::approval::Accept;
use ops_policy::plan::{NAMESPACE, Plan};
use ops_policy::settings::{Own, Settings};
use tokio::sync::watch;

use crate::ending::Ending;
use crate::key::run_key;
use crate::pinned::{Capability, Pinned};
use crate::record::Record;
use crate::run::{Actor, Cause, Order, Run, What};
use crate::runner::Runner;
use crate::statement::{digest, plan_ref};

/// An approval that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The plan.
    pub plan: String,
    /// Who gave it.
    pub principal: String,
    /// Their key.
    pub fingerprint: String,
    /// How many people have approved now, of how many.
    pub state: String,
}

/// An approval or a rejection that was refused, with the receipt of that.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub ending: Ending,
    /// Where its receipt was written out. None for wrong usage.
    pub receipt: Option<PathBuf>,
}

/// A yes to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The text that was signed.
    pub text: String,
    /// The armoured SSH signature over it.
    pub signature: String,
}

/// Signs a plan's text, which is the second argument, or brings one that was signed elsewhere. `Err` is wrong usage,
/// for people.
pub type Sign<'a> = &'a dyn Fn(&Plan, String) -> Result<Signed, String>;

impl Runner {
    /// Takes an approval: a signature over the plan's text by an approver of this moment.
    ///
    /// # Errors
    ///
    /// It does not count. The refusal has a receipt.
    pub fn approve(&self, id: &str, sign: Sign<'_>, actor: &Actor) -> Result<Taken, Refused> {
        let now = Timestamp::now();
        self.take_approval(id, sign, now).map_err(|ending| self.refused(id, ending, actor, now))
    }

    /// Puts a plan away for good. Returns its id.
    ///
    /// # Errors
    ///
    /// There is no such plan, or it waits no more; that has a receipt.
    pub fn reject(&self, id: &str, actor: &Actor) -> Result<String, Refused> {
        let now = Timestamp::now();
        let put_away = || {
            let record = self.plan_record(id)?;
            self.ledger().set_plan_status(&record.id, PlanStatus::Rejected)?;
            Ok(record.id)
        };
        put_away().map_err(|ending| self.refused(id, ending, actor, now))
    }

    fn take_approval(&self, id: &str, sign: Sign<'_>, now: Timestamp) -> Result<Taken, Ending> {
        let record = self.plan_record(id)?;
        let plan = self.document(&record.id)?;
        if digest(plan.hash()) != record.digest {
            return Err(Ending::denied("plan", "the plan's document is not the one that was stored"));
        }
        let resumable = self.is_resumable_plan(&record.id)?;
        if record.status != PlanStatus::Waiting && !resumable {
            return Err(LedgerError::PlanNotWaiting { plan: record.id, status: record.status }.into());
        }
        let pinned = self.pinned(now)?;
        let capability = pinned.capability(self.workspace(), &plan.capability)?;
        pinned.component_bytes(self.workspace(), &capability.binding.component)?;
        check_grounds(&plan, &pinned, &capability)?;
        if let Some(why) = plan.unapprovable() {
            return Err(Ending::denied("plan", format!("plan {} can never be approved: {why}", plan.id)));
        }
        if record.expires <= now && !resumable {
            return Err(Ending::denied(
                "plan-expired",
                format!("plan {} expired at {}", plan.id, plan.expires),
            ));
        }
        if plan.undoes.is_none() {
            check_signed(&capability)?;
        }
        let signed = sign(&plan, text_to_sign(&plan, &pinned.settings, now)).map_err(Ending::usage)?;
        let approval = self.verified(&plan, &pinned, signed, now)?;
        let bundle = Statement::approval(approval.clone()).sign(self.key()).map_err(LedgerError::from)?;
        self.ledger().add_approval(&approval, &bundle)?;
        Ok(Taken {
            state: format!("{} of {}", self.people(&plan, lifetime(&pinned.settings), now)?, plan.approvals),
            plan: plan.id,
            principal: approval.approver.principal,
            fingerprint: approval.approver.fingerprint.unwrap_or_default(),
        })
    }

    /// What an approver signs now for a plan: a yes that is good for as long as `ops.yaml` lets an approval be.
    ///
    /// # Errors
    ///
    /// The lock does not hold.
    pub fn text_to_sign(&self, plan: &Plan) -> Result<String, Ending> {
        let now = Timestamp::now();
        Ok(text_to_sign(plan, &self.pinned(now)?.settings, now))
    }

    /// The approval behind a signature.
    fn verified(
        &self,
        plan: &Plan,
        pinned: &Pinned,
        signed: Signed,
        now: Timestamp,
    ) -> Result<PlanApproval, Ending> {
        let Signed { text, signature } = signed;
        let refuse = |why: &dyn std::fmt::Display| {
            Ending::denied("approval", format!("plan {} is not approved: {why}", plan.id))
        };
        let until = good_until(plan, &text, now).map_err(|why| refuse(&why))?;
        if until > end(now, lifetime(&pinned.settings)) {
            return Err(refuse(&format_args!(
                "what was signed is good until {until}, which is longer than ops.yaml lets an approval be good; \
                 export the plan again and sign that"
            )));
        }
        let approver = pinned
            .approvers
            .verify(NAMESPACE, text.as_bytes(), &signature, now)
            .map_err(|error| refuse(&error))?;
        if pinned.settings.approvals.own == Own::Refused && approver.principal == plan.requester {
            let who = &plan.requester;
            return Err(Ending::denied(
                "approval",
                format!("{who} asked for this plan and may not approve it (ops.yaml: approvals.self)"),
            ));
        }
        Ok(PlanApproval {
            ledger: self.ledger_id(),
            plan: plan_ref(plan),
            how: ApprovalHow::Signed,
            approver: Approver {
                principal: approver.principal,
                fingerprint: Some(approver.fingerprint),
                kind: Some(approver.kind.name().to_owned()),
                touch: approver.touch,
                at: now,
            },
            text,
            signature: Some(signature),
        })
    }

    /// How many people have approved a plan, not longer ago than `lifetime`.
    pub(crate) fn people(&self, plan: &Plan, lifetime: Duration, now: Timestamp) -> Result<u64, Ending> {
        let held = self.ledger().approvals(&plan.id)?;
        let people: BTreeSet<_> = held
            .iter()
            .filter(|approval| !is_old(approval.approver.at, lifetime, now))
            .filter(|approval| good_until(plan, &approval.text, now).is_ok())
            .map(|approval| &approval.approver.principal)
            .collect();
        Ok(people.len() as u64)
    }

    /// Signs, commits and writes out the refusal of an approval or a rejection, as a run of its own.
    fn refused(&self, plan: &str, ending: Ending, actor: &Actor, now: Timestamp) -> Refused {
        let receipt = match ending.status {
            Some(_) => self.refusal(plan, &ending, actor, now),
            None => None,
        };
        Refused { ending, receipt }
    }

    fn refusal(&self, plan: &str, ending: &Ending, actor: &Actor, now: Timestamp) -> Option<PathBuf> {
        let stored = self.plan_record(plan).ok()?;
        let key = run_key(&stored.capability, now).ok()?;
        let alive = RunLock::hold(self.workspace().state(), &key).ok()?;
        let order = Order {
            what: What::Apply { plan: stored.id.clone() },
            actor: actor.clone(),
            cause: Cause::Asked,
            reports: Arc::new(|_| {}),
            trace: Arc::new(|_| {}),
            cancel: watch::channel(false).1,
        };
        // The plan's own document may be what is wrong.
        let plan = self.document(&stored.id).ok().map(Arc::new);
        let separate_user = self.is_separate_user(now);
        let record = Record { plan, stored_plan: true, approving: true, separate_user, ..Record::default() };
        let run = Run::with(self, key, stored.capability, order, now, record, Some(alive));
        run.receipt(ending.clone()).receipt
    }
}

/// How long an approval is good at the longest, where the settings cannot be trusted; nothing is carried out then.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// How long an approval is good.
pub(crate) fn lifetime(settings: &Settings) -> Duration {
    settings.approvals.approval
}

/// Whether an approval was given too long ago.
pub(crate) fn is_old(given: Timestamp, lifetime: Duration, now: Timestamp) -> bool {
    end(given, lifetime) <= now
}

/// The end of a time; its beginning, where the calendar has no such end.
fn end(from: Timestamp, lifetime: Duration) -> Timestamp {
    SignedDuration::try_from(lifetime)
        .ok()
        .and_then(|lifetime| from.checked_add(lifetime).ok())
        .unwrap_or(from)
}

/// What is signed now. It is good no longer than the plan, but for one whose run is gone on with after its plan's end.
fn text_to_sign(plan: &Plan, settings: &Settings, now: Timestamp) -> String {
    let longest = end(now, lifetime(settings));
    let until = match plan.expires.parse::<Timestamp>() {
        Ok(expires) if expires > now => expires.min(longest),
        _ => longest,
    };
    // People read it; a thousandth of a second is fine enough.
    plan.text_to_sign(&Timestamp::from_millisecond(until.as_millisecond()).unwrap_or(until).to_string())
}

/// Until when a signed text says yes to a plan. `Err` says why it does not now.
pub(crate) fn good_until(plan: &Plan, text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let until = plan
        .approved_until(text)
        .and_then(|until| until.parse::<Timestamp>().ok())
        .ok_or("what was signed is not a yes to this plan; export it again and sign that")?;
    if until <= now {
        return Err(format!("what was signed was good until {until}; export the plan again and sign that"));
    }
    Ok(until)
}

/// A signature counts only where the binding takes signatures.
pub(crate) fn check_signed(capability: &Capability) -> Result<(), Ending> {
    if capability.binding.approval.accept.contains(&Accept::Signed) {
        return Ok(());
    }
    Err(Ending::denied(
        "approval",
        format!(
            "the binding of {} does not take signatures (approval.accept lists no `signed`)",
            capability.name
        ),
    ))
}

/// What a plan rests on must be what is here.
fn check_grounds(plan: &Plan, pinned: &Pinned, capability: &Capability) -> Result<(), Ending> {
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
    Ok(())
}
