//! The answers to one request. JMAP reports the errors of single calls with status 200, so they are looked for here.

use ops_guest::{Failure, RateLimit, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SERVICE;

/// The method responses of one request: name, arguments, call id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    method_responses: Vec<(String, Value, String)>,
}

impl Answers {
    /// Reads them.
    ///
    /// # Errors
    /// `Failed` if the body is no answer to a JMAP request.
    pub fn of(response: &Response) -> Result<Self, Failure> {
        response.json().map_err(|failure| {
            Failure::failed(format!("the mail server gave no answer in the form of JMAP: {}", failure.why()))
        })
    }

    /// What a method answered. A call may be followed by answers of calls that it implies; the first is its own.
    ///
    /// # Errors
    /// `Failed` where the server refused the call or did not answer it, `RateLimited` where it asks for a pause.
    pub fn to(&self, method: &str) -> Result<&Value, Failure> {
        match self.method_responses.iter().find(|(_, _, id)| id == method) {
            Some((name, error, _)) if name == "error" => Err(refused(method, error)),
            Some((name, arguments, _)) if name == method => Ok(arguments),
            _ => Err(Failure::failed(format!("the mail server did not answer {method}"))),
        }
    }

    /// The objects that a `…/get` answered with.
    ///
    /// # Errors
    /// As [`Answers::to`], and `Failed` if they are of another shape.
    pub fn list<T: DeserializeOwned>(&self, method: &str) -> Result<Vec<T>, Failure> {
        let list = self.to(method)?.get("list").cloned().unwrap_or_default();
        serde_json::from_value(list).map_err(|error| {
            Failure::failed(format!("the mail server's answer to {method} has another shape: {error}"))
        })
    }

    /// The id of an object that a `…/set` was to create.
    ///
    /// # Errors
    /// As [`Answers::to`], and `Failed` where the object was not created.
    pub fn created(&self, method: &str, object: &str) -> Result<String, Failure> {
        let arguments = self.to(method)?;
        if let Some(error) = arguments.get("notCreated").and_then(|map| map.get(object)) {
            return Err(refused(method, error));
        }
        let id = arguments.get("created").and_then(|map| map.get(object)?.get("id")?.as_str());
        id.map(str::to_owned)
            .ok_or_else(|| Failure::failed(format!("the mail server's answer to {method} names no id")))
    }
}

/// A JMAP error as a failure.
fn refused(method: &str, error: &Value) -> Failure {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "rateLimit" {
        return Failure::RateLimited(RateLimit { service: SERVICE.to_owned(), seconds: None });
    }
    let mut why = format!("the mail server refused {method}: {}", text("type"));
    if !text("description").is_empty() {
        why = format!("{why} {}", text("description"));
    }
    // What the error is about (RFC 8620, section 5.3, and RFC 8621, section 7.5).
    for about in ["properties", "invalidRecipients"] {
        if let Some(list) = error.get(about).filter(|list| list.is_array()) {
            why = format!("{why}, {about} {list}");
        }
    }
    Failure::failed(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answers(responses: &Value) -> Answers {
        let body = json!({"methodResponses": responses, "sessionState": "75128aab4b1b"}).to_string();
        Answers::of(&Response { status: 200, headers: vec![], body: body.into() }).unwrap()
    }

    #[test]
    fn each_call_has_its_own_answer() {
        // The implied update of RFC 8621, section 7.5, comes under the id of the call that implied it.
        let answers = answers(&json!([
            ["Email/set", {"created": {"draft": {"id": "m7"}}}, "Email/set"],
            ["EmailSubmission/set", {"created": {"send": {"id": "q9"}}}, "EmailSubmission/set"],
            ["Email/set", {"updated": {"m7": null}}, "EmailSubmission/set"],
        ]));
        assert_eq!(answers.created("Email/set", "draft").unwrap(), "m7");
        assert_eq!(answers.created("EmailSubmission/set", "send").unwrap(), "q9");
    }

    #[test]
    fn errors_are_found_though_the_status_is_200() {
        for (responses, part) in [
            (json!([["error", {"type": "unknownMethod"}, "Email/get"]]), "refused Email/get: unknownMethod"),
            (
                json!([["error", {"type": "invalidArguments", "description": "no such filter"}, "Email/get"]]),
                "refused Email/get: invalidArguments no such filter",
            ),
            (json!([]), "did not answer Email/get"),
            (json!([["Email/get", {"list": []}, "other"]]), "did not answer Email/get"),
            (json!([["Email/set", {"list": []}, "Email/get"]]), "did not answer Email/get"),
            (json!([["Email/get", {"list": [1]}, "Email/get"]]), "another shape"),
            (json!([["Email/get", {}, "Email/get"]]), "another shape"),
        ] {
            let failure = answers(&responses).list::<String>("Email/get").unwrap_err().why();
            assert!(failure.contains(part), "{part}: {failure}");
        }
    }

    #[test]
    fn what_was_not_created_is_told() {
        let not = |error: Value| json!([["Email/set", {"notCreated": {"draft": error}}, "Email/set"]]);
        let created = |responses: &Value| answers(responses).created("Email/set", "draft").unwrap_err();
        let forbidden = not(json!({"type": "forbiddenFrom", "description": "not you"}));
        assert!(created(&forbidden).why().ends_with("refused Email/set: forbiddenFrom not you"));
        let recipients = not(json!({"type": "invalidRecipients", "invalidRecipients": ["a@b"]}));
        assert!(created(&recipients).why().ends_with(": invalidRecipients, invalidRecipients [\"a@b\"]"));
        let limited = created(&not(json!({"type": "rateLimit"})));
        assert_eq!(limited, Failure::RateLimited(RateLimit { service: "mail".into(), seconds: None }));
        assert!(created(&json!([["Email/set", {"created": {}}, "Email/set"]])).why().contains("names no id"));
    }

    #[test]
    fn what_is_no_jmap_is_told() {
        for body in ["", "<html>", "[]", "{}", "{\"methodResponses\":[[1]]}", "{\"methodResponses\":"] {
            let failure = Answers::of(&Response { status: 200, headers: vec![], body: body.into() });
            assert!(failure.unwrap_err().why().contains("in the form of JMAP"), "{body}");
        }
    }
}
