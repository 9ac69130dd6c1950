//! What the lock vouches for, and how a name becomes a capability.
//!
//! Order of checks: this host trusts the workspace; the lock is signed by an approver that counts; it is not older
//! than the last one seen; each file that is read has the hash that the lock gives; only then is it parsed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ops_policy::approvers::{Approver, Approvers};
use ops_policy::binding::Binding;
use ops_policy::digest::Digest;
use ops_policy::lock::{Component, Lock, OnDemand, SignedLock};
use ops_policy::manifest::Manifest;
use ops_policy::settings::Settings;

use crate::trust::Trust;
use crate::workspace::{APPROVERS, BINDINGS, LOCK, SETTINGS, Workspace};

/// A workspace whose lock was checked.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// `ops.yaml`.
    pub settings: Settings,
    /// Who may approve.
    pub approvers: Approvers,
    /// The lock.
    pub lock: SignedLock<OnDemand>,
    /// Who signed it.
    pub signer: Approver,
}

/// A capability that the lock vouches for.
#[derive(Clone, Debug)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// Its binding.
    pub binding: Binding,
    /// The binding file's path in the workspace.
    pub binding_file: String,
    /// The binding's bytes.
    pub binding_digest: Digest,
    /// What the component says of itself.
    pub manifest: Manifest,
    /// The manifest in the lock.
    pub manifest_digest: Digest,
    /// The component's bytes, as the lock has them.
    pub component_digest: Digest,
    /// The component's imports, as the lock has them.
    pub imports: BTreeSet<String>,
}

/// A binding that the lock vouches for, and what the lock has of its component.
pub(crate) struct Bound<'a> {
    pub(crate) binding: Binding,
    pub(crate) binding_digest: Digest,
    pub(crate) component: &'a Component,
}

/// Why something is not loaded: a stable code and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable word.
    pub code: &'static str,
    /// What happened, where, and what to do next.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// The path of a capability's binding.
pub fn binding_file(name: &str) -> String {
    format!("{BINDINGS}/{name}.yaml")
}

impl Pinned {
    /// Checks the lock and reads what it covers for the whole workspace.
    ///
    /// # Errors
    ///
    /// The workspace is not trusted here; the lock is missing, malformed, unsigned, older than the last one, or
    /// signed by nobody that counts; `ops.yaml` or `approvers` is not what it covers.
    pub fn load(workspace: &Workspace, now: Timestamp) -> Result<Self, Refusal> {
        let mut trust = Trust::load(workspace)
            .map_err(|error| Refusal::new("trust", error))?
            .ok_or_else(|| Refusal::new("untrusted", untrusted(workspace)))?;
        let shown = workspace.shown(LOCK);
        let bytes = workspace.read(LOCK).map_err(|error| {
            Refusal::new("lock", format!("{error}\n  `ops pin` writes it, signed by an approver"))
        })?;
        let lock = SignedLock::parse_again(&shown, &bytes, trust.seen.as_ref())
            .map_err(|error| Refusal::new("lock", error))?;
        let counted = Approvers::parse(&workspace.shown(APPROVERS), trust.approvers.as_bytes())
            .map_err(|error| Refusal::new("trust", error))?;
        let signer = lock.verify(&counted, now).map_err(|error| {
            Refusal::new(
                "lock-signature",
                format!("{shown}: {error}\n  it must be signed by an approver that this host already trusts: `ops pin --key KEY`"),
            )
        })?;
        if let Some(seen) = &trust.seen {
            seen.admit(&lock).map_err(|error| Refusal::new("lock-older", format!("{shown}: {error}")))?;
        }
        let settings = checked(workspace, &lock, SETTINGS)?;
        let settings = Settings::parse(&workspace.shown(SETTINGS), &settings)
            .map_err(|error| Refusal::new("settings", error))?;
        let text = checked(workspace, &lock, APPROVERS)?;
        // A list that its own signer is not on would lock everybody out at the next look. One that is the list that counts was
        // just asked.
        let approvers = if text == trust.approvers.as_bytes() {
            counted
        } else {
            let approvers = Approvers::parse(&workspace.shown(APPROVERS), &text)
                .map_err(|error| Refusal::new("approvers", error))?;
            lock.verify(&approvers, now).map_err(|error| {
                Refusal::new(
                    "lock-signature",
                    format!("{shown}: its signer is not among the approvers that it brings: {error}"),
                )
            })?;
            approvers
        };
        if trust.note(&lock, &String::from_utf8_lossy(&text)) {
            trust.save(workspace).map_err(|error| Refusal::new("trust", error))?;
        }
        Ok(Self { settings, approvers, lock, signer })
    }

