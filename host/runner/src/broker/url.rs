//! From the URL of a plain `wasi:http` request to a service of the binding.
//!
//! A guest of ours names a service; one that was written for `wasi:http` names an origin. It reaches the service
//! that is bound to exactly that origin, by the same rules, and no other.

use ops_policy::decide::{Door, decide};
use ops_policy::message::Request;
use ops_policy::origin::Origin;
use ops_policy::rights::Rights;
use ops_sandbox::broker::HttpRequest;

/// The same request to a service. Of two services with one origin, the first by name whose rules let it through.
///
/// # Errors
///
/// For people: no service that the run may use has this origin.
pub(crate) fn request_of(rights: &Rights, request: &HttpRequest) -> Result<Request, String> {
    let (origin, path) = Origin::of_url(&request.url).map_err(|error| error.to_string())?;
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
        .filter(|(_, service)| service.grant.origin.as_ref() == Some(&origin))
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
