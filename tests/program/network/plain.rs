//! Components with a `wasi:http` client that nobody here wrote: the same broker, the same rules, and read rules alone.

use ops_tests::server::{Reply, Server};
use serde_json::{Value, json};

use super::{ALL, Test, reading, service};
use crate::hostile::yard::{Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("plain-http", "a_plain_client_reads_what_is_granted", reads),
    ("plain-http", "a_plain_client_reaches_no_other_origin", no_other_origin),
    ("plain-http", "a_plain_client_goes_nowhere_by_a_field", nowhere_by_a_field),
    ("plain-http", "a_plain_client_is_held_to_paths_queries_and_fields", held_to_its_rule),
    ("plain-http", "a_plain_client_is_sent_on_by_nobody", redirected),
    ("plain-http", "a_plain_client_without_a_service_is_not_started", not_started),
    ("plain-http-post", "a_plain_client_changes_nothing", changes_nothing),
];

fn reads(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Fields(
            200,
            vec![("x-colour", "green".into()), ("set-cookie", "a=b".into())],
            "good day".into(),
        )
    });
    yard.bind(&reading(&server));
    let url = format!("{}/hello/there", server.origin());
    let run = yard.run(&["--url", &url, "--headers", r#"{"accept": "text/plain"}"#]).ends("done", 0, None);
    let run = run.denies_nothing();
    let output = run.output();
    assert_eq!((&output["status"], &output["body"]), (&json!(200), &json!("good day")));
    assert_eq!(output["headers"]["x-colour"], "green");
    assert_eq!(saw(&server), ["GET /hello/there"]);
    assert_eq!(server.seen()[0].header("accept"), Some("text/plain"));
    let fields = ["service", "rule", "method", "path", "address", "count"];
    let address = server.origin().replace("http://", "");
    assert_eq!(
        json!(fields.map(|field| &run.receipt["used"][0][field])),
        json!(["web", "all", "GET", "/hello/there", address, 1])
    );
    let imports = run.receipt["definition"]["imports"].as_array().unwrap();
    assert!(
        imports
            .iter()
            .filter_map(Value::as_str)
            .any(|import| import.starts_with("wasi:http/outgoing-handler"))
    );
}

fn no_other_origin(yard: &Yard) {
    let (server, other) = (Server::answering("hello"), Server::answering("what nobody may see"));
    yard.bind(&reading(&server));
    let port = server.origin().rsplit(':').next().unwrap().to_owned();
    for url in [
        format!("{}/hello", other.origin()),
        // The same place by other names: an origin is what it is called.
        format!("http://localhost:{port}/hello"),
        format!("http://127.0.0.2:{port}/hello"),
        format!("https://127.0.0.1:{port}/hello"),
        "http://127.0.0.1/hello".to_owned(),
    ] {
        let run = yard.run(&["--url", &url]).ends("failed", 1, Some("failed"));
        let origin = url.trim_end_matches("/hello");
        run.denies("request", origin).says(origin);
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
    assert_eq!(saw(&other), <[&str; 0]>::default());
}

/// Where a request goes comes from the binding, never from a field that the guest sets.
fn nowhere_by_a_field(yard: &Yard) {
    let (server, other) = (Server::answering("hello"), Server::answering("what nobody may see"));
    yard.bind(&reading(&server));
    for name in ["Host", "X-Forwarded-Host", "Forwarded", "X-Original-URL"] {
        let field = json!({name: other.origin().replace("http://", "")}).to_string();
        let run = yard.run(&["--url", &format!("{}/hello", server.origin()), "--headers", &field]);
        let _ = run.ends("failed", 1, Some("failed"));
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
    assert_eq!(saw(&other), <[&str; 0]>::default());
}

fn held_to_its_rule(yard: &Yard) {
    let server = Server::answering("hello");
    let hello = "{id: hello, method: GET, path: /hello, effect: read}";
    yard.bind(&format!("services:\n{}", service("web", &server.origin(), "", &[hello])));
    for (path, headers, why) in [
        ("/secret", "{}", "no rule with `effect: read` has this method and path"),
        ("/hello?all=1", "{}", "rule `hello` does not list the query key `all`"),
        ("/hello", r#"{"x-other": "1"}"#, "rule `hello` does not list the header `x-other`"),
        ("/hello", r#"{"x-http-method-override": "DELETE"}"#, "x-http-method-override"),
        ("/%2e%2e/hello", "{}", "the path is refused"),
        ("//hello", "{}", "the path is refused"),
    ] {
        let run = yard.run(&["--url", &format!("{}{path}", server.origin()), "--headers", headers]);
        let _ = run.ends("failed", 1, Some("failed")).denies("request", why);
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
    yard.run(&["--url", &format!("{}/hello", server.origin())]).ends("done", 0, None);
    assert_eq!(saw(&server), ["GET /hello"]);
}

fn redirected(yard: &Yard) {
    let inside = Server::answering("what nobody outside may see");
    let location = format!("{}/secret", inside.origin());
    let server =
        Server::start(move |_, _| Reply::Fields(302, vec![("location", location.clone())], String::new()));
    yard.bind(&reading(&server));
    let run = yard.run(&["--url", &format!("{}/hello", server.origin())]).ends("done", 0, None);
    assert_eq!(run.output()["status"], 302);
    assert_eq!(saw(&inside), <[&str; 0]>::default(), "the redirect was followed");
}

/// With no read rule there is nothing that it could ask for, so it is refused before its first instruction.
fn not_started(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind("");
    let run = yard.run(&["--url", &server.origin()]);
    assert_eq!((run.ran.code, &run.receipt["run"]["status"]), (4, &json!("denied")), "{:?}", run.ran);
    assert_eq!(run.receipt["usage"]["peakMemoryBytes"], 0, "the guest was started");
    let _ = run.says("wasi:http/").says("services:").says("effect: read");
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

fn changes_nothing(yard: &Yard) {
    let server = Server::answering("changed");
    let post = "{id: post, method: POST, path: /**, effect: mutate}";
    let read = "{id: post, method: POST, path: /**, effect: read}";
    let url = format!("{}/items", server.origin());
    let grants = |safety: &str, rules: &[&str]| {
        format!("{safety}\nservices:\n{}", service("web", &server.origin(), "", rules))
    };
    for (grants, why) in [
        (grants("safety: read-only", &[ALL]), "no rule with `effect: read` has this method and path"),
        // A right to change is used through `effects`, where it is planned and approved, and nowhere else.
        (
            grants("safety: mutating\napproval: {mode: manual}", &[ALL, post]),
            "no rule with `effect: read` has this method and path",
        ),
        // The operator calls it a read; the author never asked for it.
        (grants("safety: read-only", &[ALL, read]), "manifest does not say that it needs such requests"),
    ] {
        yard.bind(&grants);
        let run = yard.run(&["--url", &url]).ends("failed", 1, Some("failed"));
        let _ = run.denies("request", why).says("POST /items");
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
}
