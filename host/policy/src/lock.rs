//! The lock, `ops.lock`: the digests of everything that grants rights, under an approver's signature.
//!
//! The file is JSON as [`Lock::body`] writes it, followed directly by an armoured SSH signature over exactly those
//! bytes, so that `ssh-keygen -Y verify -n ops-lock` can check it too. There is one text for one lock: a body that
//! differs in any byte from what we would write is refused, which covers duplicate keys, unknown fields, another
//! order and trailing data at once.
//!
//! Reading checks the size, the split into body and signature, the JSON, its values, and that one text. It does not
//! check the signature: call [`SignedLock::verify`] with the approvers, and [`Seen::admit`] with what this host
//! remembers, before anything in the lock is believed.
//!
//! A host reads the same lock for each run, and a run needs one component of many. So what the checks found of a file's
//! bytes holds for as long as the host remembers their digest ([`Seen`]), and a component is read when it is asked for
//! ([`OnDemand`]). The signature is verified each time.

mod demand;
mod error;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approvers::{Approver, Approvers, SIGNATURE_BEGIN, SIGNATURE_END};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::review::{SignedReview, Subject};
use crate::visible::{clip, visible};

pub use demand::OnDemand;
pub use error::LockError;

/// The namespace of a lock's signature.
pub const NAMESPACE: &str = "ops-lock";
/// Length of a lock file, in bytes.
pub const MAX_FILE: usize = 16 * 1024 * 1024;
/// The version of the format that is read and written.
pub const VERSION: u32 = 1;

/// The components of a lock: path relative to the workspace, and what was found there.
pub type Components = BTreeMap<String, Component>;

/// What is locked. `C` is [`Components`], or [`OnDemand`] where they are read one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock<C = Components> {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// The workspace's name, as in `ops.yaml`.
    pub workspace: String,
    /// Grows by at least one with every new lock of the workspace.
    pub counter: u64,
    /// Whether the lock was made by `ops pin --development`. Receipts say so.
    pub development: bool,
    /// `ops.yaml`, approvers, bindings and contracts: path relative to the workspace, and digest.
    pub files: BTreeMap<String, Digest>,
    /// The components.
    pub components: C,
    /// The newest review of each capability that was ever reviewed, by the capability's name. A lock without reviews has no
    /// such key, as before there were any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reviews: BTreeMap<String, SignedReview>,
}

/// A component as it was pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// The capabilities whose bindings name this component.
    pub capabilities: BTreeSet<String>,
    /// What the component says of itself.
    pub manifest: Manifest,
    /// The interfaces that it imports, with their versions.
    pub imports: BTreeSet<String>,
    /// Digest of the component's whole interface: imports and exports with their types.
    pub interface: Digest,
}

/// A lock file that was read. Its signature is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLock<C = Components> {
    /// What it says.
    pub lock: Lock<C>,
    /// The bytes that are signed.
    pub body: Vec<u8>,
    /// The armoured signature.
    pub signature: String,
    /// Digest of the whole file.
    pub digest: Digest,
}

/// The newest lock that a host has admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its counter.
    pub counter: u64,
    /// Digest of its file.
    pub digest: Digest,
}

impl Lock {
    /// The text to sign: pretty JSON that ends in a line feed.
    ///
    /// # Errors
    ///
    /// A lock that [`SignedLock::parse`] would refuse: paths that leave the workspace, a manifest with
    /// floating-point numbers, more than [`MAX_FILE`] bytes.
    pub fn body(&self) -> Result<Vec<u8>, LockError> {
        self.check()?;
        let mut body = serde_json::to_vec_pretty(self).map_err(|error| refuse(error.to_string()))?;
        body.push(b'\n');
        if body.len() > MAX_FILE {
            return Err(LockError::TooLarge { bytes: body.len() });
        }
        Ok(body)
    }

    /// The component of a capability, by the capability's name.
    pub fn component_of(&self, capability: &str) -> Option<&Component> {
        self.components.values().find(|component| component.capabilities.contains(capability))
    }

    /// What a review of a capability would be about now. `binding` is the path of its binding; none where the lock has
    /// no such capability.
    pub fn subject(&self, capability: &str, binding: &str) -> Option<Subject> {
        self.subject_of(capability, self.component_of(capability)?, binding)
    }

