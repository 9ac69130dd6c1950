//! What requests must not share: a connection, a cookie, a credential.

use ops_tests::server::{Reply, Server};

use super::{ALL, Test, reading, service};
use crate::hostile::yard::{Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("asks", "each_request_has_its_own_connection_and_no_cookie", connections),
    ("asks", "a_credential_goes_to_its_service_alone", credentials),
];

/// A server that would keep every connection, and that hands out cookies.
fn sticky() -> Server {
    Server::start(|_, _| {
        let fields = vec![
            ("connection", "keep-alive".to_owned()),
            ("set-cookie", "session=s3ss10n; Path=/".to_owned()),
            ("authentication-info", "nextnonce=\"s3ss10n\"".to_owned()),
        ];
        Reply::Fields(200, fields, "hello".into())
    })
}

fn connections(yard: &Yard) {
    let server = sticky();
    yard.add("reads-service", &format!("safety: read-only\n{}", reading(&server)));
    let both = ["web", "other"].map(|name| service(name, &server.origin(), "", &[ALL]));
    yard.bind(&format!("services:\n{}", both.concat()));
    yard.run(&["--ask", "web/a", "--ask", "web/b", "--ask", "other/c"]).ends("done", 0, None);
    yard.scratch.ops(&["cap", "run", "test.guest.reads-service"]).exits(0);
    yard.run(&["--ask", "web/d"]).ends("done", 0, None);

    // `saw` checks that there were as many connections as requests.
    assert_eq!(saw(&server), ["GET /a", "GET /b", "GET /c", "GET /hello", "GET /d"]);
    for seen in server.seen() {
        for (name, value) in &seen.headers {
            assert!(
                name != "cookie" && !value.contains("s3ss10n"),
                "{} sent back {name}: {value}",
                seen.target
            );
        }
    }
}

/// Two services at one origin, one of them with a credential: the other is sent without.
fn credentials(yard: &Yard) {
    let server = sticky();
    let origin = server.origin();
    let secrets = format!("secrets:\n  token: {{from: \"env:TOKEN\", origins: [\"{origin}\"]}}\n");
    yard.scratch.write("ops/ops.yaml", &format!("workspace: demo\n{secrets}"));
    let credential = "credential: {secret: token, header: X-Token, as: \"{}\"}";
    let both = [service("web", &origin, credential, &[ALL]), service("other", &origin, "", &[ALL])];
    yard.bind(&format!("services:\n{}", both.concat()));
    let mut command = yard.command(&["--ask", "web/a", "--ask", "other/b", "--ask", "web/c"]);
    yard.ended(ops_tests::scratch::ran(command.env("TOKEN", "hunter2-hunter2"))).ends("done", 0, None);
    let tokens: Vec<_> = server.seen().iter().map(|seen| seen.header("x-token").map(str::to_owned)).collect();
    let token = Some("hunter2-hunter2".to_owned());
    assert_eq!(tokens, [token.clone(), None, token]);
}
