//! What goes out, and where it goes.

use super::*;

#[tokio::test]
async fn the_server_sees_exactly_the_rebuilt_request() {
    let (address, server) = serve(OK).await;
    let mut case = Case::plain(address).with_credential();
    case.request = WireRequest {
        method: "POST".into(),
        target: "/jmap/?since=4".into(),
        headers: vec![
            Header { name: "accept".into(), value: "application/json".into() },
            Header { name: "content-type".into(), value: "application/json".into() },
        ],
        body: Some(b"{\"a\":1}".to_vec()),
    };
    let sent = case.send().await.unwrap();
    let expected = format!(
        "POST /jmap/?since=4 HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 7\r\n\
         accept: application/json\r\ncontent-type: application/json\r\nuser-agent: ops/{}\r\n\
         authorization: Bearer hunter2-hunter2\r\n\r\n{{\"a\":1}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(server.await.unwrap(), expected);
    assert_eq!(sent.bytes_sent, expected.len() as u64);
    assert_eq!(sent.bytes_received, OK.len() as u64);
    assert_eq!(sent.address, address);
    let length = Header { name: "content-length".into(), value: "2".into() };
    assert_eq!(sent.response, Response { status: 200, headers: vec![length], body: b"hi".to_vec() });
}

/// Names are looked up only for requests that will be sent: a look-up alone can carry data out.
#[tokio::test]
async fn a_guests_own_credential_field_is_refused_before_anything_is_dialled() {
    let resolver = Script::new(&[&["127.0.0.1"]]);
    let mut case = Case::new("http://mail.test:9").with_credential();
    case.request.headers.push(Header { name: "AUTHORIZATION".into(), value: "Bearer mine".into() });
    let error = case.send_with(&resolver).await.unwrap_err();
    assert!(matches!(error.error, NetError::InvalidRequest(_)), "{error}");
    assert_eq!((error.address, error.sent), (None, false));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_checked_address_is_dialled() {
    let (address, server) = serve(OK).await;
    let case = Case::new(&format!("http://mail.test:{}", address.port()));
    // Whoever looks up again gets an address that is refused.
    let resolver = Script::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    assert_eq!(case.send_with(&resolver).await.unwrap().address, address);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    assert!(server.await.unwrap().contains(&format!("host: mail.test:{}\r\n", address.port())));
}

#[tokio::test]
async fn a_name_that_rebinds_to_loopback_does_not_reach_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut case = Case::new(&format!("https://mail.test:{port}"));
    (case.listed, case.trust, case.time) =
        (vec![], Anchor::Authority(Ca::new().pem), Duration::from_millis(300));
    // A documentation address stands for a public one: it is listed so that it passes, and nobody is there.
    case.listed.push("192.0.2.0/24".parse().unwrap());
    let resolver = Script::new(&[&["192.0.2.1"], &["127.0.0.1"]]);
    let error = case.send_with(&resolver).await.unwrap_err();
    assert!(!error.sent);
    assert_eq!(error.address, Some(SocketAddr::new("192.0.2.1".parse().unwrap(), port)));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "loopback was dialled");
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_permitted_addresses_are_dialled() {
    let (address, _server) = serve(OK).await;
    let mut case = Case::new(&format!("http://mail.test:{}", address.port()));
    case.listed = vec!["127.0.0.1/32".parse().unwrap()];
    let resolver = Script::new(&[&["169.254.169.254", "10.0.0.1", "127.0.0.2", "127.0.0.1"]]);
    assert_eq!(case.send_with(&resolver).await.unwrap().address, address);
}

#[tokio::test]
async fn addresses_that_are_not_permitted_are_not_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (scheme, answer, listed, why) in [
        ("https", "127.0.0.1", &[][..], "a loopback address is dialled only if the binding lists"),
        ("https", "::ffff:127.0.0.1", &["127.0.0.0/8"], "a loopback address is dialled only if"),
        ("https", "10.1.2.3", &["10.2.0.0/16"], "a private address is dialled only if"),
        ("https", "169.254.169.254", &["0.0.0.0/0"], "cloud metadata addresses are never dialled"),
        ("http", "10.2.0.1", &["10.2.0.0/16"], "a private address is not dialled without TLS"),
        ("http", "127.0.0.1", &[], "a loopback address is dialled only if"),
    ] {
        let mut case = Case::new(&format!("{scheme}://mail.test:{port}"));
        case.listed = listed.iter().map(|net| net.parse().unwrap()).collect();
        let error = case.send_with(&Script::new(&[&[answer]])).await.unwrap_err();
        let NetError::Unreachable(text) = &error.error else { panic!("{answer}: {error:?}") };
        assert!(text.starts_with("service `mail`: ") && text.contains(why), "{answer}: {text}");
        assert!(!text.contains(answer), "{text}");
        assert_eq!((error.address, error.sent), (None, false));
    }
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "loopback was dialled");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let error = Case::new("https://mail.test").send().await.unwrap_err();
    assert_eq!(
        error.error,
        NetError::Unreachable("service `mail`: the name does not resolve: no such name".into())
    );
    assert!(!error.sent);
}

/// Some `Host` and some forwarding fields have chosen the destination elsewhere. Here they choose nothing.
#[tokio::test]
async fn fields_of_the_guest_do_not_choose_the_destination() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = serve(OK).await;
    let mut case = Case::plain(address);
    for name in ["x-forwarded-host", "forwarded", "x-original-url", "origin", "referer"] {
        let value = format!("http://{}/", elsewhere.local_addr().unwrap());
        case.request.headers.push(Header { name: name.into(), value });
    }
    assert_eq!(case.send().await.unwrap().address, address);
    assert!(server.await.unwrap().contains(&format!("\r\nhost: {address}\r\n")));
    let accepted = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(accepted.is_err(), "a field of the guest was followed");
}

#[tokio::test]
async fn a_refused_port_is_unreachable_and_nothing_was_sent() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Case::plain(address).send().await.unwrap_err();
    let text = "service `mail`: the connection was refused; is it running, and at that port?";
    assert_eq!(error.error, NetError::Unreachable(text.into()));
    assert_eq!((error.address, error.sent, error.received), (Some(address), false, 0));
}
