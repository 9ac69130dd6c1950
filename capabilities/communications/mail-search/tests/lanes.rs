//! Both lanes, natively, in a scripted world.

use std::cell::RefCell;
use std::rc::Rc;

use communications_common::contract::NAME;
use communications_mail_search::CAPABILITY;
use ops_guest::testing::{Answer, World};
use ops_guest::{Failure, RateLimit};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../../../ops/bindings/communications.stack.contract.yaml");

mod simulation {
    use super::*;

    #[test]
    fn it_searches_the_contracts_mailboxes_as_text() {
        let mut world = World::new(&CAPABILITY).contract(NAME, CONTRACT);
        for (arguments, matches, first) in [
            (json!({"query": "ALERTS"}), 1, Some("alerts")),
            (json!({"query": "communications.local"}), 3, Some("ops")),
            (json!({"query": "communications.local", "top": 1}), 3, Some("ops")),
            (json!({"query": "planned"}), 3, Some("ops")),
            (json!({"query": "no.reply"}), 0, None),
            (json!({"query": ".*"}), 0, None),
            (json!({"from": "noreply@"}), 1, Some("noreply")),
            (json!({"query": "alerts", "from": "ops@"}), 0, None),
            (json!({}), 3, Some("ops")),
            (json!({"subject": "ops"}), 0, None),
            (json!({"since": "2020-01-01"}), 0, None),
        ] {
            let ran = world.plan(arguments.clone());
            let output = ran.output();
            assert_eq!(
                (&output["lane"], &output["matches"]),
                (&json!("simulation"), &json!(matches)),
                "{arguments}"
            );
            assert_eq!(output["mailboxes"][0]["id"].as_str(), first, "{arguments}");
            let shown = output["mailboxes"].as_array().map_or(0, Vec::len);
            assert_eq!(shown, if arguments["top"] == 1 { 1 } else { matches }, "{arguments}");
            assert_eq!((output.get("messages"), ran.reads.len()), (None, 0));
        }
    }

    #[test]
    fn without_service_and_contract_it_says_what_is_missing() {
        let ran = World::new(&CAPABILITY).plan(json!({}));
        assert!(matches!(ran.failure(), Failure::NotGranted(why) if why.contains(NAME)), "{ran:?}");
    }

    #[test]
    fn a_bad_date_is_bad_input_in_both_lanes() {
        for mut world in [World::new(&CAPABILITY), World::new(&CAPABILITY).service("mail", [])] {
            let ran = world.plan(json!({"since": "last week"}));
            assert!(
                matches!(ran.failure(), Failure::InvalidInput(why) if why.contains("`since`")),
                "{ran:?}"
            );
        }
    }
}

mod live {
    use super::*;

    const MAIL: &str = "urn:ietf:params:jmap:mail";

    /// What was asked of the server, body by body.
    type Asked = Rc<RefCell<Vec<Value>>>;

    /// A server in the manner of Stalwart, with an absolute address and these answers to one request.
    fn world(responses: Value) -> (World, Asked) {
        let session = json!({
            "capabilities": {"urn:ietf:params:jmap:core": {"maxObjectsInGet": 50}, MAIL: {}},
            "accounts": {"b": {"name": "ops@example.test"}},
            "primaryAccounts": {MAIL: "b"},
            "username": "ops@example.test",
            "apiUrl": "https://mail.example.test/jmap/",
        });
        let asked = Asked::default();
        let heard = asked.clone();
        let listen = move |body: &Value| {
            heard.borrow_mut().push(body.clone());
            true
        };
        let answers = [
            Answer::get("/.well-known/jmap").status(307).header("location", "/jmap/session"),
            Answer::get("/jmap/session").json(session),
            Answer::post("/jmap/").json(json!({"methodResponses": responses})).when(listen),
        ];
        (World::new(&CAPABILITY).service("mail", answers), asked)
    }

