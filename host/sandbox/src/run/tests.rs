use std::sync::atomic::Ordering;
use std::time::Duration;

use ops_policy::message::{Failure, NetError};

use super::*;
use crate::broker::Moment;
use crate::job::{Links, Mount};
use crate::stdio::KEPT_BYTES;
use crate::testing::{Guest, Script, job, run, sandbox};

mod replay;

const FETCH: &str = r#"(import "ops:capability/fetch@0.1.0" "fetch"
    (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ops:capability/effects@0.1.0" "perform" (func $perform (param i32 i32)))"#;

/// An empty request; its answer lies at 950000.
const ASK: &str =
    "(call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 950000))";

/// A change, then a read.
const CHANGE_AND_ASK: &str = "(call $perform (i32.const 900000) (i32.const 950000))
  (call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 950000))
  (call $ok (local.get $arguments) (local.get $length))";

const CLOCKS: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;

const SPIN: &str = "(loop $again (br $again)) unreachable";
const SLEEP: &str = "(call $block (call $timer (i64.const 3600000000000))) unreachable";
const GROW_THEN_TRAP: &str =
    "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
const GROW_THEN_RETURN: &str =
    "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (call $ok (local.get $arguments) (local.get $length))";

fn guest<'a>(imports: &'a str, run: &'a str) -> Guest<'a> {
    Guest { imports, run, ..Guest::default() }
}

async fn end(guest: Guest<'_>) -> End {
    run(guest, job().0, Script::default()).await.end
}

fn short(millis: u64) -> Job {
    let (mut job, _) = job();
    job.limits.time = Duration::from_millis(millis);
    job
}

