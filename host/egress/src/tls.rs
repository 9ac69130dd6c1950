//! TLS to an origin: which certificates are trusted, and what went wrong in words.
//!
//! Trust is what this system trusts, or exactly the private CA that the binding names, or exactly one certificate;
//! never two of them. TLS 1.2 is the least. Every connection has a configuration of its own: no session is resumed,
//! nothing is shared between capabilities, and no early data is sent, so a request cannot leave before the
//! certificate was checked.

use std::io;
use std::sync::{Arc, OnceLock};

use ops_policy::origin::Origin;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

mod pinned;

/// Whose word is taken for who a server is.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// That of the certificate authorities of this system.
    System,
    /// That of a private authority, in PEM, and of nobody else.
    Authority(&'a [u8]),
    /// Nobody's: the server has the certificate with this SHA-256 over its DER.
    Pinned([u8; 32]),
}

/// Why there is no encrypted connection. Nothing of a request was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The private CA is unusable.
    #[error("the CA file under `tls:` {0}")]
    Ca(&'static str),
    /// This system trusts nobody.
    #[error("this system has no CA certificates; install them, or name a CA under `tls:` in the binding")]
    NoRoots,
    /// The certificate was issued by somebody who is not trusted.
    #[error(
        "the server's certificate comes from an unknown CA; if it is a private one, name it under `tls:`"
    )]
    UnknownIssuer,
    /// The certificate is somebody else's.
    #[error("the server's certificate is not for {0}")]
    Name(String),
    /// The certificate is too old.
    #[error("the server's certificate has expired")]
    Expired,
    /// The certificate is too young.
    #[error("the server's certificate is not valid yet; check the clocks")]
    NotYet,
    /// The certificate is not the one that is pinned.
    #[error(
        "the server's certificate is not the one that the binding pins; if it was renewed, compare the new one and \
         change `fingerprint` under `tls:`"
    )]
    Pinned,
    /// The certificate was refused for another reason.
    #[error("the server's certificate was refused: {0}")]
    Certificate(String),
    /// There is no common ground, or the peer does not speak TLS.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
}

/// The certificates that this system trusts, read when they are first needed.
#[derive(Debug, Default)]
pub struct SystemRoots(OnceLock<Arc<RootCertStore>>);

impl SystemRoots {
    fn get(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if let Some(roots) = self.0.get() {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        let loaded = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
        tracing::debug!(added, ignored, "system roots");
        // An empty store is not kept: the operator may install certificates while the host runs.
        if roots.is_empty() {
            Err(TlsError::NoRoots)
        } else {
            Ok(Arc::clone(self.0.get_or_init(|| roots.into())))
        }
    }
}

/// A configuration for one connection.
///
/// # Errors
///
/// The CA file holds no usable certificate, or the system has none.
pub fn config(system: &SystemRoots, trust: Trust<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::Handshake(error.to_string()))?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system.get()?),
        Trust::Authority(pem) => builder.with_root_certificates(private_roots(pem)?),
        Trust::Pinned(fingerprint) => {
            let verifier = pinned::Pinned::new(fingerprint, algorithms);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Checks a private CA as a binding names it, before it is shown to anybody.
///
/// # Errors
///
/// It holds a private key, no certificate, or one that cannot be read.
pub fn check_authority(pem: &[u8]) -> Result<(), TlsError> {
    if PrivateKeyDer::from_pem_slice(pem).is_ok() {
        return Err(TlsError::Ca("holds a private key; put the CA's certificate there and nothing else"));
    }
    private_roots(pem).map(|_| ())
}

fn private_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::Ca("is not PEM"))?;
        roots.add(certificate).map_err(|_| TlsError::Ca("holds a certificate that cannot be read"))?;
    }
    if roots.is_empty() { Err(TlsError::Ca("holds no certificate")) } else { Ok(roots) }
}

/// Encrypts a connection and checks that the server is the origin's host.
///
/// # Errors
///
/// The certificate is refused, or there is no common protocol.
pub async fn handshake(
    config: Arc<ClientConfig>,
    origin: &Origin,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = match origin.address() {
        Some(address) => ServerName::from(address),
        None => ServerName::try_from(origin.host().to_owned()).map_err(|_| {
            TlsError::Handshake("the host is not a name that a certificate can hold".to_owned())
        })?,
    };
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| explain(&error, origin))
}

fn explain(error: &io::Error, origin: &Origin) -> TlsError {
    use CertificateError as Bad;
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return TlsError::Handshake(error.kind().to_string());
    };
    let rustls::Error::InvalidCertificate(bad) = cause else {
        return TlsError::Handshake(cause.to_string());
    };
    match bad {
        Bad::UnknownIssuer => TlsError::UnknownIssuer,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsError::Name(origin.host().to_owned()),
        Bad::Expired | Bad::ExpiredContext { .. } => TlsError::Expired,
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => TlsError::NotYet,
        Bad::ApplicationVerificationFailure => TlsError::Pinned,
        other => TlsError::Certificate(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_ca_is_an_error_and_never_falls_back_to_the_system() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, why) in [
            ("", "holds no certificate"),
            ("no PEM at all", "holds no certificate"),
            (broken, "holds a certificate that cannot be read"),
            ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "is not PEM"),
        ] {
            let error = config(&SystemRoots::default(), Trust::Authority(pem.as_bytes())).unwrap_err();
            assert_eq!(error, TlsError::Ca(why), "{pem}");
        }
    }

    #[test]
    fn a_private_key_is_no_authority() {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert_eq!(check_authority(certificate.as_bytes()), Ok(()));
        for pem in [key.clone(), format!("{certificate}{key}"), format!("{key}{certificate}")] {
            let error = check_authority(pem.as_bytes()).unwrap_err();
            assert!(matches!(error, TlsError::Ca(why) if why.contains("private key")), "{error}");
        }
        assert!(check_authority(b"garbage").is_err());
    }

    #[test]
    fn a_configuration_resumes_nothing_and_speaks_http_1() {
        let ca = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap().cert.pem();
        for trust in [Trust::Authority(ca.as_bytes()), Trust::Pinned([0; 32])] {
            let config = config(&SystemRoots::default(), trust).unwrap();
            assert_eq!(config.alpn_protocols, [b"http/1.1"]);
            assert!(!config.enable_early_data);
            assert!(config.enable_sni);
            assert!(format!("{:?}", config.resumption).contains("Disabled"), "{:?}", config.resumption);
        }
    }
}
