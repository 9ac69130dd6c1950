//! The world of a past run made again: its folders and contracts in a private folder, and its component.

use std::fs;
use std::path::{Path, PathBuf};

use ops_ledger::runlock::RunLock;
use ops_ledger::store::Ledger;
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

/// Files by their names.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// What a guest has before it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Contracts by name.
    pub(crate) contracts: Files,
    /// The files of each granted folder, by its name and theirs.
    pub(crate) folders: Vec<(String, Files)>,
    /// The folders in them, each after the one that it is in.
    pub(crate) directories: Vec<String>,
}

impl Given {
    /// What the guest of a recorded phase had.
    fn recorded(ledger: &Ledger, recording: &Recording, phase: &Recorded) -> Result<Self, RecordingError> {
        let mut given = Self::default();
        for (name, digest) in &recording.contracts {
            given.contracts.push((name.clone(), blob(ledger, &recording.run, digest)?));
        }
        for granted in &phase.folders {
            let mut files = Vec::new();
            for (path, entry) in &granted.tree.entries {
                match entry {
                    tree::Entry::Directory { .. } => {
                        given.directories.push(format!("{}/{path}", granted.name))
                    }
                    tree::Entry::File { digest, .. } => {
                        files.push((path.clone(), blob(ledger, &recording.run, digest)?));
                    }
                }
            }
            given.folders.push((granted.name.clone(), files));
        }
        Ok(given)
    }
}

impl Restored {
    /// Makes the folders of a phase from the blobs of its run.
    pub(crate) fn new(
        state: &Path,
        ledger: &Ledger,
        recording: &Recording,
        phase: &Recorded,
    ) -> Result<Self, RecordingError> {
        let restored = Self::with(state, &Given::recorded(ledger, recording, phase)?)?;
        for granted in &phase.folders {
            let again = tree::scan(&restored.folder.join(&granted.name), &tree::Limits::default());
            if again.map_err(|error| damaged(&error))?.digest() != granted.tree.digest() {
                return Err(damaged(&format!("the directory `{}` cannot be made again", granted.name)));
            }
        }
        Ok(restored)
    }

    /// Makes folders that hold this.
    pub(crate) fn with(state: &Path, given: &Given) -> Result<Self, RecordingError> {
        let drawn = random::<8>().map_err(|error| damaged(&error))?;
        let name = format!("replay-{}", hex::encode(drawn));
        let alive = RunLock::hold(state, &name).map_err(|error| damaged(&error))?;
        let folder = staging::of_run(state, &name);
        private_folder(&folder).map_err(|error| damaged(&error))?;
        let contracts = !given.contracts.is_empty();
        let restored = Self { state: state.to_path_buf(), name, folder, contracts, _alive: alive };
        let place = |path: &str| match path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            true => Ok(restored.folder.join(path)),
            false => Err(damaged(&"it names a file outside its folder")),
        };
        let failed = |error: std::io::Error| damaged(&error);
        for (name, _) in &given.folders {
            private_folder(&place(name)?).map_err(|error| damaged(&error))?;
        }
        for path in &given.directories {
            fs::create_dir(place(path)?).map_err(failed)?;
        }
        for (name, files) in &given.folders {
            for (path, bytes) in files {
                fs::write(place(&format!("{name}/{path}"))?, bytes).map_err(failed)?;
            }
        }
        if contracts {
            let to = restored.folder.join("contracts");
            stage::contract_copy(&given.contracts, &to).map_err(|error| damaged(&error))?;
        }
        Ok(restored)
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
    /// The component of a recording: the one of the workspace that has the recorded bytes, else what was compiled of
    /// them before.
    pub(crate) fn recorded_component(&self, recording: &Recording) -> Result<Component, RecordingError> {
        let workspace = self.workspace();
        let sandbox = self.sandbox().map_err(|ending| damaged(&ending.message))?;
        let binding = binding_file(&recording.capability);
        let bound = workspace.read(&binding).ok();
        let bound = bound.and_then(|bytes| Binding::parse(&binding, &bytes).ok());
        let others = workspace.list(COMPONENTS, ".wasm").unwrap_or_default();
        let others = others.into_iter().map(|name| format!("{COMPONENTS}/{name}"));
        for path in bound.map(|binding| binding.component).into_iter().chain(others) {
            let Ok(bytes) = workspace.read(&path) else { continue };
            if Digest::of(&bytes) == recording.component {
                return sandbox.load(&bytes).map_err(|error| damaged(&error));
            }
        }
        sandbox.load_cached(recording.component).ok_or_else(|| {
            let (digest, folder) = (recording.component.short(), workspace.shown(COMPONENTS));
            none(
                "component",
                format!("its component {digest} is not on this host any more; put it into {folder}"),
            )
        })
    }
}
