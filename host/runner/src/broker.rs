//! Who answers the guest: the wall's other side, in each phase of a run.
//!
//! Order in every answer: policy decides; in the apply phase the plan is compared; only then is anything sent. What
//! was asked and answered is written down in order, by the host and never by the guest. When the run must end, the
//! reason is kept here and the guest is told nothing.

mod calls;
mod effects;
pub(crate) mod url;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ops_ledger::audit;
use ops_policy::decide::{Allowed, Denial, Door, decide};
use ops_policy::digest::Digest;
use ops_policy::message::{Call, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use ops_policy::plan::{PlannedCalls, PlannedEffect, PlannedRead};
use ops_policy::rights::{GrantedService, Rights};
use ops_policy::visible;
use ops_sandbox::broker::{Answer, Broker, HttpRequest, Moment, Stop};

use crate::applying::Applying;
use crate::ending::Ending;
use crate::invoking::Caller;
use crate::journal::{self, Entry, Question, Tape};
use crate::sends::{Kind, SendFailure, Sender};

/// Reports that are passed on in one phase at most; the rest are counted.
const MAX_REPORTS: u64 = 1000;
/// Questions beyond the allowed requests that are still answered with a refusal; then the run ends.
const MAX_REFUSED: u64 = 100;
/// What a phase may ask with, all its questions together, in bytes: every one is kept for the journal, the refused ones
/// too.
const MAX_ASKED_BYTES: usize = 64 * 1024 * 1024;
/// The bodies of all effects of a plan together, in bytes: people have to read them.
const MAX_PLANNED_BYTES: usize = 32 * 1024 * 1024;
/// The longest report message that is passed on, in bytes.
const MAX_REPORT: usize = 500;

/// Where reports go.
pub type ReportSink = Arc<dyn Fn(&Report) + Send + Sync>;

/// Which phase the run is in.
pub(crate) enum Phase {
    /// A read-only run.
    Read,
    /// Effects are captured, nothing is sent.
    Plan {
        /// Whether effects on optional services that are not bound are captured too.
        dry_run: bool,
    },
    /// The approved effects are sent, and no others.
    Apply(Applying),
}

impl Phase {
    /// The phase in the audit log's words.
    pub(crate) fn audited(&self) -> audit::Phase {
        match self {
            Self::Read => audit::Phase::Read,
            Self::Plan { .. } => audit::Phase::Plan,
            Self::Apply(_) => audit::Phase::Apply,
        }
    }
}

/// Something that was refused to the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How often.
    pub count: u64,
    /// The lines of the binding that would allow it, for review, where lines would.
    pub suggestion: Option<String>,
}

/// What was asked and answered in one phase.
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    pub(crate) reads: Vec<PlannedRead>,
    pub(crate) captured: Vec<PlannedEffect>,
    /// The calls of other capabilities that were answered.
    pub(crate) invoked: Vec<PlannedCalls>,
    /// What was refused, in words.
    pub(crate) denied: BTreeMap<String, Refused>,
    /// Every question with its answer, in order.
    pub(crate) journal: Vec<Entry>,
    /// Why the run was stopped from here.
    pub(crate) ending: Option<Ending>,
}

/// Answers one guest in one phase.
pub(crate) struct RunBroker {
    rights: Arc<Rights>,
    sender: Sender,
    caller: Caller,
    /// The calls that are under way. Where the run's time ends meanwhile, nothing else tells of them.
    calling: Option<Vec<Call>>,
    seen: Seen,
    /// What is answered from the journal of the run that this one continues.
    tape: Tape,
    /// Since when the guest's clock follows the real one, and what it showed then.
    live: (Instant, u64),
    /// Whether the guest runs. Its process takes a moment to come up, which is none of its time.
    begun: bool,
    clock: u64,
    asked: u64,
    asked_bytes: usize,
    reports: u64,
    sink: ReportSink,
}

