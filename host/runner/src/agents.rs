//! What agents are served: the capabilities that the lock vouches for, the state of a plan, and the carrying out of
//! an approved plan exactly once. Nothing here approves, grants, pins or resolves.
//!
//! A call is a run like any other. Its role is asked in the run's own steps, so that a refusal has its receipt. What
//! is particular to agents is here: whoever asks again for a plan that was carried out gets the receipt of the run
//! that did it, because a client that lost its connection can do nothing but ask again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ops_ledger::receipt as ledger;
use ops_ledger::runlock;
use ops_ledger::store::RunRecord;
use ops_policy::digest::Digest;
use ops_policy::manifest::{Access, Manifest, RuleEffect, Safety};
use ops_policy::plan::Plan;
pub use ops_policy::settings::Role;
use serde_json::Value;

use crate::ending::Ending;
use crate::output::CHECK;
use crate::own::OUTPUT;
use crate::pinned::{Capability, Pinned, Refusal};
use crate::receipt::Report;
use crate::rights_text::ways;
use crate::run::{Actor, Nobody, Order, Standing, What};
use crate::runner::Runner;

/// How often a run of another process is looked at until it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A capability that an agent may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The capability's name.
    pub capability: String,
    /// Its safety class, by the binding.
    pub safety: Safety,
    /// How its plans are approved, in words.
    pub approval: String,
    /// Whether everything that it may change is safe to repeat, by the binding's rules.
    pub idempotent: bool,
    /// Whether it reaches a service.
    pub reaches_services: bool,
    /// What it says of itself, as the lock has it.
    pub manifest: Manifest,
}

/// How far a plan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanState {
    /// Its id.
    pub id: String,
    /// The capability.
    pub capability: String,
    /// `pending`, `approved`, `applying`, `applied`, `expired`, `rejected`, `superseded`, `stale`: what it rests on is not
    /// so any more, or `dry-run`: that can never be approved.
    pub status: &'static str,
    /// How many people have approved it, not too long ago.
    pub approvals: u64,
    /// How many it needs.
    pub needed: u32,
    /// Until when it is good, RFC 3339.
    pub expires: String,
    /// Who asked for it.
    pub requester: String,
    /// The run that took it up, and how that ended where it has.
    pub applied_by: Option<(String, Option<String>)>,
    /// The plan that takes its place, where that run made one.
    pub new_plan: Option<String>,
}

/// What came of a call, now or earlier.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The capability.
    pub capability: String,
    /// The run key; None where nothing was about to run.
    pub run: Option<String>,
    /// The status word; `usage` for wrong arguments, which leave no receipt.
    pub status: String,
    /// What the program `ops` would have exited with.
    pub exit: u8,
    /// A stable word for what went wrong.
    pub code: Option<String>,
    /// What happened and what to do next, for people.
    pub message: String,
    /// What the capability returned, where it is done or a check of its own failed.
    pub output: Option<Value>,
    /// The plan that the call made.
    pub plan: Option<Arc<Plan>>,
    /// What was refused to the guest while it ran, in words.
    pub denied: Vec<String>,
}

