//! Builds the HTTP/1.1 request that goes on the wire.
//!
//! Everything is written anew: the request line from the method and the target that a rule matched, `Host` from the
//! origin, the length from the body, the credential from the secret. Field names that steer the connection itself, and
//! the credential's own, are the host's; a request that brings one is refused, even if a rule should have let it pass.
//! Secrets that belong in the body are written last, into a body that nobody else sees.
//!
//! Both forms of a secret, the field and the body, are wiped when the request is dropped. What HTTP and TLS copy of
//! them into their own buffers is not.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use ops_policy::body::{self, BodyError};
use ops_policy::message::WireRequest;
use ops_policy::origin::{Origin, Scheme};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The most header fields that a request has.
pub const MOST_HEADERS: usize = 100;

/// Names that only the host may write: they frame the message, choose the server, or change what comes back so that
/// it could not be scrubbed (`accept-encoding`).
const OURS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is added to a request so that the service knows us.
#[derive(Clone, Copy, Debug)]
pub struct Credential<'a> {
    /// The field's name, for example `Authorization`.
    pub header: &'a str,
    /// The field's value, with `{}` where the secret goes, for example `Bearer {}`.
    pub form: &'a str,
    /// The secret.
    pub secret: &'a Secret,
}

/// A secret that belongs in the body.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// Where: a JSON pointer without `*`. The body holds [`body::PLACEHOLDER`] there.
    pub at: &'a str,
    /// The secret.
    pub secret: &'a Secret,
}

/// Why a request cannot be written. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is no method, or CONNECT, which would turn the connection into a tunnel.
    #[error("the method is malformed or not allowed")]
    Method,
    /// It is not a path with an optional query.
    #[error("the path is malformed")]
    Target,
    /// A field's name or value is malformed.
    #[error("header field {0} is malformed")]
    Header(usize),
    /// The field is the host's to write.
    #[error("the header field `{0}` is written by the host; leave it out")]
    Reserved(String),
    /// There are more than [`MOST_HEADERS`].
    #[error("there are more than {MOST_HEADERS} header fields")]
    TooMany,
    /// The credential's field cannot be written.
    #[error("the credential's header or its `as:` text is malformed; mend the binding")]
    Credential,
    /// A secret has no place in the body.
    #[error("a secret cannot be written into the body: {0}")]
    Filling(BodyError),
}

/// The request for an origin.
///
/// # Errors
///
/// A part of it is malformed, or is the host's to write.
pub fn build(
    origin: &Origin,
    request: &WireRequest,
    credential: Option<Credential<'_>>,
    fillings: &[Filling<'_>],
) -> Result<Request<Full<Bytes>>, WireError> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| WireError::Method)?;
    if method == Method::CONNECT {
        return Err(WireError::Method);
    }
    let target = target(&request.target)?;
    let added = credential.map(field).transpose()?;

    let mut headers = HeaderMap::new();
    headers.insert(HOST, host(origin)?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let body = filled(request, fillings)?;
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&method);
    if request.body.is_some() || expects_body {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    add_guest_fields(&mut headers, request, added.as_ref().map(|(name, _)| name))?;
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("ops/", env!("CARGO_PKG_VERSION"))));
    }
    if let Some((name, value)) = added {
        headers.insert(name, value);
    }

    let mut wire = Request::new(Full::new(body));
    *wire.method_mut() = method;
    *wire.uri_mut() = target;
    *wire.headers_mut() = headers;
    Ok(wire)
}

/// Origin form, byte for byte what was matched.
fn target(text: &str) -> Result<Uri, WireError> {
    let parsed = PathAndQuery::try_from(text).map_err(|_| WireError::Target)?;
    // The parser drops a fragment and takes `*`; what goes out must be what was decided about.
    if !text.starts_with('/') || parsed.as_str() != text {
        return Err(WireError::Target);
    }
    Ok(Uri::from(parsed))
}

