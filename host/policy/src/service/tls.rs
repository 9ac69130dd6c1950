//! How a server's certificate is checked where the system's roots are not the ones to ask: by a certificate
//! authority of one's own, or by the fingerprint of the one certificate that the server may show.
//!
//! Checked here, in order: that there is TLS at all, that exactly one of the two is given, then the file's path or
//! the fingerprint's digits.

use std::fmt;

use serde::Deserialize;

use crate::grant_path;
use crate::origin::{Origin, Scheme};
use crate::yaml::{self, At, Wrong};

/// How a server's certificate is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// By a certificate authority of one's own.
    Authority {
        /// A PEM file, relative to the workspace; its certificates are the only roots.
        ca: String,
    },
    /// By the certificate itself. Name, dates and issuer are not looked at.
    Pinned {
        /// The fingerprint that it must have.
        fingerprint: Fingerprint,
    },
}

/// SHA-256 over the DER of a server's own certificate, as `openssl x509 -noout -fingerprint -sha256` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is the SHA-256 of the certificate: 64 hex digits, with a colon after every second or none"
)]
pub struct FingerprintError;

impl Tls {
    /// The authority's file, relative to the workspace, where there is one.
    pub fn ca(&self) -> Option<&str> {
        match self {
            Self::Authority { ca } => Some(ca),
            Self::Pinned { .. } => None,
        }
    }
}

impl Fingerprint {
    /// Parses 64 hex digits of either case, with a colon between every two of them or with none.
    ///
    /// # Errors
    ///
    /// Every other text.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        // 32 pairs and 31 colons. Anything else with colons would be another digest or a slip of the hand.
        let digits = match text.contains(':') {
            true if text.len() == 95 && text.split(':').all(|pair| pair.len() == 2) => text.replace(':', ""),
            true => return Err(FingerprintError),
            false => text.to_owned(),
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }

    /// The digest.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

/// The field `tls` as written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map, such as {ca: tls/internal-ca.pem} or {fingerprint: \"AB:CD:…\"}"
)]
pub(crate) struct Written {
    #[serde(default, deserialize_with = "yaml::present")]
    ca: Option<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    fingerprint: Option<At<String>>,
}

/// Checks the field `tls` of a service that lives at `origin`.
pub(crate) fn check(written: At<Written>, origin: &Origin) -> Result<Tls, Wrong> {
    if origin.scheme() == Scheme::Http {
        return Err(Wrong::at(&written, "there is no TLS with an http: origin; remove `tls`"));
    }
    match (&written.value.ca, &written.value.fingerprint) {
        (Some(ca), None) => {
            grant_path::relative(&ca.value).map_err(|why| Wrong::at(ca, why))?;
            Ok(Tls::Authority { ca: ca.value.clone() })
        }
        (None, Some(text)) => {
            let fingerprint = Fingerprint::parse(&text.value).map_err(|why| {
                Wrong::at(text, why).hint("openssl x509 -in server.pem -noout -fingerprint -sha256 prints it")
            })?;
            Ok(Tls::Pinned { fingerprint })
        }
        _ => Err(Wrong::at(
            &written,
            "`tls` names either a `ca` or a `fingerprint`, and exactly one of the two",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints() {
        let colons = vec!["aB"; 32].join(":");
        let parsed = Fingerprint::parse(&colons).unwrap();
        assert_eq!((parsed.bytes(), parsed.to_string()), ([0xab; 32], colons.to_uppercase()));
        assert_eq!(Fingerprint::parse(&colons.replace(':', "")), Ok(parsed));
        assert_eq!(Fingerprint::parse(&parsed.to_string()), Ok(parsed));
        for text in [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "xy".repeat(32),
            vec!["ab"; 20].join(":"),
            vec!["abab"; 16].join(":"),
            format!("{colons}:"),
            format!("sha256:{}", "ab".repeat(32)),
            "é".repeat(32),
        ] {
            assert_eq!(Fingerprint::parse(&text), Err(FingerprintError), "{text}");
        }
    }
}
