//! Warm runs, within a process: the guest's own, as a process for guests has it and confined as that is, and one with its
//! receipt, from the name to the answer. Criterion measures. The first takes turns with the engine's bare loop, and the second
//! comes after both.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use ops_policy::digest::Digest;
use ops_policy::message::{Call, Effect, Input, Invoked, NetError, Outcome, Report, Request, Response};
use ops_sandbox::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use ops_sandbox::confine::confine;
use ops_sandbox::engine::{Guests, Sandbox};
use ops_sandbox::job::{End, Job, Limits, Mount};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, watch};

use crate::amount::Amount;
use crate::bare::Bare;
use crate::figure::{Budget, Figure};
use crate::site::{self, Site};
use crate::within::{self, Host};

/// The hidden word that makes this program measure a guest's own runs, confined as a process for guests is.
pub(crate) const CONFINED: &str = "warm-confined";
/// The hidden word that makes it measure runs with their receipts, whose guests are in such processes.
pub(crate) const WORD: &str = "warm-here";

/// How often they take turns, and what criterion does in each.
const ROUNDS: usize = 25;
const SAMPLES: usize = 10;
const WARM_UP: Duration = Duration::from_millis(50);
const MEASURED: Duration = Duration::from_millis(200);

const BARE: &str = "bare wasmtime loop";
const TEXT: &str = r#"{"text":"a"}"#;

/// The figures, of a workspace of their own.
pub(crate) fn figures() -> Vec<Figure> {
    let site = Site::new(&[site::ECHO]);
    // One after the other: what a host still writes after its runs would slow down whoever comes next.
    let mut figures = within::figures(&site, &[CONFINED]);
    let bare = figures[0].baseline.as_ref().unwrap().amount;
    let receipts = within::figures(&site, &[WORD]);
    figures.extend(receipts.into_iter().map(|figure| figure.beside(BARE, bare)));
    figures
}

/// Measures a guest's own runs, in this process, beside the bare loop.
pub(crate) fn confined() -> Vec<Figure> {
    // In the site's own folder, which goes with it: nothing can be removed from in here.
    let results = std::env::current_dir().unwrap().join("results");
    fs::create_dir(&results).unwrap();
    pure(&mut criterion(&results), &results);
    let [bare, guest] = ["bare", "guest"].map(|way| Amount::median(&samples(&results, way)));
    let what = "warm run, new store to dropped store, confined";
    vec![Figure::new("warm-guest", what, "us", guest).beside(BARE, bare).budget(Budget::TimesAtMost(1.3))]
}

/// Measures runs with their receipts, by a host in this process.
pub(crate) fn here() -> Vec<Figure> {
    let results = tempfile::tempdir().unwrap();
    with_receipts(&mut criterion(results.path()));
    let receipt = Amount::median(&samples(results.path(), "receipt"));
    let what = "warm run with its receipt, another process";
    vec![Figure::new("warm-receipt", what, "us", receipt).budget(Budget::TimesAtMost(4.0))]
}

fn criterion(results: &Path) -> Criterion {
    Criterion::default().output_directory(results).without_plots()
}

/// The guest's own run and the bare loop, each first in every other round, both confined. What criterion writes is all that this
/// process may write.
fn pure(criterion: &mut Criterion, results: &Path) {
    let component = Path::new("ops/components/guest_echo.wasm");
    let (bare, input, guests, job) =
        (Bare::new(component), Bare::input(TEXT), guests(component, results), job());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The engine makes the image of the memory at the first of all, which a process for guests does before it is confined, too.
    runtime.block_on(bare.call(&input));
    confine(&[Mount { guest: "/results".to_owned(), host: results.to_owned(), writable: true }], false)
        .unwrap();
    for round in 0..ROUNDS {
        let turns = if round % 2 == 0 { ["bare", "guest"] } else { ["guest", "bare"] };
        for way in turns {
            measure(criterion, way, round, &mut || match way {
                "bare" => drop(runtime.block_on(bare.call(&input))),
                _ => {
                    let ran = runtime.block_on(guests.run(job.clone(), Arc::new(Mutex::new(Nobody))));
                    assert!(matches!(ran.end, End::Output(_)), "{:?}", ran.end);
                }
            });
        }
    }
}

/// Runs from the name to the receipt.
fn with_receipts(criterion: &mut Criterion) {
    let (host, arguments) = (Host::here(), json!({"text": "a"}));
    for round in 0..ROUNDS {
        measure(criterion, "receipt", round, &mut || {
            let answer = host.call(site::ECHO.0, &arguments);
            assert_eq!(answer.status, "done", "{}", answer.message);
        });
    }
}

fn measure(criterion: &mut Criterion, way: &str, round: usize, work: &mut dyn FnMut()) {
    let mut group = criterion.benchmark_group("warm");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASURED)
        .bench_function(format!("{way}-{round}"), |bench| bench.iter(&mut *work));
    group.finish();
}

/// A sample as criterion writes it down: nanoseconds of several iterations each.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// All samples of one way, in microseconds.
fn samples(results: &Path, way: &str) -> Vec<f64> {
    let of = |round: usize| {
        let file = results.join(format!("warm/{way}-{round}/new/sample.json"));
        let Sample { iters, times } = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        times.into_iter().zip(iters).map(|(time, iterations)| time / iterations / 1e3).collect::<Vec<_>>()
    };
    (0..ROUNDS).flat_map(of).collect()
}

/// What runs guests, as a process for guests has it.
fn guests(component: &Path, cache: &Path) -> Guests {
    let sandbox = Sandbox::new(&cache.join("cache")).unwrap();
    Guests::new(&sandbox.load(&fs::read(component).unwrap()).unwrap()).unwrap()
}

fn job() -> Job {
    Job {
        input: Input { arguments: TEXT.to_owned(), config: "{}".to_owned(), services: vec![] },
        links: Default::default(),
        clock_seconds: 1_790_000_000,
        clock_nanoseconds: 0,
        seed: [7; 32],
        mounts: vec![],
        limits: Limits { memory: 64 << 20, time: Duration::from_secs(20), output: 256 << 10 },
        binding: Digest::of(b"bench"),
        needs_landlock: false,
        cancel: watch::channel(false).1,
    }
}

/// The broker of a guest that asks for nothing.
struct Nobody;

impl Broker for Nobody {
    fn fetch(&mut self, _: Request) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn fetch_url(&mut self, _: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn refused(&mut self, _: &str, _: &str) -> Result<(), Stop> {
        Err(Stop)
    }

    fn perform(&mut self, _: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn invoke(&mut self, _: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(async { Err(Stop) })
    }

    fn report(&mut self, _: Report) -> Answer<'_, ()> {
        Box::pin(async { Err(Stop) })
    }

    fn now(&mut self) -> Moment {
        Moment { clock: 0, replaying: false }
    }
}
