//! Signing with an approver's own key: the same armoured SSH signatures as `ssh-keygen -Y sign`.
//!
//! Keys are values here. Who reads the file, asks for the passphrase and draws the random bytes is the front end.

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::approvers::KeyKind;
use crate::visible::{clip, visible};

/// Length of a private key file, in bytes.
pub const MAX_KEY_FILE: usize = 64 * 1024;

/// Rounds of bcrypt that a key file may ask for. OpenSSH writes 16 or 24; each round takes milliseconds.
const MAX_ROUNDS: u32 = 1024;

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not an OpenSSH private key.
    #[error("not an OpenSSH private key; `ssh-keygen -p -f FILE` rewrites an older format")]
    NotAKey,
    /// The key is encrypted, and no passphrase was given.
    #[error("the key is protected by a passphrase, and none was given")]
    PassphraseNeeded,
    /// The key does not open.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// The key asks for more key derivation than we are willing to wait for.
    #[error("the key file asks for {rounds} rounds of key derivation; at most {MAX_ROUNDS} are done")]
    TooManyRounds {
        /// What it asks for.
        rounds: u32,
    },
    /// The key is in hardware, so that the file alone signs nothing.
    #[error("the key is in hardware: sign with `ssh-keygen -Y sign` and give the result with --signature")]
    Hardware,
    /// The kind of key is not accepted.
    #[error("keys of kind `{kind}` are not accepted; use {}", KeyKind::ACCEPTED)]
    KindNotAccepted {
        /// The kind, made visible.
        kind: String,
    },
    /// The comment does not fit on one line.
    #[error("the key's comment must be one line of visible text of at most 200 bytes")]
    Comment,
    /// The key failed to sign or to be written.
    #[error("the key cannot sign: it is damaged")]
    Damaged,
}

/// A new key pair.
pub struct NewKey {
    /// The private key as an OpenSSH file, not encrypted.
    pub private: Zeroizing<String>,
    /// `ssh-ed25519 <base64> <comment>`, without a line end.
    pub public: String,
}

/// Opens a private key file.
///
/// # Errors
///
/// Texts that are not an OpenSSH private key, kinds that are not accepted, hardware keys, and encrypted keys with a
/// wrong passphrase or none.
pub fn load(pem: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    if pem.len() > MAX_KEY_FILE {
        return Err(KeyError::NotAKey);
    }
    let key = PrivateKey::from_openssh(pem).map_err(|_| KeyError::NotAKey)?;
    check_kind(&key)?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
    if let Kdf::Bcrypt { rounds, .. } = key.kdf()
        && *rounds > MAX_ROUNDS
    {
        return Err(KeyError::TooManyRounds { rounds: *rounds });
    }
    key.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)
}

/// Signs `message` for `namespace`; the answer is an armoured signature that ends in a line feed.
///
/// # Errors
///
/// Keys that are encrypted, in hardware, or of a kind that is not accepted.
pub fn sign(key: &PrivateKey, namespace: &str, message: &[u8]) -> Result<String, KeyError> {
    check_kind(key)?;
    if key.is_encrypted() {
        return Err(KeyError::PassphraseNeeded);
    }
    let signature = key.sign(namespace, HashAlg::Sha512, message).map_err(|_| KeyError::Damaged)?;
    let mut pem = signature.to_pem(LineEnding::LF).map_err(|_| KeyError::Damaged)?;
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    Ok(pem)
}

/// Makes an Ed25519 key from 32 random bytes.
///
/// # Errors
///
/// A comment that is not one line of visible text.
pub fn generate(seed: &Zeroizing<[u8; 32]>, comment: &str) -> Result<NewKey, KeyError> {
    if comment.len() > 200 || visible(comment) != comment {
        return Err(KeyError::Comment);
    }
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(seed));
    let key = PrivateKey::new(pair, comment).map_err(|_| KeyError::Damaged)?;
    Ok(NewKey {
        private: key.to_openssh(LineEnding::LF).map_err(|_| KeyError::Damaged)?,
        public: key.public_key().to_openssh().map_err(|_| KeyError::Damaged)?,
    })
}

