//! Both lanes, natively, in a scripted world.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use communications_common::contract::NAME;
use communications_stack_status::CAPABILITY;
use ops_guest::testing::{Answer, Ran, World};
use ops_guest::{Failure, NeedKind, NetError};
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../../../ops/bindings/communications.stack.contract.yaml");

fn world(contract: &str) -> World {
    World::new(&CAPABILITY).contract(NAME, contract)
}

/// The contract with these changes, each of one place.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = CONTRACT.to_owned();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} names one place");
        text = text.replace(from, to);
    }
    text
}

/// Result and reason of one check.
fn check(ran: &Ran, name: &str) -> (String, String) {
    let rows = ran.output()["checks"].as_array().unwrap();
    let row = rows.iter().find(|row| row["check"] == name).unwrap_or_else(|| panic!("no {name}: {rows:#?}"));
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("result"), text("why"))
}

fn counts(ran: &Ran) -> [Value; 4] {
    ["checks_ok", "checks_failed", "checks_skipped", "status"].map(|key| ran.output()[key].clone())
}

mod simulation {
    use super::*;

    #[test]
    fn the_repositorys_own_contract_is_ok() {
        let ran = world(CONTRACT).plan(json!({}));
        let output = ran.output();
        for (field, value) in [
            ("provider", json!("stalwart")),
            ("stage", json!("ws1-infra")),
            ("mode", json!("simulation-only")),
            ("lane", json!("simulation")),
            ("execution_backend", json!("simulation")),
            ("vm_target", json!("communications-stack (VM 214, profile spine-ready-v1)")),
            ("mailboxes", json!(3)),
            ("mailboxes_active", json!(0)),
            ("live_probe_status", json!("skipped")),
            ("live_probe_latency_ms", Value::Null),
        ] {
            assert_eq!(output[field], value, "{field}");
        }
        assert_eq!(counts(&ran), [json!(6), json!(0), json!(3), json!("OK")]);
        assert_eq!(check(&ran, "session"), ("skipped".into(), "no mail service is bound".into()));
        assert_eq!(ran.reads, [""; 0]);
    }

    #[test]
    fn each_check_finds_what_it_is_for() {
        for (from, to, name, part) in [
            ("  profile: spine-ready-v1\n", "", "vm-target", "no profile"),
            ("  vm_id: 214\n", "", "vm-target", "no vm_id"),
            ("hostname: communications-stack", "hostname: a.b", "vm-target", "not one label"),
            ("vm_id: 214", "vm_id: 7", "vm-target", "between 100 and 999999999"),
            ("port: 465}", "port: 25}", "ports", "the port 25 is listed twice"),
            ("name: submissions,", "name: smtp,", "ports", "smtp is listed twice"),
            ("port: 465}", "port: 65536}", "ports", "which there is not"),
            ("port: 465}", "port: 0}", "ports", "which there is not"),
            ("address: alerts@communications.local", "address: nobody", "mailboxes", "is not a mail address"),
            ("id: alerts,", "id: ops,", "mailboxes", "the mailbox ops is listed twice"),
            (
                "address: alerts@communications.local",
                "address: OPS@communications.local",
                "mailboxes",
                "the address OPS@communications.local is listed twice",
            ),
            (
                "address: alerts@communications.local",
                "address: alerts@elsewhere.test",
                "domain",
                "alerts@elsewhere.test does not lie in communications.local",
            ),
            ("\ndomain: communications.local", "\ndomain: local", "domain", "not the name of a domain"),
            (
                "default_sender: noreply@communications.local",
                "default_sender: who@communications.local",
                "send-test",
                "is no mailbox of the contract",
            ),
            (
                "default_recipient: ops@communications.local",
                "default_recipient: ops@elsewhere.test",
                "send-test",
                "none of the allowed domains",
            ),
            ("[communications.local]", "['*']", "send-test", "not the name of a domain"),
            ("mode: simulation-only", "mode: live-pilot", "lane", "maps no mail service"),
            ("mode: simulation-only", "mode: live", "lane", "maps no mail service"),
        ] {
            let ran = world(&changed(&[(from, to)])).plan(json!({}));
            let (result, why) = check(&ran, name);
            assert_eq!((result.as_str(), why.contains(part)), ("failed", true), "{to}: {why}");
            assert_eq!(counts(&ran), [json!(5), json!(1), json!(3), json!("FAILED")], "{to}");
        }
    }

