use super::*;

/// In block style, with comments, quotes and a rule across lines.
const BLOCK: &str = "\
# who reads the mail
capability: a.b
component: a.wasm   # built here
safety: mutating
approval: {mode: manual, accept: [confirmed, signed], reason: 'so: be it'}
services:
  mail:
    origin: https://mail.example:443
    addresses:
      - 10.2.0.0/16   # the office
      - 10.3.0.0/16
    credential: {secret: mail-token, header: Authorization, as: \"Bearer {}\"}
    rules:
      # the session
      - {id: session, method: GET, path: \"/s/{x}\", effect: read, query: [a, b, c]} # trailing
      - id: query
        method: POST
        path: /jmap/
        effect: read
        headers:
          - x-one
          - x-two
        body: {\"/methodCalls/*/0\": [Email/get, 'Mailbox/get',
          Identity/get],
        }
      # where it redirects
      - {id: send, method: POST, path: /a/**, effect: mutate}
    secrets:
      - {name: pass, at: /p, rule: send}
  other: {origin: https://o.example, rules: [{id: a, method: POST, path: /a, effect: read}, {id: b, method: GET, path: /b, effect: read}, {id: c, method: GET, path: /c, effect: read}]}

directories:
  in: {path: state/in, access: stage}
  out: {path: state/out, access: read}
contracts: [x.yaml, y.yaml]
config: {from: 'a@b', many: [1, true, \"no\"], 'odd.key': \"\"}
invoke: [c.d, e.f]
lock: \"mail/{to}\"
limits: {memory: 32MiB, time: 1500ms}
record: digests
";

/// The same in one pair of braces, without the comments.
fn flow() -> String {
    let binding = Binding::parse("", BLOCK.as_bytes()).unwrap();
    let whole = write_whole::binding(&binding);
    let mut flow = String::from("{");
    let mut depth: Vec<(usize, bool)> = Vec::new();
    for line in whole.lines() {
        let indent = line.len() - line.trim_start().len();
        while depth.last().is_some_and(|(at, _)| *at >= indent) {
            let (_, list) = depth.pop().unwrap();
            flow.push_str(if list { "]," } else { "}," });
        }
        match (line.trim().strip_prefix("- "), line.trim().strip_suffix(':')) {
            (Some(item), _) => flow.push_str(&format!("\n{item},")),
            (None, Some(key)) => {
                let list = matches!(key, "rules" | "secrets");
                flow.push_str(&format!("\n{key}: {}", if list { "[" } else { "{" }));
                depth.push((indent, list));
            }
            (None, None) => flow.push_str(&format!("\n{},", line.trim())),
        }
    }
    for (_, list) in depth.into_iter().rev() {
        flow.push_str(if list { "]," } else { "}," });
    }
    flow + "\n}\n"
}

fn rule_of<'a>(binding: &'a mut Binding, service: &str, rule: &str) -> &'a mut Rule {
    let service = binding.services.get_mut(service).unwrap();
    service.rules.iter_mut().find(|one| one.id == rule).unwrap()
}

/// A change of a binding.
type Change = (&'static str, fn(&mut Binding));

const CHANGES: [Change; 19] = [
    ("nothing", |_| {}),
    ("a service goes", |new| drop(new.services.remove("other"))),
    ("all services go", |new| new.services.clear()),
    ("the first rule goes", |new| drop(new.services.get_mut("mail").unwrap().rules.remove(0))),
    ("the rule in the middle goes", |new| drop(new.services.get_mut("mail").unwrap().rules.remove(1))),
    ("the last rule goes, and its secret", |new| {
        let mail = new.services.get_mut("mail").unwrap();
        mail.rules.pop();
        mail.secrets.clear();
    }),
    ("rules in brackets go", |new| new.services.get_mut("other").unwrap().rules.truncate(1)),
    ("all rules in brackets but the last go", |new| {
        drop(new.services.get_mut("other").unwrap().rules.drain(..2))
    }),
    ("a path", |new| rule_of(new, "mail", "session").path = pattern("/s/1")),
    ("several paths", |new| {
        let mail = new.services.get_mut("mail").unwrap();
        let send = mail.rules.pop().unwrap();
        for (id, path) in [("send", "/a/b"), ("send-2", "/a/{x}"), ("send-3", "/a/c/d")] {
            mail.rules.push(Rule { id: id.into(), path: pattern(path), ..send.clone() });
        }
    }),
    ("query keys and headers", |new| {
        rule_of(new, "mail", "session").query = vec!["b".into()];
        rule_of(new, "mail", "query").headers = vec!["x-two".into()];
    }),
    ("all query keys and headers", |new| {
        rule_of(new, "mail", "session").query.clear();
        rule_of(new, "mail", "query").headers.clear();
    }),
    ("values of a body", |new| {
        let rule = rule_of(new, "mail", "query");
        let kept = rule.body[0].allowed()[1].clone();
        rule.body = vec![crate::body::Predicate::new("/methodCalls/*/0", vec![kept]).unwrap()];
    }),
    ("conditions where there were none", |new| {
        for (service, rule) in [("mail", "send"), ("other", "a")] {
            let value = crate::scalar::Scalar::Text("a \u{202e}b".into());
            rule_of(new, service, rule).body =
                vec![crate::body::Predicate::new("/method", vec![value]).unwrap()];
        }
    }),
    ("ranges", |new| new.services.get_mut("mail").unwrap().addresses = vec!["10.2.0.5/32".parse().unwrap()]),
    ("no ranges", |new| new.services.get_mut("mail").unwrap().addresses.clear()),
    ("grants", |new| {
        new.directories.get_mut("in").unwrap().access = crate::manifest::Access::Read;
        new.directories.remove("out");
        new.contracts.remove(0);
        new.config.remove("many");
        new.invoke.clear();
    }),
    ("limits", |new| new.limits.requests = 4),
    ("a condition behind a header that goes, and what follows goes", |new| {
        let mail = new.services.get_mut("mail").unwrap();
        mail.rules.truncate(2);
        mail.secrets.clear();
        new.services.remove("other");
        new.limits.requests = 4;
    }),
];

