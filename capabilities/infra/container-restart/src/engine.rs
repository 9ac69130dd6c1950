//! The Docker Engine API, version 1.44: as much of it as a restart takes. That version is spoken by every engine from
//! 25.0 on.

use ops_guest::{Ctx, Failure, Request};
use serde::Deserialize;
use serde_json::json;

/// The service.
pub(crate) const SERVICE: &str = "docker";

/// What the engine says of a container's own health check.
#[derive(Clone, Copy)]
pub(crate) enum Health {
    /// It is content.
    Healthy,
    /// There is none.
    None,
}

/// What is looked at of an entry of the list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    names: Vec<String>,
}

/// Refuses what is no name of a container: the name becomes a part of paths.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_name = name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if is_name { Ok(()) } else { Err(Failure::invalid(format!("{name:?} is no name of a container"))) }
}

/// Whether there is a container of this name that runs, with this health.
pub(crate) fn runs(ctx: &Ctx, name: &str, health: Health) -> Result<bool, Failure> {
    let health = match health {
        Health::Healthy => "healthy",
        Health::None => "none",
    };
    // The engine takes the name for a regular expression, so only the dot needs an escape, and other names of the
    // container may match: the entry is looked at again.
    let pattern = format!("^/{}$", name.replace('.', "\\."));
    let filters = json!({"health": [health], "name": [pattern], "status": ["running"]}).to_string();
    let path = format!("/v1.44/containers/json?filters={}", percent(&filters));
    let list: Vec<Entry> = ctx.fetch(Request::get(SERVICE, path))?.json()?;
    Ok(list.iter().flat_map(|entry| &entry.names).any(|known| known.strip_prefix('/') == Some(name)))
}

/// The request to restart it.
pub(crate) fn restart(name: &str, stop_seconds: u32) -> Request {
    Request::new("POST", SERVICE, format!("/v1.44/containers/{name}/restart?t={stop_seconds}"))
}

/// Percent-encodes everything but letters, digits, and `-._~` (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, good) in [
            ("authentik-server", true),
            ("a.b_c-1", true),
            ("", false),
            ("..", false),
            ("-a", false),
            ("a/b", false),
            ("a b", false),
            ("a?t=0", false),
            ("ä", false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn what_has_a_meaning_in_a_query_is_encoded() {
        assert_eq!(percent("{\"a\":[\"^/b$\"]}&%+~"), "%7B%22a%22%3A%5B%22%5E%2Fb%24%22%5D%7D%26%25%2B~");
    }
}
