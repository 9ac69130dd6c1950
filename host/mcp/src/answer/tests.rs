use ops_policy::manifest::Safety;

use super::*;
use crate::tools::Shelf;
use crate::tools::tests::capability;

fn offer() -> std::sync::Arc<Offer> {
    let shelf = Shelf::new(vec![capability("a.b", Safety::Mutating)]);
    shelf.offers["a_b"].clone()
}

fn answered(status: &str, output: Option<Value>) -> agents::Answer {
    agents::Answer {
        capability: "a.b".to_owned(),
        run: Some("CAP-1".to_owned()),
        status: status.to_owned(),
        exit: 0,
        code: None,
        message: "what happened".to_owned(),
        output,
        plan: None,
        denied: Vec::new(),
    }
}

/// The structured content, after a look at what is true of every answer.
#[track_caller]
fn content(offer: &Offer, result: &CallToolResult) -> Value {
    let content = result.structured_content.clone().unwrap();
    assert!(offer.answers_with(&content), "{content}");
    let text = &result.content[0].as_text().unwrap().text;
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), content);
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text}");
    content
}

#[test]
fn what_was_done_is_told_with_its_receipt() {
    let offer = offer();
    let result = result(&offer, answered("done", Some(json!({"sent": "yes"}))), None);
    let content = content(&offer, &result);
    assert_eq!(result.is_error, Some(false));
    assert_eq!(content["data"], json!({"sent": "yes"}));
    assert_eq!(content["receipt"], "ops://receipts/CAP-1");
}

#[test]
fn every_other_end_is_an_error_but_two() {
    let offer = offer();
    for (status, is_error) in [
        ("done", false),
        ("planned", false),
        ("applying", false),
        ("failed", true),
        ("denied", true),
        ("stale", true),
        ("partial", true),
        ("unknown", true),
        ("interrupted", true),
        ("usage", true),
    ] {
        let result = result(&offer, answered(status, None), None);
        let content = content(&offer, &result);
        assert_eq!(result.is_error, Some(is_error), "{status}");
        assert_eq!(content["status"], status);
        assert_eq!(content.get("data"), None);
        let has_receipt = content.get("receipt").is_some();
        assert_eq!(has_receipt, status != "usage" && status != "applying", "{status}");
    }
    let busy = refused(&offer, "busy", "later");
    assert_eq!(
        content(&offer, &busy),
        json!({"status": "busy", "message": "later", "error": {"code": "busy"}})
    );
}

#[test]
fn wrong_arguments_are_listed_where_an_agent_can_look() {
    let offer = offer();
    let mut answer = answered("usage", None);
    answer.message =
        "the arguments of a.b are not right:\n  /x: no\n`ops cap run a.b --help` lists them".into();
    let content = content(&offer, &result(&offer, answer, None));
    assert_eq!(
        content["message"],
        "the arguments of a.b are not right:\n  /x: no\nthe tool's inputSchema lists them"
    );
}

#[test]
fn what_a_guest_says_hides_nothing() {
    let offer = offer();
    let output = json!({"sent": "a\u{202e}b", "more": ["\u{1b}[2J", {"k\u{7f}": "x\r\ny\tz"}]});
    let mut answer = answered("done", Some(output));
    answer.message = "line\u{1b}]0;title\u{7}\nnext\u{200b}".into();
    answer.denied = vec!["GET /\u{202e}".into()];
    let content = content(&offer, &result(&offer, answer, None));
    assert_eq!(
        content["data"],
        json!({"sent": "a\\u{202e}b", "more": ["\\u{1b}[2J", {"k\\u{7f}": "x\ny\tz"}]})
    );
    assert_eq!(content["message"], "line\\u{1b}]0;title\\u{7}\nnext\\u{200b}");
    assert_eq!(content["denied"], json!(["GET /\\u{202e}"]));
}

#[test]
fn data_that_does_not_fit_is_left_out_and_said_so() {
    let offer = offer();
    // Ten characters fit; written out they are more.
    for output in
        [json!({"sent": "\u{202e}".repeat(10)}), json!({"sent": "x", "more": "y".repeat(MOST_DATA)})]
    {
        let content = content(&offer, &result(&offer, answered("done", Some(output)), None));
        assert_eq!(content["status"], "done");
        assert_eq!(content.get("data"), None);
        assert!(content["message"].as_str().unwrap().starts_with("what happened\nthe output is left out: "));
    }
}

#[test]
fn long_words_are_cut() {
    let offer = offer();
    let mut answer = answered("failed", None);
    answer.message = "m".repeat(10 * MOST_MESSAGE);
    answer.denied = vec!["d".repeat(10_000); 1000];
    let content = content(&offer, &result(&offer, answer, None));
    assert!(content["message"].as_str().unwrap().len() <= MOST_MESSAGE);
    assert_eq!(content["denied"].as_array().unwrap().len(), MOST_DENIED.0);
    assert!(content.to_string().len() < 20_000);
}
