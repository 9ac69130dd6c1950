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

mod answer;
mod encryption;
mod request;

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
        Self::named("a CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
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

/// The runner answers guests with boxed futures that may move between threads.
#[test]
fn sending_is_send() {
    fn is_send<T: Send>(_: &T) {}
    let case = Case::new("https://mail.test");
    let resolver = Script::new(&[]);
    is_send(&case.send_with(&resolver));
}
