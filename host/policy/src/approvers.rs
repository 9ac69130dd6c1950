//! Who may sign, and whether a signature is theirs.
//!
//! The approvers file is OpenSSH's allowed-signers format, so that people use the keys and agents they own and
//! anybody can check an approval with `ssh-keygen -Y verify`. We are stricter: every line must be understood, times
//! are UTC, a key belongs to one line's principals, certificates and RSA are not accepted, and a hardware key must
//! have been touched, which neither `ssh-keygen` nor the `ssh-key` crate looks at.
//!
//! A signature is checked in this order: form, kind of key, namespace, key in the file, namespaces and times of its
//! line, the signature itself, touch.

mod armour;
mod line;
mod pattern;
#[cfg(test)]
mod ssh_keygen;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use crate::visible::{clip, visible};
use line::Entry;

/// Length of an approvers file, in bytes.
pub const MAX_FILE: usize = 64 * 1024;
/// Lines of an approvers file.
pub const MAX_LINES: usize = 256;
/// Length of an armoured signature, in bytes.
pub const MAX_SIGNATURE: usize = 16 * 1024;
/// The first line of an armoured signature.
pub const SIGNATURE_BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
/// The last line of an armoured signature.
pub const SIGNATURE_END: &str = "-----END SSH SIGNATURE-----";

/// The keys whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvers {
    entries: Vec<Entry>,
}

/// Somebody whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The principals of the key's line as they are written there: usually one name, but possibly a pattern list.
    pub principal: String,
    /// Fingerprint of the key, `SHA256:…` as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// Whether the key is a hardware key that somebody touched for this signature. Always true for those, since
    /// others are refused.
    pub touch: bool,
    /// Whether the hardware key also checked a PIN or a finger.
    pub verified: bool,
}

impl Approver {
    /// Whether `name` is one that the principals of this key's line stand for.
    pub fn is(&self, name: &str) -> bool {
        pattern::list_matches(&self.principal, name)
    }
}

/// The kinds of key that are accepted, by their OpenSSH names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// Ed25519 in a file or an agent.
    #[serde(rename = "ssh-ed25519")]
    Ed25519,
    /// ECDSA on P-256 in a file or an agent.
    #[serde(rename = "ecdsa-sha2-nistp256")]
    EcdsaP256,
    /// Ed25519 in a hardware key.
    #[serde(rename = "sk-ssh-ed25519@openssh.com")]
    SkEd25519,
    /// ECDSA on P-256 in a hardware key.
    #[serde(rename = "sk-ecdsa-sha2-nistp256@openssh.com")]
    SkEcdsaP256,
}

impl KeyKind {
    const ALL: [Self; 4] = [Self::Ed25519, Self::EcdsaP256, Self::SkEd25519, Self::SkEcdsaP256];
    /// The accepted kinds, for messages.
    pub(crate) const ACCEPTED: &str = "ed25519 or ecdsa-p256, in a file or in a hardware key";

    /// The OpenSSH name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// Whether the key is in hardware, so that a touch can be asked for.
    pub fn is_hardware(self) -> bool {
        matches!(self, Self::SkEd25519 | Self::SkEcdsaP256)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with an approvers file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ApproversError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The text is not an armoured SSH signature.
    #[error("not an SSH signature: {why}; make one with `ssh-keygen -Y sign`")]
    NotASignature {
        /// What is wrong with it.
        why: &'static str,
    },
    /// It was made with a certificate.
    #[error(
        "the signature was made with a certificate; sign with the key that is in the approvers file itself"
    )]
    Certificate,
    /// It was made with a kind of key that is not accepted.
    #[error("the signature was made with a key of kind `{kind}`; use {}", KeyKind::ACCEPTED)]
    KindNotAccepted {
        /// The kind, made visible.
        kind: String,
    },
    /// It was made for something else.
    #[error(
        "the signature is for namespace `{found}`, not `{expected}`; sign with `ssh-keygen -Y sign -n {expected}`"
    )]
    WrongNamespace {
        /// What was asked for.
        expected: String,
        /// What the signature says, made visible.
        found: String,
    },
    /// The key is not in the approvers file.
    #[error("the key {fingerprint} is not in the approvers file; use a key that is, or add this one and pin")]
    KeyNotListed {
        /// Fingerprint of the key.
        fingerprint: String,
    },
    /// No line of the key allows this namespace.
    #[error(
        "line {line} of the approvers file does not allow {principal} to sign for namespace `{namespace}`"
    )]
    NamespaceNotAllowed {
        /// Line in the approvers file.
        line: usize,
        /// Whose line it is.
        principal: String,
        /// What was asked for.
        namespace: String,
    },
    /// The time is outside the window of the key's line.
    #[error("the key of {principal} is not valid at {now}: see line {line} of the approvers file")]
    NotValidNow {
        /// Line in the approvers file.
        line: usize,
        /// Whose line it is.
        principal: String,
        /// The time of the check.
        now: Timestamp,
    },
    /// The key is right and the signature is not.
    #[error("the signature by the key of {principal} does not fit the text: one of them was changed")]
    BadSignature {
        /// Whose key it is.
        principal: String,
    },
    /// A hardware key signed without being touched.
    #[error("the hardware key of {principal} signed without a touch; sign again and touch the key")]
    NoTouch {
        /// Whose key it is.
        principal: String,
    },
}

