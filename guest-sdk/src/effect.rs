//! Changes to the outside world: stated with their undo, asked for, and perhaps performed.

use crate::raw::ops::capability::effects;
use crate::{Ctx, Failure, Request, Response, Undo, host};

/// A change of which it is not yet said how it can be taken back. Nothing can be done with it but to say so.
#[must_use = "say how the effect can be undone, then perform it"]
pub struct Proposal<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) summary: String,
    pub(crate) request: Request,
}

impl<'a> Proposal<'a> {
    /// States how the effect can be taken back. The approver reads it before anything happens, so it cannot name
    /// what only the answer will tell.
    pub fn undo(self, undo: Undo) -> Effect<'a> {
        Effect { ctx: self.ctx, summary: self.summary, request: self.request, undo }
    }
}

/// A change that can be asked for.
#[must_use = "an effect that is not performed does nothing"]
pub struct Effect<'a> {
    ctx: &'a Ctx,
    summary: String,
    request: Request,
    undo: Undo,
}

impl Effect<'_> {
    /// Asks for the effect: in the plan phase it is written down, in the apply phase it is sent.
    ///
    /// # Errors
    /// As [`Ctx::fetch`]. An effect that was sent and not answered never comes back as an error: the host ends the
    /// run there.
    pub fn perform(self) -> Result<Done, Failure> {
        let wire =
            effects::Effect { summary: self.summary, request: self.request.wire().clone(), undo: self.undo };
        let answer =
            match host::perform(self.ctx, &wire).map_err(|error| Failure::of_net(&self.request, error))? {
                effects::Outcome::Planned => None,
                effects::Outcome::Performed(response) => Some(self.request.check(response)?),
            };
        Ok(Done { answer })
    }
}

/// An effect that was asked for: planned, or performed and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    answer: Option<Response>,
}

impl Done {
    /// What the service answered, where the effect was performed.
    pub fn answer(&self) -> Option<&Response> {
        self.answer.as_ref()
    }

    /// Does something with the answer, where there is one: waits for a task, reads back what was written, takes an
    /// id for the output. In the plan phase the closure is not called.
    ///
    /// # Errors
    /// What the closure returns.
    pub fn then<T>(&self, f: impl FnOnce(&Response) -> Result<T, Failure>) -> Result<Option<T>, Failure> {
        self.answer.as_ref().map(f).transpose()
    }

    /// The answer, for a value that goes into a later request. For waiting use [`Done::then`], which does not end
    /// the plan.
    ///
    /// # Errors
    /// `Incomplete` in the plan phase. `what` names the value that is missing, for example `the id of the volume`.
    pub fn required(self, what: &str) -> Result<Response, Failure> {
        self.answer
            .ok_or_else(|| Failure::Incomplete(format!("{what} is known only after this part is applied")))
    }
}