fn pattern(text: &str) -> crate::rule::PathPattern {
    crate::rule::PathPattern::parse(text).unwrap()
}

#[test]
fn each_change_is_an_edit_and_comments_stay() {
    let old = Binding::parse("", BLOCK.as_bytes()).unwrap();
    for (what, change) in CHANGES {
        let mut new = old.clone();
        change(&mut new);
        let written = rewrite(BLOCK, &old, &new).unwrap_or_else(|| panic!("{what}: it cannot be written"));
        assert!(!written.is_anew, "{what}: it was written anew");
        assert_eq!(Binding::parse("", written.text.as_bytes()).unwrap(), new, "{what}");
        for comment in
            ["# who reads the mail\n", "# built here\n", "# the session\n", "# where it redirects\n"]
        {
            let services = what == "all services go"
                && comment != "# who reads the mail\n"
                && comment != "# built here\n";
            assert!(services || written.text.contains(comment), "{what}: {comment}: {}", written.text);
        }
        if what == "nothing" {
            assert_eq!(written.text, BLOCK);
        }
    }
    let mut new = old.clone();
    new.services.get_mut("mail").unwrap().rules.remove(0);
    let written = rewrite(BLOCK, &old, &new).unwrap();
    assert_eq!(written.comments, [14], "the comment above the rule that went");
}

#[test]
fn each_change_is_an_edit_in_one_pair_of_braces() {
    let flow = flow();
    let old = Binding::parse("", flow.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{flow}"));
    for (what, change) in CHANGES {
        let mut new = old.clone();
        change(&mut new);
        let written = rewrite(&flow, &old, &new).unwrap_or_else(|| panic!("{what}: it cannot be written"));
        assert!(!written.is_anew, "{what}: it was written anew");
        assert_eq!(Binding::parse("", written.text.as_bytes()).unwrap(), new, "{what}");
    }
}

#[test]
fn limits_come_behind_a_last_entry_that_is_edited_itself() {
    let text = "capability: a.b\ncomponent: a.wasm\nsafety: read-only\nservices:\n  web:\n    origin: https://a.example\n    \
                rules:\n      - {id: a, method: POST, path: /a, effect: read} # one\n  other:\n    origin: https://a.example\n    \
                rules: [{id: a, method: GET, path: /a, effect: read}] # two";
    for text in [text.to_owned(), format!("{text}\n"), format!("{text}\n\n# the end\n")] {
        let old = Binding::parse("", text.as_bytes()).unwrap();
        let mut new = old.clone();
        new.services.remove("other");
        new.limits.requests = 2;
        let value = crate::scalar::Scalar::Bool(true);
        rule_of(&mut new, "web", "a").body = vec![crate::body::Predicate::new("/x", vec![value]).unwrap()];
        let written = rewrite(&text, &old, &new).unwrap();
        assert!(!written.is_anew && written.text.contains("# one"), "{}", written.text);
    }
}

#[test]
fn what_no_edit_handles_is_written_anew() {
    // The first key of the rule stands behind the dash.
    let text = "capability: a.b\ncomponent: a.wasm\nsafety: read-only\nservices:\n  web:\n    origin: https://a.example\n    \
                rules:\n      - query: [a]\n        id: a\n        method: GET\n        path: /a\n        effect: read\n";
    let old = Binding::parse("", text.as_bytes()).unwrap();
    let mut new = old.clone();
    rule_of(&mut new, "web", "a").query.clear();
    let written = rewrite(text, &old, &new).unwrap();
    assert!(written.is_anew);
    assert_eq!(Binding::parse("", written.text.as_bytes()).unwrap(), new);
}

#[test]
fn a_binding_that_is_written_anew_means_the_same() {
    let binding = Binding::parse("", BLOCK.as_bytes()).unwrap();
    let text = write_whole::binding(&binding);
    assert_eq!(Binding::parse("", text.as_bytes()).unwrap(), binding, "{text}");
    assert!(text.is_ascii());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops/bindings");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let Ok(binding) = Binding::parse("", text.as_bytes()) else { continue };
        assert_eq!(Binding::parse("", write_whole::binding(&binding).as_bytes()).unwrap(), binding);
        count += 1;
    }
    assert!(count > 10, "{count} bindings of the repository");
}
