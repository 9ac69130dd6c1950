//! A workspace as it was, or is somewhere else: put together from the files of a folder, of a git revision, or from a
//! lock and the texts that are kept of what it covered.
//!
//! Nothing here grants anything: it is for comparing. What a lock says of a component counts only where an approver whom
//! this host trusts has signed the lock (`signed`); else the component itself is asked. What cannot be had is left out, and
//! said in `notes`, so that nobody takes it for being the same.

mod git;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ops_policy::approvers::Approvers;
use ops_policy::binding::Binding;
use ops_policy::diff::{Bound, Shape, Snapshot};
use ops_policy::digest::Digest;
use ops_policy::lock::{self, Lock, SignedLock};
use ops_policy::manifest::Manifest;
use ops_policy::service::Tls;
use ops_policy::settings::Settings;

pub(crate) use git::{Revision, is_revision};

use crate::pin::is_binding;
use crate::workspace::{APPROVERS, BINDINGS, LOCK, SETTINGS, Workspace};

/// A state of a workspace, and what came with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// What is compared.
    pub(crate) snapshot: Snapshot,
    /// The texts of bindings and of `ops.yaml`, by path, for line numbers.
    pub(crate) texts: BTreeMap<String, Vec<u8>>,
    /// What could not be had, for people.
    pub(crate) notes: Vec<String>,
    /// The workspace's folder as people see it, with a slash at the end; empty where that is not known.
    pub(crate) folder: String,
}

/// Where files come from.
pub(crate) trait Files {
    /// The bytes of a file by its path in the workspace; none where it is not there.
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// The workspace's folder as people see it, with a slash at the end.
    fn folder(&self) -> String;
    /// The names of the files under `bindings/` that end in `.yaml`, sorted.
    fn bindings(&mut self) -> Result<Vec<String>, String>;
}

impl Files for &Workspace {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        if !self.has(path) {
            return Ok(None);
        }
        Workspace::read(self, path).map(Some).map_err(|error| error.to_string())
    }

    fn folder(&self) -> String {
        self.shown("")
    }

    fn bindings(&mut self) -> Result<Vec<String>, String> {
        self.list(BINDINGS, ".yaml").map_err(|error| error.to_string())
    }
}

/// What the files of a workspace say. `ask` is how a component is looked at that the lock beside them does not cover;
/// `signed` says of that lock whether somebody signed it who counts here.
pub(crate) fn of_files(
    files: &mut dyn Files,
    ask: &dyn Fn(&[u8]) -> Result<Shape, String>,
    signed: &dyn Fn(&SignedLock) -> bool,
) -> Result<Taken, String> {
    let mut taken = Taken { folder: files.folder(), ..Taken::default() };
    let settings = files.read(SETTINGS)?.ok_or_else(|| format!("there is no {SETTINGS} in it"))?;
    taken.snapshot.settings = Some(Settings::parse(SETTINGS, &settings).map_err(|error| error.to_string())?);
    taken.keep(SETTINGS, settings);
    if let Some(approvers) = files.read(APPROVERS)? {
        let parsed = Approvers::parse(APPROVERS, &approvers).map_err(|error| error.to_string())?;
        taken.snapshot.approvers = Some(parsed);
        taken.keep(APPROVERS, approvers);
    }
    for name in files.bindings()? {
        let path = format!("{BINDINGS}/{name}");
        let bytes = files.read(&path)?.unwrap_or_default();
        taken.add(&path, bytes)?;
    }
    let lock = files.read(LOCK)?.map(|bytes| SignedLock::parse(LOCK, &bytes)).transpose();
    // One that cannot be read says nothing, like one that nobody signed.
    let lock = lock.ok().flatten().filter(signed).map(|signed| signed.lock);
    taken.snapshot.development = lock.as_ref().map(|lock| lock.development);
    taken.authorities(files)?;
    taken.components(files, lock.as_ref(), ask)?;
    Ok(taken)
}

/// What a lock covers. `text` gives the bytes that had a digest, where they are kept.
pub(crate) fn of_lock(lock: &Lock, text: &dyn Fn(&str, &Digest) -> Option<Vec<u8>>) -> Taken {
    let mut taken = Taken::default();
    taken.snapshot.development = Some(lock.development);
    for (path, digest) in &lock.files {
        let bytes = text(path, digest).filter(|bytes| Digest::of(bytes) == *digest);
        let capability = bound_name(path)
            .filter(|name| lock.components.values().any(|component| component.capabilities.contains(*name)));
        match (path.as_str(), bytes, capability) {
            (SETTINGS, Some(bytes), _) => {
                taken.snapshot.settings = Settings::parse(SETTINGS, &bytes).ok();
                taken.keep(SETTINGS, bytes);
            }
            (APPROVERS, Some(bytes), _) => {
                taken.snapshot.approvers = Approvers::parse(APPROVERS, &bytes).ok();
                taken.keep(APPROVERS, bytes);
            }
            (_, bytes, Some(name)) => {
                let binding = bytes.as_deref().and_then(|bytes| Binding::parse(path, bytes).ok());
                let bound = Bound { file: path.clone(), digest: *digest, binding };
                taken.snapshot.bindings.insert(name.to_owned(), bound);
                taken.texts.extend(bytes.map(|bytes| (path.clone(), bytes)));
            }
            _ => {
                taken.snapshot.files.insert(path.clone(), *digest);
            }
        }
    }
    for (path, component) in &lock.components {
        taken.snapshot.components.insert(path.clone(), shape(component));
    }
    taken.snapshot.authorities.extend(taken.named_authorities());
    taken
}

