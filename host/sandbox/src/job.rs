//! What the sandbox is given for one run, and what comes out of it.

use std::path::PathBuf;
use std::time::Duration;

use ops_policy::digest::Digest;
use ops_policy::message::{Failure, Input};
use serde::{Deserialize, Serialize};

use crate::confine::Confinement;

/// Which of our interfaces are linked. Without a link a component that imports the interface does not start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// `ops:capability/fetch`.
    pub fetch: bool,
    /// `ops:capability/effects`. Never for a read-only capability.
    pub effects: bool,
    /// `wasi:http`, for components that are not written for this host. Its requests are for read rules only.
    pub http: bool,
    /// `ops:capability/invoke`.
    pub invoke: bool,
}

/// A directory that the guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The guest's path, for example `/outbox`.
    pub guest: String,
    /// A private copy on the host. Never an original.
    pub host: PathBuf,
    /// Whether the guest may change it.
    pub writable: bool,
}

/// What a run may use at most. Each is enforced by the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory and tables of the guest, in bytes.
    pub memory: u64,
    /// Real time from the first guest instruction to the end, parked host calls included.
    pub time: Duration,
    /// Length of the output JSON, in bytes.
    pub output: u64,
}

/// One run. Without `Debug`, because of its seed.
#[derive(Clone)]
pub struct Job {
    /// What `run` is called with.
    pub input: Input,
    /// What is linked.
    pub links: Links,
    /// The frozen wall clock: whole seconds since the Unix epoch.
    pub clock_seconds: u64,
    /// The frozen wall clock: nanoseconds of the second. Kept, because mail servers drop twins by it.
    pub clock_nanoseconds: u32,
    /// Where every random byte of the guest comes from. A secret.
    pub seed: [u8; 32],
    /// The directories.
    pub mounts: Vec<Mount>,
    /// The limits.
    pub limits: Limits,
    /// Which runs may go one after the other through one process: those with the same digest here, and with the same
    /// component.
    pub binding: Digest,
    /// Whether the guest runs only where the kernel has Landlock.
    pub needs_landlock: bool,
    /// Turns `true` when somebody wants the run to end. A `perform` in flight is waited for.
    pub cancel: tokio::sync::watch::Receiver<bool>,
}

/// Text that a guest printed, up to a cap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// What was kept.
    pub kept: Vec<u8>,
    /// How many bytes were printed in all.
    pub total: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The guest returned its output.
    Output(String),
    /// The guest returned a failure.
    Failed(Failure),
    /// The broker stopped it.
    Stopped,
    /// Somebody cancelled it.
    Cancelled,
    /// It ran longer than it may.
    OutOfTime,
    /// It asked for more memory than it may, and did not survive the refusal.
    OutOfMemory,
    /// Its output is longer than it may be.
    OutputTooLong,
    /// It trapped: a panic, an abort, an illegal operation. Says what.
    Trapped(String),
    /// It was not started: its links or its folders could not be made. Says why.
    NotStarted(String),
    /// It was not started, because its process could not be confined as it has to be. Says why.
    Unconfined(String),
    /// The host panicked while it served the guest. Says what.
    HostPanicked(String),
    /// Its process was lost, or did not keep to what is agreed with it. Says what became of it.
    Lost(String),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: Printed,
    /// Its standard error.
    pub stderr: Printed,
    /// The most linear memory that it had, in bytes.
    pub peak_memory: u64,
    /// How long it ran in real time.
    pub elapsed: Duration,
    /// What its process was confined by; none where it never came to that, and for a guest that ran in this process.
    pub confined: Option<Confinement>,
}
