//! What all calls share: the runner, the tools that the lock vouches for, the gate, and the wish to stop.
//!
//! Each run has a thread of its own, since a guest's answers are waited for in it, and a place in its capability's
//! lane. What a call asks for is checked by the runner, in the run, so that whatever is refused there has its receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ops_policy::digest::Digest;
use ops_policy::settings::Role;
use ops_policy::visible;
use ops_runner::agents::{Answer, is_own};
use ops_runner::broker::ReportSink;
use ops_runner::pinned::Refusal;
use ops_runner::run::{Actor, Arguments, Cause, Order, Standing, What};
use ops_runner::runner::Runner;
use ops_runner::show::plan_text;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::answer::Waiting;
use crate::caller::Caller;
use crate::engine;
use crate::gate::Gate;
use crate::only::Only;
use crate::schema::PLAN_ID;
use crate::tools::{Offer, Shelf};

/// How long runs that may not be stopped any more are waited for once the server is to stop. One that takes longer is
/// found, and told as unknown, at the next start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a lock is not served over HTTP.
const DEVELOPMENT: &str = "ops.lock was signed for development, and such a lock is not served over HTTP\n  \
                           `ops pin --key KEY` signs one that is";

/// The word for that.
const NOT_HERE: &str = "development-lock";

/// Says something to whoever runs the server.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What all calls share.
pub(crate) struct Front {
    pub(crate) runner: Runner,
    pub(crate) gate: Gate,
    /// Turns when the server is to stop.
    pub(crate) stop: CancellationToken,
    /// Whether a lock that was signed for development is served.
    development: bool,
    /// One place: whoever finds the tools unknown waits for the one that looks at them.
    pub(crate) looking: Arc<Semaphore>,
    tell: Tell,
    known: Mutex<Known>,
}

/// The tools as they were when they were looked at last.
#[derive(Default)]
struct Known {
    /// The lock's hash at that time. None where it did not hold.
    lock: Option<Digest>,
    shelf: Arc<Shelf>,
    /// Tools that were there once. A call of one goes to the runner, which refuses it with a receipt, and says why.
    former: BTreeMap<String, Arc<Offer>>,
    /// What was wrong, as it was told.
    faults: BTreeSet<String>,
    /// Whether the tools were looked at before.
    is_known: bool,
}

/// Why there is no tool for a call. All are for people.
#[derive(Debug)]
pub(crate) enum Missing {
    /// There is none of that name, for this caller.
    Tool(String),
    /// The lock does not hold, or is not served here.
    Lock(Refusal),
}

/// What a call wants.
pub(crate) enum Wish {
    /// To run the capability with these arguments.
    Call(Map<String, Value>),
    /// To carry out a plan. Arguments beside its id must be the plan's own.
    Apply(String, Map<String, Value>),
}

impl Front {
    pub(crate) fn new(runner: Runner, development: bool, stop: CancellationToken, tell: Tell) -> Self {
        let looking = Arc::new(Semaphore::new(1));
        Self { runner, gate: Gate::new(), stop, development, looking, tell, known: Mutex::default() }
    }

    /// Says something to whoever runs the server.
    pub(crate) fn tell(&self, what: &str) {
        (self.tell)(what);
    }

    /// A text for an agent, to whom this host's folders are nothing.
    pub(crate) fn without_folders(&self, text: &str) -> String {
        let workspace = self.runner.workspace();
        let folders = [(workspace.state(), "(state folder)"), (workspace.root(), "(workspace)")];
        folders.iter().fold(text.to_owned(), |text, (folder, word)| match folder.to_str() {
            Some(folder) if folder.len() > 1 => text.replace(folder, word),
            _ => text,
        })
    }

    /// The tools, as of now.
    ///
    /// # Errors
    ///
    /// The lock does not hold, or is not served here.
    pub(crate) fn look(&self) -> Result<Arc<Shelf>, Refusal> {
        let looked = self.lock().and_then(|lock| Ok((lock, self.shelf()?)));
        let (shelf, news) = {
            let mut known = self.known();
            let news = known.news(looked.as_ref().map(|(_, shelf)| &**shelf));
            (known.take(looked), news)
        };
        news.iter().for_each(|line| self.tell(line));
        shelf
    }

    fn shelf(&self) -> Result<Arc<Shelf>, Refusal> {
        self.runner.fit()?;
        let everything =
            Caller { name: String::new(), standing: Standing::Local(Role::Proposer), only: Only::default() };
        let (tools, refused) = self.runner.tools(&everything.actor(""))?;
        let mut shelf = Shelf::new(tools);
        shelf.refused = refused.into_iter().map(|refusal| refusal.message).collect();
        Ok(Arc::new(shelf))
    }

