//! Tiny guests for tests, from text, and a broker that does as it is told.
//!
//! A guest is a core module in text form. The contract's types and the component around it come from `wit/` and from
//! the few interfaces of WASI that tests call, cut down to what is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ops_policy::message::{Effect, Input, NetError, Outcome, Report, Request, Response};
use tokio::sync::{Mutex, watch};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::broker::{Answer, Broker, Stop};
use crate::engine::Sandbox;
use crate::job::{Job, Limits, Links, Ran};

const WASI: &str = r#"
package tests:guests;

world guest {
  import ops:capability/fetch@0.1.0;
  import ops:capability/effects@0.1.0;
  import ops:capability/report@0.1.0;
  import wasi:clocks/monotonic-clock@0.2.6;
  import wasi:clocks/wall-clock@0.2.6;
  import wasi:cli/stdout@0.2.6;
  import wasi:cli/exit@0.2.6;
  import wasi:filesystem/preopens@0.2.6;
  import wasi:random/random@0.2.6;
  import wasi:random/insecure-seed@0.2.6;
  import wasi:sockets/instance-network@0.2.6;
  import wasi:sockets/tcp@0.2.6;
  export ops:capability/guest@0.1.0;
}

package wasi:io@0.2.6 {
  interface error { resource error; }
  interface poll { resource pollable { block: func(); } }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
  }
}

package wasi:clocks@0.2.6 {
  interface monotonic-clock {
    use wasi:io/poll@0.2.6.{pollable};
    now: func() -> u64;
    resolution: func() -> u64;
    subscribe-duration: func(when: u64) -> pollable;
  }
  interface wall-clock {
    record datetime { seconds: u64, nanoseconds: u32 }
    now: func() -> datetime;
  }
}

package wasi:cli@0.2.6 {
  interface stdout {
    use wasi:io/streams@0.2.6.{output-stream};
    get-stdout: func() -> output-stream;
  }
  interface exit { exit: func(status: result); }
}

package wasi:filesystem@0.2.6 {
  interface types {
    use wasi:clocks/wall-clock@0.2.6.{datetime};
    enum error-code {
      access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, file-too-large,
      illegal-byte-sequence, in-progress, interrupted, invalid, io, is-directory, loop, too-many-links,
      message-size, name-too-long, no-device, no-entry, no-lock, insufficient-memory, insufficient-space,
      not-directory, not-empty, not-recoverable, unsupported, no-tty, no-such-device, overflow,
      not-permitted, pipe, read-only, invalid-seek, text-file-busy, cross-device,
    }
    enum descriptor-type {
      unknown, block-device, character-device, directory, fifo, symbolic-link, regular-file, socket,
    }
    record directory-entry { %type: descriptor-type, name: string }
    record descriptor-stat {
      %type: descriptor-type, link-count: u64, size: u64, data-access-timestamp: option<datetime>,
      data-modification-timestamp: option<datetime>, status-change-timestamp: option<datetime>,
    }
    record metadata-hash-value { lower: u64, upper: u64 }
    flags path-flags { symlink-follow }
    resource directory-entry-stream {
      read-directory-entry: func() -> result<option<directory-entry>, error-code>;
    }
    resource descriptor {
      read-directory: func() -> result<directory-entry-stream, error-code>;
      stat-at: func(path-flags: path-flags, path: string) -> result<descriptor-stat, error-code>;
      metadata-hash-at: func(path-flags: path-flags, path: string) -> result<metadata-hash-value, error-code>;
    }
  }
  interface preopens {
    use types.{descriptor};
    get-directories: func() -> list<tuple<descriptor, string>>;
  }
}

package wasi:random@0.2.6 {
  interface random {
    get-random-bytes: func(len: u64) -> list<u8>;
    get-random-u64: func() -> u64;
  }
  interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }
}

package wasi:sockets@0.2.6 {
  interface network { resource network; }
  interface instance-network {
    use network.{network};
    instance-network: func() -> network;
  }
  interface tcp {
    use wasi:io/poll@0.2.6.{pollable};
    resource tcp-socket { subscribe: func() -> pollable; }
  }
}
"#;

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
        let package = resolve.push_str("tests.wit", WASI).unwrap();
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
        links: Links { fetch: true, effects: true },
        clock_seconds: 1_000,
        clock_nanoseconds: 7,
        seed: [1; 32],
        mounts: Vec::new(),
        limits: Limits { memory: 4 << 20, time: Duration::from_secs(60), output: 1 << 20 },
        cancel,
    };
    (job, sender)
}

/// Builds, loads and runs a guest.
pub(crate) async fn run(guest: Guest<'_>, job: Job, broker: Script) -> Ran {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&guest.build()).unwrap();
    sandbox.run(&component, job, Arc::new(Mutex::new(broker))).await
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
    /// What the clock shows after an answer.
    pub(crate) now: u64,
    /// How many effects were performed to their end.
    pub(crate) performed: Arc<AtomicU64>,
    /// How many reads were answered.
    pub(crate) fetched: Arc<AtomicU64>,
}

impl Script {
    async fn answer(&self, counter: &AtomicU64) -> Result<Response, Stop> {
        tokio::time::sleep(self.delay).await;
        assert!(!self.panic, "the broker panicked\nwith two lines");
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

    fn perform(&mut self, _: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async { Ok(Ok(Outcome::Performed(self.answer(&self.performed).await?))) })
    }

    fn report(&mut self, _: Report) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn now(&mut self) -> u64 {
        self.now
    }
}
