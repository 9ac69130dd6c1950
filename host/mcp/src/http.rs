//! MCP over streamable HTTP: one path, `/mcp`, and two for whoever watches the server, `/healthz` and `/readyz`.
//!
//! A request is checked in this order: how many connections there are; its head, within limits of size and time; its
//! token; its body, within limits of size and time; then, by the SDK, its `Host` and `Origin`, its media types, its
//! protocol version. Nothing is kept between two requests, so there is no session to steal.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;

/// Connections at once. Those beyond wait in the system's own queue.
const MOST_CONNECTIONS: u32 = 256;
/// How long the head of a request may take, and how long a connection may lie idle before it.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The longest head, in bytes.
const MOST_HEAD: usize = 32 * 1024;
/// The longest body, in bytes: the longest arguments of a capability, and room for what is around them.
pub(crate) const MOST_BODY: usize = 2 * 1024 * 1024;
/// How long requests in flight are waited for once the server is to stop. Runs that go on after that are waited for
/// by whoever started them.
const GRACE: Duration = Duration::from_secs(30);

type Body = BoxBody<Bytes, Infallible>;
type Service<H> = StreamableHttpService<H, LocalSessionManager>;

/// Says whose token it is, if it is anybody's.
pub type Admit = Arc<dyn Fn(&str) -> Option<Caller> + Send + Sync>;

/// What stands between a connection and the tools.
#[derive(Clone)]
pub struct Guard {
    /// Whose token a bearer token is. The [`Caller`] is handed to the tools in the request's extensions. `None` lets
    /// everybody in, as nobody: for a server whose tools do nothing, such as the fixtures of a conformance suite.
    pub admit: Option<Admit>,
    /// Hears of each request that was refused for its token.
    pub turned_away: Arc<dyn Fn() + Send + Sync>,
    /// What `/readyz` answers; asked on a thread that may block.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Whether clients of 2025-11-25 get a session, which a tool needs that asks its client for something. Ours ask
    /// for nothing.
    pub sessions: bool,
}

/// Serves the tools of `make` until `stop`, then lets the requests in flight end, for a while.
///
/// `make` gives the handler of one request (of one session, where [`Guard::sessions`] is set); it should be cheap. With
/// [`Guard::admit`], a tool finds its caller with [`caller_of`].
///
/// # Errors
///
/// The listener has no address that a `Host` header can name: it listens on all addresses at once.
pub async fn serve<H: ServerHandler>(
    listener: TcpListener,
    make: impl Fn() -> H + Send + Sync + 'static,
    guard: Guard,
    stop: CancellationToken,
) -> io::Result<()> {
    let at = listener.local_addr()?;
    // Not `stop`: what is asked for is still answered then.
    let over = CancellationToken::new();
    let config = config(at, guard.sessions, over.clone())?;
    let service: Service<H> = StreamableHttpService::new(move || Ok(make()), Arc::default(), config);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (service, guard) = (service.clone(), guard.clone());
        let answer = service_fn(move |request| answer(service.clone(), guard.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MOST_HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    // Once every place is free, nobody is connected any more.
    let _ = tokio::time::timeout(GRACE, places.acquire_many(MOST_CONNECTIONS)).await;
    over.cancel();
    Ok(())
}

/// Who sent the request that a handler of [`serve`] answers. None where nobody was asked for a token.
pub fn caller_of(extensions: &rmcp::model::Extensions) -> Option<&Caller> {
    extensions.get::<http::request::Parts>()?.extensions.get()
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        // An answer is one small write; it must not wait for a second one.
        Ok((stream, _)) => stream.set_nodelay(true).is_ok().then_some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of descriptors, mostly: trying again at once would only burn the processor.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Whether there is a name for this address that a `Host` header can have.
///
/// # Errors
///
/// There is none.
pub(crate) fn check_address(at: SocketAddr) -> io::Result<()> {
    if at.ip().is_unspecified() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{at} is every address of this machine; name the one that clients use"),
        ));
    }
    Ok(())
}

/// What the SDK is told: which names this server goes by, and that foreign web pages may not use it.
fn config(at: SocketAddr, sessions: bool, over: CancellationToken) -> io::Result<StreamableHttpServerConfig> {
    check_address(at)?;
    let names = names(at);
    let origins: Vec<_> = names.iter().map(|name| format!("http://{name}")).collect();
    Ok(StreamableHttpServerConfig::default()
        .with_allowed_hosts(names)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_legacy_session_mode(sessions)
        .with_json_response(true)
        .with_max_request_body_bytes(MOST_BODY)
        .with_cancellation_token(over))
}

/// The names of this server with its port: an entry without one would match every port.
fn names(at: SocketAddr) -> Vec<String> {
    let mut names = vec![at.to_string()];
    if at.ip().is_loopback() {
        let aliases = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        names.extend(aliases.map(|ip| SocketAddr::new(ip, at.port()).to_string()));
        names.push(format!("localhost:{}", at.port()));
    }
    names
}

async fn answer<H: ServerHandler>(
    service: Service<H>,
    guard: Guard,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(match (request.uri().path(), request.method()) {
        ("/mcp", _) => match admitted(&guard, request).await {
            Ok(request) => service.handle(request).await,
            Err(refused) => refused,
        },
        ("/healthz", &Method::GET) => words(StatusCode::OK, "ok\n"),
        ("/readyz", &Method::GET) => {
            let is_ready = guard.is_ready;
            match tokio::task::spawn_blocking(move || is_ready()).await {
                Ok(true) => words(StatusCode::OK, "ready\n"),
                // What is wrong is for the operator to see, with `ops status`.
                Ok(false) | Err(_) => words(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            }
        }
        ("/healthz" | "/readyz", _) => words(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        _ => words(StatusCode::NOT_FOUND, "there is /mcp, /healthz and /readyz\n"),
    })
}

/// A request whose caller is known and whose body is here.
async fn admitted(guard: &Guard, request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Response<Body>> {
    let (mut parts, body) = request.into_parts();
    if let Some(admit) = &guard.admit {
        let caller = bearer(&parts.headers).and_then(|token| admit(token)).ok_or_else(|| {
            (guard.turned_away)();
            unauthorised()
        })?;
        parts.extensions.insert(caller);
        // The tools need not see it.
        parts.headers.remove(header::AUTHORIZATION);
    }
    let too_long = || words(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n");
    if body.size_hint().lower() > MOST_BODY as u64 {
        return Err(too_long());
    }
    let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_long()),
        Ok(Err(_)) => return Err(words(StatusCode::BAD_REQUEST, "the request's body cannot be read\n")),
        Err(_) => return Err(words(StatusCode::REQUEST_TIMEOUT, "the request took too long\n")),
    };
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// The token of the one `Authorization` field, where its scheme is `Bearer`.
fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorised() -> Response<Body> {
    let mut response = words(StatusCode::UNAUTHORIZED, "a bearer token of this server is needed\n");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn words(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests;