    /// The hash of the lock, if it is one that is served here: one for development is for the machine on which it was
    /// signed.
    fn lock(&self) -> Result<Digest, Refusal> {
        match self.runner.lock_in_force()? {
            (_, true) if !self.development => {
                Err(Refusal { code: NOT_HERE, message: DEVELOPMENT.to_owned() })
            }
            (lock, _) => Ok(lock),
        }
    }

    /// A tool of this caller's, if the lock has not changed since the tools were looked at.
    pub(crate) fn offer_at_hand(&self, caller: &Caller, name: &str) -> Option<Arc<Offer>> {
        let lock = self.lock().ok()?;
        let known = self.known();
        let offer = known.shelf.offers.get(name).filter(|_| known.lock == Some(lock))?;
        caller.only.admits(&offer.capability).then(|| offer.clone())
    }

    /// A tool of this caller's, as of now.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn offer(&self, caller: &Caller, name: &str) -> Result<Arc<Offer>, Missing> {
        let shelf = match self.look() {
            Err(why) if why.code == NOT_HERE => return Err(Missing::Lock(why)),
            looked => looked,
        };
        let known = self.known();
        let offer = known.shelf.offers.get(name).or_else(|| known.former.get(name));
        if let Some(offer) = offer.filter(|offer| caller.only.admits(&offer.capability)) {
            return Ok(offer.clone());
        }
        let shelf = shelf.map_err(Missing::Lock)?;
        let seen = shelf.offers.iter().filter(|(_, offer)| caller.only.admits(&offer.capability));
        let hint = match ops_policy::name::nearest(name, seen.map(|(name, _)| name.as_str())) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "tools/list lists what there is".to_owned(),
        };
        let name = visible::clip(&visible::visible(name), 100);
        Err(Missing::Tool(format!("there is no tool `{name}`; {hint}")))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller's role.
    ///
    /// # Errors
    ///
    /// The lock does not hold, or the caller has none.
    pub(crate) fn role(&self, caller: &Caller) -> Result<Role, Refusal> {
        let refuse = |message: String| Refusal { code: "role", message };
        match caller.standing {
            Standing::Local(role) => Ok(role),
            Standing::Person => Err(refuse("a person has no role here".to_owned())),
            // In the words of the runner, which refuses a call for the same reason.
            Standing::Named => self.runner.role_of(&caller.name)?.ok_or_else(|| {
                refuse(format!(
                    "`{}` has no role in ops.yaml; add it to `agents: {{reader: […], proposer: […]}}` and pin",
                    visible::visible(&caller.name)
                ))
            }),
        }
    }

    /// Whether everything that is bound can be served: what `/readyz` answers.
    pub(crate) fn is_ready(&self) -> bool {
        self.look().is_ok_and(|shelf| shelf.hidden.is_empty() && shelf.refused.is_empty())
    }

    /// Runs what a call wants, from here to its end, on this thread.
    pub(crate) fn serve(
        &self,
        offer: &Offer,
        wish: Wish,
        actor: Actor,
        reports: ReportSink,
        cancel: watch::Receiver<bool>,
    ) -> (Answer, Option<Waiting>) {
        let asked = match &wish {
            Wish::Apply(plan, _) => Some(plan.clone()),
            Wish::Call(_) => None,
        };
        let what = match wish {
            Wish::Call(arguments) => {
                let values = Value::Object(arguments);
                What::Call {
                    capability: offer.capability.clone(),
                    arguments: Box::new(move |_| Ok(Arguments { values: values.clone(), dry_run: false })),
                }
            }
            Wish::Apply(plan, beside) => match self.applicable(offer, &actor, &plan, beside) {
                Ok(()) => What::Apply { plan },
                Err(why) => return (usage(offer, why), None),
            },
        };
        let order = Order { what, actor, cause: Cause::Asked, reports, trace: Arc::new(|_| {}), cancel };
        let mut answer = match engine::block_on(self.runner.serve(order)) {
            Ok(answer) => answer,
            Err(error) => return (usage(offer, format!("no runtime: {error}")), None),
        };
        answer.message = self.without_folders(&answer.message);
        // One that was asked for too early waits still.
        let early = asked.filter(|_| answer.status == "planned");
        let early = early.and_then(|id| self.runner.plan(&id).ok()).map(Arc::new);
        let waiting = answer.plan.clone().or(early).map(|plan| {
            let last = self.runner.last_applied(&plan.capability, &plan.id);
            Waiting { text: plan_text(&plan, last.as_ref()), plan }
        });
        (answer, waiting)
    }

    /// Whether a plan is one of this tool's, and the arguments beside its id are those that it was made with.
    fn applicable(
        &self,
        offer: &Offer,
        actor: &Actor,
        id: &str,
        beside: Map<String, Value>,
    ) -> Result<(), String> {
        let unknown = || {
            format!(
                "/{PLAN_ID}: there is no plan `{}` of this tool",
                visible::clip(&visible::visible(id), 100)
            )
        };
        // The beginning of an id would do for a person, who sees which plan that is.
        let plan = self.runner.plan(id).map_err(|_| unknown())?;
        if plan.id != id || plan.capability != offer.capability {
            return Err(unknown());
        }
        // What another's was made with is nothing to compare with: the run refuses it, with a receipt.
        if !is_own(&plan, actor) {
            return Ok(());
        }
        let made_with: Value =
            serde_json::from_str(&plan.input.arguments).map_err(|error| error.to_string())?;
        if beside.is_empty() || Value::Object(beside) == made_with {
            return Ok(());
        }
        Err(format!(
            "/{PLAN_ID}: plan {id} was made with other arguments than those beside it; give {PLAN_ID} alone to carry it \
             out, or no {PLAN_ID} to ask for a new plan"
        ))
    }

    /// Stops: whatever may still be stopped is, and the rest is waited for.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.gate.empty()).await;
    }
}

