//! Where a service lives: scheme, host and port, in one canonical form.
//!
//! An origin is normalised once, when the binding is read, and compared as a value ever after. The grammar is
//! closed: `scheme://host[:port]` and nothing else. User names, paths, queries, fragments, wildcards, trailing dots
//! and the many other spellings of an IPv4 address are refused rather than interpreted, because each has been
//! somebody's way around an allow list.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

/// The scheme of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP: only where every listed address is loopback.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A canonical origin. Two origins are the same if and only if they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {why}")]
pub struct OriginError {
    text: String,
    why: &'static str,
}

impl Origin {
    /// Parses `scheme://host[:port]`.
    ///
    /// # Errors
    ///
    /// Everything else, with the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        // What stands before `@` may be a password.
        let shown = || text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("…@{host}"));
        let refuse = |why| OriginError { text: shown(), why };
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
            return Err(refuse("white space, control characters and backslashes are not allowed"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(refuse("it must begin with https:// or http://")),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(refuse("write scheme, host and port only; paths belong in rules"));
        }
        if rest.contains('@') {
            return Err(refuse("user names do not belong here; name a credential instead"));
        }
        if rest.contains(['*', '%']) {
            return Err(refuse("wildcards and percent signs are not allowed"));
        }
        if rest.ends_with(':') {
            return Err(refuse("the port is missing after the colon"));
        }
        let url = Url::parse(text).map_err(|_| refuse("the host or the port is malformed"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if name.ends_with('.') => {
                return Err(refuse("the host ends with a dot"));
            }
            // Some letters are mapped to a dot, and an empty label is no name.
            Some(Host::Domain(name)) if name.contains("..") || dots(name) != dots(rest) => {
                return Err(refuse("the dots of the host are not single full stops"));
            }
            Some(Host::Domain(name)) => name.to_owned(),
            // The URL standard reads `0x7f.1` and `2130706433` as addresses. Only the plain form is accepted.
            Some(Host::Ipv4(address)) if authority_host(rest) == address.to_string() => address.to_string(),
            Some(Host::Ipv4(_)) => return Err(refuse("write an IPv4 address as four decimal numbers")),
            Some(Host::Ipv6(address)) if address.to_ipv4_mapped().is_some() => {
                return Err(refuse("write an IPv4 address as four decimal numbers"));
            }
            Some(Host::Ipv6(address)) => format!("[{address}]"),
            None => return Err(refuse("the host is missing")),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or_else(|| refuse("port 0"))?;
        Ok(Self { scheme, host, port })
    }

    /// Splits a URL into its origin and the rest: path, query and whatever else stands there, for others to judge. A
    /// URL without a path means the root.
    ///
    /// # Errors
    ///
    /// What stands before the path is not an origin.
    pub fn of_url(url: &str) -> Result<(Self, &str), OriginError> {
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url.bytes().skip(authority).position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let (origin, rest) =
            url.split_at_checked(end.map_or(url.len(), |end| authority + end)).unwrap_or((url, ""));
        Ok((Self::parse(origin)?, if rest.is_empty() { "/" } else { rest }))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a lower-case A-label name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, always explicit.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

fn dots(text: &str) -> usize {
    text.matches('.').count()
}

/// The host part of an authority as it was written.
fn authority_host(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_canonical_form() {
        for (text, canonical) in [
            ("https://Mail.Example.Internal", "https://mail.example.internal:443"),
            ("https://mail.example.internal:443", "https://mail.example.internal:443"),
            ("http://127.0.0.1:18008", "http://127.0.0.1:18008"),
            ("http://localhost", "http://localhost:80"),
            ("https://bücher.example", "https://xn--bcher-kva.example:443"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "mail.example",
            "localhost:8080",
            "ftp://mail.example",
            "HTTPS://mail.example",
            "https://",
            "https://mail.example/",
            "https://mail.example?x",
            "https://mail.example#x",
            "https://user@mail.example",
            "https://*.example",
            "https://mail.example.",
            "https://mail..example",
            "https://mail\u{3002}example",
            "https://mail.example:",
            "https://[::ffff:10.0.0.1]",
            "https://mail.example:0",
            "https://mail.example:70000",
            "https://0x7f.1",
            "https://2130706433",
            "https://127.1",
            "https://mail%2eexample",
            "https://mail .example",
            "https://mail\\example",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_an_origin_and_a_path() {
        for (url, origin, path) in [
            ("https://web.example/a/b?c=d", "https://web.example:443", "/a/b?c=d"),
            ("https://WEB.example", "https://web.example:443", "/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "/"),
            ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "/x"),
            // Whatever is no path is refused when the rules are asked.
            ("https://web.example?c=d", "https://web.example:443", "?c=d"),
        ] {
            let (found, rest) = Origin::of_url(url).unwrap();
            assert_eq!((found.to_string().as_str(), rest), (origin, path), "{url}");
        }
        for url in [
            "",
            "/a",
            "web.example/a",
            "ftp://web.example/",
            "https://user@web.example/",
            "https://web.example:0x50/",
            "https:///a",
            "://web.example/",
        ] {
            assert!(Origin::of_url(url).is_err(), "{url}");
        }
    }
}