    #[test]
    fn empty_lists_are_not_in_order() {
        let ports = CONTRACT.split_once("ports:\n").unwrap().1.split_once("mailboxes:\n").unwrap().0;
        let mailboxes = CONTRACT.split_once("mailboxes:\n").unwrap().1.split_once("send_test:\n").unwrap().0;
        let empty = CONTRACT
            .replace(&format!("ports:\n{ports}"), "ports: []\n")
            .replace(&format!("mailboxes:\n{mailboxes}"), "mailboxes: []\n");
        let ran = world(&empty).plan(json!({}));
        assert_eq!(check(&ran, "ports"), ("failed".into(), "the contract lists no ports".into()));
        assert_eq!(check(&ran, "mailboxes"), ("failed".into(), "the contract lists no mailboxes".into()));
    }

    #[test]
    fn a_contract_that_cannot_be_read_ends_the_run() {
        let ran = world("stage: ws1-infra\n").plan(json!({}));
        assert!(matches!(ran.failure(), Failure::Failed(why) if why.starts_with(NAME)), "{ran:?}");
        let ran = World::new(&CAPABILITY).plan(json!({}));
        assert!(matches!(ran.failure(), Failure::NotGranted(why) if why.contains(NAME)), "{ran:?}");
    }
}

mod live {
    use super::*;

    const CORE: &str = "urn:ietf:params:jmap:core";
    const MAIL: &str = "urn:ietf:params:jmap:mail";
    const SUBMISSION: &str = "urn:ietf:params:jmap:submission";

    fn live() -> String {
        changed(&[
            ("mode: simulation-only", "mode: live-pilot"),
            ("operations, status: planned", "operations, status: active"),
        ])
    }

    fn session(accounts: &Value) -> Value {
        json!({
            "capabilities": {CORE: {}, MAIL: {}, SUBMISSION: {}}, "accounts": accounts,
            "primaryAccounts": {MAIL: "u1"}, "username": "tester", "apiUrl": "/jmap/",
        })
    }

    fn own() -> Value {
        json!({"u1": {"name": "tester"}})
    }

    fn answers(accounts: &Value, folders: &Value, identities: &Value) -> Vec<Answer> {
        vec![
            Answer::get("/.well-known/jmap").json(session(accounts)).takes(Duration::from_millis(30)),
            Answer::post("/jmap/").takes(Duration::from_millis(12)).json(json!({"methodResponses": [
                ["Mailbox/get", {"list": folders}, "Mailbox/get"],
                ["Identity/get", {"list": identities}, "Identity/get"],
            ]})),
        ]
    }

    fn inbox() -> Value {
        json!([{"id": "i", "name": "Inbox"}, {"id": "s", "name": "Sent"}])
    }

    #[test]
    fn the_server_is_asked_and_timed() {
        let accounts = json!({"u1": {"name": "ops@communications.local"}});
        let ran = world(&live()).service("mail", answers(&accounts, &inbox(), &json!([]))).plan(json!({}));
        assert_eq!(ran.reads, ["mail GET /.well-known/jmap", "mail POST /jmap/"]);
        let output = ran.output();
        assert_eq!((&output["lane"], &output["execution_backend"]), (&json!("live"), &json!("jmap")));
        assert_eq!((&output["live_probe_status"], &output["live_probe_count"]), (&json!("ok"), &json!(2)));
        assert_eq!((&output["live_probe_latency_ms"], &output["mailboxes_active"]), (&json!(42), &json!(1)));
        assert_eq!(counts(&ran), [json!(10), json!(0), json!(0), json!("OK")]);
        assert_eq!(check(&ran, "session").1, "as tester, in 30 ms");
        assert_eq!(check(&ran, "server-mailboxes").1, "2 mailboxes, in 12 ms");
    }

    #[test]
    fn an_active_mailbox_is_looked_for() {
        let ops = "ops@communications.local";
        let two = json!({"u1": {"name": "tester"}, "u2": {"name": "other"}});
        for (accounts, folders, identities, result, part) in [
            (json!({"u1": {"name": ops}}), inbox(), json!([]), "ok", "an account"),
            (json!({"u1": {"name": "Ops"}}), inbox(), json!([]), "ok", "an account"),
            (
                own(),
                inbox(),
                json!([{"id": "1", "email": null}, {"id": "2", "email": ops}]),
                "ok",
                "an identity",
            ),
            (own(), json!([{"id": "f", "name": "ops"}]), json!([]), "ok", "a folder"),
            (own(), inbox(), json!([]), "skipped", "sees the account of tester alone"),
            (
                two,
                inbox(),
                json!([{"id": "1", "email": "ops@elsewhere.test"}]),
                "failed",
                "no account, identity or folder",
            ),
        ] {
            let mail = answers(&accounts, &folders, &identities);
            let ran = world(&live()).service("mail", mail).plan(json!({}));
            let (was, why) = check(&ran, "mailbox ops");
            assert_eq!((was.as_str(), why.contains(part)), (result, true), "{accounts} {why}");
            assert_eq!(ran.output()["status"], if result == "failed" { "FAILED" } else { "OK" });
        }
    }

