//! What this host is like: which deployment, what confines guests, whether the lock and the ledger hold. For people
//! who set a host up, and for whoever asks them what it can resist.

use jiff::Timestamp;
use ops_ledger::receipt::Deployment;
use ops_sandbox::confine::Confinement;
use ops_sandbox::job::End;
use serde::Serialize;

use crate::deployment;
use crate::pinned::{Pinned, Refusal};
use crate::runner::Runner;
use crate::status::{Basis, Unknown};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen, and what to do about it.
    pub text: String,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// Weaker than it could be, and allowed here.
    Weak,
    /// Nothing runs, or not all of it.
    Bad,
}

impl State {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "bad",
        }
    }
}

impl Runner {
    /// Looks at everything that a run rests on.
    pub fn doctor(&self) -> Vec<Check> {
        let mut checks = vec![self.confinement(), self.state()];
        let mut told = None;
        match self.pinned(Timestamp::now()) {
            Ok(pinned) => {
                checks.push(self.deployed(&pinned));
                let by =
                    format!("number {}, signed by {}", pinned.lock.lock.counter, pinned.signer.principal);
                checks.push(match pinned.lock.lock.development {
                    true => {
                        check("lock", State::Weak, format!("{by}, for development: not served over HTTP"))
                    }
                    false => check("lock", State::Good, by),
                });
            }
            Err(refusal) => {
                told = Some(refusal.message.clone());
                checks.push(check("lock", State::Bad, refusal.message));
            }
        }
        match self.basis() {
            Ok(Basis { capabilities, mut faults, unknown, .. }) => {
                let is_locked = told.is_none();
                faults.retain(|fault| Some(fault) != told.as_ref());
                if is_locked || !faults.is_empty() {
                    checks.push(list("capabilities", format!("{capabilities} can run"), &faults));
                }
                let runs: Vec<_> = unknown.iter().map(Unknown::text).collect();
                checks.push(list("runs", "nothing waits to be mended".to_owned(), &runs));
            }
            Err(ending) => checks.push(check("ledger", State::Bad, ending.message)),
        }
        checks
    }

    /// Whether this host is what the lock's settings require before anything runs.
    ///
    /// # Errors
    ///
    /// What is not, with the code of a run that is refused for it; or the lock does not hold.
    pub fn fit(&self) -> Result<(), Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        deployment::check(self.workspace(), &pinned.settings)?;
        match self.unconfined() {
            Some(lack) if pinned.settings.require.landlock => {
                Err(Refusal::new("landlock", format!("ops.yaml requires Landlock: {lack}")))
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> Check {
        let folder = self.workspace().state();
        match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
            Ok(()) => check("state", State::Good, format!("{} can be written", folder.display())),
            Err(error) => {
                let text = format!("{} cannot be written, so nothing runs: {error}", folder.display());
                check("state", State::Bad, text)
            }
        }
    }

    /// What a process for guests says that holds it, which is started for that and runs nothing.
    fn confinement(&self) -> Check {
        const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
        let held = || -> Result<Confinement, String> {
            let sandbox = self.sandbox().map_err(|ending| ending.message)?;
            let component = sandbox.load(EMPTY).map_err(|error| error.to_string())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
            runtime.block_on(self.workers().confinement(&component, self.needs_landlock())).map_err(|end| {
                match end {
                    End::Unconfined(why) | End::NotStarted(why) | End::Lost(why) => why,
                    other => format!("{other:?}"),
                }
            })
        };
        match held() {
            Ok(Confinement { landlock: Some(version) }) => check(
                "confinement",
                State::Good,
                format!("a process for guests says that seccomp and Landlock (version {version}) hold it"),
            ),
            Ok(Confinement { landlock: None }) => {
                let lacks = self.unconfined().unwrap_or("Landlock does not hold a process for guests");
                check("confinement", State::Weak, lacks.to_owned())
            }
            Err(why) => check("confinement", State::Bad, format!("no process for guests comes up: {why}")),
        }
    }

    fn deployed(&self, pinned: &Pinned) -> Check {
        match deployment::check(self.workspace(), &pinned.settings) {
            Ok(Deployment::SeparateUser) => check(
                "deployment",
                State::Good,
                format!(
                    "separate user: runs as `{}`, and nobody else can write to the workspace; that agents have another \
                     user cannot be seen from here",
                    crate::user_name()
                ),
            ),
            Ok(Deployment::SameUser) => check(
                "deployment",
                State::Weak,
                format!(
                    "same user: an agent with a shell of `{}` can read what that user can; `require: {{user: ops}}` in ops.yaml \
                     asks for a user of its own",
                    crate::user_name()
                ),
            ),
            Err(refusal) => check("deployment", State::Bad, refusal.message),
        }
    }
}

fn list(what: &'static str, good: String, faults: &[String]) -> Check {
    match faults {
        [] => check(what, State::Good, good),
        faults => check(what, State::Bad, faults.join("\n")),
    }
}

/// What keeps everything from being looked at.
pub fn unopened(why: String) -> Vec<Check> {
    vec![check("workspace", State::Bad, why)]
}

fn check(what: &'static str, state: State, text: String) -> Check {
    Check { what, state, text }
}