fn check_kind(key: &PrivateKey) -> Result<(), KeyError> {
    let algorithm = key.algorithm();
    match KeyKind::from_name(algorithm.as_str()) {
        Some(kind) if kind.is_hardware() => Err(KeyError::Hardware),
        Some(_) => Ok(()),
        None => Err(KeyError::KindNotAccepted { kind: clip(&visible(algorithm.as_str()), 80) }),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::approvers::Approvers;
    use crate::approvers::testing::{Fixed, p256_key};

    fn new_key() -> NewKey {
        generate(&Zeroizing::new([7; 32]), "alice@laptop").unwrap()
    }

    #[test]
    fn a_new_key_signs_and_verifies() {
        let new = new_key();
        assert!(new.private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert!(new.public.starts_with("ssh-ed25519 ") && new.public.ends_with(" alice@laptop"));
        let key = load(&new.private, None).unwrap();
        let pem = sign(&key, "ops-plan", b"text").unwrap();
        let approvers = Approvers::parse("approvers", format!("alice {}\n", new.public).as_bytes()).unwrap();
        let approver = approvers.verify("ops-plan", b"text", &pem, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (approver.principal.as_str(), approver.kind, approver.touch),
            ("alice", KeyKind::Ed25519, false)
        );
    }

    #[test]
    fn passphrases() {
        let key = load(&new_key().private, None).unwrap();
        let locked = key.encrypt(&mut Fixed::default(), "open sesame").unwrap();
        let pem = locked.to_openssh(LineEnding::LF).unwrap();
        assert_eq!(load(&pem, None).unwrap_err(), KeyError::PassphraseNeeded);
        assert_eq!(load(&pem, Some("wrong")).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(load(&pem, Some("open sesame")).unwrap(), key);
        assert_eq!(sign(&locked, "ops-plan", b"text").unwrap_err(), KeyError::PassphraseNeeded);
    }

    #[test]
    fn a_key_that_would_take_for_ever_is_not_opened() {
        let key = load(&new_key().private, None).unwrap();
        // The rounds are in the clear, so that a damaged file is enough to ask for a day of work.
        let kdf = Kdf::Bcrypt { salt: vec![1; 16], rounds: 1 };
        let locked = key.encrypt_with(ssh_key::Cipher::Aes256Ctr, kdf, 1, "x").unwrap();
        let mut bytes = locked.to_bytes().unwrap().to_vec();
        let at = bytes
            .windows(20)
            .position(|window| window == [[1; 16].as_slice(), &[0, 0, 0, 1]].concat())
            .unwrap();
        bytes[at + 16..at + 20].copy_from_slice(&u32::MAX.to_be_bytes());
        let pem = PrivateKey::from_bytes(&bytes).unwrap().to_openssh(LineEnding::LF).unwrap();
        assert_eq!(load(&pem, Some("x")).unwrap_err(), KeyError::TooManyRounds { rounds: u32::MAX });
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for text in ["", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"] {
            assert_eq!(load(text, None).unwrap_err(), KeyError::NotAKey, "{text}");
        }
        assert_eq!(load(&"-".repeat(MAX_KEY_FILE + 1), None).unwrap_err(), KeyError::NotAKey);
        for comment in ["two\nlines", "hidden\u{200b}", &"x".repeat(201)] {
            let seed = Zeroizing::new([7; 32]);
            assert_eq!(generate(&seed, comment).err(), Some(KeyError::Comment), "{comment:?}");
        }
    }

    #[test]
    fn hardware_keys_and_other_curves_are_named() {
        use ssh_key::private::{EcdsaKeypair, SkEd25519};
        let public = ssh_key::public::SkEd25519::new(ssh_key::public::Ed25519PublicKey([1; 32]), "ssh:");
        let hardware = SkEd25519::new(public, 1, vec![2; 8]).unwrap();
        let pem = PrivateKey::from(hardware).to_openssh(LineEnding::LF).unwrap();
        assert_eq!(load(&pem, None).unwrap_err(), KeyError::Hardware);
        let p256 = p256_key(1);
        assert_eq!(load(&p256.to_openssh(LineEnding::LF).unwrap(), None).unwrap(), p256);
        assert!(matches!(p256.key_data(), KeypairData::Ecdsa(EcdsaKeypair::NistP256 { .. })));
    }
}
