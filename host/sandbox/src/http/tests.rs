use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use ops_policy::message::{self, NetError};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::{OutputStream, StreamError};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

use super::courier::{BODY_BYTES, MOST_WAITING, PATIENCE};
use super::*;
use crate::bounds::{Bounds, Halt};
use crate::broker::Broker;
use crate::clock::{Clock, ClockView};
use crate::testing::Script;

type Answered = JoinHandle<Result<u16, Error>>;

/// A guest's side of `wasi:http`, without a guest.
struct Desk {
    hooks: Hooks,
    script: Script,
    broker: Arc<Mutex<Script>>,
    clock: Clock,
}

impl Desk {
    fn new(script: Script) -> Self {
        let broker = Arc::new(Mutex::new(script.clone()));
        Self { hooks: Http::new().hooks, script, broker, clock: Clock::new(0, 0) }
    }

    /// Makes a request as the engine does: what comes of it runs as a task.
    fn ask(&mut self, request: Request<WasiBody>) -> Answered {
        let sending = self.hooks.send_request(request, None, Box::new(async { Ok(()) }));
        tokio::spawn(async { Pin::from(sending).await.map(|(answer, _)| answer.status().as_u16()) })
    }

    fn courier(&self) -> Courier {
        let (_, cancel) = watch::channel(false);
        let bounds = Arc::new(Bounds::new(Duration::from_secs(60), None, cancel));
        Courier::new(Arc::clone(&self.hooks.line), self.broker.clone(), bounds, self.clock.clone())
    }

    /// Waits as a guest would that waits for this alone.
    async fn answer(&self, answered: Answered) -> Result<u16, Error> {
        self.courier().beside(async { Ok(answered.await.unwrap()) }).await.unwrap()
    }

    /// What the broker heard of requests that were refused.
    fn refused(&self) -> Vec<String> {
        self.script.refused.lock().unwrap().clone()
    }

    /// The addresses that the broker was asked for.
    fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().iter().map(|request| request.url.clone()).collect()
    }
}

fn whole(body: impl Into<Bytes>) -> WasiBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(whole("")).unwrap()
}

/// A body that a guest still writes.
fn open() -> (HostOutgoingBody, WasiBody) {
    HostOutgoingBody::new(StreamContext::Request, None, 1, CHUNK_BYTES)
}

#[test]
fn an_address_is_put_together_from_its_parts() {
    for (method, uri, expected) in [
        ("GET", "http://a.test/x/y?z=1&z=2", Ok("http://a.test/x/y?z=1&z=2")),
        ("GET", "HTTPS://A.test:8443/", Ok("https://A.test:8443/")),
        ("GET", "https://a.test", Ok("https://a.test/")),
        ("GET", "https://a.test?q", Ok("https://a.test/?q")),
        ("GET", "https://[::1]:80/%2e%2e//x", Ok("https://[::1]:80/%2e%2e//x")),
        ("PURGE", "http://a.test/x#f", Ok("http://a.test/x")),
        ("GET", "http://user@a.test/", Err("invalid HTTP request URI")),
        ("GET", "http://user:pass@a.test/", Err("invalid HTTP request URI")),
        ("GET", "http://a.test@b.test/", Err("invalid HTTP request URI")),
        ("GET", "ftp://a.test/", Err("HTTP protocol error")),
        ("GET", "/x", Err("HTTP protocol error")),
        ("CONNECT", "http://a.test/", Err("invalid HTTP request method")),
        ("CONNECT", "a.test:443", Err("invalid HTTP request method")),
    ] {
        let (parts, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        let url = head(&parts).map(|(request, _)| request.url).map_err(|refusal| refusal.error.to_string());
        assert_eq!(url.as_deref().map_err(String::as_str), expected, "{method} {uri}");
    }
}

#[test]
fn fields_are_text_and_the_length_is_left_out() {
    let request =
        Request::post("http://a.test/").header("Accept", "a/b").header("accept", "c").header("x", "é");
    let (parts, ()) = request.header("content-length", "7").body(()).unwrap().into_parts();
    let (request, length) = head(&parts).unwrap();
    let fields: Vec<_> =
        request.headers.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
    assert_eq!(fields, [("accept", "a/b"), ("accept", "c"), ("x", "é")]);
    assert_eq!((request.method.as_str(), request.body, length), ("POST", None, Some(7)));
    for (name, value) in [("x", &b"\xff"[..]), ("content-length", b"-1"), ("content-length", b"")] {
        let value = HeaderValue::from_bytes(value).unwrap();
        let (parts, ()) = Request::get("http://a.test/").header(name, value).body(()).unwrap().into_parts();
        assert!(matches!(head(&parts), Err(Refusal { error: Error::HttpProtocolError, .. })), "{name}");
    }
}

#[test]
fn a_request_survives_json() {
    for body in [None, Some(vec![0, 255])] {
        let headers = vec![Header { name: "a".to_owned(), value: "b".to_owned() }];
        let request =
            HttpRequest { method: "GET".to_owned(), url: "http://a.test/".to_owned(), headers, body };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<HttpRequest>(&json).unwrap(), request, "{json}");
    }
}

