use super::*;

const FILE: &str = "\
# Everything that is known to be missing.
version: 1   # of this form
gaps:
  # The first.
  - id: a
    status: open   # waits
    notes: |
      # this is text

      more
    # about b

  - status: open
    id: b
    list:
    - x
    # kept
    last: \"x # y\"  # c
# the end
other: 1
";

fn set(text: &str, item: usize, key: &str, value: &str) -> String {
    let mut lines = Lines::new(text);
    let list = lines.list("gaps").unwrap();
    let mut block = list.items[item].clone();
    assert!(lines.set(&mut block, key, value, "status"), "{key}");
    lines.to_string()
}

/// Each case: the item, the key, its new value, what is replaced, by what.
#[test]
fn one_value_changes_and_nothing_else() {
    for (item, key, value, from, to) in [
        (0, "status", "fixed", "status: open   # waits", "status: fixed   # waits"),
        (0, "id", "z", "- id: a", "- id: z"),
        (0, "notes", "x", "notes: |\n      # this is text\n\n      more\n", "notes: x\n"),
        (0, "new", "[1]", "# waits\n", "# waits\n    new: [1]\n"),
        (1, "status", "fixed", "- status: open", "- status: fixed"),
        (1, "list", "[x, y]", "list:\n    - x\n", "list: [x, y]\n"),
        (1, "last", "z", "\"x # y\"  # c", "z  # c"),
        (1, "new", "y", "- status: open\n", "- status: open\n    new: y\n"),
        (1, "new", "\n      - y", "- status: open\n", "- status: open\n    new:\n      - y\n"),
    ] {
        assert_eq!(FILE.matches(from).count(), 1, "{from}");
        assert_eq!(set(FILE, item, key, value), FILE.replace(from, to), "{key}");
    }
}

#[test]
fn lines_keep_their_ends() {
    let dos = FILE.replace('\n', "\r\n");
    assert_eq!(set(&dos, 0, "new", "1"), set(FILE, 0, "new", "1").replace('\n', "\r\n"));
}

#[test]
fn a_mapping_is_put_behind_the_last() {
    let push = |text: &str| {
        let mut lines = Lines::new(text);
        let list = lines.list("gaps").unwrap();
        lines.push(&list, &[("id", "c".to_owned()), ("status", "open".to_owned())]);
        lines.to_string()
    };
    for (text, wanted) in [
        (FILE, FILE.replace("# c\n", "# c\n\n  - id: c\n    status: open\n")),
        ("gaps: []  # none\nx: 1\n", "gaps:  # none\n  - id: c\n    status: open\nx: 1\n".to_owned()),
        ("gaps:\n- id: a", "gaps:\n- id: a\n- id: c\n  status: open\n".to_owned()),
        (
            "gaps:\n  - id: a\n  # end\n\n# far\n",
            "gaps:\n  - id: a\n  - id: c\n    status: open\n  # end\n\n# far\n".to_owned(),
        ),
    ] {
        assert_eq!(push(text), wanted);
    }
}

#[test]
fn what_is_not_in_block_style_is_not_touched() {
    for text in
        ["gaps: [{id: a}]\n", "gaps:\n", "gaps: x\n", "other: []\n", " gaps: []\n", "gaps:\n  id: a\n"]
    {
        assert!(Lines::new(text).list("gaps").is_none(), "{text}");
    }
    let mut lines = Lines::new("gaps:\n  - {id: a, status: open}\n");
    let mut block = lines.list("gaps").unwrap().items.remove(0);
    assert!(!lines.set(&mut block, "status", "fixed", "status"));
}

#[test]
fn a_value_ends_where_its_comment_begins() {
    for (text, value, comment) in [
        (" open", "open", ""),
        (" open  # c", "open", "  # c"),
        (" a#b # c", "a#b", " # c"),
        (" it's # c", "it's", " # c"),
        (" \"a # \\\" b\" # c", "\"a # \\\" b\"", " # c"),
        (" 'a '' # b' # c", "'a '' # b'", " # c"),
        (" [\"a # b\", c#d] # e", "[\"a # b\", c#d]", " # e"),
        (" # c", "", " # c"),
        ("", "", ""),
    ] {
        let (found, rest) = split(text);
        assert_eq!((found, rest.trim_start()), (value, comment.trim_start()), "{text}");
    }
}
