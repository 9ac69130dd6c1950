use super::*;
use crate::digest::Digest;
use crate::receipt::sample;

fn page(receipt: Receipt) -> String {
    render(&Statement::receipt(&Digest::of(b"evidence"), receipt))
}

/// The page is kept beside this file, so that a change of it is a diff in review. `OPS_BLESS=1` writes it anew.
#[test]
fn the_page_is_the_golden_one() {
    for (name, receipt) in
        [("applied", sample::applied()), ("refused", sample::refused()), ("hostile", sample::hostile())]
    {
        let path = format!("{}/src/markdown/golden/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let page = page(receipt);
        if std::env::var_os("OPS_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        assert_eq!(page, std::fs::read_to_string(&path).unwrap(), "{path}");
    }
}

#[test]
fn no_text_forges_the_page() {
    let page = page(sample::hostile());
    for forged in ["\n# Approved", "<script>", "](https:", "\u{202e}", "\u{1b}", "| performed |\n"] {
        assert!(!page.contains(forged), "{forged:?} got through");
    }
    let heads = page.lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(
        heads,
        render(&Statement::receipt(&Digest::of(b""), sample::applied()))
            .lines()
            .filter(|line| line.starts_with('#'))
            .count()
    );
    let effects: Vec<&str> = page.lines().filter(|line| line.starts_with("| 2 |")).collect();
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0].matches('|').count(), 9, "a cell was split: {}", effects[0]);
}

#[test]
fn the_headline_says_what_is_known() {
    let mut receipt = sample::applied();
    assert_eq!(what_changed(&receipt), "It performed 1 effect and changed 1 file.");
    receipt.files.clear();
    receipt.effects[0].outcome = EffectOutcome::Started;
    receipt.run.status = Status::Unknown;
    assert_eq!(what_changed(&receipt), "Nobody knows whether 1 further effect happened.");
    receipt.effects.clear();
    assert_eq!(what_changed(&receipt), "What it changed is not known.");
    receipt.run.status = Status::Planned;
    assert_eq!(what_changed(&receipt), "It changed nothing.");
}
