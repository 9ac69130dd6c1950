//! What this host is like: which deployment, what confines guests, whether the lock and the ledger hold. For people
//! who set a host up, and for whoever asks them what it can resist.

use jiff::Timestamp;
use ops_ledger::receipt::Deployment;
use serde::Serialize;

use crate::deployment;
use crate::pinned::Pinned;
use crate::runner::Runner;

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
        let mut checks = vec![self.confinement()];
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
            Err(refusal) => checks.push(check("lock", State::Bad, refusal.message)),
        }
        checks.push(match self.status() {
            Ok(status) if status.anomalies.is_empty() => {
                check("runs", State::Good, "nothing waits to be mended".to_owned())
            }
            Ok(status) => check("runs", State::Bad, status.anomalies.join("\n")),
            Err(ending) => check("ledger", State::Bad, ending.message),
        });
        checks
    }

    fn confinement(&self) -> Check {
        match self.unconfined() {
            None => check("confinement", State::Good, "Landlock and seccomp hold every guest".to_owned()),
            Some(lacks) => check("confinement", State::Weak, lacks.to_owned()),
        }
    }

    fn deployed(&self, pinned: &Pinned) -> Check {
        match deployment::check(self.workspace(), &pinned.settings) {
            Ok(Deployment::SeparateUser) => check(
                "deployment",
                State::Good,
                "separate user: agents reach this host through MCP only, if they have another user"
                    .to_owned(),
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

fn check(what: &'static str, state: State, text: String) -> Check {
    Check { what, state, text }
}