impl Runner {
    /// The capabilities that somebody of this standing may call, by name. What the lock does not vouch for at this
    /// moment is left out: the second list says why.
    ///
    /// # Errors
    ///
    /// The lock does not hold, or the agent has no role.
    pub fn tools(&self, actor: &Actor) -> Result<(Vec<Tool>, Vec<Refusal>), Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        let reads_only = role(actor, &pinned)? == Some(Role::Reader);
        let (mut tools, mut hidden) = (Vec::new(), Vec::new());
        for name in pinned.names()? {
            match self.vouched(&pinned, name) {
                Ok(capability) if reads_only && capability.binding.safety != Safety::ReadOnly => {}
                Ok(capability) => tools.push(tool(capability)),
                Err(refusal) => hidden.push(refusal),
            }
        }
        Ok((tools, hidden))
    }

    /// The hash of the lock, and whether it was signed for development.
    ///
    /// # Errors
    ///
    /// It does not hold.
    pub fn lock_in_force(&self) -> Result<(Digest, bool), Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        Ok((pinned.lock.digest, pinned.lock.lock.development))
    }

    /// The role of an agent's name, by `agents:` of `ops.yaml`.
    ///
    /// # Errors
    ///
    /// The lock does not hold.
    pub fn role_of(&self, name: &str) -> Result<Option<Role>, Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        Ok(pinned.settings.agents.get(name).copied())
    }

    /// How far a plan is, by its id or the beginning of it.
    ///
    /// # Errors
    ///
    /// There is none, or the ledger cannot be read.
    pub fn plan_state(&self, id: &str) -> Result<PlanState, Ending> {
        let row = self.plan_row(self.plan_record(id)?, Timestamp::now())?;
        let applied_by = self.ledger().run_of_plan(&row.id)?;
        let plan = self.document(&row.id).ok();
        let ended = applied_by.as_ref().and_then(|run| run.status);
        let is_outdated = || {
            let rests_on = plan.as_ref().map(|plan| plan.lock);
            self.pinned(Timestamp::now())
                .is_ok_and(|pinned| rests_on.is_some_and(|lock| lock != pinned.lock.digest))
        };
        let status = match row.status.as_str() {
            "waiting" | "approved" if is_outdated() => "stale",
            "applied" if ended == Some(ledger::Status::Stale) => "stale",
            "waiting" => "pending",
            "never" => "dry-run",
            "applied" if applied_by.as_ref().is_some_and(|run| run.status.is_none()) => "applying",
            "approved" => "approved",
            "expired" => "expired",
            "rejected" => "rejected",
            "superseded" => "superseded",
            _ => "applied",
        };
        let new_plan = applied_by.as_ref().and_then(|run| self.receipt(&run.run).ok());
        let new_plan =
            new_plan.and_then(|(statement, _)| statement.predicate.run.new_plan).map(|plan| plan.id);
        let applied_by = applied_by.map(|run| (run.run, run.status.map(|status| status.word().to_owned())));
        Ok(PlanState {
            status,
            approvals: row.approvals,
            needed: row.needed,
            expires: row.expires,
            requester: plan.map_or_else(String::new, |plan| plan.requester),
            applied_by,
            new_plan,
            id: row.id,
            capability: row.capability,
        })
    }

    /// Runs a capability for an agent, or carries out a plan. A plan that was taken up before is not taken up again:
    /// its run is waited for, and answered for.
    pub async fn serve(&self, order: Order<'_>) -> Answer {
        let plan = match &order.what {
            What::Apply { plan } => Some(plan.clone()),
            _ => None,
        };
        let (actor, cancel) = (order.actor.clone(), order.cancel.clone());
        if let Some(plan) = &plan
            && let Some(answer) = self.taken_up(plan, &actor, cancel.clone()).await
        {
            return answer;
        }
        let report = self.run(order, &mut Nobody).await;
        // By this run, or by somebody who was faster with the same plan: whoever asks again hears the same.
        if let Some(plan) = &plan
            && let Some(answer) = self.taken_up(plan, &actor, cancel).await
        {
            return answer;
        }
        Answer::from(report)
    }

    /// The answer of the run that took a plan up, once that has ended. None where no run of this agent's plan did.
    async fn taken_up(
        &self,
        plan: &str,
        actor: &Actor,
        mut cancel: tokio::sync::watch::Receiver<bool>,
    ) -> Option<Answer> {
        let plan = self.plan_record(plan).ok()?.id;
        // Another's plan goes the usual way, where it is refused with a receipt; and so does an agent without the role.
        let role = role(actor, &*self.pinned(Timestamp::now()).ok()?).ok()?;
        if role != Some(Role::Proposer) || !is_own(&self.document(&plan).ok()?, actor) {
            return None;
        }
        loop {
            let run = self.ledger().run_of_plan(&plan).ok()??;
            if run.status.is_some() {
                return self.ended(&run).ok();
            }
            // Its process died, so it is owed a receipt; where none can be written now, asking again would not help.
            if !runlock::is_alive(self.workspace().state(), &run.run).unwrap_or(true) {
                self.recover();
                let run = self.ledger().run_of_plan(&plan).ok()??;
                return if run.status.is_some() { self.ended(&run).ok() } else { Some(under_way(run)) };
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                Ok(_) = cancel.wait_for(|cancelled| *cancelled) => return Some(under_way(run)),
            }
        }
    }

    /// What a run that has ended is answered with: what its receipt says.
    ///
    /// # Errors
    ///
    /// The receipt cannot be read.
    fn ended(&self, run: &RunRecord) -> Result<Answer, Ending> {
        let (statement, _) = self.receipt(&run.run)?;
        let receipt = statement.predicate;
        // What a capability returned in a plan's phase says what would be, and nothing of it is so.
        let has_output = receipt.run.status == ledger::Status::Done
            || receipt.outcome.error_code.as_deref() == Some(CHECK);
        let output = self.ledger().body(&run.run, OUTPUT).ok().flatten().filter(|_| has_output);
        let plan = receipt.run.new_plan.and_then(|plan| self.document(&plan.id).ok()).map(Arc::new);
        Ok(Answer {
            capability: receipt.run.capability,
            run: Some(run.run.clone()),
            status: receipt.run.status.word().to_owned(),
            exit: receipt.run.exit_code,
            code: receipt.outcome.error_code,
            message: receipt.outcome.message,
            output: output.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            plan,
            denied: Vec::new(),
        })
    }

    /// A capability with everything of it as the lock has it, and a review where one is required.
    pub(crate) fn vouched(&self, pinned: &Pinned, name: &str) -> Result<Capability, Refusal> {
        let capability = pinned.capability(self.workspace(), name)?;
        self.check_component(pinned, &capability.binding.component, capability.component_digest)?;
        let component = pinned.component(self.workspace(), &capability.binding.component)?;
        pinned.admit_review(capability.binding.safety, name, component, Timestamp::now())?;
        Ok(capability)
    }
}

