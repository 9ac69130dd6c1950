//! An MCP server with the tools, resources and prompts that the official conformance suite asks for, and nothing of the
//! product behind them: what the suite finds right or wrong here is the protocol itself. `make conformance` runs the
//! suite against it; the benches take its constant answer as their baseline.
//!
//! `mcp-fixture` speaks on its own streams; `mcp-fixture --http` on a free port of loopback, whose address is its first
//! line of output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a stand-in for tests, which may stop at whatever is not as it expects"
)]
#![allow(deprecated, reason = "the suite asks for logging, sampling and roots, which no product code uses")]

mod data;
mod rounds;
mod server;

use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use server::Fixture;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        None => on_streams().await,
        Some("--http") => on_loopback().await,
        Some(word) => {
            println!("unknown word {word}; --http is the only one");
            std::process::exit(2);
        }
    }
}

async fn on_streams() {
    let running = Fixture::default().serve(rmcp::transport::stdio()).await.unwrap();
    running.waiting().await.unwrap();
}

async fn on_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    println!("http://{address}/mcp");
    let fixture = Fixture::default();
    let service = StreamableHttpService::new(
        move || Ok(fixture.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().with_allowed_origins([format!("http://{address}")]),
    );
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // A client that goes away in the middle is no failure of the server's.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
