//! What a unit costs when there are ten and a hundred times as many: receipts in the ledger, capabilities, clients, calls
//! in flight. A line that stays flat is what is wanted; there is no budget here.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use ops_tests::agent::{Agent, Served};
use ops_tests::scratch::{guest, ops, ran};
use serde::Serialize;
use serde_json::json;

use crate::amount::{millisecond, percentile, short};
use crate::client::{Client, ECHO, Protocol};
use crate::machine::Machine;
use crate::plot;
use crate::process::in_turns;
use crate::site::{self, Site};
use crate::system::taken;

/// One unit, ten, a hundred.
const STEPS: [usize; 3] = [1, 10, 100];
/// Receipts of one unit.
const RECEIPTS: usize = 1000;
/// Capabilities of one unit.
const CAPABILITIES: usize = 10;
/// Calls that one measurement of many consists of.
const CALLS: usize = 2000;
/// Runs that one measurement of a process consists of.
const RUNS: usize = 20;

/// Lines over the same numbers of something.
#[derive(Debug, Serialize)]
pub(crate) struct Chart {
    /// Its file's name, without the ending.
    pub(crate) id: &'static str,
    /// What there is more and more of.
    pub(crate) of: &'static str,
    /// How much there is of it.
    pub(crate) numbers: Vec<usize>,
    /// What is measured at each number.
    pub(crate) lines: Vec<Line>,
}

/// One cost at each number.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// What costs.
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) costs: Vec<f64>,
}

impl Chart {
    /// A chart of what was measured at each number: rows of the same costs.
    fn new(id: &'static str, of: &'static str, rows: Vec<(usize, Vec<Cost>)>) -> Self {
        let numbers = rows.iter().map(|(number, _)| *number).collect();
        let first = &rows[0].1;
        let line = |at: usize| Line {
            what: first[at].0,
            unit: first[at].1,
            costs: rows.iter().map(|(_, costs)| costs[at].2).collect(),
        };
        Self { id, of, numbers, lines: (0..first.len()).map(line).collect() }
    }

    /// A table in Markdown.
    fn table(&self) -> String {
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let head = std::iter::once(self.of.to_owned()).chain(self.numbers.iter().map(ToString::to_string));
        let rule = vec!["---".to_owned(); self.numbers.len() + 1];
        let lines = self.lines.iter().map(|line| {
            let name = format!("{}, {}", line.what, line.unit);
            row(std::iter::once(name).chain(line.costs.iter().map(|cost| short(*cost))).collect())
        });
        row(head.collect()) + &row(rule) + &lines.collect::<String>()
    }
}

/// What costs, in which unit, how much.
type Cost = (&'static str, &'static str, f64);

