//! What a run may use at most, and how sizes and times are written.
//!
//! A bare number says nothing of its unit, so it is refused. Every limit has a default and an upper bound: a
//! binding can be generous, never unlimited.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use crate::scalar::Scalar;
use crate::yaml::{self, At, Wrong};

const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
pub(crate) const GIB: u64 = 1024 * MIB;
pub(crate) const TIB: u64 = 1024 * GIB;

/// The shortest time that can be written.
pub(crate) const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a run may use. Time and requests count per phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the guest, in bytes.
    pub memory: u64,
    /// Real time, parked calls included.
    pub time: Duration,
    /// Requests to services.
    pub requests: u64,
    /// One answer's body, in bytes.
    pub response: u64,
    /// The output JSON, in bytes.
    pub output: u64,
    /// How long a run waits for the target of its `lock:`.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * MIB,
            time: Duration::from_secs(20),
            requests: 20,
            response: MIB,
            output: 256 * KIB,
            wait: Duration::from_secs(10),
        }
    }
}

/// The limits as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    #[serde(default, deserialize_with = "yaml::present")]
    memory: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    time: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    requests: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    response: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    output: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    wait: Option<At<Scalar>>,
}

impl Written {
    pub(crate) fn check(&self) -> Result<Limits, Wrong> {
        let default = Limits::default();
        let requests = match &self.requests {
            None => default.requests,
            Some(written) => match &written.value {
                Scalar::Int(count @ 0..=10_000) => count.unsigned_abs(),
                _ => return Err(Wrong::at(written, "requests are a number from 0 to 10000")),
            },
        };
        Ok(Limits {
            memory: size(self.memory.as_ref(), default.memory, 1..=4 * GIB, "above 0 and at most 4GiB")?,
            time: time(self.time.as_ref(), default.time, TICK..=HOUR, "above 0 and at most 60m")?,
            requests,
            response: size(
                self.response.as_ref(),
                default.response,
                1..=64 * MIB,
                "above 0 and at most 64MiB",
            )?,
            output: size(self.output.as_ref(), default.output, 1..=16 * MIB, "above 0 and at most 16MiB")?,
            wait: time(self.wait.as_ref(), default.wait, TICK..=10 * MINUTE, "above 0 and at most 10m")?,
        })
    }
}

/// A size in bytes within bounds, which `words` tell.
pub(crate) fn size(
    written: Option<&At<Scalar>>,
    default: u64,
    bounds: RangeInclusive<u64>,
    words: &str,
) -> Result<u64, Wrong> {
    let Some(written) = written else { return Ok(default) };
    let units = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB)];
    match quantity(&written.value, &units) {
        Some(size) if bounds.contains(&size) => Ok(size),
        Some(_) => Err(Wrong::at(written, format!("the size is out of bounds: it is {words}"))),
        None => Err(Wrong::at(written, format!("{} is not a size", written.value))
            .hint("write a whole number and KiB, MiB, GiB or TiB, such as 64MiB")),
    }
}

/// A time within bounds, which `words` tell.
pub(crate) fn time(
    written: Option<&At<Scalar>>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
    words: &str,
) -> Result<Duration, Wrong> {
    let Some(written) = written else { return Ok(default) };
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    match quantity(&written.value, &units).map(Duration::from_millis) {
        Some(time) if bounds.contains(&time) => Ok(time),
        Some(_) => Err(Wrong::at(written, format!("the time is out of bounds: it is {words}"))),
        None => Err(Wrong::at(written, format!("{} is not a time", written.value))
            .hint("write a whole number and ms, s, m, h or d, such as 20s")),
    }
}

/// A whole number with a unit. `None` also where it does not fit 64 bits.
fn quantity(written: &Scalar, units: &[(&str, u64)]) -> Option<u64> {
    let Scalar::Text(text) = written else { return None };
    let (digits, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Source;

    fn parse(text: &str) -> Result<Limits, String> {
        let source = Source::new("x.yaml", text.as_bytes()).unwrap();
        let written: Written = source.parse().map_err(|error| error.to_string())?;
        written.check().map_err(|wrong| source.wrong(wrong).to_string())
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse("{}"), Ok(Limits::default()));
        let limits =
            parse("{memory: 4GiB, time: 90m, requests: 0, response: 1KiB, output: 16MiB}").unwrap_err();
        assert!(limits.contains("at most 60m"), "{limits}");
        assert_eq!(
            parse("{memory: 4GiB, time: 250ms, requests: 10000, response: 1KiB, output: 16MiB, wait: 2m}"),
            Ok(Limits {
                memory: 4 * GIB,
                time: Duration::from_millis(250),
                requests: 10_000,
                response: KIB,
                output: 16 * MIB,
                wait: 2 * MINUTE,
            })
        );
    }

    #[test]
    fn refused() {
        for (text, message) in [
            ("memory: 67108864", "write a whole number and KiB, MiB, GiB or TiB"),
            ("memory: 1TiB", "at most 4GiB"),
            ("memory: 64MB", "is not a size"),
            ("memory: 64 MiB", "is not a size"),
            ("memory: 0MiB", "out of bounds"),
            ("memory: 5GiB", "at most 4GiB"),
            ("memory: 99999999999999999999GiB", "is not a size"),
            ("memory: 18014398509481984MiB", "is not a size"),
            ("time: 20", "such as 20s"),
            ("time: 1.5s", "is not a time"),
            ("time: s", "is not a time"),
            ("time: 0s", "out of bounds"),
            ("time: 61m", "at most 60m"),
            ("time: 1d", "at most 60m"),
            ("requests: -1", "from 0 to 10000"),
            ("requests: 10001", "from 0 to 10000"),
            ("requests: many", "from 0 to 10000"),
            ("output: 17MiB", "at most 16MiB"),
            ("response: 65MiB", "at most 64MiB"),
            ("wait: 11m", "at most 10m"),
            ("memori: 1MiB", "did you mean `memory`?"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message) && error.starts_with("x.yaml:1:"), "{text}: {error}");
        }
    }
}
