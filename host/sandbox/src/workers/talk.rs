//! What host and guest's process say during one run. The process is not trusted: whatever it sends, or does not send, ends
//! the run in order.
//!
//! In this order: the process gets its order, says what it is confined by, and is told to begin; from there the time of
//! the run counts. One that has run before stays confined as it was, so it is told to begin in the same breath, and says so
//! again before all else. The process asks, the broker answers, one question at a time. Each time: a question that comes after
//! the run was stopped is a fault; one that comes after the time is over or the run was cancelled is not asked; a read is
//! given up if the process ends meanwhile; a change is never cut short; an answer that comes after the time is not handed
//! on. A process that does not end its guest in time is ended from outside a little later, and not during a change.
//!
//! What a process that has run before says is waited for by this thread first, for [`SOON`]: most runs are
//! over by then. From there the runtime waits, for the socket and for all else.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, send};
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::process::Process;
use crate::bounds::panic_text;
use crate::broker::{Broker, Moment, Stop};
use crate::confine::{self, Confinement};
use crate::describe;
use crate::job::{End, Job, Limits, Printed};
use crate::stdio::KEPT_BYTES;
use crate::text;
use crate::wire::{
    self, DESCRIBED, Described, Inbox, REFUSALS, Said, TO_HOST, TO_WORKER, Task, ToHost, ToWorker,
};

/// How long a process may take until it is confined. It has only to be started, and machines can be busy.
const START: Duration = Duration::from_secs(30);

/// How long one may take that has run before, and waits for its order.
const AGAIN: Duration = Duration::from_secs(2);

/// How much longer than its limit a run may take before its process is ended from outside. It ends the guest itself, and
/// then tells what was printed.
const GRACE: Duration = Duration::from_secs(5);

/// The longest message of a process that comes up, in bytes.
const UP: usize = 64 << 10;

/// How long the thread that hears a process which has run before waits for it by itself.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Without waiting, and without a signal where nobody hears it.
const NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// More bytes than any guest prints. Receipts have no place for greater numbers.
const MOST_PRINTED: u64 = 1 << 48;

/// Why a run did not end as its process says.
#[derive(Debug)]
pub(super) enum Fault {
    /// Somebody cancelled the run.
    Cancelled,
    /// It ran longer than it may, and its process did not end it.
    Overdue,
    /// It did not begin, and ends like this.
    Refused(End),
    /// The broker panicked.
    Panicked(String),
    /// Its process did not come up in this time.
    Silent(Duration),
    /// Its process said something that it may not say.
    Said(String),
    /// Its process has closed the socket.
    Gone,
}

/// What a process said at the end of a run.
pub(super) struct Told {
    pub(super) end: End,
    pub(super) stdout: Printed,
    pub(super) stderr: Printed,
    pub(super) peak_memory: u64,
    /// Whether the process may be used again.
    pub(super) in_order: bool,
}

/// What came first.
enum First<T> {
    Done(T),
    Said(Vec<u8>),
}

