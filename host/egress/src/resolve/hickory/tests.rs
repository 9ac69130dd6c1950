//! Against a name server on loopback, and hosts files written by the test.

use super::server::{Reply, Server, records};
use super::*;
use crate::resolve::{LOOKUP_TIME, MOST_ADDRESSES, Resolve, ResolveError};
use ops_policy::origin::Origin;
use tempfile::NamedTempFile;

fn hosts(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What comes of looking a name up, with this hosts file and a name server that answers so.
async fn look_up(hosts_file: &str, host: &str, server: &Server) -> Result<Vec<String>, ResolveError> {
    let file = hosts(hosts_file);
    let resolver = Hickory::with(file.path().to_owned(), server.address);
    let origin = Origin::parse(&format!("https://{host}")).unwrap();
    let found = crate::resolve::addresses(&resolver, &origin, Instant::now() + LOOKUP_TIME).await?;
    Ok(found.iter().map(IpAddr::to_string).collect())
}

async fn saying(lines: &'static [&'static str]) -> Server {
    Server::start(move |_, _, _| records(lines)).await
}

#[tokio::test]
async fn both_kinds_of_addresses_are_found_with_one_question_each() {
    let server = saying(&["mail.example. 192.0.2.1", "mail.example. 2001:db8::1"]).await;
    assert_eq!(look_up("", "mail.example", &server).await.unwrap(), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn nothing_is_remembered() {
    let server = Server::start(|_, _, before| {
        records(&[["mail.example. 192.0.2.1"], ["mail.example. 127.0.0.1"]][before.min(1)])
    })
    .await;
    let resolver = Hickory::with(hosts("").path().to_owned(), server.address);
    for expected in ["192.0.2.1", "127.0.0.1"] {
        let found = resolver.resolve("mail.example", Instant::now() + LOOKUP_TIME).await.unwrap();
        assert_eq!(found, [expected.parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_has_the_last_word() {
    let server = saying(&["mail.example. 192.0.2.1", "mail.example. 2001:db8::1"]).await;
    for (file, expected) in [
        ("10.0.0.1 mail.example\n", &["10.0.0.1"][..]),
        ("# 10.0.0.1 mail.example\n10.0.0.2\tother MAIL.example # mine\n", &["10.0.0.2"]),
        ("fd00::1 mail.example\n10.0.0.1 mail.example\n", &["10.0.0.1", "fd00::1"]),
    ] {
        assert_eq!(look_up(file, "mail.example", &server).await.unwrap(), expected, "{file}");
    }
    assert_eq!(server.asked(), 0);
    // A name that only contains it, a part of it, and a line that is broken.
    let file = "10.0.0.1 webmail.example mail.example.corp example\n10.0.0 mail.example\n";
    assert_eq!(look_up(file, "mail.example", &server).await.unwrap(), ["192.0.2.1", "2001:db8::1"]);
    let missing = Hickory::with("/nowhere/hosts".into(), server.address);
    assert_eq!(missing.resolve("mail.example", Instant::now() + LOOKUP_TIME).await.unwrap().len(), 2);
}

#[tokio::test]
async fn localhost_is_nobody_elses_business() {
    let server = saying(&["localhost. 192.0.2.1", "a.localhost. 192.0.2.1"]).await;
    for host in ["localhost", "a.localhost"] {
        let error = look_up("", host, &server).await.unwrap_err().to_string();
        assert!(error.contains("in /etc/hosts only"), "{error}");
    }
    assert_eq!(look_up("127.0.0.1 localhost\n", "localhost", &server).await.unwrap(), ["127.0.0.1"]);
    assert_eq!(server.asked(), 0);
}

/// A search domain would hand `mail` to whoever owns `mail.corp.example`.
#[tokio::test]
async fn a_name_is_asked_for_as_it_is() {
    for host in ["mail", "mail.example"] {
        let server = Server::start(move |name, _, _| {
            assert_eq!(name, format!("{host}."));
            Reply::Code(ResponseCode::NXDomain)
        })
        .await;
        let error = look_up("", host, &server).await.unwrap_err().to_string();
        assert!(error.ends_with("there is no such name"), "{error}");
        assert_eq!(server.asked(), 2);
    }
}

#[tokio::test]
async fn aliases_are_followed_and_other_names_ignored() {
    for (what, lines, expected) in [
        ("alias", &["mail.example. a.example.", "a.example. 10.0.0.1"][..], &["10.0.0.1"][..]),
        (
            "aliases in any order",
            &["b.example. 10.0.0.1", "mail.example. a.example.", "a.example. b.example."],
            &["10.0.0.1"],
        ),
        ("another name too", &["evil.example. 127.0.0.1", "mail.example. 192.0.2.1"], &["192.0.2.1"]),
        ("another case", &["MAIL.Example. 192.0.2.1"], &["192.0.2.1"]),
    ] {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let server = Server::start(move |_, _, _| Reply::Records(lines.clone())).await;
        assert_eq!(look_up("", "mail.example", &server).await.unwrap(), expected, "{what}");
    }
}

#[tokio::test]
async fn an_alias_whose_address_is_missing_is_asked_for() {
    let server = Server::start(|name, _, _| match name {
        "mail.example." => records(&["mail.example. a.example."]),
        _ => records(&["a.example. 10.0.0.1"]),
    })
    .await;
    assert_eq!(look_up("", "mail.example", &server).await.unwrap(), ["10.0.0.1"]);
}

#[tokio::test]
async fn answers_without_an_address() {
    let alias = || records(&["mail.example. mail.example."]);
    for (what, reply, why) in [
        ("only another name", records(&["evil.example. 127.0.0.1"]), "has no address"),
        ("nothing", records(&[]), "has no address"),
        ("no such name", Reply::Code(ResponseCode::NXDomain), "there is no such name"),
        ("failure", Reply::Code(ResponseCode::ServFail), "the name server failed: Server Failure"),
        ("refusal", Reply::Code(ResponseCode::Refused), "the name server failed: Query Refused"),
        ("noise", Reply::Noise, "malformed"),
        ("an alias of itself", alias(), ""),
    ] {
        let server = Server::start(move |_, _, _| reply.clone()).await;
        let error = look_up("", "mail.example", &server).await.unwrap_err().to_string();
        assert!(error.contains(why), "{what}: {error}");
        assert!(server.asked() < 64, "{what}: {} questions", server.asked());
    }
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp_and_is_cut() {
    let lines = (0..1000).map(|n| format!("mail.example. 192.0.{}.{}", 2 + n / 250, n % 250)).collect();
    let reply = Reply::Long(lines);
    let server = Server::start(move |_, _, _| reply.clone()).await;
    let found = look_up("", "mail.example", &server).await.unwrap();
    assert_eq!(found.len(), MOST_ADDRESSES);
}

#[tokio::test]
async fn silence_ends_in_time_and_half_of_it_is_endured() {
    let server = Server::start(|_, _, _| Reply::Silence).await;
    let resolver = Hickory::with(hosts("").path().to_owned(), server.address);
    let until = Instant::now() + Duration::from_millis(300);
    let error = resolver.resolve("mail.example", until).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);

    let half = Server::start(|_, kind, _| match kind {
        RecordType::A => records(&["mail.example. 192.0.2.1"]),
        _ => Reply::Silence,
    })
    .await;
    let resolver = Hickory::with(hosts("").path().to_owned(), half.address);
    let until = Instant::now() + Duration::from_millis(900);
    let found = resolver.resolve("mail.example", until).await.unwrap();
    assert_eq!(found, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn a_look_up_that_nobody_waits_for_asks_no_more() {
    let server = Server::start(|_, _, _| Reply::Silence).await;
    let resolver = Hickory::with(hosts("").path().to_owned(), server.address);
    {
        let look_up = resolver.resolve("mail.example", Instant::now() + LOOKUP_TIME);
        assert!(timeout(Duration::from_millis(100), look_up).await.is_err());
    }
    let asked = server.asked();
    // Longer than a question waits before it is sent again.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn this_machine_knows_itself() {
    let file = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    if file.contains("localhost") {
        let found = Hickory::default().resolve("localhost", Instant::now() + LOOKUP_TIME).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}