impl RunBroker {
    pub(crate) fn new(
        rights: Arc<Rights>,
        sender: Sender,
        caller: Caller,
        phase: Phase,
        tape: Tape,
        sink: ReportSink,
    ) -> Self {
        Self {
            rights,
            sender,
            caller,
            calling: None,
            seen: Seen {
                phase,
                reads: Vec::new(),
                captured: Vec::new(),
                invoked: Vec::new(),
                denied: BTreeMap::new(),
                journal: Vec::new(),
                ending: None,
            },
            tape,
            live: (Instant::now(), 0),
            begun: false,
            clock: 0,
            asked: 0,
            asked_bytes: 0,
            reports: 0,
            sink,
        }
    }

    /// What was seen, and what it was sent with.
    pub(crate) fn into_parts(mut self) -> (Seen, Sender) {
        self.cut_short();
        (self.seen, self.sender.close())
    }

    /// Ends the run. The first reason is the one that counts.
    fn stop<T>(&mut self, ending: Ending) -> Result<T, Stop> {
        self.seen.ending.get_or_insert(ending);
        Err(Stop)
    }

    fn deny(&mut self, denial: &Denial) -> String {
        let (trail, phase) = self.sender.trail();
        trail.denied(phase, denial);
        let text = self.veil(&denial.to_string());
        let suggestion = denial.suggestion().map(|lines| self.veil(&lines));
        self.note_refused(&text, suggestion.clone());
        match suggestion {
            Some(rule) => format!("{text}\nthe rule that would allow it, for review:\n{rule}"),
            None => text,
        }
    }

    fn note_refused(&mut self, text: &str, suggestion: Option<String>) {
        let refused = self.seen.denied.entry(visible::clip(&visible::visible(text), MAX_REPORT));
        refused.or_insert_with(|| Refused { count: 0, suggestion }).count += 1;
    }

    /// A report as people may see it: short, with no secret in it and nothing that moves a cursor.
    fn tidy(&self, report: Report) -> Report {
        let text = |text: String| visible::clip(&visible::visible(&self.veil(&text)), MAX_REPORT);
        match report {
            Report::Log { level, message } => Report::Log { level, message: text(message) },
            Report::Progress { done, total, message } => {
                Report::Progress { done, total, message: text(message) }
            }
        }
    }

    /// A text of the guest's without the secrets of the run.
    fn veil(&self, text: &str) -> String {
        self.sender.outbound.veil.over(text)
    }

    /// Moves the guest's clock to the real time since the phase began.
    fn tick(&mut self) {
        let (began, base) = self.live;
        let elapsed = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.clock = base.saturating_add(elapsed);
    }

    /// The answer that the journal has to a question, while it has one. The guest's clock goes with it.
    fn played(&mut self, question: &Question) -> Result<Option<journal::Answer>, Stop> {
        match self.tape.next(question) {
            Ok(None) => Ok(None),
            Ok(Some(entry)) => {
                self.clock = entry.clock;
                self.live = (Instant::now(), entry.clock);
                let answer = entry.answer.clone();
                self.seen.journal.push(entry);
                Ok(Some(answer))
            }
            Err(difference) => self.stop(Ending::denied(
                "deviation",
                format!("stopped: the capability does not do again what it did before: {difference}"),
            )),
        }
    }

    /// Writes a crossing down that was answered just now. In the apply phase the ledger gets it with its next commit.
    fn note(&mut self, question: Question, answer: journal::Answer) -> Result<(), Stop> {
        self.tick();
        let entry = Entry { question, answer, clock: self.clock };
        if let Phase::Apply(applying) = &mut self.seen.phase
            && let Err(ending) = applying.keep(&entry)
        {
            return self.stop(ending);
        }
        self.seen.journal.push(entry);
        Ok(())
    }

    /// Counts a question of so many bytes. A guest that goes on asking after it was refused would fill the host's memory
    /// with refusals.
    fn count(&mut self, bytes: usize) -> Result<(), Stop> {
        self.asked += 1;
        self.asked_bytes = self.asked_bytes.saturating_add(bytes);
        if self.asked_bytes > MAX_ASKED_BYTES {
            return self.stop(Ending::stopped(
                "limit-requests",
                format!("stopped: its requests are longer than {} MiB together", MAX_ASKED_BYTES >> 20),
            ));
        }
        let limit = self.sender.max_requests();
        if self.asked > limit.saturating_add(MAX_REFUSED) {
            return self.stop(Ending::stopped(
                "limit-requests",
                format!("stopped: it went on asking long after the binding's limits.requests, {limit}"),
            ));
        }
        Ok(())
    }