#[test]
fn each_answer_has_its_error_code() {
    let text = String::new;
    for (error, code) in [
        (NetError::NotGranted(text()), "HTTP request denied"),
        (NetError::InvalidRequest(text()), "HTTP protocol error"),
        (NetError::Unreachable(text()), "destination unavailable"),
        (NetError::Tls(text()), "TLS protocol error"),
        (NetError::Timeout(text()), "HTTP response timeout"),
        (NetError::Connection(text()), "connection terminated"),
        (NetError::TooLarge(text()), "HTTP response body size exceeds limit"),
        (NetError::Limit(text()), "connection limit reached"),
    ] {
        assert_eq!(answer::response(Err(error)).unwrap_err().to_string(), code);
    }
    for (status, name, value) in [(99, "a", "b"), (200, "", "b"), (200, "a b", "c"), (200, "a", "b\r\nc: d")]
    {
        let headers = vec![Header { name: name.to_owned(), value: value.to_owned() }];
        let answer = answer::response(Ok(message::Response { status, headers, body: Vec::new() }));
        assert!(matches!(answer, Err(Error::HttpProtocolError)), "{status} {name}");
    }
}

#[tokio::test]
async fn an_answer_comes_whole_and_moves_the_clock() {
    let mut desk = Desk::new(Script { now: 5_000, ..Script::default() });
    let answered = desk.ask(get("http://a.test/x"));
    assert!(matches!(desk.answer(answered).await, Ok(204)));
    assert_eq!(desk.asked(), ["http://a.test/x"]);
    let shown = ClockView { clock: &desk.clock, table: &mut ResourceTable::new() }.now().unwrap();
    assert_eq!(shown, 5_000 + 1_000, "what the broker says, and a reading");
    let headers = vec![Header { name: "set-cookie".to_owned(), value: "a=b".to_owned() }; 2];
    let response = message::Response { status: 200, headers, body: b"hello".to_vec() };
    let response = answer::response(Ok(response)).unwrap();
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_body_that_is_not_as_it_should_be_is_not_sent() {
    let long = Bytes::from(vec![0; usize::try_from(BODY_BYTES).unwrap()]);
    let trailers = |name: Option<&'static str>| {
        let fields = name.map(|name| (http::HeaderName::from_static(name), HeaderValue::from_static("b")));
        let fields = HeaderMap::from_iter(fields);
        whole("abc").with_trailers(async { Some(Ok(fields)) }).boxed_unsync()
    };
    let (aborted, left) = open();
    aborted.abort();
    let sized = |length: &str, body| {
        Request::post("http://a.test/").header("content-length", length).body(body).unwrap()
    };
    let plain = |body| Request::post("http://a.test/").body(body).unwrap();
    for (request, expected) in [
        (plain(whole("abc")), Ok(Some(3))),
        (plain(whole("")), Ok(None)),
        (plain(whole(long.clone())), Ok(Some(long.len()))),
        (
            plain(whole([&long[..], b"x"].concat())),
            Err("HTTP request body size exceeds limit: 8388608 bytes"),
        ),
        (sized("3", whole("abc")), Ok(Some(3))),
        (sized("4", whole("abc")), Err("HTTP request body size exceeds limit: 3 bytes")),
        (sized("0", whole("abc")), Err("HTTP request body size exceeds limit: 3 bytes")),
        (plain(trailers(None)), Ok(Some(3))),
        (plain(trailers(Some("a"))), Err("HTTP request trailer section size exceeds limit: 0 bytes")),
        (plain(left), Err("HTTP protocol error")),
    ] {
        let mut desk = Desk::new(Script::default());
        let answered = desk.ask(request);
        let answer = desk.answer(answered).await.map_err(|error| error.to_string());
        let asked: Vec<_> = desk
            .script
            .asked
            .lock()
            .unwrap()
            .iter()
            .map(|request| request.body.as_ref().map(Vec::len))
            .collect();
        match expected {
            Ok(length) => assert_eq!((answer, asked, desk.refused().len()), (Ok(204), vec![length], 0)),
            Err(text) => {
                assert_eq!((answer, asked, desk.refused().len()), (Err(text.to_owned()), vec![], 1));
            }
        }
    }
}

