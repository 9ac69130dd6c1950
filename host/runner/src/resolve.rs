//! Step 1: from a name to a component, all of it vouched for by the lock.
//!
//! Order: lock; binding; component bytes, read once, hashed and compared; arguments, read by the schema in the lock
//! and checked against it. A plan that is to be carried out must rest on exactly these.

use std::sync::Arc;

use jiff::Timestamp;
use ops_ledger::receipt::Deployment;
use ops_ledger::store::PlanStatus;
use ops_policy::digest::Digest;
use ops_policy::visible;

use crate::agents;
use crate::deployment;
use crate::ending::Ending;
use crate::pinned::{Pinned, Refusal, binding_file};
use crate::ready::Ready;
use crate::run::{Arguments, Resolved, Run, Wanted, What};
use crate::statement::digest;

/// The longest arguments document, in bytes.
const MAX_ARGUMENTS: usize = 1024 * 1024;

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::denied(refusal.code, refusal.message)
    }
}

impl Run<'_> {
    pub(crate) fn resolve(&mut self) -> Result<Resolved, Ending> {
        let workspace = self.runner.workspace();
        let pinned = self.runner.pinned(self.now)?;
        self.record.lock = Some((pinned.lock.digest, pinned.lock.lock.counter, pinned.lock.lock.development));
        self.record.records = pinned.settings.records;
        self.record.separate_user =
            deployment::check(workspace, &pinned.settings)? == Deployment::SeparateUser;
        self.role = agents::role(&self.order.actor, &pinned)?;
        let ready = self.ready(&pinned)?;
        // Its process comes up beside the steps before the run. One that is refused in between has run nothing.
        let binding = &ready.capability.binding;
        let folders = !(binding.directories.is_empty() && binding.contracts.is_empty());
        self.runner.workers().expect(&ready.component, folders);
        let capability = ready.capability.clone();
        let wanted = match &self.order.what {
            What::Call { arguments, .. } => {
                let arguments = arguments(&capability.manifest).map_err(Ending::usage)?;
                check_arguments(&ready, &arguments)?;
                self.record.dry_run = arguments.dry_run;
                Wanted::Call(arguments)
            }
            What::Apply { plan } => {
                let plan = plan.clone();
                self.stored(&plan, &pinned, &capability)?
            }
            What::Undo { run } => Wanted::Undo(Box::new(self.runner.undone(run)?)),
            What::Resume { run } => {
                let run = run.clone();
                self.continued(&run, &pinned, &capability)?
            }
        };
        Ok(Resolved { pinned, capability, ready, wanted })
    }

    /// The capability with its component, as the lock has them.
    fn ready(&mut self, pinned: &Pinned) -> Result<Arc<Ready>, Ending> {
        let ready = match self.runner.at_hand(pinned, &self.name) {
            Some(ready) => ready,
            None => {
                let workspace = self.runner.workspace();
                let binding = self.runner.settled(&binding_file(&self.name));
                let capability = Arc::new(pinned.capability(workspace, &self.name)?);
                self.record.capability = Some(capability.clone());
                self.runner.make_ready(pinned, capability, binding)?
            }
        };
        self.record.capability = Some(ready.capability.clone());
        Ok(ready)
    }

    /// A stored plan, if it still rests on what is here. One that a resumed run takes up was taken up before, and how
    /// long it is good was asked then; how old its approval may be is asked again.
    pub(crate) fn stored(
        &mut self,
        id: &str,
        pinned: &Pinned,
        capability: &crate::pinned::Capability,
    ) -> Result<Wanted, Ending> {
        let row = self.runner.plan_record(id)?;
        let plan = self.runner.plan(&row.id)?;
        let hash = plan.hash();
        if self.role.is_some() && !agents::is_own(&plan, &self.order.actor) {
            // Knowing a plan's id is no right to it.
            return Err(Ending::denied(
                "plan-elsewhere",
                format!(
                    "plan {} was not asked for by the agent `{}`; an agent carries out its own plans only",
                    plan.id,
                    visible::visible(&self.order.actor.id)
                ),
            ));
        }
        let plan = Arc::new(plan);
        self.record.plan = Some(plan.clone());
        self.record.stored_plan = true;
        let seed = self.runner.ledger().plan_secret(&row.id)?;
        let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| {
            Ending::denied("plan", "the plan's seed is gone from the ledger; make a new plan")
        })?;
        for (same, code, what) in [
            (row.digest == digest(hash), "plan", "its document is not the one that was stored"),
            (Digest::of(&seed) == plan.seed, "plan", "its seed is not the one that was stored"),
            (plan.ledger == self.runner.ledger_id(), "plan", "it was made for another workspace's ledger"),
            (plan.lock == pinned.lock.digest, "lock-changed", "ops.lock has changed since"),
            (plan.binding == capability.binding_digest, "binding-changed", "the binding has changed since"),
            (
                plan.component == capability.component_digest,
                "component-changed",
                "the component has changed since",
            ),
            (
                plan.manifest == capability.manifest_digest,
                "manifest-changed",
                "the manifest has changed since",
            ),
            (plan.host == self.runner.host(), "host-changed", "it was made by another version of the host"),
        ] {
            if !same {
                return Err(Ending::denied(
                    code,
                    format!("plan {} cannot be carried out: {what}\n  {}", plan.id, self.instead()),
                ));
            }
        }
        let resumed = self.record.continues.is_some();
        if row.status != PlanStatus::Waiting && !resumed {
            let again = match row.status {
                PlanStatus::Applied => "is applied and cannot be carried out again",
                PlanStatus::Rejected => "is rejected and cannot be carried out: a person said no to it",
                _ => "is superseded and cannot be carried out: a newer plan took its place",
            };
            return Err(Ending::denied("plan-used", format!("plan {} {again}", plan.id)));
        }
        if let Some(why) = plan.unapprovable() {
            return Err(Ending::denied("plan", format!("plan {} cannot be carried out: {why}", plan.id)));
        }
        let expired = plan.expires.parse::<Timestamp>().map_or(true, |expires| expires <= self.now);
        // Where nothing was done yet, it is good for no longer than any other plan.
        if expired && !(resumed && self.is_under_way()) {
            return Err(Ending::denied(
                "plan-expired",
                format!("plan {} expired at {}\n  {}", plan.id, plan.expires, self.instead()),
            ));
        }
        Ok(Wanted::Apply { plan, seed })
    }

    /// What to do about a plan that cannot be carried out.
    fn instead(&self) -> String {
        match &self.record.continues {
            None => "nothing was changed; make a new plan".to_owned(),
            Some(run) => format!(
                "nothing more was changed; give the run up, then plan again:  ops runs resolve {run} --give-up --key KEY"
            ),
        }
    }
}

/// Checks arguments against the input schema. Whatever is wrong is named by its place.
fn check_arguments(ready: &Ready, arguments: &Arguments) -> Result<(), Ending> {
    let name = &ready.capability.name;
    if arguments.values.to_string().len() > MAX_ARGUMENTS {
        return Err(Ending::usage(format!("the arguments are longer than {MAX_ARGUMENTS} bytes")));
    }
    let errors = ready.input.errors(&arguments.values).map_err(|error| {
        Ending::denied("manifest", format!("the input schema is no JSON Schema: {error}"))
    })?;
    if errors.is_empty() {
        return Ok(());
    }
    Err(Ending::usage(format!(
        "the arguments of {name} are not right:\n  {}\n`ops cap run {name} --help` lists them",
        errors.join("\n  "),
    )))
}
