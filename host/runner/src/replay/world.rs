//! The world of a past run made again: its folders and contracts in a private folder, and its component.

use std::fs;
use std::path::{Path, PathBuf};

use ops_ledger::runlock::RunLock;
use ops_policy::binding::Binding;
use ops_policy::digest::Digest;
use ops_policy::plan::PlannedFile;
use ops_sandbox::component::Component;
use ops_sandbox::job::Mount;
use ops_sandbox::{stage, tree};

use super::{damaged, none};
use crate::key::random;
use crate::pinned::binding_file;
use crate::planning::word;
use crate::recording::{Folder, Recorded, Recording, RecordingError, blob};
use crate::runner::Runner;
use crate::staging;
use crate::workspace::private_folder;

/// Where a workspace's components lie.
const COMPONENTS: &str = "components";

/// A private folder with what a guest had in one phase. It goes when this is dropped, or at the next start.
pub(crate) struct Restored {
    state: PathBuf,
    name: String,
    folder: PathBuf,
    contracts: bool,
    /// Keeps others from tidying the folder away.
    _alive: RunLock,
}

impl Drop for Restored {
    fn drop(&mut self) {
        staging::remove(&self.state, &self.name);
    }
}

impl Restored {
    /// Makes the folders of a phase from the blobs of its run.
    pub(crate) fn new(state: &Path, recording: &Recording, phase: &Recorded) -> Result<Self, RecordingError> {
        let drawn = random::<8>().map_err(|error| damaged(&error))?;
        let name = format!("replay-{}", hex::encode(drawn));
        let alive = RunLock::hold(state, &name).map_err(|error| damaged(&error))?;
        let folder = staging::of_run(state, &name);
        private_folder(&folder).map_err(|error| damaged(&error))?;
        let contracts = !recording.contracts.is_empty();
        let restored = Self { state: state.to_path_buf(), name, folder, contracts, _alive: alive };
        for granted in &phase.folders {
            restored.folder(&recording.run, granted)?;
        }
        if contracts {
            let mut files = Vec::new();
            for (name, digest) in &recording.contracts {
                files.push((name.clone(), blob(state, &recording.run, digest)?));
            }
            let to = restored.folder.join("contracts");
            stage::contract_copy(&files, &to).map_err(|error| damaged(&error))?;
        }
        Ok(restored)
    }

    fn folder(&self, run: &str, granted: &Folder) -> Result<(), RecordingError> {
        let to = self.folder.join(&granted.name);
        private_folder(&to).map_err(|error| damaged(&error))?;
        for (path, entry) in &granted.tree.entries {
            if !path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
                return Err(damaged(&"it names a file outside its folder"));
            }
            let place = to.join(path);
            let written = match entry {
                tree::Entry::Directory { .. } => fs::create_dir(&place),
                tree::Entry::File { digest, .. } => fs::write(&place, blob(&self.state, run, digest)?),
            };
            written.map_err(|error| damaged(&format!("{}: {error}", place.display())))?;
        }
        let again = tree::scan(&to, &tree::Limits::default()).map_err(|error| damaged(&error))?;
        if again.digest() != granted.tree.digest() {
            return Err(damaged(&format!("the directory `{}` cannot be made again", granted.name)));
        }
        Ok(())
    }

    /// What the guest sees.
    pub(crate) fn mounts(&self, folders: &[Folder]) -> Vec<Mount> {
        let mount = |name: &str, writable| Mount {
            guest: format!("/{name}"),
            host: self.folder.join(name),
            writable,
        };
        let granted = folders.iter().map(|folder| mount(&folder.name, folder.writable));
        granted.chain(self.contracts.then(|| mount("contracts", false))).collect()
    }

    /// The first difference between what the guest left and the files of its plan.
    pub(super) fn difference(
        &self,
        folders: &[Folder],
        planned: &[PlannedFile],
    ) -> Result<Option<String>, RecordingError> {
        let mut planned = planned.iter();
        for folder in folders.iter().filter(|folder| folder.writable) {
            let left = self.folder.join(&folder.name);
            let changes = stage::changes(&folder.tree, &left, &tree::Limits::default());
            for change in changes.map_err(|error| damaged(&error))? {
                let same = planned.next().is_some_and(|planned| {
                    planned.directory == folder.name
                        && planned.path == change.path
                        && planned.change == word(change.kind)
                        && planned.before == change.before
                        && planned.after == change.after
                });
                if !same {
                    let path = ops_policy::visible::visible(&change.path);
                    return Ok(Some(format!("the file {}/{path} is not as it was planned", folder.name)));
                }
            }
        }
        Ok(planned.next().map(|missing| {
            let path = ops_policy::visible::visible(&missing.path);
            format!("the file {}/{path} was planned and did not change", missing.directory)
        }))
    }
}

impl Runner {
    /// The component of a recording: the one of the workspace that has the recorded bytes.
    pub(crate) fn recorded_component(&self, recording: &Recording) -> Result<Component, RecordingError> {
        let workspace = self.workspace();
        let binding = binding_file(&recording.capability);
        let bound = workspace.read(&binding).ok();
        let bound = bound.and_then(|bytes| Binding::parse(&binding, &bytes).ok());
        let others = workspace.list(COMPONENTS, ".wasm").unwrap_or_default();
        let others = others.into_iter().map(|name| format!("{COMPONENTS}/{name}"));
        for path in bound.map(|binding| binding.component).into_iter().chain(others) {
            let Ok(bytes) = workspace.read(&path) else { continue };
            if Digest::of(&bytes) == recording.component {
                let sandbox = self.sandbox().map_err(|ending| damaged(&ending.message))?;
                return sandbox.load(&bytes).map_err(|error| damaged(&error));
            }
        }
        Err(none(
            "component",
            format!(
                "its component {} is not in this workspace any more; put it into {}",
                recording.component.short(),
                workspace.shown(COMPONENTS)
            ),
        ))
    }
}
