use super::*;
use proptest::prelude::*;

const BINDING: &str = "\
# a comment
capability: a.b   # and another
services:
  mail:
    origin: https://mail.example:443
    rules:
      # the first
      - {id: session, method: GET, path: /jmap, effect: read} # trailing
      - id: query
        method: POST
        path: \"/j#map/\"   # not a comment: - }
        body: {\"/methodCalls/*/0\": [Email/get, 'It''s',
          Mailbox/get],
        }
      -
        # the id comes late
        method: GET
        id: late

directories: {}
contracts:
- a.yaml
- b.yaml
'config': {from: x, empty: }
text: |
  one
  two

limits: {requests: 20}
";

fn cut<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap()
}

#[test]
fn each_thing_has_its_line_and_its_text() {
    let places = Places::parse("b.yaml", BINDING.as_bytes()).unwrap();
    let cases = [
        ("/capability", 2, 2, "capability: a.b"),
        ("/services", 3, 18, ""),
        ("/services/mail/origin", 5, 5, "origin: https://mail.example:443"),
        ("/services/mail/rules/0", 8, 8, "- {id: session, method: GET, path: /jmap, effect: read}"),
        ("/services/mail/rules/id=session/path", 8, 8, "path: /jmap"),
        ("/services/mail/rules/id=query/path", 11, 11, "path: \"/j#map/\""),
        ("/services/mail/rules/1/body/~1methodCalls~1*~10/1", 12, 12, "'It''s'"),
        ("/services/mail/rules/1/body/~1methodCalls~1*~10/2", 13, 13, "Mailbox/get"),
        ("/services/mail/rules/id=late/id", 18, 18, "id: late"),
        ("/services/mail/rules/id=late", 15, 18, ""),
        ("/directories", 20, 20, "directories: {}"),
        ("/contracts", 21, 23, "contracts:\n- a.yaml\n- b.yaml"),
        ("/contracts/1", 23, 23, "- b.yaml"),
        ("/config", 24, 24, "'config': {from: x, empty: }"),
        ("/config/empty", 24, 24, "empty:"),
        ("/text", 25, 27, "text: |\n  one\n  two"),
        ("/limits/requests", 29, 29, "requests: 20"),
    ];
    for (path, first, last, text) in cases {
        let place = places.get(path).unwrap_or_else(|| panic!("{path} has no place"));
        assert_eq!((place.first_line, place.last_line), (first, last), "{path}");
        if !text.is_empty() {
            assert_eq!(cut(BINDING, &place.entry), text, "{path}");
        }
    }
    assert_eq!(places.line("/services/mail/rules/id=late"), Some(17), "the item's first key");
    let query = places.get("/services/mail/rules/1/body").unwrap();
    assert!(query.is_flow && !query.in_flow && cut(BINDING, &query.value).ends_with("\n        }"));
    assert!(places.get("/config/from").unwrap().in_flow);
    assert_eq!(places.column("/services/mail/rules/1/path"), Some(9));
    assert_eq!(places.len("/services/mail/rules"), 3);
}

#[test]
fn what_is_not_there_has_no_place_and_its_surroundings_have() {
    let places = Places::parse("b.yaml", BINDING.as_bytes()).unwrap();
    for path in
        ["/nothing", "/services/mail/rules/3", "/services/mail/rules/id=x", "/config/0", "/limits/x/y", "x/y"]
    {
        assert_eq!(places.get(path), None, "{path}");
    }
    assert_eq!(places.nearest_line("/services/mail/tls/ca"), 4);
    assert_eq!(places.nearest_line("/limits/time"), 29);
    assert_eq!(places.nearest_line("/approval"), 2);
    assert!(places.is_empty("/directories"));
}

#[test]
fn other_ways_to_write_a_file() {
    let whole =
        "{capability: a.b,\n services: {mail: {rules: [\n   {id: a}, # x ]\n   {id: 'b, }'},\n ]},},}\n";
    let places = Places::parse("b.yaml", whole.as_bytes()).unwrap();
    let rule = places.get("/services/mail/rules/id=b, }").unwrap();
    assert_eq!((cut(whole, &rule.entry), rule.line), ("{id: 'b, }'}", 4));
    assert_eq!(places.get("/services").unwrap().last_line, 5);

    let marked = "\u{feff}a:\r\n- x\r\n- - y\r\n  - \u{e9}z\r\n";
    let places = Places::parse("b.yaml", marked.as_bytes()).unwrap();
    assert_eq!(cut(marked, &places.get("/a/0").unwrap().entry), "- x");
    assert_eq!(cut(marked, &places.get("/a/1").unwrap().entry), "- - y\r\n  - \u{e9}z");
    assert_eq!(cut(marked, &places.get("/a/1/1").unwrap().value), "\u{e9}z");
}

#[test]
fn what_the_parser_refuses_has_no_places() {
    for (text, message) in [
        ("a: &x 1\n", "anchor"),
        ("a: 1\na: 2\n", "twice"),
        ("a: !env X\n", "tag"),
        ("\ta: 1\n", "tab"),
        ("a: 1\n---\nb: 2\n", "one document"),
    ] {
        let error = Places::parse("b.yaml", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    assert!(Places::parse("b.yaml", &vec![b' '; 300 * 1024]).is_err());
    assert!(Places::parse("b.yaml", "[".repeat(40).as_bytes()).is_err());
}

proptest! {
    /// Whatever is in the file: no panic, and every range lies in the text, in the range of what it is part of.
    #[test]
    fn ranges_nest(text in "([a-d]: |- |\\[|\\]|\\{|\\}|, |#|'|\"|\\||\n|  |id: |[a-z\u{e9}]){0,40}") {
        fn check(node: &Node, text: &str) {
            let Place { value, entry, .. } = &node.place;
            assert!(entry.start <= value.start && value.start <= value.end && value.end == entry.end);
            assert!(text.get(entry.clone()).is_some() && text.get(value.clone()).is_some());
            for child in &node.children {
                assert!(entry.start <= child.place.entry.start && child.place.entry.end <= entry.end);
                check(child, text);
            }
        }
        if let Ok(places) = Places::parse("b.yaml", text.as_bytes()) {
            check(&places.root, &text);
        }
    }
}
