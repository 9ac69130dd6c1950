//! Serving: over standard input and output for one client of this user's, or over HTTP for whoever has a token.
//!
//! Both end the same way, when the client goes or on Ctrl-C or SIGTERM: nothing new is taken, runs that have changed
//! nothing yet are stopped and leave their receipts, and those that have are waited for.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ops_policy::settings::Role;
use ops_runner::run::Standing;
use ops_runner::runner::Runner;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::front::{Front, Tell};
use crate::http::{self, Guard};
use crate::only::Only;
use crate::server::Server;
use crate::stdio::{self, Streams};
use crate::tokens::Tokens;

/// Threads that speak with clients. Runs have their own, so two are enough for one of them to be free.
const SPEAKING: usize = 2;
/// How often the tools are looked at while nobody asks.
const LOOK: Duration = Duration::from_secs(20);
/// How long nothing is said of refused requests after something was.
const QUIET: Duration = Duration::from_secs(60);
/// The codes of a host that is not what `ops.yaml` requires.
const UNFIT: [&str; 2] = ["deployment", "landlock"];
/// How long what `/readyz` was answered holds.
const READY_TIME: Duration = Duration::from_secs(1);
/// How long a thread of a run waits for the next one.
const IDLE: Duration = Duration::from_secs(60);

/// Serves one client over the process's own streams, until it goes. `name` is who it is, with a role in `ops.yaml`;
/// without one it is this user, as a proposer. `tell` hears, for people, what is not served and why.
///
/// # Errors
///
/// For people: the name has no role, this host is not what `ops.yaml` requires, or the streams cannot be used.
pub fn over_stdio(
    streams: Streams,
    runner: Runner,
    name: Option<String>,
    only: Only,
    tell: Tell,
) -> Result<(), String> {
    let caller = match name {
        None => Caller { name: ops_runner::user_name(), standing: Standing::Local(Role::Proposer), only },
        Some(name) => Caller { name, standing: Standing::Named, only },
    };
    run(runner, true, tell, async move |front: Arc<Front>| {
        front.role(&caller).map_err(|refusal| refusal.message)?;
        // A lock that does not hold may do so later; the look says so.
        let first = front.clone();
        tokio::task::spawn_blocking(move || first.look().map(drop));
        let server = Server::new(front.clone(), Some(caller));
        stdio::serve(streams, server, &front).await.map_err(|error| error.to_string())
    })
}

/// Serves whoever has one of the tokens, until the process is told to stop. `tell` hears, for people, where, and what
/// is not served and why.
///
/// # Errors
///
/// For people: the lock does not hold or was signed for development, this host is not what `ops.yaml` requires, or the
/// listener cannot be used.
pub fn over_http(
    listener: std::net::TcpListener,
    runner: Runner,
    tokens: Tokens,
    tell: Tell,
) -> Result<(), String> {
    let fail = |error: std::io::Error| error.to_string();
    let at = listener.local_addr().map_err(fail)?;
    http::check_address(at).map_err(fail)?;
    let door = tell.clone();
    run(runner, false, tell, async move |front: Arc<Front>| {
        front.look().map_err(|refusal| refusal.message)?;
        front.tell(&format!("serving MCP at http://{at}/mcp"));
        if !at.ip().is_loopback() {
            front.tell(&format!(
                "warning: {at} can be reached from other machines, and what goes over it is not encrypted, tokens \
                 included; let a proxy with TLS stand before it"
            ));
        }
        names_without_role(&front, &tokens);
        listener.set_nonblocking(true).map_err(fail)?;
        let listener = TcpListener::from_std(listener).map_err(fail)?;
        let (ready, door) = (front.clone(), Door::new(door));
        let guard = Guard {
            admit: Some(Arc::new(move |token| tokens.caller(token))),
            turned_away: Arc::new(move || door.turned_away(Instant::now())),
            is_ready: for_a_while(move || ready.is_ready()),
            sessions: false,
        };
        let server = Server::new(front.clone(), None);
        http::serve(listener, move || server.clone(), guard, front.stop.clone()).await.map_err(fail)
    })
}

