//! Serving: over standard input and output for one client of this user's, or over HTTP for whoever has a token.
//!
//! Both end the same way, when the client goes or on Ctrl-C or SIGTERM: nothing new is taken, runs that have changed
//! nothing yet are stopped and leave their receipts, and those that have are waited for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ops_policy::settings::Role;
use ops_runner::run::Standing;
use ops_runner::runner::Runner;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::front::Front;
use crate::http::{self, Guard};
use crate::only::Only;
use crate::server::Server;
use crate::stdio::{self, Streams};
use crate::tokens::Tokens;

/// Threads that speak with clients. Runs have their own, so two are enough for one of them to be free.
const SPEAKING: usize = 2;
/// How long a thread of a run waits for the next one.
const IDLE: Duration = Duration::from_secs(60);

/// Serves one client over the process's own streams, until it goes. `name` is who it is, with a role in `ops.yaml`;
/// without one it is this user, as a proposer.
///
/// # Errors
///
/// For people: the name has no role, or the streams cannot be used.
pub fn over_stdio(streams: Streams, runner: Runner, name: Option<String>, only: Only) -> Result<(), String> {
    let caller = match name {
        None => Caller { name: ops_runner::user_name(), standing: Standing::Local(Role::Proposer), only },
        Some(name) => Caller { name, standing: Standing::Named, only },
    };
    run(runner, true, async move |front: Arc<Front>| {
        front.role(&caller)?;
        let server = Server::new(front.clone(), Some(caller));
        stdio::serve(streams, server, &front).await.map_err(|error| error.to_string())
    })
}

/// Serves whoever has one of the tokens, until the process is told to stop. `tell` hears, for people, where, and what
/// is not served and why.
///
/// # Errors
///
/// For people: the lock does not hold or was signed for development, or the listener cannot be used.
pub fn over_http(
    listener: std::net::TcpListener,
    runner: Runner,
    tokens: Tokens,
    tell: impl Fn(&str),
) -> Result<(), String> {
    run(runner, false, async move |front: Arc<Front>| {
        let shelf = front.look()?;
        let fail = |error: std::io::Error| error.to_string();
        let at = listener.local_addr().map_err(fail)?;
        tell(&format!("serving MCP at http://{at}/mcp"));
        if !at.ip().is_loopback() {
            tell(&format!(
                "warning: {at} can be reached from other machines, and what goes over it is not encrypted, tokens \
                 included; let a proxy with TLS stand before it"
            ));
        }
        for (capability, why) in &shelf.hidden {
            tell(&format!("warning: {capability} is no tool: {why}"));
        }
        for why in &shelf.refused {
            tell(&format!("warning: {why}"));
        }
        listener.set_nonblocking(true).map_err(fail)?;
        let listener = TcpListener::from_std(listener).map_err(fail)?;
        let ready = front.clone();
        let guard = Guard {
            admit: Some(Arc::new(move |token| tokens.caller(token))),
            is_ready: Arc::new(move || ready.is_ready()),
            sessions: false,
        };
        let server = Server::new(front.clone(), None);
        http::serve(listener, move || server.clone(), guard, front.stop.clone()).await.map_err(fail)
    })
}

/// Serves, and ends in order.
fn run<F: Future<Output = Result<(), String>>>(
    mut runner: Runner,
    development: bool,
    serve: impl FnOnce(Arc<Front>) -> F,
) -> Result<(), String> {
    runner.keep_workers();
    let engine = engine()?;
    let stop = CancellationToken::new();
    let front = Arc::new(Front::new(runner, development, stop.clone()));
    let served = engine.block_on(async {
        let asked =
            stop_on_signal(stop).map_err(|error| format!("signals cannot be listened to: {error}"))?;
        let served = serve(front.clone()).await;
        front.finish().await;
        asked.abort();
        served
    });
    // What is still running then is found at the next start.
    engine.shutdown_background();
    served
}

fn engine() -> Result<Runtime, String> {
    Builder::new_multi_thread()
        .worker_threads(SPEAKING)
        .thread_keep_alive(IDLE)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))
}

/// Turns Ctrl-C and SIGTERM into the wish to stop.
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    }))
}