/// What a lock has of a component.
pub(crate) fn shape(component: &lock::Component) -> Shape {
    let manifest: Manifest = component.manifest.clone();
    Shape {
        digest: component.digest,
        manifest: Some(manifest),
        imports: component.imports.clone(),
        interface: component.interface,
    }
}

/// The capability whose binding would have that path.
fn bound_name(path: &str) -> Option<&str> {
    path.strip_prefix(BINDINGS)?.strip_prefix('/')?.strip_suffix(".yaml")
}

impl Taken {
    fn keep(&mut self, path: &str, bytes: Vec<u8>) {
        self.snapshot.files.insert(path.to_owned(), Digest::of(&bytes));
        self.texts.insert(path.to_owned(), bytes);
    }

    /// A file beside the bindings: a binding, or a contract.
    fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), String> {
        let digest = Digest::of(&bytes);
        if !is_binding(&bytes) {
            self.snapshot.files.insert(path.to_owned(), digest);
            return Ok(());
        }
        let binding = Binding::parse(path, &bytes).map_err(|error| error.to_string())?;
        // A second file for a capability would hide the first.
        if bound_name(path) != Some(&binding.capability) {
            return Err(format!(
                "{path}: it binds `{}`; a binding's file name is its capability's",
                binding.capability
            ));
        }
        let bound = Bound { file: path.to_owned(), digest, binding: Some(binding.clone()) };
        self.snapshot.bindings.insert(binding.capability, bound);
        self.texts.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// The certificate authorities that bindings and `ops.yaml` name.
    fn named_authorities(&self) -> Vec<String> {
        let bindings = self.snapshot.bindings.values().filter_map(|bound| bound.binding.as_ref());
        let services = bindings.flat_map(|binding| binding.services.values());
        let server = self.snapshot.settings.as_ref().and_then(|settings| settings.infisical.as_ref());
        let named = services.filter_map(|service| service.tls.as_ref());
        let named = named.chain(server.and_then(|server| server.tls.as_ref()));
        named.filter_map(Tls::ca).map(str::to_owned).collect()
    }

    fn authorities(&mut self, files: &mut dyn Files) -> Result<(), String> {
        let paths = self.named_authorities();
        for path in paths {
            match files.read(&path)? {
                Some(bytes) => {
                    self.snapshot.files.insert(path.clone(), Digest::of(&bytes));
                }
                None => self.notes.push(format!("{path} is not there, so it is not compared")),
            }
            self.snapshot.authorities.insert(path);
        }
        Ok(())
    }

    fn components(
        &mut self,
        files: &mut dyn Files,
        lock: Option<&Lock>,
        ask: &dyn Fn(&[u8]) -> Result<Shape, String>,
    ) -> Result<(), String> {
        let bindings = self.snapshot.bindings.values().filter_map(|bound| bound.binding.as_ref());
        let mut paths: Vec<String> = bindings.map(|binding| binding.component.clone()).collect();
        paths.sort();
        paths.dedup();
        let mut missing = 0_usize;
        for path in paths {
            let pinned = lock.and_then(|lock| lock.components.get(&path));
            let found = match (files.read(&path)?, pinned) {
                // What the lock says of these very bytes need not be asked again.
                (Some(bytes), Some(pinned)) if Digest::of(&bytes) == pinned.digest => shape(pinned),
                (Some(bytes), _) => ask(&bytes).map_err(|error| format!("{path}: {error}"))?,
                (None, Some(pinned)) => shape(pinned),
                (None, None) => {
                    missing += 1;
                    continue;
                }
            };
            self.snapshot.components.insert(path, found);
        }
        if missing > 0 {
            self.notes.push(format!(
                "{missing} components are neither there nor in a lock, so what they import and need is not compared"
            ));
        }
        Ok(())
    }
}

/// A workspace's files in a folder that nobody here need trust: no link leads out of it.
pub(crate) struct Folder {
    dir: Dir,
    name: String,
}

/// The largest file that is read, in bytes: that of a workspace.
const MAX_FILE: u64 = 64 * 1024 * 1024;

impl Folder {
    pub(crate) fn open(root: &Path) -> Result<Self, String> {
        let dir = Dir::open_ambient_dir(root, ambient_authority());
        let name = root.file_name().map(|name| format!("{}/", name.to_string_lossy())).unwrap_or_default();
        Ok(Self { dir: dir.map_err(|error| format!("{}: {error}", root.display()))?, name })
    }
}

/// Reads what was opened, up to the bound.
fn bounded(path: &str, file: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{path}: is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}

/// Reads a regular file of a bounded size; none where there is none.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let fail = |why: String| format!("{}: {why}", path.display());
    match std::fs::metadata(path) {
        // A FIFO would park us for good.
        Ok(about) if !about.is_file() => return Err(fail("is no regular file".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
    }
    let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
    bounded(&path.display().to_string(), file).map(Some)
}

impl Files for Folder {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.dir.symlink_metadata(path) {
            Ok(about) if !about.is_file() => Err(format!("{path}: is no regular file")),
            Ok(_) => {
                let file = self.dir.open(path).map_err(|error| format!("{path}: {error}"))?;
                bounded(path, file).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    fn folder(&self) -> String {
        self.name.clone()
    }

    fn bindings(&mut self) -> Result<Vec<String>, String> {
        let fail = |error: std::io::Error| format!("{BINDINGS}: {error}");
        let entries = match self.dir.read_dir(BINDINGS) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name().into_string();
            names.push(name.map_err(|name| format!("{BINDINGS}: {} is not UTF-8", name.to_string_lossy()))?);
        }
        names.retain(|name| name.ends_with(".yaml"));
        names.sort();
        Ok(names)
    }
}
