//! Running a past run again, offline, from what it saw.
//!
//! In this order: the receipt's signature, and by it `evidence.json` and by that the recording; host and engine are
//! those that recorded; the component has the recorded bytes; then each phase runs again in the sandbox on folders
//! that are made from the recording, answered by `broker::ReplayBroker` alone. Nothing is sent, and the ledger is not
//! written. Compared are every question, effects among them, how the guest ended, and the files that it staged.

mod broker;
mod world;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ops_ledger::evidence::{Evidence, Place};
use ops_ledger::statement::EVIDENCE_NAME;
use ops_ledger::store::{ReceiptFilter, StoredReceipt};
use ops_ledger::verify;
use ops_policy::digest::Digest;
use ops_policy::plan::Plan;
use ops_sandbox::broker::Broker;
use ops_sandbox::component::Component;
use ops_sandbox::job::{End, Job, Limits, Links};
use serde::Serialize;
use tokio::sync::{Mutex, Notify, watch};

use self::broker::{Halt, ReplayBroker};
pub(crate) use self::world::{Given, Restored};
use crate::ending::Ending;
use crate::journal::Tape;
use crate::recording::{self, Ended, Recorded, Recording, RecordingError};
use crate::runner::Runner;

/// The least time that a phase gets, whatever the binding said: a busy machine is no difference.
const LEAST_TIME: Duration = Duration::from_secs(30);
/// How long a guest that the host stopped may go on once it has all its answers.
const GRACE: Duration = Duration::from_millis(200);
/// Receipts that are replayed at most in one go.
const MAX_ALL: u32 = 1_000_000;

/// What came of running a run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The run key.
    pub run: String,
    /// Whether it did the same again; none where it was not run.
    pub same: Option<bool>,
    /// Why it was not run, where it was not.
    pub not_replayed: Option<NotReplayed>,
    /// Each time that its guest ran.
    pub phases: Vec<Phase>,
}

/// Why a run was not run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReplayed {
    /// `no-guest`, `erased`, `not-kept`, `not-recorded`, `host`, `component`; or `damaged`, where what is there is not
    /// what the receipt vouches for.
    pub code: &'static str,
    /// For people.
    pub why: String,
}

/// One time that a guest ran again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// `read`, `plan` or `apply`.
    pub phase: String,
    /// How many answers it was given.
    pub answers: usize,
    /// How many of them to effects.
    pub effects: usize,
    /// How the recorded one ended: `output`, `failure`, or a code.
    pub end: String,
    /// The first difference.
    pub difference: Option<String>,
}

/// A recording that was checked, and the plan that its run was about.
pub(crate) struct Checked {
    pub(crate) recording: Recording,
    pub(crate) plan: Option<Plan>,
    /// Whether the host found then that the guest departed from its plan.
    deviated: bool,
}

/// A recording that the receipt vouches for.
pub(crate) struct Vouched {
    pub(crate) recording: Recording,
    evidence: Evidence,
    /// The run's error code.
    code: Option<String>,
}

impl Runner {
    /// Runs a run again. One that cannot be run again says why.
    ///
    /// # Errors
    ///
    /// There is no such run, or the engine does not start.
    pub fn replay(&self, key: &str) -> Result<Replayed, Ending> {
        let stored = self.ledger().receipt(key)?;
        let run = stored.summary.run.clone();
        let replayed = self.checked_recording(&stored).and_then(|checked| self.again(&checked));
        Ok(match replayed {
            Ok(phases) => {
                let same = phases.iter().all(|phase| phase.difference.is_none());
                Replayed { run, same: Some(same), not_replayed: None, phases }
            }
            Err(error) => {
                let not_replayed = Some(NotReplayed { code: error.code(), why: error.to_string() });
                Replayed { run, same: None, not_replayed, phases: Vec::new() }
            }
        })
    }

