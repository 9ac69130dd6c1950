//! Effects: captured in a plan, held to it in an application, taken back by an undo.

use std::time::{Duration, Instant};

use ops_egress::send::Sent;
use ops_ledger::failpoint;
use ops_policy::decide::{Allowed, Denial, DenyReason, Door, decide};
use ops_policy::manifest::RuleEffect;
use ops_policy::message::{Effect, NetError, Outcome, Request, Response};
use ops_policy::plan::PlannedEffect;
use ops_policy::visible;
use ops_sandbox::broker::Stop;

use super::{MAX_PLANNED_BYTES, MAX_REPORT, Phase, RunBroker};
use crate::ending::Ending;
use crate::journal::{self, Question};
use crate::sends::{Kind, SendFailure};

impl RunBroker {
    pub(super) async fn change(&mut self, effect: Effect) -> Result<Result<Outcome, NetError>, Stop> {
        let question = Question::Perform(effect.clone());
        self.count(question.bytes())?;
        if let Some(answer) = self.played(&question)? {
            return self.performed_before(&effect, answer);
        }
        let decision = decide(&self.rights, Door::Perform, &effect.request);
        match &mut self.seen.phase {
            Phase::Read => self.stop(Ending::denied("effect", "a read-only capability asked for an effect")),
            Phase::Plan { dry_run } => {
                let unchecked = *dry_run
                    && matches!(&decision, Err(denial) if denial.reason == DenyReason::ServiceNotBound);
                match decision {
                    Ok(allowed) => self.capture(effect, Some(&allowed))?,
                    Err(denial) if unchecked => {
                        let (trail, phase) = self.sender.trail();
                        trail.denied(phase, &denial);
                        self.capture(effect, None)?;
                    }
                    Err(denial) => self.refuse(&effect, &denial)?,
                }
                self.note(question, journal::Answer::Planned)?;
                Ok(Ok(Outcome::Planned))
            }
            Phase::Apply(_) => match decision {
                Ok(allowed) => self.carry_out(effect, allowed).await,
                Err(denial) => self.refuse(&effect, &denial),
            },
        }
    }

    /// An effect that the run which this one continues has performed, or was refused by the network.
    fn performed_before(
        &mut self,
        effect: &Effect,
        answer: journal::Answer,
    ) -> Result<Result<Outcome, NetError>, Stop> {
        let Phase::Apply(applying) = &mut self.seen.phase else {
            return self.stop(Ending::denied("journal", "only an application of a plan is continued"));
        };
        match answer {
            journal::Answer::Response(response) => match applying.again(effect, &response) {
                Ok(()) => Ok(Ok(Outcome::Performed(response))),
                Err(ending) => self.stop(ending),
            },
            journal::Answer::Error(error) => Ok(Err(error)),
            journal::Answer::Planned | journal::Answer::Refused | journal::Answer::Invoked(_) => {
                self.stop(Ending::denied("journal", "the journal has an answer that no effect gets"))
            }
        }
    }

    fn refuse<T>(&mut self, effect: &Effect, denial: &Denial) -> Result<T, Stop> {
        let why = self.deny(denial);
        let what = visible::clip(&visible::visible(&self.veil(&effect.summary)), MAX_REPORT);
        self.stop(Ending::denied("effect-denied", format!("the effect `{what}` is not granted: {why}")))
    }