    /// A probe that fails says why in its row, and the contract's rows are there all the same.
    #[test]
    fn what_goes_wrong_is_a_row() {
        let session_fails = |answer: fn(Answer) -> Answer| answer(Answer::get("/.well-known/jmap"));
        let api_fails = |answer: fn(Answer) -> Answer| answer(Answer::post("/jmap/"));
        for (answer, name, part) in [
            (
                session_fails(|a| a.status(401)),
                "session",
                "answered 401: GET /.well-known/jmap: the credential",
            ),
            (
                session_fails(|a| a.status(403)),
                "session",
                "answered 403: GET /.well-known/jmap: the credential",
            ),
            (
                session_fails(|a| a.status(429).header("retry-after", "90")),
                "session",
                "left alone for 90 seconds",
            ),
            (
                session_fails(|a| a.status(503).bytes("down")),
                "session",
                "answered 503: GET /.well-known/jmap: down",
            ),
            (session_fails(|a| a.bytes("<html>")), "session", "no JMAP session"),
            (
                session_fails(|a| a.fails(NetError::Unreachable("refused".into()))),
                "session",
                "GET /.well-known/jmap: refused",
            ),
            (
                session_fails(|a| a.fails(NetError::Tls("unknown issuer".into()))),
                "session",
                "jmap: unknown issuer",
            ),
            (session_fails(|a| a.fails(NetError::Timeout("20 s".into()))), "session", "jmap: 20 s"),
            (session_fails(|a| a.fails(NetError::NotGranted("no rule".into()))), "session", "no rule"),
            (api_fails(|a| a.status(429)), "server-mailboxes", "left alone for a while"),
            (api_fails(|a| a.bytes("{")), "server-mailboxes", "in the form of JMAP"),
            (
                api_fails(|a| {
                    a.json(json!({"methodResponses": [["error", {"type": "serverFail"}, "Mailbox/get"]]}))
                }),
                "server-mailboxes",
                "refused Mailbox/get: serverFail",
            ),
        ] {
            let mut mail = answers(&own(), &inbox(), &json!([]));
            mail.push(answer);
            let ran = world(&live()).service("mail", mail).plan(json!({}));
            let (result, why) = check(&ran, name);
            assert_eq!((result.as_str(), why.contains(part)), ("failed", true), "{part}: {why}");
            let output = ran.output();
            assert_eq!(
                (&output["live_probe_status"], &output["status"]),
                (&json!("failed"), &json!("FAILED"))
            );
            assert_eq!(output["checks_failed"], 1);
            assert_eq!(
                check(&ran, "mailbox ops").0,
                "skipped",
                "what depends on it is no failure of its own"
            );
            assert_eq!(check(&ran, "vm-target").0, "ok");
        }
    }

    #[test]
    fn a_server_that_cannot_send_is_found_out() {
        let mut cannot = session(&own());
        cannot["capabilities"].as_object_mut().unwrap().remove(SUBMISSION);
        let mut mail = answers(&own(), &inbox(), &json!([]));
        mail.push(Answer::get("/.well-known/jmap").json(cannot));
        let ran = world(&live()).service("mail", mail).plan(json!({}));
        let (result, why) = check(&ran, "submission");
        assert_eq!((result.as_str(), why.contains(SUBMISSION)), ("failed", true), "{why}");
    }

    #[test]
    fn a_mail_service_that_the_contract_does_not_want_is_a_failed_check() {
        let ran = world(CONTRACT).service("mail", answers(&own(), &inbox(), &json!([]))).plan(json!({}));
        let (result, why) = check(&ran, "lane");
        assert_eq!((result.as_str(), why.contains("maps a mail service")), ("failed", true), "{why}");
        assert_eq!(check(&ran, "session").0, "ok");
        assert_eq!(ran.output()["status"], "FAILED");
    }
}

#[test]
fn the_manifest_says_which_status_is_a_failure() {
    let manifest = CAPABILITY.manifest();
    let output: Value = serde_json::from_str(&manifest.output).unwrap();
    assert_eq!(output["properties"]["status"]["x-ops-fails-on"], json!(["FAILED"]));
    let required: Vec<_> =
        manifest.needs.iter().filter(|need| !need.optional).map(|need| &need.kind).collect();
    assert!(matches!(required.as_slice(), [NeedKind::Contract(name)] if name == NAME), "{required:?}");
}
