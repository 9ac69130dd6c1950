//! An MCP server with the tools, resources and prompts that the official conformance suite asks for, behind the product's
//! own HTTP, with nothing else of the product: what the suite finds right or wrong here is the protocol itself. `make conformance` runs the
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

use ops_mcp::http::{Guard, serve};
use rmcp::ServiceExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    // Sessions, since some fixtures ask their client for something; nobody is asked for a token.
    let guard =
        Guard { admit: None, turned_away: Arc::new(|| ()), is_ready: Arc::new(|| true), sessions: true };
    serve(listener, move || fixture.clone(), guard, CancellationToken::new()).await.unwrap();
}