/// What is said of a run that was started on the word of another one.
fn started(report: &Report) -> String {
    let status = report.ending.status.map_or("refused", crate::ending::Status::as_str);
    let run = report.key.as_deref().unwrap_or("no run");
    let plan = report.plan.as_ref().filter(|_| status == "planned");
    let plan = plan.map(|plan| format!(", plan {}", plan.id)).unwrap_or_default();
    format!("\nstarted {} ({run}): {status}{plan}", report.capability)
}

impl From<Report> for Answer {
    fn from(report: Report) -> Self {
        let started = report.started.as_deref().map(started).unwrap_or_default();
        let denied = report.denied.into_iter().map(|(what, refused)| match refused.count {
            1 => what,
            count => format!("{what}, {count} times"),
        });
        Self {
            capability: report.capability,
            run: report.key,
            status: report.ending.status.map_or("usage", crate::ending::Status::as_str).to_owned(),
            exit: report.ending.exit,
            code: report.ending.code.map(str::to_owned),
            message: format!("{}{started}", report.ending.message),
            output: report.output,
            plan: report.plan,
            denied: denied.collect(),
        }
    }
}

/// Whether somebody asked for a plan: by name and standing, since a person and a token may have one name.
pub fn is_own(plan: &Plan, actor: &Actor) -> bool {
    plan.requester == actor.id && plan.asked_as == actor.standing.asked_as()
}

/// The role that somebody comes with: none for a person, who needs none.
pub(crate) fn role(actor: &Actor, pinned: &Pinned) -> Result<Option<Role>, Refusal> {
    match actor.standing {
        Standing::Person => Ok(None),
        Standing::Local(role) => Ok(Some(role)),
        Standing::Named => pinned.settings.agents.get(&actor.id).copied().map(Some).ok_or_else(|| {
            Refusal::new(
                "role",
                format!(
                    "`{}` has no role in ops.yaml; add it to `agents: {{reader: […], proposer: […]}}` and pin",
                    ops_policy::visible::visible(&actor.id)
                ),
            )
        }),
    }
}

fn under_way(run: RunRecord) -> Answer {
    Answer {
        message: format!("{} is carrying out this plan and has not ended; ask again", run.run),
        capability: run.capability,
        run: Some(run.run),
        status: "applying".to_owned(),
        exit: 3,
        code: None,
        output: None,
        plan: None,
        denied: Vec::new(),
    }
}

fn tool(capability: Capability) -> Tool {
    let binding = &capability.binding;
    // What is staged differs from run to run: a file more each time, for one.
    let stages = binding.directories.values().any(|directory| directory.access == Access::Stage);
    let mut changing = binding
        .services
        .values()
        .flat_map(|service| &service.rules)
        .filter(|rule| rule.effect != RuleEffect::Read && !rule.only_undo);
    Tool {
        safety: binding.safety,
        approval: ways(binding),
        idempotent: !stages && changing.all(ops_policy::rule::Rule::is_repeatable),
        reaches_services: binding.services.values().any(|service| service.origin.is_some())
            || !binding.invoke.is_empty(),
        capability: capability.name,
        manifest: capability.manifest,
    }
}