/// A run as the host sees it.
pub(super) struct Talk<'a> {
    socket: &'a UnixStream,
    /// The socket as the runtime knows it, once it has to.
    watched: Option<Arc<net::UnixStream>>,
    inbox: &'a mut Inbox,
    confined: &'a mut Option<Confinement>,
    /// Whether it has run before.
    is_warm: bool,
    job: Option<&'a Job>,
    needs_landlock: bool,
    limits: Limits,
    cancel: watch::Receiver<bool>,
    /// When the guest's first instruction could run.
    began: Option<Instant>,
    /// How long the process may take until it is about to begin.
    come_up: Duration,
    /// When the process is ended from outside.
    deadline: Instant,
    /// How the run ends, once the host has decided it.
    decided: Option<End>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(process: &'a mut Process, job: &'a Job) -> Self {
        Self::with(process, Some(job), job.needs_landlock, job.limits, job.cancel.clone())
    }

    pub(super) fn describing(process: &'a mut Process, needs_landlock: bool) -> Self {
        let (_nobody, cancel) = watch::channel(false);
        let limits = Limits { memory: 0, time: describe::REAL_TIME, output: 0 };
        Self::with(process, None, needs_landlock, limits, cancel)
    }

    fn with(
        process: &'a mut Process,
        job: Option<&'a Job>,
        needs_landlock: bool,
        limits: Limits,
        cancel: watch::Receiver<bool>,
    ) -> Self {
        process.runs = process.runs.saturating_add(1);
        let Process { socket, inbox, confined, .. } = process;
        let is_warm = confined.is_some();
        let come_up = if is_warm { AGAIN } else { START };
        Self {
            socket,
            watched: None,
            inbox,
            confined,
            is_warm,
            job,
            needs_landlock,
            limits,
            cancel,
            began: None,
            deadline: Instant::now() + come_up,
            come_up,
            decided: None,
        }
    }

    pub(super) fn confined(&self) -> Option<Confinement> {
        *self.confined
    }

    /// When the guest's first instruction could run.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// One run, from its job to its end. Where it begins is asked once, and noted for a process that takes the place of this
    /// one.
    pub(super) async fn run(
        &mut self,
        broker: &mut dyn Broker,
        begins: &mut Option<Moment>,
    ) -> Result<Told, Fault> {
        let Some(job) = self.job else { return Err(Fault::Said("no job".to_owned())) };
        let order = framed(&ToWorker::Run(Box::new(Task::of(job))))?;
        if self.is_warm {
            let moment = noted(begins, broker).await?;
            self.go_on_with(order, moment).await?;
        } else {
            self.come_up(order).await?;
            let moment = noted(begins, broker).await?;
            self.begin(moment).await?;
        }
        loop {
            let said = self.hear(TO_HOST).await?;
            let said = match parsed(&said)? {
                ToHost::Ran { end, printed, peak_memory } => {
                    return self.last(end, printed, peak_memory).await;
                }
                question => self.answer(question, broker).await?,
            };
            // It has ended while it was answered.
            match said.map(|said| parsed(&said)).transpose()? {
                None => {}
                Some(ToHost::Ran { end, printed, peak_memory }) => {
                    let told = self.last(end, printed, peak_memory).await?;
                    return Ok(Told { in_order: false, ..told });
                }
                Some(_) => return Err(Fault::Said("a question while another is asked".to_owned())),
            }
        }
    }

    /// Asks the component what it is.
    pub(super) async fn describe(&mut self) -> Result<Described, Fault> {
        self.confine().await?;
        self.begin(Moment { clock: 0, replaying: false }).await?;
        parsed(&self.hear(DESCRIBED).await?)
    }

    /// Has a new process confined as it is for a description, and nothing run.
    pub(super) async fn confine(&mut self) -> Result<Confinement, Fault> {
        self.come_up(framed(&ToWorker::Describe { needs_landlock: self.needs_landlock })?).await
    }

    /// Gives a new process its order, and hears what it is confined by. From here the run's time counts.
    async fn come_up(&mut self, order: Vec<u8>) -> Result<Confinement, Fault> {
        let come_up = self.come_up;
        let silent = |fault| if matches!(fault, Fault::Overdue) { Fault::Silent(come_up) } else { fault };
        self.send(&order).await.map_err(silent)?;
        let confined = self.hear_confined().await?;
        self.admit(confined)?;
        self.count_from(Instant::now());
        Ok(confined)
    }

    /// Gives a process that has run before its order, and lets the guest begin. From here the run's time counts.
    async fn go_on_with(&mut self, order: Vec<u8>, moment: Moment) -> Result<(), Fault> {
        if let Some(confined) = *self.confined {
            self.admit(confined)?;
        }
        let frames = [order, framed(&ToWorker::Begin(moment))?].concat();
        let now = Instant::now();
        self.began = Some(now);
        let come_up = self.come_up;
        let silent = |fault| if matches!(fault, Fault::Overdue) { Fault::Silent(come_up) } else { fault };
        self.send(&frames).await.map_err(silent)?;
        self.hear_confined().await?;
        self.count_from(now);
        Ok(())
    }

    /// Hears what the process is confined by, which is the first that it says.
    async fn hear_confined(&mut self) -> Result<Confinement, Fault> {
        let come_up = self.come_up;
        let silent = |fault| if matches!(fault, Fault::Overdue) { Fault::Silent(come_up) } else { fault };
        let confined = match parsed(&self.hear(UP).await.map_err(silent)?)? {
            ToHost::Confined(confined) => confined,
            ToHost::Ran { end: End::NotStarted(why), .. } => {
                return Err(Fault::Refused(End::NotStarted(text::one_line(&why))));
            }
            ToHost::Ran { end: End::Unconfined(why), .. } => {
                return Err(Fault::Refused(End::Unconfined(text::one_line(&why))));
            }
            _ => return Err(Fault::Said("a word before it was confined".to_owned())),
        };
        // What is in force stays in force, so one that runs again says the same again.
        if *self.confined.get_or_insert(confined) != confined {
            return Err(Fault::Said("another confinement than before".to_owned()));
        }
        Ok(confined)
    }

    /// Whether a process that is confined like this may run.
    fn admit(&self, confined: Confinement) -> Result<(), Fault> {
        if self.needs_landlock && confined.landlock.is_none() {
            return Err(Fault::Refused(confine::no_landlock()));
        }
        Ok(())
    }

    fn count_from(&mut self, now: Instant) {
        self.began = Some(now);
        self.deadline = later(now, self.limits.time.saturating_add(GRACE));
    }

    /// Lets the guest begin.
    async fn begin(&mut self, moment: Moment) -> Result<(), Fault> {
        self.send(&framed(&ToWorker::Begin(moment))?).await
    }

    /// Answers a question. If the process says something before it has the answer, that is returned.
    async fn answer(&mut self, question: ToHost, broker: &mut dyn Broker) -> Result<Option<Vec<u8>>, Fault> {
        if self.decided.is_some() {
            return Err(Fault::Said("a question after its run was stopped".to_owned()));
        }
        let is_over = self.is_over();
        let answer = match question {
            ToHost::Fetch(request) => {
                let asked = async { if is_over { Err(Stop) } else { broker.fetch(request).await } };
                match self.beside(TO_HOST, caught(asked)).await? {
                    First::Said(said) => return Ok(Some(said)),
                    First::Done(answer) => {
                        let (answer, moment) = self.moment(answer?, broker).await?;
                        Said::Fetched(answer, moment).into()
                    }
                }
            }
            ToHost::FetchUrl(request) => {
                let asked = async { if is_over { Err(Stop) } else { broker.fetch_url(request).await } };
                match self.beside(TO_HOST, caught(asked)).await? {
                    First::Said(said) => return Ok(Some(said)),
                    First::Done(answer) => {
                        let (answer, moment) = self.moment(answer?, broker).await?;
                        Said::Fetched(answer, moment).into()
                    }
                }
            }
            ToHost::Invoke(calls) => {
                let asked = async { if is_over { Err(Stop) } else { broker.invoke(calls).await } };
                match self.beside(TO_HOST, caught(asked)).await? {
                    First::Said(said) => return Ok(Some(said)),
                    First::Done(answer) => {
                        let (answers, moment) = self.moment(answer?, broker).await?;
                        Said::Invoked(answers, moment).into()
                    }
                }
            }
            ToHost::Perform(effect) => {
                // Not beside anything: once begun it comes to its end, whatever becomes of the guest.
                let answer =
                    caught(async { if is_over { Err(Stop) } else { broker.perform(effect).await } }).await?;
                self.deadline = self.deadline.max(later(Instant::now(), GRACE));
                let (answer, moment) = self.moment(answer, broker).await?;
                Said::Performed(answer, moment).into()
            }
            ToHost::Report(report) => {
                let answer =
                    caught(async { if is_over { Err(Stop) } else { broker.report(report).await } }).await?;
                self.stopped(answer.err());
                Said::Told(answer).into()
            }
            ToHost::Refused { method, why } => {
                let why =
                    REFUSALS.get(why).copied().ok_or_else(|| Fault::Said("no known refusal".to_owned()))?;
                let method: String = method.chars().filter(char::is_ascii_graphic).take(32).collect();
                let answer =
                    caught(async { if is_over { Err(Stop) } else { broker.refused(&method, why) } }).await?;
                self.stopped(answer.err());
                ToWorker::Heard(answer)
            }
            ToHost::Confined(_) | ToHost::Ran { .. } => {
                return Err(Fault::Said("a word out of its turn".to_owned()));
            }
        };
        self.tell(&framed(&answer)?).await
    }

    /// Tells the process something. If it says something before it has heard it, that is returned.
    async fn tell(&mut self, frames: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut frames = frames;
        match send(self.socket, frames, NOW) {
            Ok(count) if count == frames.len() => return Ok(None),
            Ok(count) => frames = frames.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(Fault::Gone),
        }
        let watched = self.watched()?;
        match self.beside(TO_HOST, send_all(watched, frames)).await? {
            First::Said(said) => Ok(Some(said)),
            First::Done(sent) => sent.map(|()| None),
        }
    }

    /// The socket, known to the runtime.
    fn watched(&mut self) -> Result<Arc<net::UnixStream>, Fault> {
        if let Some(watched) = &self.watched {
            return Ok(watched.clone());
        }
        let refuse = |error| Fault::Refused(End::NotStarted(format!("no socket for its process: {error}")));
        let watched = self.socket.try_clone().and_then(net::UnixStream::from_std).map_err(refuse)?;
        let watched = Arc::new(watched);
        self.watched = Some(watched.clone());
        Ok(watched)
    }

    /// Where the run stands after an answer. An answer that comes when the time is over, or that stops the run, is none,
    /// and nobody asks.
    async fn moment<T>(
        &mut self,
        answer: Result<T, Stop>,
        broker: &mut dyn Broker,
    ) -> Result<(Result<T, Stop>, Moment), Fault> {
        let moment = match &answer {
            Ok(_) => caught(async { broker.now() }).await?,
            Err(Stop) => Moment { clock: 0, replaying: false },
        };
        let answer = if self.is_over() { Err(Stop) } else { answer };
        self.stopped(answer.as_ref().err().copied());
        Ok((answer, moment))
    }

    /// Notes that the run ends with this answer, if it does.
    fn stopped(&mut self, stop: Option<Stop>) {
        if stop.is_some() {
            self.decided = Some(match self.is_over() {
                true if *self.cancel.borrow() => End::Cancelled,
                true => End::OutOfTime,
                false => End::Stopped,
            });
        }
    }

    /// Whether nothing more may be asked.
    fn is_over(&self) -> bool {
        *self.cancel.borrow() || self.began.is_some_and(|began| began.elapsed() >= self.limits.time)
    }

    /// What a process says at the end of a run, as far as it can be believed.
    async fn last(&mut self, end: End, printed: [u64; 2], peak_memory: u64) -> Result<Told, Fault> {
        let most = usize::try_from(self.limits.output).unwrap_or(usize::MAX);
        let no_text = |_| Fault::Said("an output that is no text".to_owned());
        let end = match end {
            End::Output(_) => End::Output(String::from_utf8(self.hear(most).await?).map_err(no_text)?),
            End::Trapped(why) => End::Trapped(text::one_line(&why)),
            End::NotStarted(why) => End::NotStarted(text::one_line(&why)),
            End::HostPanicked(why) => End::HostPanicked(text::one_line(&why)),
            // These the host itself decides, and says so.
            End::Stopped | End::Cancelled if self.decided.is_none() => {
                return Err(Fault::Said("an end that nobody asked for".to_owned()));
            }
            End::Lost(_) | End::Unconfined(_) => {
                return Err(Fault::Said("an end that it cannot have".to_owned()));
            }
            other => other,
        };
        let [stdout, stderr] = printed;
        let stdout = printed_as(self.hear(KEPT_BYTES).await?, stdout);
        let stderr = printed_as(self.hear(KEPT_BYTES).await?, stderr);
        let returned = matches!(end, End::Output(_) | End::Failed(_));
        let in_order = returned && self.decided.is_none() && self.inbox.is_empty();
        let end = self.decided.take().unwrap_or(end);
        Ok(Told { end, stdout, stderr, peak_memory: peak_memory.min(self.limits.memory), in_order })
    }

    /// The next frame.
    async fn hear(&mut self, most: usize) -> Result<Vec<u8>, Fault> {
        if let Some(frame) = self.inbox.frame(most).map_err(said)? {
            return Ok(frame);
        }
        if self.is_warm
            && self.is_near()
            && taken(self.inbox.fill(self.socket, RecvFlags::DONTWAIT))?
            && let Some(frame) = self.inbox.frame(most).map_err(said)?
        {
            return Ok(frame);
        }
        match self.beside(most, pending::<Infallible>()).await? {
            First::Said(frame) => Ok(frame),
            First::Done(never) => match never {},
        }
    }

    /// Whether something comes soon.
    fn is_near(&self) -> bool {
        poll(&mut [PollFd::new(self.socket, PollFlags::IN)], Some(&SOON)).is_ok_and(|count| count > 0)
    }

    /// Tells the process something while it has nothing to say.
    async fn send(&mut self, frames: &[u8]) -> Result<(), Fault> {
        match self.tell(frames).await? {
            None => Ok(()),
            Some(_) => Err(Fault::Said("a word before it was asked to begin".to_owned())),
        }
    }

    /// Waits for this, for the next frame, for the wish to cancel, and for the end of the time, whichever comes first.
    async fn beside<T>(&mut self, most: usize, work: impl Future<Output = T>) -> Result<First<T>, Fault> {
        let mut work = pin!(work);
        // What is done at once needs nobody who waits.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return Ok(First::Done(done));
        }
        let watched = self.watched()?;
        let Self { inbox, cancel, deadline, .. } = self;
        tokio::select! {
            biased;
            done = work => Ok(First::Done(done)),
            frame = frame(&watched, inbox, most) => frame.map(First::Said),
            () = cancelled(cancel) => Err(Fault::Cancelled),
            () = sleep_until(*deadline) => Err(Fault::Overdue),
        }
    }
}

