//! What this host remembers of a workspace: that somebody trusted it, who may sign its lock, and which lock was
//! the last one.
//!
//! A workspace that is not remembered is refused, so that a `cd` into somebody's checkout changes nothing. The
//! approvers are remembered with their text: a new list of approvers counts only once a lock that an old approver
//! signed holds its hash.

use std::path::PathBuf;

use ops_policy::lock::{Seen, SignedLock};
use serde::{Deserialize, Serialize};

use crate::workspace::{Workspace, WorkspaceError, replace};

/// The file in the state folder.
const FILE: &str = "trust.json";

/// Where it is remembered.
pub(crate) fn path(workspace: &Workspace) -> PathBuf {
    workspace.state().join(FILE)
}

/// What is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The format's version, 1.
    pub version: u32,
    /// The folder of `ops.yaml` when it was trusted.
    pub root: String,
    /// The text of the approvers file that counts.
    pub approvers: String,
    /// The newest lock that was seen.
    pub seen: Option<Seen>,
}

impl Trust {
    /// Reads what is remembered; None where the workspace was never trusted.
    ///
    /// # Errors
    ///
    /// The record is there but cannot be read.
    pub fn load(workspace: &Workspace) -> Result<Option<Self>, WorkspaceError> {
        let path = path(workspace);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(WorkspaceError(format!("{}: {error}", path.display()))),
        };
        let trust: Self = serde_json::from_slice(&bytes)
            .map_err(|error| WorkspaceError(format!("{}: {error}", path.display())))?;
        // The folder's name holds only a part of a hash: it must not lend one workspace the trust of another.
        if trust.root != workspace.root().display().to_string() {
            return Err(WorkspaceError(format!("{} is the record of {}", path.display(), trust.root)));
        }
        Ok(Some(trust))
    }

    /// Remembers it.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn save(&self, workspace: &Workspace) -> Result<(), WorkspaceError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| WorkspaceError(error.to_string()))?;
        replace(&path(workspace), &bytes, 0o600)
    }

    /// A record for a workspace that somebody trusts now.
    pub fn new(workspace: &Workspace, approvers: String) -> Self {
        Self { version: 1, root: workspace.root().display().to_string(), approvers, seen: None }
    }

    /// Takes note of a lock whose signature and counter were checked. True where the record changed.
    pub(crate) fn note<C>(&mut self, lock: &SignedLock<C>, approvers: &str) -> bool {
        let seen = Seen::of(lock);
        let changed = self.seen.as_ref() != Some(&seen) || self.approvers != approvers;
        self.seen = Some(seen);
        approvers.clone_into(&mut self.approvers);
        changed
    }
}
