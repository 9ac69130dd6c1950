//! Asking again: reads and what is safe to repeat, a few times in a run, and nothing else ever.

use std::collections::BTreeSet;

use ops_tests::server::{Reply, Seen, Server};
use serde_json::json;

use super::{Test, changing, reading};
use crate::hostile::yard::{Run, Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("asks", "a_read_is_repeated_until_it_is_answered", a_read),
    ("asks", "a_pause_that_the_server_asks_for_is_made", a_pause),
    ("asks", "a_day_of_rest_is_not_waited_for", a_day_of_rest),
    ("asks", "all_reads_of_a_run_share_a_few_repeats", a_few_for_all),
    ("changes", "a_change_without_a_key_is_never_repeated", without_a_key),
    ("changes", "a_change_without_a_key_that_is_cut_off_is_unknown", cut_off),
    ("changes", "a_change_that_can_be_repeated_is", repeatable),
    ("changes", "a_key_stays_the_same_for_its_effect_and_no_other", keys),
];

/// A server that answers this to the first two requests, with these fields, and `ok` to the others.
fn busy_twice(status: u16, fields: &'static [(&'static str, &'static str)]) -> Server {
    Server::start(move |_, before| {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        if before < 2 {
            Reply::Fields(status, fields.collect(), "busy".into())
        } else {
            Reply::Answer(200, "ok".into())
        }
    })
}

fn a_read(yard: &Yard) {
    for status in [429, 502, 503, 504] {
        let server = busy_twice(status, &[]);
        yard.bind(&reading(&server));
        let run = yard.run(&["--ask", "web/hello", "--strict"]).ends("done", 0, None);
        assert_eq!(run.output()["answers"][0]["body"], "ok", "{status}");
        assert_eq!(saw(&server), ["GET /hello"; 3], "{status}");
        assert_eq!(run.used(), [("web/all".to_owned(), 3)].into(), "{status}");
    }
    // An answer is an answer, whatever became of the tries before it.
    let server = Server::start(
        |_, before| if before == 0 { Reply::HangUp } else { Reply::Answer(404, "gone".into()) },
    );
    yard.bind(&reading(&server));
    yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some("upstream")).says("404");
    assert_eq!(saw(&server), ["GET /hello"; 2]);
    // What is wrong with the request, or with us, is not better the second time.
    for status in [400, 401, 403, 404, 500] {
        let server = busy_twice(status, &[]);
        yard.bind(&reading(&server));
        yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some("upstream"));
        assert_eq!(saw(&server), ["GET /hello"], "{status}");
    }
}

fn a_pause(yard: &Yard) {
    let server = busy_twice(503, &[("retry-after", "1")]);
    yard.bind(&reading(&server));
    yard.run(&["--ask", "web/hello", "--strict"]).ends("done", 0, None);
    assert_eq!(saw(&server), ["GET /hello"; 3]);

    // Where the pause does not fit into the run's time, nobody waits for it: the answer is what it is.
    let server = busy_twice(503, &[("retry-after", "20")]);
    yard.bind(&format!("{}limits: {{time: 10s}}", reading(&server)));
    yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some("upstream")).says("503");
    assert_eq!(saw(&server), ["GET /hello"]);
}

fn a_day_of_rest(yard: &Yard) {
    for (status, code, told) in [(429, "rate-limited", "86400"), (503, "upstream", "503")] {
        let server = busy_twice(status, &[("retry-after", "86400")]);
        yard.bind(&format!("{}limits: {{time: 60m}}", reading(&server)));
        let run = yard.run(&["--ask", "web/hello", "--strict"]).ends("failed", 1, Some(code));
        let run = run.says("web").says(told);
        assert_eq!(saw(&server), ["GET /hello"], "{status}");
        assert_eq!(run.used(), [("web/all".to_owned(), 1)].into());
    }
}

