//! A run that is gone through again: the same readings of the clock and the same timers, in no time.

use std::collections::VecDeque;
use std::time::Instant;

use super::*;

/// Besides the clocks: polls over two, which spell how many are ready, the first of them, and the clock.
const POLLS: &str = r#"
  (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))"#;
const POLL: &str = r"
  (func $of (param $one i32) (param $other i32)
    (i32.store (i32.const 400) (local.get $one))
    (i32.store (i32.const 404) (local.get $other))
    (call $poll (i32.const 400) (i32.const 2) (i32.const 408))
    (call $spell (i64.load32_u (i32.const 412)))
    (call $spell (i64.load32_u (i32.load (i32.const 408))))
    (call $spell (call $now)))";

/// A guest that sleeps, polls two timers in either order, waits across an answer, and waits for an answer and a timer
/// at a time. Its waits are of 2, 3, 5 and 40 `unit`s of a nanosecond.
fn waits(unit: u64) -> Vec<u8> {
    let timer = |units: u64| format!("(call $timer (i64.const {}))", units * unit);
    let [two, three, five, forty] = [2, 3, 5, 40].map(timer);
    let run = format!(
        "(call $spell (call $now)) (call $block {three}) (call $spell (call $now))
      (call $of {two} {five}) (call $of {five} {two}) (call $of {two} {two})
      (local.set $i {five}) {ASK} (call $spell (call $now)) (call $of (local.get $i) {forty})
      (local.set $i {forty}) {ASK} (call $of (local.get $i) {three})
      {}",
        // The answer by `wasi:http` is waited for together with a timer.
        GET.replace(
            "(call $block (call $wait (local.get $handle)))",
            &format!(
                "(local.set $i (call $wait (local.get $handle))) (call $of {two} (local.get $i)) (call $block (local.get $i))"
            )
        )
        .replace("(call $spelled)", &format!("(call $block {two}) (call $spell (call $now)) (call $spelled)"))
    );
    let imports = format!("{FETCH} {HTTP} {CLOCKS} {POLLS}");
    Guest { imports: &imports, start: POLL, run: &run, ..Guest::default() }.build()
}

/// What a guest spells, and what it was told of the clock.
async fn spelled(guest: &[u8], script: Script) -> (Vec<u64>, Vec<Moment>) {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(guest).unwrap();
    let (job, _cancel) = job();
    let told = Arc::clone(&script.told);
    let ran = Guests::new(&component).unwrap().run(job, Arc::new(Mutex::new(script))).await;
    let End::Output(text) = ran.end else { panic!("{:?}", ran.end) };
    let told = std::mem::take(&mut *told.lock().unwrap());
    (text.as_bytes().chunks(16).map(number).collect(), told)
}

fn again(told: &[Moment], live_from: usize) -> VecDeque<Moment> {
    let moment = |(index, moment): (usize, &Moment)| Moment { replaying: index < live_from, ..*moment };
    told.iter().enumerate().map(moment).collect()
}

const MS: u64 = 1_000_000;

#[tokio::test]
async fn a_replay_reads_what_the_live_run_read() {
    let guest = waits(MS);
    let live = Script { began: Some(Instant::now()), delay: Duration::from_millis(4), ..Script::default() };
    let (read, told) = spelled(&guest, live).await;
    assert_eq!((read.len(), told.len()), (25, 4));
    // All of it again, and again up to each answer, from where it is live.
    for live_from in 0..=told.len() {
        let script = Script { moments: again(&told, live_from), ..Script::default() };
        let (reread, retold) = spelled(&guest, script).await;
        assert_eq!(reread, read, "live from {live_from}");
        assert_eq!(retold.len(), told.len());
    }
}

/// Waits of hours, which no live run comes to the end of.
#[tokio::test]
async fn a_replay_takes_no_time() {
    const HOUR: u64 = 3_600_000 * MS;
    let clocks = [0, 20 * HOUR, 25 * HOUR, 70 * HOUR];
    let moments = clocks.map(|clock| Moment { clock, replaying: true });
    let (read, told) = spelled(&waits(HOUR), Script { moments: moments.into(), ..Script::default() }).await;
    assert_eq!(told, moments);
    let expected = [
        // One sleep of three hours.
        vec![1_000, 3 * HOUR],
        // Two timers: the shorter one, wherever it stands; two of the same length.
        vec![1, 0, 5 * HOUR, 1, 1, 7 * HOUR, 2, 0, 9 * HOUR],
        // A timer that was due at fourteen, across an answer that moves the clock to twenty.
        vec![20 * HOUR, 1, 0, 20 * HOUR],
        // A timer of forty from twenty, and one of three from the second answer at twenty-five.
        vec![1, 1, 28 * HOUR],
        // An answer at seventy by `wasi:http`, with a timer of two: both are there, the older one first.
        vec![2, 1, 70 * HOUR, 0, 204, 70 * HOUR, 72 * HOUR],
    ]
    .concat();
    // Each reading adds a microsecond, which is not counted here.
    let whole = |read: u64| if read < MS { read } else { read / MS * MS };
    assert_eq!(read.into_iter().map(whole).collect::<Vec<_>>(), expected);
}

#[test]
fn a_moment_survives_json() {
    let moment = Moment { clock: u64::MAX, replaying: true };
    let json = serde_json::to_string(&moment).unwrap();
    assert_eq!(json, r#"{"clock":18446744073709551615,"replaying":true}"#);
    assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
}