    fn capture(&mut self, effect: Effect, allowed: Option<&Allowed>) -> Result<(), Stop> {
        let limit = self.sender.max_requests();
        if self.seen.captured.len() as u64 >= limit {
            return self.stop(Ending::stopped(
                "limit-requests",
                format!("the plan has more effects than the binding's limits.requests, {limit}"),
            ));
        }
        let body = |request: &Request| request.body.as_ref().map_or(0, Vec::len);
        let planned: usize = self.seen.captured.iter().map(|effect| body(&effect.request)).sum();
        if planned.saturating_add(body(&effect.request)) > MAX_PLANNED_BYTES {
            return self.stop(Ending::stopped(
                "limit-plan",
                format!("the plan's effects are longer than {} MiB together", MAX_PLANNED_BYTES >> 20),
            ));
        }
        let service = allowed.and_then(|allowed| self.rights.services.get(&allowed.service));
        if let Some(allowed) = allowed {
            self.sender.trail().0.planned(allowed);
        }
        self.seen.captured.push(PlannedEffect {
            summary: effect.summary,
            origin: service.map(|service| service.grant.place()),
            rule: allowed.map(|allowed| allowed.rule.clone()),
            class: allowed.map_or(RuleEffect::Mutate, |allowed| allowed.effect),
            request: effect.request,
            undo: effect.undo,
            unchecked: allowed.is_none(),
        });
        Ok(())
    }

    async fn carry_out(
        &mut self,
        effect: Effect,
        allowed: Allowed,
    ) -> Result<Result<Outcome, NetError>, Stop> {
        let Phase::Apply(applying) = &mut self.seen.phase else {
            return Err(Stop);
        };
        if let Err(ending) = applying.begin(&effect) {
            return self.stop(ending);
        }
        let kind = Kind::Effect { key: applying.idempotency_key() };
        let sent = self.sender.send(&allowed, &kind).await;
        self.sent(effect, sent)
    }

    /// An effect of an undo plan. One that is safe to repeat is sent again, until the answer is the last word or the
    /// time is over.
    pub(crate) async fn take_back(
        &mut self,
        effect: Effect,
        deadline: Instant,
        pause: Duration,
        is_ready: &(dyn Fn(&Response) -> bool + Send + Sync),
    ) -> Result<Result<Outcome, NetError>, Stop> {
        let question = Question::Perform(effect.clone());
        if let Some(answer) = self.played(&question)? {
            return self.performed_before(&effect, answer);
        }
        let allowed = match decide(&self.rights, Door::Undo, &effect.request) {
            Ok(allowed) => allowed,
            Err(denial) => return self.refuse(&effect, &denial),
        };
        let Phase::Apply(applying) = &mut self.seen.phase else {
            return Err(Stop);
        };
        if let Err(ending) = applying.begin(&effect) {
            return self.stop(ending);
        }
        let kind = Kind::Effect { key: applying.idempotency_key() };
        let rule = self.rights.services.get(&allowed.service).and_then(|s| s.grant.rule(&allowed.rule));
        let repeatable = rule.is_some_and(ops_policy::rule::Rule::is_repeatable);
        // An answer to an earlier try counts more than none to a later one.
        let mut answered = None;
        loop {
            let sent = self.sender.send(&allowed, &kind).await;
            let busy = sent.as_ref().is_ok_and(|(sent, _)| !is_ready(&sent.response));
            let last = match (sent, answered.take()) {
                (Err(_), Some(before)) => return self.sent(effect, Ok(before)),
                (sent, _) => sent,
            };
            if !(busy && repeatable && Instant::now() + pause < deadline && self.sender.waited(pause).await) {
                return self.sent(effect, last);
            }
            answered = last.ok();
            // The wait is bounded by its time, not by the number of requests.
            self.sender.grant_one();
        }
    }

    /// Takes note of what became of an effect that was begun.
    fn sent(
        &mut self,
        effect: Effect,
        sent: Result<(Sent, String), SendFailure>,
    ) -> Result<Result<Outcome, NetError>, Stop> {
        failpoint::reach("effect-sent");
        self.tick();
        let clock = self.clock;
        let Phase::Apply(applying) = &mut self.seen.phase else {
            return Err(Stop);
        };
        match applying.end(effect, sent, clock) {
            Ok((answer, entry)) => {
                self.seen.journal.push(entry);
                Ok(answer)
            }
            Err(ending) => self.stop(ending),
        }
    }
}
