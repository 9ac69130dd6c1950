//! The session: where the server's interface is, whose mail it is, and what it offers.

use std::collections::BTreeMap;

use http::Uri;
use ops_guest::{Ctx, Failure, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answers, CORE, Call, MAIL, SERVICE};

/// Where a client begins (RFC 8620, section 2.2).
const WELL_KNOWN: &str = "/.well-known/jmap";
/// How many objects a server that says nothing gives at once: the least that RFC 8620 asks of it.
const OBJECTS_IN_GET: u64 = 500;

/// An open session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The id of the account whose mail it is.
    pub account: String,
    /// The name that the credential stands for, where the server tells it.
    pub username: String,
    /// Every account that the credential reaches, by id.
    pub accounts: BTreeMap<String, Account>,
    api: String,
    capabilities: BTreeMap<String, Value>,
}

/// An account that the credential reaches.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Its name, often a mail address.
    #[serde(default)]
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    accounts: BTreeMap<String, Account>,
    capabilities: BTreeMap<String, Value>,
    #[serde(default)]
    primary_accounts: BTreeMap<String, Option<String>>,
}

impl Session {
    /// Asks the service `mail` for its session, and follows one redirect within the service.
    ///
    /// # Errors
    /// As [`Ctx::fetch`]; `Failed` where the answer is no session, offers no mail, or has no mail account.
    pub fn open(ctx: &Ctx) -> Result<Self, Failure> {
        let mut response = ctx.fetch(Request::get(SERVICE, WELL_KNOWN))?;
        // A host never follows a redirect, so it is done here, where the next request is checked like any other.
        if let Some(location) = redirect(&response) {
            response = ctx.fetch(Request::get(SERVICE, path(location)?))?;
        }
        if redirect(&response).is_some() {
            return Err(Failure::failed("the mail server redirects more than once to find its JMAP session"));
        }
        Self::read(&response)
    }

    fn read(response: &Response) -> Result<Self, Failure> {
        let answer: Answer = response.json().map_err(|failure| {
            Failure::failed(format!("the mail server gave no JMAP session: {}", failure.why()))
        })?;
        for needed in [CORE, MAIL] {
            if !answer.capabilities.contains_key(needed) {
                return Err(Failure::failed(format!("the mail server does not offer {needed}")));
            }
        }
        let account = answer.primary_accounts.get(MAIL).cloned().flatten();
        Ok(Self {
            account: account.ok_or_else(|| {
                Failure::failed("the mail server has no mail account for the credential of the binding")
            })?,
            username: answer.username,
            accounts: answer.accounts,
            api: path(&answer.api_url)?,
            capabilities: answer.capabilities,
        })
    }

