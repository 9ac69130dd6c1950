//! The life of a run, in eight steps. One way through, for every capability, every front end and every outcome.
//!
//! Whatever a step finds, the run goes on to the receipt: a step that refuses returns an [`Ending`], and the last
//! step signs it. Only wrong usage leaves no receipt, because then nothing was about to run.

use std::sync::Arc;

use jiff::Timestamp;
use ops_ledger::runlock::RunLock;
use ops_policy::limits::Limits;
use ops_policy::manifest::{Manifest, Safety};
use ops_policy::message::Input;
use ops_policy::plan::{AskedAs, Plan};
use ops_policy::rights::Rights;
use ops_policy::settings::Role;
use serde_json::Value;
use tokio::sync::watch;

use crate::applying::Done;
use crate::broker::ReportSink;
use crate::ending::Ending;
use crate::journal::Tape;
use crate::key::run_key;
use crate::pinned::{Capability, Pinned};
use crate::ready::Ready;
use crate::receipt::Report;
use crate::record::Record;
use crate::recording::Recorder;
use crate::runner::Runner;
use crate::secrets::Veil;
use crate::sends::Outbound;
use crate::target::Target;
pub use crate::trail::TraceSink;
use crate::trail::Trail;
use crate::undoing::Undone;

/// In what standing somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A person at the program `ops`, who may ask for anything and stop it at any time.
    Person,
    /// An agent that proved a name; `agents:` of `ops.yaml` says what it may ask for.
    Named,
    /// An agent that this user started, with the role that the user gave it.
    Local(Role),
}

impl Standing {
    /// What a plan says of it.
    pub(crate) fn asked_as(self) -> AskedAs {
        match self {
            Self::Person => AskedAs::Person,
            Self::Named => AskedAs::NamedAgent,
            Self::Local(_) => AskedAs::LocalAgent,
        }
    }
}

/// Who wants a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `human`, `agent` or `ci`.
    pub kind: &'static str,
    /// The user's name, or the name of a token.
    pub id: String,
    /// `cli` or `mcp`.
    pub via: &'static str,
    /// The client program with its version.
    pub client: String,
    /// In what standing. Once an intent is committed, an agent's wish to cancel is not heard: a client that goes away
    /// must not leave a change half done.
    pub standing: Standing,
}

/// The arguments of a call, once the front end has read them by the manifest's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    /// A JSON object.
    pub values: Value,
    /// Whether to stop after the plan.
    pub dry_run: bool,
}

/// Reads what the caller typed, by the manifest that the lock vouches for. `Err` is wrong usage, for people.
pub type ReadArguments<'a> = Box<dyn Fn(&Manifest) -> Result<Arguments, String> + 'a>;

/// What is wanted.
pub enum What<'a> {
    /// Run a capability.
    Call {
        /// Its name.
        capability: String,
        /// Its arguments.
        arguments: ReadArguments<'a>,
    },
    /// Carry out a stored plan, by its id or the beginning of it.
    Apply {
        /// The id.
        plan: String,
    },
    /// Go on with a run of which nobody knew what became, by its key or the beginning of it.
    Resume {
        /// The run key.
        run: String,
    },
    /// Plan to take back what a run has changed, by its key or the beginning of it.
    Undo {
        /// The run key.
        run: String,
    },
}

/// What comes of nobody at the front end: nothing is confirmed and nothing piped.
pub(crate) struct Nobody;

impl Person for Nobody {
    fn confirm(&mut self, _: &Plan) -> Option<String> {
        None
    }

    fn piped(&mut self, _: &Plan) -> Option<String> {
        None
    }
}

/// The same person, without what was piped in.
struct AtTheTerminal<'a>(&'a mut dyn Person);

impl Person for AtTheTerminal<'_> {
    fn confirm(&mut self, plan: &Plan) -> Option<String> {
        self.0.confirm(plan)
    }

    fn piped(&mut self, _: &Plan) -> Option<String> {
        None
    }
}

