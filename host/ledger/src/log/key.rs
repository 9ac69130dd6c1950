//! The log's own key: it signs checkpoints, and nothing else.
//!
//! It is another key than the host's, so that a checkpoint is never taken for a receipt, and so that a reader of one
//! need not trust the other. Its public half is written as a C2SP verifier key, which names the log too.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use signed_note::Verifier;

use crate::key::{self, KeyError, PublicKey};

const NAME: &str = "log.key";

/// The algorithm byte of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// The longest verifier key that is read, in bytes.
const LONGEST: usize = 400;

/// The origin line of a ledger's checkpoints, which is the name of its key.
pub fn origin(ledger_id: &str) -> String {
    format!("opscap.dev/ledger/{ledger_id}")
}

/// The key that signs checkpoints. The secret is wiped from memory on drop and shown nowhere.
pub struct LogKey {
    signing: SigningKey,
    verifier: LogVerifier,
}

/// The public half of a log's key, and the log's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogVerifier {
    name: String,
    id: u32,
    key: PublicKey,
}

/// A text that is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a C2SP verifier key for Ed25519 (NAME+HASH+KEY), as ops ledger key prints it")]
pub struct LogVerifierError;

impl LogKey {
    /// Loads `log.key` from the state folder of a ledger, or makes it there with mode 0600.
    ///
    /// # Errors
    ///
    /// As [`crate::key::HostKey::load_or_create`].
    pub fn load_or_create(state: &Path, ledger_id: &str) -> Result<Self, KeyError> {
        Ok(Self::new(key::load_or_create(state, NAME)?, ledger_id))
    }

    /// Loads `log.key`, and makes none: what the lost key signed would look forged beside a new one.
    ///
    /// # Errors
    ///
    /// As [`LogKey::load_or_create`], and a key that is not there.
    pub fn load(state: &Path, ledger_id: &str) -> Result<Self, KeyError> {
        Ok(Self::new(key::load(state, NAME)?, ledger_id))
    }

    /// The public half.
    pub fn verifier(&self) -> &LogVerifier {
        &self.verifier
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.signing.sign(text).to_bytes()
    }

    fn new(signing: SigningKey, ledger_id: &str) -> Self {
        let verifier = LogVerifier::new(origin(ledger_id), PublicKey::of(&signing));
        Self { signing, verifier }
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.verifier.vkey())
    }
}

impl LogVerifier {
    fn new(name: String, key: PublicKey) -> Self {
        let id = signed_note::key_id(&name, &encoded(&key));
        Self { name, id, key }
    }

    /// Reads a verifier key; space around it is ignored.
    ///
    /// # Errors
    ///
    /// Another form, another algorithm, a hash that does not fit, or a key under which some signature fits every
    /// message.
    pub fn parse(text: &str) -> Result<Self, LogVerifierError> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(LogVerifierError);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(LogVerifierError);
        };
        let key = STANDARD.decode(key).map_err(|_| LogVerifierError)?;
        let [ED25519, point @ ..] = key.as_slice() else { return Err(LogVerifierError) };
        let key = PublicKey::from_point(point).ok_or(LogVerifierError)?;
        let verifier = Self::new(name.into(), key);
        if !signed_note::is_key_name_valid(name) || verifier.vkey() != text {
            return Err(LogVerifierError);
        }
        Ok(verifier)
    }

    /// The key as C2SP signed-note writes it: name, four bytes of a hash in hex, algorithm and key in base64.
    pub fn vkey(&self) -> String {
        format!("{}+{:08x}+{}", self.name, self.id, STANDARD.encode(encoded(&self.key)))
    }

    /// The log's name: the origin line of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Verifier for LogVerifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        signature.try_into().is_ok_and(|signature| self.key.accepts(text, signature))
    }
}

fn encoded(key: &PublicKey) -> Vec<u8> {
    [[ED25519].as_slice(), key.point()].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_private_and_not_the_hosts() {
        let state = crate::scratch();
        let host = key::HostKey::load_or_create(state.path()).unwrap();
        assert!(LogKey::load(state.path(), "1").is_err(), "a key was made that nobody asked for");
        let log = LogKey::load_or_create(state.path(), "1").unwrap();
        assert_ne!(log.verifier().key, host.public());
        assert_eq!(LogKey::load(state.path(), "1").unwrap().verifier(), log.verifier());
        let file = state.path().join(NAME);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let seed = hex::encode(std::fs::read(&file).unwrap());
        assert!(!format!("{log:?}").contains(&seed));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(LogKey::load_or_create(state.path(), "1").is_err());
    }

    #[test]
    fn a_verifier_key_is_exact() {
        let state = crate::scratch();
        let key = LogKey::load_or_create(state.path(), "1").unwrap();
        let vkey = key.verifier().vkey();
        assert_eq!(LogVerifier::parse(&format!(" {vkey}\n")).as_ref(), Ok(key.verifier()));
        assert!(signed_note::StandardVerifier::new(&vkey).is_ok(), "{vkey}");
        let point = [[ED25519, 1].as_slice(), &[0; 31]].concat();
        let weak = format!("x+{:08x}+{}", signed_note::key_id("x", &point), STANDARD.encode(point));
        assert!(signed_note::StandardVerifier::new(&weak).is_ok(), "only its weakness is refused");
        let other_algorithm = vkey.replace("+A", "+B");
        for bad in ["", "a+b", "a+00000000+", &vkey.replace("ledger/1", "ledger/2"), &weak, &other_algorithm]
        {
            assert_eq!(LogVerifier::parse(bad), Err(LogVerifierError), "{bad}");
        }
        assert_eq!(LogVerifier::parse(&"x".repeat(LONGEST + 1)), Err(LogVerifierError));
    }
}
