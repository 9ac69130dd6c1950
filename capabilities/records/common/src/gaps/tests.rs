use proptest::prelude::*;

use super::*;
use crate::gap::{BlockerClass, Kind, Severity, Status};

const KEY: &str = "CAP-20260302-022322__verify.run__R8mdr71498";

fn gap(id: &str) -> Gap {
    Gap {
        id: id.to_owned(),
        title: None,
        kind: Kind::MissingEntry,
        severity: Severity::High,
        status: Status::Open,
        owner: None,
        discovered_by: "platform".to_owned(),
        discovered_at: None,
        doc: None,
        description: "Nothing says so.".to_owned(),
        parent_loop: Some("LOOP-A".to_owned()),
        blocker_class: None,
        blocker_evidence: vec![],
        regression_lock_id: None,
        fixed_in: vec![],
        closed_at: None,
        notes: None,
    }
}

fn fixed(gap: &Gap) -> Gap {
    let mut gap = gap.clone();
    gap.status = Status::Fixed;
    gap.fixed_in = vec![KEY.to_owned()];
    gap.closed_at = Some("2026-11-22T09:00:00Z".to_owned());
    gap.notes = Some("Two lines\nand \"quotes\": # all in one.".to_owned());
    gap
}

#[test]
fn an_empty_file_takes_a_gap_and_closes_it() {
    let mut file = GapFile::parse(EMPTY.to_owned()).unwrap();
    assert_eq!(file.next_id(), "GAP-OP-001");
    file.add(gap("GAP-OP-009"), "2026-11-22").unwrap();
    assert_eq!(file.next_id(), "GAP-OP-010");
    file.replace(fixed(&gap("GAP-OP-009")), "2026-11-22").unwrap();
    let wanted = "\
# What is known to be missing or wrong. `ops cap run gaps.file` adds to it, `gaps.close` closes.
version: 1
updated: 2026-11-22
gaps:
  - id: GAP-OP-009
    type: missing-entry
    severity: high
    status: fixed
    fixed_in: [CAP-20260302-022322__verify.run__R8mdr71498]
    closed_at: 2026-11-22T09:00:00Z
    notes: \"Two lines\\nand \\\"quotes\\\": # all in one.\"
    discovered_by: platform
    description: \"Nothing says so.\"
    parent_loop: LOOP-A
";
    assert_eq!(file.text(), wanted);
}

fn text(gaps: &str) -> String {
    format!("version: 1\nupdated: 2026-11-22\ngaps:\n{gaps}")
}

const GOOD: &str = "  - {id: GAP-OP-001, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b}\n";

/// Each case changes one place of what is good.
#[test]
fn what_does_not_fit_is_found_at_its_line() {
    GapFile::parse(text(GOOD)).unwrap();
    for (from, to, line, part) in [
        ("version: 1", "version: 2", 1, "version is not 1"),
        ("updated: 2026-11-22", "updated: yesterday", 1, "no date"),
        ("severity: low", "severity: grave", 4, "unknown variant `grave`"),
        ("status: open", "status: accepted", 4, "unknown variant `accepted`"),
        ("type: runtime-bug", "type: missing-process", 4, "unknown variant `missing-process`"),
        ("status: open", "status: open, colour: red", 4, "unknown field `colour`"),
        ("status: open", "status: open, status: open", 4, "duplicate"),
        ("status: open", "status: fixed", 4, "no run shows it"),
        ("status: open", "status: closed", 4, "nothing says why"),
        ("status: open", "status: open, closed_at: 2026-01-01", 4, "says when or by what"),
        ("status: open", "status: open, blocker_class: policy", 4, "blocker_evidence"),
        ("status: open", "status: fixed, fixed_in: [\"last commit\"]", 4, "no run key"),
        ("status: open", "status: open, parent_loop: loop", 4, "no id of a loop"),
        ("status: open", "status: open, discovered_at: soon", 4, "neither a date nor a time"),
        ("id: GAP-OP-001", "id: GAP-1", 4, "no id of a gap"),
        ("description: b", "description: \"b\\u202e\"", 4, "cannot be shown"),
        (GOOD, &format!("{GOOD}\n{GOOD}"), 6, "listed twice, first on line 4"),
    ] {
        let text = text(GOOD);
        assert!(text.contains(from), "{from}");
        let found = GapFile::parse(text.replace(from, to)).unwrap_err();
        assert!(found.line == line && found.what.contains(part), "{to}: {found}");
        assert!(found.to_string().starts_with(&format!("gaps/operational.gaps.yaml:{line}: ")), "{found}");
    }
}

