//! Holding a run to its approved plan.
//!
//! Before the first effect, an answer that differs from the one that the plan saw means that the world has changed:
//! the plan is stale and nothing was done. Every other difference is the guest's, and ends the run. An effect is
//! durably written down before it is sent, and its answer after. An effect of which no answer came ends the run,
//! because nobody can say whether it happened.

use std::path::PathBuf;
use std::sync::Arc;

use ops_egress::send::Sent;
use ops_ledger::store::Ledger;
use ops_ledger::{content, failpoint};
use ops_policy::digest::Digest;
use ops_policy::message::{Call, Effect, Invoked, NetError, Outcome, Response};
use ops_policy::plan::{Next, Plan, PlannedRead};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ending::Ending;
use crate::journal::{Answer, Entry, Question};
use crate::recording::Stored;
use crate::sends::SendFailure;
use crate::statement::digest;

/// What became of one effect.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// Sent and answered.
    Performed { response: Response, address: Option<String> },
    /// Sent, and nobody knows.
    Unknown { address: Option<String> },
    /// Surely not sent.
    NotSent { why: String },
}

/// The approved plan, and how far it is.
pub(crate) struct Applying {
    plan: Arc<Plan>,
    ledger: Arc<Ledger>,
    /// The host's state folder, where long bodies of the journal lie.
    state: PathBuf,
    run: String,
    cancel: watch::Receiver<bool>,
    reads: usize,
    started: usize,
    performed: usize,
    /// The effect that the run which this one continues may have sent.
    doubt: Option<usize>,
    /// Whether an effect was begun and nothing is known of it yet.
    in_flight: bool,
    /// Entries of the journal that the ledger does not have yet.
    unsaved: Vec<Vec<u8>>,
    /// What became of each effect, in order; a retry of one that was not sent follows it.
    pub(crate) done: Vec<(usize, Done)>,
}

/// What an effect's row in the ledger says of its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// What the service said.
    pub(crate) response: Response,
    /// The address that was dialled; what a person supplied has none.
    pub(crate) address: Option<String>,
}