/// Why there is a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    #[default]
    Asked,
    /// Another capability called it. It may be read-only only.
    Called {
        /// The calling run's key.
        by: String,
        /// How many runs stand above it.
        depth: u8,
    },
    /// The host started it on the word of another run, which the binding of that one lets it.
    Started {
        /// That run's key.
        by: String,
    },
}

impl Cause {
    /// How many runs stand above.
    pub(crate) fn depth(&self) -> u8 {
        if let Self::Called { depth, .. } = self { *depth } else { 0 }
    }
}

/// An order for one run.
pub struct Order<'a> {
    /// What is wanted.
    pub what: What<'a>,
    /// Who wants it.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// Where the guest's reports go.
    pub reports: ReportSink,
    /// Where each decision goes as it is made, one line of JSON.
    pub trace: TraceSink,
    /// Turns `true` when the run should end.
    pub cancel: watch::Receiver<bool>,
}

/// The person at the front end, asked only where the binding lists the way.
pub trait Person {
    /// Shows the plan and returns what was typed at the terminal, where there is one.
    fn confirm(&mut self, plan: &Plan) -> Option<String>;

    /// Shows the plan and returns a line of standard input, where it is no terminal.
    fn piped(&mut self, plan: &Plan) -> Option<String>;
}

/// A run that has a key.
pub(crate) struct Run<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) order: Order<'a>,
    pub(crate) now: Timestamp,
    pub(crate) record: Record,
    pub(crate) trail: Trail,
    pub(crate) veil: Veil,
    /// What the phases send with; there between two of them.
    pub(crate) outbound: Option<Outbound>,
    /// What the guest saw in each phase.
    pub(crate) recorder: Recorder,
    /// What the apply phase is answered of a run that this one continues.
    pub(crate) tape: Tape,
    /// What the run that this one continues has performed; in the record once the intent has taken it over.
    pub(crate) taken_over: Vec<(usize, Done)>,
    /// What an agent may ask for; none for a person.
    pub(crate) role: Option<Role>,
    /// What no other run may work on meanwhile.
    pub(crate) target: Option<Target>,
    /// Says that this process lives, for as long as it does. A run that leaves nothing behind has none.
    pub(crate) alive: Option<RunLock>,
}

/// What step 1 finds.
pub(crate) struct Resolved {
    pub(crate) pinned: Arc<Pinned>,
    pub(crate) capability: Arc<Capability>,
    /// The same, with its compiled component and schemas.
    pub(crate) ready: Arc<Ready>,
    pub(crate) wanted: Wanted,
}

/// What is to be done with the capability.
pub(crate) enum Wanted {
    /// Run it with these arguments.
    Call(Arguments),
    /// Carry out this plan, whose guest was seeded with these bytes.
    Apply { plan: Arc<Plan>, seed: [u8; 32] },
    /// Plan to take this run back.
    Undo(Box<Undone>),
}

/// What step 2 leaves.
pub(crate) struct Decided {
    pub(crate) resolved: Resolved,
    pub(crate) rights: Arc<Rights>,
    pub(crate) input: Input,
    pub(crate) grounds: crate::decide::Grounds,
}

impl Decided {
    /// What each phase may use.
    pub(crate) fn limits(&self) -> Limits {
        self.resolved.capability.binding.limits
    }
}

/// A run's plan, and what its guest's random bytes come from.
pub(crate) struct Planned {
    pub(crate) plan: Arc<Plan>,
    pub(crate) seed: [u8; 32],
}

impl Runner {
    /// Runs a capability, or carries out a plan, from the name to the receipt; and then what that asked the host to start,
    /// where its binding lets it: a run of its own, by the same eight steps. A run that was started starts no other.
    pub async fn run(&self, order: Order<'_>, person: &mut dyn Person) -> Report {
        let (actor, reports, trace) = (order.actor.clone(), order.reports.clone(), order.trace.clone());
        let cancel = order.cancel.clone();
        let mut report = self.run_once(order, person).await;
        let held = report.held.take();
        let (Some(start), Some(by)) = (report.start.take(), report.key.clone()) else { return report };
        let values = start.arguments;
        let arguments: ReadArguments<'_> =
            Box::new(move |_| Ok(Arguments { values: values.clone(), dry_run: false }));
        let what = What::Call { capability: start.capability, arguments };
        let order = Order { what, actor, cause: Cause::Started { by }, reports, trace, cancel };
        // A line that was piped in was meant for what was asked for.
        let mut person = AtTheTerminal(person);
        let mut started = self.run_once(order, &mut person).await;
        // What it had for itself goes with its own end, so that a plan which waits holds nothing.
        started.held = None;
        report.started = Some(Box::new(started));
        drop(held);
        report
    }

