//! Taking a run back: the undo that each of its effects stated, in reverse order.
//!
//! The plan is made by the host out of what the run's own plan said, and no guest runs for it. It goes the usual way:
//! policy decides each request again, now with the rules `for: undo`; it is destructive whatever the run was, and
//! somebody approves it; each request is written down before it is sent. Where a request is safe to repeat and the
//! service answers that it is not ready for it, such as a machine that is still stopping, it is sent again for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ops_ledger::receipt::Status;
use ops_ledger::store::{EffectProgress, EffectState, RunRecord};
use ops_policy::decide::{Door, decide};
use ops_policy::message::{Effect, Level, Outcome, Report, Request, Response, Undo};
use ops_policy::plan::{Plan, PlannedEffect};
use ops_policy::visible::visible;

use crate::applying::{Answered, Done};
use crate::broker::{Phase, RunBroker, Seen};
use crate::ending::Ending;
use crate::key::random;
use crate::phase::Stage;
use crate::planning::{Draft, clock};
use crate::run::{Decided, Planned, Run};
use crate::runner::Runner;
use crate::sends::Sender;

/// How long an undo waits before it is sent again.
const PAUSE: Duration = Duration::from_secs(1);

/// A run that is to be taken back.
pub(crate) struct Undone {
    pub(crate) run: String,
    pub(crate) plan: Plan,
    effects: Vec<EffectState>,
    /// The undos that were done before.
    taken_back: Vec<Request>,
}

impl Runner {
    /// The run that somebody wants to take back, if that can be.
    pub(crate) fn undone(&self, name: &str) -> Result<Undone, Ending> {
        let known = self.ledger().run(name)?;
        self.check_undoable(&known)?;
        let run = known.run;
        let nothing = || Ending::usage(format!("{run} has changed nothing that could be taken back"));
        let plan = self.document(&known.plan.ok_or_else(nothing)?)?;
        let effects = self.ledger().effects(&run)?;
        if !effects.iter().any(|effect| effect.progress == EffectProgress::Performed) {
            return Err(nothing());
        }
        let mut taken_back = Vec::new();
        for before in self.ledger().undone_by(&run)? {
            match (before.status, &before.settled_by) {
                (Some(Status::Done), _) => {
                    return Err(Ending::usage(format!("{run} was taken back before, by {}", before.run)));
                }
                (None | Some(Status::Unknown), None) => {
                    return Err(Ending::usage(format!(
                        "{} is taking {run} back, and has not ended: ops runs show {}",
                        before.run, before.run
                    )));
                }
                _ => taken_back.extend(self.taken_back(&before)?),
            }
        }
        Ok(Undone { run, plan, effects, taken_back })
    }

    /// What an earlier undo has done before it stopped.
    fn taken_back(&self, before: &RunRecord) -> Result<Vec<Request>, Ending> {
        let Some(plan) = before.plan.as_ref().and_then(|plan| self.document(plan).ok()) else {
            return Ok(Vec::new());
        };
        let effects = self.ledger().effects(&before.run)?;
        let planned = |effect: &EffectState| place(effect).and_then(|place| plan.effects.get(place));
        let done = effects.iter().filter_map(|effect| Some((planned(effect)?, answer(effect)?)));
        Ok(done
            .filter(|(planned, answer)| is_done(&planned.request.method, answer))
            .map(|(planned, _)| planned.request.clone())
            .collect())
    }