    /// The keys of all runs that have a receipt, oldest first.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn replayable(&self) -> Result<Vec<String>, Ending> {
        let filter = ReceiptFilter { capability: None, status: None, limit: MAX_ALL };
        let keys = self.ledger().receipts(&filter)?.into_iter().map(|row| row.run);
        Ok(keys.rev().collect())
    }

    /// A run's recording, if the receipt vouches for it and this host can run it.
    pub(crate) fn checked_recording(&self, stored: &StoredReceipt) -> Result<Checked, RecordingError> {
        let Vouched { recording, evidence, code } = self.vouched_recording(stored)?;
        if recording.host != self.host() {
            let why = format!("it was recorded by {}, and this is {}", recording.host, self.host());
            return Err(none("host", why));
        }
        let plan = match self.kept(&recording.run, &evidence, "plan.json")? {
            Some(document) => Some(Plan::parse(&document).map_err(|error| damaged(&error))?),
            None => None,
        };
        Ok(Checked { recording, plan, deviated: code.as_deref() == Some("deviation") })
    }

    /// A run's recording, if the receipt vouches for it, whichever host made it.
    pub(crate) fn vouched_recording(&self, stored: &StoredReceipt) -> Result<Vouched, RecordingError> {
        let run = &stored.summary.run;
        let index = self.ledger().body(run, EVIDENCE_NAME).map_err(|error| damaged(&error))?;
        let index = index.ok_or_else(|| none("erased", "its evidence was erased"))?;
        let report = verify::verify_bundle(&stored.bundle, Some(&index), &[self.key().public()]);
        if let Some(fault) = report.faults().next() {
            return Err(damaged(fault));
        }
        let evidence = Evidence::parse(&index).map_err(|error| damaged(&error))?;
        let document = self.kept(run, &evidence, recording::NAME)?;
        let document = document.ok_or_else(|| none("no-guest", "no guest ran"))?;
        let recording = Recording::parse(&document)?;
        if recording.run != *run {
            return Err(damaged(&"it is that of another run"));
        }
        let code = report.statement.and_then(|statement| statement.predicate.outcome.error_code);
        Ok(Vouched { recording, evidence, code })
    }

    /// A body of a run's evidence, if the receipt lists one of this name.
    pub(crate) fn kept(
        &self,
        run: &str,
        evidence: &Evidence,
        name: &str,
    ) -> Result<Option<Vec<u8>>, RecordingError> {
        let Some(file) = evidence.files.iter().find(|file| file.name == name) else { return Ok(None) };
        if file.place == Place::Nowhere {
            return Err(none("not-kept", "its bodies were not kept"));
        }
        let bytes = self.ledger().body(run, name).map_err(|error| damaged(&error))?;
        let bytes = bytes.ok_or_else(|| damaged(&format!("{name} is gone")))?;
        if file.salt.digest(&bytes) != file.digest {
            return Err(damaged(&format!("{name} is not the one that the receipt was made over")));
        }
        Ok(Some(bytes))
    }

    /// Runs each phase again.
    fn again(&self, checked: &Checked) -> Result<Vec<Phase>, RecordingError> {
        let component = self.recorded_component(&checked.recording)?;
        let engine = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let engine = engine.map_err(|error| damaged(&format!("no runtime: {error}")))?;
        let mut phases = Vec::new();
        for phase in &checked.recording.phases {
            phases.push(engine.block_on(self.phase_again(checked, phase, &component))?);
        }
        Ok(phases)
    }

    async fn phase_again(
        &self,
        checked: &Checked,
        phase: &Recorded,
        component: &Component,
    ) -> Result<Phase, RecordingError> {
        let recording = &checked.recording;
        let state = self.workspace().state();
        let entries = recording.entries(self.ledger(), phase)?;
        let world = Restored::new(state, self.ledger(), recording, phase)?;
        let ended = Arc::new(Notify::new());
        let broker = Arc::new(Mutex::new(ReplayBroker::new(Tape::new(entries), ended.clone())));
        let end = self.take(component, recording, phase, &world, broker.clone(), &ended).await?;
        let broker = broker.lock().await;
        let (answers, effects) = (broker.answers, broker.effects);
        let mut difference = difference(&phase.end, broker.halt.as_ref(), answers, broker.left(), &end);
        let staged = matches!(phase.end, Ended::Output(_)) && !(phase.phase == "apply" && checked.deviated);
        if difference.is_none() && staged {
            let seed = hex::decode(&phase.seed).unwrap_or_default();
            let plan = checked.plan.as_ref().filter(|plan| plan.seed == Digest::of(&seed));
            difference = plan.map_or(Ok(None), |plan| world.difference(&phase.folders, &plan.files))?;
        }
        let end = word(&phase.end);
        Ok(Phase { phase: phase.phase.clone(), answers, effects, end, difference })
    }

    /// Runs a guest in a recorded world. A phase that the host stopped ends soon after `ended` is told.
    pub(crate) async fn take(
        &self,
        component: &Component,
        recording: &Recording,
        phase: &Recorded,
        world: &Restored,
        broker: Arc<Mutex<dyn Broker>>,
        ended: &Notify,
    ) -> Result<End, RecordingError> {
        let seed = hex::decode(&phase.seed).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let [fetch, effects, http] = phase.links;
        let [memory, output, time] = phase.limits;
        let (cancel, cancelled) = watch::channel(false);
        let job = Job {
            input: recording.input.clone(),
            links: Links { fetch, effects, http, invoke: phase.invoke },
            clock_seconds: phase.clock.seconds,
            clock_nanoseconds: phase.clock.nanoseconds,
            seed: seed.ok_or_else(|| damaged(&"its seed is none"))?,
            mounts: world.mounts(&phase.folders),
            limits: Limits { memory, time: Duration::from_millis(time).max(LEAST_TIME), output },
            binding: component.digest(),
            needs_landlock: self.needs_landlock(),
            cancel: cancelled,
        };
        // The host stopped it while it waited or computed; what it would have done after that, nobody knows.
        let grace = async {
            if !matches!(phase.end, Ended::Stopped(_)) {
                pending::<()>().await;
            }
            ended.notified().await;
            tokio::time::sleep(GRACE).await;
            cancel.send_replace(true);
            pending::<()>().await;
        };
        tokio::select! {
            ran = self.workers().run(component, job, broker) => match ran.end {
                End::Unconfined(why) => Err(none("host", why)),
                end => Ok(end),
            },
            () = grace => Err(damaged(&"it did not end")),
        }
    }
}