    fn found() -> Value {
        json!([
            ["Email/query", {"accountId": "b", "ids": ["m2", "m1", "gone"], "total": 7, "canCalculateChanges": false}, "Email/query"],
            ["Email/get", {"accountId": "b", "notFound": ["gone"], "list": [
                {"id": "m1", "receivedAt": "2026-11-20T08:00:00Z", "from": null, "subject": null, "preview": ""},
                {"id": "m2", "receivedAt": "2026-11-21T08:00:00Z", "subject": "Disk is full", "preview": "The disk of pve1",
                 "from": [{"name": "Alerts", "email": "alerts@example.test"}, {"name": null, "email": "b@example.test"}]},
            ]}, "Email/get"],
            ["SearchSnippet/get", {"accountId": "b", "list": [
                {"emailId": "m2", "subject": "<mark>Disk</mark> is full", "preview": "The <mark>disk</mark> of pve1 &amp; pve2"},
                {"emailId": "m1", "subject": null, "preview": null},
            ]}, "SearchSnippet/get"],
        ])
    }

    #[test]
    fn it_finds_messages_in_the_order_of_the_search() {
        let (mut world, asked) = world(found());
        let ran = world.plan(json!({"query": "disk", "top": 3}));
        assert_eq!(
            ran.output(),
            &json!({"lane": "live", "query": "disk", "top": 3, "matches": 7, "messages": [
                {"id": "m2", "date": "2026-11-21T08:00:00Z", "from": "Alerts <alerts@example.test>, b@example.test",
                 "subject": "Disk is full", "preview": "The disk of pve1", "snippet": "The disk of pve1 & pve2"},
                {"id": "m1", "date": "2026-11-20T08:00:00Z", "from": "", "subject": "", "preview": "", "snippet": null},
            ]})
        );
        assert_eq!(ran.reads, ["mail GET /.well-known/jmap", "mail GET /jmap/session", "mail POST /jmap/"]);
        let reference = |path: &str| json!({"resultOf": "Email/query", "name": "Email/query", "path": path});
        assert_eq!(
            asked.borrow()[0],
            json!({"using": ["urn:ietf:params:jmap:core", MAIL], "methodCalls": [
                ["Email/query", {"accountId": "b", "filter": {"text": "disk"}, "limit": 3, "calculateTotal": true,
                    "sort": [{"property": "receivedAt", "isAscending": false}]}, "Email/query"],
                ["Email/get", {"accountId": "b", "#ids": reference("/ids"),
                    "properties": ["id", "receivedAt", "from", "subject", "preview"]}, "Email/get"],
                ["SearchSnippet/get", {"accountId": "b", "filter": {"text": "disk"}, "#emailIds": reference("/ids")},
                    "SearchSnippet/get"],
            ]})
        );
    }

    #[test]
    fn each_criterion_has_its_place() {
        for (arguments, filter, calls) in [
            (json!({}), None, 2),
            (json!({"from": "alice"}), Some(json!({"from": "alice"})), 2),
            (json!({"subject": "disk"}), Some(json!({"subject": "disk"})), 3),
            (json!({"since": "2026-11-22"}), Some(json!({"after": "2026-11-22T00:00:00Z"})), 2),
            (
                json!({"query": "q", "from": "f", "subject": "s", "since": "2026-11-22T09:00:00+01:00"}),
                Some(json!({"text": "q", "from": "f", "subject": "s", "after": "2026-11-22T08:00:00Z"})),
                3,
            ),
        ] {
            let (mut world, asked) = world(found());
            world.plan(arguments.clone()).output();
            let body = asked.borrow()[0].clone();
            assert_eq!(body["methodCalls"][0][1].get("filter"), filter.as_ref(), "{arguments}");
            assert_eq!(body["methodCalls"].as_array().map(Vec::len), Some(calls), "{arguments}");
        }
    }

    #[test]
    fn it_asks_for_no_more_than_the_server_gives() {
        for (top, limit) in [(10, 10), (100, 50)] {
            let (mut world, asked) = world(found());
            world.plan(json!({"top": top})).output();
            assert_eq!(asked.borrow()[0]["methodCalls"][0][1]["limit"], limit);
        }
    }

