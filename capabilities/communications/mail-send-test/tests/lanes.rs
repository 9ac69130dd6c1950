//! Both lanes, natively, in a scripted world.

#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

use communications_mail_send_test::CAPABILITY;
use ops_guest::testing::{Answer, End, World};
use ops_guest::{Failure, NeedKind, Undo};
use serde_json::{Value, json};

fn world() -> World {
    World::new(&CAPABILITY)
        .config(json!({"from": "ops@mail.example.test", "allowed_recipient_domains": ["mail.example.test", "Lab.test"]}))
}

fn to(address: &str) -> Value {
    json!({"to": address, "subject": "S", "body": "B"})
}

mod simulation {
    use super::*;

    #[test]
    fn stages_one_pair_for_each_run() {
        let mut world = world().directory("outbox", &[]);
        let first = world.apply(to("alice@mail.example.test"));
        let second = world.apply(to("alice@mail.example.test"));
        assert_eq!((first.effects.len(), first.reads.len()), (0, 0));
        assert_eq!((first.files.len(), second.files.len()), (2, 2));
        assert!(first.files.keys().all(|name| !second.files.contains_key(name)), "ids are not used twice");

        let output = first.output();
        assert_eq!((&output["status"], &output["lane"]), (&json!("simulated"), &json!("simulation")));
        assert_eq!(output.get("email_id"), None);
        let record = first.file(output["record"].as_str().unwrap());
        assert!(record.contains("created_at: \"2026-11-22T09:00:00Z\"\n"), "{record}");
        assert!(record.contains("status: simulated\n"), "{record}");
        let eml = first.file(&output["record"].as_str().unwrap().replace(".yaml", ".eml"));
        assert!(eml.contains(&format!("Message-ID: <{}>", output["message_id"].as_str().unwrap())), "{eml}");
    }

    #[test]
    fn fills_in_subject_and_body() {
        let ran = world().directory("outbox", &[]).plan(json!({"to": "a@lab.test"}));
        assert_eq!(ran.output()["subject"], "Test message");
        assert!(
            ran.files
                .iter()
                .any(|(name, _)| name.ends_with(".eml") && ran.file(name).contains("Nobody needs"))
        );
    }

    #[test]
    fn the_domain_of_ids_can_be_set() {
        let config =
            json!({"from": "ops@a.test", "allowed_recipient_domains": ["a.test"], "domain": "ids.test"});
        let ran = world().config(config).directory("outbox", &[]).plan(to("x@a.test"));
        assert!(ran.output()["message_id"].as_str().unwrap().ends_with("@ids.test"));
    }

    #[test]
    fn without_an_outbox_it_says_what_is_missing() {
        let ran = world().plan(to("alice@mail.example.test"));
        assert!(matches!(ran.failure(), Failure::Failed(why) if why.contains("`outbox`")), "{ran:?}");
    }
}

mod refusals {
    use super::*;

