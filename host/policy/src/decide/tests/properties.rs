//! Properties of decisions: they agree with a matcher that was written without looking at ours, and no field of a
//! rule is without effect.

use proptest::prelude::*;

use super::*;
use crate::rule::PathPattern;
use crate::scalar::Scalar;

/// A small world, so that rules and requests meet often.
const SEGMENTS: [&str; 4] = ["a", "b", "c", "{x}"];
const KEYS: [&str; 3] = ["k", "l", "m"];
const NAMES: [&str; 3] = ["x-one", "x-two", "x-three"];
const WORDS: [&str; 3] = ["get", "set", "query"];

/// A rule as its text would have it.
#[derive(Clone, Debug)]
struct Plain {
    id: String,
    method: Method,
    path: String,
    effect: RuleEffect,
    query: Vec<String>,
    headers: Vec<String>,
    words: Option<Vec<String>>,
    only_undo: bool,
}

impl Plain {
    fn rule(&self) -> Rule {
        let allowed = |words: &Vec<String>| words.iter().cloned().map(Scalar::Text).collect();
        Rule {
            id: self.id.clone(),
            method: self.method,
            path: PathPattern::parse(&self.path).unwrap(),
            effect: self.effect,
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self
                .words
                .iter()
                .map(|words| body::Predicate::new("/calls/*/0", allowed(words)).unwrap())
                .collect(),
            idempotency: None,
            only_undo: self.only_undo,
        }
    }
}

/// A request by its parts, so that the reference need not parse one.
#[derive(Clone, Debug)]
struct Asked {
    door: Door,
    method: Method,
    segments: Vec<String>,
    keys: Vec<String>,
    headers: Vec<String>,
    words: Option<Vec<String>>,
}

impl Asked {
    fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    fn request(&self) -> Request {
        let query: Vec<String> = self.keys.iter().map(|key| format!("{key}=1")).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let mut headers: Vec<Header> = self.headers.iter().map(|name| header(name, "1")).collect();
        headers.push(header("content-type", "application/json"));
        let calls = |words: &Vec<String>| words.iter().map(|word| json!([word, {}])).collect::<Vec<_>>();
        Request {
            headers,
            body: self.words.as_ref().map(|words| json!({"calls": calls(words)}).to_string().into_bytes()),
            ..request(self.method.as_str(), &(self.path() + &query))
        }
    }
}

fn decide_with(rules: &[Plain], asked: &Asked) -> Option<(String, RuleEffect)> {
    let mut rights = rights();
    let mail = rights.services.get_mut("mail").unwrap();
    mail.grant.rules = rules.iter().map(Plain::rule).collect();
    for need in &mut mail.needs {
        need.path = PathPattern::parse("/**").unwrap();
        need.query = KEYS.map(str::to_owned).to_vec();
        need.headers = NAMES.map(str::to_owned).to_vec();
    }
    let pattern = mail.needs[0].clone();
    mail.needs = Method::ALL
        .into_iter()
        .flat_map(|method| [RuleEffect::Read, RuleEffect::Mutate].map(|effect| (method, effect)))
        .map(|(method, effect)| NeededRule { method, effect, ..pattern.clone() })
        .collect();
    decide(&rights, asked.door, &asked.request()).ok().map(|allowed| (allowed.rule, allowed.effect))
}

/// The reference: one rule against one request, straight from the design's words.
fn covers(rule: &Plain, asked: &Asked) -> bool {
    let read = rule.effect == RuleEffect::Read;
    let door = match asked.door {
        Door::Fetch => read && !rule.only_undo,
        Door::Perform => !read && !rule.only_undo,
        Door::Undo => !read,
    };
    let pattern: Vec<&str> = rule.path.split('/').skip(1).collect();
    let path = if pattern.last() == Some(&"**") {
        let fixed = &pattern[..pattern.len() - 1];
        asked.segments.len() > fixed.len() && zip_matches(fixed, &asked.segments)
    } else {
        asked.segments.len() == pattern.len() && zip_matches(&pattern, &asked.segments)
    };
    let query = asked.keys.iter().all(|key| rule.query.contains(key));
    let headers = asked.headers.iter().all(|name| rule.headers.contains(name));
    let body = match (&rule.words, &asked.words) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(allowed), Some(words)) => !words.is_empty() && words.iter().all(|word| allowed.contains(word)),
    };
    door && rule.method == asked.method && path && query && headers && body
}

fn zip_matches(pattern: &[&str], segments: &[String]) -> bool {
    pattern.iter().zip(segments).all(|(part, segment)| *part == "{x}" || part == segment)
}

fn words(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(of, 0..=most).prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::Get, Method::Post, Method::Put, Method::Delete])
}