    /// One run, from the name to the receipt.
    pub(crate) async fn run_once(&self, order: Order<'_>, person: &mut dyn Person) -> Report {
        let _under_way = self.waiting().under_way();
        let mut run = match Run::begin(self, order) {
            Ok(run) => run,
            Err((capability, ending)) => return Report::usage(capability, ending),
        };
        let ending = run.steps(person).await.unwrap_or_else(|ending| ending);
        run.receipt(ending) // 8
    }
}

impl Run<'_> {
    /// Steps 1 to 7.
    async fn steps(&mut self, person: &mut dyn Person) -> Result<Ending, Ending> {
        let resolved = self.resolve()?; // 1
        let decided = self.decide(resolved)?; // 2
        self.hold_target(&decided)?;
        if decided.rights.safety == Safety::ReadOnly {
            return self.execute(&decided).await;
        }
        self.live()?;
        let planned = self.plan(&decided).await?; // 3
        let approved = self.approve(&decided, &planned, person)?; // 4
        self.intend(&planned, &approved)?; // 5
        let staged = self.apply(&decided, &planned).await?; // 6
        self.commit_files(&planned, staged) // 7
    }
}

impl<'a> Run<'a> {
    /// A run that has done what the record says, which is nothing at its beginning.
    pub(crate) fn with(
        runner: &'a Runner,
        key: String,
        name: String,
        order: Order<'a>,
        now: Timestamp,
        record: Record,
        alive: Option<RunLock>,
    ) -> Self {
        let veil = Veil::default();
        let trail = Trail::new(runner.audit(), &key, &name, order.trace.clone(), veil.clone());
        Self {
            runner,
            key,
            name,
            order,
            now,
            record,
            trail,
            veil,
            outbound: None,
            recorder: Recorder::default(),
            tape: Tape::default(),
            role: None,
            target: None,
            taken_over: Vec::new(),
            alive,
        }
    }

    /// Gives the run its key, once the name resolves to a binding file or the plan is known.
    fn begin(runner: &'a Runner, order: Order<'a>) -> Result<Self, (String, Ending)> {
        let name = match &order.what {
            What::Call { capability, .. } => capability.clone(),
            What::Apply { plan } => match runner.plan_record(plan) {
                Ok(row) => row.capability,
                Err(ending) => return Err((String::new(), ending)),
            },
            What::Undo { run } => match runner.undone(run) {
                Ok(undone) => undone.plan.capability,
                Err(ending) => return Err((String::new(), ending)),
            },
            What::Resume { run } => match runner.resumable(run) {
                Ok(known) => known.capability,
                Err(ending) => return Err((String::new(), ending)),
            },
        };
        let usage = |ending| Err((name.clone(), ending));
        if let Err(error) = ops_policy::name::check(&name) {
            return usage(Ending::usage(error.to_string()));
        }
        if !runner.is_bound(&name) {
            return usage(runner.unknown_capability(&name));
        }
        let now = Timestamp::now();
        let key = match run_key(&name, now) {
            Ok(key) => key,
            Err(error) => return usage(Ending::usage(format!("no random bytes: {error}"))),
        };
        Ok(Self::with(runner, key, name, order, now, Record::default(), None))
    }

    /// Has it known that this process lives, before the run leaves anything that somebody could find: an intent, a copy of
    /// a folder, a body of its evidence.
    pub(crate) fn live(&mut self) -> Result<(), Ending> {
        if self.alive.is_none() {
            let alive = RunLock::hold(self.runner.workspace().state(), &self.key);
            self.alive =
                Some(alive.map_err(|error| Ending::denied("host", format!("{}: {error}", self.key)))?);
        }
        Ok(())
    }
}
