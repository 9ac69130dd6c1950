//! A JSON value that means one thing: to us, and to the server that reads what we write of it.
//!
//! JSON leaves open what twin keys mean, and many parsers treat keys that differ in case as twins, or end them at NUL.
//! Such a body would be judged by one reading and obeyed by another, so it is refused. Numbers are integers of 64 bits, which
//! survive unchanged; a number with a fraction or an exponent is refused, because rewriting it could change it.
//! The order of keys is kept.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

/// How deep a body may be nested.
const DEPTH: u32 = 64;
/// How many values a body may hold; what bounds the memory that a small body can take.
const VALUES: u32 = 100_000;

/// A value. Objects keep the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    /// Above what an `i64` holds.
    Large(u64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Parses one value and nothing after it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut left = VALUES;
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Reader { depth: DEPTH, left: &mut left }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// Writes the value anew, without white space. That is never longer than what it was read from.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Writes the value anew behind what a buffer holds.
    pub(crate) fn write(&self, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(to, self)
    }
}

struct Reader<'a> {
    depth: u32,
    left: &'a mut u32,
}

impl Reader<'_> {
    fn deeper<E: Error>(&mut self) -> Result<Reader<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested deeper than 64 levels"))?;
        Ok(Reader { depth, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("more than 100000 values"))?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Large(value), Json::Int))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Err(E::custom("a number with a fraction, with an exponent or beyond 64 bits; send it as a text"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.deeper()?)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(A::Error::custom("a key holds NUL, where a server may take it to end"));
            }
            if !seen.insert(fold(&key)) {
                return Err(A::Error::custom("two keys of one object are equal or differ in case only"));
            }
            let value = map.next_value_seed(self.deeper()?)?;
            entries.push((key, value));
        }
        Ok(Json::Map(entries))
    }
}

/// A key without regard to case. Upper first: some letters, such as the long s, meet others only there.
fn fold(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase();
    }
    key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Int(value) => to.serialize_i64(*value),
            Self::Large(value) => to.serialize_u64(*value),
            Self::Text(value) => to.serialize_str(value),
            Self::List(values) => {
                let mut list = to.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for (text, written) in [
            ("null", "null"),
            (" {\"b\" : 1 , \"a\" : [ true, null, \"x\" ] }\n", "{\"b\":1,\"a\":[true,null,\"x\"]}"),
            (
                "[9007199254740993, 18446744073709551615, -9223372036854775808]",
                "[9007199254740993,18446744073709551615,-9223372036854775808]",
            ),
            ("\"\\u0041\\u0000\\ud83d\\ude00\"", "\"A\\u0000😀\""),
            ("{\"a\":{\"b\":1},\"c\":{\"b\":1}}", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"),
        ] {
            let value = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(value.to_bytes().unwrap()).unwrap(), written, "{text}");
        }
    }

    #[test]
    fn two_readings_are_refused() {
        for (text, why) in [
            ("{\"a\":1,\"a\":2}", "equal or differ in case"),
            ("{\"a\":1,\"\\u0061\":2}", "equal or differ in case"),
            ("{\"method\":1,\"Method\":2}", "equal or differ in case"),
            ("{\"s\":1,\"\u{17f}\":2}", "equal or differ in case"),
            ("{\"k\":1,\"\u{212a}\":2}", "equal or differ in case"),
            ("{\"\u{3c3}\":1,\"\u{3c2}\":2}", "equal or differ in case"),
            ("[{\"x\":{\"a\":1,\"A\":2}}]", "equal or differ in case"),
            ("{\"a\":1,\"a\\u0000b\":2}", "holds NUL"),
            ("1.0", "fraction"),
            ("1e2", "fraction"),
            ("-0", "fraction"),
            ("18446744073709551616", "fraction"),
            ("1e400", "number out of range"),
            ("{} {}", "trailing"),
            ("", "EOF"),
            ("\u{feff}{}", "expected value"),
            ("\"\\ud800\"", "hex escape"),
            ("[1,]", "trailing comma"),
            ("{a:1}", "key must be a string"),
        ] {
            let error = Json::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(64).as_bytes()).is_ok());
        assert!(Json::parse(nested(66).as_bytes()).unwrap_err().to_string().contains("64 levels"));
        assert!(Json::parse(nested(1_000_000).as_bytes()).is_err());
        let wide = format!("[{}0]", "0,".repeat(200_000));
        assert!(Json::parse(wide.as_bytes()).unwrap_err().to_string().contains("100000 values"));
    }
}
