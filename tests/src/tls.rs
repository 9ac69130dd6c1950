//! A TLS front: it takes TLS on loopback, shows each request to the test, and passes it on to a server of this machine
//! that speaks plain HTTP.
//!
//! A stand-in for what stands before a real server, good for one request a connection. Authorities and certificates
//! are made by the test, so that a name, a date or an issuer can be wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Who issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whom nobody trusts yet. Two of the same name have different keys.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate in PEM, for `tls: {ca: …}`.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name or an address that is valid for years around now.
    pub fn certify(&self, host: &str) -> Certified {
        self.certify_for(host, 2000, 2900)
    }

    /// A certificate that is valid from the start of one year to the start of another.
    pub fn certify_for(&self, host: &str, from: i32, to: i32) -> Certified {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certified { certificate: certificate.der().clone(), key }
    }
}

/// A certificate with its key.
pub struct Certified {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Certified {
    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let chain = vec![self.certificate.clone()];
        Arc::new(versions.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

/// A request, as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method, target and version.
    pub line: String,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The value of the field `authorization`.
    pub fn credential(&self) -> Option<&str> {
        let field = self.headers.iter().find(|(name, _)| name == "authorization");
        field.map(|(_, value)| value.as_str())
    }

    /// Puts another credential in the place of the one that came.
    pub fn authorize(&mut self, value: String) {
        self.headers.retain(|(name, _)| name != "authorization");
        self.headers.push(("authorization".into(), value));
    }
}

/// What the front does with a request.
pub enum Then {
    /// Passes it on, with the changes that were made to it.
    Pass,
    /// Answers with this status itself.
    Refuse(u16),
}

/// The front. It stops with the test's process; each test has its own.
pub struct Front {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Front {
    /// Starts a front before the server on port `behind`. `look` is given each request and how many came before it.
    pub fn start(
        certified: &Certified,
        behind: u16,
        look: impl Fn(&mut Asked, usize) -> Then + Send + Sync + 'static,
    ) -> Self {
        let (config, look) = (certified.config(), Arc::new(look));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let port = listen(move |client| {
            let Ok(connection) = ServerConnection::new(config.clone()) else { return };
            let stream = StreamOwned::new(connection, client);
            // A client that refuses the certificate ends it here.
            let Some((mut request, stream)) = read(stream) else { return };
            let before = {
                let mut log = log.lock().unwrap();
                log.push(request.clone());
                log.len() - 1
            };
            let then = look(&mut request, before);
            let _ = answer(stream, &request, &then, behind);
        });
        Self { port, asked }
    }

    /// Starts a front that passes everything on as it is.
    pub fn passing(certified: &Certified, behind: u16) -> Self {
        Self::start(certified, behind, |_, _| Then::Pass)
    }

    /// Its origin under one of its names.
    pub fn origin(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A listener that speaks no TLS: it waits for the first bytes, says this to everybody, and hangs up.
pub fn saying(words: &'static [u8]) -> u16 {
    listen(move |mut client| {
        let _ = client.read(&mut [0; 1024]);
        let _ = client.write_all(words);
    })
}

/// Serves each connection in a thread of its own, on a port that it returns.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let serve = serve.clone();
            std::thread::spawn(move || serve(client));
        }
    });
    port
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn read(stream: Stream) -> Option<(Asked, Stream)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap_or(0))];
    reader.read_exact(&mut body).ok()?;
    Some((Asked { line: line.trim_end().to_owned(), headers, body }, reader.into_inner()))
}

fn answer(mut stream: Stream, request: &Asked, then: &Then, behind: u16) -> std::io::Result<()> {
    match then {
        Then::Refuse(status) => {
            write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        }
        Then::Pass => {
            let mut server = TcpStream::connect(("127.0.0.1", behind))?;
            write!(server, "{}\r\n", request.line)?;
            for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
                write!(server, "{name}: {value}\r\n")?;
            }
            // The end of the answer is the end of the connection.
            server.write_all(b"connection: close\r\n\r\n")?;
            server.write_all(&request.body)?;
            std::io::copy(&mut server, &mut stream)?;
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}
