//! Against servers on loopback that are written by hand, byte for byte, and can be as hostile as needed.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ops_policy::message::Header;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::resolve::Lookup;
use crate::secret::Secret;

mod answer;
mod encryption;
mod hostile;
mod names;
mod pinned;
mod request;
mod secrets;

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
    fn resolve<'a>(&'a self, _host: &'a str, _until: Instant) -> Lookup<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

/// A trust that owns what it rests on.
enum Anchor {
    System,
    Authority(String),
    Pinned([u8; 32]),
}

/// What a test sends, with defaults that each test changes where it matters.
struct Case {
    origin: Origin,
    listed: Vec<IpNet>,
    trust: Anchor,
    fillings: Vec<(&'static str, Secret)>,
    mask: Vec<Secret>,
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
            trust: Anchor::System,
            fillings: vec![],
            mask: vec![],
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
        self.send_through(&Egress::new(Arc::clone(resolver))).await
    }

    async fn send_through(&self, egress: &Egress) -> Result<Sent, SendError> {
        let fillings: Vec<_> = self.fillings.iter().map(|(at, secret)| Filling { at, secret }).collect();
        let target = Target {
            service: "mail",
            origin: &self.origin,
            addresses: &self.listed,
            trust: match &self.trust {
                Anchor::System => Trust::System,
                Anchor::Authority(pem) => Trust::Authority(pem.as_bytes()),
                Anchor::Pinned(fingerprint) => Trust::Pinned(*fingerprint),
            },
            credential: self.header.map(|(header, form)| Credential { header, form, secret: &self.secret }),
            fillings: &fillings,
            mask: &self.mask,
        };
        let budget = Budget { deadline: Instant::now() + self.time, response: self.most };
        egress.send(&target, &self.request, &budget).await
    }
}

/// Reads a request: the head, and the body that its content-length announces.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
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

    /// A certificate of this CA, and its key.
    fn issue(&self, name: &str, years: (i32, i32)) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A TLS server with a certificate of this CA; `None` where no request arrived.
    async fn serve(&self, name: &str, years: (i32, i32)) -> (SocketAddr, JoinHandle<Option<String>>) {
        let (certificate, key) = self.issue(name, years);
        serve_tls(certificate, &key, rustls::ALL_VERSIONS).await
    }
}

/// A TLS server that shows this certificate and signs with this key, which need not be its own.
async fn serve_tls(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> (SocketAddr, JoinHandle<Option<String>>) {
    let acceptor = acceptor(certificate, key, versions);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let stream = acceptor.accept(stream).await.ok()?;
        Some(answer(stream, OK.into()).await)
    });
    (address, server)
}

fn acceptor(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::crypto::ring::sign::any_supported_type(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    TlsAcceptor::from(Arc::new(config))
}

fn tls_case(ca: &Ca, name: &str, address: SocketAddr) -> Case {
    let mut case = Case::new(&format!("https://{name}:{}", address.port()));
    case.trust = Anchor::Authority(ca.pem.clone());
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
