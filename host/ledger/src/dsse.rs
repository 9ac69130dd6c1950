//! DSSE v1: what is signed is the pre-authentication encoding of type and payload, so that no JSON form needs to be
//! trusted.
//!
//! Order of a check: exactly one signature, of 64 bytes, whose key id is the reader's key; the payload type; the
//! signature over the payload's bytes. Only then are those bytes given out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::key::{HostKey, PublicKey};

/// The only payload type that we sign or read: an in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A signed payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The payload's bytes in standard base64.
    pub payload: String,
    /// The payload's media type.
    pub payload_type: String,
    /// The signatures; exactly one is accepted.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// The id of the key, 64 hex digits.
    pub keyid: String,
    /// 64 bytes of Ed25519 in standard base64.
    pub sig: String,
}

/// Why an envelope is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// None or several signatures.
    #[error("the envelope has {0} signatures, and must have exactly one")]
    Signatures(usize),
    /// Another media type.
    #[error("the envelope's payload type is {0:?}, and must be {PAYLOAD_TYPE}")]
    PayloadType(String),
    /// Not base64, or not of the right length.
    #[error("the envelope's {0} is not correct base64")]
    Encoding(&'static str),
    /// Signed by somebody else.
    #[error("the envelope says that key {0:?} signed it, which is not the key it is checked with")]
    OtherKey(String),
    /// The signature does not fit the payload.
    #[error("the signature does not fit the payload: one of them was changed, or another key signed")]
    Signature,
}

/// The bytes that are signed: `DSSEv1 SP len SP type SP len SP payload`.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Signs a Statement's bytes.
    pub fn sign(payload: &[u8], key: &HostKey) -> Self {
        let signature = key.sign(&pae(PAYLOAD_TYPE, payload));
        Self {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: vec![EnvelopeSignature {
                keyid: key.key_id().to_owned(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The payload's bytes, if this key signed exactly them.
    ///
    /// # Errors
    ///
    /// Every way in which the envelope is not what [`Envelope::sign`] makes with that key.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<u8>, DsseError> {
        let signature = self.only_signature()?;
        if signature.keyid != key.key_id() {
            return Err(DsseError::OtherKey(signature.keyid.chars().take(64).collect()));
        }
        if self.payload_type != PAYLOAD_TYPE {
            return Err(DsseError::PayloadType(self.payload_type.chars().take(100).collect()));
        }
        let bytes = STANDARD.decode(&signature.sig).map_err(|_| DsseError::Encoding("signature"))?;
        let bytes = bytes.as_slice().try_into().map_err(|_| DsseError::Encoding("signature"))?;
        let payload = STANDARD.decode(&self.payload).map_err(|_| DsseError::Encoding("payload"))?;
        if !key.accepts(&pae(&self.payload_type, &payload), bytes) {
            return Err(DsseError::Signature);
        }
        Ok(payload)
    }

    /// The payload's bytes, for a caller who has had them checked before.
    pub(crate) fn unverified_payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// The one signature.
    ///
    /// # Errors
    ///
    /// [`DsseError::Signatures`] where there is none or more than one.
    pub fn only_signature(&self) -> Result<&EnvelopeSignature, DsseError> {
        match self.signatures.as_slice() {
            [one] => Ok(one),
            several => Err(DsseError::Signatures(several.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> HostKey {
        let folder = crate::scratch();
        HostKey::load_or_create(folder.path()).unwrap()
    }

    #[test]
    fn pae_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn what_was_signed_comes_back_and_nothing_else() {
        let key = key();
        let good = Envelope::sign(b"{}", &key);
        assert_eq!(good.verify(&key.public()).unwrap(), b"{}");

        let mut changed = good.clone();
        changed.payload = STANDARD.encode(b"[]");
        assert_eq!(changed.verify(&key.public()), Err(DsseError::Signature));

        let mut twice = good.clone();
        twice.signatures.push(good.signatures[0].clone());
        assert_eq!(twice.verify(&key.public()), Err(DsseError::Signatures(2)));
        twice.signatures.clear();
        assert_eq!(twice.verify(&key.public()), Err(DsseError::Signatures(0)));

        let mut other_type = good.clone();
        other_type.payload_type = "text/plain".into();
        assert!(matches!(other_type.verify(&key.public()), Err(DsseError::PayloadType(_))));

        let mut short = good.clone();
        short.signatures[0].sig = STANDARD.encode([0; 63]);
        assert_eq!(short.verify(&key.public()), Err(DsseError::Encoding("signature")));

        assert!(matches!(good.verify(&self::key().public()), Err(DsseError::OtherKey(_))));
    }

    #[test]
    fn a_key_id_alone_convinces_nobody() {
        let (ours, theirs) = (key(), key());
        let mut forged = Envelope::sign(b"{}", &theirs);
        forged.signatures[0].keyid = ours.key_id().to_owned();
        assert_eq!(forged.verify(&ours.public()), Err(DsseError::Signature));
    }
}
