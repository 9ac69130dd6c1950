//! Writing the lock: what it will cover, what that changes in rights, and the signature.
//!
//! Nothing is trusted on the way: every binding is parsed, every component is hashed, and asked what it is with every
//! import a trap. The old lock counts for the comparison only if it holds by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ops_egress::tls::check_authority;
use ops_policy::approvers::Approvers;
use ops_policy::binding::Binding;
use ops_policy::digest::Digest;
use ops_policy::lock::{Component, Lock, SignedLock, VERSION};
use ops_policy::manifest::{Access, Manifest};
use ops_policy::rights::Rights;
use ops_policy::service::Tls;
use ops_policy::settings::Settings;
use similar::TextDiff;

use crate::diff;
use crate::reviewing;
use crate::snapshot::{Taken, of_lock};
use crate::trust::Trust;
use crate::workspace::{APPROVERS, BINDINGS, LOCK, SETTINGS, Workspace, private_folder, replace};

/// The longest contract, in bytes; a binding is held to the same by its parser.
const MAX_CONTRACT: usize = 256 * 1024;

/// A lock that is ready to be signed.
#[derive(Debug)]
pub struct Pinning {
    lock: Lock,
    texts: BTreeMap<String, String>,
    folders: Vec<String>,
    /// What changes, for people. Empty where nothing does.
    pub shown: String,
}

/// Puts together the lock that covers the workspace as it is now.
///
/// # Errors
///
/// For people: a file that is missing or wrong, with its place.
pub fn prepare(
    workspace: &Workspace,
    describe: &dyn Fn(&[u8]) -> Result<Described, String>,
    development: bool,
) -> Result<Pinning, String> {
    let trust = Trust::load(workspace)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| crate::pinned::untrusted(workspace))?;
    let mut files = BTreeMap::new();
    let mut texts = BTreeMap::new();
    let mut add = |path: &str| -> Result<Vec<u8>, String> {
        let bytes = workspace.read(path).map_err(|error| error.to_string())?;
        files.insert(path.to_owned(), Digest::of(&bytes));
        texts.insert(path.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        Ok(bytes)
    };
    let settings =
        Settings::parse(&workspace.shown(SETTINGS), &add(SETTINGS)?).map_err(|error| error.to_string())?;
    Approvers::parse(&workspace.shown(APPROVERS), &add(APPROVERS)?).map_err(|error| error.to_string())?;
    let mut bindings = Vec::new();
    for name in workspace.list(BINDINGS, ".yaml").map_err(|error| error.to_string())? {
        let path = format!("{BINDINGS}/{name}");
        let bytes = add(&path)?;
        if is_binding(&bytes) {
            let binding =
                Binding::parse(&workspace.shown(&path), &bytes).map_err(|error| error.to_string())?;
            if format!("{}.yaml", binding.capability) != name {
                return Err(format!(
                    "{}: it binds `{}`; rename the file to {}.yaml",
                    workspace.shown(&path),
                    binding.capability,
                    binding.capability
                ));
            }
            bindings.push((path, binding));
        } else if bytes.len() > MAX_CONTRACT {
            return Err(format!(
                "{}: a contract has at most {} KiB",
                workspace.shown(&path),
                MAX_CONTRACT >> 10
            ));
        }
    }
    for (_, binding) in &bindings {
        for service in binding.services.values() {
            if let Some(Tls::Authority { ca }) = &service.tls {
                authority(workspace, ca, &add(ca)?)?;
            }
        }
        for contract in &binding.contracts {
            add(&format!("{BINDINGS}/{contract}"))?;
        }
    }
    if let Some(Tls::Authority { ca }) = settings.infisical.as_ref().and_then(|server| server.tls.as_ref()) {
        authority(workspace, ca, &add(ca)?)?;
    }
    let components = components(workspace, &bindings, describe)?;
    // Where no lock holds, everything is new; why it does not is told, unless there is none.
    let (old, why) = match lock_in_force(workspace, &trust) {
        Ok(old) => (Some(old), None),
        Err(why) => (None, workspace.has(LOCK).then_some(why)),
    };
    let counter =
        trust.seen.map_or(0, |seen| seen.counter).max(old.as_ref().map_or(0, |old| old.counter)) + 1;
    let mut lock = Lock {
        version: VERSION,
        workspace: settings.workspace,
        counter,
        development,
        files,
        components,
        reviews: BTreeMap::new(),
    };
    lock.reviews = reviewing::carried(old.as_ref(), &lock);
    let mut shown = shown(workspace, old.as_ref(), &lock, &bindings, &texts);
    shown.push_str(&reviewing::outdated(old.as_ref(), &lock));
    if let Some(why) = why {
        shown =
            format!("the lock that is there does not hold, so everything is shown as new:\n{why}\n\n{shown}");
    }
    let folders = bindings
        .iter()
        .flat_map(|(_, binding)| binding.directories.values())
        .filter(|directory| directory.access == Access::Stage)
        .map(|directory| directory.path.clone())
        .collect();
    Ok(Pinning { lock, texts, folders, shown })
}

