//! The host's side of `ops:capability/*`: each call is turned into a plain message, handed to the broker, and its
//! answer turned back.
//!
//! In this order: a run that has to end asks nothing more; the broker answers; the guest's clock moves to where the
//! broker says; and a run whose time went by meanwhile ends before the guest sees the answer.

use ops_policy::message::Report;
use wasmtime::Result;

use crate::bindings::ops::capability::{effects, fetch, invoke, report, types};
use crate::bounds::Halt;
use crate::broker::Stop;
use crate::convert;
use crate::state::State;

impl From<Stop> for Halt {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

impl State {
    /// Fails if the run has to end.
    fn go_on(&self) -> Result<(), Halt> {
        self.bounds.due().map_or(Ok(()), Err)
    }

    /// Asks where the run stands, before the guest's first instruction.
    pub(crate) async fn begin(&self) {
        self.clock.arrive(self.broker.lock().await.now());
    }

    async fn tell(&mut self, report: Report) -> Result<()> {
        Ok(self.broker.lock().await.report(report).await.map_err(Halt::from)?)
    }
}

impl types::Host for State {}

impl fetch::Host for State {
    async fn fetch(&mut self, request: types::Request) -> Result<Result<types::Response, types::NetError>> {
        let mut broker = self.broker.lock().await;
        self.go_on()?;
        let answer = broker.fetch(convert::request(request)).await.map_err(Halt::from)?;
        self.clock.arrive(broker.now());
        drop(broker);
        self.go_on()?;
        Ok(answer.map(convert::response).map_err(convert::net_error))
    }
}

impl effects::Host for State {
    async fn perform(
        &mut self,
        effect: effects::Effect,
    ) -> Result<Result<effects::Outcome, types::NetError>> {
        let mut broker = self.broker.lock().await;
        self.go_on()?;
        let performing = self.bounds.performing();
        let answer = broker.perform(convert::effect(effect)).await;
        drop(performing);
        let answer = answer.map_err(Halt::from)?;
        self.clock.arrive(broker.now());
        drop(broker);
        self.go_on()?;
        Ok(answer.map(convert::outcome).map_err(convert::net_error))
    }
}

impl invoke::Host for State {
    async fn invoke(&mut self, calls: Vec<invoke::Call>) -> Result<Vec<invoke::Answer>> {
        let mut broker = self.broker.lock().await;
        self.go_on()?;
        let calls = calls.into_iter().map(convert::call).collect();
        let answers = broker.invoke(calls).await.map_err(Halt::from)?;
        self.clock.arrive(broker.now());
        drop(broker);
        self.go_on()?;
        Ok(answers.into_iter().map(convert::invoked).collect())
    }
}

impl report::Host for State {
    async fn log(&mut self, level: report::Level, message: String) -> Result<()> {
        self.tell(Report::Log { level: convert::level(level), message }).await
    }

    async fn progress(&mut self, done: u64, total: Option<u64>, message: String) -> Result<()> {
        self.tell(Report::Progress { done, total, message }).await
    }
}
