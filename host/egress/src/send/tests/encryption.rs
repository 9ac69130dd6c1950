//! Whose certificates are accepted, and that nothing is sent before.

use super::*;

#[tokio::test]
async fn a_private_ca_is_trusted_for_its_names() {
    let ca = Ca::new();
    for (name, host) in [("mail.test", "mail.test"), ("127.0.0.1", "127.0.0.1")] {
        let (address, server) = ca.serve(name, (2020, 2100)).await;
        let case = tls_case(&ca, host, address).with_credential();
        let sent = case.send_with(&Script::new(&[&["127.0.0.1"]])).await.unwrap();
        assert_eq!(sent.response.body, b"hi");
        let seen = server.await.unwrap().unwrap();
        assert!(seen.contains(&format!("host: {host}:{}\r\n", address.port())), "{seen}");
        assert_eq!(sent.bytes_sent, seen.len() as u64);
    }
}

#[tokio::test]
async fn a_certificate_that_is_wrong_ends_it_before_the_request() {
    let (ca, other, namesake) = (Ca::new(), Ca::named("another CA"), Ca::new());
    for (issuer, name, years, why) in [
        (&other, "mail.test", (2020, 2100), "comes from an unknown CA"),
        (&namesake, "mail.test", (2020, 2100), "was refused: BadSignature"),
        (&ca, "other.test", (2020, 2100), "is not for mail.test"),
        (&ca, "mail.test", (2020, 2021), "has expired"),
        (&ca, "mail.test", (2099, 2100), "is not valid yet"),
    ] {
        let (address, server) = issuer.serve(name, years).await;
        let case = tls_case(&ca, "mail.test", address).with_credential();
        let error = case.send_with(&Script::new(&[&["127.0.0.1"]])).await.unwrap_err();
        let NetError::Tls(text) = &error.error else { panic!("{error:?}") };
        assert!(
            text.starts_with("service `mail`: the server's certificate ") && text.contains(why),
            "{text}"
        );
        assert_eq!((error.address, error.sent), (Some(address), false));
        assert_eq!(server.await.unwrap(), None, "{why}");
    }
}

#[tokio::test]
async fn the_system_does_not_trust_a_private_ca() {
    let ca = Ca::new();
    let (address, server) = ca.serve("mail.test", (2020, 2100)).await;
    let mut case = tls_case(&ca, "mail.test", address);
    case.ca = None;
    let error = case.send_with(&Script::new(&[&["127.0.0.1"]])).await.unwrap_err();
    // A machine without any CA certificates refuses too, in other words.
    assert!(matches!(error.error, NetError::Tls(_)), "{error:?}");
    assert!(!error.sent);
    server.abort();
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let case = tls_case(&Ca::new(), "127.0.0.1", listener.local_addr().unwrap()).with_credential();
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(OK.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen).await;
        String::from_utf8_lossy(&seen).into_owned()
    });
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Tls(_)), "{error:?}");
    assert!(!error.sent);
    assert!(!server.await.unwrap().contains("hunter2"));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_timeout_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut case = tls_case(&Ca::new(), "127.0.0.1", listener.local_addr().unwrap());
    case.time = Duration::from_millis(100);
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Timeout(_)), "{error:?}");
    assert!(!error.sent);
}
