//! Where a request goes: the path and the query that a guest asks for, in one spelling.
//!
//! Every server reads unusual paths in its own way, and each difference has been somebody's way past an allow
//! list. So a path is taken only in its plain spelling, checked in this order: length; ASCII without controls; no
//! other form than `/path?query`; characters that may stand in a path; no escape that hides `/`, `.`, `\`, `%` or
//! a control character, that is needless, or that is not UTF-8; no empty, `.` or `..` segment. What goes out is written anew
//! from what was parsed.

use percent_encoding::percent_decode_str;

use crate::query::{self, Pair};

/// The longest path with its query, in bytes.
const TARGET_BYTES: usize = 8 * 1024;

/// A path and a query in their plain spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTarget {
    path: String,
    query: Vec<Pair>,
}

/// Why a text is not a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than 8 KiB.
    #[error("it is longer than 8 KiB")]
    TooLong,
    /// Not visible ASCII.
    #[error("it holds a character that is not visible ASCII; percent-encode it")]
    Character,
    /// A backslash.
    #[error("it holds a backslash")]
    Backslash,
    /// `#` and what follows.
    #[error("it holds a fragment (`#`), which is never sent")]
    Fragment,
    /// Anything that does not begin with one slash.
    #[error("it does not begin with `/`; scheme and host come from the binding")]
    Form,
    /// A visible character that has no place in a path or a query.
    #[error("`{0}` must be percent-encoded")]
    Encode(char),
    /// A percent sign without two hex digits.
    #[error("`%` is not followed by two hex digits")]
    Escape,
    /// An escape that stands for a separator or a control character.
    #[error("the escape `%{0:02X}` could be read as something else by the server")]
    Hidden(u8),
    /// Escapes that are not UTF-8, such as the overlong form of a slash.
    #[error("its escapes are not UTF-8 text")]
    Encoding,
    /// An escape of a character that needs none.
    #[error("the escape `%{0:02X}` is needless; write the character")]
    Needless(u8),
    /// Two slashes in a row.
    #[error("it holds an empty segment (`//`)")]
    EmptySegment,
    /// A segment that is `.` or `..`, with or without parameters behind a `;`.
    #[error("it holds a dot segment")]
    DotSegment,
    /// A question mark with nothing after it, or a key that is empty.
    #[error("it holds an empty query or an empty query key")]
    EmptyQuery,
    /// A key that is not UTF-8 or holds a control character.
    #[error("a query key is not plain UTF-8 text")]
    QueryKey,
}

impl RequestTarget {
    /// Parses an absolute path with an optional query.
    ///
    /// # Errors
    ///
    /// Every text that is not in the plain spelling of this module.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > TARGET_BYTES {
            return Err(TargetError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TargetError::Character);
        }
        if text.contains('\\') {
            return Err(TargetError::Backslash);
        }
        if text.contains('#') {
            return Err(TargetError::Fragment);
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let path = canonical_path(path)?;
        let query = query.map_or(Ok(Vec::new()), query::parse)?;
        Ok(Self { path, query })
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query's keys, decoded, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|pair| pair.key.as_str())
    }

    /// Path and query as they are sent.
    pub fn to_wire(&self) -> String {
        let mut target = self.path.clone();
        for (index, pair) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&pair.written);
        }
        target
    }
}

/// A path in its plain spelling. Also the grammar of what stands literally in a pattern.
pub(crate) fn canonical_path(path: &str) -> Result<String, TargetError> {
    let segments = path.strip_prefix('/').ok_or(TargetError::Form)?;
    let plain = canonical(path, b"/", path_escape)?;
    // Lax decoders read `%C0%AF` as a slash.
    percent_decode_str(&plain).decode_utf8().map_err(|_| TargetError::Encoding)?;
    let last = segments.split('/').count() - 1;
    for (index, segment) in segments.split('/').enumerate() {
        // Some servers drop `;parameters` before they walk the path.
        let (name, parameters) = segment.split_once(';').map_or((segment, false), |(name, _)| (name, true));
        match name {
            "." | ".." => return Err(TargetError::DotSegment),
            "" if parameters || index < last => return Err(TargetError::EmptySegment),
            _ => {}
        }
    }
    Ok(plain)
}

/// Which escapes a path may hold.
fn path_escape(byte: u8) -> Result<(), TargetError> {
    match byte {
        // `%25` would let a server that decodes twice read any of the others.
        b'/' | b'.' | b'\\' | b'%' | b';' | 0..=0x1f | 0x7f => Err(TargetError::Hidden(byte)),
        byte if is_unreserved(byte) => Err(TargetError::Needless(byte)),
        _ => Ok(()),
    }
}

