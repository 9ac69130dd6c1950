//! Step 4: has somebody said yes to exactly this plan?
//!
//! A plan from this very run can pass by itself (`auto`), or by a yes typed or piped, where the binding lists that
//! way; where it does not, that input is not even read. Everything else waits for signatures. A stored plan passes
//! by signatures only: each is verified again, with the approvers of this moment, and may not be too old.

use std::collections::BTreeSet;
use std::time::Duration;

use ops_ledger::store::ApprovalRecord as Approval;
use ops_policy::approval::{Accept, Mode};
use ops_policy::plan::{NAMESPACE, Plan};
use ops_policy::settings::Own;

use crate::approvals::{check_signed, good_until, is_old};
use crate::ending::Ending;
use crate::phase::seconds;
use crate::run::{Decided, Person, Planned, Run, Wanted};

/// How a plan passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approved {
    /// `auto`, `signed`, `confirmed` or `piped`.
    pub(crate) how: &'static str,
    /// The binding's reason for `auto`.
    pub(crate) reason: Option<String>,
    /// The approvals that are used up by this run.
    pub(crate) approvals: Vec<Approval>,
}

impl Run<'_> {
    pub(crate) fn approve(
        &mut self,
        decided: &Decided,
        planned: &Planned,
        person: &mut dyn Person,
    ) -> Result<Approved, Ending> {
        let approval = &decided.resolved.capability.binding.approval;
        let plan = &planned.plan;
        let auto = approval.mode == Mode::Auto && plan.undoes.is_none();
        if matches!(decided.resolved.wanted, Wanted::Apply { .. }) {
            return match self.resumed_unsigned(plan)? {
                true if auto => Ok(self.approved("auto", approval.reason.clone(), Vec::new())),
                true => self.ask(decided, plan, person),
                false => self.signed(decided, plan),
            };
        }
        self.record.keep_plan = Some(planned.seed);
        if plan.dry_run {
            return Err(Ending::done("dry run: nothing was changed"));
        }
        if plan.is_empty() {
            self.record.keep_plan = None;
            return Err(Ending::done("there is nothing to change"));
        }
        if auto {
            return Ok(self.approved("auto", approval.reason.clone(), Vec::new()));
        }
        self.ask(decided, plan, person)
    }

    /// Whether this run goes on with one that nobody had signed for: what was said at the terminal is asked again.
    fn resumed_unsigned(&self, plan: &Plan) -> Result<bool, Ending> {
        Ok(self.record.continues.is_some() && self.runner.ledger().approvals(&plan.id)?.is_empty())
    }

    /// Asks whoever is at the terminal, in the ways that the binding lists.
    fn ask(&mut self, decided: &Decided, plan: &Plan, person: &mut dyn Person) -> Result<Approved, Ending> {
        let approval = &decided.resolved.capability.binding.approval;
        // Typing and piping are done by whoever asked, alone. Piping is for small local records, never for an undo.
        let alone = plan.approvals <= 1 && decided.resolved.pinned.settings.approvals.own == Own::Allowed;
        if alone
            && approval.accept.contains(&Accept::Confirmed)
            && let Some(typed) = person.confirm(plan)
        {
            if typed.trim() != plan.hash().short() {
                return Err(Ending::planned(format!(
                    "what was typed is not the plan's short hash; {}",
                    waits(plan, &approval.accept)
                )));
            }
            return Ok(self.approved("confirmed", None, Vec::new()));
        }
        if alone
            && plan.undoes.is_none()
            && approval.accept.contains(&Accept::Piped)
            && let Some(line) = person.piped(plan)
        {
            if line.trim() != "yes" {
                return Err(Ending::planned(format!(
                    "the piped answer is not `yes`; {}",
                    waits(plan, &approval.accept)
                )));
            }
            return Ok(self.approved("piped", None, Vec::new()));
        }
        if *self.order.cancel.borrow() {
            return Err(Ending::interrupted());
        }
        Err(Ending::planned(waits(plan, &approval.accept)))
    }

    fn approved(&mut self, how: &'static str, reason: Option<String>, approvals: Vec<Approval>) -> Approved {
        let approved = Approved { how, reason, approvals };
        self.record.approved = Some(approved.clone());
        approved
    }

    /// Whether the signatures that the ledger holds for a stored plan are enough.
    fn signed(&mut self, decided: &Decided, plan: &Plan) -> Result<Approved, Ending> {
        if plan.approvals == 0 {
            return Err(Ending::denied(
                "approval",
                "the plan was made for a binding that needs no approval; run it again",
            ));
        }
        if plan.undoes.is_none() {
            check_signed(&decided.resolved.capability)?;
        }
        let settings = &decided.resolved.pinned.settings.approvals;
        let held = self.runner.ledger().approvals(&plan.id)?;
        let (mut good, mut bad, mut people) = (Vec::new(), Vec::new(), BTreeSet::new());
        for approval in held {
            let fault = if settings.own == Own::Refused && approval.approver.principal == plan.requester {
                Some(format!("{} asked for the plan and may not approve it", approval.approver.principal))
            } else {
                self.fault(decided, plan, &approval, settings.approval)
            };
            match fault {
                Some(fault) => bad.push(fault),
                None if people.insert(approval.approver.principal.clone()) => good.push(approval),
                None => {}
            }
        }
        if good.len() as u64 >= u64::from(plan.approvals) {
            good.truncate(plan.approvals as usize);
            return Ok(self.approved("signed", None, good));
        }
        if bad.is_empty() {
            return Err(Ending::planned(format!(
                "it has {} approvals; {}",
                good.len(),
                waits(plan, &decided.resolved.capability.binding.approval.accept)
            )));
        }
        Err(Ending::denied("approval", format!("plan {} is not approved: {}", plan.id, bad.join("; "))))
    }

    /// What is wrong with an approval now, where something is.
    fn fault(
        &self,
        decided: &Decided,
        plan: &Plan,
        approval: &Approval,
        lifetime: Duration,
    ) -> Option<String> {
        if is_old(approval.approver.at, lifetime, self.now) {
            return Some(format!(
                "the approval by {} is older than {} (ops.yaml: approvals.approval); approve it again",
                approval.approver.principal,
                seconds(lifetime)
            ));
        }
        if let Err(why) = good_until(plan, &approval.text, self.now) {
            return Some(format!("the approval by {} does not hold: {why}", approval.approver.principal));
        }
        let Some(signature) = &approval.signature else {
            return Some(format!("the approval by {} has no signature", approval.approver.principal));
        };
        decided
            .resolved
            .pinned
            .approvers
            .verify(NAMESPACE, approval.text.as_bytes(), signature, self.now)
            .err()
            .map(|error| format!("the approval by {} does not hold: {error}", approval.approver.principal))
    }
}

/// What a plan waits for, and how to give it. A way that the binding does not list is not offered.
fn waits(plan: &Plan, accept: &[Accept]) -> String {
    let number =
        if plan.approvals == 1 { "an approval".into() } else { format!("{} approvals", plan.approvals) };
    let id = &plan.id;
    let mut text = format!("plan {id} waits for {number}\n  look at it:       ops plan show {id}");
    // An undo is signed for, whatever its binding accepts of the capability itself.
    if accept.contains(&Accept::Signed) || plan.undoes.is_some() {
        text.push_str(&format!("\n  approve and run:  ops plan approve {id} --key KEY --apply"));
    } else {
        text.push_str("\n  approve and run:  run it again and answer, as its binding's approval.accept says");
    }
    text
}
