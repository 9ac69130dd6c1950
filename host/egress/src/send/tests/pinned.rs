//! A certificate that the binding pins.

use super::*;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

fn pinned_case(fingerprint: [u8; 32], address: SocketAddr) -> Case {
    let mut case = Case::new(&format!("https://mail.test:{}", address.port())).with_credential();
    case.trust = Anchor::Pinned(fingerprint);
    case
}

async fn send(case: &Case) -> Result<Sent, SendError> {
    case.send_with(&Script::new(&[&["127.0.0.1"]])).await
}

/// The operator looked at this very certificate: what it says of names and dates is no news.
#[tokio::test]
async fn the_pinned_certificate_is_enough() {
    let ca = Ca::new();
    for (name, years) in [
        ("mail.test", (2020, 2100)),
        ("other.test", (2020, 2100)),
        ("mail.test", (2020, 2021)),
        ("mail.test", (2099, 2100)),
    ] {
        for version in [&TLS12, &TLS13] {
            let (certificate, key) = ca.issue(name, years);
            let fingerprint = Sha256::digest(&certificate).into();
            let (address, server) = serve_tls(certificate, &key, &[version]).await;
            let sent = send(&pinned_case(fingerprint, address)).await.unwrap();
            assert_eq!(sent.response.body, b"hi");
            assert!(server.await.unwrap().unwrap().contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn any_other_certificate_ends_it_before_the_request() {
    let ca = Ca::new();
    let (pinned, _) = ca.issue("mail.test", (2020, 2100));
    let fingerprint = Sha256::digest(&pinned).into();
    // Same name, same dates, same CA.
    let (address, server) = ca.serve("mail.test", (2020, 2100)).await;
    let error = send(&pinned_case(fingerprint, address)).await.unwrap_err();
    let NetError::Tls(text) = &error.error else { panic!("{error:?}") };
    assert!(text.contains("is not the one that the binding pins"), "{text}");
    assert_eq!((error.failure, error.sent), (Failure::Tls, false));
    assert_eq!(server.await.unwrap(), None);
}

/// Anybody can show a certificate. Only its owner can sign with its key.
#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let ca = Ca::new();
    for version in [&TLS12, &TLS13] {
        let (pinned, _) = ca.issue("mail.test", (2020, 2100));
        let (_, other_key) = ca.issue("mail.test", (2020, 2100));
        let fingerprint = Sha256::digest(&pinned).into();
        let (address, server) = serve_tls(pinned, &other_key, &[version]).await;
        let error = send(&pinned_case(fingerprint, address)).await.unwrap_err();
        assert!(matches!(error.error, NetError::Tls(_)), "{error:?}");
        assert!(!error.sent);
        assert_eq!(server.await.unwrap(), None);
    }
}
