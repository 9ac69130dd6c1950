//! What a service answers in a scripted world.

use std::time::Duration;

use serde_json::Value;

use crate::raw::ops::capability::effects::Effect;
use crate::raw::ops::capability::types::Request;
use crate::{Header, NetError, Response};

/// A test of a request's body.
type Wanted = Box<dyn Fn(&Value) -> bool>;

/// What a service answers to one kind of request. Of the answers that fit, the one that was stated last is given.
pub struct Answer {
    method: String,
    path: String,
    body: Option<Wanted>,
    after: Option<(String, String)>,
    response: Response,
    error: Option<NetError>,
    time: Duration,
}

impl Answer {
    /// An empty answer with status 200 to this method and exactly this path, query included.
    pub fn to(method: &str, path: &str) -> Self {
        let response = Response { status: 200, headers: vec![], body: vec![] };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            body: None,
            after: None,
            response,
            error: None,
            time: Duration::ZERO,
        }
    }

    /// To a `GET`.
    pub fn get(path: &str) -> Self {
        Self::to("GET", path)
    }

    /// To a `POST`.
    pub fn post(path: &str) -> Self {
        Self::to("POST", path)
    }

    /// With this status.
    pub fn status(mut self, status: u16) -> Self {
        self.response.status = status;
        self
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.response.headers.push(Header { name: name.to_ascii_lowercase(), value: value.to_owned() });
        self
    }

    /// With this JSON as its body.
    pub fn json(self, value: Value) -> Self {
        let answer = self.header("content-type", "application/json");
        answer.bytes(value.to_string())
    }

    /// With these bytes as its body.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.response.body = body.into();
        self
    }

    /// No answer at all, but this error.
    pub fn fails(mut self, error: NetError) -> Self {
        self.error = Some(error);
        self
    }

    /// After this time on the clock that [`Ctx::elapsed`](crate::Ctx::elapsed) reads. The test does not wait for it.
    pub fn takes(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Only where the request's body is JSON of which this is true.
    pub fn when(mut self, body: impl Fn(&Value) -> bool + 'static) -> Self {
        self.body = Some(Box::new(body));
        self
    }

    /// Only once an effect with this method and path has been performed.
    pub fn after(mut self, method: &str, path: &str) -> Self {
        self.after = Some((method.to_owned(), path.to_owned()));
        self
    }

    /// What is answered and how long that takes, if this answer fits.
    pub(super) fn fits(
        &self,
        request: &Request,
        performed: &[Effect],
    ) -> Option<(Result<Response, NetError>, Duration)> {
        let due = self.after.as_ref().is_none_or(|(method, path)| {
            performed.iter().any(|effect| effect.request.method == *method && effect.request.path == *path)
        });
        let body = self.body.as_ref().is_none_or(|wanted| {
            let body = request.body.as_deref().unwrap_or_default();
            serde_json::from_slice(body).is_ok_and(|value| wanted(&value))
        });
        let fits = due && body && self.method == request.method && self.path == request.path;
        let answer = || self.error.clone().map_or_else(|| Ok(self.response.clone()), Err);
        fits.then(|| (answer(), self.time))
    }
}