    /// `question` is what the guest asked, in its own words: a request of plain `wasi:http` names no service.
    async fn read(
        &mut self,
        request: Request,
        question: Question,
    ) -> Result<Result<Response, NetError>, Stop> {
        self.count(question.bytes())?;
        let (summary, asked) = (self.veil(&summary(&request)), digest(&request));
        self.expect(&asked, &summary)?;
        let answer = match self.played(&question)? {
            Some(answer) => self.again(answer)?,
            None => {
                self.keeps_no_secret(&question)?;
                let answer = self.ask(&request).await?;
                self.note(question, journal_answer(&answer))?;
                answer
            }
        };
        self.note_read(summary, asked, answer)
    }

    /// Sends a read, if a rule lets it through.
    async fn ask(&mut self, request: &Request) -> Result<Result<Response, NetError>, Stop> {
        match decide(&self.rights, Door::Fetch, request) {
            Ok(allowed) => match self.answered(&allowed).await {
                Ok(response) => Ok(Ok(response)),
                Err(SendFailure::Answer { error, .. }) => Ok(Err(error)),
                Err(SendFailure::Host { code, why }) => self.stop(Ending::denied(code, why)),
            },
            Err(denial) => {
                self.deny(&denial);
                Ok(Err(NetError::NotGranted(denial.to_string())))
            }
        }
    }

    /// The answer to a read that is allowed: the host's own, or a service's.
    async fn answered(&mut self, allowed: &Allowed) -> Result<Response, SendFailure> {
        let is_own = |service: &GrantedService| service.grant.origin.is_none();
        if self.rights.services.get(&allowed.service).is_some_and(is_own) {
            return self.sender.own(allowed);
        }
        self.sender.send(allowed, &Kind::Read).await.map(|(sent, _)| sent.response)
    }

    /// The journal's answer to a read.
    fn again(&mut self, answer: journal::Answer) -> Result<Result<Response, NetError>, Stop> {
        match answer {
            journal::Answer::Response(response) => Ok(Ok(response)),
            journal::Answer::Error(error) => Ok(Err(error)),
            journal::Answer::Planned | journal::Answer::Refused | journal::Answer::Invoked(_) => {
                self.stop(Ending::denied("journal", "the journal has an answer that no read gets"))
            }
        }
    }

    /// What is asked in the apply phase is written into the ledger, where no secret may be.
    fn keeps_no_secret(&mut self, question: &Question) -> Result<(), Stop> {
        let veil = &self.sender.outbound.veil;
        let body = match question {
            Question::Fetch(request) => request.body.as_deref(),
            Question::FetchUrl(request) => request.body.as_deref(),
            Question::Malformed { .. } | Question::Perform(_) | Question::Invoke(_) => None,
        };
        let holds = veil.hides(question.words().as_bytes()) || body.is_some_and(|body| veil.hides(body));
        if holds && matches!(self.seen.phase, Phase::Apply(_)) {
            return self
                .stop(Ending::stopped("secret", "stopped: a request would hold the value of a secret"));
        }
        Ok(())
    }

    /// In the apply phase, a read that the plan does not have ends the run before it is sent.
    fn expect(&mut self, request: &Digest, summary: &str) -> Result<(), Stop> {
        if let Phase::Apply(applying) = &self.seen.phase
            && let Err(ending) = applying.expects(request, summary)
        {
            return self.stop(ending);
        }
        Ok(())
    }

