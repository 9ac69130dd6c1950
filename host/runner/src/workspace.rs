//! Where things are: the operator's files, the host's state, and the exported receipts.
//!
//! The operator's files are read through one directory handle that cannot be led outside by a link. The host's
//! state lies elsewhere, in a folder that only this user can enter, so that nothing a workspace holds can reach it.

use std::fs::{DirBuilder, Metadata};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ops_policy::digest::Digest;

/// The file that makes a folder a workspace.
pub const SETTINGS: &str = "ops.yaml";
/// The lock.
pub const LOCK: &str = "ops.lock";
/// The approvers.
pub const APPROVERS: &str = "approvers";
/// Bindings and contracts.
pub const BINDINGS: &str = "bindings";

/// The largest file of a workspace that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// An operator's workspace.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    state: PathBuf,
    dir: Dir,
}

/// Why a workspace or a file of it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WorkspaceError(pub(crate) String);

impl Workspace {
    /// The folder of the `ops.yaml` to use: the one named, else `OPS_WORKSPACE`, else the nearest `ops/ops.yaml`
    /// from `from` upwards.
    ///
    /// # Errors
    ///
    /// There is none; the message says where it was looked for.
    pub fn locate(named: Option<&Path>, from: &Path) -> Result<PathBuf, WorkspaceError> {
        let environment = std::env::var_os("OPS_WORKSPACE").map(PathBuf::from);
        if let Some(named) = named.map(Path::to_path_buf).or(environment) {
            return [named.clone(), named.join("ops")]
                .into_iter()
                .find(|folder| folder.join(SETTINGS).is_file())
                .ok_or_else(|| {
                    WorkspaceError(format!(
                        "{} is no workspace: neither {SETTINGS} nor ops/{SETTINGS} is there\n  \
                         `ops init {}` makes one",
                        named.display(),
                        named.display()
                    ))
                });
        }
        from.ancestors()
            .map(|folder| folder.join("ops"))
            .find(|folder| folder.join(SETTINGS).is_file())
            .ok_or_else(|| {
                WorkspaceError(format!(
                    "there is no workspace here: no ops/{SETTINGS} in {} or above it\n  \
                     go to one, name one with --workspace, or make one with `ops init`",
                    from.display()
                ))
            })
    }

    /// Opens the workspace in a folder, and its state folder, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be opened, or the state folder belongs to somebody else or lets others in.
    pub fn open(root: &Path) -> Result<Self, WorkspaceError> {
        let fail = |what: &str, error: std::io::Error| {
            WorkspaceError(format!("{}: {what}: {error}", root.display()))
        };
        let root = root.canonicalize().map_err(|error| fail("cannot be found", error))?;
        let dir = Dir::open_ambient_dir(&root, ambient_authority())
            .map_err(|error| fail("cannot be opened", error))?;
        let state = state_folder(&root)?;
        private_folder(&state)?;
        Ok(Self { root, state, dir })
    }

    /// The folder of `ops.yaml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The host's state for this workspace: ledger, cache, staging, keys.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where receipts are exported for people: `receipts/` beside the folder of `ops.yaml`.
    pub fn receipts(&self) -> PathBuf {
        self.root.parent().unwrap_or(&self.root).join("receipts")
    }

    /// A file's path as people should see it.
    pub fn shown(&self, relative: &str) -> String {
        let folder =
            self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        format!("{folder}/{relative}")
    }

    /// Reads a file once; the bytes that are hashed are the bytes that are parsed.
    ///
    /// # Errors
    ///
    /// It is missing, no regular file, too large, or outside the workspace.
    pub fn read(&self, relative: &str) -> Result<Vec<u8>, WorkspaceError> {
        let fail = |why: String| WorkspaceError(format!("{}: {why}", self.shown(relative)));
        let file = self.dir.open(relative).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => fail("there is no such file".into()),
            _ => fail(error.to_string()),
        })?;
        // The standard library's knows how to read into room that was not made empty before.
        let file = file.into_std();
        let about = file.metadata().map_err(|error| fail(error.to_string()))?;
        if !about.is_file() {
            return Err(fail("is no regular file".into()));
        }
        // Read in one go; a file that grows meanwhile is read as far as it may.
        let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(MAX_FILE) + 1).unwrap_or(0));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(fail(format!("is larger than {} MiB", MAX_FILE >> 20)));
        }
        Ok(bytes)
    }

    /// Whether there is such a file, or a link in its place. Where that leads nobody asks here: whoever reads it does.
    pub fn has(&self, relative: &str) -> bool {
        self.dir.symlink_metadata(relative).is_ok_and(|about| about.is_file() || about.is_symlink())
    }

    /// The file names in a folder of the workspace that end in `suffix`, sorted.
    ///
    /// # Errors
    ///
    /// The folder is there but cannot be listed.
    pub fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, WorkspaceError> {
        let fail = |error: std::io::Error| WorkspaceError(format!("{}: {error}", self.shown(folder)));
        let entries = match self.dir.read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.ends_with(suffix)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a folder of the workspace, with those above it; links lead nowhere outside.
    ///
    /// # Errors
    ///
    /// It cannot be made, or something else has its name.
    pub fn make_folder(&self, relative: &str) -> Result<(), WorkspaceError> {
        self.dir
            .create_dir_all(relative)
            .map_err(|error| WorkspaceError(format!("{}: {error}", self.shown(relative))))
    }

    /// Replaces a file of the workspace, atomically.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), WorkspaceError> {
        replace(&self.root.join(relative), bytes, 0o644)
    }
}

/// The state folder of the workspace in `root`: under `XDG_STATE_HOME`, else `~/.local/state`.
fn state_folder(root: &Path) -> Result<PathBuf, WorkspaceError> {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .ok_or_else(|| WorkspaceError("neither XDG_STATE_HOME nor HOME is set".into()))?;
    let digest = Digest::of(root.as_os_str().as_encoded_bytes());
    let name = root.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    Ok(base.join("ops").join(format!("{name}-{}", digest.short())))
}

/// Makes a folder that only this user can enter, or checks that it is one.
///
/// # Errors
///
/// It cannot be made, belongs to somebody else, or lets others in.
pub(crate) fn private_folder(path: &Path) -> Result<(), WorkspaceError> {
    let fail = |why: String| WorkspaceError(format!("{}: {why}", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| fail(error.to_string()))?;
    let about: Metadata = std::fs::symlink_metadata(path).map_err(|error| fail(error.to_string()))?;
    if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
        return Err(fail("is no folder of this user".into()));
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err(fail("lets others in; `chmod 700` it".into()));
    }
    Ok(())
}

/// Writes a file beside its place and renames it there, so that a reader sees the old one or the new one.
///
/// # Errors
///
/// It cannot be written.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WorkspaceError> {
    use std::io::Write;
    let fail = |error: std::io::Error| WorkspaceError(format!("{}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".ops-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}