/// Measures all of it, and writes charts and figures into a folder.
pub(crate) fn measure(folder: &Path) {
    let machine = Machine::this(site::file_system());
    fs::create_dir_all(folder).unwrap();
    let mut charts = Vec::new();
    for part in [in_flight, clients, receipts, capabilities] {
        let chart = part();
        plot::draw(&chart, &folder.join(format!("{}.svg", chart.id)));
        println!("{}", chart.table());
        charts.push(chart);
    }
    let report = json!({"schema": "ops-bench-growth/1", "machine": machine, "charts": charts});
    fs::write(folder.join("growth.json"), serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
    println!("{}", machine.line());
}

/// A server on pipes.
fn serve(site: &Site) -> Client {
    Client::start(site.ops(&["mcp", "serve"]), Protocol::V2025)
}

/// The median of calls one after the other, in milliseconds.
fn call(client: &mut Client) -> f64 {
    client.one_by_one(ECHO, CALLS / 10);
    let times: Vec<_> = client.one_by_one(ECHO, CALLS).into_iter().map(millisecond).collect();
    percentile(&times, 50.0)
}

/// The median of processes, in milliseconds.
fn process(site: &Site, words: &[&str]) -> f64 {
    in_turns(&mut [site.ops(words)], RUNS)[0].elapsed.value
}

/// One server goes on serving, and the ledger goes on growing.
fn receipts() -> Chart {
    let site = Site::new(&[site::ECHO]);
    let mut client = serve(&site);
    let mut there = 0;
    let rows = STEPS.map(|step| {
        let wanted = RECEIPTS * step;
        client.in_flight(ECHO, wanted - there, 8);
        let took = client.in_flight(ECHO, CALLS, 8);
        let mut costs = vec![
            ("MCP call", "ms", call(&mut client)),
            ("MCP call, 8 in flight", "ms", millisecond(took) / CALLS as f64),
            ("memory of the server", "MiB", taken(client.pid()).memory),
            ("ops cap run", "ms", process(&site, &["cap", "run", site::ECHO.0, "--text", "a"])),
            ("ops runs list", "ms", process(&site, &["runs", "list"])),
        ];
        there = wanted + CALLS + CALLS / 10 + CALLS + RUNS + 1;
        let began = Instant::now();
        site.run(&["ledger", "verify"]);
        costs.push((
            "ops ledger verify, per receipt",
            "us",
            millisecond(began.elapsed()) * 1e3 / there as f64,
        ));
        (wanted, costs)
    });
    client.finish();
    Chart::new("receipts", "receipts in the ledger", rows.to_vec())
}

/// Workspaces with more and more capabilities, of which one is called.
fn capabilities() -> Chart {
    let rows = STEPS.map(|step| {
        let number = CAPABILITIES * step;
        let site = Site::new(&[site::ECHO]);
        let model = fs::read(guest(MODEL)).unwrap();
        for at in 1..number {
            bind_as(&site, &model, MODEL_NAME, &format!("infra.many.n{at:04}-pad"));
        }
        site.pin();
        // The first list reads every component, and keeps what it read.
        site.run(&["cap", "list"]);
        let list = process(&site, &["cap", "list"]);
        let began = Instant::now();
        let mut client = serve(&site);
        let listed = client.ask("tools/list", &json!({}))["tools"].as_array().unwrap().len();
        let start = millisecond(began.elapsed());
        assert!(listed >= number, "{listed} tools are listed of {number}");
        let costs = vec![
            ("ops cap run", "ms", process(&site, &["cap", "run", site::ECHO.0, "--text", "a"])),
            ("MCP call", "ms", call(&mut client)),
            ("ops cap list, per capability", "ms", list / number as f64),
            ("ops mcp serve, start to tools/list, per capability", "ms", start / number as f64),
        ];
        (number, costs)
    });
    Chart::new("capabilities", "capabilities", rows.to_vec())
}

/// A small component, which gets another name for each capability.
const MODEL: &str = "guest-deep-json";
const MODEL_NAME: &str = "test.guest.deep-json";

/// Binds a component under another name, which is as long as its own.
fn bind_as(site: &Site, model: &[u8], own: &str, name: &str) {
    assert_eq!(own.len(), name.len());
    let mut component = model.to_vec();
    let is_name = |at: &usize| component[*at..].starts_with(own.as_bytes());
    let places: Vec<_> = (0..component.len()).filter(is_name).collect();
    for at in places {
        component[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    fs::write(site.path(&format!("ops/components/{name}.wasm")), component).unwrap();
    let binding = format!("capability: {name}\ncomponent: components/{name}.wasm\nsafety: read-only\n");
    site.write(&format!("ops/bindings/{name}.yaml"), &binding);
}

/// The same as the capability that is measured, under another name: a host takes so many calls of one at a time.
const TWIN: &str = "test.guest.ech2";

/// More and more clients of one server over HTTP, each with one call after the other, on a connection each.
fn clients() -> Chart {
    let site = Site::new(&[site::ECHO]);
    let settings = site.path("ops/ops.yaml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + "agents: {proposer: [bench]}\n").unwrap();
    bind_as(&site, &fs::read(guest("guest-echo")).unwrap(), site::ECHO.0, TWIN);
    site.pin();
    let token = ran(&mut site.ops(&["mcp", "token", "bench", "--tokens", "tokens"])).exits(0).stdout;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut served = Served::start(site.command(ops()), port);
    let agent = served.agent(token.trim());
    let tools = [ECHO.name.to_owned(), TWIN.replace('.', "_")];
    let many = |clients: usize, calls: usize| {
        std::thread::scope(|scope| {
            for tool in tools.iter().cycle().take(clients) {
                scope.spawn(|| one_client(&agent, tool, calls / clients));
            }
        });
    };
    many(tools.len(), CALLS / 10);
    let rows = STEPS.map(|clients| {
        let began = Instant::now();
        many(clients, CALLS);
        let took = millisecond(began.elapsed()) / CALLS as f64;
        (
            clients,
            vec![
                ("call over HTTP", "ms", took),
                ("memory of the server", "MiB", taken(served.child().id()).memory),
            ],
        )
    });
    Chart::new("clients", "clients at once", rows.to_vec())
}

fn one_client(agent: &Agent, tool: &str, calls: usize) {
    for _ in 0..calls {
        agent.call(tool, &json!({"text": "a"})).is("done");
    }
}

/// One client with more and more calls of one capability in flight, as many as a host takes.
fn in_flight() -> Chart {
    let site = Site::new(&[site::ECHO]);
    let mut client = serve(&site);
    client.in_flight(ECHO, CALLS, 8);
    let rows = [1, 8, 64].map(|at_once| {
        let took = client.in_flight(ECHO, 2 * CALLS, at_once);
        let cost = ("MCP call", "ms", millisecond(took) / (2 * CALLS) as f64);
        (at_once, vec![cost, ("memory of the server", "MiB", taken(client.pid()).memory)])
    });
    client.finish();
    Chart::new("in-flight", "calls in flight", rows.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_for_each_cost() {
        let rows = vec![
            (1, vec![("a", "ms", 1.0), ("b", "MiB", 10.0)]),
            (10, vec![("a", "ms", 1.5), ("b", "MiB", 8.0)]),
        ];
        let chart = Chart::new("id", "things", rows);
        assert_eq!(
            chart.table(),
            "| things | 1 | 10 |\n| --- | --- | --- |\n| a, ms | 1.00 | 1.50 |\n| b, MiB | 10.0 | 8.00 |\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chart.svg");
        plot::draw(&chart, &file);
        let text = fs::read_to_string(file).unwrap();
        for word in ["<svg", "things", "a, 1.00 ms", "b, 10.0 MiB"] {
            assert!(text.contains(word), "no `{word}` in {text}");
        }
    }
}
