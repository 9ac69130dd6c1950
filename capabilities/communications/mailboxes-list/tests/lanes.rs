//! Both lanes, natively, in a scripted world.

use communications_common::contract::NAME;
use communications_mailboxes_list::CAPABILITY;
use ops_guest::testing::{Answer, World};
use ops_guest::{Failure, NetError, RateLimit};
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../../../ops/bindings/communications.stack.contract.yaml");

#[test]
fn a_simulation_lists_what_the_contract_names() {
    let ran = World::new(&CAPABILITY).contract(NAME, CONTRACT).plan(json!({}));
    let row = |id: &str, role: &str| {
        json!({"id": id, "address": format!("{id}@communications.local"), "role": role, "status": "planned",
               "total": null, "unread": null})
    };
    assert_eq!(
        ran.output(),
        &json!({"lane": "simulation", "mailboxes": [row("ops", "operations"), row("alerts", "alerts"), row("noreply", "no-reply")]})
    );
    assert_eq!(ran.reads, [""; 0]);
}

#[test]
fn without_service_and_contract_it_says_what_is_missing() {
    let ran = World::new(&CAPABILITY).plan(json!({}));
    assert!(matches!(ran.failure(), Failure::NotGranted(why) if why.contains(NAME)), "{ran:?}");
}

/// What Cyrus answers: the well-known place redirects, and the session names its interface without a host.
fn cyrus(list: Value) -> World {
    let session = json!({
        "capabilities": {"urn:ietf:params:jmap:core": {"maxObjectsInGet": 500}, "urn:ietf:params:jmap:mail": {}},
        "accounts": {"ops": {"name": "ops", "isPersonal": true}},
        "primaryAccounts": {"urn:ietf:params:jmap:mail": "ops"},
        "username": "ops",
        "apiUrl": "/jmap/",
    });
    live(vec![
        Answer::get("/.well-known/jmap").status(301).header("location", "/jmap"),
        Answer::get("/jmap").json(session),
        Answer::post("/jmap/").json(
            json!({"methodResponses": [["Mailbox/get", {"accountId": "ops", "list": list}, "Mailbox/get"]]}),
        ),
    ])
}

fn live(answers: Vec<Answer>) -> World {
    World::new(&CAPABILITY).service("mail", answers)
}

#[test]
fn live_it_lists_what_the_server_has() {
    let mut world = cyrus(json!([
        {"id": "s", "name": "Sent", "parentId": null, "role": "sent", "sortOrder": 5, "totalEmails": 2, "unreadEmails": 0},
        {"id": "y", "name": "2026", "parentId": "p", "role": null, "sortOrder": 10, "totalEmails": 1, "unreadEmails": 1},
        {"id": "p", "name": "Projects", "parentId": null, "role": null, "sortOrder": 10, "totalEmails": 0, "unreadEmails": 0},
        {"id": "i", "name": "Inbox", "parentId": null, "role": "inbox", "sortOrder": 1, "totalEmails": 16, "unreadEmails": 3},
    ]));
    let ran = world.plan(json!({}));
    assert_eq!(ran.output()["lane"], "live");
    let rows = ran.output()["mailboxes"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Inbox", "Sent", "Projects", "Projects/2026"]);
    assert_eq!(
        rows[0],
        json!({"id": "i", "name": "Inbox", "role": "inbox", "status": "active", "total": 16, "unread": 3})
    );
    assert_eq!(ran.reads, ["mail GET /.well-known/jmap", "mail GET /jmap", "mail POST /jmap/"]);
}

#[test]
fn folders_that_lie_in_each_other_end_somewhere() {
    let ran = cyrus(json!([
        {"id": "a", "name": "A", "parentId": "b"}, {"id": "b", "name": "B", "parentId": "a"},
        {"id": "c", "name": "C", "parentId": "gone"},
    ]))
    .plan(json!({}));
    let rows = ran.output()["mailboxes"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().any(|row| row["name"] == "C"));
    assert!(rows.iter().all(|row| row["name"].as_str().unwrap().len() < 50), "{rows:?}");
}

/// How it fails where these answers come instead of good ones; the last answer that fits is given.
fn failure(answers: impl IntoIterator<Item = Answer>) -> Failure {
    let good = json!({
        "capabilities": {"urn:ietf:params:jmap:core": {}, "urn:ietf:params:jmap:mail": {}},
        "primaryAccounts": {"urn:ietf:params:jmap:mail": "A1"},
        "apiUrl": "https://mail.example.test/jmap/",
    });
    let list = json!({"methodResponses": [["Mailbox/get", {"list": []}, "Mailbox/get"]]});
    let mut all = vec![Answer::get("/.well-known/jmap").json(good), Answer::post("/jmap/").json(list)];
    all.extend(answers);
    live(all).plan(json!({})).failure().clone()
}

fn session() -> Answer {
    Answer::get("/.well-known/jmap")
}

fn api() -> Answer {
    Answer::post("/jmap/")
}

#[test]
fn statuses_are_failures_of_their_kind() {
    for status in [401, 403, 500] {
        let failed = failure([session().status(status)]);
        assert!(matches!(&failed, Failure::Upstream(upstream) if upstream.status == status), "{failed:?}");
    }
    for answer in [session(), api()] {
        let limited = Failure::RateLimited(RateLimit { service: "mail".into(), seconds: Some(30) });
        assert_eq!(failure([answer.status(429).header("retry-after", "30")]), limited);
    }
}

#[test]
fn what_a_server_lacks_or_refuses_is_told() {
    let core = "urn:ietf:params:jmap:core";
    let no_mail = json!({"capabilities": {core: {}}, "apiUrl": "/jmap/"});
    let no_account = json!({"capabilities": {core: {}, "urn:ietf:params:jmap:mail": {}}, "primaryAccounts": {}, "apiUrl": "/jmap/"});
    let error = json!({"methodResponses": [["error", {"type": "requestTooLarge"}, "Mailbox/get"]]});
    let shape = json!({"methodResponses": [["Mailbox/get", {"list": [{"id": 7}]}, "Mailbox/get"]]});
    for (answer, part) in [
        (session().json(no_mail), "does not offer urn:ietf:params:jmap:mail"),
        (session().json(no_account), "no mail account"),
        (session().bytes("{\"capabilities\":"), "no JMAP session"),
        (api().json(error), "refused Mailbox/get: requestTooLarge"),
        (api().json(shape), "another shape"),
        (api().bytes("nonsense"), "in the form of JMAP"),
        (api().fails(NetError::Timeout("20 s".into())), "POST /jmap/: 20 s"),
    ] {
        let failed = failure([answer]).why();
        assert!(failed.contains(part), "{part}: {failed}");
    }
    let round = [
        session().status(302).header("location", "/jmap/session"),
        Answer::get("/jmap/session").status(307).header("location", "/jmap"),
    ];
    assert!(failure(round).why().contains("redirects more than once"));
}