    /// Whether the server offers a capability, for example [`SUBMISSION`](super::SUBMISSION).
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.contains_key(capability)
    }

    /// How many objects the server gives in one call.
    pub fn objects_in_get(&self) -> u64 {
        let limit = self.capabilities.get(CORE).and_then(|core| core.get("maxObjectsInGet")?.as_u64());
        limit.unwrap_or(OBJECTS_IN_GET).max(1)
    }

    /// A request of these calls, which use core and mail and what else is named.
    ///
    /// # Errors
    /// None that calls of this crate can cause.
    pub fn request(&self, uses: &[&'static str], calls: &[Call]) -> Result<Request, Failure> {
        let using: Vec<_> = [CORE, MAIL].iter().chain(uses).collect();
        Request::post_json(SERVICE, &self.api, &json!({"using": using, "methodCalls": calls}))
    }

    /// Sends calls that only read.
    ///
    /// # Errors
    /// As [`Ctx::fetch`], and `Failed` where the answer is none to a JMAP request. What came of each call is in the
    /// answers.
    pub fn read_calls(&self, ctx: &Ctx, uses: &[&'static str], calls: &[Call]) -> Result<Answers, Failure> {
        Answers::of(&ctx.fetch(self.request(uses, calls)?)?)
    }
}

fn redirect(response: &Response) -> Option<&str> {
    matches!(response.status, 301 | 302 | 303 | 307 | 308).then(|| response.header("location"))?
}

/// Path and query of an absolute or relative URL. Its host is of no use: the binding says where the service is.
fn path(url: &str) -> Result<String, Failure> {
    let path = url.parse::<Uri>().ok().and_then(|uri| uri.path_and_query().map(ToString::to_string));
    path.filter(|path| path.starts_with('/'))
        .ok_or_else(|| Failure::failed(format!("the mail server names an address that is none: {url}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_url_is_cut_to_its_path() {
        for (url, expected) in [
            ("/jmap/", Some("/jmap/")),
            ("https://mail.example.test/jmap/", Some("/jmap/")),
            ("https://mail.example.test:8443/jmap/", Some("/jmap/")),
            ("https://mail.example.test", Some("/")),
            ("/jmap/session?x=1", Some("/jmap/session?x=1")),
            ("/jmap/#part", Some("/jmap/")),
            ("jmap", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(path(url).ok().as_deref(), expected, "{url}");
        }
    }

    fn session(body: &Value) -> Result<Session, Failure> {
        Session::read(&Response { status: 200, headers: vec![], body: body.to_string().into() })
    }

    /// The example of RFC 8620, section 2.1, shortened.
    fn example() -> Value {
        json!({
            "capabilities": {CORE: {"maxObjectsInGet": 256, "maxCallsInRequest": 32}, MAIL: {}},
            "accounts": {
                "A13824": {"name": "john@example.com", "isPersonal": true, "isReadOnly": false},
                "A97813": {"name": "jane@example.com", "isPersonal": false, "isReadOnly": true},
            },
            "primaryAccounts": {MAIL: "A13824", "urn:ietf:params:jmap:contacts": "A13824"},
            "username": "john@example.com",
            "apiUrl": "https://jmap.example.com/api/",
            "downloadUrl": "https://jmap.example.com/download/{accountId}/{blobId}/{name}?accept={type}",
            "state": "75128aab4b1b",
        })
    }

    #[test]
    fn a_session_is_read() {
        let session = session(&example()).unwrap();
        assert_eq!(
            (session.account.as_str(), session.username.as_str(), session.api.as_str()),
            ("A13824", "john@example.com", "/api/")
        );
        assert_eq!(session.accounts["A97813"].name, "jane@example.com");
        assert!(session.offers(MAIL) && !session.offers(super::super::SUBMISSION));
        assert_eq!(session.objects_in_get(), 256);
    }

    #[test]
    fn what_no_session_can_do_without_is_named() {
        let without = |pointer: &str, key: &str| {
            let mut answer = example();
            answer.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(key);
            answer
        };
        let mut null = example();
        null["primaryAccounts"][MAIL] = Value::Null;
        for (answer, part) in [
            (without("/capabilities", MAIL), "does not offer urn:ietf:params:jmap:mail"),
            (without("/capabilities", CORE), "does not offer urn:ietf:params:jmap:core"),
            (without("/primaryAccounts", MAIL), "no mail account"),
            (without("", "primaryAccounts"), "no mail account"),
            (null, "no mail account"),
            (without("", "apiUrl"), "no JMAP session: the answer is not the JSON"),
            (json!("x"), "no JMAP session"),
        ] {
            let failure = session(&answer).unwrap_err().why();
            assert!(failure.contains(part), "{part}: {failure}");
        }
    }

    #[test]
    fn a_server_that_says_no_limit_has_the_usual_one() {
        for (limit, objects) in [(Value::Null, 500), (json!(10), 10), (json!(0), 1), (json!("x"), 500)] {
            let mut answer = example();
            answer["capabilities"][CORE]["maxObjectsInGet"] = limit;
            assert_eq!(session(&answer).unwrap().objects_in_get(), objects);
        }
    }
}
