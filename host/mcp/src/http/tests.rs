use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::model::{ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::only::Only;
use ops_policy::settings::Role;
use ops_runner::run::Standing;

/// Lists one tool, whose name is the caller's.
struct Who;

impl ServerHandler for Who {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let name = caller_of(&context.extensions).map_or("nobody", |caller| &caller.name).to_owned();
        let tool = rmcp::model::Tool::new(name, "", rmcp::model::JsonObject::new());
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }
}

struct Server {
    at: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<io::Result<()>>,
}

async fn server(admit: Option<Admit>) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let is_ready = ready.clone();
    let guard = Guard {
        admit,
        turned_away: Arc::new(|| ()),
        is_ready: Arc::new(move || is_ready.load(Ordering::Relaxed)),
        sessions: false,
    };
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(listener, || Who, guard, stop.clone()));
    Server { at, ready, stop, served }
}

fn tokens() -> Option<Admit> {
    let alice =
        Caller { name: "alice".into(), standing: Standing::Local(Role::Reader), only: Only::default() };
    Some(Arc::new(move |token| (token == "good").then(|| alice.clone())))
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

impl Server {
    /// Sends a request of its own connection; the whole answer as text.
    async fn send(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        let text = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn list(&self, host: &str, more: &str) -> String {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n{more}"
        );
        self.send(&head, LIST).await
    }

    async fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.at), "").await
    }
}

#[tokio::test]
async fn host_and_origin_must_be_this_server() {
    let server = server(None).await;
    let port = server.at.port();
    let ours = format!("127.0.0.1:{port}");
    for (host, origin, expected) in [
        (ours.clone(), None, 200),
        (format!("localhost:{port}"), None, 200),
        (format!("[::1]:{port}"), None, 200),
        (ours.clone(), Some(format!("http://localhost:{port}")), 200),
        ("evil.example".into(), None, 403),
        (format!("evil.example:{port}"), None, 403),
        // Without its port, and with another: an entry without a port would let both in.
        ("127.0.0.1".into(), None, 403),
        (format!("localhost:{}", port ^ 1), None, 403),
        (ours.clone(), Some("http://evil.example".into()), 403),
        (ours.clone(), Some("http://localhost".into()), 403),
        (ours.clone(), Some(format!("http://localhost:{}", port ^ 1)), 403),
        (ours.clone(), Some(format!("https://localhost:{port}")), 403),
        (ours.clone(), Some("null".into()), 403),
        (ours.clone(), Some("not an origin".into()), 403),
    ] {
        let more = origin.as_ref().map_or(String::new(), |origin| format!("origin: {origin}\r\n"));
        let answer = server.list(&host, &more).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{host} {origin:?}: {answer}");
    }
}

#[tokio::test]
async fn a_token_opens_and_names_its_caller() {
    let server = server(tokens()).await;
    let host = server.at.to_string();
    for (field, expected) in [
        ("authorization: Bearer good\r\n", 200),
        ("authorization: bearer  good\r\n", 200),
        ("", 401),
        ("authorization: Bearer bad\r\n", 401),
        ("authorization: Bearer \r\n", 401),
        ("authorization: Basic good\r\n", 401),
        ("authorization: good\r\n", 401),
        ("authorization: Bearer good\r\nauthorization: Bearer good\r\n", 401),
    ] {
        let answer = server.list(&host, field).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{field}: {answer}");
        assert_eq!(answer.contains(r#""name":"alice""#), expected == 200, "{field}: {answer}");
        assert_eq!(answer.contains("www-authenticate: Bearer"), expected == 401, "{field}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_is_plain_json_and_leaves_no_session() {
    let server = server(None).await;
    let answer = server.list(&server.at.to_string(), "").await;
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(!answer.contains("mcp-session-id"), "{answer}");
    assert!(answer.contains(r#""name":"nobody""#), "{answer}");
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let server = server(None).await;
    let head = format!("POST /mcp HTTP/1.1\r\nhost: {}\r\n", server.at);
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    let length = MOST_BODY + 1;
    stream.write_all(format!("{head}content-length: {length}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    let _ = stream.write_all(format!("{head}x: {}\r\n", "y".repeat(2 * MOST_HEAD)).as_bytes()).await;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap_or_default();
    assert!(read == 0 || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn whoever_watches_is_told() {
    let server = server(tokens()).await;
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    server.ready.store(false, Ordering::Relaxed);
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(server.get("/").await.starts_with("HTTP/1.1 404 "));
    assert!(server.get("/mcp").await.starts_with("HTTP/1.1 401 "));
    let head = format!("POST /readyz HTTP/1.1\r\nhost: {}\r\n", server.at);
    assert!(server.send(&head, "").await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn a_server_that_stops_takes_no_more_and_ends() {
    let server = server(None).await;
    server.list(&server.at.to_string(), "").await;
    let idle = TcpStream::connect(server.at).await.unwrap();
    server.stop.cancel();
    server.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.at).await.is_err());
    drop(idle);
}

#[test]
fn every_address_at_once_is_none() {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000));
    assert!(config(any, false, CancellationToken::new()).is_err());
    assert_eq!(names(SocketAddr::from(([192, 0, 2, 1], 80))), ["192.0.2.1:80"]);
}
