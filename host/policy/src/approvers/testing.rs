//! Keys for tests: fixed ones, and hardware keys made in software, with any flags.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use ssh_key::public::{KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::rand_core::{CryptoRng, Error, RngCore};
use ssh_key::{EcdsaCurve, HashAlg, PrivateKey, PublicKey, SigningKey, SshSig};

/// A reproducible sequence of bytes that looks random.
#[derive(Default)]
pub(crate) struct Fixed(u64);

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        u64::from_le_bytes(Sha256::digest(self.0.to_le_bytes())[..8].try_into().unwrap())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.next_u64() as u8);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Fixed {}

pub(crate) fn ed25519_key(number: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[number; 32])), "").unwrap()
}

pub(crate) fn p256_key(number: u64) -> PrivateKey {
    let pair = EcdsaKeypair::random(&mut Fixed(number << 32), EcdsaCurve::NistP256).unwrap();
    PrivateKey::new(KeypairData::Ecdsa(pair), "").unwrap()
}

/// `kind base64` of a private key's public half.
pub(crate) fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// A hardware key whose private half we have.
pub(crate) enum SoftwareToken {
    Ed25519(Ed25519Keypair),
    P256(EcdsaKeypair),
}

impl SoftwareToken {
    pub(crate) fn both() -> [Self; 2] {
        [
            Self::Ed25519(Ed25519Keypair::from_seed(&[99; 32])),
            Self::P256(EcdsaKeypair::random(&mut Fixed(99), EcdsaCurve::NistP256).unwrap()),
        ]
    }

    fn key_data(&self) -> KeyData {
        match self {
            Self::Ed25519(pair) => KeyData::SkEd25519(SkEd25519::new(pair.public, "ssh:")),
            Self::P256(EcdsaKeypair::NistP256 { public, .. }) => {
                KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*public, "ssh:"))
            }
            Self::P256(_) => panic!("another curve"),
        }
    }

    pub(crate) fn public(&self) -> String {
        PublicKey::from(self.key_data()).to_openssh().unwrap()
    }

    /// A signature with these flags, as the token's firmware would make it.
    pub(crate) fn sign(&self, flags: u8, namespace: &str, message: &[u8]) -> String {
        self.sign_as(self.key_data().algorithm().as_str(), flags, namespace, message)
    }

    /// The same, with another name for the algorithm of the inner signature. Written by hand, because the crate
    /// encodes no hardware signature of P-256, and none under another name.
    pub(crate) fn sign_as(&self, algorithm: &str, flags: u8, namespace: &str, message: &[u8]) -> String {
        let signed = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        let trailer = [flags, 0, 0, 0, 7];
        let mut input = Sha256::digest("ssh:").to_vec();
        input.extend(trailer);
        input.extend(Sha256::digest(signed));
        let raw = match self {
            Self::Ed25519(pair) => raw_signature(&PrivateKey::from(pair.clone()), &input),
            Self::P256(pair) => raw_signature(&PrivateKey::from(pair.clone()), &input),
        };
        let known = algorithm == self.key_data().algorithm().as_str();
        let inner = if known {
            [text(algorithm.as_bytes()), text(&raw), trailer.to_vec()].concat()
        } else {
            // For an unknown algorithm the trailer would be stray bytes: it goes inside.
            [text(algorithm.as_bytes()), text(&[raw.as_slice(), trailer.as_slice()].concat())].concat()
        };
        let key = PublicKey::from(self.key_data()).to_bytes().unwrap();
        armour(&[
            b"SSHSIG\0\0\0\x01".to_vec(),
            text(&key),
            text(namespace.as_bytes()),
            text(b""),
            text(b"sha512"),
            text(&inner),
        ])
    }
}

// Generic, because the trait with `try_sign` is not exported and comes with the bound.
fn raw_signature(key: &impl SigningKey, message: &[u8]) -> Vec<u8> {
    key.try_sign(message).unwrap().as_bytes().to_vec()
}

/// A length-prefixed text of the SSH wire format.
pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The parts of a signature as an armoured text.
pub(crate) fn armour(parts: &[Vec<u8>]) -> String {
    let base64 = STANDARD.encode(parts.concat());
    let lines: Vec<_> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("{}\n{}\n{}\n", super::SIGNATURE_BEGIN, lines.join("\n"), super::SIGNATURE_END)
}