/// Where the run begins, which is asked once.
async fn noted(begins: &mut Option<Moment>, broker: &mut dyn Broker) -> Result<Moment, Fault> {
    match *begins {
        Some(moment) => Ok(moment),
        None => Ok(*begins.insert(caught(async { broker.now() }).await?)),
    }
}

/// A message as a frame. None is as long as to be refused: the longest has an answer of a binding's largest size.
fn framed(message: &ToWorker) -> Result<Vec<u8>, Fault> {
    wire::frame_of(message, TO_WORKER)
        .map_err(|error| Fault::Refused(End::NotStarted(format!("its process cannot be told: {error}"))))
}

/// The next frame. What was received is kept if this is given up.
async fn frame(watched: &net::UnixStream, inbox: &mut Inbox, most: usize) -> Result<Vec<u8>, Fault> {
    loop {
        if let Some(frame) = inbox.frame(most).map_err(said)? {
            return Ok(frame);
        }
        watched.readable().await.map_err(|_| Fault::Gone)?;
        taken(watched.try_io(Interest::READABLE, || inbox.fill(watched, RecvFlags::DONTWAIT)))?;
    }
}

/// Whether something was taken, of a socket that may have nothing yet.
fn taken(filled: io::Result<()>) -> Result<bool, Fault> {
    match filled {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(_) => Err(Fault::Gone),
    }
}

