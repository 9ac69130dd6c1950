//! The broker of a guest's process: it hands each wish to the host, and waits for the host's answer.
//!
//! Whole messages go out one after the other, so that the host never finds half of one before the next. That a process is
//! confined, where its host knows it, goes out with whatever comes next ([`Host::hold`]), and at the latest with a tick of the
//! watchdog ([`Host::tick`]), which also ends the process when its host is gone, whatever the guest does.
//!
//! There is one thread that speaks and hears, the guest's. Only an answer that is long in coming is waited for by another
//! one, so that the guest's time goes on meanwhile.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, mpsc};
use std::time::Duration;

use ops_policy::message::{Call, CallError, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::oneshot;

use crate::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use crate::wire::{self, Inbox, REFUSALS, Said, TO_HOST, TO_WORKER, ToHost, ToWorker};

/// How much of a report's text is handed on where it is too long for a message, in characters. People see less.
const REPORT: usize = 64 << 10;

/// How long an answer may be in coming before another thread waits for it. The guest's limits are looked at no later.
const SOON: Duration = Duration::from_millis(5);

/// The process's end of the socket. Clones are the same.
#[derive(Clone)]
pub(crate) struct Host(Arc<Line>);

struct Line {
    socket: UnixStream,
    /// What came and was not looked at.
    inbox: Mutex<Inbox>,
    /// What goes out with the next message.
    held: Mutex<Vec<u8>>,
    /// Hears what is long in coming, for whoever asks.
    listener: OnceLock<mpsc::Sender<oneshot::Sender<ToWorker>>>,
}

impl Host {
    pub(crate) fn new(socket: UnixStream) -> Self {
        let (inbox, held, listener) = (Mutex::default(), Mutex::default(), OnceLock::new());
        Self(Arc::new(Line { socket, inbox, held, listener }))
    }

    /// The next message from the host. A host that is gone, or does not speak as agreed, ends the process.
    pub(crate) fn read(&self) -> ToWorker {
        let mut inbox = self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox
            .next(&self.0.socket, TO_WORKER)
            .and_then(|frame| wire::parsed(&frame))
            .unwrap_or_else(|_| gone())
    }

    /// The same, for one who does other things meanwhile.
    async fn hear(&self) -> ToWorker {
        if self.is_near(SOON) {
            return self.read();
        }
        let listener = self.0.listener.get_or_init(|| listen(self.clone()).unwrap_or_else(|_| gone()));
        let (tell, told) = oneshot::channel();
        if listener.send(tell).is_err() {
            gone();
        }
        told.await.unwrap_or_else(|_| gone())
    }

    /// Whether something comes within this time.
    fn is_near(&self, time: Duration) -> bool {
        let has_more = !self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let mut socket = [PollFd::new(&self.0.socket, PollFlags::IN)];
        has_more || poll(&mut socket, Some(&time)).is_ok_and(|count| count > 0)
    }

    /// Tells the host something. `false` if it is too long.
    pub(crate) fn tell(&self, message: &ToHost) -> bool {
        wire::frame_of(message, TO_HOST).map(|frame| self.say(&frame)).is_ok()
    }

    /// Tells the host something with what it is told next.
    pub(crate) fn hold(&self, message: &ToHost) {
        if let Ok(frame) = wire::frame_of(message, TO_HOST) {
            self.held().extend(frame);
        }
    }

    /// Sends whole frames.
    pub(crate) fn say(&self, frames: &[u8]) {
        self.send(self.held(), frames);
    }

    fn send(&self, mut held: MutexGuard<'_, Vec<u8>>, frames: &[u8]) {
        // They are held on to until they are sent, so that no other message can come between.
        let sent = if held.is_empty() {
            (&self.0.socket).write_all(frames)
        } else {
            held.extend(frames);
            (&self.0.socket).write_all(&held)
        };
        held.clear();
        if sent.is_err() {
            gone();
        }
    }

    /// Sends what is held back, and ends the process if its host is gone. Of the watchdog, while a guest runs.
    pub(crate) fn tick(&self) {
        let held = match self.0.held.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            // Something is being sent, which finds out for itself.
            Err(TryLockError::WouldBlock) => return,
        };
        if !held.is_empty() {
            self.send(held, &[]);
        }
        let mut socket = [PollFd::new(&self.0.socket, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut socket, Some(&now)).is_ok_and(|count| count > 0) {
            gone();
        }
    }

    /// Says nothing more, so that the host knows at once.
    pub(crate) fn close(&self) {
        let _ = self.0.socket.shutdown(Shutdown::Both);
    }

    fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without its host a guest's process has nothing to do.
fn gone() -> ! {
    std::process::exit(0)
}

/// Starts the thread that hears what is long in coming: one message for each that is wanted, and not one more.
fn listen(host: Host) -> io::Result<mpsc::Sender<oneshot::Sender<ToWorker>>> {
    let (want, wanted) = mpsc::channel::<oneshot::Sender<ToWorker>>();
    std::thread::Builder::new().name("ops-listener".to_owned()).spawn(move || {
        for tell in wanted {
            // The run may be over meanwhile; then the host ends this process.
            let _ = tell.send(host.read());
        }
    })?;
    Ok(want)
}

/// Answers a guest with what the host says.
pub(crate) struct RemoteBroker {
    host: Host,
    moment: Moment,
}

impl RemoteBroker {
    /// For a guest that begins at this moment.
    pub(crate) fn new(host: Host, moment: Moment) -> Self {
        Self { host, moment }
    }

    /// Asks the host. `None` where the question is too long to be asked.
    async fn ask(&mut self, question: &ToHost) -> Option<Said> {
        if !self.host.tell(question) {
            return None;
        }
        match self.host.hear().await {
            ToWorker::Answer(said) => Some(*said),
            _ => gone(),
        }
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
        match self.host.read() {
            ToWorker::Heard(heard) => heard,
            _ => gone(),
        }
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