fn a_few_for_all(yard: &Yard) {
    let server = Server::start(|_, _| Reply::Answer(503, "busy".into()));
    yard.bind(&format!("{}limits: {{time: 5m}}", reading(&server)));
    let run = yard.run(&["--ask", "web/hello"].repeat(10)).ends("done", 0, None);
    let asked = saw(&server).len();
    assert!((11..=15).contains(&asked), "ten reads and at most five repeats, and it asked {asked} times");
    assert_eq!(run.used(), [("web/all".to_owned(), asked as u64)].into());
    let answers = run.output()["answers"].as_array().unwrap().clone();
    assert!(answers.len() == 10 && answers.iter().all(|answer| answer["status"] == 503), "{answers:?}");
}

/// Plans these changes, approves the plan and carries it out.
fn carry_out<'a>(yard: &'a Yard, changes: &[&str]) -> Run<'a> {
    let words: Vec<_> = changes.iter().flat_map(|change| ["--change", *change]).collect();
    let plan = yard.run(&words).ends("planned", 3, None).plan();
    yard.approve(&plan)
}

fn without_a_key(yard: &Yard) {
    for (status, code) in [(429, "rate-limited"), (503, "upstream")] {
        let server = busy_twice(status, &[("retry-after", "1")]);
        yard.bind(&changing(&server));
        let run = carry_out(yard, &["POST/item"]);
        assert_eq!(run.receipt["outcome"]["errorCode"], code, "{:?}", run.ran);
        assert_eq!(run.ran.code, 1, "{:?}", run.ran);
        assert_eq!(saw(&server), ["POST /item"], "{status}");
    }
}

/// In a workspace of its own, because there it stays unknown.
fn cut_off(other: &Yard) {
    other.scratch.pin();
    let yard = &Yard::new("changes");
    let server = Server::start(|_, _| Reply::HangUp);
    yard.bind(&changing(&server));
    let run = carry_out(yard, &["POST/item"]).ends("unknown", 5, Some("unknown"));
    assert_eq!(run.effects(), [("do POST/item", "started")]);
    assert_eq!(saw(&server), ["POST /item"]);
}

fn repeatable(yard: &Yard) {
    let cut_once = || {
        Server::start(|_, before| if before == 0 { Reply::HangUp } else { Reply::Answer(200, "ok".into()) })
    };
    for (change, asked) in [("PUT/item", "PUT /item"), ("POST/keyed", "POST /keyed")] {
        for (server, times) in
            [(busy_twice(503, &[]), 3), (busy_twice(429, &[("retry-after", "1")]), 3), (cut_once(), 2)]
        {
            yard.bind(&changing(&server));
            let run = carry_out(yard, &[change]).ends("done", 0, None);
            assert_eq!(run.output(), json!({"answers": ["ok"]}));
            assert_eq!(saw(&server), vec![asked; times]);
            let bodies: BTreeSet<_> = of(&server, asked).into_iter().map(|seen| seen.body).collect();
            assert_eq!(bodies.len(), 1, "the same request each time");
            assert_eq!(run.effects(), [(format!("do {change}").as_str(), "performed")]);
        }
    }
}

fn keys(yard: &Yard) {
    let server = busy_twice(503, &[]);
    yard.bind(&changing(&server));
    let mut all = BTreeSet::new();
    carry_out(yard, &["POST/keyed", "POST/keyed", "PUT/item"]).ends("done", 0, None);
    carry_out(yard, &["POST/keyed"]).ends("done", 0, None);
    let sent: Vec<_> = of(&server, "POST /keyed").iter().map(|seen| key(seen).unwrap().to_owned()).collect();
    assert_eq!(sent.len(), 5, "three times the first, once the second, once that of another plan");
    assert_eq!((&sent[0], &sent[0]), (&sent[1], &sent[2]), "a repeat has the key of what it repeats");
    all.extend(&sent[2..]);
    assert_eq!(all.len(), 3, "each effect of each plan has a key of its own: {sent:?}");
    assert_eq!(key(&of(&server, "PUT /item")[0]), None);
}

fn key(seen: &Seen) -> Option<&str> {
    seen.header("idempotency-key")
}

fn of(server: &Server, asked: &str) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| format!("{} {}", seen.method, seen.target) == asked).collect()
}
