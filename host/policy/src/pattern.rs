//! Patterns of paths: exact, `{x}` for one segment, a final `/**` for the rest.
//!
//! | pattern | matches | does not match |
//! |---|---|---|
//! | `/jmap/` | `/jmap/` | `/jmap`, `/jmap/x` |
//! | `/vms/{id}/start` | `/vms/214/start` | `/vms//start`, `/vms/2/1/start` |
//! | `/a/**` | `/a/b`, `/a/b/`, `/a/b/c` | `/a`, `/a/` |
//!
//! A trailing slash counts. What stands literally is in the plain spelling of [`crate::path`], so that a pattern
//! and a request can be compared byte by byte.

use std::fmt;

use crate::path::{TargetError, canonical_path};

/// The longest pattern, in bytes.
const PATTERN_BYTES: usize = 1024;

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    /// Whether it ends with `/**`.
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than 1 KiB.
    #[error("it is longer than 1 KiB")]
    TooLong,
    /// A star elsewhere than in a final `/**`.
    #[error("`*` stands only in a final `/**`; write `{{x}}` for one segment")]
    Star,
    /// A brace that does not enclose a whole segment.
    #[error("`{{name}}` stands for a whole segment; the name is letters, digits, `-` and `_`")]
    Braces,
    /// A query.
    #[error("it holds a `?`; list query keys in `query`")]
    Query,
    /// Escapes in lower case, which no request has when it is compared.
    #[error("write its escapes in upper case, such as %C3")]
    Case,
    /// A literal part that no request can have.
    #[error("{0}")]
    Literal(#[from] TargetError),
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// Every text that is not a pattern, or that no request can match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.contains('?') {
            return Err(PatternError::Query);
        }
        let (fixed, open) = match text.strip_suffix("/**") {
            Some(fixed) => (fixed, true),
            None => (text, false),
        };
        if fixed.contains('*') {
            return Err(PatternError::Star);
        }
        let segments = fixed.split('/').skip(1).map(segment).collect::<Result<Vec<_>, _>>()?;
        // The whole is checked once as a path, with a plain word in each free segment.
        let sample: Vec<&str> = fixed.split('/').map(|part| if is_free(part) { "x" } else { part }).collect();
        let sample = sample.join("/");
        if open && sample.ends_with('/') {
            return Err(TargetError::EmptySegment.into());
        }
        if !(open && sample.is_empty()) {
            let plain = canonical_path(&sample)?;
            if plain != sample {
                return Err(PatternError::Case);
            }
        }
        Ok(Self { text: text.to_owned(), segments, open })
    }

    /// Whether a path in its plain spelling matches.
    pub fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            let fits = match segment {
                Segment::Literal(text) => part == text,
                Segment::Any => !part.is_empty(),
            };
            if !fits {
                return false;
            }
        }
        match parts.next() {
            None => !self.open,
            Some(first) => self.open && !first.is_empty(),
        }
    }

    /// Whether every path that `other` matches is one that this matches.
    pub fn subsumes(&self, other: &Self) -> bool {
        let covered = |(ours, theirs): (&Segment, &Segment)| ours.meet(theirs).as_ref() == Some(theirs);
        if other.segments.len() < self.segments.len()
            || !self.segments.iter().zip(&other.segments).all(covered)
        {
            return false;
        }
        match other.segments.get(self.segments.len()) {
            None => self.open == other.open,
            Some(next) => self.open && !next.is_empty(),
        }
    }

    /// What exactly the paths match that both match; `None` where there are none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let (short, long) =
            if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        let open = match long.segments.get(short.segments.len()) {
            None if short.open != long.open => return None,
            Some(next) if !short.open || next.is_empty() => return None,
            _ => long.open,
        };
        let mut segments: Vec<Segment> = short
            .segments
            .iter()
            .zip(&long.segments)
            .map(|(one, other)| one.meet(other))
            .collect::<Option<_>>()?;
        segments.extend(long.segments.iter().skip(short.segments.len()).cloned());
        Some(Self::of(segments, open))
    }

    /// The pattern with every free segment written `{x}`: two patterns match the same paths if and only if these are
    /// equal.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self::of(self.segments.clone(), self.open)
    }

    fn of(segments: Vec<Segment>, open: bool) -> Self {
        let mut text = String::new();
        for segment in &segments {
            text.push('/');
            text.push_str(match segment {
                Segment::Literal(literal) => literal,
                Segment::Any => "{x}",
            });
        }
        text.push_str(if open { "/**" } else { "" });
        Self { text, segments, open }
    }
}

impl Segment {
    /// Whether it is the nothing behind a final slash.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Literal(text) if text.is_empty())
    }

    /// What fits both.
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, any) | (any, Self::Any) => (!any.is_empty()).then(|| any.clone()),
            (one, other) => (one == other).then(|| one.clone()),
        }
    }
}

fn is_free(part: &str) -> bool {
    part.starts_with('{') && part.ends_with('}')
}

fn segment(part: &str) -> Result<Segment, PatternError> {
    if !part.contains(['{', '}']) {
        return Ok(Segment::Literal(part.to_owned()));
    }
    let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(PatternError::Braces)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(PatternError::Braces);
    }
    Ok(Segment::Any)
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        for (pattern, yes, no) in [
            ("/", vec!["/"], vec!["/a", "/a/"]),
            ("/jmap/", vec!["/jmap/"], vec!["/jmap", "/jmap/x", "/JMAP/"]),
            ("/a/{x}/c", vec!["/a/b/c", "/a/..c/c"], vec!["/a//c", "/a/b/b/c", "/a/b/c/", "/a/c"]),
            ("/a/{x}", vec!["/a/b"], vec!["/a/", "/a", "/a/b/"]),
            ("/a/**", vec!["/a/b", "/a/b/", "/a/b/c"], vec!["/a", "/a/", "/ab", "/b/c"]),
            ("/{x}/**", vec!["/a/b"], vec!["/a", "/a/"]),
            ("/**", vec!["/a", "/a/b"], vec!["/"]),
            ("/b%C3%A9", vec!["/b%C3%A9"], vec!["/b%C3%AA"]),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            for path in yes {
                assert!(parsed.matches(path), "{pattern} {path}");
            }
            for path in no {
                assert!(!parsed.matches(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn refused() {
        for (pattern, error) in [
            ("", PatternError::Literal(TargetError::Form)),
            ("a/b", PatternError::Literal(TargetError::Form)),
            ("**", PatternError::Star),
            ("/a/*", PatternError::Star),
            ("/a/*/b", PatternError::Star),
            ("/a/**/b", PatternError::Star),
            ("/a*", PatternError::Star),
            ("/**/**", PatternError::Star),
            ("/a{x}", PatternError::Braces),
            ("/{x", PatternError::Braces),
            ("/{}", PatternError::Braces),
            ("/{a}{b}", PatternError::Braces),
            ("/a?x=1", PatternError::Query),
            ("/a//b", PatternError::Literal(TargetError::EmptySegment)),
            ("/a//**", PatternError::Literal(TargetError::EmptySegment)),
            ("//**", PatternError::Literal(TargetError::EmptySegment)),
            ("/a/../b", PatternError::Literal(TargetError::DotSegment)),
            ("/a%2fb", PatternError::Literal(TargetError::Hidden(b'/'))),
            ("/b%c3%a9", PatternError::Case),
            ("/a b", PatternError::Literal(TargetError::Encode(' '))),
        ] {
            assert_eq!(PathPattern::parse(pattern), Err(error), "{pattern}");
        }
    }
}
