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
    json!({"to": [address], "subject": "S", "body": "B"})
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
        assert!(record.contains("status: \"simulated\"\n"), "{record}");
        let eml = first.file(&output["record"].as_str().unwrap().replace(".yaml", ".eml"));
        assert!(eml.contains(&format!("Message-ID: <{}>", output["message_id"].as_str().unwrap())), "{eml}");
    }

    #[test]
    fn fills_in_subject_and_body() {
        let ran = world().directory("outbox", &[]).plan(json!({"to": ["a@lab.test"]}));
        assert_eq!(ran.output()["subject"], "Test message");
        assert!(
            ran.files
                .iter()
                .any(|(name, _)| name.ends_with(".eml") && ran.file(name).contains("Nobody needs"))
        );
    }

    #[test]
    fn a_message_that_names_nobody_goes_to_the_default() {
        let config = |recipient: &str| json!({"from": "ops@a.test", "allowed_recipient_domains": ["a.test"], "default_recipient": recipient});
        let ran = world().config(config("desk@a.test")).directory("outbox", &[]).plan(json!({}));
        assert_eq!(ran.output()["to"], json!(["desk@a.test"]));
        let ran = world().config(config("desk@b.test")).directory("outbox", &[]).plan(json!({}));
        assert!(
            matches!(ran.failure(), Failure::Failed(why) if why.contains("no test mail goes to b.test")),
            "{ran:?}"
        );
    }

    #[test]
    fn blind_copies_stand_in_the_record_and_not_in_the_mail() {
        let arguments =
            json!({"to": ["a@lab.test", "b@lab.test"], "cc": ["c@lab.test"], "bcc": ["d@lab.test"]});
        let ran = world().directory("outbox", &[]).plan(arguments);
        let output = ran.output();
        assert_eq!((&output["cc"], &output["bcc"]), (&json!(["c@lab.test"]), &json!(["d@lab.test"])));
        let record = output["record"].as_str().unwrap();
        assert!(ran.file(record).contains("d@lab.test") && !ran.file(record).contains("Nobody needs"));
        let eml = ran.file(&record.replace(".yaml", ".eml"));
        assert!(eml.contains("Cc: <c@lab.test>\r\n") && !eml.contains("d@lab.test"), "{eml}");
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
            (json!({"to": ["nobody"]}), "`to` is not a mail address"),
            (json!({"to": ["A <a@lab.test>"]}), "`to` is not"),
            (json!({"to": ["a@lab.test,b@lab.test"]}), "`to` is not"),
            (json!({"to": ["a@lab.test"], "cc": ["b"]}), "`cc` is not a mail address"),
            (json!({"to": ["a@lab.test"], "bcc": ["b@lab.test\r\nX: y"]}), "`bcc` is not"),
            (
                json!({"to": ["a@lab.test"], "subject": "S\r\nBcc: eve@evil.test"}),
                "`subject` holds a line break",
            ),
            (json!({"to": ["a@lab.test"], "subject": "S\u{1b}[31m"}), "`subject` holds a line break"),
            (json!({"to": ["a@lab.test"], "reply_to": ["b@lab.test"]}), "unknown field `reply_to`"),
            (
                json!({"to": ["a@lab.test", "A@Lab.test"]}),
                "`to` names A@Lab.test, who gets the message already",
            ),
            (json!({"to": ["a@lab.test"], "bcc": ["a@lab.test"]}), "`bcc` names a@lab.test"),
            (
                json!({"cc": ["a@lab.test"]}),
                "`to` names nobody, and the binding's config has no default_recipient",
            ),
            (
                json!({"to": (0..15).map(|n| format!("t{n}@lab.test")).collect::<Vec<_>>(),
                    "bcc": (0..6).map(|n| format!("b{n}@lab.test")).collect::<Vec<_>>()}),
                "at most 20 recipients",
            ),
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
            "capabilities": {
                "urn:ietf:params:jmap:core": {},
                "urn:ietf:params:jmap:mail": {},
                "urn:ietf:params:jmap:submission": {},
            },
            "primaryAccounts": {"urn:ietf:params:jmap:mail": "u1"},
        })
    }

    fn answers(identities: Value, sending: Value) -> Vec<Answer> {
        let starts = |method: &'static str| move |body: &Value| body["methodCalls"][0][0] == method;
        let found = json!({"methodResponses": [
            ["Identity/get", {"list": identities}, "Identity/get"],
            ["Mailbox/get", {"list": [{"id": "d", "role": "drafts"}, {"id": "s", "role": "sent"}, {"id": "x", "role": null}]}, "Mailbox/get"],
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
            ["Email/set", {"created": {"draft": {"id": "m7"}}}, "Email/set"],
            ["EmailSubmission/set", {"created": {"send": {"id": "q9"}}}, "EmailSubmission/set"],
            ["Email/set", {"updated": {"m7": null}}, "EmailSubmission/set"],
        ])
    }

    #[test]
    fn plans_one_effect_and_sends_it() {
        let mut world = world().service("mail", answers(json!([{"id": "i1"}]), good()));
        let plan = world.plan(to("alice@mail.example.test"));
        assert_eq!(plan.output()["status"], "planned");
        assert_eq!(plan.reads, ["mail GET /.well-known/jmap", "mail GET /jmap", "mail POST /jmap/"]);
        let [effect] = plan.effects.as_slice() else { panic!("{:?}", plan.effects) };
        assert_eq!(
            effect.summary,
            "send from ops@mail.example.test to alice@mail.example.test: \"S\", 1 bytes of text"
        );
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

    /// What the approver sees is what is sent: headers, text and envelope, and blind copies in the envelope alone.
    #[test]
    fn the_request_names_everybody_in_the_right_place() {
        let mut world = world().service("mail", answers(json!([{"id": "i1"}]), good()));
        let all = json!({"to": ["a@lab.test", "b@lab.test"], "cc": ["c@lab.test"], "bcc": ["d@lab.test", "e@lab.test"],
                         "subject": "S", "body": "Hello"});
        let plan = world.plan(all);
        assert_eq!(
            plan.effects[0].summary,
            "send from ops@mail.example.test to a@lab.test, b@lab.test, cc c@lab.test, bcc d@lab.test, \
             bcc e@lab.test: \"S\", 5 bytes of text"
        );
        let body: Value = serde_json::from_slice(plan.effects[0].request.body.as_deref().unwrap()).unwrap();
        let draft = &body["methodCalls"][0][1]["create"]["draft"];
        let list = |names: &[&str]| -> Value {
            names.iter().map(|name| json!({"email": format!("{name}@lab.test")})).collect()
        };
        assert_eq!((&draft["to"], &draft["cc"]), (&list(&["a", "b"]), &list(&["c"])));
        assert_eq!((draft.get("bcc"), &draft["sentAt"]), (None, &json!("2026-11-22T09:00:00Z")));
        assert!(!draft.to_string().contains("d@lab.test"), "{draft}");
        assert_eq!(
            body["methodCalls"][1][1]["create"]["send"]["envelope"],
            json!({"mailFrom": {"email": "ops@mail.example.test"}, "rcptTo": list(&["a", "b", "c", "d", "e"])})
        );
    }

    /// Ids of the server become keys; one that is no id would reach further into the message.
    #[test]
    fn an_odd_mailbox_is_refused() {
        for (mailboxes, part) in [
            (json!([{"id": "a/keywords", "role": "drafts"}]), "\"a/keywords\", which is none"),
            (json!([{"id": "x", "role": null}]), "no mailbox for drafts, sent or incoming mail"),
        ] {
            let mut answers = answers(json!([{"id": "i1"}]), good());
            answers.push(Answer::post(API).json(json!({"methodResponses": [
                ["Identity/get", {"list": [{"id": "i1"}]}, "Identity/get"],
                ["Mailbox/get", {"list": mailboxes}, "Mailbox/get"],
            ]})));
            let ran = world().service("mail", answers).plan(to("a@lab.test"));
            assert!(matches!(ran.failure(), Failure::Failed(why) if why.contains(part)), "{ran:?}");
        }
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
        let refused = |method: &str, object: &str| json!([method, {"notCreated": {object: {"type": "forbiddenFrom", "description": "not you"}}}, method]);
        let made = json!(["Email/set", {"created": {"draft": {"id": "m7"}}}, "Email/set"]);
        for (sending, part) in [
            (json!([refused("Email/set", "draft")]), "refused Email/set: forbiddenFrom not you"),
            (
                json!([made, refused("EmailSubmission/set", "send")]),
                "nothing was sent, a draft is left behind (m7)",
            ),
            (json!([["error", {"type": "unknownMethod"}, "Email/set"]]), "refused Email/set: unknownMethod"),
            (
                json!([made]),
                "did not answer EmailSubmission/set; nothing was sent, a draft is left behind (m7)",
            ),
            (json!([["Email/set", {}, "Email/set"]]), "names no id"),
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
                Answer::get("/jmap").json({
                    let mut cannot = session(API);
                    cannot["capabilities"].as_object_mut().unwrap().remove("urn:ietf:params:jmap:submission");
                    cannot
                }),
                "does not offer urn:ietf:params:jmap:submission",
            ),
            (Answer::get("/jmap").status(401), "credential"),
            (Answer::get("/jmap").status(429).header("retry-after", "5"), "seconds: Some(5)"),
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
    assert_eq!((&input["required"], &input["properties"]["to"]["type"]), (&Value::Null, &json!("array")));
    assert_eq!(input["additionalProperties"], false);
    assert_eq!(input["properties"]["subject"]["default"], "Test message");
    assert_eq!(input["properties"]["subject"]["description"], "The subject line.");
    let output: Value = serde_json::from_str(&manifest.output).unwrap();
    assert!(!manifest.output.contains("$ref"), "{output}");
}