fn plain() -> impl Strategy<Value = Plain> {
    let effect = prop::sample::select(vec![RuleEffect::Read, RuleEffect::Mutate, RuleEffect::Destroy]);
    let path = (prop::collection::vec(prop::sample::select(SEGMENTS.to_vec()), 1..4), any::<bool>())
        .prop_map(|(parts, open)| format!("/{}{}", parts.join("/"), if open { "/**" } else { "" }));
    let body = prop::option::of(prop::sample::subsequence(&WORDS[..], 1..=2));
    ("[a-z]{1,4}", method(), path, effect, words(&KEYS, 2), words(&NAMES, 2), body, any::<bool>()).prop_map(
        |(id, method, path, effect, query, headers, body, only_undo)| {
            let body = body.filter(|_| method != Method::Get);
            let words = body.map(|words| words.into_iter().map(str::to_owned).collect());
            // No file has a rule that undoes by reading.
            let only_undo = only_undo && effect != RuleEffect::Read;
            Plain { id, method, path, effect, query, headers, words, only_undo }
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let segments = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 1..5);
    let door = prop::sample::select(vec![Door::Fetch, Door::Perform, Door::Undo]);
    let body = prop::option::of(words(&WORDS, 2));
    (door, method(), segments, words(&KEYS, 1), words(&NAMES, 1), body).prop_map(
        |(door, method, segments, keys, headers, words)| {
            let segments = segments.into_iter().map(str::to_owned).collect();
            Asked { door, method, segments, keys, headers, words: words.filter(|_| method != Method::Get) }
        },
    )
}

/// A request that uses all that a rule gives.
fn fullest(rule: &Plain) -> Asked {
    let parts =
        rule.path.split('/').skip(1).map(|part| if part.starts_with(['{', '*']) { "z" } else { part });
    Asked {
        door: match (rule.effect, rule.only_undo) {
            (RuleEffect::Read, _) => Door::Fetch,
            (_, false) => Door::Perform,
            (_, true) => Door::Undo,
        },
        method: rule.method,
        segments: parts.map(str::to_owned).collect(),
        keys: rule.query.clone(),
        headers: rule.headers.clone(),
        words: rule.words.clone(),
    }
}

/// The rule with one field changed, and a request whose decision must differ.
fn mutated(rule: &Plain, field: usize) -> (Plain, Asked) {
    let (mut other, mut witness) = (rule.clone(), fullest(rule));
    match field {
        0 => other.id.push('2'),
        1 => other.method = if rule.method == Method::Post { Method::Put } else { Method::Post },
        2 => match rule.path.strip_suffix("/**") {
            Some(fixed) => other.path = fixed.to_owned(),
            None => other.path.push_str("/**"),
        },
        3 => {
            other.effect = match rule.effect {
                RuleEffect::Read => RuleEffect::Mutate,
                RuleEffect::Mutate => RuleEffect::Destroy,
                RuleEffect::Destroy => RuleEffect::Read,
            };
            other.only_undo &= other.effect != RuleEffect::Read;
        }
        4 => match other.query.pop() {
            Some(_) => {}
            None => {
                other.query.push("k".to_owned());
                witness.keys = other.query.clone();
            }
        },
        5 => match other.headers.pop() {
            Some(_) => {}
            None => {
                other.headers.push("x-one".to_owned());
                witness.headers = other.headers.clone();
            }
        },
        6 => {
            other.only_undo = !other.only_undo;
            witness.door = Door::Perform;
        }
        _ => match &mut other.words {
            Some(words) => words.push("new".to_owned()),
            None => other.words = Some(vec!["new".to_owned()]),
        },
    }
    if field == 7 && rule.words.is_some() {
        witness.words = Some(vec!["new".to_owned()]);
    }
    (other, witness)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_naive_matcher_agrees(rules in prop::collection::vec(plain(), 1..6), asked in asked(), pick in any::<prop::sample::Index>(), near in any::<bool>()) {
        // Half of the requests are made to fit one of the rules, but for their body.
        let asked = if near { Asked { words: asked.words, ..fullest(&rules[pick.index(rules.len())]) } } else { asked };
        let asked = Asked { words: asked.words.clone().filter(|_| asked.method != Method::Get), ..asked };
        let expected = rules.iter().find(|rule| covers(rule, &asked)).map(|rule| (rule.id.clone(), rule.effect));
        prop_assert_eq!(decide_with(&rules, &asked), expected);
    }

    #[test]
    fn each_field_of_a_rule_counts(rule in plain(), field in 0_usize..8) {
        prop_assume!(field != 7 || rule.method != Method::Get);
        prop_assume!(field != 6 || rule.effect != RuleEffect::Read);
        prop_assume!(field != 1 || rule.words.is_none() || rule.method != Method::Get);
        let (other, witness) = mutated(&rule, field);
        prop_assert_ne!(decide_with(&[rule], &witness), decide_with(&[other], &witness));
    }

    #[test]
    fn deciding_never_panics(method in "[A-Z]{0,6}|\\PC{0,6}", path in "/[a-z/?&=%.0-9]{0,30}|\\PC{0,30}", name in "\\PC{0,10}", value in "\\PC{0,10}", body in prop::collection::vec(any::<u8>(), 0..60)) {
        let asked = Request { headers: vec![header(&name, &value), header("content-type", "application/json")], body: Some(body), ..request(&method, &path) };
        for door in [Door::Fetch, Door::Perform, Door::Undo] {
            if let Err(denial) = decide(&rights(), door, &asked) {
                let text = denial.to_string();
                prop_assert!(!text.chars().any(char::is_control), "{}", text);
            }
        }
    }

    #[test]
    fn a_target_is_its_own_plain_spelling(path in "/[a-z/.;?&=%0-9]{0,30}") {
        if let Ok(target) = RequestTarget::parse(&path) {
            let again = RequestTarget::parse(&target.to_wire());
            prop_assert_eq!(again.as_ref(), Ok(&target));
            prop_assert_eq!(target.to_wire().to_ascii_lowercase(), path.to_ascii_lowercase());
        }
    }
}