impl Known {
    /// What whoever runs the server is to hear about what was seen now.
    fn news(&mut self, looked: Result<&Shelf, &Refusal>) -> Vec<String> {
        let faults: BTreeSet<String> = match looked {
            Ok(shelf) => {
                let hidden = shelf.hidden.iter().map(|(name, why)| format!("{name} is no tool: {why}"));
                hidden.chain(shelf.refused.iter().cloned()).collect()
            }
            Err(refusal) => BTreeSet::from([format!("nothing is served: {}", refusal.message)]),
        };
        let mut news: Vec<_> =
            faults.difference(&self.faults).map(|fault| format!("warning: {fault}")).collect();
        if let Ok(shelf) = looked
            && self.is_known
        {
            let names = |shelf: &Shelf| -> BTreeSet<String> {
                shelf.offers.values().map(|offer| offer.capability.clone()).collect()
            };
            let (before, now) = (names(&self.shelf), names(shelf));
            news.extend(before.difference(&now).map(|name| format!("{name} is no longer served")));
            news.extend(now.difference(&before).map(|name| format!("{name} is served now")));
            let mended = self.faults.iter().any(|fault| fault.starts_with("nothing is served"));
            if mended && before == now {
                news.push(format!("{} capabilities are served again", now.len()));
            }
        }
        self.is_known |= looked.is_ok();
        self.faults = faults;
        news
    }

    /// Keeps what was seen now.
    fn take(&mut self, looked: Result<(Digest, Arc<Shelf>), Refusal>) -> Result<Arc<Shelf>, Refusal> {
        self.lock = looked.as_ref().ok().map(|(lock, _)| *lock);
        let (_, shelf) = looked?;
        let before = std::mem::replace(&mut self.shelf, shelf.clone());
        self.former.extend(before.offers.iter().map(|(name, offer)| (name.clone(), offer.clone())));
        // A name that would now be that of two is nobody's.
        self.former.retain(|_, offer| shelf.hidden.iter().all(|(hidden, _)| *hidden != offer.capability));
        Ok(shelf)
    }
}

/// Whether a role may call a tool at all.
pub(crate) fn may_call(role: Role, offer: &Offer) -> bool {
    role >= Role::Proposer || !offer.changes
}

fn usage(offer: &Offer, message: String) -> Answer {
    Answer {
        capability: offer.capability.clone(),
        run: None,
        status: "usage".to_owned(),
        exit: 2,
        code: Some("usage".to_owned()),
        message,
        output: None,
        plan: None,
        denied: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use ops_policy::manifest::Safety;

    use super::*;
    use crate::tools::tests::capability;

    #[test]
    fn what_changes_is_told_once() {
        let shelf = |names: &[&str], refused: &[&str]| {
            let mut shelf = Shelf::new(names.iter().map(|name| capability(name, Safety::ReadOnly)).collect());
            shelf.refused = refused.iter().map(ToString::to_string).collect();
            Ok((Digest::of(b"lock"), Arc::new(shelf)))
        };
        let unlocked = || Err(Refusal { code: "lock", message: "it is gone".to_owned() });
        let mut known = Known::default();
        for (looked, news) in [
            (shelf(&["a.b", "a.c"], &[]), vec![]),
            (
                shelf(&["a.b"], &["the binding has changed"]),
                vec!["warning: the binding has changed", "a.c is no longer served"],
            ),
            (shelf(&["a.b"], &["the binding has changed"]), vec![]),
            (unlocked(), vec!["warning: nothing is served: it is gone"]),
            (unlocked(), vec![]),
            (shelf(&["a.b"], &[]), vec!["1 capabilities are served again"]),
            (shelf(&["a.b", "a.c"], &[]), vec!["a.c is served now"]),
        ] {
            assert_eq!(known.news(looked.as_ref().map(|(_, shelf)| &**shelf)), news);
            let _ = known.take(looked);
        }
    }
}
