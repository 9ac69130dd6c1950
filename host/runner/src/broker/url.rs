//! From the URL of a plain `wasi:http` request to a service of the binding.
//!
//! A guest of ours names a service; one that was written for `wasi:http` names an origin. It reaches the service
//! that is bound to exactly that origin, by the same rules, and no other.

use ops_policy::decide::{Door, decide};
use ops_policy::message::Request;
use ops_policy::origin::Origin;
use ops_policy::rights::Rights;
use ops_policy::visible::{clip, visible};
use ops_sandbox::broker::HttpRequest;

/// The longest piece of a URL in a message, in bytes.
const MAX_TEXT: usize = 200;

/// The same request to a service. Of two services with one origin, the first by name whose rules let it through.
///
/// # Errors
///
/// For people: no service that the run may use has this origin.
pub(super) fn request_of(rights: &Rights, request: &HttpRequest) -> Result<Request, String> {
    let (origin, path) = split(&request.url)?;
    let to = |service: &String| Request {
        service: service.clone(),
        method: request.method.clone(),
        path: path.to_owned(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    };
    let there: Vec<_> = rights
        .services
        .iter()
        .filter(|(_, service)| service.grant.origin == origin)
        .map(|(name, _)| to(name))
        .collect();
    let allowed = there.iter().position(|request| decide(rights, Door::Fetch, request).is_ok());
    there.into_iter().nth(allowed.unwrap_or(0)).ok_or_else(|| {
        format!(
            "no service that this capability may use has the origin {origin}; in its binding, \
             give one under `services:` with `origin: {origin}` and a rule with `effect: read`"
        )
    })
}

/// Origin and path with query. A URL without a path means its root.
fn split(url: &str) -> Result<(Origin, &str), String> {
    let malformed = || format!("`{}` is no http: or https: URL", clip(&visible(url), MAX_TEXT));
    let authority = url.find("://").map(|at| at + 3).ok_or_else(malformed)?;
    let rest = url.get(authority..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let (origin, path) = url.split_at_checked(end).ok_or_else(malformed)?;
    let origin = Origin::parse(origin).map_err(|why| format!("{}: {why}", malformed()))?;
    Ok((origin, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let (found, rest) = split(url).unwrap();
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
            assert!(split(url).is_err(), "{url}");
        }
    }
}
