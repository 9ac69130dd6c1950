//! How a request can fail: each way has words of its own, with the service's name and never with the credential.

use std::net::TcpListener;

use ops_tests::server::{Reply, Server};

use super::{ALL, Test, service};
use crate::hostile::yard::{Yard, contains, saw};

pub(super) const TESTS: &[Test] = &[
    ("asks", "each_failure_has_its_own_words", each_failure),
    ("asks", "an_address_that_is_not_listed_is_not_dialled", unlisted_addresses),
    ("asks", "a_denied_request_is_not_resolved", unresolved),
];

const SECRET: &str = "hunter2-hunter2";
const CREDENTIAL: &str = "credential: {secret: token, header: Authorization, as: \"Bearer {}\"}";

fn each_failure(yard: &Yard) {
    let answering = |status: u16| {
        Server::start(move |_, _| Reply::Fields(status, vec![("retry-after", "86400".into())], "no".into()))
    };
    let (unauthorized, forbidden, busy) = (answering(401), answering(403), answering(429));
    let silent = Server::start(|_, _| Reply::HangUp);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = format!("http://{closed}");
    let no_tls = Server::answering("not TLS");
    let over_tls = no_tls.origin().replace("http:", "https:");
    let pinned = format!("{CREDENTIAL}\ntls: {{fingerprint: \"{}\"}}", "ab".repeat(32));

    let cases: [(&str, &str, &str, &str); 6] = [
        (&unauthorized.origin(), CREDENTIAL, "upstream", "401"),
        (&forbidden.origin(), CREDENTIAL, "upstream", "403"),
        (&busy.origin(), CREDENTIAL, "rate-limited", "86400 s"),
        (&refusing, CREDENTIAL, "failed", "refused"),
        (&silent.origin(), CREDENTIAL, "failed", "lost"),
        (&over_tls, &pinned, "failed", "TLS"),
    ];
    let mut told: Vec<String> = Vec::new();
    for (origin, more, code, words) in cases {
        yard.scratch.write(
            "ops/ops.yaml",
            &format!(
                "workspace: demo\nsecrets:\n  token: {{from: \"env:TOKEN\", origins: [\"{origin}\"]}}\n"
            ),
        );
        yard.bind(&format!("services:\n{}limits: {{time: 30s}}", service("web", origin, more, &[ALL])));
        let mut command = yard.command(&["--ask", "web/hello", "--strict"]);
        let run = yard.ended(ops_tests::scratch::ran(command.env("TOKEN", SECRET)));
        let run = run.ends("failed", 1, Some(code)).says("web").says(words);
        let text = run.ran.stderr.lines().take_while(|line| !line.starts_with("run key")).collect();
        assert!(!told.contains(&text), "two failures with the same words: {text}");
        told.push(text);
        assert!(!contains(run.ran.stderr.as_bytes(), SECRET.as_bytes()), "{}", run.ran.stderr);
    }
    for (path, content) in yard.files() {
        assert!(!contains(&content, SECRET.as_bytes()), "the credential is in {}", path.display());
    }
    // 401 and 403 are no reason to ask again, and neither is a server that wants a day of rest.
    for server in [&unauthorized, &forbidden, &busy] {
        assert_eq!(saw(server), ["GET /hello"]);
        let seen = server.seen();
        assert_eq!(seen[0].header("authorization"), Some("Bearer hunter2-hunter2"));
    }
    assert_eq!(no_tls.seen().len(), 0, "a request went out in the clear");
}

/// The name in the binding is right; where it leads is not.
fn unlisted_addresses(yard: &Yard) {
    let server = Server::answering("what nobody outside may see");
    let port = server.origin().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        for addresses in ["", "    addresses: [10.0.0.0/8]\n"] {
            yard.bind(&format!(
                "services:\n  web:\n    origin: \"https://{host}:{port}\"\n{addresses}    rules:\n      - {ALL}"
            ));
            let run = yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some("failed"));
            let why = "service `web`: its host has no address that may be dialled";
            let run = run.denies("address", why).says(why);
            assert_eq!(run.used(), [].into(), "nothing was dialled, so nothing was used");
        }
    }
    // Other spellings of the same address are no origins at all.
    for host in ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"] {
        yard.scratch.write_binding(&format!(
            "capability: test.guest.asks\ncomponent: components/guest_asks.wasm\nsafety: read-only\n\
             services:\n  web:\n    origin: \"https://{host}:{port}\"\n    rules:\n      - {ALL}\n"
        ));
        yard.scratch.ops(&["pin", "--key", "key", "--yes"]).exits(2).says("is not an origin");
    }
    yard.bind(&super::reading(&server));
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

/// Looking a name up tells somebody; so a denial comes before it. `.invalid` is resolved by nobody.
fn unresolved(yard: &Yard) {
    let hello = "{id: hello, method: GET, path: /hello, effect: read}";
    yard.bind(&format!("services:\n  web:\n    origin: https://secret.invalid\n    rules:\n      - {hello}"));
    let run = yard.run(&["--ask", "web/other"]).ends("done", 0, None).denies("request", "no rule");
    assert_eq!(run.receipt["used"], serde_json::json!([]));
    yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some("failed")).says("service `web`");
}
