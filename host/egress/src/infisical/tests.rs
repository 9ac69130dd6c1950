//! Against a server on loopback that answers the two requests as the vendor's does, or as badly as a test wants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::resolve::{Lookup, Resolve};
use crate::send::tests::read_request;

const TOKEN: &str = "eyJ.token-of-the-day.x";
const VALUE: &str = "va/l+u\"e \u{fc}";
const CLIENT_SECRET: &str = "client \"secret\" \u{fc}%";

/// Names lead to this machine.
struct Here;

impl Resolve for Here {
    fn resolve<'a>(&'a self, _host: &'a str, _until: Instant) -> Lookup<'a> {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

/// The answers to the login and to what follows: status and body.
#[derive(Clone)]
struct Answers {
    login: (u16, String),
    secret: (u16, String),
}

impl Answers {
    fn good() -> Self {
        let login = json!({"accessToken": TOKEN, "expiresIn": 7200, "accessTokenMaxTTL": 7200, "tokenType": "Bearer"});
        let secret = json!({"secret": {"id": "1", "workspace": "w", "environment": "prod", "version": 1,
            "type": "shared", "secretKey": "PASSWORD", "secretValue": VALUE, "secretComment": "", "tags": []}});
        Self { login: (200, login.to_string()), secret: (200, secret.to_string()) }
    }

    fn login(status: u16, body: &str) -> Self {
        Self { login: (status, body.to_owned()), ..Self::good() }
    }

    fn secret(status: u16, body: &str) -> Self {
        Self { secret: (status, body.to_owned()), ..Self::good() }
    }

    fn value(value: &str) -> Self {
        Self::secret(200, &json!({"secret": {"secretValue": value}}).to_string())
    }
}

/// A server that gives these answers and keeps what it was sent.
async fn serve(answers: Answers) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let mut stream = listener.accept().await.unwrap().0;
            let request = read_request(&mut stream).await;
            let (status, body) = if request.starts_with("POST ") { &answers.login } else { &answers.secret };
            let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            log.lock().unwrap().push(request);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, seen)
}

async fn read_at(
    address: SocketAddr,
    listed: &[IpNet],
    place: &str,
) -> (Result<Secret, String>, Vec<Exchange>) {
    let origin = Origin::parse(&format!("http://infisical.test:{}", address.port())).unwrap();
    let server = Server { origin: &origin, addresses: listed, trust: Trust::System, client_id: "id-\"1\"" };
    let client_secret = Secret::for_test("infisical-client", CLIENT_SECRET);
    let place = Place::parse(place).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let (outcome, exchanges) =
        read(&Egress::new(Here), &server, "smtp", &client_secret, &place, deadline).await;
    (outcome.map_err(|error| error.to_string()), exchanges)
}

async fn read_from(answers: Answers) -> (Result<Secret, String>, Vec<Exchange>) {
    let (address, _) = serve(answers).await;
    read_at(address, &["127.0.0.0/8".parse().unwrap()], "demo/prod/PASSWORD").await
}

