//! Header fields: which a guest may always set, which a rule may list, and which nobody may.
//!
//! A request's meaning is method, path, query and body, because those are what a rule judges. So no field may be
//! listed that changes them at the server (method and path overrides, framing, hop-by-hop fields), or that says
//! where the request goes or who sends it.

use crate::message::Header;
use crate::visible;

/// What a guest may set without being listed.
pub(crate) const ALWAYS: [&str; 4] = ["accept", "content-type", "if-match", "if-none-match"];

/// The most fields in one request.
const COUNT: usize = 32;
/// The most bytes of names and values in one request.
const BYTES: usize = 16 * 1024;

/// Set by nobody. What the egress writes itself (`OURS` in its `wire.rs`) is among them, so that a rule that lists such a
/// field is refused when the binding is read and not when the first request is sent.
const NEVER: [&str; 28] = [
    // the message's frame and the connection
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    // an answer that cannot be read cannot be scrubbed of secrets
    "accept-encoding",
    // which server, and for whom
    "client-ip",
    "forwarded",
    "host",
    "true-client-ip",
    "x-client-ip",
    "x-host",
    "x-original-host",
    "x-real-ip",
    // another method or path than the one that was judged
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
];

const NEVER_PREFIXES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// Whether a name is an RFC 9110 token.
pub(crate) fn is_token(name: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(tchar)
}

/// Whether a field may be set by nobody. The name is in lower case.
pub(crate) fn is_forbidden(name: &str) -> bool {
    let name = name.replace('_', "-");
    NEVER.contains(&name.as_str()) || NEVER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a server could take two names for one: those that hand fields on as variables (CGI, WSGI, PHP) read `_`
/// and `-` as one. The names are in lower case.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    one.bytes().map(dashed).eq(other.bytes().map(dashed))
}

/// Checks what a guest set, and writes it in one form: names in lower case, values trimmed. What nobody may set is
/// refused here, because no rule could let it pass.
pub(crate) fn canonical(headers: &[Header]) -> Result<Vec<Header>, String> {
    if headers.len() > COUNT {
        return Err(format!("more than {COUNT} header fields"));
    }
    if headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>() > BYTES {
        return Err("more than 16 KiB of header fields".to_owned());
    }
    let mut plain: Vec<Header> = Vec::with_capacity(headers.len());
    for header in headers {
        if !is_token(&header.name) {
            return Err("a header name is not a token".to_owned());
        }
        let name = header.name.to_ascii_lowercase();
        if is_forbidden(&name) {
            return Err(format!("`{}` can never be set by a capability", visible::clip(&name, 64)));
        }
        if !header.value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(format!("the value of `{name}` is not visible ASCII"));
        }
        // Servers differ in which of two they take.
        if plain.iter().any(|earlier| is_same(&earlier.name, &name)) {
            return Err(format!("`{name}` is given twice"));
        }
        plain.push(Header { name, value: header.value.trim_matches(' ').to_owned() });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Header {
        Header { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn names_become_lower_case_and_values_trimmed() {
        assert_eq!(canonical(&[one("Accept", " a b ")]), Ok(vec![one("accept", "a b")]));
    }

    #[test]
    fn malformed_fields_are_refused() {
        for (headers, why) in [
            (vec![one("", "x")], "not a token"),
            (vec![one("a b", "x")], "not a token"),
            (vec![one("a:", "x")], "not a token"),
            (vec![one("a\r\nb", "x")], "not a token"),
            (vec![one("ä", "x")], "not a token"),
            (vec![one("a", "x\r\nHost: y")], "not visible ASCII"),
            (vec![one("a", "x\0")], "not visible ASCII"),
            (vec![one("a", "\t")], "not visible ASCII"),
            (vec![one("a", "é")], "not visible ASCII"),
            (vec![one("a", "x"), one("A", "y")], "given twice"),
            (vec![one("x-a", "x"), one("X_A", "y")], "given twice"),
            (vec![one("a", "x"); 33], "more than 32"),
            (vec![one("a", &"x".repeat(16 * 1024))], "more than 16 KiB"),
        ] {
            let error = canonical(&headers).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn forbidden() {
        for name in [
            "host",
            "x_http_method_override",
            "x-http-method_override",
            "x-forwarded-for",
            "proxy-authorization",
            "transfer-encoding",
            "accept-encoding",
            "http2-settings",
            "http2_settings",
            "expect",
        ] {
            assert!(is_forbidden(name), "{name}");
        }
        for name in ["accept", "cookie", "idempotency-key", "range", "authorization"] {
            assert!(!is_forbidden(name), "{name}");
        }
    }
}