    #[test]
    fn a_server_without_snippets_or_totals_still_finds() {
        let error = json!(["error", {"type": "unknownMethod"}, "SearchSnippet/get"]);
        let mut responses = found();
        responses[2] = error;
        responses[0][1].as_object_mut().unwrap().remove("total");
        let ran = world(responses).0.plan(json!({"query": "disk"}));
        assert_eq!(ran.output()["matches"], Value::Null);
        assert_eq!(ran.output()["messages"][0]["snippet"], Value::Null);
        assert_eq!(ran.output()["messages"][0]["subject"], "Disk is full");
    }

    #[test]
    fn nothing_found_is_no_failure() {
        let none = json!([
            ["Email/query", {"ids": [], "total": 0}, "Email/query"],
            ["Email/get", {"list": []}, "Email/get"],
            ["SearchSnippet/get", {"list": []}, "SearchSnippet/get"],
        ]);
        let ran = world(none).0.plan(json!({"query": "nothing"}));
        assert_eq!((&ran.output()["matches"], &ran.output()["messages"]), (&json!(0), &json!([])));
    }

    #[test]
    fn what_the_server_refuses_is_a_failure() {
        let refused = |kind: &str| json!([["error", {"type": kind}, "Email/query"]]);
        for (responses, part) in [
            (refused("unsupportedFilter"), "refused Email/query: unsupportedFilter"),
            (json!([["Email/query", {"ids": 1}, "Email/query"]]), "answer to Email/query has another shape"),
            (json!([["Email/query", {"ids": []}, "Email/query"]]), "did not answer Email/get"),
            (
                json!([["Email/query", {"ids": ["m"]}, "Email/query"], ["error", {"type": "invalidResultReference"}, "Email/get"]]),
                "refused Email/get: invalidResultReference",
            ),
        ] {
            let failed = world(responses).0.plan(json!({"query": "x"})).failure().why();
            assert!(failed.contains(part), "{part}: {failed}");
        }
        let limited = world(refused("rateLimit")).0.plan(json!({}));
        assert_eq!(
            limited.failure(),
            &Failure::RateLimited(RateLimit { service: "mail".into(), seconds: None })
        );
    }

    proptest! {
        /// Whatever is typed, the methods stay the three that read, and the only back references are our own.
        #[test]
        fn no_text_becomes_a_method_or_a_reference(
            query in "\\PC{1,60}|\\]\\],\\[\"Email/set\",\\{\"#ids\":\\{\\}|#ids|\"\\}",
            from in "\\PC{1,30}",
            subject in any::<String>(),
        ) {
            let (mut world, asked) = world(found());
            world.plan(json!({"query": query, "from": from, "subject": subject})).output();
            let body = asked.borrow()[0].clone();
            let calls = body["methodCalls"].as_array().unwrap().clone();
            let methods: Vec<_> = calls.iter().map(|call| call[0].as_str().unwrap()).collect();
            prop_assert_eq!(methods, ["Email/query", "Email/get", "SearchSnippet/get"]);
            let keys: Vec<_> = calls.iter().flat_map(|call| call[1].as_object().unwrap().keys()).collect();
            prop_assert_eq!(keys.iter().filter(|key| key.starts_with('#')).count(), 2);
            prop_assert_eq!(
                &calls[0][1]["filter"],
                &json!({"text": query, "from": from, "subject": subject})
            );
        }
    }
}

/// A real run against a server, exported by `ops receipts export KEY --fixture …`.
#[test]
fn it_does_what_it_did_in_a_real_run() {
    let ran = World::fixture(&CAPABILITY, include_str!("fixture.json")).replay();
    assert_eq!(ran.reads, ["mail GET /.well-known/jmap", "mail POST /jmap/"]);
    assert_eq!(ran.output()["matches"], 7);
}