/// One that writes without end, and as many as there may be at a time: their sum is what counts.
#[tokio::test]
async fn what_is_held_of_bodies_is_bounded() {
    for writers in [1, MOST_WAITING] {
        let mut desk = Desk::new(Script::default());
        let courier = desk.courier();
        let mut written = 0;
        let guest = async {
            let mut streams: Vec<(HostOutgoingBody, Box<dyn OutputStream>)> = Vec::new();
            for _ in 0..writers {
                let (mut host, body) = open();
                desk.ask(Request::post("http://a.test/").body(body).unwrap());
                let stream = host.take_output_stream().unwrap();
                streams.push((host, stream));
            }
            while written < 2 * BODY_BYTES {
                for (_, stream) in &mut streams {
                    match stream.check_write() {
                        Ok(room) => {
                            written += room as u64;
                            stream.write(Bytes::from(vec![0; room])).unwrap();
                        }
                        Err(StreamError::Closed) => return Ok(()),
                        Err(other) => panic!("{other}"),
                    }
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        courier.beside(guest).await.unwrap();
        let waiting = 3 * (CHUNK_BYTES * writers) as u64;
        assert!((BODY_BYTES..=BODY_BYTES + waiting).contains(&written), "{written}");
        assert_eq!(desk.asked(), <[&str; 0]>::default());
    }
}

#[tokio::test]
async fn requests_go_in_the_order_in_which_they_were_made() {
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let guest = async {
        let (mut slow, body) = open();
        let first = desk.ask(Request::post("http://a.test/1").body(body).unwrap());
        let refused = desk.ask(get("http://user@a.test/2"));
        let (mut quick, body) = open();
        let third = desk.ask(Request::post("http://a.test/3").body(body).unwrap());
        // The third one's body is taken although the first one's is not there yet.
        let mut stream = quick.take_output_stream().unwrap();
        for _ in 0..100 {
            stream.ready().await;
            stream.write(Bytes::from_static(b"x")).unwrap();
        }
        drop(stream);
        quick.finish(None).unwrap();
        tokio::task::yield_now().await;
        assert_eq!(desk.asked(), <[&str; 0]>::default());
        let mut stream = slow.take_output_stream().unwrap();
        stream.write(Bytes::from_static(b"y")).unwrap();
        drop(stream);
        slow.finish(None).unwrap();
        Ok((third.await.unwrap(), refused.await.unwrap(), first.await.unwrap()))
    };
    let answers = courier.beside(guest).await.unwrap();
    assert!(matches!(answers, (Ok(204), Err(Error::HttpRequestUriInvalid), Ok(204))), "{answers:?}");
    assert_eq!(desk.asked(), ["http://a.test/1", "http://a.test/3"]);
    assert_eq!(desk.refused(), ["GET: its address holds a user or a password"]);
}

/// In its turn, and in a text that holds nothing of what the guest wrote.
#[tokio::test]
async fn the_broker_hears_of_what_is_refused() {
    let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri);
    let trailers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("b"))]);
    let trailed = whole("").with_trailers(async { Some(Ok(trailers)) }).boxed_unsync();
    let (aborted, broken) = open();
    aborted.abort();
    let mut long = vec![0; usize::try_from(BODY_BYTES).unwrap()];
    long.push(0);
    let requests = [
        (request("CONNECT", "a.test:443").body(whole("")), "CONNECT: it asks for a tunnel"),
        (request("GET", "ftp://a.test/").body(whole("")), "GET: its scheme is neither http nor https"),
        (request("GET", "http://u:p@a.test/").body(whole("")), "GET: its address holds a user or a password"),
        (
            request("GET", "http://a.test/").header("x", &b"\xff"[..]).body(whole("")),
            "GET: one of its header fields is not text",
        ),
        (
            request("PUT", "http://a.test/").header("content-length", "x").body(whole("")),
            "PUT: its content-length is not a length",
        ),
        (
            request("PUT", "http://a.test/").header("content-length", "4").body(whole("abc")),
            "PUT: its body is not as long as its content-length says",
        ),
        (request("POST", "http://a.test/").body(trailed), "POST: it has trailers"),
        (request("POST", "http://a.test/").body(broken), "POST: its body was broken off"),
        (
            request("POST", "http://a.test/").body(whole(long)),
            "POST: the bodies that wait are more than 8 MiB",
        ),
        (
            request(&"M".repeat(33), "x://a.test/").body(whole("")),
            "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM: its scheme is neither http nor https",
        ),
    ];
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let (requests, expected): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
    let guest = async {
        let answers: Vec<_> = requests.into_iter().map(|request| desk.ask(request.unwrap())).collect();
        for answer in answers {
            assert!(answer.await.unwrap().is_err());
        }
        Ok(())
    };
    courier.beside(guest).await.unwrap();
    assert_eq!(desk.refused(), expected);
    assert_eq!(desk.asked(), <[&str; 0]>::default());
}