#[test]
fn a_gap_on_one_line_is_read_but_not_changed() {
    let mut file = GapFile::parse(text(GOOD)).unwrap();
    let why = file.replace(fixed(&file.gaps()[0].clone()), "2026-11-22").unwrap_err().why();
    assert!(why.contains("gaps/operational.gaps.yaml:4:") && why.contains("one field a line"), "{why}");
    assert_eq!(file.text(), text(GOOD));
    file.add(gap("GAP-OP-002"), "2026-11-22").unwrap();
    assert!(file.text().starts_with(&text(GOOD)));
}

#[test]
fn what_the_lines_do_not_show_is_not_damaged() {
    let plain = GOOD.replace("  - {", "  - ").replace('}', "").replace(", ", "\n    ");
    for (from, to) in [
        ("status: open", "\"status\": open"),
        ("status: open", "status: open\n    \"notes\": old"),
        ("status: open", "status:\n      open"),
        ("status: open", "? status\n    : open"),
        ("gaps:\n", "\"gaps\":\n"),
    ] {
        let text = text(&plain);
        assert_eq!(text.matches(from).count(), 1);
        let text = text.replace(from, to);
        let mut file = GapFile::parse(text.clone()).unwrap_or_else(|found| panic!("{to}: {found}"));
        match file.replace(fixed(&file.gaps()[0].clone()), "2026-11-22") {
            Err(why) => assert!(why.why().contains("by the line") && file.text() == text, "{to}: {why:?}"),
            Ok(()) => assert_eq!(file.gaps()[0].status, Status::Fixed, "{to}"),
        }
    }
}

/// Blank lines at the end of this text are part of it, and a gap put behind its last word would take them away.
#[test]
fn a_change_that_would_change_something_else_is_refused() {
    let plain = GOOD.replace("  - {", "  - ").replace('}', "").replace(", ", "\n    ");
    let text = text(&plain.replace("description: b\n", "description: |+\n      b\n\n\n"));
    let mut file = GapFile::parse(text.clone()).unwrap();
    let why = file.add(gap("GAP-OP-002"), "2026-11-22").unwrap_err().why();
    assert!(why.contains("cannot be changed by the line") && file.text() == text, "{why}");
}

#[test]
fn fifteen_hundred_gaps_are_read() {
    let many: String = (1..=1500)
        .map(|number| {
            let keys = [KEY; 5].join(", ");
            GOOD.replace("GAP-OP-001", &word::gap_id(number))
                .replace("status: open", &format!("status: fixed, fixed_in: [{keys}], notes: c, doc: d"))
        })
        .collect();
    assert_eq!(GapFile::parse(text(&many)).unwrap().gaps().len(), 1500);
}

/// How somebody may write one gap: with comments, blanks, quotes, and the fields in another order.
fn written() -> impl Strategy<Value = String> {
    let description = prop_oneof![
        Just("description: It's plain, # not a comment: no\n".replace(": no", " no")),
        Just("description: |\n      # text\n\n      more text\n".to_owned()),
        Just("description: >-\n      folded\n      text # text\n".to_owned()),
        Just("description: \"status: open\"  # why\n".to_owned()),
        Just("description: two\n      lines\n".to_owned()),
    ];
    let status = prop_oneof![
        Just("status: open\n"),
        Just("status: open   # since long\n"),
        Just("status: \"open\"\n")
    ];
    let notes = prop_oneof![
        Just(""),
        Just("notes: old  # to be seen\n"),
        Just("notes: |\n      old\n      # old text\n"),
        Just("notes: >\n      old\n\n      older\n\n"),
    ];
    let evidence = prop_oneof![
        Just(String::new()),
        Just(format!("blocker_class: policy\n    blocker_evidence:\n    - {KEY}\n")),
        Just(format!("blocker_evidence: [{KEY}]\n    blocker_class: policy # c\n")),
    ];
    let aside = prop::collection::vec(
        prop_oneof![Just(""), Just("    # between\n"), Just("\n"), Just("# far left\n")],
        7,
    );
    let order = Just(vec![0_usize, 1, 2, 3, 4, 5, 6]).prop_shuffle();
    (description, status, notes, evidence, aside, order).prop_map(
        |(description, status, notes, evidence, aside, order)| {
            let fields = [
                description.as_str(),
                status,
                notes,
                &evidence,
                "type: runtime-bug\n",
                "severity: low\n",
                "discovered_by: a\n",
            ];
            let mut text = String::new();
            for place in order.into_iter().filter(|place| !fields[*place].is_empty()) {
                text.push_str(&format!("    {}{}", fields[place], aside[place]));
            }
            text
        },
    )
}

