//! Times of the records: UTC, to the second, and dates.

use std::time::SystemTime;

use jiff::Timestamp;
use ops_guest::{Ctx, Failure};

/// A run's time.
///
/// # Errors
/// `Failed` if the clock shows a time that no calendar has.
pub fn now(ctx: &Ctx) -> Result<Timestamp, Failure> {
    at(ctx.now())
}

fn at(time: SystemTime) -> Result<Timestamp, Failure> {
    Timestamp::try_from(time).map_err(|error| Failure::failed(format!("the run's clock is off: {error}")))
}

/// As in `2026-11-22T09:00:00Z`.
pub fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// As in `2026-11-22`.
pub fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// Whether a text is a date of the calendar, as in `2026-11-22`.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}

/// Whether a text is a time, as in `2026-11-22T09:00:00Z`.
pub fn is_time(text: &str) -> bool {
    text.len() == 20 && text.parse::<Timestamp>().is_ok_and(|time| second(time) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        let time: Timestamp = "2026-11-22T09:08:07.5Z".parse().unwrap();
        assert_eq!((second(time).as_str(), date(time).as_str()), ("2026-11-22T09:08:07Z", "2026-11-22"));
        assert!(is_time(&second(time)) && is_date(&date(time)));
        for text in ["2026-02-30", "2026-1-1", "20261122", "2026-11-22T", ""] {
            assert!(!is_date(text), "{text}");
        }
        for text in ["2026-11-22", "2026-11-22T09:08:07", "2026-11-22 09:08:07Z", "2026-11-22T25:00:00Z"] {
            assert!(!is_time(text), "{text}");
        }
    }
}
