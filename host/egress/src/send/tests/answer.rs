//! What comes back: limits, broken answers, deadlines and scrubbing.

use super::*;

/// The place that a redirect names was matched by no rule.
#[tokio::test]
async fn a_redirect_is_an_answer() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/", elsewhere.local_addr().unwrap());
    let (address, _server) =
        serve(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\ncontent-length: 0\r\n\r\n")).await;
    let sent = Case::plain(address).send().await.unwrap();
    assert_eq!(sent.response.status, 302);
    assert_eq!(sent.response.headers[0], Header { name: "location".into(), value: location });
    assert!(tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await.is_err());
}

#[tokio::test]
async fn answers_that_are_accepted() {
    let exact = "x".repeat(1024);
    for (bytes, body) in [
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
                .into(),
            "x",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n"
                .into(),
            "hi",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end".into(), "until the end"),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n{exact}"), &exact),
    ] {
        let sent = send_to_server_of(bytes.clone()).await.unwrap();
        assert_eq!(sent.response.body, body.as_bytes(), "{bytes}");
        assert!(!sent.response.headers.iter().any(|header| header.name == "x-trailer"));
    }
}

#[tokio::test]
async fn field_values_that_are_not_text_are_left_out() {
    let bytes = b"HTTP/1.1 200 OK\r\nX-Latin: gr\xfcn\r\nX-Utf8: gr\xc3\xbcn\r\ncontent-length: 0\r\n\r\n";
    let headers = send_to_server_of(&bytes[..]).await.unwrap().response.headers;
    let names: Vec<_> = headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["x-utf8", "content-length"]);
    assert_eq!(headers[0].value, "gr\u{fc}n");
}

#[tokio::test]
async fn answers_that_are_too_large() {
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "x".repeat(1000));
    for (what, bytes, why) in [
        ("length", "HTTP/1.1 200 OK\r\ncontent-length: 1025\r\n\r\n".to_owned(), "1024 bytes"),
        ("huge length", format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX / 2), "1024 bytes"),
        (
            "chunks",
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(2)),
            "1024 bytes",
        ),
        ("no length", format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1025)), "1024 bytes"),
        ("fields", format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)), "more than 100 fields"),
        ("field", format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(MOST_HEAD)), "more than 100 fields"),
        (
            "endless field",
            format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(4 * MOST_HEAD)),
            "more than 100 fields",
        ),
        ("interim answers", hint.repeat(1000), "1024 bytes"),
    ] {
        let error = send_to_server_of(bytes).await.unwrap_err();
        let NetError::TooLarge(text) = &error.error else { panic!("{what}: {error:?}") };
        assert!(text.contains(why), "{what}: {text}");
        assert!(error.sent && error.received > 0, "{what}");
    }
}

const MOST_HEAD: usize = crate::exchange::MOST_HEAD_BYTES;

#[tokio::test]
async fn answers_that_are_not_complete_http() {
    let (before, within) = ("was lost before an answer", "was lost in the middle of the answer");
    for (bytes, failure, why) in [
        ("", Failure::Lost, before),
        ("HTTP/1.1 200 OK\r\nconte", Failure::Lost, within),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", Failure::Lost, within),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi", Failure::Lost, within),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", Failure::Malformed, "not HTTP/1.1"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
            Failure::Malformed,
            "not HTTP/1.1",
        ),
        ("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", Failure::Malformed, "not HTTP/1.1"),
        ("HTTP/1.1 700 What\r\ncontent-length: 0\r\n\r\n", Failure::Malformed, "not HTTP/1.1"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            Failure::Malformed,
            "not HTTP/1.1",
        ),
    ] {
        let error = send_to_server_of(bytes).await.unwrap_err();
        let NetError::Connection(text) = &error.error else { panic!("{bytes}: {error:?}") };
        assert!(text.starts_with("service `mail`: the ") && text.contains(why), "{bytes}: {text}");
        assert_eq!((error.failure, error.sent), (failure, true), "{bytes}");
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let (address, server) = serve(OK).await;
    let mut case = Case::plain(address);
    case.time = Duration::ZERO;
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Timeout(_)), "{error:?}");
    assert!(!error.sent);
    server.abort();
}

fn reset(stream: TcpStream) {
    // Closing with a zero linger time sends RST at once.
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_reset_after_the_request_may_have_done_something() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let case = Case::plain(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let seen = read_request(&mut stream).await;
        reset(stream);
        seen.len() as u64
    });
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Connection(_)), "{error:?}");
    assert!(error.sent);
    assert_eq!(error.bytes_sent, server.await.unwrap());
}

#[tokio::test]
async fn a_reset_in_the_handshake_has_done_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let case = tls_case(&Ca::new(), "127.0.0.1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let _ = stream.read(&mut [0; 16]).await;
        reset(stream);
    });
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Tls(_)), "{error:?}");
    assert_eq!((error.sent, error.bytes_sent), (false, 0));
    server.await.unwrap();
}

#[tokio::test]
async fn an_echoed_credential_is_scrubbed() {
    let body = "{\"sent\":\"Bearer hunter2-hunter2\",\"b64\":\"aHVudGVyMi1odW50ZXIy\"}";
    let bytes = format!(
        "HTTP/1.1 401 Unauthorized\r\nx-echo: hunter2-hunter2\r\nset-cookie: session=1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (address, _server) = serve(bytes.clone()).await;
    let response = Case::plain(address).with_credential().send().await.unwrap().response;
    let echo = Header { name: "x-echo".into(), value: "[secret mail-token]".into() };
    assert_eq!(response.headers[0], echo);
    assert_eq!(response.body, b"{\"sent\":\"Bearer [secret mail-token]\",\"b64\":\"[secret mail-token]\"}");
    assert!(!response.headers.iter().any(|header| header.name == "set-cookie"));

    // Without a credential there is nothing to hide.
    let response = send_to_server_of(bytes).await.unwrap().response;
    assert!(response.headers.iter().any(|header| header.name == "set-cookie"));
}

#[tokio::test]
async fn an_answer_that_scrubbing_makes_too_large_is_refused() {
    let body = "abcdef".repeat(100);
    let (address, _server) = serve(format!("HTTP/1.1 200 OK\r\n\r\n{body}")).await;
    let mut case = Case::plain(address).with_credential();
    (case.secret, case.most) = (Secret::for_test("a-name-that-is-longer", "abcdef"), 600);
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::TooLarge(_)), "{error:?}");
    assert!(error.sent);
}
