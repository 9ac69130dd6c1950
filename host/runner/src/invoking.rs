//! Calls of other capabilities.
//!
//! Each call is a run like any other, by the same eight steps, with its own key, rights, limits and receipt. Order of
//! checks: the phase has calls left (`broker::calls`); the binding names the capability; what is called is read-only and not
//! too deep, which its own run finds out and refuses (`decide`); its output still fits what the phase may hear. Calls go through few at a time, each on a thread of its own; when nobody
//! waits for them any more they are cancelled.
//!
//! In the apply phase nothing is called: the answers are those that the plan was made with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ops_policy::message::{Call, CallError, Invoked};
use ops_policy::visible::{clip, visible};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::ending::{Ending, Status};
use crate::output::CHECK;
use crate::receipt::Report;
use crate::run::{Actor, Arguments, Cause, Nobody, Order, Run, What};
use crate::runner::Runner;

/// Calls in one phase of a run at most.
pub(crate) const MAX_CALLS: usize = 512;
/// How deep calls may go: a capability that a person runs may call one that calls one.
pub(crate) const MAX_DEPTH: u8 = 3;
/// All outputs in one phase of a run together, in bytes: they are kept for the journal, and go to the guest.
const MAX_ANSWERS: usize = 16 * 1024 * 1024;
/// Calls at a time.
const AT_ONCE: usize = 4;

/// One call, from its name to its receipt; it ends soon after the receiver turns `true`.
type One = Arc<dyn Fn(&Call, watch::Receiver<bool>) -> Invoked + Send + Sync>;

/// Makes the calls of a run.
pub(crate) struct Caller {
    one: One,
    /// Turns `true` when the calling run should end.
    cancel: watch::Receiver<bool>,
    /// What outputs may still be long in this phase.
    left: Arc<AtomicUsize>,
}

impl Run<'_> {
    /// Who makes the calls of this run.
    pub(crate) fn caller(&self) -> Caller {
        let (runner, actor) = (self.runner.clone(), self.order.actor.clone());
        let cause = Cause::Called { by: self.key.clone(), depth: self.order.cause.depth().saturating_add(1) };
        let one = move |call: &Call, cancel| made(&runner, &actor, &cause, call, cancel);
        let left = Arc::new(AtomicUsize::new(MAX_ANSWERS));
        Caller { one: Arc::new(one), cancel: self.order.cancel.clone(), left }
    }
}

/// Cancels what it was made for when it goes.
struct Stopping(watch::Sender<bool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Caller {
    #[cfg(test)]
    pub(crate) fn with(one: One, cancel: watch::Receiver<bool>) -> Self {
        Self { one, cancel, left: Arc::new(AtomicUsize::new(MAX_ANSWERS)) }
    }

    /// Makes the calls that are granted. The answers come in the order of the calls.
    pub(crate) async fn call(&self, calls: &[Call], granted: impl Fn(&str) -> bool) -> Vec<Invoked> {
        let (stop, stopped) = watch::channel(*self.cancel.borrow());
        let _stopping = Stopping(stop);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = Vec::new();
        for call in calls {
            if !granted(&call.capability) {
                under_way.push(Err(refused(&call.capability)));
                continue;
            }
            // It is never closed, so there is a place, sooner or later.
            let place = places.clone().acquire_owned().await.ok();
            let (one, call, cancel) = (self.one.clone(), call.clone(), stopped.clone());
            let left = self.left.clone();
            under_way.push(Ok(tokio::task::spawn_blocking(move || {
                let _place = place;
                bounded(one(&call, cancel), &left)
            })));
        }
        let mut answers = Vec::new();
        for one in under_way {
            answers.push(match one {
                Ok(task) => {
                    task.await.unwrap_or_else(|error| failed(None, 0, format!("the host failed: {error}")))
                }
                Err(answer) => answer,
            });
        }
        answers
    }
}

/// Makes one call.
fn made(
    runner: &Runner,
    actor: &Actor,
    cause: &Cause,
    call: &Call,
    cancel: watch::Receiver<bool>,
) -> Invoked {
    let began = Instant::now();
    let values = match serde_json::from_str(&call.arguments) {
        Ok(values @ Value::Object(_)) => values,
        _ => return failed(None, 0, "its arguments are no JSON object".to_owned()),
    };
    let engine = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(engine) => engine,
        Err(error) => return failed(None, 0, format!("the host has no runtime for it: {error}")),
    };
    let order = Order {
        what: What::Call {
            capability: call.capability.clone(),
            arguments: Box::new(move |_| Ok(Arguments { values: values.clone(), dry_run: false })),
        },
        actor: actor.clone(),
        cause: cause.clone(),
        reports: Arc::new(|_| {}),
        trace: Arc::new(|_| {}),
        cancel,
    };
    let report = engine.block_on(runner.run_once(order, &mut Nobody));
    answer(report, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// What the caller learns of a run: its output where there is one, a failed check's too, and else why there is none.
fn answer(report: Report, milliseconds: u64) -> Invoked {
    let Report { key, ending, output, .. } = report;
    let has_output = ending.status == Some(Status::Done) || ending.code == Some(CHECK);
    match output.filter(|_| has_output) {
        Some(output) => Invoked { run: key, milliseconds, outcome: Ok(output.to_string()) },
        None if ending.code == Some(NOT_READ_ONLY) => {
            let why = CallError::NotGranted(ending.message);
            Invoked { run: key, milliseconds, outcome: Err(why) }
        }
        None => failed(key, milliseconds, ending.message),
    }
}

fn refused(capability: &str) -> Invoked {
    let capability = clip(&visible(capability), 100);
    let why = format!(
        "the binding does not name `{capability}` under `invoke:`, or no need of the capability does"
    );
    Invoked { run: None, milliseconds: 0, outcome: Err(CallError::NotGranted(why)) }
}

fn failed(run: Option<String>, milliseconds: u64, why: String) -> Invoked {
    Invoked { run, milliseconds, outcome: Err(CallError::Failed(why)) }
}

/// An output beyond what a phase may hear is left out as it arrives, and said to be.
fn bounded(mut answer: Invoked, left: &AtomicUsize) -> Invoked {
    let length = match &answer.outcome {
        Ok(text) | Err(CallError::NotGranted(text) | CallError::Failed(text)) => text.len(),
    };
    let take = |left: usize| left.checked_sub(length);
    if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
        let why = format!("the outputs of its calls are longer than {} MiB together", MAX_ANSWERS >> 20);
        answer.outcome = Err(CallError::Failed(why));
    }
    answer
}

/// The code of a run that was called and may change something.
const NOT_READ_ONLY: &str = "invoke";

/// Refuses what may not be called: anything above read-only, and calls that go too deep.
pub(crate) fn admit(cause: &Cause, read_only: bool) -> Result<(), Ending> {
    let Cause::Called { depth, .. } = cause else { return Ok(()) };
    if *depth > MAX_DEPTH {
        return Err(Ending::denied(
            "limit-depth",
            format!("calls go at most {MAX_DEPTH} capabilities deep, and this one would be the {depth}th"),
        ));
    }
    if !read_only {
        return Err(Ending::denied(
            NOT_READ_ONLY,
            "it may change something, so no other capability can call it; a person runs it, and approves its plan",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