/// Checks the characters of a part and writes its escapes in upper case. The bytes of `also` are allowed besides `pchar`.
pub(crate) fn canonical(
    text: &str,
    also: &[u8],
    escape: fn(u8) -> Result<(), TargetError>,
) -> Result<String, TargetError> {
    let mut plain = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().ok_or(TargetError::Escape)?, bytes.next().ok_or(TargetError::Escape)?];
            let mut value = [0];
            hex::decode_to_slice(digits, &mut value).map_err(|_| TargetError::Escape)?;
            let [value] = value;
            escape(value)?;
            plain.push_str(&format!("%{value:02X}"));
        } else if also.contains(&byte) || is_pchar(byte) {
            plain.push(char::from(byte));
        } else {
            return Err(TargetError::Encode(char::from(byte)));
        }
    }
    Ok(plain)
}

/// RFC 3986 `unreserved`.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 `pchar` without escapes.
fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_targets() {
        for (text, path, keys, wire) in [
            ("/", "/", vec![], "/"),
            ("/jmap/", "/jmap/", vec![], "/jmap/"),
            ("/.well-known/jmap", "/.well-known/jmap", vec![], "/.well-known/jmap"),
            ("/a/b%c3%a9?x=1&y", "/a/b%C3%A9", vec!["x", "y"], "/a/b%C3%A9?x=1&y"),
            ("/a?x=..%2f&x=2", "/a", vec!["x", "x"], "/a?x=..%2F&x=2"),
            ("/a;v=1/b", "/a;v=1/b", vec![], "/a;v=1/b"),
            ("/a?q=a?b/c", "/a", vec!["q"], "/a?q=a?b/c"),
            ("/a...b/..c", "/a...b/..c", vec![], "/a...b/..c"),
        ] {
            let target = RequestTarget::parse(text).unwrap();
            assert_eq!((target.path(), target.to_wire().as_str()), (path, wire), "{text}");
            assert_eq!(target.keys().collect::<Vec<_>>(), keys, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("/{}", "a".repeat(TARGET_BYTES));
        for (text, error) in [
            ("", TargetError::Form),
            ("a", TargetError::Form),
            ("*", TargetError::Form),
            ("?x=1", TargetError::Form),
            ("https://evil.example/", TargetError::Form),
            ("//evil.example/", TargetError::EmptySegment),
            ("/a//b", TargetError::EmptySegment),
            ("/a/;x/b", TargetError::EmptySegment),
            ("/a/./b", TargetError::DotSegment),
            ("/a/..", TargetError::DotSegment),
            ("/a/..;/b", TargetError::DotSegment),
            ("/a/%2e%2e/b", TargetError::Hidden(b'.')),
            ("/a/.%2E/b", TargetError::Hidden(b'.')),
            ("/a%2fb", TargetError::Hidden(b'/')),
            ("/a%5Cb", TargetError::Hidden(b'\\')),
            ("/a%252fb", TargetError::Hidden(b'%')),
            ("/a%3bb", TargetError::Hidden(b';')),
            ("/a%00", TargetError::Hidden(0)),
            ("/a%0d%0a", TargetError::Hidden(b'\r')),
            ("/a%c0%afb", TargetError::Encoding),
            ("/a%ff", TargetError::Encoding),
            ("/%61dmin", TargetError::Needless(b'a')),
            ("/a%", TargetError::Escape),
            ("/a%4", TargetError::Escape),
            ("/a%zz", TargetError::Escape),
            ("/a\\b", TargetError::Backslash),
            ("/a#b", TargetError::Fragment),
            ("/a b", TargetError::Character),
            ("/a\r\nHost: x", TargetError::Character),
            ("/é", TargetError::Character),
            ("/a\0", TargetError::Character),
            ("/{x}", TargetError::Encode('{')),
            ("/a|b", TargetError::Encode('|')),
            ("/a?", TargetError::EmptyQuery),
            ("/a?&x", TargetError::EmptyQuery),
            ("/a?=1", TargetError::EmptyQuery),
            ("/a?x;y=1", TargetError::Encode(';')),
            ("/a?x=%00", TargetError::Hidden(0)),
            ("/a?%0a=1", TargetError::QueryKey),
            ("/a?%ff=1", TargetError::QueryKey),
            (long.as_str(), TargetError::TooLong),
        ] {
            assert_eq!(RequestTarget::parse(text), Err(error), "{text}");
        }
    }
}