/// A line of the file: a key, whose it is, and what it may sign when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The line's number, from 1.
    pub line: usize,
    /// The principals as they are written there.
    pub principals: String,
    /// Fingerprint of the key, `SHA256:…`.
    pub fingerprint: String,
    /// What it may sign, sorted; none where that is everything.
    pub namespaces: Option<Vec<String>>,
    /// The first moment at which it counts, where there is one.
    pub after: Option<Timestamp>,
    /// The last one.
    pub before: Option<Timestamp>,
}

impl Listed {
    /// Whether everything that the other line lets be signed, this one does. Patterns are compared as texts.
    pub fn subsumes(&self, other: &Self) -> bool {
        let namespaces = match (&self.namespaces, &other.namespaces) {
            (None, _) => true,
            (Some(_), None) => false,
            // A `!` takes away what another pattern gives, so that more of a list may be less.
            (Some(ours), Some(theirs)) => {
                ours == theirs
                    || !ours.iter().any(|one| one.starts_with('!'))
                        && theirs.iter().all(|one| ours.contains(one))
            }
        };
        namespaces
            && (&self.principals, &self.fingerprint) == (&other.principals, &other.fingerprint)
            && self.after.is_none_or(|ours| other.after.is_some_and(|theirs| ours <= theirs))
            && self.before.is_none_or(|ours| other.before.is_some_and(|theirs| ours >= theirs))
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with the key {}", visible(&self.principals), self.fingerprint)?;
        match &self.namespaces {
            Some(list) => write!(f, " for {}", visible(&list.join(" ")))?,
            None => f.write_str(" for everything")?,
        }
        if let Some(after) = self.after {
            write!(f, ", from {after}")?;
        }
        self.before.map_or(Ok(()), |before| write!(f, ", until {before}"))
    }
}

impl Approvers {
    /// The lines that name a key, in their order.
    pub fn listed(&self) -> impl Iterator<Item = Listed> {
        self.entries.iter().map(|entry| {
            let sorted = |list: &String| {
                let mut list: Vec<_> = list.split(',').map(str::to_owned).collect();
                list.sort();
                list.dedup();
                list
            };
            Listed {
                line: entry.line,
                principals: entry.principals.clone(),
                fingerprint: entry.key.fingerprint(HashAlg::Sha256).to_string(),
                namespaces: entry.limits.namespaces.as_ref().map(sorted),
                after: entry.limits.valid_after,
                before: entry.limits.valid_before,
            }
        })
    }

    /// Reads an approvers file; `file` is its name for messages.
    ///
    /// # Errors
    ///
    /// The first line that is not an approver, a comment or blank, or that names a key of an earlier line under
    /// other principals; and files that are too large or not UTF-8.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ApproversError> {
        let refuse = |line, message| ApproversError { file: file.to_owned(), line, message };
        if bytes.len() > MAX_FILE {
            return Err(refuse(
                1,
                format!("the file has {} bytes; at most {MAX_FILE} are read", bytes.len()),
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count();
            refuse(line, "the line is not UTF-8".to_owned())
        })?;
        let mut entries = Vec::<Entry>::new();
        for (number, text) in (1..).zip(text.split_terminator('\n')) {
            if number > MAX_LINES {
                return Err(refuse(number, format!("more than {MAX_LINES} lines")));
            }
            let Some(entry) = line::parse(number, text).map_err(|message| refuse(number, message))? else {
                continue;
            };
            // A signature names a key and no person: the same key under two names would leave open who approved.
            let twin =
                entries.iter().find(|known| known.key == entry.key && known.principals != entry.principals);
            if let Some(twin) = twin {
                return Err(refuse(number, format!("line {} gives this key to other principals", twin.line)));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Checks an armoured signature over `message`, made for `namespace`, at the time `now`.
    ///
    /// # Errors
    ///
    /// Each reason that a signature can fail for is a [`SignatureError`] of its own, in the order of the module's
    /// description.
    pub fn verify(
        &self,
        namespace: &str,
        message: &[u8],
        signature_pem: &str,
        now: Timestamp,
    ) -> Result<Approver, SignatureError> {
        let (kind, signature) = armour::read(signature_pem)?;
        if signature.namespace() != namespace {
            return Err(SignatureError::WrongNamespace {
                expected: namespace.to_owned(),
                found: clip(&visible(signature.namespace()), 80),
            });
        }
        let fingerprint = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
        let entry = self.entry_for(signature.public_key(), &fingerprint, namespace, now)?;
        let principal = entry.principals.clone();
        if PublicKey::from(entry.key.clone()).verify(namespace, message, &signature).is_err() {
            return Err(SignatureError::BadSignature { principal });
        }
        let (touch, verified) = armour::hardware_flags(kind, &signature);
        if kind.is_hardware() && !touch {
            return Err(SignatureError::NoTouch { principal });
        }
        Ok(Approver { principal, fingerprint, kind, touch, verified })
    }

    /// The first line with this key that allows the namespace and the time.
    fn entry_for(
        &self,
        key: &KeyData,
        fingerprint: &str,
        namespace: &str,
        now: Timestamp,
    ) -> Result<&Entry, SignatureError> {
        let mut refusal = SignatureError::KeyNotListed { fingerprint: fingerprint.to_owned() };
        for entry in self.entries.iter().filter(|entry| entry.key == *key) {
            let (line, principal) = (entry.line, entry.principals.clone());
            if !entry.limits.allow_namespace(namespace) {
                refusal =
                    SignatureError::NamespaceNotAllowed { line, principal, namespace: namespace.to_owned() };
            } else if !entry.limits.allow_time(now) {
                refusal = SignatureError::NotValidNow { line, principal, now };
            } else {
                return Ok(entry);
            }
        }
        Err(refusal)
    }
}