    #[test]
    fn of_input() {
        let mut world = world().directory("outbox", &[]);
        for (arguments, part) in [
            (json!({"to": "nobody"}), "`to` is not a mail address"),
            (json!({"to": "A <a@lab.test>"}), "`to` is not"),
            (
                json!({"to": "a@lab.test", "subject": "S\r\nBcc: eve@evil.test"}),
                "`subject` holds a line break",
            ),
            (json!({"to": "a@lab.test", "subject": "S\u{1b}[31m"}), "`subject` holds a line break"),
            (json!({"to": "a@lab.test", "cc": "b@lab.test"}), "unknown field `cc`"),
            (json!({}), "missing field `to`"),
        ] {
            let ran = world.plan(arguments.clone());
            assert!(
                matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(part)),
                "{arguments} {ran:?}"
            );
            assert!(ran.files.is_empty());
        }
    }

    #[test]
    fn of_a_recipient_outside_the_allowed_domains() {
        let mut world = world().directory("outbox", &[]);
        for (recipient, allowed) in [
            ("alice@lab.test", true),
            ("alice@LAB.TEST", true),
            ("alice@evil-lab.test", false),
            ("alice@lab.test.evil.test", false),
            ("alice@sub.lab.test", false),
        ] {
            let ran = world.plan(to(recipient));
            match ran.end {
                End::Output(_) => assert!(allowed, "{recipient}"),
                End::Failed(Failure::Failed(why)) => {
                    assert!(!allowed, "{recipient}: {why}");
                    assert!(why.contains("mail.example.test, Lab.test"), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn of_a_config_that_does_not_fit() {
        for (config, part) in [
            (json!({"allowed_recipient_domains": []}), "missing field `from`"),
            (
                json!({"from": "nobody", "allowed_recipient_domains": ["lab.test"]}),
                "config.from is not a mail address",
            ),
        ] {
            let ran = world().config(config).plan(to("a@lab.test"));
            assert!(matches!(ran.failure(), Failure::Failed(why) if why.contains(part)), "{ran:?}");
        }
    }
}

mod live {
    use super::*;

    const API: &str = "/jmap/";

    fn session(api: &str) -> Value {
        json!({
            "apiUrl": api,
            "capabilities": {"urn:ietf:params:jmap:core": {}, "urn:ietf:params:jmap:submission": {}},
            "primaryAccounts": {"urn:ietf:params:jmap:mail": "u1"},
        })
    }

    fn answers(identities: Value, sending: Value) -> Vec<Answer> {
        let starts = |method: &'static str| move |body: &Value| body["methodCalls"][0][0] == method;
        let found = json!({"methodResponses": [
            ["Identity/get", {"list": identities}, "identities"],
            ["Mailbox/get", {"list": [{"id": "d", "role": "drafts"}, {"id": "s", "role": "sent"}, {"id": "x", "role": null}]}, "mailboxes"],
        ]});
        vec![
            Answer::get("/.well-known/jmap").status(301).header("location", "http://127.0.0.1:18008/jmap"),
            Answer::get("/jmap").json(session(API)),
            Answer::post(API).when(starts("Identity/get")).json(found),
            Answer::post(API).when(starts("Email/set")).json(json!({"methodResponses": sending})),
        ]
    }

    fn good() -> Value {
        json!([
            ["Email/set", {"created": {"draft": {"id": "m7"}}}, "draft"],
            ["EmailSubmission/set", {"created": {"send": {"id": "q9"}}}, "send"],
            ["Email/set", {"updated": {"m7": null}}, "send"],
        ])
    }

    #[test]
    fn plans_one_effect_and_sends_it() {
        let mut world = world().service("mail", answers(json!([{"id": "i1"}]), good()));
        let plan = world.plan(to("alice@mail.example.test"));
        assert_eq!(plan.output()["status"], "planned");
        assert_eq!(plan.reads, ["mail GET /.well-known/jmap", "mail GET /jmap", "mail POST /jmap/"]);
        let [effect] = plan.effects.as_slice() else { panic!("{:?}", plan.effects) };
        assert_eq!(effect.summary, "send \"S\" from ops@mail.example.test to alice@mail.example.test");
        assert!(matches!(&effect.undo, Undo::Impossible(_)));
        let body: Value = serde_json::from_slice(effect.request.body.as_deref().unwrap()).unwrap();
        let draft = &body["methodCalls"][0][1]["create"]["draft"];
        assert_eq!(draft["messageId"], json!([plan.output()["message_id"]]));
        assert_eq!(draft["mailboxIds"], json!({"d": true}));
        assert_eq!(body["methodCalls"][1][1]["onSuccessUpdateEmail"]["#send"]["mailboxIds/s"], true);
        assert!(world.performed().is_empty());

        let ran = world.apply(to("alice@mail.example.test"));
        let output = ran.output();
        assert_eq!((&output["status"], &output["lane"]), (&json!("sent"), &json!("live")));
        assert_eq!((&output["email_id"], &output["submission_id"]), (&json!("m7"), &json!("q9")));
        assert_eq!(world.performed().len(), 1);
    }

    #[test]
    fn a_session_may_come_at_once_with_an_absolute_address() {
        let direct = Answer::get("/.well-known/jmap").json(session("https://mail.example.test/jmap/"));
        let mut answers = answers(json!([{"id": "i1", "email": "ops@mail.example.test"}]), good());
        answers.push(direct);
        let plan = world().service("mail", answers).plan(to("alice@mail.example.test"));
        assert_eq!(plan.reads, ["mail GET /.well-known/jmap", "mail POST /jmap/"]);
        assert_eq!(plan.effects.len(), 1);
    }

    #[test]
    fn what_the_server_refuses_is_a_failure() {
        let refused = |method: &str, object: &str, call: &str| json!([method, {"notCreated": {object: {"type": "forbiddenFrom", "description": "not you"}}}, call]);
        let made = json!(["Email/set", {"created": {"draft": {"id": "m7"}}}, "draft"]);
        for (sending, part) in [
            (json!([refused("Email/set", "draft", "draft")]), "refused Email/set: forbiddenFrom not you"),
            (
                json!([made, refused("EmailSubmission/set", "send", "send")]),
                "nothing was sent, a draft is left behind (m7)",
            ),
            (json!([["error", {"type": "unknownMethod"}, "draft"]]), "refused draft: unknownMethod"),
            (json!([made]), "did not answer the call \"send\""),
            (json!([["Email/set", {}, "draft"]]), "names no id"),
        ] {
            let ran =
                world().service("mail", answers(json!([{"id": "i1"}]), sending)).apply(to("a@lab.test"));
            assert!(matches!(ran.failure(), Failure::Failed(why) if why.contains(part)), "{part}: {ran:?}");
        }
    }

    #[test]
    fn a_server_that_cannot_send_is_found_out_before_the_plan() {
        for (answer, part) in [
            (
                Answer::get("/jmap").json(json!({"apiUrl": API, "capabilities": {}, "primaryAccounts": {}})),
                "no JMAP submission",
            ),
            (Answer::get("/jmap").status(401), "credential"),
            (Answer::get("/jmap").bytes("<html>"), "not the JSON"),
        ] {
            let mut answers = answers(json!([{"id": "i1"}]), good());
            answers.push(answer);
            let ran = world().service("mail", answers).plan(to("a@lab.test"));
            assert!(format!("{:?}", ran.failure()).contains(part), "{ran:?}");
            assert!(ran.effects.is_empty());
        }
        let foreign = json!([{"id": "i1", "email": "other@mail.example.test"}]);
        let ran = world().service("mail", answers(foreign, good())).plan(to("a@lab.test"));
        assert!(format!("{:?}", ran.failure()).contains("no identity"), "{ran:?}");
    }
}

#[test]
fn the_manifest_speaks_for_itself() {
    let manifest = CAPABILITY.manifest();
    assert_eq!(manifest.name, "communications.mail.send.test");
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    let required: Vec<_> =
        manifest.needs.iter().filter(|need| !need.optional).map(|need| &need.kind).collect();
    assert!(required.iter().all(|kind| matches!(kind, NeedKind::Config(_))), "{required:?}");
    let input: Value = serde_json::from_str(&manifest.input).unwrap();
    assert_eq!(input["required"], json!(["to"]));
    assert_eq!(input["additionalProperties"], false);
    assert_eq!(input["properties"]["subject"]["default"], "Test message");
    assert_eq!(input["properties"]["subject"]["description"], "The subject line.");
    let output: Value = serde_json::from_str(&manifest.output).unwrap();
    assert!(!manifest.output.contains("$ref"), "{output}");
}
