//! What is looked for, checked.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ops_guest::Failure;

use crate::Input;

/// What must fit, all of it.
pub(crate) struct Criteria {
    pub(crate) query: Option<String>,
    pub(crate) top: u32,
    pub(crate) from: Option<String>,
    pub(crate) subject: Option<String>,
    /// To the second, in the form that JMAP wants: `2026-11-22T09:00:00Z`.
    pub(crate) since: Option<String>,
}

impl Criteria {
    /// Checks the date. The schema has checked the rest.
    pub(crate) fn of(input: Input) -> Result<Self, Failure> {
        let since = input.since.map(|text| {
            time(&text).ok_or_else(|| {
                Failure::invalid(format!(
                    "`since` is {text:?}; write a day such as 2026-11-22 or a time such as 2026-11-22T09:00:00Z"
                ))
            })
        });
        Ok(Self {
            query: input.query,
            top: input.top,
            from: input.from,
            subject: input.subject,
            since: since.transpose()?,
        })
    }
}

/// A day, which begins at midnight in UTC, or a time with its offset (RFC 3339). A time without one could be anybody's.
fn time(text: &str) -> Option<String> {
    let stamp = if text.len() == "2026-11-22".len() {
        text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()
    } else {
        text.parse().ok()?
    };
    Timestamp::from_second(stamp.as_second()).ok().map(|stamp| stamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times() {
        for (text, expected) in [
            ("2026-11-22", Some("2026-11-22T00:00:00Z")),
            ("2026-11-22T09:00:00Z", Some("2026-11-22T09:00:00Z")),
            ("2026-11-22T09:00:00.75Z", Some("2026-11-22T09:00:00Z")),
            ("2026-11-22T09:00:00+02:00", Some("2026-11-22T07:00:00Z")),
            ("2026-11-22T09:00:00", None),
            ("2026-02-30", None),
            ("22.11.2026", None),
            ("yesterday", None),
            ("", None),
            ("2026-11-22T09:00:00Z\",\"x\":\"", None),
        ] {
            assert_eq!(time(text).as_deref(), expected, "{text}");
        }
    }
}
