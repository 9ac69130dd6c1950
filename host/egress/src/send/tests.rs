//! Against servers on loopback that are written by hand, byte for byte, and can be as hostile as needed.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ops_policy::message::Header;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::resolve::Lookup;
use crate::secret::Secret;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// A resolver that reads its answers from a list, one per look-up, and counts.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Resolve for Arc<Script> {
    fn resolve<'a>(&'a self, _host: &'a str) -> Lookup<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

/// What a test sends, with defaults that each test changes where it matters.
struct Case {
    origin: Origin,
    listed: Vec<IpNet>,
    ca: Option<String>,
    header: Option<(&'static str, &'static str)>,
    secret: Secret,
    request: WireRequest,
    time: Duration,
    most: u64,
}

impl Case {
    fn new(origin: &str) -> Self {
        Self {
            origin: Origin::parse(origin).unwrap(),
            listed: vec!["127.0.0.0/8".parse().unwrap()],
            ca: None,
            header: None,
            secret: Secret::for_test("mail-token", "hunter2-hunter2"),
            request: WireRequest { method: "GET".into(), target: "/".into(), headers: vec![], body: None },
            time: Duration::from_secs(10),
            most: 1024,
        }
    }

    /// A case for a plain server at this address.
    fn plain(address: SocketAddr) -> Self {
        Self::new(&format!("http://{address}"))
    }

    fn with_credential(mut self) -> Self {
        self.header = Some(("Authorization", "Bearer {}"));
        self
    }

    async fn send(&self) -> Result<Sent, SendError> {
        self.send_with(&Script::new(&[])).await
    }

    async fn send_with(&self, resolver: &Arc<Script>) -> Result<Sent, SendError> {
        let target = Target {
            service: "mail",
            origin: &self.origin,
            addresses: &self.listed,
            ca: self.ca.as_ref().map(String::as_bytes),
            credential: self.header.map(|(header, form)| Credential { header, form, secret: &self.secret }),
        };
        let budget = Budget { deadline: Instant::now() + self.time, response: self.most };
        Egress::new(Arc::clone(resolver)).send(&target, &self.request, &budget).await
    }
}

/// Reads a request: the head, and the body that its content-length announces.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "the request ended early: {text}");
        seen.extend_from_slice(&buffer[..count]);
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: Vec<u8>) -> String {
    let seen = read_request(&mut stream).await;
    // The client may hang up in the middle of an answer that it does not want.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    seen
}

/// A plain server that answers one request with these bytes and returns the request.
async fn serve(bytes: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { answer(listener.accept().await.unwrap().0, bytes).await }))
}

async fn send_to_server_of(bytes: impl Into<Vec<u8>>) -> Result<Sent, SendError> {
    let (address, _server) = serve(bytes).await;
    Case::plain(address).send().await
}

/// A private CA.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A TLS server with a certificate of this CA; `None` where no request arrived.
    async fn serve(&self, name: &str, years: (i32, i32)) -> (SocketAddr, JoinHandle<Option<String>>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let stream = listener.accept().await.unwrap().0;
            let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
            Some(answer(stream, OK.into()).await)
        });
        (address, server)
    }
}

fn tls_case(ca: &Ca, name: &str, address: SocketAddr) -> Case {
    let mut case = Case::new(&format!("https://{name}:{}", address.port()));
    case.ca = Some(ca.pem.clone());
    case
}

// What goes out

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

// Where it goes

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_checked_address_is_dialled() {
    let (address, server) = serve(OK).await;
    let case = Case::new(&format!("http://mail.test:{}", address.port()));
    // The second answer is never asked for: it would be refused, as would the first after a second look-up.
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
    (case.listed, case.ca, case.time) = (vec![], Some(Ca::new().pem), Duration::from_millis(300));
    // 192.88.99.1 is listed here so that the first answer passes; nobody is there.
    case.listed.push("192.88.99.0/24".parse().unwrap());
    let resolver = Script::new(&[&["192.88.99.1"], &["127.0.0.1"]]);
    let error = case.send_with(&resolver).await.unwrap_err();
    assert!(!error.sent);
    assert_eq!(error.address, Some(SocketAddr::new("192.88.99.1".parse().unwrap(), port)));
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

#[tokio::test]
async fn a_refused_port_is_unreachable_and_nothing_was_sent() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Case::plain(address).send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Unreachable(_)), "{error:?}");
    assert_eq!((error.address, error.sent, error.received), (Some(address), false, 0));
}

// Encryption

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
    let (ca, other) = (Ca::new(), Ca::new());
    for (issuer, name, years, why) in [
        (&other, "mail.test", (2020, 2100), "comes from an unknown CA"),
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

// What comes back

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
    for (bytes, why) in [
        ("", "the connection was lost"),
        ("HTTP/1.1 200 OK\r\nconte", "the connection was lost"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", "the connection was lost"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi", "the connection was lost"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi!", "not HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 700 What\r\ncontent-length: 0\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "not HTTP/1.1"),
    ] {
        let error = send_to_server_of(bytes).await.unwrap_err();
        let NetError::Connection(text) = &error.error else { panic!("{bytes}: {error:?}") };
        assert!(text.contains(why), "{bytes}: {text}");
        assert!(error.sent, "{bytes}");
    }
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut case = Case::plain(listener.local_addr().unwrap());
    case.time = Duration::from_millis(200);
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let begun = Instant::now();
    let error = case.send().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(matches!(error.error, NetError::Timeout(_)), "{error:?}");
    assert!(error.sent && error.received > 0);
    // The connection is closed, not left to a task of its own.
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
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
        read_request(&mut stream).await;
        reset(stream);
    });
    let error = case.send().await.unwrap_err();
    assert!(matches!(error.error, NetError::Connection(_)), "{error:?}");
    assert!(error.sent);
    server.await.unwrap();
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
    assert!(!error.sent);
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
async fn no_error_shows_the_credential() {
    let (address, _server) = serve("nonsense hunter2-hunter2\r\n\r\n").await;
    let error = Case::plain(address).with_credential().send().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}