#[tokio::test]
async fn it_returns_output_or_failure() {
    let ran = run(Guest::default(), job().0, Script::default()).await;
    assert_eq!(ran.end, End::Output(r#"{"a":1}"#.to_owned()));
    assert_eq!(ran.peak_memory, 1 << 20);
    let failed = end(guest("", "(call $failed (local.get $arguments) (local.get $length))")).await;
    assert_eq!(failed, End::Failed(Failure::Failed { message: r#"{"a":1}"#.to_owned() }));
}

#[tokio::test]
async fn whatever_it_does_its_time_ends() {
    let start = "(func $start (loop $again (br $again))) (start $start)";
    for (what, guest) in [
        ("spins", guest("", SPIN)),
        ("sleeps", guest(CLOCKS, SLEEP)),
        ("spins before it is called", Guest { start, ..Guest::default() }),
    ] {
        let ran = run(guest, short(100), Script::default()).await;
        assert_eq!(ran.end, End::OutOfTime, "{what}");
        assert!(ran.elapsed >= Duration::from_millis(100) && ran.elapsed < Duration::from_secs(20), "{what}");
    }
}

#[tokio::test]
async fn whatever_it_does_it_can_be_cancelled() {
    for guest in [guest("", SPIN), guest(CLOCKS, SLEEP)] {
        let (job, cancel) = job();
        let (ran, ()) = tokio::join!(run(guest, job, Script::default()), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.send_replace(true);
        });
        assert_eq!(ran.end, End::Cancelled);
        assert!(ran.elapsed < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let ran = run(guest("", GROW_THEN_TRAP), job().0, Script::default()).await;
    assert_eq!(ran.end, End::OutOfMemory);
    assert_eq!(ran.peak_memory, 4 << 20);
    let survivor = end(guest("", GROW_THEN_RETURN)).await;
    assert!(matches!(survivor, End::Output(_)), "{survivor:?}");
    assert_eq!(end(Guest { pages: 65, ..Guest::default() }).await, End::OutOfMemory);
}

#[tokio::test]
async fn a_trap_says_what_it_was() {
    let exit = r#"(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
    let random = r#"(import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))"#;
    let log = r#"(import "ops:capability/report@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    for (imports, run, expected) in [
        ("", "unreachable", "wasm `unreachable` instruction executed"),
        ("", "(i32.load (i32.const 0x7fffffff))", "out of bounds memory access"),
        ("", "(i32.div_u (i32.const 1) (i32.const 0))", "integer divide by zero"),
        ("", "(call $failed (i32.const -8) (i32.const 100))", "out of bounds"),
        (exit, "(call $exit (i32.const 1)) unreachable", "it called exit with status 1 instead of returning"),
        (random, "(call $random (i64.const -1) (i32.const 16)) unreachable", "random bytes in one call"),
    ] {
        let End::Trapped(text) = end(guest(imports, run)).await else { panic!("{run}") };
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
    }
    let (mut job, _cancel) = job();
    job.limits.memory = 64 << 20;
    let shout = "(call $log (i32.const 0) (i32.const 0) (i32.const 0x1000001)) unreachable";
    let ran = run(Guest { pages: 300, ..guest(log, shout) }, job, Script::default()).await;
    assert!(matches!(&ran.end, End::Trapped(text) if text.contains("fuel")), "{:?}", ran.end);
}

#[tokio::test]
async fn output_is_bounded() {
    let (mut job, _cancel) = job();
    (job.limits.output, job.limits.memory) = (7, 64 << 20);
    assert!(matches!(run(Guest::default(), job.clone(), Script::default()).await.end, End::Output(_)));
    job.limits.output = 6;
    assert_eq!(run(Guest::default(), job.clone(), Script::default()).await.end, End::OutputTooLong);
    job.limits.output = 64 << 20;
    let long = guest("", "(call $ok (i32.const 0) (i32.const 0x1000001))");
    let ran = run(Guest { pages: 300, ..long }, job, Script::default()).await;
    assert!(matches!(ran.end, End::Trapped(_)), "more than one call may hand over");
}

#[tokio::test]
async fn a_hundred_megabytes_of_prints_do_not_disturb_it() {
    let imports = r#"
      (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
      (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush"
        (func $write (param i32 i32 i32 i32)))"#;
    let prints = "(local.set $handle (call $stdout))
      (loop $again
        (call $write (local.get $handle) (i32.const 65536) (i32.const 4096) (i32.const 950000))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 25000))))
      (call $ok (local.get $arguments) (local.get $length))";
    let ran = run(guest(imports, prints), job().0, Script::default()).await;
    assert!(matches!(ran.end, End::Output(_)), "{:?}", ran.end);
    assert_eq!((ran.stdout.total, ran.stdout.kept.len()), (25_000 * 4_096, KEPT_BYTES));
    assert_eq!(ran.stderr.total, 0);
}

#[tokio::test]
async fn the_broker_decides() {
    let ask = &format!("{ASK} (call $ok (local.get $arguments) (local.get $length))");
    let ran = run(guest(FETCH, ask), job().0, Script::default()).await;
    assert!(matches!(ran.end, End::Output(_)), "{:?}", ran.end);
    let ran = run(guest(FETCH, ask), job().0, Script { stop: true, ..Script::default() }).await;
    assert_eq!(ran.end, End::Stopped);
    let ran = run(guest(FETCH, ask), job().0, Script { panic: true, ..Script::default() }).await;
    assert_eq!(ran.end, End::HostPanicked("the broker panicked".to_owned()));
}

/// The change lands, and the guest does not go on to ask.
#[tokio::test]
async fn a_change_in_flight_is_waited_for() {
    let script = || Script { delay: Duration::from_millis(1_200), ..Script::default() };
    let late = script();
    assert_eq!(run(guest(FETCH, CHANGE_AND_ASK), short(600), late.clone()).await.end, End::OutOfTime);
    let cancelled = script();
    let (job, cancel) = job();
    let (ran, ()) = tokio::join!(run(guest(FETCH, CHANGE_AND_ASK), job, cancelled.clone()), async {
        while cancelled.performed.load(Ordering::Relaxed) == 0 && cancel.receiver_count() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.send_replace(true);
        }
    });
    assert_eq!(ran.end, End::Cancelled);
    assert_eq!(late.performed.load(Ordering::Relaxed), 1);
    for script in [late, cancelled] {
        assert_eq!(script.fetched.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_read_in_flight_is_dropped() {
    let ask = &format!("{ASK} unreachable");
    let script = Script { delay: Duration::from_secs(3_600), ..Script::default() };
    assert_eq!(run(guest(FETCH, ask), short(100), script.clone()).await.end, End::OutOfTime);
    assert_eq!(script.fetched.load(Ordering::Relaxed), 0);
}

const HTTP: &str = r#"
  (import "wasi:http/types@0.2.6" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.6" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-scheme"
    (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-authority"
    (func $authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-path-with-query"
    (func $path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/outgoing-handler@0.2.6" "handle" (func $handle (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.6" "[method]future-incoming-response.subscribe"
    (func $wait (param i32) (result i32)))
  (import "wasi:http/types@0.2.6" "[method]future-incoming-response.get" (func $get (param i32 i32)))
  (import "wasi:http/types@0.2.6" "[method]incoming-response.status" (func $status (param i32) (result i32)))"#;

/// `GET http://h.test/t`: whether it is an error, its code or the status, and the clock, all in letters.
const GET: &str = r"
  (local.set $handle (call $request (call $fields)))
  (i64.store (i32.const 200) (i64.const 0x742f_7473_6574_2e68))
  (drop (call $authority (local.get $handle) (i32.const 1) (i32.const 200) (i32.const 6)))
  (drop (call $path (local.get $handle) (i32.const 1) (i32.const 206) (i32.const 2)))
  (drop (call $scheme (local.get $handle) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
  (call $handle (local.get $handle) (i32.const 0) (i32.const 0) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then unreachable))
  (local.set $handle (i32.load (i32.const 72)))
  (call $block (call $wait (local.get $handle)))
  (call $get (local.get $handle) (i32.const 128))
  (call $spell (i64.load8_u (i32.const 144)))
  (if (i32.load8_u (i32.const 144)) (then (call $spell (i64.load8_u (i32.const 152))))
    (else (call $spell (i64.extend_i32_u (call $status (i32.load (i32.const 152)))))))
  (call $spell (call $now))
  (call $spelled)";

/// The place of `HTTP-request-denied` among the error codes.
const DENIED: u64 = 15;

#[tokio::test]
async fn plain_http_goes_the_brokers_way() {
    let imports = &format!("{HTTP} {CLOCKS}");
    for (error, expected) in
        [(None, [0, 204, 60_001_000]), (Some(NetError::NotGranted("no".to_owned())), [1, DENIED, 60_001_000])]
    {
        let script = Script { now: 60_000_000, error, ..Script::default() };
        let ran = run(guest(imports, GET), job().0, script.clone()).await;
        let End::Output(text) = ran.end else { panic!("{:?}", ran.end) };
        assert_eq!(text.as_bytes().chunks(16).map(number).collect::<Vec<u64>>(), expected);
        let asked = std::mem::take(&mut *script.asked.lock().unwrap());
        let asked: Vec<_> = asked.into_iter().map(|asked| (asked.method, asked.url, asked.headers)).collect();
        assert_eq!(asked, [("GET".to_owned(), "http://h.test/t".to_owned(), Vec::new())]);
    }
    let http = "(i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let other = GET.replace(http, "(i32.const 1) (i32.const 2) (i32.const 200) (i32.const 1)))");
    let script = Script::default();
    let ran = run(guest(imports, &other), job().0, script.clone()).await;
    assert!(matches!(ran.end, End::Output(_)), "{:?}", ran.end);
    assert_eq!(*script.refused.lock().unwrap(), ["GET: its scheme is neither http nor https"]);
    let ran = run(guest(imports, GET), job().0, Script { stop: true, ..Script::default() }).await;
    assert_eq!(ran.end, End::Stopped);
    let ran = run(guest(imports, GET), job().0, Script { panic: true, ..Script::default() }).await;
    assert_eq!(ran.end, End::HostPanicked("the broker panicked".to_owned()));
    let slow = Script { delay: Duration::from_secs(3_600), ..Script::default() };
    assert_eq!(run(guest(imports, GET), short(100), slow).await.end, End::OutOfTime);
}

/// Random bytes, hash seed, both clocks before and after a sleep and an answer, all in letters.
#[tokio::test]
async fn two_runs_of_one_seed_are_the_same() {
    let imports = &format!(
        r#"{FETCH} {CLOCKS}
      (import "wasi:clocks/wall-clock@0.2.6" "now" (func $wall (param i32)))
      (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
      (import "wasi:random/insecure-seed@0.2.6" "insecure-seed" (func $seed (param i32)))"#
    );
    let all = &format!(
        "(call $spell (call $random)) (call $seed (i32.const 64)) (call $spell (i64.load (i32.const 64)))
      (call $wall (i32.const 64)) (call $spell (i64.load (i32.const 64))) (call $spell (i64.load32_u (i32.const 72)))
      (call $spell (call $now)) (call $block (call $timer (i64.const 5000000))) (call $spell (call $now))
      {ASK} (call $spell (call $now)) (call $spelled)"
    );
    let spelled = async |seed| {
        let (mut job, _cancel) = job();
        job.seed = [seed; 32];
        let moments = [0, 60_000_000].map(|clock| Moment { clock, replaying: false });
        let script = Script { moments: moments.into(), ..Script::default() };
        match run(guest(imports, all), job, script).await.end {
            End::Output(text) => text.as_bytes().chunks(16).map(number).collect::<Vec<u64>>(),
            other => panic!("{other:?}"),
        }
    };
    let first = spelled(1).await;
    assert_eq!(first, spelled(1).await);
    assert_eq!(first[2..], [1_000, 7, 1_000, 5_002_000, 60_001_000]);
    let other = spelled(2).await;
    assert!(first[0] != other[0] && first[1] != other[1]);
    assert_eq!(first[2..], other[2..]);
}

fn number(letters: &[u8]) -> u64 {
    letters.iter().rev().fold(0, |number, letter| number << 4 | u64::from(letter - b'a'))
}

#[tokio::test]
async fn what_is_not_linked_is_refused_by_name() {
    let sockets =
        r#"(import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))"#;
    for (imports, links, expected) in [
        (
            sockets,
            Links { fetch: true, effects: true, http: true, invoke: true },
            "wasi:sockets/instance-network@0.2.6",
        ),
        (
            HTTP,
            Links { fetch: true, effects: true, http: false, invoke: true },
            "wasi:http/outgoing-handler@0.2.6",
        ),
        (
            FETCH,
            Links { fetch: true, effects: false, http: true, invoke: true },
            "ops:capability/effects@0.1.0",
        ),
        (
            FETCH,
            Links { fetch: false, effects: true, http: true, invoke: true },
            "ops:capability/fetch@0.1.0",
        ),
    ] {
        let (mut job, _cancel) = job();
        job.links = links;
        let ran = run(guest(imports, "unreachable"), job, Script::default()).await;
        assert!(matches!(&ran.end, End::NotStarted(text) if text.contains(expected)), "{:?}", ran.end);
    }
}

#[tokio::test]
async fn a_component_of_another_world_does_not_run() {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&wat::parse_str("(component)").unwrap()).unwrap();
    let ran = Guests::new(&component).unwrap().run(job().0, Arc::new(Mutex::new(Script::default()))).await;
    assert!(
        matches!(&ran.end, End::NotStarted(text) if text.contains("ops:capability/guest")),
        "{:?}",
        ran.end
    );
}

/// The names in a folder as the guest lists them, then of the file `a`: its time, and its number twice.
#[tokio::test]
async fn files_show_nothing_of_the_host() {
    let imports = r#"
      (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]descriptor.read-directory" (func $list (param i32 i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]directory-entry-stream.read-directory-entry"
        (func $entry (param i32 i32)))
      (import "wasi:filesystem/types@0.2.6" "[resource-drop]directory-entry-stream" (func $close (param i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]descriptor.stat-at"
        (func $stat (param i32 i32 i32 i32 i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]descriptor.metadata-hash-at"
        (func $number (param i32 i32 i32 i32 i32)))"#;
    let list = r"
      (call $folders (i32.const 64))
      (local.set $handle (i32.load (i32.load (i32.const 64))))
      (call $list (local.get $handle) (i32.const 80))
      (if (i32.load8_u (i32.const 80)) (then unreachable))
      (loop $next
        (call $entry (i32.load (i32.const 84)) (i32.const 96))
        (if (i32.load8_u (i32.const 96)) (then unreachable))
        (if (i32.load8_u (i32.const 100)) (then
          (call $append (i32.load (i32.const 108)) (i32.load (i32.const 112)))
          (br $next))))
      (call $close (i32.load (i32.const 84)))
      (i32.store8 (i32.const 200) (i32.const 97))
      (call $stat (local.get $handle) (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 256))
      (if (i32.load8_u (i32.const 256)) (then unreachable))
      (call $spell (i64.load8_u (i32.const 288)))
      (call $spell (i64.load (i32.const 320)))
      (call $spell (i64.load8_u (i32.const 336)))
      (call $number (local.get $handle) (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 256))
      (call $spell (i64.load (i32.const 264)))
      (call $number (local.get $handle) (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 256))
      (call $spell (i64.load (i32.const 264)))
      (call $stat (local.get $handle) (i32.const 0) (i32.const 201) (i32.const 1) (i32.const 256))
      (call $spell (i64.load8_u (i32.const 256)))
      (call $spelled)";
    let folder = tempfile::tempdir().unwrap();
    for name in ["m", "b", "z", "a", "k", "c"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let (mut job, _cancel) = job();
    job.mounts = vec![Mount { guest: "/in".to_owned(), host: folder.path().to_owned(), writable: false }];
    let ran = run(guest(imports, list), job.clone(), Script::default()).await;
    let End::Output(text) = ran.end else { panic!("{:?}", ran.end) };
    let (names, numbers) = text.split_at(6);
    assert_eq!(names, "abckmz");
    let numbers: Vec<u64> = numbers.as_bytes().chunks(16).map(number).collect();
    assert_eq!(
        numbers,
        [0, 1_000, 0, 1, 1, 1],
        "no access time, the frozen time, no change time, numbers, an error"
    );
    job.mounts[0].host = folder.path().join("gone");
    let ran = run(guest(imports, list), job, Script::default()).await;
    assert_eq!(ran.end, End::NotStarted("the copy of the folder `/in` cannot be opened".to_owned()));
}

/// A symbolic and a hard link `b` to the file `a`, in a folder that may be changed: each an error, and which.
#[tokio::test]
async fn no_link_is_made() {
    const NOT_PERMITTED: u64 = 31;
    let imports = r#"
      (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]descriptor.symlink-at"
        (func $symlink (param i32 i32 i32 i32 i32 i32)))
      (import "wasi:filesystem/types@0.2.6" "[method]descriptor.link-at"
        (func $link (param i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    let link = r"
      (call $folders (i32.const 64))
      (local.set $handle (i32.load (i32.load (i32.const 64))))
      (i32.store16 (i32.const 200) (i32.const 0x6261))
      (call $symlink (local.get $handle) (i32.const 200) (i32.const 1) (i32.const 201) (i32.const 1) (i32.const 80))
      (call $spell (i64.load8_u (i32.const 80))) (call $spell (i64.load8_u (i32.const 81)))
      (call $link (local.get $handle) (i32.const 0) (i32.const 200) (i32.const 1)
        (local.get $handle) (i32.const 201) (i32.const 1) (i32.const 80))
      (call $spell (i64.load8_u (i32.const 80))) (call $spell (i64.load8_u (i32.const 81)))
      (call $spelled)";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "a").unwrap();
    let (mut job, _cancel) = job();
    job.mounts = vec![Mount { guest: "/in".to_owned(), host: folder.path().to_owned(), writable: true }];
    let ran = run(guest(imports, link), job, Script::default()).await;
    let End::Output(text) = ran.end else { panic!("{:?}", ran.end) };
    let answers: Vec<u64> = text.as_bytes().chunks(16).map(number).collect();
    assert_eq!(answers, [1, NOT_PERMITTED, 1, NOT_PERMITTED]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