    fn check_undoable(&self, known: &RunRecord) -> Result<(), Ending> {
        let run = &known.run;
        match (known.status, &known.settled_by) {
            (None, _) => Err(Ending::usage(format!("{run} is under way"))),
            (Some(Status::Unknown), None) => Err(Ending::usage(format!(
                "nobody knows yet what became of {run}; go on with it or resolve it first: ops runs show {run}"
            ))),
            (Some(Status::Unknown), Some(by)) => {
                let by = self.ledger().run(by)?;
                // What it did is the other's only if that went on with it.
                if by.intended && by.continues.as_ref() == Some(run) {
                    return Err(Ending::usage(format!(
                        "{} went on with {run} and has its effects; take that one back",
                        by.run
                    )));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn place(effect: &EffectState) -> Option<usize> {
    usize::try_from(effect.number).ok()?.checked_sub(1)
}

/// What a service answered to an effect, where that is known.
fn answer(effect: &EffectState) -> Option<Response> {
    let answered: Answered = serde_json::from_slice(effect.response.as_ref()?).ok()?;
    Some(answered.response)
}

impl Run<'_> {
    /// The plan that takes a run back.
    pub(crate) fn plan_undo(&mut self, decided: &Decided, undone: &Undone) -> Result<Planned, Ending> {
        let seed = random::<32>().map_err(|error| Ending::stopped("host", error.to_string()))?;
        let mut captured = Vec::new();
        for effect in undone.effects.iter().rev() {
            if effect.progress != EffectProgress::Performed {
                continue;
            }
            let number = effect.number;
            let planned = place(effect).and_then(|place| undone.plan.effects.get(place));
            let planned = planned.ok_or_else(|| {
                Ending::denied("plan", format!("the plan of {} has no effect {number}", undone.run))
            })?;
            let summary = format!("take back `{}`", planned.summary);
            // What the service refused is not there to be taken away: it may be somebody else's.
            match answer(effect) {
                Some(answer) if !(200..300).contains(&answer.status) => {
                    self.tell(format!("{summary}: not needed: the service answered {}", answer.status));
                    continue;
                }
                Some(_) => {}
                None => {
                    self.tell(format!("{summary}: by hand: what the service answered is not known any more"));
                    continue;
                }
            }
            match &planned.undo {
                Undo::Request(request) if undone.taken_back.contains(request) => {}
                Undo::Request(request) => {
                    self.check_origin(decided, planned)?;
                    let undo = Undo::Impossible(format!("it takes back effect {number} of {}", undone.run));
                    captured.push(self.allow(decided, Effect { summary, request: request.clone(), undo })?);
                }
                Undo::ByHand(how) => self.tell(format!("{summary}: by hand: {how}")),
                Undo::Impossible(why) => self.tell(format!("{summary}: cannot be done: {why}")),
            }
        }
        if captured.is_empty() {
            return Err(Ending::usage(format!("no effect of {} can be taken back by a request", undone.run)));
        }
        let seen = Seen {
            phase: Phase::Plan { dry_run: false },
            reads: Vec::new(),
            captured,
            invoked: Vec::new(),
            denied: BTreeMap::new(),
            journal: Vec::new(),
            ending: None,
        };
        let draft = Draft {
            seed,
            clock: clock(self.now),
            incomplete: None,
            dry_run: false,
            undoes: Some(undone.run.clone()),
        };
        let plan = self.compose(decided, seen, Vec::new(), &Stage::none(), draft)?;
        Ok(Planned { plan: Arc::new(plan), seed })
    }

    /// What was done at one server is not taken back at another, wherever the service's name points today.
    fn check_origin(&self, decided: &Decided, planned: &PlannedEffect) -> Result<(), Ending> {
        let service = &planned.request.service;
        let now = decided.rights.services.get(service).map(|service| service.grant.place());
        if now.is_none() || now == planned.origin {
            return Ok(());
        }
        Err(Ending::denied(
            "origin-changed",
            format!(
                "service `{service}` was {} when `{}` was done, and is {} now; take it back by hand",
                planned.origin.as_deref().unwrap_or("not bound"),
                visible(&planned.summary),
                now.unwrap_or_default()
            ),
        ))
    }

    /// An undo, if a rule lets it through.
    fn allow(&mut self, decided: &Decided, effect: Effect) -> Result<PlannedEffect, Ending> {
        let allowed = decide(&decided.rights, Door::Undo, &effect.request).map_err(|denial| {
            self.trail.denied(ops_ledger::audit::Phase::Plan, &denial);
            let rule = denial
                .suggestion()
                .map(|rule| format!("\nthe rule that would allow it, for review:\n{rule}"));
            let what = visible(&effect.summary);
            let rule = rule.unwrap_or_default();
            Ending::denied("effect-denied", format!("`{what}` is not granted: {denial}{rule}"))
        })?;
        self.trail.planned(&allowed);
        let service = decided.rights.services.get(&allowed.service);
        Ok(PlannedEffect {
            summary: effect.summary,
            origin: service.map(|service| service.grant.place()),
            rule: Some(allowed.rule),
            class: allowed.effect,
            request: effect.request,
            undo: effect.undo,
            unchecked: false,
        })
    }

    fn tell(&self, message: String) {
        (self.order.reports)(&Report::Log { level: Level::Warn, message: visible(&message) });
    }

    /// Sends the effects of an undo plan, one after the other.
    pub(crate) async fn take_back(&mut self, decided: &Decided, planned: &Planned) -> Result<(), Ending> {
        let plan = &planned.plan;
        self.record.applying = true;
        let limits = decided.limits();
        let phase = Phase::Apply(self.applying(plan));
        let outbound = self.outbound.take().unwrap_or_else(|| self.new_outbound(decided));
        let sender =
            Sender::new(outbound, decided.rights.clone(), limits, phase.audited(), self.order.cancel.clone());
        let tape = std::mem::take(&mut self.tape);
        let rights = decided.rights.clone();
        let mut broker =
            RunBroker::new(rights, sender, self.caller(), phase, tape, self.order.reports.clone());
        let deadline = Instant::now() + limits.time;
        let mut fault = None;
        for (place, planned) in plan.effects.iter().enumerate() {
            let effect = Effect {
                summary: planned.summary.clone(),
                request: planned.request.clone(),
                undo: planned.undo.clone(),
            };
            let ready = |response: &Response| is_ready(&planned.request.method, response);
            let outcome = broker.take_back(effect, deadline, PAUSE, &ready).await;
            fault = match outcome {
                Err(_) => break,
                Ok(Ok(Outcome::Performed(response))) if !is_done(&planned.request.method, &response) => {
                    Some(format!("the service answered {}", response.status))
                }
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(crate::applying::text(&error)),
            };
            if let Some(why) = &fault {
                fault = Some(format!(
                    "`{}` was not done: {why}\n{place} of {} effects were taken back",
                    visible(&planned.summary),
                    plan.effects.len()
                ));
                break;
            }
        }
        let (seen, sender) = broker.into_parts();
        self.record.phase(&seen, &sender);
        self.outbound = Some(sender.outbound);
        if let Some(ending) = seen.ending {
            return Err(ending);
        }
        let Phase::Apply(applying) = &seen.phase else { return Ok(()) };
        if let Some(number) = applying.lost() {
            self.record.effects.push((number, Done::Unknown { address: None }));
            return Err(Ending::unknown(format!(
                "the host failed while undo {number} was on its way: look at the service to see whether it happened"
            )));
        }
        match fault {
            Some(why) => Err(Ending::failed("upstream", why)),
            None => Ok(()),
        }
    }
}

/// Whether what a request was to take away is away.
fn is_done(method: &str, response: &Response) -> bool {
    (200..300).contains(&response.status) || (method == "DELETE" && matches!(response.status, 404 | 410))
}

/// Whether an answer is the last word: the service did it, or says that the request itself is wrong. Else it may do it
/// a little later.
fn is_ready(method: &str, response: &Response) -> bool {
    is_done(method, response) || !(matches!(response.status, 409 | 423 | 425 | 429) || response.status >= 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_done_and_what_is_busy_is_asked_again() {
        for (method, status, done, ready) in [
            ("DELETE", 200, true, true),
            ("DELETE", 404, true, true),
            ("POST", 404, false, true),
            ("DELETE", 500, false, false),
            ("DELETE", 423, false, false),
            ("DELETE", 403, false, true),
            ("DELETE", 302, false, true),
        ] {
            let response = Response { status, headers: Vec::new(), body: Vec::new() };
            assert_eq!(
                (is_done(method, &response), is_ready(method, &response)),
                (done, ready),
                "{method} {status}"
            );
        }
    }
}