/// The first difference between a recorded phase and the same one run again.
fn difference(
    recorded: &Ended,
    halt: Option<&Halt>,
    answers: usize,
    left: usize,
    end: &End,
) -> Option<String> {
    let again = Ended::of(end, None);
    match (recorded, halt) {
        (_, Some(Halt::Different(text))) => Some(text.clone()),
        // The host stopped it: it agrees if it came as far.
        (Ended::Stopped(_), _) if left == 0 => None,
        (_, Some(Halt::PastEnd(asked))) => Some(format!(
            "crossing {}: recorded was the end, {}, asked was {asked}",
            answers + 1,
            words(recorded)
        )),
        _ if left > 0 => {
            Some(format!("it ended after {answers} of {} crossings, with {}", answers + left, words(&again)))
        }
        _ if again == *recorded => None,
        (Ended::Output(_), None) if matches!(again, Ended::Output(_)) => {
            Some("its output is not the recorded one".into())
        }
        _ => Some(format!("recorded was {}, this time it ended with {}", words(recorded), words(&again))),
    }
}

fn words(end: &Ended) -> String {
    let text = match end {
        Ended::Output(_) => "an output".to_owned(),
        Ended::Failed(failure) => format!("the failure {}", serde_json::json!(failure)),
        Ended::Broke(why) | Ended::Stopped(why) => why.clone(),
    };
    ops_policy::visible::clip(&ops_policy::visible::visible(&text), 300)
}

fn word(end: &Ended) -> String {
    match end {
        Ended::Output(_) => "output".into(),
        Ended::Failed(_) => "failure".into(),
        Ended::Broke(why) => why.split(':').next().unwrap_or_default().into(),
        Ended::Stopped(code) => format!("stopped, {code}"),
    }
}

fn damaged(error: &dyn std::fmt::Display) -> RecordingError {
    RecordingError::Damaged(error.to_string())
}

fn none(code: &'static str, why: impl Into<String>) -> RecordingError {
    RecordingError::None { code, why: why.into() }
}

impl RecordingError {
    /// A stable word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::None { code, .. } => code,
            Self::Damaged(_) => "damaged",
        }
    }
}

impl Phase {
    /// One line for people.
    pub fn text(&self) -> String {
        let count = |number: usize, one: &str| match number {
            1 => format!("1 {one}"),
            number => format!("{number} {one}s"),
        };
        let counted = format!(
            "{}: {}, {}, {}",
            self.phase,
            count(self.answers, "answer"),
            count(self.effects, "effect"),
            self.end
        );
        match &self.difference {
            None => format!("{counted}: same"),
            Some(difference) => format!("{counted}: DIFFERENT: {difference}"),
        }
    }
}

#[cfg(test)]
mod tests;
