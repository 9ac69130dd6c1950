//! What agents wait for: tools called over pipes, each call with its signed receipt, beside a server that answers a constant.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::amount::{Amount, millisecond};
use crate::client::{Client, ECHO, Protocol, SPINS, Tool};
use crate::constant;
use crate::figure::{Budget, Figure};
use crate::site::{self, Site};
use crate::system::{has_running_child, taken, ticks};

const IN_FLIGHT: usize = 8;
/// The measured calls come in rounds, in turns with the baseline's.
const ROUNDS: usize = 10;
const STARTS: usize = 40;
const CANCELS: usize = 20;
const SPINNING: usize = 40;
const MEANWHILE: usize = 200;
/// How long anything that ends may take to do so.
const PATIENCE: Duration = Duration::from_secs(20);
/// A server that uses no tick of a processor for so long is at rest.
const QUIET: Duration = Duration::from_millis(200);
/// Between two looks at the system.
const LOOK: Duration = Duration::from_millis(1);

/// How many calls there are of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// One after the other.
    pub(crate) one_by_one: usize,
    /// With some in flight all the time.
    pub(crate) in_flight: usize,
    /// After which memory is looked at once more.
    pub(crate) more: usize,
}

/// This program as the constant server.
fn baseline() -> Client {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(constant::WORD).env_clear();
    Client::start(command, Protocol::V2025)
}

fn ours(site: &Site, protocol: Protocol) -> Client {
    Client::start(site.ops(&["mcp", "serve"]), protocol)
}

/// All of it.
pub(crate) fn figures(calls: Calls) -> Vec<Figure> {
    let site = Site::new(&[site::ECHO, site::SPINS]);
    let mut figures = vec![starts(&site)];
    let (mut ops, mut constant) = (ours(&site, Protocol::V2025), baseline());
    for client in [&mut ops, &mut constant] {
        client.ask("tools/list", &json!({}));
    }
    figures.push(idle(&ops, &constant));
    figures.extend(one_by_one(&mut ops, &mut constant, calls.one_by_one));
    figures.extend(in_flight(&mut ops, &mut constant, calls.in_flight));
    figures.push(newer(&site, calls.one_by_one / 2));
    figures.push(memory(&mut ops, calls.more));
    figures.push(cancels(&mut ops));
    figures.extend(while_spinning(&mut ops));
    figures
}

/// From the start of the process to the list of tools.
fn starts(site: &Site) -> Figure {
    let timed = |make: &dyn Fn() -> Client| {
        let began = Instant::now();
        let mut client = make();
        client.ask("tools/list", &json!({}));
        let took = millisecond(began.elapsed());
        client.finish();
        took
    };
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        own.push(timed(&|| ours(site, Protocol::V2025)));
        theirs.push(timed(&baseline));
    }
    Figure::new("mcp-start", "ops mcp serve, start to tools/list", "ms", Amount::median(&own))
        .beside("constant server", Amount::median(&theirs))
        .budget(Budget::AtMost(10.0))
}

/// Resident memory before the first call, of the server and of the processes that it keeps for guests.
fn idle(ops: &Client, constant: &Client) -> Figure {
    let of = |client: &Client| Amount::once(taken(client.pid()).memory);
    Figure::new("mcp-idle", "ops mcp serve, resident idle", "MiB", of(ops))
        .beside("constant server", of(constant))
        .budget(Budget::AtMost(20.0))
}

/// Median and 99th percentile of all calls, each with its range over the rounds.
fn one_by_one(ops: &mut Client, constant: &mut Client, calls: usize) -> [Figure; 2] {
    let mut rounds = [const { Vec::new() }; 2];
    for (client, tool, _) in turns(ops, constant) {
        client.one_by_one(tool, calls / ROUNDS / 4);
        settle(client);
    }
    for _ in 0..ROUNDS {
        for (client, tool, who) in turns(ops, constant) {
            rounds[who].push(
                client.one_by_one(tool, calls / ROUNDS).into_iter().map(millisecond).collect::<Vec<_>>(),
            );
            settle(client);
        }
    }
    [(50.0, 0.2), (99.0, 0.5)].map(|(part, budget)| {
        Figure::new(
            &format!("mcp-p{part}"),
            &format!("MCP tools/call, one by one, p{part}"),
            "ms",
            Amount::share(&rounds[0], part),
        )
        .beside("constant server", Amount::share(&rounds[1], part))
        .budget(Budget::AtMost(budget))
    })
}

