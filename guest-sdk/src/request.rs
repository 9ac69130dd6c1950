//! Requests as an author writes them, and answers as an author reads them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::raw::ops::capability::types;
use crate::{Failure, Header, Response, Undo};

/// A request to a service. It names a service and never a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    wire: types::Request,
    accepted: Vec<u16>,
}

impl Request {
    /// A request without header fields and without a body.
    ///
    /// `method` is in upper case; `path` is absolute and may carry a query, percent-encoded by the caller.
    pub fn new(method: impl Into<String>, service: impl Into<String>, path: impl Into<String>) -> Self {
        let (service, method, path) = (service.into(), method.into(), path.into());
        Self { wire: types::Request { service, method, path, headers: vec![], body: None }, accepted: vec![] }
    }

    /// A `GET`.
    pub fn get(service: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new("GET", service, path)
    }

    /// A `DELETE`.
    pub fn delete(service: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new("DELETE", service, path)
    }

    /// A `POST` of JSON.
    ///
    /// # Errors
    /// `Failed` if the value has no form in JSON, for example a map whose keys are not text.
    pub fn post_json(
        service: impl Into<String>,
        path: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<Self, Failure> {
        Self::new("POST", service, path).json(value)
    }

    /// A `PUT` of JSON.
    ///
    /// # Errors
    /// As [`Request::post_json`].
    pub fn put_json(
        service: impl Into<String>,
        path: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<Self, Failure> {
        Self::new("PUT", service, path).json(value)
    }

    /// The same request with this JSON as its body.
    ///
    /// # Errors
    /// As [`Request::post_json`].
    pub fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        Ok(self.body("application/json", serde_json::to_vec(value)?))
    }

    /// The same request with these bytes as its body.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.wire.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// The same request with one more header field. The binding's rule decides which ones are let through.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.wire.headers.push(Header { name: name.to_owned(), value: value.into() });
        self
    }

    /// The same request, to which these statuses of 400 and above are answers and no failure.
    pub fn accept(mut self, statuses: &[u16]) -> Self {
        self.accepted.extend_from_slice(statuses);
        self
    }

    /// The service that it goes to.
    pub fn service(&self) -> &str {
        &self.wire.service
    }

    /// Method and path, for messages.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.wire.method, self.wire.path)
    }

    /// What crosses to the host.
    pub(crate) fn wire(&self) -> &types::Request {
        &self.wire
    }

    /// The answer, unless its status is one that nobody asked for.
    pub(crate) fn check(&self, response: Response) -> Result<Response, Failure> {
        if response.status < 400 || self.accepted.contains(&response.status) {
            return Ok(response);
        }
        Err(Failure::of_status(self, &response))
    }
}

impl Undo {
    /// By this request, under a rule that the binding marks `for: undo`.
    pub fn request(request: Request) -> Self {
        Self::Request(request.wire)
    }

    /// By a person, who follows this text.
    pub fn by_hand(steps: impl Into<String>) -> Self {
        Self::ByHand(steps.into())
    }

    /// Not at all; the text says why.
    pub fn impossible(why: impl Into<String>) -> Self {
        Self::Impossible(why.into())
    }
}

impl Response {
    /// The body as a value.
    ///
    /// # Errors
    /// `Failed` if the body is not JSON, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Failed(format!("the answer is not the JSON that was expected: {error}"))
        })
    }

    /// The body as text.
    ///
    /// # Errors
    /// `Failed` if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Failure::Failed(format!("the answer is not UTF-8: {error}")))
    }

    /// The first header field of this name, which is compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Response {
        Response {
            status,
            headers: vec![Header { name: "ETag".into(), value: "x".into() }],
            body: b"{\"a\":1}".into(),
        }
    }

    #[test]
    fn a_status_of_400_and_above_must_be_asked_for() {
        let request = Request::get("web", "/").accept(&[404, 409]);
        for (status, good) in
            [(200, true), (302, true), (399, true), (400, false), (404, true), (409, true), (500, false)]
        {
            assert_eq!(request.check(answer(status)).is_ok(), good, "{status}");
        }
    }

    #[test]
    fn json_bodies_say_what_they_are() {
        let request = Request::post_json("web", "/a", &serde_json::json!({"b": 1})).unwrap();
        assert_eq!(
            request.wire().headers,
            [Header { name: "content-type".into(), value: "application/json".into() }]
        );
        assert_eq!(request.wire().body.as_deref(), Some(b"{\"b\":1}".as_slice()));
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(answer(200).json::<serde_json::Value>().unwrap()["a"], 1);
        assert_eq!(answer(200).header("etag"), Some("x"));
        assert!(
            matches!(answer(200).json::<Vec<u8>>(), Err(Failure::Failed(why)) if why.contains("expected"))
        );
    }
}
