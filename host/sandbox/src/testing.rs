//! Tiny guests for tests, from text, and a broker that does as it is told.
//!
//! A guest is a core module in text form. The contract's types and the component around it come from `wit/` and from
//! the few interfaces of WASI that tests call, cut down to what is called.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ops_policy::digest::Digest;
use ops_policy::message::{Call, Effect, Input, Invoked, NetError, Outcome, Report, Request, Response};
use tokio::sync::{Mutex, watch};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use crate::engine::{Guests, Sandbox};
use crate::job::{Job, Limits, Links, Ran};

/// What the guests of the tests may import.
const WASI: &str = include_str!("testing/wasi.wit");

/// A guest as the parts of its core module.
///
/// Its `run` has the arguments in `$arguments` and `$length`. `$ok` and `$failed` make its result of a text,
/// `$append` appends text to a buffer, `$spell` a number in sixteen letters, and `$spelled` makes a result of it.
pub(crate) struct Guest<'a> {
    pub(crate) imports: &'a str,
    pub(crate) pages: u32,
    pub(crate) name: String,
    pub(crate) input: String,
    pub(crate) describe: &'a str,
    pub(crate) run: &'a str,
    pub(crate) start: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            imports: "",
            pages: 16,
            name: "tests.guest.run".to_owned(),
            input: r#"{"type":"object"}"#.to_owned(),
            describe: "i32.const 512",
            run: "(call $ok (local.get $arguments) (local.get $length))",
            start: "",
        }
    }
}

/// Where the texts of the manifest begin in memory.
const TEXTS: usize = 128 << 10;

