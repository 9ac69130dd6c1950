use ops_runner::audit::{Coverage, Import, LockView, RightRow, SCHEMA_VERSION};

use super::*;

fn finding(id: &'static str, severity: Severity, number: usize) -> Finding {
    Finding {
        id,
        severity,
        capability: Some("a.b".into()),
        file: format!("ops/bindings/a.b{number}.yaml"),
        line: Some(3),
        subject: "component".into(),
        what: "the component does what no line of eighty columns has the room to tell in full".into(),
        fix: "mend it".into(),
    }
}

fn sample() -> Audit {
    let row = RightRow {
        kind: RightKind::Directory,
        of: None,
        name: Some("outbox".into()),
        right: "directory outbox at state/outbox (stage)".into(),
        rule: None,
        effect: None,
        needed: Coverage::Whole,
        optional: false,
        granted: true,
        used: Some(2),
        line: Some(5),
    };
    let import = Import {
        name: "ops:capability/effects@0.1.0".into(),
        class: "power",
        words: "changes".into(),
        functions: vec!["perform".into()],
    };
    let page = Page {
        capability: "a.b".into(),
        safety: "mutating".into(),
        rights: vec![row],
        imports: vec![import],
        looked_at: 4,
        ..Page::default()
    };
    Audit {
        schema_version: SCHEMA_VERSION,
        workspace: "demo".into(),
        generated_at: "2026-11-22T00:00:00Z".into(),
        lock: LockView {
            holds: true,
            why: None,
            counter: Some(4),
            development: false,
            signer: Some("alice".into()),
        },
        runs: 50,
        capabilities: vec![page],
        findings: (0..20)
            .map(|number| finding("private-range", Severity::Low, number))
            .chain([finding("import-not-needed", Severity::High, 0)])
            .collect(),
        suppressed: Vec::new(),
        timeline: Vec::new(),
    }
}

#[test]
fn the_weightiest_comes_first_and_one_kind_does_not_fill_the_screen() {
    let text = text(&sample(), false);
    let (high, low) = (text.find("import-not-needed").unwrap(), text.find("private-range").unwrap());
    assert!(high < low, "{text}");
    assert!(text.contains("findings      1 high, 0 medium, 20 low\n"), "{text}");
    assert!(text.contains("and 12 more") && text.matches("what to do:  mend it").count() == 2, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_page_tells_who_wanted_granted_and_used() {
    let text = text(&sample(), true);
    assert!(!text.contains("more: ops audit") && text.contains("2 of 4"), "{text}");
    let entry = "audit:\n  suppress:\n    - finding: private-range\n      capability: a.b\n      subject: \"component\"\n      \
                 reason: \"\"\n      expires: 2027-02-20\n";
    assert!(text.contains(entry), "{text}");
    assert!(text.contains("ops:capability/effects@0.1.0 (power) changes: calls perform"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn needs_that_are_not_known_are_told_on_top_and_on_the_page() {
    let mut audit = sample();
    assert!(!text(&audit, true).contains("NOT KNOWN"));
    audit.capabilities[0].needs_unknown = Some("no lock holds".into());
    assert!(text(&audit, false).contains("needs         NOT KNOWN of 1,"));
    assert!(text(&audit, true).contains("  needs       NOT KNOWN: no lock holds\n"));
}
