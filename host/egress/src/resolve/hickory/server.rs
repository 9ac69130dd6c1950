//! A name server on loopback for tests. It answers as it is told and counts what it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// What it says to one question.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These records, each `NAME ADDRESS` or `NAME ALIAS`; those of another kind than was asked for are left out.
    Records(Vec<String>),
    /// This code and nothing else.
    Code(ResponseCode),
    /// Over UDP only that the answer is too long for it; over TCP the records.
    Long(Vec<String>),
    /// Bytes that are no answer.
    Noise,
    /// Nothing.
    Silence,
}

/// A name server, for as long as it is held.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

pub(crate) fn records(lines: &[&str]) -> Reply {
    Reply::Records(lines.iter().map(|line| (*line).to_owned()).collect())
}

impl Server {
    /// Starts one. `reply` is given the name, the kind of record, and how often this kind was asked for before.
    pub(crate) async fn start(
        reply: impl Fn(&str, RecordType, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (for_a, for_aaaa) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let decide = Arc::new(move |question: &Message| {
            count.fetch_add(1, Ordering::SeqCst);
            let query = &question.queries[0];
            let kind = query.query_type();
            let before =
                if kind == RecordType::A { &for_a } else { &for_aaaa }.fetch_add(1, Ordering::SeqCst);
            reply(&query.name().to_ascii(), kind, before)
        });
        let over_udp = tokio::spawn(serve_udp(udp, Arc::clone(&decide)));
        let over_tcp = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(serve_tcp(stream, Arc::clone(&decide)));
            }
        });
        Self { address, asked, tasks: [over_udp, over_tcp] }
    }

    /// How many questions came in, over UDP and TCP, for either kind of address.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A port that is free for both protocols.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, decide: Arc<impl Fn(&Message) -> Reply>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        if let Some(bytes) = answer(&question, decide(&question), true) {
            socket.send_to(&bytes, from).await.unwrap();
        }
    }
}

async fn serve_tcp(mut stream: TcpStream, decide: Arc<impl Fn(&Message) -> Reply>) {
    while let Ok(length) = stream.read_u16().await {
        let mut buffer = vec![0; length.into()];
        stream.read_exact(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer).unwrap();
        if let Some(bytes) = answer(&question, decide(&question), false) {
            stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    }
}

fn answer(question: &Message, reply: Reply, udp: bool) -> Option<Vec<u8>> {
    let kind = question.queries[0].query_type();
    let mut message = Message::response(question.id, question.op_code);
    message.metadata.recursion_available = true;
    message.queries.clone_from(&question.queries);
    match reply {
        Reply::Silence => return None,
        Reply::Noise => return Some([&question.id.to_be_bytes()[..], b"noise"].concat()),
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::Long(_) if udp => message.metadata.truncation = true,
        Reply::Records(lines) | Reply::Long(lines) => {
            message.answers = lines.iter().filter_map(|line| record(line, kind)).collect();
        }
    }
    Some(message.to_vec().unwrap())
}

fn record(line: &str, kind: RecordType) -> Option<Record> {
    let (name, value) = line.split_once(' ').unwrap();
    let data = match value.parse() {
        Ok(std::net::IpAddr::V4(address)) => RData::A(A(address)),
        Ok(std::net::IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
        Err(_) => RData::CNAME(CNAME(Name::from_ascii(value).unwrap())),
    };
    let fits = data.record_type() == kind || data.record_type() == RecordType::CNAME;
    fits.then(|| Record::from_rdata(Name::from_ascii(name).unwrap(), 300, data))
}
