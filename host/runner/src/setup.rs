//! Making a workspace, and trusting one that came from elsewhere.
//!
//! Both end in a record in this host's state: who may sign the lock. Without that record nothing of a workspace is
//! run.

use std::path::Path;

use ops_policy::approvers::Approvers;

use crate::trust::Trust;
use crate::workspace::{APPROVERS, BINDINGS, SETTINGS, Workspace, WorkspaceError};

/// The README of the folder that receipts are exported to.
const RECEIPTS_README: &str = "# Receipts\n\nWhat runs leave for people to read: one folder for each run under `sessions/`. They are copies; the ledger in\nthe host's state has the originals. `ops receipts verify KEY` checks one.\n";

/// Makes the workspace `folder`/ops with its first approver, and trusts it.
///
/// # Errors
///
/// There is one already, the approver's line is not accepted, or something cannot be written.
pub fn init(folder: &Path, name: &str, approver: &str) -> Result<Workspace, WorkspaceError> {
    let root = folder.join("ops");
    let fail = |path: &Path, error: std::io::Error| WorkspaceError(format!("{}: {error}", path.display()));
    if root.join(SETTINGS).exists() {
        return Err(WorkspaceError(format!(
            "{} is a workspace already; `ops trust` records it on this host",
            root.display()
        )));
    }
    let settings = format!("workspace: {name}\n");
    ops_policy::settings::Settings::parse(SETTINGS, settings.as_bytes())
        .map_err(|error| WorkspaceError(error.to_string()))?;
    Approvers::parse(APPROVERS, approver.as_bytes()).map_err(|error| WorkspaceError(error.to_string()))?;
    let receipts = folder.join("receipts");
    for part in
        [root.join(BINDINGS), root.join("components"), root.join("tls"), root.join("state"), receipts.clone()]
    {
        std::fs::create_dir_all(&part).map_err(|error| fail(&part, error))?;
    }
    let readme = receipts.join("README.md");
    if !readme.exists() {
        std::fs::write(&readme, RECEIPTS_README).map_err(|error| fail(&readme, error))?;
    }
    for (file, text) in [(APPROVERS, approver), (SETTINGS, settings.as_str())] {
        let path = root.join(file);
        std::fs::write(&path, text).map_err(|error| fail(&path, error))?;
    }
    let workspace = Workspace::open(&root)?;
    // A state left behind by another workspace that once lay here would bring its locks and its ledger along.
    if Trust::load(&workspace)?.is_some() {
        return Err(WorkspaceError(format!(
            "this host still holds the state of a workspace that was here before: {}\n  move it away first",
            workspace.state().display()
        )));
    }
    Trust::new(&workspace, approver.to_owned()).save(&workspace)?;
    Ok(workspace)
}

/// What somebody should look at before trusting a workspace: the approvers file, checked.
///
/// # Errors
///
/// It is missing or malformed.
pub fn approvers_to_trust(workspace: &Workspace) -> Result<String, WorkspaceError> {
    let bytes = workspace.read(APPROVERS)?;
    Approvers::parse(&workspace.shown(APPROVERS), &bytes)
        .map_err(|error| WorkspaceError(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| WorkspaceError(format!("{}: not UTF-8", workspace.shown(APPROVERS))))
}

/// Records that a person trusts a workspace and these approvers, as [`approvers_to_trust`] returned them.
///
/// The last lock seen, if there is one, stays remembered: trusting again does not let an older lock in.
///
/// # Errors
///
/// The record cannot be written.
pub fn trust(workspace: &Workspace, approvers: String) -> Result<(), WorkspaceError> {
    let seen = Trust::load(workspace)?.and_then(|trust| trust.seen);
    Trust { seen, ..Trust::new(workspace, approvers) }.save(workspace)
}