/// What a component says of itself, and what it imports.
#[derive(Clone, Debug)]
pub struct Described {
    /// The manifest.
    pub manifest: Manifest,
    /// The imports.
    pub imports: BTreeSet<String>,
    /// The digest of imports and exports.
    pub interface: Digest,
}

/// A certificate authority must be one; a key that was put there by mistake must not be shown.
fn authority(workspace: &Workspace, path: &str, pem: &[u8]) -> Result<(), String> {
    check_authority(pem).map_err(|error| format!("{}: {error}", workspace.shown(path)))
}

/// Bindings say which capability they bind; every other file beside them is a contract and grants nothing.
pub(crate) fn is_binding(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"capability:"))
}

fn components(
    workspace: &Workspace,
    bindings: &[(String, Binding)],
    describe: &dyn Fn(&[u8]) -> Result<Described, String>,
) -> Result<BTreeMap<String, Component>, String> {
    let mut components: BTreeMap<String, Component> = BTreeMap::new();
    for (file, binding) in bindings {
        if !components.contains_key(&binding.component) {
            let bytes = workspace
                .read(&binding.component)
                .map_err(|error| format!("{error}\n  {} names it", workspace.shown(file)))?;
            let described = describe(&bytes)
                .map_err(|error| format!("{}: {error}", workspace.shown(&binding.component)))?;
            components.insert(
                binding.component.clone(),
                Component {
                    digest: Digest::of(&bytes),
                    capabilities: BTreeSet::new(),
                    manifest: described.manifest,
                    imports: described.imports,
                    interface: described.interface,
                },
            );
        }
        let Some(component) = components.get_mut(&binding.component) else { continue };
        if let Err(missing) = Rights::intersect(&component.manifest, binding) {
            let list: Vec<_> = missing.iter().map(ToString::to_string).collect();
            return Err(format!("{}: it cannot run like this:\n{}", workspace.shown(file), list.join("\n")));
        }
        component.capabilities.insert(binding.capability.clone());
    }
    Ok(components)
}

/// The lock that is in force.
///
/// # Errors
///
/// For people: there is none, nobody who counts here has signed it, or it is older than one that was seen here. Comparing
/// with such a lock would hide what has come back with it.
pub(crate) fn lock_in_force(workspace: &Workspace, trust: &Trust) -> Result<Lock, String> {
    let bytes = workspace.read(LOCK).map_err(|error| error.to_string())?;
    let shown = workspace.shown(LOCK);
    let signed = SignedLock::parse(&shown, &bytes).map_err(|error| error.to_string())?;
    let approvers =
        Approvers::parse(APPROVERS, trust.approvers.as_bytes()).map_err(|error| error.to_string())?;
    signed.verify(&approvers, Timestamp::now()).map_err(|error| format!("{shown}: {error}"))?;
    if let Some(seen) = &trust.seen {
        seen.admit(&signed).map_err(|error| format!("{shown}: {error}"))?;
    }
    Ok(signed.lock)
}

