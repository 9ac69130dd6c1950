//! The query of a request, key by key.
//!
//! A rule lists the keys that a request may use, so the split must be the server's: at `&` only. A raw `;`, which
//! some servers take for a separator too, is refused. Values are free: a rule that lists a key allows any value.

use percent_encoding::percent_decode_str;

use crate::path::{TargetError, canonical};

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The key, decoded, `+` as a space.
    pub(crate) key: String,
    /// Key and value as they are sent.
    pub(crate) written: String,
}

/// Splits what follows the question mark.
pub(crate) fn parse(query: &str) -> Result<Vec<Pair>, TargetError> {
    query
        .split('&')
        .map(|pair| {
            // `;` is a `pchar`; see the module's head.
            if pair.contains(';') {
                return Err(TargetError::Encode(';'));
            }
            let written = canonical(pair, b"/?", escape)?;
            let key = written.split_once('=').map_or(written.as_str(), |(key, _)| key).replace('+', " ");
            let key = percent_decode_str(&key).decode_utf8().map_err(|_| TargetError::QueryKey)?;
            if key.is_empty() {
                return Err(TargetError::EmptyQuery);
            }
            if key.chars().any(char::is_control) {
                return Err(TargetError::QueryKey);
            }
            Ok(Pair { key: key.into_owned(), written })
        })
        .collect()
}

/// Which escapes a query may hold: any but NUL, which ends a text in C.
fn escape(byte: u8) -> Result<(), TargetError> {
    if byte == 0 { Err(TargetError::Hidden(0)) } else { Ok(()) }
}
