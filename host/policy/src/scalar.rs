//! Values that are compared or handed on: booleans, integers and texts, and lists of them. Never floats.
//!
//! YAML reads `0600` as 600.0 and `1.10` as 1.1. Whoever writes such a value means a text, so it is refused with
//! the advice to quote it rather than quietly compared as something else.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A text.
    Text(String),
}

/// A value of a binding's `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// One value.
    One(Scalar),
    /// A list of values.
    Many(Vec<Scalar>),
}

impl Setting {
    /// The setting as JSON, as the guest sees it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::One(scalar) => scalar.to_json(),
            Self::Many(list) => list.iter().map(Scalar::to_json).collect(),
        }
    }
}

impl Scalar {
    /// The value as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

const ONE: &str = "a boolean, an integer or a text";
const ONE_OR_MANY: &str = "a boolean, an integer, a text, or a list of these";

fn float<E: Error>() -> E {
    E::custom("this is read as a number with a fraction or beyond 64 bits, which has no exact form; quote it")
}

struct OneVisitor;

impl Visitor<'_> for OneVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ONE)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        i64::try_from(value).map(Scalar::Int).map_err(|_| float())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar, E> {
        Err(float())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
}

struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ONE_OR_MANY)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Setting, E> {
        OneVisitor.visit_bool(value).map(Setting::One)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Setting, E> {
        OneVisitor.visit_i64(value).map(Setting::One)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Setting, E> {
        OneVisitor.visit_u64(value).map(Setting::One)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Setting, E> {
        OneVisitor.visit_f64(value).map(Setting::One)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Setting, E> {
        OneVisitor.visit_str(value).map(Setting::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Setting, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Setting::Many(values))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneVisitor)
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SettingVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn scalars_keep_their_type() {
        for (text, json) in [
            ("true", "true"),
            ("214", "214"),
            ("-1", "-1"),
            ("\"214\"", "\"214\""),
            ("Email/get", "\"Email/get\""),
            ("\"true\"", "\"true\""),
            ("yes", "\"yes\""),
            ("[1, a, false]", "[1,\"a\",false]"),
            ("[]", "[]"),
        ] {
            let setting: Setting = yaml::parse("x.yaml", text.as_bytes()).unwrap();
            assert_eq!(setting.to_json().to_string(), json, "{text}");
        }
    }

    #[test]
    fn what_has_no_exact_form_is_refused() {
        for text in ["0600", "1.10", "1e3", ".5", "99999999999999999999", "18446744073709551615", "[1.5]"] {
            let error = yaml::parse::<Setting>("x.yaml", text.as_bytes()).unwrap_err();
            assert!(error.message.contains("quote it"), "{text}: {error}");
        }
        for text in ["~", "null", ".nan", "{a: 1}", "[[1]]", "[~]"] {
            assert!(yaml::parse::<Setting>("x.yaml", text.as_bytes()).is_err(), "{text}");
        }
    }
}
