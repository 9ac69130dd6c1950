//! Calls of other capabilities: made in a plan and in a read-only run, answered from the plan in its application.

use ops_policy::message::{Call, CallError, Invoked};
use ops_policy::plan::PlannedCalls;
use ops_policy::visible::{clip, visible};
use ops_sandbox::broker::Stop;

use super::{MAX_REPORT, Phase, RunBroker};
use crate::ending::Ending;
use crate::invoking::MAX_CALLS;
use crate::journal::{Answer, Question};

impl RunBroker {
    pub(super) async fn call(&mut self, calls: Vec<Call>) -> Result<Vec<Invoked>, Stop> {
        let question = Question::Invoke(calls.clone());
        self.count(question.bytes())?;
        let made: usize = self.seen.invoked.iter().map(|made| made.calls.len()).sum();
        if made.saturating_add(calls.len()) > MAX_CALLS {
            return self.stop(Ending::stopped(
                "limit-calls",
                format!("stopped: it called other capabilities more than {MAX_CALLS} times"),
            ));
        }
        let answers = match self.played(&question)? {
            Some(Answer::Invoked(answers)) => answers,
            Some(_) => {
                return self.stop(Ending::denied("journal", "the journal has an answer that no call gets"));
            }
            None => {
                self.keeps_no_secret(&question)?;
                let answers = match self.planned_answers(&calls)? {
                    Some(answers) => answers,
                    None => self.ask_others(&calls).await?,
                };
                self.note(question, Answer::Invoked(answers.clone()))?;
                answers
            }
        };
        self.seen.invoked.push(PlannedCalls { calls, answers: answers.clone() });
        Ok(answers)
    }

    /// Takes note of calls that nobody waits for any more. Their own receipts name this run.
    pub(super) fn cut_short(&mut self) {
        let Some(calls) = self.calling.take() else { return };
        let why = || CallError::Failed("the run ended before it was answered".to_owned());
        let answers =
            calls.iter().map(|_| Invoked { run: None, milliseconds: 0, outcome: Err(why()) }).collect();
        self.seen.invoked.push(PlannedCalls { calls, answers });
    }

    /// In the apply phase, what the plan was made with. Calls that the plan does not have there are a deviation.
    fn planned_answers(&mut self, calls: &[Call]) -> Result<Option<Vec<Invoked>>, Stop> {
        let number = self.seen.invoked.len();
        let Phase::Apply(applying) = &self.seen.phase else { return Ok(None) };
        match applying.calls(number, calls) {
            Ok(answers) => Ok(Some(answers)),
            Err(ending) => self.stop(ending),
        }
    }

    /// Has the calls made. One that is not granted is a denial like that of a request.
    async fn ask_others(&mut self, calls: &[Call]) -> Result<Vec<Invoked>, Stop> {
        let granted = self.rights.invoke.clone();
        if let Err(why) = self.sender.trail().0.ready() {
            return self.stop(Ending::denied("audit", why));
        }
        for call in calls.iter().filter(|call| !granted.contains(&call.capability)) {
            let (trail, phase) = self.sender.trail();
            trail.not_called(phase, &call.capability);
            let what = clip(&visible(&self.veil(&format!("invoke {}", call.capability))), MAX_REPORT);
            self.note_refused(&what, None);
        }
        self.calling = Some(calls.to_vec());
        let answers = self.caller.call(calls, |name| granted.contains(name)).await;
        self.calling = None;
        let (trail, phase) = self.sender.trail();
        for (call, answer) in
            calls.iter().zip(&answers).filter(|(call, _)| granted.contains(&call.capability))
        {
            trail.called(phase, &call.capability, answer);
        }
        Ok(answers)
    }
}
