//! `ops explain`: what would be decided about a request, by the lock's own binding and manifest. Nothing is run and
//! nothing is sent, so the name behind the URL is not looked up either.

use jiff::Timestamp;
use ops_policy::decide::Door;
use ops_policy::explain::{self, Explanation, UrlError};
use ops_policy::manifest::Safety;
use ops_policy::message::Header;

use crate::ending::Ending;
use crate::runner::Runner;

/// The code of an end where no service is what the URL names.
pub const NO_SERVICE: &str = "no-service";

/// A request to be judged.
#[derive(Clone, Debug)]
pub struct Question {
    /// The capability that would make it.
    pub capability: String,
    /// HTTP method.
    pub method: String,
    /// `scheme://host[:port]/path`, or `SERVICE:/path`.
    pub url: String,
    /// Header fields that the guest would set.
    pub headers: Vec<Header>,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
}

impl Runner {
    /// What would become of a request.
    ///
    /// # Errors
    ///
    /// There is no such capability or service, or the lock does not vouch for it.
    pub fn explain(&self, question: Question) -> Result<Explanation, Ending> {
        let Question { capability: name, method, url, headers, body } = question;
        if !self.is_bound(&name) {
            return Err(self.unknown_capability(&name));
        }
        let pinned = self.pinned(Timestamp::now())?;
        let capability = pinned.capability(self.workspace(), &name)?;
        // What a run would be refused for before it begins.
        pinned
            .settings
            .admit(&capability.binding)
            .map_err(|error| Ending::denied("secret", error.to_string()))?;
        let (manifest, binding) = (&capability.manifest, &capability.binding);
        let request =
            explain::request_for(manifest, binding, &method, &url, headers, body).map_err(|error| {
                let usage = Ending::usage(error.to_string());
                match error {
                    UrlError::NoService(..) | UrlError::NoName(..) => {
                        Ending { code: Some(NO_SERVICE), ..usage }
                    }
                    _ => usage,
                }
            })?;
        // A read-only capability has no other way to ask.
        let door = (binding.safety == Safety::ReadOnly).then_some(Door::Fetch);
        Ok(explain::explain(manifest, binding, &request, door))
    }
}
