//! The host's signing key, and the public keys that a reader has pinned.
//!
//! The file `host.key`, and `log.key` of [`crate::log`] likewise, holds the 32 bytes of an Ed25519 seed and nothing else: a fixed length is checked by
//! counting, and no parser sees a secret. Order of a load: the file is ours, regular and 0600; it has 32 bytes.
//! A new key is written beside its place, synced, and linked into it, so that two processes that start at once
//! agree on one key and a crash leaves a whole key or none.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::private::{self, FileError};

/// DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410) up to the key's 32 bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PEM_HEAD: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_FOOT: &str = "-----END PUBLIC KEY-----";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not 32 bytes long.
    #[error("{} does not hold a key of 32 bytes; put it back from a backup", path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
    /// The system has no random bytes.
    #[error("the system gave no random bytes for a new key: {0}")]
    Random(getrandom::Error),
    /// A text that is not an Ed25519 public key in PEM.
    #[error("not an Ed25519 public key in PEM (BEGIN PUBLIC KEY)")]
    Public,
}

impl KeyError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File(error) if error.is_missing())
    }
}

/// The host's Ed25519 key. The secret is wiped from memory on drop and shown nowhere.
pub struct HostKey {
    signing: SigningKey,
    key_id: String,
}

impl HostKey {
    /// Loads `host.key` from a folder, or makes it there with mode 0600.
    ///
    /// # Errors
    ///
    /// A folder that is open to others, a file that is not ours, not 0600 or not 32 bytes long, or one that
    /// cannot be read or written.
    pub fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let signing = load_or_create(folder, "host.key")?;
        let key_id = PublicKey::of(&signing).key_id();
        Ok(Self { signing, key_id })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.signing)
    }

    /// The key id: 64 hex digits, SHA-256 of the DER SubjectPublicKeyInfo.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half in PEM, as openssl reads it.
    pub fn public_pem(&self) -> String {
        self.public().pem()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.key_id())
    }
}

/// Loads the key in a file of a private folder, or makes it there with mode 0600.
pub(crate) fn load_or_create(folder: &Path, name: &str) -> Result<SigningKey, KeyError> {
    match load(folder, name) {
        Err(error) if error.is_missing() => {
            create(folder, name)?;
            load(folder, name)
        }
        loaded => loaded,
    }
}

/// Loads the key in a file of a private folder.
pub(crate) fn load(folder: &Path, name: &str) -> Result<SigningKey, KeyError> {
    private::check_folder(folder)?;
    let path = folder.join(name);
    let bytes = Zeroizing::new(private::read_private(&path, 32)?);
    let seed: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Length { path })?;
    Ok(SigningKey::from_bytes(seed))
}

fn create(folder: &Path, name: &str) -> Result<(), KeyError> {
    let path = folder.join(name);
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(KeyError::Random)?;
    let scratch = folder.join(private::scratch_name(name)?);
    let written = private::write_new(&scratch, seed.as_ref(), true)
        .and_then(|()| private::set_private(&scratch))
        .and_then(|()| match std::fs::hard_link(&scratch, &path) {
            // Another process was first: its key is the one.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked.map_err(FileError::io("create", &path)),
        });
    let removed = std::fs::remove_file(&scratch).map_err(FileError::io("remove", &scratch));
    written.and(removed)?;
    Ok(private::sync_folder(folder)?)
}

/// An Ed25519 public key that a reader trusts to sign receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the one form that [`PublicKey::pem`] writes; space around it is ignored.
    ///
    /// # Errors
    ///
    /// Anything else, and keys under which some signature fits every message.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| rest.strip_suffix(PEM_FOOT));
        let der = STANDARD.decode(body.ok_or(KeyError::Public)?.trim()).map_err(|_| KeyError::Public)?;
        let point = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::Public)?;
        Self::from_point(point).ok_or(KeyError::Public)
    }

    /// The key with these 32 bytes, if it is one under which not every message has some signature that fits.
    pub(crate) fn from_point(point: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(point.try_into().ok()?).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    pub(crate) fn of(signing: &SigningKey) -> Self {
        Self(signing.verifying_key())
    }

    pub(crate) fn point(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key in PEM, as openssl reads it.
    pub fn pem(&self) -> String {
        format!("{PEM_HEAD}\n{}\n{PEM_FOOT}\n", STANDARD.encode(self.der()))
    }

    /// The key id: 64 hex digits, SHA-256 of the DER SubjectPublicKeyInfo.
    pub fn key_id(&self) -> String {
        Digest::of(&self.der()).hex()
    }

    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.0.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ed25519_dalek::pkcs8::EncodePublicKey;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = crate::scratch();
        let first = HostKey::load_or_create(folder.path()).unwrap();
        let again = HostKey::load_or_create(folder.path()).unwrap();
        assert_eq!(first.key_id(), again.key_id());
        let data = folder.path().join("host.key").metadata().unwrap();
        assert_eq!((data.permissions().mode() & 0o7777, data.len()), (0o600, 32));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a scratch file stayed");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = crate::scratch();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| HostKey::load_or_create(folder.path()).unwrap().key_id().to_owned()))
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn unsafe_or_broken_key_files_are_refused() {
        let folder = crate::scratch();
        let path = folder.path().join("host.key");
        HostKey::load_or_create(folder.path()).unwrap();
        for mode in [0o640, 0o604, 0o400, 0o4600] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(HostKey::load_or_create(folder.path()).is_err(), "{mode:o}");
        }
        private::set_private(&path).unwrap();
        std::fs::write(&path, [7; 31]).unwrap();
        assert!(matches!(HostKey::load_or_create(folder.path()), Err(KeyError::Length { .. })));
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(HostKey::load_or_create(folder.path()).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap();
        let seed = hex::encode(std::fs::read(folder.path().join("host.key")).unwrap());
        let shown = format!("{key:?}");
        assert!(!shown.contains(&seed) && shown.contains(key.key_id()), "{shown}");
    }

    #[test]
    fn the_public_form_is_standard_and_exact() {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap().public();
        assert_eq!(key.der(), key.0.to_public_key_der().unwrap().as_bytes());
        assert_eq!(PublicKey::from_pem(&key.pem()).unwrap(), key);
        let identity = [SPKI_PREFIX.as_slice(), &[1], &[0; 31]].concat();
        let weak = format!("{PEM_HEAD}\n{}\n{PEM_FOOT}", STANDARD.encode(identity));
        for bad in ["", "-----BEGIN PUBLIC KEY-----", &weak, &key.pem().replace("MCow", "MCoo")] {
            assert!(PublicKey::from_pem(bad).is_err(), "{bad}");
        }
    }
}