/// Anybody may ask whether the server is ready, so it is not looked at more often than once in a while.
fn for_a_while(ask: impl Fn() -> bool + Send + Sync + 'static) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let last = Mutex::new(None);
    Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, ready)) if Instant::now().duration_since(at) < READY_TIME => ready,
            _ => {
                let ready = ask();
                *last = Some((Instant::now(), ready));
                ready
            }
        }
    })
}

/// Says which tokens are for nothing.
fn names_without_role(front: &Front, tokens: &Tokens) {
    let names = tokens.names();
    if names.is_empty() {
        front.tell("warning: there is no token in the file, so nobody can call; `ops mcp token` makes one");
    }
    for name in names {
        if let Ok(None) = front.runner.role_of(name) {
            front.tell(&format!(
                "warning: the token of {name} is refused: the name has no role; add it to `agents:` of ops.yaml and pin"
            ));
        }
    }
}

/// Tells of requests that were refused for their token, now and then and not of each.
struct Door {
    tell: Tell,
    /// When that was told last, and how many there were since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Door {
    fn new(tell: Tell) -> Self {
        Self { tell, told: Mutex::default() }
    }

    fn turned_away(&self, now: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.1 += 1;
        if told.0.is_some_and(|last| now.duration_since(last) < QUIET) {
            return;
        }
        let (_, many) = std::mem::replace(&mut *told, (Some(now), 0));
        (self.tell)(&format!("warning: requests without a token of this server's: {many}"));
    }
}

/// Serves, and ends in order.
fn run<F: Future<Output = Result<(), String>>>(
    runner: Runner,
    development: bool,
    tell: Tell,
    serve: impl FnOnce(Arc<Front>) -> F,
) -> Result<(), String> {
    runner.keep_workers();
    // Every call would be refused, and whoever starts the server is there to hear why.
    if let Some(refusal) = runner.fit().err().filter(|refusal| UNFIT.contains(&refusal.code)) {
        return Err(refusal.message);
    }
    let engine = engine()?;
    let disk = tell.clone();
    // Until the last run has its receipt.
    let syncing = runner
        .sync_soon(move |fault| disk(&format!("warning: {fault}")))
        .map_err(|error| format!("no thread: {error}"))?;
    let people = tell.clone();
    let writing = runner
        .write_out_soon(move |fault| people(&format!("warning: {fault}")))
        .map_err(|error| format!("no thread: {error}"))?;
    let stop = CancellationToken::new();
    let front = Arc::new(Front::new(runner, development, stop.clone(), tell));
    let served = engine.block_on(async {
        let asked =
            stop_on_signal(stop).map_err(|error| format!("signals cannot be listened to: {error}"))?;
        let watch = tokio::spawn(watch(front.clone()));
        let served = serve(front.clone()).await;
        front.finish().await;
        asked.abort();
        watch.abort();
        served
    });
    // What is still running then is found at the next start.
    engine.shutdown_background();
    drop(writing);
    drop(syncing);
    served
}

/// Looks at the tools now and then, so that whoever runs the server hears of one that is gone.
async fn watch(front: Arc<Front>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let front = front.clone();
        let _ = tokio::task::spawn_blocking(move || front.look().map(drop)).await;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refused_requests_is_told_now_and_then() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        let door = Door::new(Arc::new(move |line: &str| kept.lock().unwrap().push(line.to_owned())));
        let start = Instant::now();
        (0..1000).for_each(|_| door.turned_away(start));
        assert_eq!(told.lock().unwrap().len(), 1);
        door.turned_away(start + QUIET);
        let told = told.lock().unwrap();
        assert!(told.len() == 2 && told[1].ends_with(": 1000"), "{told:?}");
    }
}
