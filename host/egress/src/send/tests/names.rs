//! Names, through the real resolver and a name server on loopback that changes its mind.

use super::*;
use crate::resolve::Hickory;
use crate::resolve::hickory::server::{Reply, Server, records};

fn egress(server: &Server) -> Egress {
    Egress::new(Hickory::with("/nowhere/hosts".into(), server.address))
}

async fn saying(lines: &'static [&'static str]) -> Server {
    Server::start(move |_, _, _| records(lines)).await
}

/// The first answer passes, every later one is this machine: whoever asks twice is there.
#[tokio::test]
async fn a_name_that_rebinds_is_asked_for_once_and_never_leads_to_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start(|_, _, before| {
        records(if before == 0 { &["mail.test. 192.0.2.1"] } else { &["mail.test. 127.0.0.1"] })
    })
    .await;
    let mut case = Case::new(&format!("https://mail.test:{port}"));
    case.trust = Anchor::Authority(Ca::new().pem);
    // A documentation address stands for a public one: it is listed so that it passes, and nobody is there.
    (case.listed, case.time) = (vec!["192.0.2.0/24".parse().unwrap()], Duration::from_millis(500));
    let egress = egress(&server);
    let error = case.send_through(&egress).await.unwrap_err();
    assert_eq!(error.address, Some(SocketAddr::new("192.0.2.1".parse().unwrap(), port)), "{error:?}");
    // One question for each kind of address.
    assert_eq!(server.asked(), 2);

    let error = case.send_through(&egress).await.unwrap_err();
    assert_eq!((error.failure, error.address), (Failure::Address, None), "{error:?}");
    assert_eq!(server.asked(), 4);
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "loopback was dialled");
}

#[tokio::test]
async fn an_alias_to_an_address_that_is_not_permitted_is_refused() {
    for (lines, why) in [
        (&["mail.test. inner.test.", "inner.test. 10.0.0.1"][..], "a private address is dialled only if"),
        (&["mail.test. inner.test.", "inner.test. 127.0.0.1"], "a loopback address is dialled only if"),
        (&["mail.test. inner.test.", "inner.test. 169.254.169.254"], "cloud metadata addresses are never"),
        (&["mail.test. inner.test.", "inner.test. ::ffff:10.0.0.1"], "a private address is dialled only if"),
        (&["mail.test. inner.test.", "inner.test. 64:ff9b::7f00:1"], "a loopback address is dialled only if"),
    ] {
        let server = saying(lines).await;
        let mut case = Case::new("https://mail.test");
        case.listed = vec![];
        let error = case.send_through(&egress(&server)).await.unwrap_err();
        assert_eq!((error.failure, error.address), (Failure::Address, None), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_permitted_is_dialled() {
    let (address, web) = serve(OK).await;
    let server =
        saying(&["mail.test. 10.0.0.1", "mail.test. 127.0.0.1", "mail.test. fe80::1", "mail.test. ::1"])
            .await;
    let mut case = Case::new(&format!("http://mail.test:{}", address.port()));
    case.listed = vec!["127.0.0.1/32".parse().unwrap()];
    assert_eq!(case.send_through(&egress(&server)).await.unwrap().address, address);
    web.await.unwrap();
}

#[tokio::test]
async fn what_the_name_server_says_is_told_apart() {
    use hickory_resolver::proto::op::ResponseCode;
    for (reply, failure, text) in [
        (Reply::Code(ResponseCode::NXDomain), Failure::Lookup, "there is no such name"),
        (Reply::Code(ResponseCode::ServFail), Failure::Lookup, "the name server failed"),
        (Reply::Silence, Failure::Timeout, "looking the name up took too long"),
    ] {
        let server = Server::start(move |_, _, _| reply.clone()).await;
        let mut case = Case::new("https://mail.test");
        case.time = Duration::from_millis(500);
        let error = case.send_through(&egress(&server)).await.unwrap_err();
        assert_eq!((error.failure, error.sent), (failure, false), "{error:?}");
        assert!(
            error.to_string().starts_with("service `mail`: ") && error.to_string().contains(text),
            "{error}"
        );
    }
}

/// A look-up can carry data out to whoever runs the name's server, so nothing is asked before the request is sound.
#[tokio::test]
async fn a_request_that_cannot_be_sent_looks_nothing_up() {
    let server = saying(&["mail.test. 127.0.0.1"]).await;
    for (method, target) in [("CONNECT", "/"), ("GET", "//evil.test /"), ("GET", "http://evil.test/")] {
        let mut case = Case::new("https://mail.test");
        (case.request.method, case.request.target) = (method.into(), target.into());
        let error = case.send_through(&egress(&server)).await.unwrap_err();
        assert_eq!(error.failure, Failure::Request, "{error:?}");
    }
    assert_eq!(server.asked(), 0);
}