/// Files of up to five gaps, with what stands around them.
fn files() -> impl Strategy<Value = String> {
    let around = prop_oneof![Just(""), Just("# a comment\n"), Just("\n"), Just("  # inside\n\n")];
    (prop::collection::vec((written(), around.clone()), 1..5), around).prop_map(|(gaps, end)| {
        let mut text = "# head\nversion: 1  # one\nupdated: 2026-11-01\n\ngaps:\n".to_owned();
        for (number, (gap, around)) in gaps.iter().enumerate() {
            text.push_str(&format!("{around}  - id: GAP-OP-00{number}\n{gap}"));
        }
        text + end
    })
}

/// What is in `old` and not in `new`, by line, and the other way round.
fn changes<'a>(old: &'a str, new: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // The longest common subsequence, by its table of lengths.
    let mut table = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            table[i][j] = if a == b { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lost, mut won) = (0, 0, vec![], vec![]);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && table[i + 1][j] >= table[i][j + 1]) {
            lost.push(old[i]);
            i += 1;
        } else {
            won.push(new[j]);
            j += 1;
        }
    }
    (lost, won)
}

proptest! {
    #[test]
    fn only_the_meant_lines_change(text in files(), pick in any::<prop::sample::Index>(), how in 0..3) {
        let mut file = GapFile::parse(text.clone()).unwrap();
        let place = pick.index(file.gaps().len());
        let mut wanted = file.gaps().to_vec();
        let (lost, won): (&[&str], &[&str]) = match how {
            0 => {
                wanted[place] = Gap { fixed_in: vec![KEY.to_owned()], status: Status::Fixed, ..wanted[place].clone() };
                (&["updated:", "status:"], &["updated:", "status:", "fixed_in:"])
            }
            1 => {
                wanted[place].blocker_class = Some(BlockerClass::External);
                wanted[place].blocker_evidence = vec![KEY.to_owned(), KEY.replace("R8", "R9")];
                wanted[place].parent_loop = Some("LOOP-B".to_owned());
                (
                    &["updated:", "blocker_", "- CAP-"],
                    &["updated:", "blocker_", "parent_loop:"],
                )
            }
            _ => {
                wanted[place].notes = Some("new: words # here".to_owned());
                (&["updated:", "notes:", "old", "# old text"], &["updated:", "notes:"])
            }
        };
        file.replace(wanted[place].clone(), "2026-11-22").unwrap();
        prop_assert_eq!(file.gaps(), &wanted[..]);
        let (gone, come) = changes(&text, file.text());
        let is_meant = |line: &str, meant: &[&str]| {
            let line = line.trim_start().trim_start_matches("- ");
            line.is_empty() && how == 2 || meant.iter().any(|start| line.starts_with(start.trim_start_matches("- ")))
        };
        for line in &gone {
            prop_assert!(is_meant(line, lost), "{line:?} is gone");
            // A comment behind a value stays with it.
            if let Some((_, comment)) = line.split_once(" # ").filter(|(front, _)| front.contains(": ")) {
                prop_assert!(come.iter().any(|line| line.ends_with(comment)), "{comment:?} is lost");
            }
        }
        for line in &come {
            prop_assert!(is_meant(line, won), "{line:?} has come");
        }
    }

    #[test]
    fn a_new_gap_changes_no_other_line(text in files()) {
        let mut file = GapFile::parse(text.clone()).unwrap();
        let mut wanted = file.gaps().to_vec();
        wanted.push(gap(&file.next_id()));
        file.add(wanted.last().unwrap().clone(), "2026-11-01").unwrap();
        prop_assert_eq!(file.gaps(), &wanted[..]);
        let (gone, come) = changes(&text, file.text());
        prop_assert!(gone.is_empty(), "{gone:?}");
        prop_assert!(come.len() >= 7, "{come:?}");
    }

    /// Whatever bytes there are: the file is read or refused, never a panic, and a change is right or refused.
    #[test]
    fn nonsense_is_refused(noise in "[-a-z:#\\[\\]{}\"'|> \n]{0,60}", at in any::<prop::sample::Index>()) {
        let text = text(&GOOD.replace('{', "id: GAP-OP-002\n    ").replace("id: GAP-OP-001, ", "").replace(", ", "\n    ").replace('}', ""));
        let mut text = text;
        let place = at.index(text.len());
        text.insert_str(place, &noise);
        if let Ok(mut file) = GapFile::parse(text) {
            let before = file.clone();
            let Some(first) = file.gaps().first().cloned() else { return Ok(()) };
            let wanted = Gap { notes: Some("changed".to_owned()), ..first };
            match file.replace(wanted.clone(), "2026-11-22") {
                Ok(()) => prop_assert_eq!(&file.gaps()[0], &wanted),
                Err(_) => prop_assert_eq!(file.text(), before.text()),
            }
        }
    }
}
