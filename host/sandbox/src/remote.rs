//! The broker of a guest's process: it hands each wish to the host, and waits for the host's answer.
//!
//! Whole messages go out one after the other, so that the host never finds half of one before the next. What comes in is
//! read by a thread of its own ([`listen`]): it ends the process as soon as the host is gone, whatever the guest does.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};

use ops_policy::message::{Call, CallError, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use crate::confine::Confinement;
use crate::wire::{self, REFUSALS, Said, TO_HOST, Task, ToHost, ToWorker};

/// How much of a report's text is handed on where it is too long for a message, in characters. People see less.
const REPORT: usize = 64 << 10;

/// The process's end of the socket. Clones are the same.
#[derive(Clone)]
pub(crate) struct Host(Arc<UnixStream>);

impl Host {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self(Arc::new(socket))
    }

    /// The next message from the host. A host that is gone, or does not speak as agreed, ends the process.
    pub(crate) fn read(&self) -> ToWorker {
        wire::read(&*self.0).unwrap_or_else(|_| gone())
    }

    /// Tells the host something. `false` if it is too long.
    pub(crate) fn tell(&self, message: &ToHost) -> bool {
        wire::frame_of(message, TO_HOST).map(|frame| self.say(&frame)).is_ok()
    }

    /// Sends whole frames.
    pub(crate) fn say(&self, frames: &[u8]) {
        if (&*self.0).write_all(frames).is_err() {
            gone();
        }
    }

    /// Says nothing more, so that the host knows at once.
    pub(crate) fn close(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Without its host a guest's process has nothing to do.
fn gone() -> ! {
    std::process::exit(0)
}

/// What is to be done with the component.
pub(crate) enum Order {
    Run(Box<Task>),
    Describe { needs_landlock: bool },
}

/// Hands on what the host says: each order when it is time to begin, and answers. `first` is an order that was read before,
/// by a process that is confined like this; that it is, it says again for each order that comes later.
pub(crate) fn listen(
    host: Host,
    first: Order,
    confined: Confinement,
) -> std::io::Result<(mpsc::Receiver<(Order, Moment)>, RemoteBroker)> {
    let (tell_order, orders) = mpsc::channel();
    let (tell_answer, answers) = unbounded_channel();
    let (tell_heard, heard) = mpsc::channel();
    let broker =
        RemoteBroker { host: host.clone(), answers, heard, moment: Moment { clock: 0, replaying: false } };
    std::thread::Builder::new().name("ops-listener".to_owned()).spawn(move || {
        let mut order = Some(first);
        loop {
            let handed_on = match host.read() {
                ToWorker::Run(task) => {
                    host.tell(&ToHost::Confined(confined)) && order.replace(Order::Run(task)).is_none()
                }
                // Of a process that has not run anything, and so its first order.
                ToWorker::Describe { .. } => false,
                ToWorker::Begin(moment) => {
                    order.take().is_some_and(|order| tell_order.send((order, moment)).is_ok())
                }
                ToWorker::Answer(said) => tell_answer.send(*said).is_ok(),
                ToWorker::Heard(heard) => tell_heard.send(heard).is_ok(),
            };
            if !handed_on {
                gone();
            }
        }
    })?;
    Ok((orders, broker))
}

/// Answers a guest with what the host says.
pub(crate) struct RemoteBroker {
    host: Host,
    answers: UnboundedReceiver<Said>,
    heard: mpsc::Receiver<Result<(), Stop>>,
    moment: Moment,
}

impl RemoteBroker {
    /// Before the guest's first instruction.
    pub(crate) fn begin(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// Asks the host. `None` where the question is too long to be asked.
    async fn ask(&mut self, question: &ToHost) -> Option<Said> {
        if !self.host.tell(question) {
            return None;
        }
        Some(self.answers.recv().await.unwrap_or_else(|| gone()))
    }

    async fn read(&mut self, question: ToHost) -> Result<Result<Response, NetError>, Stop> {
        match self.ask(&question).await {
            Some(Said::Fetched(answer, moment)) => {
                self.moment = moment;
                answer
            }
            Some(_) => gone(),
            None => Ok(Err(too_long())),
        }
    }
}

/// A request that no rule could let through.
fn too_long() -> NetError {
    NetError::InvalidRequest("the request is too long".to_owned())
}

impl Broker for RemoteBroker {
    fn fetch(&mut self, request: Request) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(self.read(ToHost::Fetch(request)))
    }

    fn fetch_url(&mut self, request: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(self.read(ToHost::FetchUrl(request)))
    }

    fn refused(&mut self, method: &str, why: &str) -> Result<(), Stop> {
        let last = REFUSALS.len().saturating_sub(1);
        let why = REFUSALS.iter().position(|text| *text == why).unwrap_or(last);
        self.host.tell(&ToHost::Refused { method: method.to_owned(), why });
        // The host answers at once, and nothing else can happen before it does.
        self.heard.recv().unwrap_or_else(|_| gone())
    }

    fn perform(&mut self, effect: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async move {
            match self.ask(&ToHost::Perform(effect)).await {
                Some(Said::Performed(answer, moment)) => {
                    self.moment = moment;
                    answer
                }
                Some(_) => gone(),
                None => Ok(Err(too_long())),
            }
        })
    }

    fn invoke(&mut self, calls: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(async move {
            let count = calls.len();
            match self.ask(&ToHost::Invoke(calls)).await {
                Some(Said::Invoked(answers, moment)) => {
                    self.moment = moment;
                    answers
                }
                Some(_) => gone(),
                None => {
                    let why = || CallError::Failed("the calls are too long".to_owned());
                    let answer = || Invoked { run: None, milliseconds: 0, outcome: Err(why()) };
                    Ok(std::iter::repeat_with(answer).take(count).collect())
                }
            }
        })
    }

    fn report(&mut self, report: Report) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut report = report;
            let (Report::Log { message, .. } | Report::Progress { message, .. }) = &mut report;
            if message.len() > REPORT {
                *message = message.chars().take(REPORT).collect();
            }
            match self.ask(&ToHost::Report(report)).await {
                Some(Said::Told(answer)) => answer,
                _ => gone(),
            }
        })
    }

    fn now(&mut self) -> Moment {
        self.moment
    }
}
