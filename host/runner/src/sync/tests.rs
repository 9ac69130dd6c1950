use serde_json::json;

use super::*;

fn entry(name: &str, summary: &str) -> Entry {
    let text = format!(
        "{{capability: {name}, component: components/a.wasm, safety: mutating, approval: {{mode: auto, reason: \"a: | b\"}}, \
         directories: {{outbox: {{path: state/outbox, access: stage}}}}}}"
    );
    let manifest: Manifest = serde_json::from_value(json!({
        "name": name, "summary": summary, "version": "1.0.0", "safety": "mutating", "output": {},
        "input": {"type": "object", "required": ["to"], "properties": {
            "to": {"type": "string", "description": "Whom | <b>.", "x-ops-positional": 1},
            "vm_id": {"type": "integer", "default": 7},
            "pace": {"enum": ["slow", "quick"]},
        }},
        "needs": [{"need": {"kind": "directory", "name": "outbox", "access": "stage"}, "optional": false}],
    }))
    .unwrap();
    let binding = Binding::parse("b", text.as_bytes()).unwrap();
    let rights = Rights::intersect(&manifest, &binding).unwrap();
    Entry { binding, manifest, rights }
}

fn yaml(text: &str) -> serde_json::Value {
    ops_policy::yaml::parse::<serde_json::Value>("x", text.as_bytes()).unwrap()
}

#[test]
fn the_registry_is_yaml_and_says_what_is_bound_whatever_an_author_writes() {
    let hostile = "Does: it\n# all. \"x\" \u{202e}{}";
    let files = registry::files(&[entry("mail.box.send", hostile), entry("mail.list", "Lists.")]);
    for text in files.values() {
        assert!(text.starts_with(&format!("# {MARK}")) && !text.contains('\u{202e}'), "{text}");
    }
    let read = yaml(&files["capabilities.yaml"]);
    let one = &read["capabilities"]["mail.box.send"];
    assert_eq!(one["summary"], hostile);
    assert_eq!((&one["domain"], &one["approval"]), (&json!("mail"), &json!("auto")));
    assert_eq!(one["reason"], "a: | b");
    let map = yaml(&files["bindings/capability_map.yaml"]);
    assert_eq!(map["capabilities"]["mail.list"]["binding"], "bindings/mail.list.yaml");
    let catalog = yaml(&files["bindings/capability.domain.catalog.yaml"]);
    assert_eq!(catalog["domains"]["mail"]["capabilities"], json!(["mail.box.send", "mail.list"]));
}

#[test]
fn nothing_bound_is_yaml_too() {
    for (path, text) in registry::files(&[]) {
        let read = yaml(&text);
        assert!(read.as_object().unwrap().values().any(|value| *value == json!({})), "{path}: {text}");
    }
}

#[test]
fn a_page_shows_flags_needs_and_grants_and_takes_no_markup_from_authors() {
    let text = page::page(&entry("mail.box.send", "Sends *one* <script> | mail."), "ops/bindings/x.yaml");
    for part in [
        "# mail.box.send\n",
        "Sends \\*one\\* &lt;script> \\| mail.",
        "| `--to` | TEXT | Whom \\| &lt;b>. Or by position. Required. |",
        "| `--vm-id` | N | (default: 7) |",
        "| `--pace` | slow, quick |  |",
        "- the directory outbox, to stage\n",
        "  stages changes in the directory outbox, state/outbox\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let index = page::index(&[entry("mail.box.send", "A | b.")], "ops/bindings");
    assert!(index.contains("| [mail.box.send](mail.box.send.md) | mutating | auto | A \\| b. |"), "{index}");
}

#[test]
fn no_summary_begins_anything() {
    for (summary, written) in [
        ("~~~ fence", "\\~\\~\\~ fence"),
        ("``` fence", "\\`\\`\\` fence"),
        ("> quote > not", "\\> quote > not"),
        ("- list - not", "\\- list - not"),
        ("+ list", "\\+ list"),
        ("---", "\\---"),
        ("===", "\\==="),
        ("# heading", "\\# heading"),
        ("12. list 3. not", "12\\. list 3. not"),
        ("1) list", "1\\) list"),
        ("0.5 of it", "0.5 of it"),
        ("    code", "code"),
        ("a | b", "a \\| b"),
        ("![x](y) <http://z>", "!\\[x\\](y) &lt;http://z>"),
        ("x\n\n# y", "x\\\\u{a}\\\\u{a}\\# y"),
        ("https://a.test stays", "https://a.test stays"),
    ] {
        let text = page::page(&entry("mail.list", summary), "ops/bindings/x.yaml");
        assert_eq!(text.lines().nth(3), Some(written), "{summary:?}\n{text}");
    }
}

#[test]
fn the_first_line_that_differs_is_named() {
    let there = |text: &str| Some(Ok(text.as_bytes().to_vec()));
    for (old, line, what) in [
        ("a\nb\nc\n", 0, ""),
        ("a\nx\nc\n", 2, "is `x`, would be `b`"),
        ("a\nb\n", 3, "is ``, would be `c`"),
        ("a\nb", 3, "ends here, would go on with `c`"),
        ("a\nb\nc\nd\n", 4, "is `d`, would be ``"),
        ("a\nb\nc\n\n", 5, "goes on with ``, would end here"),
    ] {
        match difference("f", there(old), "a\nb\nc\n") {
            None => assert_eq!(line, 0, "{old:?}"),
            Some(found) => assert_eq!((found.line, found.what.as_str()), (line, what), "{old:?}"),
        }
    }
    assert_eq!(difference("f", None, "a").unwrap().what, "is missing");
    let bytes = Some(Ok(b"a\xff\n".to_vec()));
    assert_eq!(difference("f", bytes, "a\u{fffd}\n").unwrap().what, "is not UTF-8");
}
