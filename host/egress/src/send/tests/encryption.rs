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
    case.trust = Anchor::System;
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
    assert_eq!(error.error, NetError::Timeout("service `mail`: the TLS handshake took too long".into()));
    assert!(!error.sent);
}

/// A session that one capability opened must not be there for the next.
#[tokio::test]
async fn nothing_is_shared_between_two_requests() {
    let ca = Ca::new();
    let (certificate, key) = ca.issue("mail.test", (2020, 2100));
    let acceptor = acceptor(certificate, &key, rustls::ALL_VERSIONS);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut kinds = Vec::new();
        for _ in 0..2 {
            // A cookie and a kept connection are offered with each answer.
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let seen = read_request(&mut stream).await;
            assert!(!seen.contains("cookie"), "{seen}");
            let kept =
                "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(kept.as_bytes()).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind());
            let _ = stream.shutdown().await;
        }
        kinds
    });
    let egress = Egress::new(Script::new(&[&["127.0.0.1"], &["127.0.0.1"]]));
    for _ in 0..2 {
        tls_case(&ca, "mail.test", address).send_through(&egress).await.unwrap();
    }
    assert_eq!(server.await.unwrap(), [Some(rustls::HandshakeKind::Full); 2]);
}

/// Every answer that is cut short must look like one, also where only the end of the connection ends it.
#[tokio::test]
async fn an_answer_that_ends_without_a_farewell_is_not_complete() {
    let ca = Ca::new();
    let (certificate, key) = ca.issue("mail.test", (2020, 2100));
    let acceptor = acceptor(certificate, &key, rustls::ALL_VERSIONS);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall there is").await.unwrap();
        stream.flush().await.unwrap();
        // The TCP connection ends; TLS says nothing of an end.
    });
    let error =
        tls_case(&ca, "mail.test", address).send_with(&Script::new(&[&["127.0.0.1"]])).await.unwrap_err();
    assert_eq!(error.failure, Failure::Lost, "{error:?}");
    server.await.unwrap();
}

/// No server can talk it into an older TLS, because it does not speak one.
#[tokio::test]
async fn only_tls_1_2_and_1_3_are_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let case = tls_case(&Ca::new(), "127.0.0.1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut hello = vec![0; 4096];
        let mut stream = listener.accept().await.unwrap().0;
        let length = stream.read(&mut hello).await.unwrap();
        hello.truncate(length);
        hello
    });
    case.send().await.unwrap_err();
    let hello = server.await.unwrap();
    let holds = |bytes: &[u8]| hello.windows(bytes.len()).any(|window| window == bytes);
    // The extensions `supported_versions` (two of them, 1.3 and 1.2) and the one protocol on top of it.
    assert!(holds(&[0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04, 0x03, 0x03]), "{hello:02x?}");
    assert!(holds(b"\x00\x10\x00\x0b\x00\x09\x08http/1.1"), "{hello:02x?}");
}