fn host(origin: &Origin) -> Result<HeaderValue, WireError> {
    let default = match origin.scheme() {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let text = if origin.port() == default {
        origin.host().to_owned()
    } else {
        format!("{}:{}", origin.host(), origin.port())
    };
    HeaderValue::try_from(text).map_err(|_| WireError::Target)
}

/// The body with the secrets in their places.
fn filled(request: &WireRequest, fillings: &[Filling<'_>]) -> Result<Bytes, WireError> {
    let plain = request.body.as_deref().unwrap_or_default();
    if fillings.is_empty() {
        return Ok(Bytes::copy_from_slice(plain));
    }
    let values: Vec<_> = fillings.iter().map(|filling| (filling.at, filling.secret.expose())).collect();
    body::fill(plain, &values).map(Bytes::from_owner).map_err(WireError::Filling)
}

fn field(credential: Credential<'_>) -> Result<(HeaderName, HeaderValue), WireError> {
    let name = HeaderName::try_from(credential.header).map_err(|_| WireError::Credential)?;
    let (before, after) = credential.form.split_once("{}").ok_or(WireError::Credential)?;
    if is_ours(&name) || after.contains("{}") {
        return Err(WireError::Credential);
    }
    let secret = credential.secret.expose();
    // One allocation: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(before.len() + secret.len() + after.len()));
    text.extend([before, secret, after]);
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| WireError::Credential)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn add_guest_fields(
    headers: &mut HeaderMap,
    request: &WireRequest,
    credential: Option<&HeaderName>,
) -> Result<(), WireError> {
    if request.headers.len() > MOST_HEADERS {
        return Err(WireError::TooMany);
    }
    for (index, header) in request.headers.iter().enumerate() {
        let name = HeaderName::try_from(&header.name).map_err(|_| WireError::Header(index))?;
        let value = HeaderValue::try_from(&header.value).map_err(|_| WireError::Header(index))?;
        if is_ours(&name) || Some(&name) == credential {
            return Err(WireError::Reserved(name.to_string()));
        }
        headers.try_append(name, value).map_err(|_| WireError::TooMany)?;
    }
    Ok(())
}

fn is_ours(name: &HeaderName) -> bool {
    OURS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body;
    use ops_policy::message::Header;

    fn request(method: &str, target: &str, headers: &[(&str, &str)], body: Option<&str>) -> WireRequest {
        let field = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: (*value).into() };
        WireRequest {
            method: method.into(),
            target: target.into(),
            headers: headers.iter().map(field).collect(),
            body: body.map(|body| body.as_bytes().to_vec()),
        }
    }

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    /// The destination is the binding's. Nothing that a guest or its caller sends has a part in it.
    #[test]
    fn host_comes_from_the_origin() {
        for (text, host) in [
            ("https://Mail.Example", "mail.example"),
            ("https://mail.example:8443", "mail.example:8443"),
            ("http://127.0.0.1", "127.0.0.1"),
            ("https://mail.example:80", "mail.example:80"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            let wire = build(&origin(text), &request("GET", "/", &[], None), None, &[]).unwrap();
            assert_eq!(wire.headers()[HOST], host, "{text}");
        }
    }

    #[test]
    fn the_target_goes_out_as_it_was_matched() {
        for text in ["/", "/a/b?c=d&e=%20", "/jmap/", "/a?b?c", "/a%2Fb"] {
            let wire =
                build(&origin("https://a.example"), &request("GET", text, &[], None), None, &[]).unwrap();
            assert_eq!(wire.uri().to_string(), text);
        }
        for text in
            ["", "*", "a", "https://evil.example/", "/a#b", "/a b", "/a\r\nX: y", "?a", "@evil.example/"]
        {
            let refused = build(&origin("https://a.example"), &request("GET", text, &[], None), None, &[]);
            assert_eq!(refused.unwrap_err(), WireError::Target, "{text}");
        }
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        for (method, body, length) in [
            ("GET", None, None),
            ("DELETE", None, None),
            ("POST", None, Some("0")),
            ("PUT", Some(""), Some("0")),
            ("POST", Some("gr\u{fc}n"), Some("5")),
            ("GET", Some("x"), Some("1")),
        ] {
            let wire =
                build(&origin("https://a.example"), &request(method, "/", &[], body), None, &[]).unwrap();
            let written = wire.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!(written, length, "{method} {body:?}");
        }
    }

    #[test]
    fn fields_of_the_host_are_refused_from_a_guest() {
        let secret = Secret::for_test("mail", "hunter2!");
        let credential = Credential { header: "X-Api-Key", form: "{}", secret: &secret };
        for name in OURS.iter().chain(&["Host", "x-api-key", "X-API-KEY"]) {
            let request = request("GET", "/", &[("accept", "*/*"), (name, "1")], None);
            let refused = build(&origin("https://a.example"), &request, Some(credential), &[]).unwrap_err();
            assert_eq!(refused, WireError::Reserved(name.to_ascii_lowercase()));
        }
    }

    #[test]
    fn malformed_parts_are_refused() {
        for (method, header, why) in [
            ("CONNECT", ("a", "b"), WireError::Method),
            ("GET /", ("a", "b"), WireError::Method),
            ("", ("a", "b"), WireError::Method),
            ("GET", ("a b", "c"), WireError::Header(0)),
            ("GET", ("", "c"), WireError::Header(0)),
            ("GET", ("a", "b\r\nhost: evil.example"), WireError::Header(0)),
            ("GET", ("a", "b\0"), WireError::Header(0)),
        ] {
            let refused =
                build(&origin("https://a.example"), &request(method, "/", &[header], None), None, &[]);
            assert_eq!(refused.unwrap_err(), why, "{method} {header:?}");
        }
        let flood = vec![("a", "b"); MOST_HEADERS + 1];
        let refused = build(&origin("https://a.example"), &request("GET", "/", &flood, None), None, &[]);
        assert_eq!(refused.unwrap_err(), WireError::TooMany);
    }

    #[test]
    fn the_credential_is_written_once_and_marked() {
        let secret = Secret::for_test("mail", "hunter2!");
        let of = |header, form| {
            let credential = Credential { header, form, secret: &secret };
            build(&origin("https://a.example"), &request("GET", "/", &[], None), Some(credential), &[])
        };
        let wire = of("Authorization", "Bearer {}").unwrap();
        let value = &wire.headers()["authorization"];
        assert_eq!(value, "Bearer hunter2!");
        assert!(value.is_sensitive());
        assert!(!format!("{wire:?}").contains("hunter2!"));
        for (header, form) in [
            ("host", "{}"),
            ("content-length", "{}"),
            ("a b", "{}"),
            ("a", "x"),
            ("a", "{}{}"),
            ("a", "{}\n"),
        ] {
            assert_eq!(of(header, form).unwrap_err(), WireError::Credential, "{header} {form}");
        }
    }

    #[test]
    fn secrets_go_into_the_body_and_its_length_is_counted_after() {
        let secret = Secret::for_test("mail", "hun\"ter\u{fc}2");
        let filling = Filling { at: "/auth/password", secret: &secret };
        let body = r#"{"auth":{"user":"ops","password":"[secret]"}}"#;
        let post = request("POST", "/", &[("content-type", "application/json")], Some(body));
        let wire = build(&origin("https://a.example"), &post, None, &[filling]).unwrap();
        let expected = "{\"auth\":{\"user\":\"ops\",\"password\":\"hun\\\"ter\u{fc}2\"}}";
        assert_eq!(wire.headers()[CONTENT_LENGTH], expected.len().to_string());
        let mut body = wire.into_body();
        let frame = std::pin::Pin::new(&mut body)
            .poll_frame(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        let std::task::Poll::Ready(Some(Ok(frame))) = frame else { panic!("no body") };
        assert_eq!(frame.into_data().unwrap(), expected);
    }

    #[test]
    fn a_body_without_the_place_is_refused_and_the_secret_not_shown() {
        let secret = Secret::for_test("mail", "hunter2!");
        let filling = Filling { at: "/auth/password", secret: &secret };
        for body in [None, Some(""), Some("{}"), Some("not JSON"), Some(r#"{"auth":{"password":"mine"}}"#)] {
            let post = request("POST", "/", &[], body);
            let error = build(&origin("https://a.example"), &post, None, &[filling]).unwrap_err();
            assert!(matches!(error, WireError::Filling(_)), "{body:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