    /// All that the lock says.
    pub(crate) fn whole(&self) -> Result<Lock, Refusal> {
        self.lock.lock.whole().map_err(|error| Refusal::new("lock", error))
    }

    /// The components that the lock has, by path.
    pub(crate) fn components(&self) -> Result<BTreeMap<&String, &Component>, Refusal> {
        self.lock.lock.components.all().map_err(|error| Refusal::new("lock", error))
    }

    /// The names of the capabilities that the lock has.
    pub(crate) fn names(&self) -> Result<BTreeSet<&String>, Refusal> {
        let components = self.components()?;
        Ok(components.into_values().flat_map(|component| &component.capabilities).collect())
    }

    /// The capability behind a name.
    ///
    /// # Errors
    ///
    /// Its binding, or the component that the binding names, is not what the lock covers, or does not parse.
    pub fn capability(&self, workspace: &Workspace, name: &str) -> Result<Capability, Refusal> {
        let Bound { binding, binding_digest, component } = self.bound(workspace, name)?;
        let manifest_digest =
            Digest::of_json(&component.manifest).map_err(|error| Refusal::new("lock", error))?;
        Ok(Capability {
            name: name.to_owned(),
            binding_digest,
            binding_file: binding_file(name),
            manifest: component.manifest.clone(),
            manifest_digest,
            component_digest: component.digest,
            imports: component.imports.clone(),
            binding,
        })
    }

    /// The binding behind a name, and what the lock has of its component: what a list of many needs.
    ///
    /// # Errors
    ///
    /// Those of [`Pinned::capability`].
    pub(crate) fn bound(&self, workspace: &Workspace, name: &str) -> Result<Bound<'_>, Refusal> {
        let file = binding_file(name);
        let bytes = checked(workspace, &self.lock, &file)?;
        let binding = Binding::parse(&workspace.shown(&file), &bytes)
            .map_err(|error| Refusal::new("binding", error))?;
        if binding.capability != name {
            return Err(Refusal::new(
                "binding",
                format!(
                    "{}: it binds `{}`; a binding's file name is its capability's name",
                    workspace.shown(&file),
                    binding.capability
                ),
            ));
        }
        let component = self.component(workspace, &binding.component)?;
        Ok(Bound { binding_digest: Digest::of(&bytes), component, binding })
    }

    /// What the lock has of a component.
    pub(crate) fn component(&self, workspace: &Workspace, path: &str) -> Result<&Component, Refusal> {
        let component = self.lock.lock.components.get(path).map_err(|error| Refusal::new("lock", error))?;
        component.ok_or_else(|| {
            Refusal::new(
                "lock",
                format!("{} is not in the lock\n  `ops pin` shows it and adds it", workspace.shown(path)),
            )
        })
    }

    /// The component's bytes, read once and compared with the lock.
    ///
    /// # Errors
    ///
    /// They are missing or differ.
    pub fn component_bytes(&self, workspace: &Workspace, path: &str) -> Result<Vec<u8>, Refusal> {
        let bytes = workspace.read(path).map_err(|error| Refusal::new("component", error))?;
        self.lock.lock.components.check(path, &bytes).map_err(|error| Refusal::new("component", error))?;
        Ok(bytes)
    }

    /// The bytes of a contract or a certificate, read once and compared with the lock.
    ///
    /// # Errors
    ///
    /// They are missing or differ.
    pub fn file(&self, workspace: &Workspace, path: &str) -> Result<Vec<u8>, Refusal> {
        checked(workspace, &self.lock, path)
    }
}

/// Reads a file and compares it with the lock.
fn checked(workspace: &Workspace, lock: &SignedLock<OnDemand>, path: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = workspace.read(path).map_err(|error| Refusal::new("lock", error))?;
    lock.lock
        .check_file(path, &bytes)
        .map_err(|error| Refusal::new("lock", format!("{}: {error}", workspace.shown(LOCK))))?;
    Ok(bytes)
}

/// What to do about a workspace that nobody on this host has trusted.
pub fn untrusted(workspace: &Workspace) -> String {
    format!(
        "{} was never trusted on this host, so nothing in it runs\n  \
         look at its bindings and approvers, then `ops trust --workspace {}`",
        workspace.root().display(),
        workspace.root().display()
    )
}
