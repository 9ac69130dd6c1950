use super::*;
use crate::gap::Severity;

const ID: &str = "LOOP-INFRA-CORE-20260302";
const KEY: &str = "CAP-20260302-022322__verify.run__R8mdr71498";
const TEXT: &str = "\
---
# Machine-readable.
loop_id: LOOP-INFRA-CORE-20260302
created: 2026-03-02
status: open   # since March
owner: infrastructure
scope: infra
priority: high
horizon: now
execution_readiness: runnable
objective: \"One baseline: for four systems\"
proof:
  - [verify.run]
  # the last one
  - [linked-gaps, infra.core.smoke]
---

# Loop Scope

## Linked Gaps
- GAP-OP-1291: OPEN

## Success Criteria
- First
- Second
---
status: open
";

fn parse(text: &str) -> Result<Scope, Finding> {
    Scope::parse(ID, text.to_owned())
}

#[test]
fn front_matter_and_text_are_read() {
    let scope = parse(TEXT).unwrap();
    assert_eq!((scope.front.priority, scope.front.status), (Severity::High, Status::Open));
    assert_eq!(scope.front.proof, [vec!["verify.run"], vec!["linked-gaps", "infra.core.smoke"]]);
    assert_eq!(
        (scope.body.acceptance.len(), scope.body.gaps.as_slice()),
        (2, &["GAP-OP-1291".to_owned()][..])
    );
    assert_eq!(scope.body.acceptance[0].at, 24);
    parse(&TEXT.replace('\n', "\r\n")).unwrap();
}

/// Each case changes one place of what is good.
#[test]
fn what_does_not_fit_is_found_at_its_line() {
    for (from, to, line, part) in [
        ("---\n#", "#", 1, "does not begin with front matter"),
        ("loop_id: LOOP-INFRA-CORE-20260302", "loop_id: LOOP-OTHER", 3, "the file is named for"),
        ("created: 2026-03-02", "created: in March", 4, "no date"),
        ("status: open  ", "status: active", 5, "unknown variant `active`"),
        ("status: open  ", "status: closed", 5, "has the time `closed_at`"),
        ("owner: infrastructure", "owner: \"\"", 6, "`owner` is empty"),
        ("owner: infrastructure\n", "", 0, "missing field `owner`"),
        ("priority: high", "severity: high", 8, "unknown field `severity`"),
        ("horizon: now", "horizon: soon", 9, "unknown variant `soon`"),
        ("  - [verify.run]\n", "", 12, "has 1 entries, and the acceptance has 2 lines"),
        ("[verify.run]", "[]", 12, "names nothing"),
        ("[verify.run]", "[verified]", 12, "neither a capability nor linked-gaps"),
        ("owner:", &format!("evidence: [{{line: 3, runs: [{KEY}]}}]\nowner:"), 6, "is for line 3"),
        ("owner:", "evidence: [{line: 1, runs: [\"a commit\"]}]\nowner:", 6, "no run key"),
    ] {
        assert!(TEXT.contains(from), "{from}");
        let found = parse(&TEXT.replacen(from, to, 1)).unwrap_err();
        assert!(found.what.contains(part) && (line == 0 || found.line == line), "{to}: {found}");
        assert!(found.file == "loops/LOOP-INFRA-CORE-20260302.scope.md", "{found}");
    }
}

#[test]
fn closing_changes_the_front_matter_alone() {
    let evidence = vec![
        Shown { line: 1, runs: vec![KEY.to_owned()] },
        Shown { line: 2, runs: vec![KEY.to_owned(), KEY.replace("R8", "R9")] },
    ];
    let closed = parse(TEXT).unwrap().closed("2026-11-22T09:00:00Z".to_owned(), evidence.clone()).unwrap();
    let wanted = format!(
        "status: closed   # since March\nclosed_at: 2026-11-22T09:00:00Z\nevidence:\n  - {{line: 1, runs: [{KEY}]}}\n  - \
         {{line: 2, runs: [{KEY}, {}]}}\n",
        KEY.replace("R8", "R9")
    );
    assert_eq!(closed.text(), TEXT.replacen("status: open   # since March\n", &wanted, 1));
    assert_eq!(closed.front.evidence, evidence);

    // Evidence that was there is replaced, lines and all.
    let before = TEXT.replacen("owner:", &format!("evidence:\n  - line: 2\n    runs: [{KEY}]\nowner:"), 1);
    let closed = parse(&before).unwrap().closed("2026-11-22T09:00:00Z".to_owned(), evidence).unwrap();
    assert!(!closed.text().contains("- line: 2"), "{}", closed.text());
}

#[test]
fn front_matter_that_cannot_be_changed_by_the_line_is_refused() {
    let odd = TEXT.replacen("status: open", "\"status\": open", 1);
    let why = parse(&odd).unwrap().closed("2026-11-22T09:00:00Z".to_owned(), vec![]).unwrap_err().why();
    assert!(why.contains("one field a line"), "{why}");
}

#[test]
fn a_new_scope_reads_back() {
    let mut front = parse(TEXT).unwrap().front;
    front.objective = "It's \"new\": # all of it".to_owned();
    let scope = Scope::new(&front, "# Loop Scope\n\n## Acceptance\n\n- One\n- Two\n").unwrap();
    assert_eq!(scope.front, front);
    assert!(!scope.text().lines().any(|line| line.ends_with(' ')), "{}", scope.text());
    front.proof = vec![vec!["verify.run".to_owned()]];
    assert!(Scope::new(&front, "no acceptance\n").is_err());
}
