//! Whether a request is worth repeating, and when. Nothing here sends or sleeps.
//!
//! Whether it *may* be repeated is for the caller to know: a read, an effect that is the same however often it is
//! sent, or a request that surely did not arrive. What is decided here, in this order: the outcome is one that may
//! pass (too many requests, a gateway's trouble, a connection that failed); the service does not ask to be left alone
//! for longer than [`MAX_PAUSE`]; the request has a try left, and so has the run; the pause ends before the deadline.
//!
//! There is one budget for a whole run. Retries at several layers multiply, and the service that is already in
//! trouble pays for it.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use ops_policy::message::Header;

use crate::send::{Failure, SendError, Sent};

/// How often one request is repeated at most.
pub const MOST_PER_REQUEST: usize = 3;

/// How many repetitions a run has for all its requests.
pub const MOST_PER_RUN: u32 = 5;

/// The longest pause that a service may ask for. One that asks for more is not asked again; its answer stands.
pub const MAX_PAUSE: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How long to wait before a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// As long as it takes to be polite.
    Polite,
    /// At least so long, at most [`MAX_PAUSE`]: the service asked for it.
    Asked(Duration),
}

/// Whether an answer is worth another try: 429, 502, 503 and 504, unless `Retry-After` asks for more than
/// [`MAX_PAUSE`]. Never 401 and 403: the same credential would be refused again, and there is no other.
///
/// `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3). One that is neither is ignored; of several, the
/// longest counts; a date in the past asks for nothing.
pub fn after_answer(status: u16, headers: &[Header], now: SystemTime) -> Option<Pause> {
    if !matches!(status, 429 | 502 | 503 | 504) {
        return None;
    }
    let fields = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("retry-after"));
    match fields.filter_map(|header| asked(header.value.trim(), now)).max() {
        None => Some(Pause::Polite),
        Some(pause) if pause > MAX_PAUSE => None,
        Some(pause) => Some(Pause::Asked(pause)),
    }
}

fn asked(value: &str, now: SystemTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long time too.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Whether a failure is worth another try: a connection that was refused or lost, and whatever took too long. What
/// was refused for a reason (the request, the address, the certificate, the size of the answer) will be refused
/// again.
pub fn after_error(error: &SendError) -> Option<Pause> {
    match error.failure {
        Failure::Connect | Failure::Lost | Failure::Timeout => Some(Pause::Polite),
        Failure::Request
        | Failure::Lookup
        | Failure::Address
        | Failure::Tls
        | Failure::Malformed
        | Failure::TooLarge => None,
    }
}

/// The tries of one request.
#[derive(Debug)]
pub struct Tries(ExponentialBackoff);

impl Tries {
    /// None made yet. Pauses begin at 200 ms and double up to 5 s, each lengthened by chance by up to as much again,
    /// so that those who failed together do not come back together.
    pub fn new() -> Self {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_BACKOFF)
            .with_factor(2.0)
            .with_max_times(MOST_PER_REQUEST)
            .with_jitter();
        Self(backoff.build())
    }
}

impl Default for Tries {
    fn default() -> Self {
        Self::new()
    }
}

/// How many repetitions a run has left.
#[derive(Debug)]
pub struct Budget {
    left: u32,
}

impl Default for Budget {
    /// [`MOST_PER_RUN`].
    fn default() -> Self {
        Self { left: MOST_PER_RUN }
    }
}

impl Budget {
    /// The pause after which a request is to be sent again; `None` if its outcome stands. `left` is the time until the
    /// deadline: a pause that does not end before it is none.
    pub fn next(
        &mut self,
        tries: &mut Tries,
        outcome: Result<&Sent, &SendError>,
        left: Duration,
    ) -> Option<Duration> {
        let pause = match outcome {
            Ok(Sent { response, .. }) => after_answer(response.status, &response.headers, SystemTime::now()),
            Err(error) => after_error(error),
        };
        self.pause(tries, pause?, left)
    }

