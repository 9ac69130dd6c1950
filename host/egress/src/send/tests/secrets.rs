//! Secrets on their way out, and what must not come back.

use super::*;

#[tokio::test]
async fn a_secret_in_the_body_goes_out_and_does_not_come_back() {
    let secret = "p\"w \u{fc}/+%2B";
    let answer = format!(
        "{{\"json\":{},\"b64\":\"cCJ3IMO8LyslMkI=\",\"url\":\"p%22w+%c3%bc%2f%2B%252B\"}}",
        serde_json::to_string(secret).unwrap()
    );
    let (address, server) = serve(format!(
        "HTTP/1.1 200 OK\r\nx-echo: {secret}\r\nset-cookie: session=1\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    ))
    .await;
    let mut case = Case::plain(address);
    case.fillings = vec![("/auth/password", Secret::for_test("smtp", secret))];
    case.request.method = "POST".into();
    case.request.body = Some(br#"{"auth":{"user":"ops","password":"[secret]"}}"#.to_vec());
    let sent = case.send().await.unwrap();

    let seen = server.await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["auth"]["password"], secret);
    assert!(head.contains("content-length: "), "{head}");
    let text = String::from_utf8(sent.response.body).unwrap();
    assert_eq!(text, r#"{"json":"[secret smtp]","b64":"[secret smtp]","url":"[secret smtp]"}"#);
    let names: Vec<_> = sent.response.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["x-echo", "content-length"], "a session is a secret by another name");
    assert_eq!(sent.response.headers[0].value, "[secret smtp]");
}

#[tokio::test]
async fn a_body_without_the_place_ends_it_before_anything_is_looked_up() {
    let resolver = Script::new(&[&["127.0.0.1"]]);
    let mut case = Case::new("http://mail.test:9");
    case.fillings = vec![("/password", Secret::for_test("smtp", "hunter2!"))];
    case.request.body = Some(br#"{"password":"mine"}"#.to_vec());
    let error = case.send_with(&resolver).await.unwrap_err();
    assert_eq!((error.failure, error.sent), (Failure::Request, false), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
}

/// A secret that was used a moment ago, or that has just been replaced, must not come back either.
#[tokio::test]
async fn further_secrets_are_masked() {
    let (address, _server) = serve(
        "HTTP/1.1 200 hunter2-hunter2\r\nset-cookie: a=b\r\nx: old-secret\r\n\r\nold-secret, hunter2-hunter2",
    )
    .await;
    let mut case = Case::plain(address);
    case.mask = vec![Secret::for_test("old", "old-secret"), case.secret.clone(), case.secret.clone()];
    let sent = case.send().await.unwrap();
    assert_eq!(sent.response.body, b"[secret old], [secret mail-token]");
    assert_eq!(sent.response.headers[1].value, "[secret old]");
    // No secret went out, so the session is not ours to hide; and the words after the status never get in.
    assert_eq!(sent.response.headers[0].name, "set-cookie");
    assert!(!format!("{sent:?}").contains("hunter2"), "{sent:?}");
}

/// A field's name comes in lower case, whatever the server wrote.
#[tokio::test]
async fn a_field_whose_name_holds_a_secret_is_left_out() {
    let (address, _server) =
        serve("HTTP/1.1 200 OK\r\nx-Hunter2-ABC: 1\r\nx-old-secret: 2\r\nx: 3\r\ncontent-length: 0\r\n\r\n")
            .await;
    let mut case = Case::plain(address).with_credential();
    case.secret = Secret::for_test("mail-token", "Hunter2-ABC");
    case.mask = vec![Secret::for_test("old", "old-secret")];
    let headers = case.send().await.unwrap().response.headers;
    let names: Vec<_> = headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["x", "content-length"]);
}

/// A type of error that repeats what a server said would repeat a secret with it.
#[tokio::test]
async fn no_failure_repeats_what_the_server_said() {
    for answer in [
        "hunter2-hunter2 nonsense\r\n\r\n",
        "HTTP/1.1 700 hunter2-hunter2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nhunter2-hunter2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: hunter2-hunter2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhunter2-hunter2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhunter2-hunter2",
    ] {
        let (address, _server) = serve(answer).await;
        let error = Case::plain(address).with_credential().send().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