impl Guest<'_> {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        let package = resolve.push_str("wasi.wit", WASI).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        let mut module = wat::parse_str(self.module()).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }

    fn module(&self) -> String {
        let Self { imports, pages, describe, run, start, .. } = self;
        let (record, texts) = self.manifest();
        format!(
            r#"(module
              {imports}
              (memory (export "memory") {pages})
              (data (i32.const 512) "{record}")
              (data (i32.const {TEXTS}) "{texts}")
              (global $next (mut i32) (i32.const {}))
              (global $end (mut i32) (i32.const 4096))
              (func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
                (global.get $next)
                (global.set $next (i32.add (global.get $next) (local.get 3))))
              (func $result (param $kind i32) (param $at i32) (param $length i32) (result i32)
                (i32.store8 (i32.const 16) (local.get $kind))
                (if (local.get $kind) (then
                  (i32.store8 (i32.const 24) (i32.const 6))
                  (i32.store (i32.const 32) (local.get $at))
                  (i32.store (i32.const 36) (local.get $length)))
                (else
                  (i32.store (i32.const 24) (local.get $at))
                  (i32.store (i32.const 28) (local.get $length))))
                i32.const 16)
              (func $ok (param i32 i32) (result i32)
                (call $result (i32.const 0) (local.get 0) (local.get 1)))
              (func $failed (param i32 i32) (result i32)
                (call $result (i32.const 1) (local.get 0) (local.get 1)))
              (func $append (param $at i32) (param $length i32)
                (memory.copy (global.get $end) (local.get $at) (local.get $length))
                (global.set $end (i32.add (global.get $end) (local.get $length))))
              (func $spell (param $number i64) (local $left i32)
                (local.set $left (i32.const 16))
                (loop $next
                  (i32.store8 (global.get $end)
                    (i32.add (i32.const 97) (i32.and (i32.wrap_i64 (local.get $number)) (i32.const 15))))
                  (global.set $end (i32.add (global.get $end) (i32.const 1)))
                  (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
                  (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
              (func $spelled (result i32)
                (call $ok (i32.const 4096) (i32.sub (global.get $end) (i32.const 4096))))
              {start}
              (func (export "ops:capability/guest@0.1.0#describe") (result i32) {describe})
              (func (export "ops:capability/guest@0.1.0#run")
                (param $arguments i32) (param $length i32) (param i32 i32 i32 i32) (result i32)
                (local $i i32) (local $handle i32)
                {run}))"#,
            TEXTS + self.texts().concat().len(),
        )
    }

    fn texts(&self) -> [&str; 5] {
        [&self.name, "A guest of the tests.", "0.1.0", &self.input, "{}"]
    }

    /// The manifest's record and its texts, as they lie in memory.
    fn manifest(&self) -> (String, String) {
        let mut at = TEXTS as u32;
        let mut pairs = Vec::new();
        for text in self.texts() {
            pairs.push([at.to_le_bytes(), (text.len() as u32).to_le_bytes()].concat());
            at += text.len() as u32;
        }
        let safety_and_padding = vec![0; 4];
        let no_needs = vec![0; 8];
        let record = [pairs[..3].concat(), safety_and_padding, pairs[3..].concat(), no_needs].concat();
        let escape = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
        (escape(&record), escape(self.texts().concat().as_bytes()))
    }
}

/// A sandbox with a cache of its own, which lives as long as the folder.
pub(crate) fn sandbox() -> (Sandbox, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Sandbox::new(&folder.path().join("cache")).unwrap(), folder)
}

/// A job with everything linked, and what cancels it.
pub(crate) fn job() -> (Job, watch::Sender<bool>) {
    let (sender, cancel) = watch::channel(false);
    let job = Job {
        input: Input { arguments: r#"{"a":1}"#.to_owned(), config: "{}".to_owned(), services: Vec::new() },
        links: Links { fetch: true, effects: true, http: true, invoke: true },
        clock_seconds: 1_000,
        clock_nanoseconds: 7,
        seed: [1; 32],
        mounts: Vec::new(),
        limits: Limits { memory: 4 << 20, time: Duration::from_secs(60), output: 1 << 20 },
        binding: Digest::of(b"the binding of the tests"),
        needs_landlock: false,
        cancel,
    };
    (job, sender)
}

/// Builds, loads and runs a guest.
pub(crate) async fn run(guest: Guest<'_>, job: Job, broker: Script) -> Ran {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&guest.build()).unwrap();
    Guests::new(&component).unwrap().run(job, Arc::new(Mutex::new(broker))).await
}

/// A broker that does as it is told, and counts.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// How long each answer takes.
    pub(crate) delay: Duration,
    /// Whether each answer ends the run.
    pub(crate) stop: bool,
    /// Whether each answer is a panic.
    pub(crate) panic: bool,
    /// What the clock shows after an answer, where no more `moments` are left and it does not run.
    pub(crate) now: u64,
    /// Since when the clock runs, where it does.
    pub(crate) began: Option<Instant>,
    /// What is said of the clock first, in turn.
    pub(crate) moments: VecDeque<Moment>,
    /// What was said of the clock.
    pub(crate) told: Arc<std::sync::Mutex<Vec<Moment>>>,
    /// How many reads and effects were begun.
    pub(crate) begun: Arc<AtomicU64>,
    /// How many effects were performed to their end.
    pub(crate) performed: Arc<AtomicU64>,
    /// How many reads were answered.
    pub(crate) fetched: Arc<AtomicU64>,
    /// What an answer to a request by address is instead.
    pub(crate) error: Option<NetError>,
    /// What was asked for by address.
    pub(crate) asked: Arc<std::sync::Mutex<Vec<HttpRequest>>>,
    /// What was refused before it was asked: the method and why.
    pub(crate) refused: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Script {
    async fn answer(&self, counter: &AtomicU64) -> Result<Response, Stop> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.delay).await;
        if self.panic {
            // Without the hook, which would write a trace among the results of the tests.
            std::panic::resume_unwind(Box::new("the broker panicked\nwith two lines"));
        }
        counter.fetch_add(1, Ordering::Relaxed);
        if self.stop {
            Err(Stop)
        } else {
            Ok(Response { status: 204, headers: Vec::new(), body: Vec::new() })
        }
    }
}

impl Broker for Script {
    fn fetch(&mut self, _: Request) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Ok(Ok(self.answer(&self.fetched).await?)) })
    }

    fn fetch_url(&mut self, request: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        Box::pin(async {
            let answer = self.answer(&self.fetched).await?;
            Ok(self.error.clone().map_or(Ok(answer), Err))
        })
    }

    fn refused(&mut self, method: &str, why: &str) -> Result<(), Stop> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method}: {why}"));
        if self.stop { Err(Stop) } else { Ok(()) }
    }

    fn perform(&mut self, _: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async { Ok(Ok(Outcome::Performed(self.answer(&self.performed).await?))) })
    }

    fn invoke(&mut self, calls: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(async move {
            self.answer(&self.fetched).await?;
            let answer = |call: Call| Invoked {
                run: Some(call.capability),
                milliseconds: 7,
                outcome: Ok(call.arguments),
            };
            Ok(calls.into_iter().map(answer).collect())
        })
    }

    fn report(&mut self, _: Report) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn now(&mut self) -> Moment {
        let clock = self.began.map_or(self.now, |began| began.elapsed().as_nanos() as u64);
        let moment = self.moments.pop_front().unwrap_or(Moment { clock, replaying: false });
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
        moment
    }
}