impl Applying {
    /// `before` is how many effects the runs that this one continues have performed, `doubt` the number of the one that
    /// they may have sent besides.
    pub(crate) fn new(
        plan: Arc<Plan>,
        ledger: Arc<Ledger>,
        state: PathBuf,
        run: String,
        cancel: watch::Receiver<bool>,
        before: usize,
        doubt: Option<usize>,
    ) -> Self {
        Self {
            plan,
            ledger,
            state,
            run,
            cancel,
            reads: 0,
            started: before,
            performed: 0,
            doubt,
            in_flight: false,
            unsaved: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Keeps an answered question for the ledger, which gets it with its next commit.
    pub(crate) fn keep(&mut self, entry: &Entry) -> Result<(), Ending> {
        let (stored, blobs) = Stored::split(entry.clone());
        for (name, bytes) in blobs {
            content::keep(&self.state, &self.run, &name, &bytes, true)
                .map_err(|error| self.lost_journal(&error))?;
        }
        self.unsaved.push(serde_json::to_vec(&stored).map_err(|error| self.lost_journal(&error))?);
        Ok(())
    }

    fn lost_journal(&self, error: &dyn std::fmt::Display) -> Ending {
        let message = format!("the journal could not be written, so nothing more is sent: {error}");
        if self.performed == 0 { Ending::denied("ledger", message) } else { Ending::unknown(message) }
    }

    /// Takes over an effect that the run which this one continues has performed.
    pub(crate) fn again(&mut self, effect: &Effect, response: &Response) -> Result<(), Ending> {
        match self.plan.next(self.performed, effect) {
            Next::Same(_) => {}
            _ => return Err(deviation("it repeats an effect that the plan does not have there".into())),
        }
        self.performed += 1;
        self.done.push((self.performed, Done::Performed { response: response.clone(), address: None }));
        Ok(())
    }

    /// How many effects were performed.
    pub(crate) fn performed(&self) -> usize {
        self.performed
    }

    /// Whether the next read of the plan is this one. Asked before it is sent: a request of which the plan knows
    /// nothing must not leave the host.
    pub(crate) fn expects(&self, request: &Digest, summary: &str) -> Result<(), Ending> {
        if self.performed > 0 {
            return Ok(());
        }
        match self.plan.reads.get(self.reads).filter(|planned| planned.after_effects == 0) {
            Some(planned) if planned.request == *request => Ok(()),
            Some(planned) => {
                Err(deviation(format!("it read `{summary}` where the plan read `{}`", planned.summary)))
            }
            None => Err(deviation(format!("it read `{summary}`, which the plan did not"))),
        }
    }

    /// Compares the answer to a read before the first effect with the one that the plan rests on. `error` is its answer, where it
    /// is one: a service that cannot be reached says nothing about the world.
    pub(crate) fn check_read(&mut self, read: &PlannedRead, error: Option<&NetError>) -> Result<(), Ending> {
        if self.performed > 0 {
            return Ok(());
        }
        let planned = self.plan.reads.get(self.reads).filter(|planned| planned.after_effects == 0);
        self.reads += 1;
        match planned {
            Some(planned) if planned.request == read.request && planned.answer == read.answer => Ok(()),
            Some(planned) if planned.request == read.request && error.is_some() => Err(Ending::failed(
                "upstream",
                format!(
                    "nothing was changed: the answer to `{}`, which the plan rests on, could not be had again{}\n\
                     the plan and its approval are used up; run the capability again for a new plan",
                    planned.summary,
                    error.map(|error| format!(": {}", text(error))).unwrap_or_default()
                ),
            )),
            Some(planned) if planned.request == read.request => Err(Ending::stale(format!(
                "nothing was changed: the answer to `{}` is not the one that the plan rests on",
                planned.summary
            ))),
            Some(planned) => Err(deviation(format!(
                "it read `{}` where the plan read `{}`",
                read.summary, planned.summary
            ))),
            None => Err(deviation(format!("it read `{}`, which the plan did not", read.summary))),
        }
    }

    /// What the plan was made with at its calls of that number, from 0.
    pub(crate) fn calls(&self, number: usize, calls: &[Call]) -> Result<Vec<Invoked>, Ending> {
        match self.plan.invoked.get(number) {
            Some(planned) if planned.calls == calls => Ok(planned.answers.clone()),
            Some(_) => {
                Err(deviation("it called other capabilities than the plan, or with other arguments".into()))
            }
            None => Err(deviation("it called other capabilities where the plan called none".into())),
        }
    }

    /// Compares an effect with the plan and writes down that it starts.
    pub(crate) fn begin(&mut self, effect: &Effect) -> Result<(), Ending> {
        let number = self.performed + 1;
        match self.plan.next(self.performed, effect) {
            Next::Same(_) => {}
            Next::PastEnd if self.plan.incomplete.is_some() => {
                return Err(Ending::partial(format!(
                    "all {} effects of the plan were carried out; the rest needs a plan of its own",
                    self.performed
                )));
            }
            Next::PastEnd => {
                return Err(deviation(format!("it asked for effect {number}, which the plan does not have")));
            }
            Next::Different(planned) => {
                return Err(deviation(format!(
                    "its effect {number} is not the planned one, `{}`",
                    ops_policy::visible::visible(&planned.summary)
                )));
            }
        }
        if self.performed == 0
            && self.plan.reads.iter().filter(|read| read.after_effects == 0).count() > self.reads
        {
            return Err(deviation("it left out a read of the plan before its first effect".into()));
        }
        if *self.cancel.borrow() {
            return Err(Ending::partial(format!(
                "interrupted after {}",
                crate::carrying::count(self.performed, "effect", "effects")
            )));
        }
        // Durable, with everything before it: the intent, and what the guest was told. A second try of one that was
        // surely not sent has started already.
        if number > self.started {
            let journal = std::mem::take(&mut self.unsaved);
            let request = Digest::of_json(&effect.request).map_err(|error| ledger_failed(&error))?;
            self.ledger
                .effect_started(&self.run, number as u64, &digest(request), &journal)
                .map_err(|error| ledger_failed(&error))?;
            self.started = number;
        }
        failpoint::reach("effect-started");
        self.in_flight = true;
        Ok(())
    }

    /// The number of an effect that was begun and never ended: the host failed meanwhile.
    pub(crate) fn lost(&self) -> Option<usize> {
        self.in_flight.then_some(self.performed + 1)
    }

    /// What a server may know the effect that was begun by, so that it does it once however often it is asked.
    pub(crate) fn idempotency_key(&self) -> String {
        format!("{}-{}", self.plan.id, self.performed + 1)
    }

    /// Takes note of what became of the effect that was begun, at a time of the guest's clock.
    pub(crate) fn end(
        &mut self,
        effect: Effect,
        sent: Result<(Sent, String), SendFailure>,
        clock: u64,
    ) -> Result<(Result<Outcome, NetError>, Entry), Ending> {
        let number = self.performed + 1;
        self.in_flight = false;
        let entry = |answer| Entry { question: Question::Perform(effect), answer, clock };
        match sent {
            Ok((Sent { response, .. }, address)) => {
                self.performed = number;
                let answered = Answered { response, address: Some(address) };
                let row = serde_json::to_vec(&answered).map_err(|error| after_effect(&error))?;
                let Answered { response, address } = answered;
                // What the ledger does not have, the receipt does not say either.
                self.done.push((number, Done::Unknown { address: address.clone() }));
                let entry = entry(Answer::Response(response.clone()));
                self.keep(&entry)?;
                let journal = std::mem::take(&mut self.unsaved);
                self.ledger
                    .effect_performed(&self.run, number as u64, &row, &journal)
                    .map_err(|error| after_effect(&error))?;
                self.done.pop();
                self.done.push((number, Done::Performed { response: response.clone(), address }));
                failpoint::reach("effect-performed");
                Ok((Ok(Outcome::Performed(response)), entry))
            }
            // Surely not sent now says nothing of the first time.
            Err(SendFailure::Answer { error, address, .. }) if self.doubt == Some(number) => {
                self.done.push((number, Done::Unknown { address }));
                Err(Ending::unknown(format!(
                    "effect {number} may have been sent before, and could not be sent again ({})",
                    text(&error)
                )))
            }
            Err(SendFailure::Answer { maybe_sent: true, error, address }) => {
                self.done.push((number, Done::Unknown { address }));
                Err(Ending::unknown(format!(
                    "effect {number} was sent and no complete answer came ({}): look at the service to see whether it happened",
                    text(&error)
                )))
            }
            Err(SendFailure::Answer { maybe_sent: false, error, .. }) => {
                self.done.push((number, Done::NotSent { why: text(&error) }));
                let entry = entry(Answer::Error(error.clone()));
                self.keep(&entry)?;
                Ok((Err(error), entry))
            }
            Err(SendFailure::Host { code, why }) => {
                self.done.push((number, Done::NotSent { why: why.clone() }));
                Err(Ending::denied(code, why))
            }
        }
    }

    /// What is missing when the guest has returned.
    pub(crate) fn missing(&self) -> Option<Ending> {
        let planned = self.plan.effects.len();
        if planned == 0 && self.reads < self.plan.reads.len() {
            return Some(deviation("it left out a read of the plan".into()));
        }
        (self.performed < planned).then(|| {
            deviation(format!("it ended after {} of the {planned} effects of the plan", self.performed))
        })
    }
}

fn deviation(what: String) -> Ending {
    Ending::denied("deviation", format!("stopped: the capability departed from the approved plan: {what}"))
}

fn ledger_failed(error: &dyn std::fmt::Display) -> Ending {
    Ending::denied("ledger", format!("the ledger could not be written, so nothing more is sent: {error}"))
}

fn after_effect(error: &dyn std::fmt::Display) -> Ending {
    Ending::unknown(format!("an effect was performed and the ledger could not be written: {error}"))
}

/// A network error in words.
pub(crate) fn text(error: &NetError) -> String {
    match error {
        NetError::NotGranted(text)
        | NetError::InvalidRequest(text)
        | NetError::Unreachable(text)
        | NetError::Tls(text)
        | NetError::Timeout(text)
        | NetError::Connection(text)
        | NetError::TooLarge(text)
        | NetError::Limit(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests;