#[tokio::test]
async fn a_secret_is_read_with_two_requests() {
    let (address, seen) = serve(Answers::good()).await;
    let listed = ["127.0.0.0/8".parse().unwrap()];
    let place = "3c90c3cc-0d44-4b50-8888-8dd25736052a/prod/mail/smtp.d/PASSWORD";
    let secret = read_at(address, &listed, place).await.0.unwrap();
    assert_eq!((secret.name(), secret.expose()), ("smtp", VALUE));

    let seen = seen.lock().unwrap();
    let [login, secret] = seen.as_slice() else { panic!("{} requests", seen.len()) };
    let (head, body) = login.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/v1/auth/universal-auth/login HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    let sent: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(sent, json!({"clientId": "id-\"1\"", "clientSecret": CLIENT_SECRET}));
    let target = "/api/v3/secrets/raw/PASSWORD?workspaceId=3c90c3cc%2D0d44%2D4b50%2D8888%2D8dd25736052a\
                  &viewSecretValue=true&environment=prod&secretPath=%2Fmail%2Fsmtp%2Ed\
                  &expandSecretReferences=true&include_imports=true";
    assert!(secret.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{secret}");
    assert!(secret.contains(&format!("\r\nauthorization: Bearer {TOKEN}\r\n")), "{secret}");
    assert!(!secret.contains("client"), "{secret}");
}

#[test]
fn a_project_is_named_by_id_or_by_slug() {
    for (project, key) in [
        ("3c90c3cc-0d44-4b50-8888-8dd25736052a", "workspaceId"),
        ("656dba7f979ebd6652586669", "workspaceId"),
        ("demo", "workspaceSlug"),
        ("demo-q-x1f", "workspaceSlug"),
        ("3c90c3cc-0d44-4b50-8888", "workspaceSlug"),
        ("3c90c3cc-0d44-4b50-8888-8dd25736052z", "workspaceSlug"),
    ] {
        let target = Place::parse(&format!("{project}/prod/A")).unwrap().target();
        assert!(target.starts_with(&format!("/api/v3/secrets/raw/A?{key}=")), "{target}");
        assert!(target.contains("&secretPath=%2F&"), "{target}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told_apart_and_holds_no_secret() {
    let hidden =
        json!({"secret": {"secretValue": "<hidden-by-infisical>", "secretValueHidden": true}}).to_string();
    // An error's text is the server's own, and may repeat what it was sent.
    let echo = json!({"statusCode": 401, "error": "UnauthorizedError", "message": CLIENT_SECRET}).to_string();
    let token_echo = json!({"message": format!("no {TOKEN}")}).to_string();
    for (answers, why) in [
        (Answers::login(401, &echo), "does not take the client id with the secret `infisical-client` (401)"),
        (Answers::login(403, "{}"), "does not take the client id"),
        (Answers::login(404, "{}"), "does not take the client id"),
        (Answers::login(302, ""), "answered 302 to the login"),
        (Answers::login(500, "{}"), "answered 500 to the login"),
        (Answers::login(200, "<html>"), "answer to the login is not understood"),
        (Answers::login(200, r#"{"accessToken": 5}"#), "answer to the login is not understood"),
        (Answers::login(200, r#"{"accessToken": ""}"#), "access token that Infisical gave is empty"),
        (Answers::login(200, r#"{"accessToken": "token\r\nx: y"}"#), "holds a line break"),
        (Answers::secret(401, &token_echo), "does not let this machine identity read it (401)"),
        (Answers::secret(403, "{}"), "does not let this machine identity read it (403)"),
        (Answers::secret(404, "{}"), "has no secret of this name"),
        (Answers::secret(429, "{}"), "Infisical answered 429"),
        (Answers::secret(200, &hidden), "see its value"),
        (Answers::secret(200, "{}"), "is not understood"),
        (Answers::secret(200, &json!({"secret": {"secretValue": [VALUE]}}).to_string()), "is not understood"),
        (Answers::secret(200, &json!({"secret": VALUE}).to_string()), "is not understood"),
        (Answers::value(&"x".repeat(70_000)), "larger than the 65536 bytes"),
        (Answers::value("val"), "is shorter than 6 bytes"),
        (Answers::value(""), "is empty"),
        (Answers::value("va/l+u\ne"), "holds a line break"),
    ] {
        let (outcome, exchanges) = read_from(answers).await;
        let error = outcome.unwrap_err();
        assert!(error.starts_with("secret `smtp` (infisical:demo/prod/PASSWORD): "), "{error}");
        assert!(error.contains(why), "{why}: {error}");
        for secret in [CLIENT_SECRET, "client \"", TOKEN, VALUE, "va/l", "x: y"] {
            assert!(!error.contains(secret), "{error}");
            assert!(!format!("{exchanges:?}").contains(secret), "{exchanges:?}");
        }
    }
}

#[tokio::test]
async fn the_server_is_reached_through_the_same_checks_as_a_service() {
    let (address, seen) = serve(Answers::good()).await;
    let (outcome, exchanges) = read_at(address, &[], "demo/prod/PASSWORD").await;
    let error = outcome.unwrap_err();
    assert!(error.contains("service `infisical`: its host has no address that may be dialled"), "{error}");
    let [Exchange { address: None, sent: 0, received: 0, status: None, failure: Some(failure), .. }] =
        exchanges.as_slice()
    else {
        panic!("{exchanges:?}")
    };
    assert!(matches!(failure, NetError::Unreachable(_)), "{failure:?}");
    assert!(seen.lock().unwrap().is_empty());

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (outcome, exchanges) = read_at(closed, &["127.0.0.0/8".parse().unwrap()], "demo/prod/PASSWORD").await;
    let error = outcome.unwrap_err();
    assert!(error.contains("service `infisical`: the connection was refused"), "{error}");
    assert_eq!((exchanges.len(), exchanges[0].address, exchanges[0].sent), (1, Some(closed), 0));
}

#[tokio::test]
async fn every_request_is_told() {
    let (address, seen) = serve(Answers::good()).await;
    let listed = ["127.0.0.0/8".parse().unwrap()];
    let (outcome, exchanges) = read_at(address, &listed, "demo/prod/mail/PASSWORD").await;
    outcome.unwrap();
    let told: Vec<_> =
        exchanges.iter().map(|one| (one.method.as_str(), one.path.as_str(), one.sent, one.status)).collect();
    let lengths: Vec<_> = seen.lock().unwrap().iter().map(|request| request.len() as u64).collect();
    assert_eq!(
        told,
        [
            ("POST", "/api/v1/auth/universal-auth/login", lengths[0], Some(200)),
            ("GET", "/api/v3/secrets/raw/PASSWORD", lengths[1], Some(200)),
        ]
    );
    for one in &exchanges {
        assert!(one.address == Some(address) && one.failure.is_none() && one.received > 0, "{one:?}");
    }

    // Also where one of them is the end of it.
    for (answers, statuses) in [
        (Answers::login(401, "{}"), &[Some(401)][..]),
        (Answers::login(200, "<html>"), &[Some(200)]),
        (Answers::secret(404, "{}"), &[Some(200), Some(404)]),
        (Answers::value("short"), &[Some(200), Some(200)]),
        (Answers::value(&"x".repeat(70_000)), &[Some(200), None]),
    ] {
        let (outcome, exchanges) = read_from(answers).await;
        outcome.unwrap_err();
        assert_eq!(exchanges.iter().map(|one| one.status).collect::<Vec<_>>(), statuses);
        for one in &exchanges {
            assert_eq!(one.failure.is_none(), one.status.is_some(), "{one:?}");
            assert!(one.sent > 0 && one.received > 0, "{one:?}");
        }
    }
}