    fn pause(&mut self, tries: &mut Tries, pause: Pause, left: Duration) -> Option<Duration> {
        let remaining = self.left.checked_sub(1)?;
        let polite = tries.0.next()?;
        let pause = match pause {
            Pause::Polite => polite,
            Pause::Asked(asked) => asked.max(polite),
        };
        if pause >= left {
            return None;
        }
        self.left = remaining;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_policy::message::{NetError, Response};
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Sunday, 6 November 1994, 08:49:37 UTC, the standard's own example.
    fn now() -> SystemTime {
        httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap()
    }

    fn fields(values: &[&str]) -> Vec<Header> {
        values.iter().map(|value| Header { name: "Retry-After".into(), value: (*value).into() }).collect()
    }

    fn asked_for(seconds: u64) -> Option<Pause> {
        Some(Pause::Asked(Duration::from_secs(seconds)))
    }

    #[test]
    fn statuses() {
        for (status, again) in [
            (200, false),
            (302, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, false),
            (409, false),
            (429, true),
            (500, false),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
        ] {
            let pause = after_answer(status, &fields(&["1"]), now());
            assert_eq!(pause, again.then_some(Pause::Asked(Duration::from_secs(1))), "{status}");
        }
    }

    #[test]
    fn retry_after() {
        for (values, pause) in [
            (&[][..], Some(Pause::Polite)),
            (&["0"], asked_for(0)),
            (&["30"], asked_for(30)),
            (&[" 7 "], asked_for(7)),
            (&["007"], asked_for(7)),
            (&["31"], None),
            (&["86400"], None),
            (&["99999999999999999999999999"], None),
            (&["1", "20"], asked_for(20)),
            (&["1", "86400"], None),
            (&["Sun, 06 Nov 1994 08:49:42 GMT"], asked_for(5)),
            (&["Sunday, 06-Nov-94 08:49:42 GMT"], asked_for(5)),
            (&["Sun Nov  6 08:49:42 1994"], asked_for(5)),
            (&["Sun, 06 Nov 1994 08:49:00 GMT"], asked_for(0)),
            (&["Mon, 07 Nov 1994 08:49:37 GMT"], None),
            // What cannot be read asks for nothing.
            (&[""], Some(Pause::Polite)),
            (&["-1"], Some(Pause::Polite)),
            (&["+5"], Some(Pause::Polite)),
            (&["1.5"], Some(Pause::Polite)),
            (&["soon"], Some(Pause::Polite)),
            (&["5, 6"], Some(Pause::Polite)),
            (&["\u{665}"], Some(Pause::Polite)),
            (&["soon", "3"], asked_for(3)),
        ] {
            assert_eq!(after_answer(503, &fields(values), now()), pause, "{values:?}");
        }
    }

    fn error(failure: Failure) -> SendError {
        let error = NetError::Timeout(String::new());
        SendError { error, failure, address: None, sent: true, bytes_sent: 0, received: 0 }
    }

    fn answer(status: u16, retry_after: &[&str]) -> Sent {
        let response = Response { status, headers: fields(retry_after), body: vec![] };
        Sent { response, address: "127.0.0.1:1".parse().unwrap(), bytes_sent: 0, bytes_received: 0 }
    }

    #[test]
    fn failures() {
        for (failure, again) in [
            (Failure::Request, false),
            (Failure::Lookup, false),
            (Failure::Address, false),
            (Failure::Connect, true),
            (Failure::Tls, false),
            (Failure::Timeout, true),
            (Failure::Lost, true),
            (Failure::Malformed, false),
            (Failure::TooLarge, false),
        ] {
            assert_eq!(after_error(&error(failure)).is_some(), again, "{failure:?}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let (mut budget, mut tries) = (Budget::default(), Tries::new());
        let lost = error(Failure::Lost);
        for least in [200, 400, 800] {
            let pause = budget.next(&mut tries, Err(&lost), HOUR).unwrap().as_millis();
            assert!((least..2 * least).contains(&pause), "{pause} ms, not {least}");
        }
        assert_eq!(budget.next(&mut tries, Err(&lost), HOUR), None);
    }

    #[test]
    fn a_run_has_one_budget_for_all_its_requests() {
        let mut budget = Budget::default();
        let lost = error(Failure::Lost);
        let mut made = 0;
        for _ in 0..10 {
            let mut tries = Tries::new();
            while budget.next(&mut tries, Err(&lost), HOUR).is_some() {
                made += 1;
            }
        }
        assert_eq!(made, MOST_PER_RUN);
    }

    #[test]
    fn what_the_service_asks_for_is_kept_to() {
        let mut budget = Budget::default();
        let pause = budget.next(&mut Tries::new(), Ok(&answer(429, &["10"])), HOUR);
        assert_eq!(pause, Some(Duration::from_secs(10)));
        // Asked not to wait, it is polite all the same.
        let pause = budget.next(&mut Tries::new(), Ok(&answer(429, &["0"])), HOUR).unwrap();
        assert!(pause >= FIRST_PAUSE);
        assert_eq!(budget.next(&mut Tries::new(), Ok(&answer(200, &["1"])), HOUR), None);
        assert_eq!(budget.next(&mut Tries::new(), Ok(&answer(503, &["86400"])), HOUR), None);
    }

    #[test]
    fn a_pause_past_the_deadline_is_none_and_costs_nothing() {
        let mut budget = Budget::default();
        for left in [Duration::ZERO, Duration::from_secs(9), Duration::from_secs(10)] {
            assert_eq!(budget.next(&mut Tries::new(), Ok(&answer(503, &["10"])), left), None);
        }
        assert_eq!(budget.left, MOST_PER_RUN);
        assert!(budget.next(&mut Tries::new(), Ok(&answer(503, &["10"])), Duration::from_secs(11)).is_some());
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_allowed_or_past_the_deadline(
            status: u16,
            values in prop::collection::vec("[ -~]{0,12}|[0-9]{1,22}|(Sun|Mon), [0-3][0-9] Nov [0-9]{4} 08:49:37 GMT", 0..4),
            left in 0u64..100_000,
        ) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let left = Duration::from_millis(left);
            let (mut budget, mut tries) = (Budget::default(), Tries::new());
            let mut made = 0;
            while let Some(pause) = budget.next(&mut tries, Ok(&answer(status, &values)), left) {
                prop_assert!(pause < left && pause <= MAX_PAUSE);
                prop_assert!(pause >= FIRST_PAUSE);
                made += 1;
            }
            prop_assert!(made <= MOST_PER_REQUEST);
        }
    }
}
