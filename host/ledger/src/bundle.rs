//! The file on disk: a Sigstore bundle v0.3 in its public-key form, which other tools read too.
//!
//! Order of a parse: the size, then strict JSON (no unknown or doubled field), then the media type, exactly one
//! signature, and one key id in both places. The signature itself is [`Envelope::verify`]'s.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::dsse::{DsseError, Envelope, PAYLOAD_TYPE, pae};
use crate::key::HostKey;

/// The largest bundle that is written or read, in bytes.
pub const LARGEST_BUNDLE: usize = 4 << 20;

/// The media type of a Sigstore bundle v0.3.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// Always [`MEDIA_TYPE`].
    pub media_type: String,
    /// Which key to check with.
    pub verification_material: VerificationMaterial,
    /// The signed Statement.
    pub dsse_envelope: Envelope,
}

/// Names the key; holds no certificate and no proof of a public log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationMaterial {
    /// The key.
    pub public_key: KeyHint,
}

/// A key's name. It says which pinned key to use, and is never a reason to trust one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyHint {
    /// The key id, 64 hex digits.
    pub hint: String,
}

/// Why some bytes are no bundle of ours.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Too many bytes.
    #[error("the bundle has {0} bytes, and may have {LARGEST_BUNDLE}")]
    TooLarge(usize),
    /// Not the JSON of a bundle in its public-key form.
    #[error("the bundle is not a Sigstore bundle with a public key and a DSSE envelope: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version or another document.
    #[error("the bundle's media type is {0:?}, and must be {MEDIA_TYPE}")]
    MediaType(String),
    /// Not exactly one signature.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// Two names for the key.
    #[error("the bundle names one key in its hint and another in its signature")]
    TwoKeys,
}

impl Bundle {
    /// Signs a Statement's bytes and wraps them.
    pub fn sign(payload: &[u8], key: &HostKey) -> Self {
        Self {
            media_type: MEDIA_TYPE.into(),
            verification_material: VerificationMaterial {
                public_key: KeyHint { hint: key.key_id().to_owned() },
            },
            dsse_envelope: Envelope::sign(payload, key),
        }
    }

    /// The bytes of the bundle that signs a Statement's bytes: those of [`Bundle::to_bytes`], written in one go, since
    /// nothing in them needs an escape and each receipt waits for them.
    ///
    /// # Errors
    ///
    /// [`BundleError::TooLarge`] for a bundle that no reader would take.
    pub fn signed(payload: &[u8], key: &HostKey) -> Result<Vec<u8>, BundleError> {
        let id = key.key_id();
        let signature = key.sign(&pae(PAYLOAD_TYPE, payload));
        let mut text = String::with_capacity(payload.len() / 3 * 4 + 512);
        for part in [
            r#"{"mediaType":""#,
            MEDIA_TYPE,
            r#"","verificationMaterial":{"publicKey":{"hint":""#,
            id,
            r#""}},"dsseEnvelope":{"payload":""#,
        ] {
            text.push_str(part);
        }
        STANDARD.encode_string(payload, &mut text);
        for part in
            [r#"","payloadType":""#, PAYLOAD_TYPE, r#"","signatures":[{"keyid":""#, id, r#"","sig":""#]
        {
            text.push_str(part);
        }
        STANDARD.encode_string(signature, &mut text);
        text.push_str(r#""}]}}"#);
        if text.len() > LARGEST_BUNDLE {
            Err(BundleError::TooLarge(text.len()))
        } else {
            Ok(text.into_bytes())
        }
    }

    /// The bundle as compact JSON.
    ///
    /// # Errors
    ///
    /// [`BundleError::TooLarge`] for a bundle that no reader would take.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > LARGEST_BUNDLE {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a bundle. Nothing in it is trusted yet.
    ///
    /// # Errors
    ///
    /// Every way in which the bytes are not such a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > LARGEST_BUNDLE {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let bundle: Self = serde_json::from_slice(bytes)?;
        if bundle.media_type != MEDIA_TYPE {
            return Err(BundleError::MediaType(bundle.media_type.chars().take(100).collect()));
        }
        if bundle.dsse_envelope.only_signature()?.keyid != bundle.key_id() {
            return Err(BundleError::TwoKeys);
        }
        Ok(bundle)
    }

    /// The id of the key that is said to have signed.
    pub fn key_id(&self) -> &str {
        &self.verification_material.public_key.hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap();
        String::from_utf8(Bundle::sign(b"{}", &key).to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn a_bundle_comes_back() {
        let text = good();
        assert_eq!(Bundle::parse(text.as_bytes()).unwrap().to_bytes().unwrap(), text.as_bytes());
    }

    #[test]
    fn a_bundle_in_one_go_is_the_same() {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap();
        for payload in [b"".as_slice(), b"{}", &[0xff; 1001]] {
            let bytes = Bundle::sign(payload, &key).to_bytes().unwrap();
            assert_eq!(Bundle::signed(payload, &key).unwrap(), bytes);
        }
        assert!(Bundle::signed(&vec![0; LARGEST_BUNDLE], &key).is_err());
    }

    #[test]
    fn other_shapes_are_refused() {
        let text = good();
        let hint = Bundle::parse(text.as_bytes()).unwrap().key_id().to_owned();
        let cases = [
            text.replace("v0.3", "v0.2"),
            text.replacen(&hint, &"0".repeat(64), 1),
            text.replace("\"publicKey\":{", "\"publicKey\":{\"rawBytes\":\"\","),
            text.replacen('{', "{\"mediaType\":\"x\",", 1),
            text.replace("\"signatures\":[", "\"signatures\":[{\"keyid\":\"\",\"sig\":\"\"},"),
            text.clone() + "{}",
            "[".repeat(100_000),
            " ".repeat(LARGEST_BUNDLE + 1),
        ];
        for case in cases {
            assert!(
                Bundle::parse(case.as_bytes()).is_err(),
                "{}",
                case.chars().take(200).collect::<String>()
            );
        }
    }
}