    fn check(&self) -> Result<(), LockError> {
        self.check_version()?;
        if self.workspace.is_empty() || visible(&self.workspace) != self.workspace {
            return Err(refuse(
                "the workspace's name is empty or has characters that nobody sees".to_owned(),
            ));
        }
        for path in self.files.keys().chain(self.components.keys()) {
            check_path(path)?;
        }
        for (path, component) in &self.components {
            if self.files.contains_key(path) {
                return Err(refuse(format!("`{path}` is a file and a component")));
            }
            let schemas = [&component.manifest.input, &component.manifest.output];
            if schemas.into_iter().any(has_float) {
                return Err(refuse(format!(
                    "the manifest of `{path}` has a floating-point number in a schema; use integers"
                )));
            }
        }
        for (capability, signed) in &self.reviews {
            signed.check().map_err(|error| refuse(error.to_string()))?;
            if signed.review.subject.capability != *capability {
                let capability = clip(&visible(capability), 200);
                return Err(refuse(format!("the review under `{capability}` is of another capability")));
            }
        }
        Ok(())
    }
}

impl<C> Lock<C> {
    /// Whether these bytes are the ones that were pinned for a file of the workspace.
    ///
    /// # Errors
    ///
    /// A path that is not in the lock, and bytes with another digest.
    pub fn check_file(&self, path: &str, bytes: &[u8]) -> Result<(), LockError> {
        let pinned = self.files.get(path).ok_or_else(|| not_listed(path))?;
        check_digest(path, *pinned, bytes)
    }

    /// What a review of a capability would be about now, given its component. `binding` is the path of its binding; none
    /// where the lock has no such file.
    pub fn subject_of(&self, capability: &str, component: &Component, binding: &str) -> Option<Subject> {
        Some(Subject {
            workspace: self.workspace.clone(),
            capability: capability.to_owned(),
            component: component.digest,
            interface: component.interface,
            manifest: Digest::of_json(&component.manifest).ok()?,
            binding: *self.files.get(binding)?,
            imports: component.imports.clone(),
        })
    }

    fn check_version(&self) -> Result<(), LockError> {
        if self.version == VERSION {
            return Ok(());
        }
        Err(refuse(format!("version {} is not known; this program reads {VERSION}", self.version)))
    }
}

impl Lock<OnDemand> {
    /// The same with all components read.
    ///
    /// # Errors
    ///
    /// Those of [`OnDemand::all`].
    pub fn whole(&self) -> Result<Lock, LockError> {
        let components = self.components.all()?;
        Ok(Lock {
            version: self.version,
            workspace: self.workspace.clone(),
            counter: self.counter,
            development: self.development,
            files: self.files.clone(),
            components: components.into_iter().map(|(path, found)| (path.clone(), found.clone())).collect(),
            reviews: self.reviews.clone(),
        })
    }
}

impl SignedLock {
    /// Reads a lock file. `file` is its name for messages.
    ///
    /// # Errors
    ///
    /// Each check of the module's description has its own.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, LockError> {
        let (body, signature) = split(file, bytes)?;
        Ok(Self::new(parse_body(file, body)?, body, signature, Digest::of(bytes)))
    }

    /// The whole file: the lock's body and its armoured signature.
    ///
    /// # Errors
    ///
    /// What [`Lock::body`] and [`SignedLock::parse`] refuse: a file that could not be read again is not made.
    pub fn render(lock: &Lock, signature: &str) -> Result<Vec<u8>, LockError> {
        let mut file = lock.body()?;
        file.extend_from_slice(signature.trim_ascii().as_bytes());
        file.push(b'\n');
        Self::parse("the new lock", &file)?;
        Ok(file)
    }
}

impl SignedLock<OnDemand> {
    /// Reads a lock file of which components are asked for one by one. `seen` is the newest lock that this host has admitted:
    /// its text was checked when it was read for the first time.
    ///
    /// # Errors
    ///
    /// Those of [`SignedLock::parse`].
    pub fn parse_again(file: &str, bytes: &[u8], seen: Option<&Seen>) -> Result<Self, LockError> {
        let (body, signature) = split(file, bytes)?;
        let digest = Digest::of(bytes);
        if seen.is_none_or(|seen| seen.digest != digest) {
            parse_body(file, body)?;
        }
        let lock: Lock<OnDemand> = read_json(file, body)?;
        // Another version of this program may have admitted it.
        lock.check_version()?;
        Ok(Self::new(lock, body, signature, digest))
    }
}

impl<C> SignedLock<C> {
    fn new(lock: Lock<C>, body: &str, signature: &str, digest: Digest) -> Self {
        Self { lock, body: body.as_bytes().to_vec(), signature: signature.to_owned(), digest }
    }