/// Also when the guest wants its answer no more. What it has made when it ends goes nowhere.
#[tokio::test]
async fn what_was_made_is_carried_when_the_guest_waits() {
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let guest = async {
        desk.ask(get("http://a.test/1")).abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
        desk.ask(get("http://a.test/2"));
        Ok(())
    };
    courier.beside(guest).await.unwrap();
    assert_eq!(desk.asked(), ["http://a.test/1"]);
}

#[tokio::test]
async fn the_line_is_bounded() {
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let mut answers: Vec<_> = (0..=MOST_WAITING).map(|_| desk.ask(get("http://a.test/"))).collect();
    let one_too_many = answers.pop().unwrap().await.unwrap();
    assert!(matches!(one_too_many, Err(Error::ConnectionLimitReached)), "{one_too_many:?}");
    let guest = async {
        for answer in answers {
            assert!(matches!(answer.await.unwrap(), Ok(204)));
        }
        Ok(())
    };
    courier.beside(guest).await.unwrap();
    assert_eq!(desk.asked().len(), MOST_WAITING);
}

#[tokio::test]
async fn a_stop_ends_the_guest_where_it_stands() {
    for url in ["http://a.test/", "http://user@a.test/"] {
        let mut desk = Desk::new(Script { stop: true, ..Script::default() });
        let courier = desk.courier();
        let mut answered = desk.ask(get(url));
        let guest = async { Ok((&mut answered).await.unwrap().is_ok()) };
        let error = courier.beside(guest).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Halt::Stopped), "{url}");
        // With the guest all that would have brought it an answer is gone.
        assert!(matches!(answered.await.unwrap(), Err(Error::InternalError(None))), "{url}");
    }
}

#[tokio::test]
async fn the_guest_stands_still_while_its_request_is_on_its_way() {
    let mut desk = Desk::new(Script { delay: Duration::from_millis(30), ..Script::default() });
    let courier = desk.courier();
    let answered = desk.ask(get("http://a.test/"));
    let mut turns_before_the_answer = 0;
    let guest = std::future::poll_fn(|context| {
        // Wants a turn whenever it can have one.
        context.waker().wake_by_ref();
        if desk.script.fetched.load(Ordering::Relaxed) == 0 {
            turns_before_the_answer += 1;
            return Poll::Pending;
        }
        assert!(answered.is_finished(), "it runs before its answer lies ready");
        Poll::Ready(Ok(()))
    });
    courier.beside(guest).await.unwrap();
    assert_eq!(turns_before_the_answer, 1);
}

#[tokio::test]
async fn one_that_computes_is_served_late_but_served() {
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let line = Arc::clone(&desk.hooks.line);
    let answered = desk.ask(get("http://a.test/"));
    let mut turns = 0;
    let guest = std::future::poll_fn(|context| {
        if answered.is_finished() {
            return Poll::Ready(Ok(()));
        }
        turns += 1;
        line.interrupted();
        context.waker().wake_by_ref();
        Poll::Pending
    });
    courier.beside(guest).await.unwrap();
    assert_eq!(turns, PATIENCE);
}

/// A guest in a call of `ops:capability` holds the broker: it goes on first.
#[tokio::test]
async fn a_call_of_the_guest_goes_first() {
    let mut desk = Desk::new(Script::default());
    let courier = desk.courier();
    let answered = desk.ask(get("http://a.test/"));
    let guest = async {
        let mut broker = desk.broker.lock().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(desk.asked(), <[&str; 0]>::default());
        broker.now();
        drop(broker);
        Ok(answered.await.unwrap())
    };
    assert!(matches!(courier.beside(guest).await.unwrap(), Ok(204)));
}
