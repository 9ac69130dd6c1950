//! How a run ends: one status, one exit code, one message for people.

use ops_policy::message::Failure;

/// The words that a receipt, a table and an envelope use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything was done; or a dry run ended.
    Done,
    /// A plan waits for approval.
    Planned,
    /// The capability failed, or broke a limit.
    Failed,
    /// Policy, lock or approval refused it.
    Denied,
    /// The world had changed before the first effect; a new plan is stored.
    Stale,
    /// Some of the plan was carried out.
    Partial,
    /// An effect was sent and nobody knows what became of it.
    Unknown,
    /// Somebody stopped it before it changed anything.
    Interrupted,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The status. None for wrong usage, which leaves no receipt.
    pub status: Option<Status>,
    /// The process's exit code.
    pub exit: u8,
    /// A stable word for what went wrong, for programs. None where nothing did.
    pub code: Option<&'static str>,
    /// What happened and what to do next, for people.
    pub message: String,
}

impl Ending {
    fn new(status: Status, exit: u8, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status: Some(status), exit, code, message: message.into() }
    }

    /// Everything was done.
    pub fn done(message: impl Into<String>) -> Self {
        Self::new(Status::Done, 0, None, message)
    }

    /// Wrong usage: exit 2, and no receipt.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { status: None, exit: 2, code: Some("usage"), message: message.into() }
    }

    /// Policy, lock or approval refuses.
    pub fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::Denied, 4, Some(code), message)
    }

    /// The host stopped the guest: a limit, a trap.
    pub fn stopped(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::Failed, 4, Some(code), message)
    }

    /// The capability failed.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::Failed, 1, Some(code), message)
    }

    /// A plan waits for a person.
    pub fn planned(message: impl Into<String>) -> Self {
        Self::new(Status::Planned, 3, None, message)
    }

    /// The world had changed before the first effect.
    pub fn stale(message: impl Into<String>) -> Self {
        Self::new(Status::Stale, 3, Some("stale"), message)
    }

    /// Some of it was carried out.
    pub fn partial(message: impl Into<String>) -> Self {
        Self::new(Status::Partial, 3, Some("partial"), message)
    }

    /// Nobody knows what became of an effect.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Status::Unknown, 5, Some("unknown"), message)
    }

    /// Stopped by a person before anything was changed.
    pub fn interrupted() -> Self {
        Self::new(Status::Interrupted, 130, Some("interrupted"), "nothing was changed")
    }

    /// A failure in the guest's words.
    pub fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::InvalidInput { message } => Self::usage(message),
            Failure::NotGranted { message } => Self::failed("not-granted", message),
            Failure::Upstream { service, status, message } => {
                Self::failed("upstream", format!("service `{service}` answered {status}: {message}"))
            }
            Failure::RateLimited { service, seconds } => Self::failed(
                "rate-limited",
                match seconds {
                    Some(seconds) => {
                        format!("service `{service}` asks to be left alone for {seconds} seconds")
                    }
                    None => format!("service `{service}` asks to be left alone for a while"),
                },
            ),
            Failure::Conflict { message } => Self::failed("conflict", message),
            Failure::Incomplete { message } => Self::partial(message),
            Failure::Failed { message } => Self::failed("failed", message),
        }
    }
}
