//! The native side of `host`: each call of a `Ctx` ends here, in the state of the run that is going on.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::fixture::Tape;
use super::invoked::Invocable;
use super::{Answer, needs};
use crate::raw::ops::capability::effects::{Effect, Outcome};
use crate::raw::ops::capability::invoke as calls;
use crate::raw::ops::capability::types::{NetError, Request, Response};
use crate::{Ctx, Failure, Level, Manifest};

/// What a `Ctx` holds natively.
pub(crate) type Handle = Rc<RefCell<State>>;

/// What makes the capability stop where the host would end its run.
pub(super) struct Stopped;

/// What a run does with effects.
pub(super) enum Phase {
    /// Each is written down. In a dry run, those to a service that is not bound are too.
    Plan { dry_run: bool },
    /// Each must be the next one of this plan. After the last one of an incomplete plan, the run is stopped.
    Apply { planned: Vec<Effect>, incomplete: bool },
}

/// One run, and what lasts from run to run.
pub(crate) struct State {
    pub(super) manifest: Manifest,
    pub(super) services: Vec<(String, Vec<Answer>)>,
    pub(super) invocables: Vec<Invocable>,
    pub(super) performed: Vec<Effect>,
    pub(super) now: SystemTime,
    /// Numbers the plans; ids are made of it, so that plan and apply agree and two plans do not.
    pub(super) plan: u64,
    pub(super) phase: Phase,
    pub(super) folder: Option<TempDir>,
    pub(super) contracts: TempDir,
    pub(super) effects: Vec<Effect>,
    pub(super) reads: Vec<String>,
    pub(super) log: Vec<String>,
    pub(super) ids: u64,
    pub(super) monotonic: Duration,
    /// The answers of a real run, while one is gone through again.
    pub(super) tape: Option<Tape>,
}

impl State {
    fn answer(&mut self, request: &Request) -> Result<Response, NetError> {
        let Some((_, answers)) = self.services.iter().find(|(name, _)| *name == request.service) else {
            return Err(NetError::NotGranted(format!("the service {} is not bound", request.service)));
        };
        let found = answers.iter().rev().find_map(|answer| answer.fits(request, &self.performed));
        let (answer, time) =
            found.unwrap_or_else(|| panic!("the test has no answer for {} {}", request.method, request.path));
        self.monotonic += time;
        answer
    }

    fn invoked(&self, call: &calls::Call) -> calls::Answer {
        needs::assert_invokes(&self.manifest, &call.capability);
        let found = self.invocables.iter().rev().find_map(|known| known.answer(call));
        found.unwrap_or_else(|| panic!("the test has no capability {}", call.capability))
    }
}

pub(crate) fn fetch(ctx: &Ctx, request: &Request) -> Result<Response, NetError> {
    let mut state = ctx.world.borrow_mut();
    if state.tape.is_none() {
        needs::assert_covers(&state.manifest, request, true);
    }
    state.reads.push(format!("{} {} {}", request.service, request.method, request.path));
    if let Some(tape) = &mut state.tape {
        let (answer, clock) = tape.read(request);
        state.monotonic = state.monotonic.max(Duration::from_nanos(clock));
        return answer;
    }
    state.answer(request)
}

pub(crate) fn perform(ctx: &Ctx, effect: &Effect) -> Result<Outcome, NetError> {
    let mut state = ctx.world.borrow_mut();
    if let Some(tape) = &mut state.tape {
        let (outcome, clock) = tape.change(effect);
        state.monotonic = state.monotonic.max(Duration::from_nanos(clock));
        state.effects.push(effect.clone());
        return outcome;
    }
    needs::assert_covers(&state.manifest, &effect.request, false);
    let at = state.effects.len();
    let is_bound = state.services.iter().any(|(name, _)| *name == effect.request.service);
    if !is_bound && !matches!(state.phase, Phase::Plan { dry_run: true }) {
        std::panic::resume_unwind(Box::new(Stopped));
    }
    if let Phase::Apply { planned, incomplete } = &state.phase {
        match planned.get(at) {
            Some(next) => assert_eq!(effect, next, "effect {} of the apply is not that of the plan", at + 1),
            None if *incomplete => std::panic::resume_unwind(Box::new(Stopped)),
            None => panic!("the apply asks for an effect that the plan has not: {}", effect.summary),
        }
    }
    let outcome = match state.phase {
        Phase::Plan { .. } => Outcome::Planned,
        Phase::Apply { .. } => {
            let response = state.answer(&effect.request)?;
            state.performed.push(effect.clone());
            Outcome::Performed(response)
        }
    };
    state.effects.push(effect.clone());
    Ok(outcome)
}

pub(crate) fn invoke(ctx: &Ctx, wanted: &[calls::Call]) -> Vec<calls::Answer> {
    let mut state = ctx.world.borrow_mut();
    for call in wanted {
        state.reads.push(format!("invoke {} {}", call.capability, call.arguments));
    }
    if let Some(tape) = &mut state.tape {
        let (answers, clock) = tape.invoke(wanted);
        state.monotonic = state.monotonic.max(Duration::from_nanos(clock));
        return answers;
    }
    let answers: Vec<_> = wanted.iter().map(|call| state.invoked(call)).collect();
    // They run at the same time.
    let longest = answers.iter().map(|answer| answer.milliseconds).max();
    state.monotonic += Duration::from_millis(longest.unwrap_or(0));
    answers
}

pub(crate) fn log(ctx: &Ctx, level: Level, message: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    };
    ctx.world.borrow_mut().log.push(format!("{level}: {message}"));
}

pub(crate) fn progress(ctx: &Ctx, done: u64, total: Option<u64>, message: &str) {
    let total = total.map_or("?".to_owned(), |total| total.to_string());
    ctx.world.borrow_mut().log.push(format!("{done}/{total}: {message}"));
}

pub(crate) fn directory(ctx: &Ctx, name: &str) -> PathBuf {
    let state = ctx.world.borrow();
    needs::assert_directory(&state.manifest, name);
    state.folder.as_ref().expect("a run has its folder").path().join(name)
}

pub(crate) fn contract(ctx: &Ctx, name: &str) -> PathBuf {
    let state = ctx.world.borrow();
    needs::assert_contract(&state.manifest, name);
    state.contracts.path().join(name)
}

pub(crate) fn random(ctx: &Ctx) -> Result<u64, Failure> {
    let mut state = ctx.world.borrow_mut();
    state.ids += 1;
    Ok((state.plan << 32) | state.ids)
}

pub(crate) fn now(ctx: &Ctx) -> SystemTime {
    ctx.world.borrow().now
}

pub(crate) fn monotonic(ctx: &Ctx) -> Duration {
    ctx.world.borrow().monotonic
}

pub(crate) fn sleep(ctx: &Ctx, time: Duration) {
    ctx.world.borrow_mut().monotonic += time;
}
