//! How numbers and times are written in JSON, so that every reader sees the same value.
//!
//! Integers stay below 2^53, since readers that hold numbers as doubles change larger ones; times are RFC 3339 in
//! UTC. Both are checked when they are written and when they are read.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

const BOUND: u64 = 1 << 53;

/// An unsigned integer below 2^53.
pub(crate) mod integer {
    use super::{BOUND, Deserialize, Deserializer, Serializer, de, ser};

    pub(crate) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        if *number >= BOUND {
            return Err(ser::Error::custom(format_args!("the integer {number} is not below 2^53")));
        }
        to.serialize_u64(*number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let number = u64::deserialize(from)?;
        if number >= BOUND {
            return Err(de::Error::custom(format_args!("the integer {number} is not below 2^53")));
        }
        Ok(number)
    }
}

/// The same, where there may be none.
pub(crate) mod optional_integer {
    use super::{Deserialize, Deserializer, Serialize, Serializer, integer};

    #[derive(Serialize, Deserialize)]
    struct Integer(#[serde(with = "integer")] u64);

    pub(crate) fn serialize<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        number.map(Integer).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Integer>::deserialize(from)?.map(|Integer(number)| number))
    }
}

/// A moment: RFC 3339, UTC, written with `Z`.
pub(crate) mod time {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, de};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        let time: Timestamp = text.parse().map_err(de::Error::custom)?;
        if time.to_string() != text {
            return Err(de::Error::custom(format_args!("write the time {text:?} as {time}")));
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Sample {
        #[serde(with = "super::integer")]
        count: u64,
        #[serde(with = "super::optional_integer")]
        other: Option<u64>,
        #[serde(with = "super::time")]
        at: Timestamp,
    }

    #[test]
    fn what_would_be_read_differently_is_refused() {
        let good = r#"{"count":9007199254740991,"other":null,"at":"2026-11-22T01:44:00.5Z"}"#;
        let sample: Sample = serde_json::from_str(good).unwrap();
        assert_eq!(serde_json::to_string(&sample).unwrap(), good);
        for bad in [
            r#"{"count":9007199254740992,"other":null,"at":"2026-11-22T01:44:00Z"}"#,
            r#"{"count":1,"other":9007199254740992,"at":"2026-11-22T01:44:00Z"}"#,
            r#"{"count":1.0,"other":null,"at":"2026-11-22T01:44:00Z"}"#,
            r#"{"count":-1,"other":null,"at":"2026-11-22T01:44:00Z"}"#,
            r#"{"count":1,"other":null,"at":"2026-11-22T02:44:00+01:00"}"#,
            r#"{"count":1,"other":null,"at":"2026-11-22T01:44:00.500Z"}"#,
            r#"{"count":1,"other":null,"at":"yesterday"}"#,
        ] {
            assert!(serde_json::from_str::<Sample>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn large_integers_are_not_written() {
        let at = Timestamp::UNIX_EPOCH;
        assert!(serde_json::to_string(&Sample { count: 1 << 53, other: None, at }).is_err());
        assert!(serde_json::to_string(&Sample { count: 1, other: Some(1 << 53), at }).is_err());
    }
}