/// What changes in rights, as `ops diff` has it, then the text of each changed file.
fn shown(
    workspace: &Workspace,
    old: Option<&Lock>,
    new: &Lock,
    bindings: &[(String, Binding)],
    texts: &BTreeMap<String, String>,
) -> String {
    let unchanged = |path: &str, digest: &Digest| {
        let same = new.files.get(path) == Some(digest);
        texts.get(path).filter(|_| same).map(|text| text.clone().into_bytes())
    };
    let before = old.map(|old| {
        of_lock(old, &|path, digest| {
            unchanged(path, digest).or_else(|| kept(workspace, digest).map(String::into_bytes))
        })
    });
    let after = of_lock(new, &|path, _| texts.get(path).map(|text| text.clone().into_bytes()));
    let after = Taken { folder: workspace.shown(""), ..after };
    let mut text = diff::workspaces(&before.unwrap_or_default(), &after).text();
    for (path, digest) in &new.files {
        let before = old.and_then(|old| old.files.get(path)).filter(|before| *before != digest);
        if let (Some(before), Some(after)) =
            (before.and_then(|digest| kept(workspace, digest)), texts.get(path))
        {
            let diff = TextDiff::from_lines(&before, after);
            let header = workspace.shown(path);
            let diff = diff.unified_diff().context_radius(2).header(&header, &header).to_string();
            text.push_str(&format!("\n{}", ops_policy::visible::lines(&diff)));
        }
    }
    for (path, binding) in bindings {
        // Those of a new capability stand with its rights.
        let before =
            old.and_then(|old| old.files.get(path)).filter(|before| new.files.get(path) != Some(*before));
        let (Some(_), Some(component)) = (before, new.components.get(&binding.component)) else { continue };
        let rights = Rights::intersect(&component.manifest, binding);
        for unneeded in rights.iter().flat_map(Rights::unneeded) {
            text.push_str(&format!(
                "\n{}: granted but not needed, so without effect: {unneeded}\n",
                binding.capability
            ));
        }
    }
    // Whatever differs is shown, or it would not be signed.
    let same = |old: &Lock| Lock { counter: new.counter, ..old.clone() } == *new;
    if text.is_empty() && !old.is_some_and(same) {
        text.push_str("the lock itself, and no right in it\n");
    }
    text
}

/// The text that was pinned under a digest, from this host's state.
pub(crate) fn kept(workspace: &Workspace, digest: &Digest) -> Option<String> {
    let bytes = std::fs::read(workspace.state().join("pinned").join(digest.hex())).ok()?;
    (Digest::of(&bytes) == *digest).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

impl Pinning {
    /// The bytes to sign, namespace `ops-lock`.
    ///
    /// # Errors
    ///
    /// The lock is too large.
    pub fn body(&self) -> Result<Vec<u8>, String> {
        self.lock.body().map_err(|error| error.to_string())
    }

    /// The counter of the new lock.
    pub fn counter(&self) -> u64 {
        self.lock.counter
    }

    /// Writes the lock, if the signature is by an approver that this host already trusts.
    ///
    /// # Errors
    ///
    /// For people: it is not, or the lock cannot be written.
    pub fn commit(&self, workspace: &Workspace, signature: &str) -> Result<String, String> {
        let principal = put(workspace, &self.lock, signature, &self.texts)?;
        // A run makes no folder of its own accord, so those that may be staged in are made here, by who grants them.
        for folder in &self.folders {
            workspace.make_folder(folder).map_err(|error| error.to_string())?;
        }
        Ok(principal)
    }
}

/// Writes a lock, if an approver has signed it whom this host already trusts and whom the lock keeps as one. `texts` are
/// files that it covers, by path, the approvers among them: they are kept to be compared with later. Returns who signed.
///
/// # Errors
///
/// For people: nobody has, or the lock cannot be written.
pub(crate) fn put(
    workspace: &Workspace,
    lock: &Lock,
    signature: &str,
    texts: &BTreeMap<String, String>,
) -> Result<String, String> {
    let bytes = SignedLock::render(lock, signature).map_err(|error| error.to_string())?;
    let signed = SignedLock::parse(LOCK, &bytes).map_err(|error| error.to_string())?;
    let mut trust = Trust::load(workspace)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| crate::pinned::untrusted(workspace))?;
    let trusted = Approvers::parse(&workspace.shown(APPROVERS), trust.approvers.as_bytes())
        .map_err(|error| error.to_string())?;
    let signer = signed.verify(&trusted, Timestamp::now()).map_err(|error| {
        format!("the lock is not written: {error}\n  an approver whom this host already trusts must sign it")
    })?;
    let approvers = texts.get(APPROVERS).map(String::as_str).unwrap_or_default();
    let next = Approvers::parse(&workspace.shown(APPROVERS), approvers.as_bytes())
        .map_err(|error| error.to_string())?;
    signed.verify(&next, Timestamp::now()).map_err(|_| {
        format!(
            "the lock is not written: {} would no longer be an approver\n  \
             let somebody who stays sign it; they must be on the list already",
            signer.principal
        )
    })?;
    let folder = workspace.state().join("pinned");
    private_folder(&folder).map_err(|error| error.to_string())?;
    for text in texts.values() {
        replace(&folder.join(Digest::of(text.as_bytes()).hex()), text.as_bytes(), 0o600)
            .map_err(|error| error.to_string())?;
    }
    // From here on the lock before it is an older one, whether the new one is used or not.
    trust.note(&signed, approvers);
    workspace.write(LOCK, &bytes).map_err(|error| error.to_string())?;
    trust.save(workspace).map_err(|error| error.to_string())?;
    Ok(signer.principal)
}
