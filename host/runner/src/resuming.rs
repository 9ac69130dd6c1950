//! Going on with a run of which nobody knew what became.
//!
//! It is a run of its own, which takes up the plan of the other once more: the guest is answered from the other's
//! journal until that ends, and from the world after it, so that nothing is done twice. Checked here: nobody has gone
//! on with it yet; no effect is in doubt, but for one that is safe to send again; its journal can be read.

use ops_ledger::receipt::Status;
use ops_ledger::store::{EffectProgress, RunRecord};
use ops_policy::plan::Plan;

use crate::ending::{self, Ending};
use crate::journal::Tape;
use crate::pinned::{Capability, Pinned};
use crate::recording::Stored;
use crate::recovery::done;
use crate::run::{Run, Wanted};
use crate::runner::Runner;

/// Runs that went on with one another and are looked at.
const MAX_CHAIN: usize = 1000;

impl Runner {
    /// The run that somebody wants to go on with, if that can be.
    pub(crate) fn resumable(&self, name: &str) -> Result<RunRecord, Ending> {
        let known = self.ledger().run(name)?;
        let run = &known.run;
        match known.status {
            Some(Status::Unknown) => {}
            None => return Err(Ending::usage(format!("{run} is under way in another process"))),
            Some(status) => {
                return Err(Ending::usage(format!(
                    "{run} is {}: there is nothing to go on with",
                    status.word()
                )));
            }
        }
        if let Some(by) = &known.settled_by {
            return Err(Ending::usage(format!("{run} cannot be resumed: {by} has taken its place")));
        }
        Ok(known)
    }

    /// A run and those that it goes on with, the nearest first.
    pub(crate) fn chain(&self, run: &str) -> Result<Vec<String>, Ending> {
        let mut chain = vec![run.to_owned()];
        let mut last = self.ledger().run(run)?;
        while let Some(earlier) = last.continues.filter(|_| chain.len() < MAX_CHAIN) {
            last = self.ledger().run(&earlier)?;
            chain.push(earlier);
        }
        Ok(chain)
    }

    /// Whether a plan was taken up by a run that can be resumed.
    pub(crate) fn is_resumable_plan(&self, plan: &str) -> Result<bool, Ending> {
        Ok(self.ledger().is_resumable(plan)?)
    }
}

impl Run<'_> {
    /// What a resumed run carries out: the same plan, from where the other run left it.
    pub(crate) fn continued(
        &mut self,
        name: &str,
        pinned: &Pinned,
        capability: &Capability,
    ) -> Result<Wanted, Ending> {
        let known = self.runner.resumable(name)?;
        self.record.continues = Some(known.run.clone());
        let effects = self.runner.ledger().effects(&known.run)?;
        let performed: Vec<_> =
            effects.iter().filter(|effect| effect.progress == EffectProgress::Performed).collect();
        let started = effects.iter().find(|effect| effect.progress == EffectProgress::Started);
        self.record.before = performed.len();
        self.record.doubt = started.and_then(|effect| usize::try_from(effect.number).ok());
        let plan = known.plan.clone().unwrap_or_default();
        let wanted = self.stored(&plan, pinned, capability)?;
        let Wanted::Apply { plan, .. } = &wanted else { return Ok(wanted) };
        if let Some(effect) = started.filter(|effect| !repeatable(plan, effect.number, capability)) {
            return Err(in_doubt(&known.run, effect.number));
        }
        // Where nothing was done, the world is looked at again, as before any first effect.
        if self.is_under_way() {
            self.tape = self.journal_of(&known.run)?;
        }
        // This run's own from its intent on; a refusal before that says nothing of them.
        self.taken_over = performed.into_iter().filter_map(done).collect();
        Ok(wanted)
    }

    /// Whether this run goes on with one that has, or may have, changed something.
    pub(crate) fn is_under_way(&self) -> bool {
        self.record.before > 0 || self.record.doubt.is_some()
    }

    /// The other run's journal. Its long bodies become this run's too, before the intent takes it over.
    fn journal_of(&self, run: &str) -> Result<Tape, Ending> {
        let state = self.runner.workspace().state();
        let damaged = |error: &dyn std::fmt::Display| {
            Ending::denied("journal", format!("the journal of {run} cannot be played back: {error}"))
        };
        let mut entries = Vec::new();
        for row in self.runner.ledger().journal(run)? {
            let stored: Stored = serde_json::from_slice(&row).map_err(|error| damaged(&error))?;
            let entry = stored.whole(self.runner.ledger(), run).map_err(|error| damaged(&error))?;
            for (name, bytes) in Stored::split(entry.clone()).1 {
                ops_ledger::content::keep(state, &self.key, &name, &bytes, true)
                    .map_err(|error| damaged(&error))?;
            }
            entries.push(entry);
        }
        Ok(Tape::new(entries))
    }
}

/// Whether an effect can be sent again though it may have arrived.
fn repeatable(plan: &Plan, number: u64, capability: &Capability) -> bool {
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let Some(effect) = place.and_then(|place| plan.effects.get(place)) else { return false };
    let service = capability.binding.services.get(&effect.request.service);
    let rule = service.zip(effect.rule.as_ref()).and_then(|(service, rule)| service.rule(rule));
    rule.is_some_and(ops_policy::rule::Rule::is_repeatable)
}

fn in_doubt(run: &str, number: u64) -> Ending {
    Ending {
        status: Some(ending::Status::Denied),
        exit: 5,
        code: Some("in-doubt"),
        message: format!(
            "effect {number} of {run} may have been sent, and nobody has said whether it happened\n  \
             look at the service, then say which:  ops runs resolve {run} --effect {number} performed|not-performed --key KEY"
        ),
    }
}