/// The rate until the last answer; and the rate when what the server does after it counts, too.
fn in_flight(ops: &mut Client, constant: &mut Client, calls: usize) -> [Figure; 2] {
    let (mut answered, mut done) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    let each = calls / ROUNDS;
    for (client, tool, _) in turns(ops, constant) {
        client.in_flight(tool, each, IN_FLIGHT);
        settle(client);
    }
    for _ in 0..ROUNDS {
        for (client, tool, who) in turns(ops, constant) {
            let took = client.in_flight(tool, each, IN_FLIGHT);
            answered[who].push(each as f64 / took.as_secs_f64());
            done[who].push(each as f64 / (took + settle(client)).as_secs_f64());
        }
    }
    let figure = |id: &str, what: &str, rates: &[Vec<f64>; 2]| {
        Figure::new(id, what, "calls/s", Amount::median(&rates[0]))
            .beside("constant server", Amount::median(&rates[1]))
    };
    [
        figure("mcp-rate", "MCP tools/call, 8 in flight", &answered).budget(Budget::AtLeast(8000.0)),
        figure("mcp-rate-done", "the same, with what is written after the answer", &done),
    ]
}

/// Who is measured in which order, and whose the samples are.
fn turns<'a>(ops: &'a mut Client, constant: &'a mut Client) -> [(&'a mut Client, Tool, usize); 2] {
    [(ops, ECHO, 0), (constant, constant::TOOL, 1)]
}

/// The same in the protocol's newer version, whose requests say more.
fn newer(site: &Site, calls: usize) -> Figure {
    let mut client = ours(site, Protocol::V2026);
    client.one_by_one(ECHO, calls / 10);
    let times: Vec<_> = client.one_by_one(ECHO, calls).into_iter().map(millisecond).collect();
    Figure::new("mcp-newer-p50", "the same, p50, protocol 2026-07-28", "ms", Amount::median(&times))
}

fn memory(ops: &mut Client, calls: usize) -> Figure {
    ops.in_flight(ECHO, calls, IN_FLIGHT);
    Figure::new(
        "mcp-after",
        &format!("ops mcp serve, resident after {calls} calls more"),
        "MiB",
        Amount::once(taken(ops.pid()).memory),
    )
}

/// From the message that cancels a guest that spins to the moment when its process does so no more.
fn cancels(ops: &mut Client) -> Figure {
    let mut times = Vec::new();
    for _ in 0..CANCELS {
        let spinning = ops.begin(SPINS);
        // It spins once its process was seen running this often; a process that starts runs for a moment, too.
        let mut seen = 0;
        wait(|| {
            seen = if has_running_child(ops.pid()) { seen + 1 } else { 0 };
            seen == 20
        });
        let began = Instant::now();
        ops.tell("notifications/cancelled", json!({"requestId": spinning}));
        wait(|| !has_running_child(ops.pid()));
        times.push(millisecond(began.elapsed()));
    }
    Figure::new("mcp-cancel", "MCP, cancel to the guest's end", "ms", Amount::median(&times))
        .budget(Budget::AtMost(100.0))
}

/// Waits until a server does nothing any more: what it still writes after it has answered would slow down the baseline, and
/// make us look better than we are. Returns how long it went on.
fn settle(client: &Client) -> Duration {
    let began = Instant::now();
    let end = began + PATIENCE;
    let mut before = ticks(client.pid());
    loop {
        std::thread::sleep(QUIET);
        let now = ticks(client.pid());
        if now == before {
            return began.elapsed().saturating_sub(QUIET);
        }
        assert!(Instant::now() < end, "the server is busy {PATIENCE:?} after its last call");
        before = now;
    }
}

fn wait(mut until: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < end, "what was waited for did not come in {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

/// Samples of something that is timed, in rounds.
fn in_rounds(timed: &mut dyn FnMut() -> f64) -> Vec<Vec<f64>> {
    (0..ROUNDS).map(|_| (0..MEANWHILE / ROUNDS).map(|_| timed()).collect()).collect()
}

/// How long a ping and another binding's read take while many guests spin.
fn while_spinning(ops: &mut Client) -> [Figure; 2] {
    for _ in 0..SPINNING {
        ops.begin(SPINS);
    }
    let mut ping = || {
        let began = Instant::now();
        ops.ask("ping", &json!({}));
        millisecond(began.elapsed())
    };
    let pings = in_rounds(&mut ping);
    let mut read = || {
        let began = Instant::now();
        ops.ask("tools/call", &json!({"name": ECHO.name, "arguments": {"text": "a"}}));
        millisecond(began.elapsed())
    };
    let reads = in_rounds(&mut read);
    let figure = |id: &str, what: &str, rounds: &[Vec<f64>], budget| {
        Figure::new(
            id,
            &format!("MCP, {what} while {SPINNING} guests spin, p99"),
            "ms",
            Amount::share(rounds, 99.0),
        )
        .budget(Budget::AtMost(budget))
    };
    [
        figure("mcp-ping-spinning", "ping", &pings, 20.0),
        figure("mcp-read-spinning", "another's read", &reads, 50.0),
    ]
}