fn said(error: io::Error) -> Fault {
    Fault::Said(error.to_string())
}

/// Sends all of it. What the process has said before it closed the socket can still be heard.
async fn send_all(watched: Arc<net::UnixStream>, mut frames: &[u8]) -> Result<(), Fault> {
    while !frames.is_empty() {
        watched.writable().await.map_err(|_| Fault::Gone)?;
        match watched.try_io(Interest::WRITABLE, || Ok(send(&watched, frames, NOW)?)) {
            Ok(count) => frames = frames.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Fault::Gone),
        }
    }
    Ok(())
}

async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could cancel.
    if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
        pending().await
    }
}

/// Waits for the broker, and catches its panics.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    let mut work = pin!(work);
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))).map_or_else(
            |panic| Poll::Ready(Err(Fault::Panicked(panic_text(&*panic)))),
            |polled| polled.map(Ok),
        )
    })
    .await
}

fn parsed<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(frame).map_err(|_| Fault::Said("something that is no message".to_owned()))
}

/// What was printed, as far as it can be believed.
fn printed_as(kept: Vec<u8>, total: u64) -> Printed {
    let total = total.clamp(kept.len() as u64, MOST_PRINTED);
    Printed { kept, total }
}

/// A time beyond what the clock can show is a century away, which is as good as never.
fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now + Duration::from_secs(3_153_600_000))
}
