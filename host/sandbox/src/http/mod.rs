//! `wasi:http`, for components that nobody wrote for this host: what they ask goes the broker's way like all else.
//!
//! Of a request, in this order: its method, scheme and authority are looked at; its fields must be text; it takes
//! its place in the line ([`courier`]), where its body is collected within a bound; and the broker is asked, with an
//! address that is put together again from the parts. What the broker grants is not known here.
//!
//! Refused, of which the broker hears in place of the request: CONNECT, a scheme other than `http` and `https`, a missing authority, one
//! with a user or password in it, fields that are no text, a `content-length` that is not the body's, trailers, and
//! a body that is broken off or beyond the bound. What the engine cannot put together, and what finds the line full,
//! never becomes a request: the guest gets its error and nobody hears of it. Of fields, `content-length` is left out (whoever sends it counts again). The timeouts
//! that a guest may ask for are ignored: the run's own time rules.

mod answer;
mod courier;

use std::sync::Arc;

use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Request, Response, header};
use ops_policy::message::Header;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks};

pub(crate) use self::courier::Courier;
use self::courier::{Line, Refusal, Ticket};
use crate::broker::HttpRequest;
use crate::state::State;

/// The most bytes of the fields of one request, with what the engine keeps for each. A guest may hold as many sets
/// of fields as it may hold handles.
const FIELD_BYTES: usize = 16 << 10;

/// The most bytes that a guest may write to a body at once. A body waits in two such pieces until it is collected,
/// and a guest may hold as many bodies as it may hold handles.
const CHUNK_BYTES: usize = 16 << 10;

/// How much of a method the broker hears when a request is refused. No method that is in use is as long.
const METHOD_BYTES: usize = 32;

type Whole = Result<(), Error>;
type Sending = Box<
    dyn Future<Output = Result<(Response<WasiBody>, Box<dyn Future<Output = Whole> + Send>), Error>> + Send,
>;

/// What a guest's `wasi:http` needs of a store.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    line: Arc<Line>,
}

impl Http {
    pub(crate) fn new() -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(FIELD_BYTES);
        Self { context, hooks: Hooks { line: Arc::default() } }
    }

    /// The guest was interrupted in the middle of its own instructions.
    pub(crate) fn interrupted(&self) {
        self.hooks.line.interrupted();
    }
}

impl State {
    pub(crate) fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Http { context, hooks } = &mut self.http;
        WasiHttpCtxView { ctx: context, table: &mut self.table, hooks }
    }

    /// Who carries the guest's requests. To be taken before the guest runs.
    pub(crate) fn courier(&self) -> Courier {
        let line = Arc::clone(&self.http.hooks.line);
        Courier::new(line, Arc::clone(&self.broker), Arc::clone(&self.bounds), self.clock.clone())
    }
}

impl WasiHttpHooks for Hooks {
    /// The request's authority becomes part of its address and nothing else.
    fn set_host_header(&mut self) -> bool {
        false
    }

    /// [`head`] refuses the others. The engine would do it where the broker does not hear of it.
    fn is_supported_scheme(&mut self, _: &Scheme) -> bool {
        true
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Whole> + Send>,
    ) -> Sending {
        let (answer, answered) = oneshot::channel();
        let (taking, taken) = oneshot::channel();
        let (parts, body) = request.into_parts();
        let placed = self.line.join(Ticket::new(clipped(&parts.method), head(&parts), body, answer, taken));
        Box::new(async move {
            // Dropped when the answer is in the guest's hands, or when the guest wants it no more.
            let _taking: oneshot::Sender<()> = taking;
            placed?;
            let answer = answered.await.unwrap_or(Err(Error::InternalError(None)))?;
            Ok((answer, Box::new(async { Ok(()) }) as Box<dyn Future<Output = Whole> + Send>))
        })
    }
}

/// A method is ASCII, so that it can be cut anywhere.
fn clipped(method: &Method) -> String {
    method.as_str().chars().take(METHOD_BYTES).collect()
}

/// What a request says before its body, and how long it says that its body is.
fn head(parts: &Parts) -> Result<(HttpRequest, Option<u64>), Refusal> {
    let Parts { method, uri, headers, .. } = parts;
    if method == Method::CONNECT {
        return Err(Refusal::new("it asks for a tunnel", Error::HttpRequestMethodInvalid));
    }
    let Some(scheme @ ("http" | "https")) = uri.scheme_str() else {
        return Err(Refusal::new("its scheme is neither http nor https", Error::HttpProtocolError));
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() {
        return Err(Refusal::new("its address names no host", Error::HttpRequestUriInvalid));
    }
    if authority.contains('@') {
        return Err(Refusal::new("its address holds a user or a password", Error::HttpRequestUriInvalid));
    }
    let mut url = format!("{scheme}://{authority}{}", uri.path());
    if let Some(query) = uri.query() {
        url.push('?');
        url.push_str(query);
    }
    let mut length = None;
    let mut fields = Vec::new();
    for (name, value) in headers {
        let no_text = |_| Refusal::new("one of its header fields is not text", Error::HttpProtocolError);
        let value = std::str::from_utf8(value.as_bytes()).map_err(no_text)?;
        if name == header::CONTENT_LENGTH {
            let no_length = |_| Refusal::new("its content-length is not a length", Error::HttpProtocolError);
            length = Some(value.parse().map_err(no_length)?);
        } else {
            fields.push(Header { name: name.as_str().to_owned(), value: value.to_owned() });
        }
    }
    let method = method.as_str().to_owned();
    Ok((HttpRequest { method, url, headers: fields, body: None }, length))
}

#[cfg(test)]
mod tests;
