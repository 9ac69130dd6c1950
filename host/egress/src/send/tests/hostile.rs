//! Servers that want to cost time or memory.

use super::*;

/// A server that writes these bytes, then those again and again until the client hangs up; how much it could write.
async fn serve_without_end(head: &'static str, again: Vec<u8>) -> (SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        read_request(&mut stream).await;
        let mut written = 0;
        let mut next = stream.write_all(head.as_bytes()).await;
        while next.is_ok() {
            written += again.len() as u64;
            next = stream.write_all(&again).await;
        }
        written
    });
    (address, server)
}

async fn ends<T>(server: JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), server)
        .await
        .expect("the connection is not closed")
        .unwrap()
}

/// What is read of it before it is given up. The rest is what the kernel's buffers take.
const MOST_READ: u64 = 6 * 1024 + 4 * crate::exchange::MOST_HEAD_BYTES as u64 + 64 * 1024;

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    for (what, head, again, why) in [
        ("body", "HTTP/1.1 200 OK\r\n\r\n", "x".repeat(4096), "1024 bytes"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "1\r\nx\r\n".repeat(500),
            "1024 bytes",
        ),
        ("chunk extensions", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x".repeat(4096), ""),
        ("fields", "HTTP/1.1 200 OK\r\n", "a: b\r\n".repeat(500), "more than 100 fields"),
        ("a field", "HTTP/1.1 200 OK\r\na: ", "x".repeat(4096), "more than 100 fields"),
        ("interim answers", "", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100), "1024 bytes"),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "a: b\r\n".repeat(500),
            "",
        ),
        (
            "a compressed body",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x08\0",
            "\0".repeat(4096),
            "1024 bytes",
        ),
    ] {
        let (address, server) = serve_without_end(head, again.into_bytes()).await;
        let error = Case::plain(address).send().await.unwrap_err();
        assert!(error.to_string().contains(why), "{what}: {error}");
        assert!(error.sent && error.received <= MOST_READ, "{what}: {error:?}");
        assert_ne!(error.failure, Failure::Timeout, "{what}");
        ends(server).await;
    }
}

#[tokio::test]
async fn ten_thousand_fields_are_too_many() {
    let fields: String = (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let error = send_to_server_of(format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).await.unwrap_err();
    assert_eq!(error.failure, Failure::TooLarge, "{error:?}");
    assert!(error.received <= 2 * crate::exchange::MOST_HEAD_BYTES as u64, "{error:?}");
}

/// Nothing is decompressed, so nothing can swell. The guest is told how the bytes are coded.
#[tokio::test]
async fn compressed_bytes_pass_as_they_are() {
    // What `gzip` makes of the word `hello`.
    let bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
    let response = send_to_server_of([head.as_bytes(), bytes].concat()).await.unwrap().response;
    assert_eq!(response.body, bytes);
    let coding = Header { name: "content-encoding".into(), value: "gzip".into() };
    assert_eq!(response.headers[0], coding);
}

/// Byte by byte, each of them in time, all of them not.
#[tokio::test]
async fn a_drip_in_any_part_of_the_answer_ends_at_the_deadline() {
    for (head, why) in [
        ("", "the answer was not complete in time"),
        ("HTTP/1.1 200 OK\r\n", "the answer was not complete in time"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", "the answer was not complete in time"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut case = Case::plain(listener.local_addr().unwrap());
        case.time = Duration::from_millis(200);
        let server = tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            read_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            // The letters of a status line come first where there was no head.
            let mut drip = b"HTTP/1.1 200 ".iter().copied().chain(std::iter::repeat(b'x'));
            while stream.write_all(&[drip.next().unwrap()]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let error = case.send().await.unwrap_err();
        assert_eq!(error.failure, Failure::Timeout, "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.sent && error.received > 0);
        ends(server).await;
    }
}

#[tokio::test]
async fn silence_after_the_request_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut case = Case::plain(listener.local_addr().unwrap());
    case.time = Duration::from_millis(100);
    let error = case.send().await.unwrap_err();
    assert_eq!(error.error, NetError::Timeout("service `mail`: there was no answer in time".into()));
    assert!(error.sent);
}

/// A server that reads nothing must not park a request that does not fit into the buffers.
#[tokio::test]
async fn a_server_that_does_not_read_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut case = Case::plain(listener.local_addr().unwrap());
    case.time = Duration::from_millis(300);
    case.request.method = "POST".into();
    case.request.body = Some(vec![b'x'; 32 << 20]);
    let error = case.send().await.unwrap_err();
    assert_eq!((error.failure, error.sent), (Failure::Timeout, true), "{error:?}");
}
