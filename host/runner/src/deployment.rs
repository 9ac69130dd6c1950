//! Which of the two deployments this is: everything belongs to a user of its own (`require: {user: …}` of `ops.yaml`),
//! or to whoever runs `ops`. The first is a boundary, so it is looked at and not believed.
//!
//! Order of checks: the process's user; the folders above the workspace, from the root of the file system on; the
//! workspace's folder; the files in it that everything else hangs on. Each must belong to that user or to root, and
//! nobody else may write to it. What the lock lists needs no such look: a changed file is not loaded. The state folder
//! is looked at when the workspace is opened.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use ops_ledger::receipt::Deployment;
use ops_policy::settings::Settings;

use crate::pinned::Refusal;
use crate::runner::Runner;
use crate::workspace::{APPROVERS, LOCK, SETTINGS, Workspace};

/// Others may make files in such a folder, and touch only their own: `/tmp` is one.
const STICKY: u32 = 0o1000;

/// The deployment that the settings ask for, if this is it.
///
/// # Errors
///
/// What is not as it must be, and what to do about it.
pub(crate) fn check(workspace: &Workspace, settings: &Settings) -> Result<Deployment, Refusal> {
    let Some(user) = &settings.require.user else { return Ok(Deployment::SameUser) };
    let refuse =
        |why: String| Refusal::new("deployment", format!("ops.yaml requires the user `{user}`: {why}"));
    let running = crate::user_name();
    if running != *user {
        return Err(refuse(format!("this process runs as `{running}`; start it as `{user}`")));
    }
    let root = workspace.root();
    let mut folders: Vec<&Path> = root.ancestors().collect();
    folders.reverse();
    let files = [SETTINGS, LOCK, APPROVERS].map(|name| root.join(name));
    for path in folders.into_iter().chain(files.iter().map(AsRef::as_ref)) {
        let about =
            std::fs::metadata(path).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
        if let Some(why) = open_to_others(&about, rustix::process::geteuid().as_raw()) {
            return Err(refuse(format!("{} {why}", path.display())));
        }
    }
    Ok(Deployment::SeparateUser)
}

impl Runner {
    /// Whether this is the deployment *separate user*, for a receipt that no run's own steps have come to.
    pub(crate) fn is_separate_user(&self, now: Timestamp) -> bool {
        let settings = self.pinned(now).map(|pinned| check(self.workspace(), &pinned.settings));
        matches!(settings, Ok(Ok(Deployment::SeparateUser)))
    }
}

/// Why somebody else than `user` or root could replace this, where they could.
fn open_to_others(about: &Metadata, user: u32) -> Option<String> {
    if about.uid() != user && about.uid() != 0 {
        return Some(format!("belongs to user {}; `chown` it", about.uid()));
    }
    let mode = about.permissions().mode();
    let sticky = about.is_dir() && mode & STICKY != 0;
    (mode & 0o022 != 0 && !sticky)
        .then(|| format!("can be written by others (mode {:04o}); `chmod go-w` it", mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_others_can_replace_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, mode, bad) in [
            (file.as_path(), 0o644, false),
            (&file, 0o664, true),
            (&file, 0o646, true),
            (folder.path(), 0o755, false),
            (folder.path(), 0o777, true),
            (folder.path(), 0o1777, false),
        ] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let about = fs::metadata(path).unwrap();
            assert_eq!(open_to_others(&about, user).is_some(), bad, "{mode:o}");
        }
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let about = fs::metadata(&file).unwrap();
        assert_eq!(open_to_others(&about, user + 1).is_some(), user != 0, "root's files are everybody's");
    }
}
