//! Answers a guest from a tape, and from nothing else: nothing is sent, nothing is written down.
//!
//! A question that is not the recorded one stops the guest, and so does one after the tape's end; which of the two it
//! was is kept here.

use std::future::ready;
use std::sync::Arc;

use ops_policy::message::{Call, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use ops_policy::visible;
use ops_sandbox::broker::{self, Broker, HttpRequest, Moment, Stop};
use tokio::sync::Notify;

use crate::journal::{Answer, Question, Tape};

/// Why a guest was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// It asked this when the tape had ended.
    PastEnd(String),
    /// It asked something else than the tape has next.
    Different(String),
}

/// Answers one guest in one phase.
pub(super) struct ReplayBroker {
    tape: Tape,
    clock: u64,
    /// How many answers were given.
    pub(super) answers: usize,
    /// How many of them to effects.
    pub(super) effects: usize,
    pub(super) halt: Option<Halt>,
    /// Told when the tape has ended.
    ended: Arc<Notify>,
}

impl ReplayBroker {
    pub(super) fn new(tape: Tape, ended: Arc<Notify>) -> Self {
        if !tape.is_playing() {
            ended.notify_one();
        }
        Self { tape, clock: 0, answers: 0, effects: 0, halt: None, ended }
    }

    /// How many answers nobody asked for.
    pub(super) fn left(&self) -> usize {
        self.tape.left()
    }

    fn stop<T>(&mut self, halt: Halt) -> Result<T, Stop> {
        self.halt.get_or_insert(halt);
        Err(Stop)
    }

    fn answer(&mut self, question: &Question) -> Result<Answer, Stop> {
        match self.tape.next(question) {
            Ok(Some(entry)) => {
                if !self.tape.is_playing() {
                    self.ended.notify_one();
                }
                self.answers += 1;
                self.clock = entry.clock;
                Ok(entry.answer)
            }
            Ok(None) => self.stop(Halt::PastEnd(question.to_string())),
            Err(difference) => self.stop(Halt::Different(difference.to_string())),
        }
    }

    fn read(&mut self, question: &Question) -> Result<Result<Response, NetError>, Stop> {
        match self.answer(question)? {
            Answer::Response(response) => Ok(Ok(response)),
            Answer::Error(error) => Ok(Err(error)),
            Answer::Planned | Answer::Refused | Answer::Invoked(_) => {
                self.stop(Halt::Different("the recording has an answer that no read gets".into()))
            }
        }
    }

    fn change(&mut self, question: &Question) -> Result<Result<Outcome, NetError>, Stop> {
        self.effects += 1;
        match self.answer(question)? {
            Answer::Planned => Ok(Ok(Outcome::Planned)),
            Answer::Response(response) => Ok(Ok(Outcome::Performed(response))),
            Answer::Error(error) => Ok(Err(error)),
            Answer::Refused | Answer::Invoked(_) => {
                self.stop(Halt::Different("the recording has an answer that no effect gets".into()))
            }
        }
    }
}

impl Broker for ReplayBroker {
    fn fetch(&mut self, request: Request) -> broker::Answer<'_, Result<Response, NetError>> {
        Box::pin(ready(self.read(&Question::Fetch(request))))
    }

    fn fetch_url(&mut self, request: HttpRequest) -> broker::Answer<'_, Result<Response, NetError>> {
        Box::pin(ready(self.read(&Question::FetchUrl(request))))
    }

    fn refused(&mut self, method: &str, why: &str) -> Result<(), Stop> {
        let question = Question::Malformed { method: visible::clip(method, 32), why: why.to_owned() };
        self.answer(&question).map(|_| ())
    }

    fn perform(&mut self, effect: Effect) -> broker::Answer<'_, Result<Outcome, NetError>> {
        Box::pin(ready(self.change(&Question::Perform(effect))))
    }

    fn invoke(&mut self, calls: Vec<Call>) -> broker::Answer<'_, Vec<Invoked>> {
        let answer = match self.answer(&Question::Invoke(calls)) {
            Ok(Answer::Invoked(answers)) => Ok(answers),
            Ok(_) => self.stop(Halt::Different("the recording has an answer that no call gets".into())),
            Err(Stop) => Err(Stop),
        };
        Box::pin(ready(answer))
    }

    fn report(&mut self, _: Report) -> broker::Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn now(&mut self) -> Moment {
        Moment { clock: self.clock, replaying: true }
    }
}