    /// Who signed the lock, if that is one of the approvers at the time `now`.
    ///
    /// # Errors
    ///
    /// A signature that does not count, and why.
    pub fn verify(&self, approvers: &Approvers, now: Timestamp) -> Result<Approver, LockError> {
        Ok(approvers.verify(NAMESPACE, &self.body, &self.signature, now)?)
    }
}

impl Seen {
    /// What to remember once a lock has been verified and admitted.
    pub fn of<C>(signed: &SignedLock<C>) -> Self {
        Self { counter: signed.lock.counter, digest: signed.digest }
    }

    /// Whether a lock may take the place of the newest one that was seen, or is that one.
    ///
    /// # Errors
    ///
    /// A lock with a smaller counter, and another lock with the same one.
    pub fn admit<C>(&self, signed: &SignedLock<C>) -> Result<(), LockError> {
        let counter = signed.lock.counter;
        if counter < self.counter {
            return Err(LockError::Older { counter, seen: self.counter });
        }
        if counter == self.counter && signed.digest != self.digest {
            let (found, seen) = (signed.digest.short(), self.digest.short());
            return Err(LockError::Forked { counter, found, seen });
        }
        Ok(())
    }
}

/// A lock file's body and its armoured signature.
fn split<'a>(file: &str, bytes: &'a [u8]) -> Result<(&'a str, &'a str), LockError> {
    if bytes.len() > MAX_FILE {
        return Err(LockError::TooLarge { bytes: bytes.len() });
    }
    let no_signature = || LockError::NoSignature { file: file.to_owned() };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| LockError::Malformed { file: file.to_owned(), message: "not UTF-8".to_owned() })?;
    // In JSON a line feed inside a string is escaped, so that a line of the body never begins like this.
    let begin = text.find(&format!("\n{SIGNATURE_BEGIN}\n")).ok_or_else(no_signature)? + 1;
    let (body, signature) = text.split_at_checked(begin).ok_or_else(no_signature)?;
    let end = format!("\n{SIGNATURE_END}\n");
    match signature.find(&end) {
        Some(at) if at + end.len() == signature.len() => {}
        Some(_) => return Err(LockError::Trailing { file: file.to_owned() }),
        None => return Err(no_signature()),
    }
    Ok((body, signature))
}

fn read_json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, LockError> {
    serde_json::from_str(text).map_err(|error| malformed(file, error))
}

/// The message of the parser quotes the file: it must not be able to speak to the terminal.
fn malformed(file: &str, error: impl ToString) -> LockError {
    LockError::Malformed { file: file.to_owned(), message: clip(&visible(&error.to_string()), 400) }
}

fn parse_body(file: &str, body: &str) -> Result<Lock, LockError> {
    let malformed = |message: String| LockError::Malformed { file: file.to_owned(), message };
    let lock: Lock = read_json(file, body)?;
    let written = lock.body().map_err(|error| match error {
        LockError::Malformed { message, .. } => malformed(message),
        other => other,
    })?;
    if written != body.as_bytes() {
        let same = written.split(|byte| *byte == b'\n').zip(body.as_bytes().split(|byte| *byte == b'\n'));
        let line = same.take_while(|(ours, theirs)| ours == theirs).count() + 1;
        return Err(malformed(format!(
            "line {line} is not as `ops pin` writes it (order, spacing, a repeated or an unknown key)"
        )));
    }
    Ok(lock)
}

fn check_path(path: &str) -> Result<(), LockError> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if path.len() > 1024 || path.contains('\\') || visible(path) != path || !path.split('/').all(plain) {
        let path = clip(&visible(path), 200);
        return Err(refuse(format!("`{path}` is not a plain path relative to the workspace")));
    }
    Ok(())
}

/// Whether a number in it is not a 64-bit integer: such numbers have several texts. Schemas come out of the JSON
/// parser, which bounds their depth.
fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(fields) => fields.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn check_digest(path: &str, pinned: Digest, bytes: &[u8]) -> Result<(), LockError> {
    let found = Digest::of(bytes);
    if found == pinned {
        return Ok(());
    }
    Err(LockError::Changed { path: clip(&visible(path), 200), found: found.short(), pinned: pinned.short() })
}

fn not_listed(path: &str) -> LockError {
    LockError::NotListed { path: clip(&visible(path), 200) }
}

fn refuse(message: String) -> LockError {
    LockError::Malformed { file: "ops.lock".to_owned(), message }
}
