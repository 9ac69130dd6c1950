use std::task::{Context, Poll, Waker};

use wasmtime_wasi::p2::DynFuture;

use super::*;

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

fn live(clock: u64) -> Moment {
    Moment { clock, replaying: false }
}

fn replayed(clock: u64) -> Moment {
    Moment { clock, replaying: true }
}

#[test]
fn readings_move_it_and_nothing_moves_it_back() {
    let clock = Clock::new(7, 8);
    assert_eq!([clock.read(), clock.read()], [1_000, 2_000]);
    clock.arrive(live(500));
    assert_eq!(clock.read(), 3_000);
    clock.arrive(live(MS));
    assert_eq!(clock.read(), MS + 1_000);
    assert_eq!((clock.wall().seconds, clock.wall().nanoseconds), (7, 8));
}

#[tokio::test]
async fn a_sleep_is_real_and_moves_the_clock_by_its_length() {
    let clock = Clock::new(0, 0);
    let began = Instant::now();
    clock.timer(20 * MS).ready().await;
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(clock.read(), 20 * MS + READING);
    clock.timer(MS).ready().await;
    assert_eq!(clock.read(), 20 * MS + 2 * READING, "a deadline that is past costs nothing");
}

/// The host is busy for longer than both timers: the guest sees the earlier one alone, in either order.
#[tokio::test]
async fn a_late_host_does_not_change_which_timer_comes_due() {
    for lengths in [[5, 10], [10, 5]] {
        let clock = Clock::new(0, 0);
        let mut timers = lengths.map(|length| clock.timer(length * MS));
        let mut futures: Vec<DynFuture> = timers.iter_mut().map(|timer| timer.ready()).collect();
        let mut stalled = false;
        let ready = std::future::poll_fn(|cx| {
            let ready: Vec<bool> =
                futures.iter_mut().map(|future| future.as_mut().poll(cx).is_ready()).collect();
            if !std::mem::replace(&mut stalled, true) {
                std::thread::sleep(Duration::from_millis(30));
            }
            if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
        });
        assert_eq!(ready.await, lengths.map(|length| length == 5));
        drop(futures);
        assert_eq!(clock.read(), 5 * MS + READING);
    }
}

#[tokio::test]
async fn timers_of_one_deadline_come_due_together() {
    let clock = Clock::new(0, 0);
    let (mut first, mut second) = (clock.timer(3 * MS), clock.timer(3 * MS));
    let mut futures = [first.ready(), second.ready()];
    let ready = std::future::poll_fn(|cx| {
        let ready = futures.each_mut().map(|future| future.as_mut().poll(cx).is_ready());
        if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
    });
    assert_eq!(ready.await, [true, true]);
}

/// An answer says 6 ms, whether the host took 30 ms for it or none: the timer of 5 ms is due at once, that of 10
/// is not, and comes 4 ms later.
#[tokio::test]
async fn an_answer_decides_which_timers_are_due() {
    for stall in [30, 0] {
        let clock = Clock::new(0, 0);
        let (mut early, mut late) = (clock.timer(5 * MS), clock.timer(10 * MS));
        let mut futures = [early.ready(), late.ready()];
        let mut poll =
            |cx: &mut Context<'_>| futures.each_mut().map(|future| future.as_mut().poll(cx).is_ready());
        // Into the list, then once round.
        std::future::poll_fn(|cx| Poll::Ready([poll(cx), poll(cx)])).await;
        std::thread::sleep(Duration::from_millis(stall));
        let real = Instant::now();
        clock.arrive(live(6 * MS));
        let over = clock.lock().waiting.get(&(10 * MS)).unwrap().0.unwrap();
        assert!(over >= real + Duration::from_millis(4), "{stall}");
        assert_eq!(std::future::poll_fn(|cx| Poll::Ready(poll(cx))).await, [true, false], "{stall}");
        drop(futures);
        let began = Instant::now();
        late.ready().await;
        assert!(began.elapsed() >= Duration::from_millis(4));
        assert_eq!(clock.read(), 10 * MS + READING);
    }
}

#[tokio::test]
async fn a_timer_that_nobody_waits_for_any_more_holds_up_no_other() {
    let clock = Clock::new(0, 0);
    let mut early = clock.timer(MS);
    {
        let mut abandoned = early.ready();
        assert!(abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    clock.timer(2 * MS).ready().await;
    assert_eq!(clock.read(), 2 * MS + READING);
}

#[tokio::test]
async fn a_replayed_sleep_takes_no_time_and_moves_the_clock_by_its_length() {
    let clock = Clock::new(0, 0);
    clock.arrive(replayed(5));
    clock.timer(HOUR).ready().await;
    assert_eq!(clock.read(), HOUR + READING);
    // The earlier one alone, in either order, and two of one deadline together.
    for (lengths, due) in [([2, 3], [true, false]), ([3, 2], [false, true]), ([2, 2], [true, true])] {
        let clock = Clock::new(0, 0);
        clock.arrive(replayed(0));
        let mut timers = lengths.map(|length| clock.timer(length * HOUR));
        let mut futures = timers.each_mut().map(|timer| timer.ready());
        let ready = std::future::poll_fn(|cx| {
            let ready = futures.each_mut().map(|future| future.as_mut().poll(cx).is_ready());
            if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
        });
        assert_eq!(ready.await, due, "{lengths:?}");
        drop(futures);
        assert_eq!(clock.read(), 2 * HOUR + READING);
    }
}

/// What takes a few turns is there before a timer, as in a live run.
#[tokio::test]
async fn a_replayed_timer_lets_everything_else_go_first() {
    let clock = Clock::new(0, 0);
    clock.arrive(replayed(0));
    let mut timer = clock.timer(1);
    let mut sleeping = timer.ready();
    let mut other = pin!(async {
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
        }
    });
    let first = std::future::poll_fn(|cx| {
        let ready = [sleeping.as_mut().poll(cx).is_ready(), other.as_mut().poll(cx).is_ready()];
        if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
    });
    assert_eq!(first.await, [false, true]);
}

/// The answer that ends a replay makes the timers that wait real ones.
#[tokio::test]
async fn from_where_the_run_is_live_sleeps_are_real() {
    let clock = Clock::new(0, 0);
    clock.arrive(replayed(0));
    let mut timer = clock.timer(26 * MS);
    let mut future = timer.ready();
    let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    let began = Instant::now();
    clock.arrive(live(6 * MS));
    future.await;
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(clock.read(), 26 * MS + READING);
}
