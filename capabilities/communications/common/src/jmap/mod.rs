//! JMAP (RFC 8620, RFC 8621), as far as the capabilities speak it: the session, requests, answers.
//!
//! The names of methods and the back references between calls are constants of the code ([`Call`]). Text that people
//! type goes into values only, so it can neither name a method nor refer to another call's result.

mod answers;
mod session;

pub use answers::Answers;
pub use session::{Account, Session};

use serde::Serialize;
use serde_json::{Value, json};

/// The service that bindings map to the mail server.
pub const SERVICE: &str = "mail";
/// What every request uses.
pub const CORE: &str = "urn:ietf:params:jmap:core";
/// Mailboxes and messages.
pub const MAIL: &str = "urn:ietf:params:jmap:mail";
/// Sending.
pub const SUBMISSION: &str = "urn:ietf:params:jmap:submission";

/// One method call. Its name is its call id too: no request of ours calls a method twice.
#[derive(Clone, Debug, Serialize)]
pub struct Call(&'static str, Value, &'static str);

impl Call {
    /// Calls this method, for example `Email/get`, with these arguments, an object.
    pub fn new(method: &'static str, arguments: Value) -> Self {
        Self(method, arguments, method)
    }
}

/// A part of an earlier call's answer, for an argument whose name begins with `#` (RFC 8620, section 3.7).
pub fn reference(method: &'static str, path: &'static str) -> Value {
    json!({"resultOf": method, "name": method, "path": path})
}

/// Whether the server's id may stand in a JSON pointer or as a key (RFC 8620, section 1.2).
pub fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Text that a server marked up for a browser (RFC 8621, section 5): without the marks, and with the characters that
/// it escaped.
pub fn plain(marked: &str) -> String {
    let bare = marked.replace("<mark>", "").replace("</mark>", "");
    let bare = bare.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    // Last, so that what it makes is not taken for another escape.
    bare.replace("&#39;", "'").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_three_things() {
        let call = Call::new("Email/get", json!({"#ids": reference("Email/query", "/ids")}));
        assert_eq!(
            serde_json::to_value(call).unwrap(),
            json!(["Email/get", {"#ids": {"resultOf": "Email/query", "name": "Email/query", "path": "/ids"}}, "Email/get"])
        );
    }

    #[test]
    fn ids() {
        let long = "a".repeat(256);
        for (id, good) in
            [("P3-_x", true), ("", false), ("a/b", false), ("a~1b", false), ("#draft", false), (&long, false)]
        {
            assert_eq!(is_id(id), good, "{id}");
        }
    }

    #[test]
    fn snippets_lose_their_markup() {
        for (marked, expected) in [
            ("the <mark>disk</mark> is full", "the disk is full"),
            ("a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;", "a <b> & \"c\" 'd'"),
            ("&amp;lt;", "&lt;"),
            ("", ""),
        ] {
            assert_eq!(plain(marked), expected);
        }
    }
}