    async fn read_url(&mut self, request: HttpRequest) -> Result<Result<Response, NetError>, Stop> {
        let why = match url::request_of(&self.rights, &request) {
            Ok(service) => return self.read(service, Question::FetchUrl(request)).await,
            Err(why) => why,
        };
        let origin = request.url.split(['?', '#']).next().unwrap_or_default();
        let summary = self.veil(&format!("{} {origin}", request.method));
        let summary = visible::clip(&visible::visible(&summary), MAX_REPORT);
        let asked = Digest::of(request.url.as_bytes());
        let method = request.method.clone();
        let question = Question::FetchUrl(request);
        self.count(question.bytes())?;
        self.expect(&asked, &summary)?;
        let answer = match self.played(&question)? {
            Some(answer) => self.again(answer)?,
            None => {
                self.keeps_no_secret(&question)?;
                let (trail, phase) = self.sender.trail();
                trail.no_service(phase, &method, &why);
                self.note_refused(&self.veil(&why), None);
                let answer = Err(NetError::NotGranted(why));
                self.note(question, journal_answer(&answer))?;
                answer
            }
        };
        self.note_read(summary, asked, answer)
    }

    /// Writes a read and its answer down, and in the apply phase compares it with the plan's.
    fn note_read(
        &mut self,
        summary: String,
        request: Digest,
        answer: Result<Response, NetError>,
    ) -> Result<Result<Response, NetError>, Stop> {
        let read = PlannedRead {
            summary,
            request,
            answer: answer_digest(&answer),
            after_effects: u32::try_from(self.effects_so_far()).unwrap_or(u32::MAX),
        };
        if let Phase::Apply(applying) = &mut self.seen.phase
            && let Err(ending) = applying.check_read(&read, answer.as_ref().err())
        {
            return self.stop(ending);
        }
        self.seen.reads.push(read);
        Ok(answer)
    }

    fn effects_so_far(&self) -> usize {
        match &self.seen.phase {
            Phase::Apply(applying) => applying.performed(),
            _ => self.seen.captured.len(),
        }
    }
}

impl Broker for RunBroker {
    fn fetch(&mut self, request: Request) -> Answer<'_, Result<Response, NetError>> {
        let question = Question::Fetch(request.clone());
        Box::pin(self.read(request, question))
    }

    fn fetch_url(&mut self, request: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(self.read_url(request))
    }

    fn refused(&mut self, method: &str, why: &str) -> Result<(), Stop> {
        self.count(method.len())?;
        let question = Question::Malformed { method: visible::clip(method, 32), why: why.to_owned() };
        if self.played(&question)?.is_some() {
            return Ok(());
        }
        let (trail, phase) = self.sender.trail();
        trail.no_service(phase, method, why);
        self.note_refused(&self.veil(why), None);
        self.note(question, journal::Answer::Refused)
    }

    fn perform(&mut self, effect: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(self.change(effect))
    }

    fn invoke(&mut self, calls: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(self.call(calls))
    }

    fn report(&mut self, report: Report) -> Answer<'_, ()> {
        self.reports += 1;
        if self.reports <= MAX_REPORTS {
            (self.sink)(&self.tidy(report));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn now(&mut self) -> Moment {
        if !std::mem::replace(&mut self.begun, true) {
            self.live = (Instant::now(), 0);
            self.sender.begin();
        }
        Moment { clock: self.clock, replaying: self.tape.is_playing() }
    }
}

fn journal_answer(answer: &Result<Response, NetError>) -> journal::Answer {
    match answer {
        Ok(response) => journal::Answer::Response(response.clone()),
        Err(error) => journal::Answer::Error(error.clone()),
    }
}

/// What was asked, for people. Queries stay out: they may hold what nobody should read over a shoulder.
fn summary(request: &Request) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    visible::clip(&visible::visible(&format!("{} {} {path}", request.service, request.method)), MAX_REPORT)
}

fn digest(request: &Request) -> Digest {
    Digest::of_json(request).unwrap_or_else(|_| Digest::of(request.path.as_bytes()))
}

/// What of an answer the plan rests on: its status, its body, and the fields that name another place or version.
fn answer_digest(answer: &Result<Response, NetError>) -> Digest {
    let value = match answer {
        Ok(response) => {
            let fields: Vec<_> = response
                .headers
                .iter()
                .filter(|header| matches!(header.name.as_str(), "content-type" | "etag" | "location"))
                .collect();
            serde_json::json!({"status": response.status, "body": Digest::of(&response.body), "fields": fields})
        }
        Err(error) => serde_json::json!({"error": error}),
    };
    Digest::of(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
