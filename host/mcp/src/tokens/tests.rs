use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn only(globs: &[&str]) -> Only {
    Only::new(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap()
}

#[test]
fn a_token_is_its_owners_and_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let alice = Tokens::add(&file, "alice-laptop", &only(&["communications.*"])).unwrap();
    let ci = Tokens::add(&file, "ci", &only(&[])).unwrap();
    let again = Tokens::add(&file, "ci", &only(&[])).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for token in [&alice, &ci, &again] {
        assert!(token.starts_with(PREFIX) && token.len() == PREFIX.len() + 64);
        assert!(!text.contains(token.as_str()));
    }
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let tokens = Tokens::load(&file).unwrap();
    let caller = tokens.caller(&alice).unwrap();
    assert_eq!((caller.name.as_str(), caller.standing), ("alice-laptop", Standing::Named));
    assert!(caller.only.admits("communications.mail.search") && !caller.only.admits("infra.vm.status"));
    assert_eq!(tokens.caller(&ci).unwrap().name, "ci");
    assert_eq!(tokens.caller(&again).unwrap().name, "ci");
    // The first of the file is no fallback.
    for bad in [
        "",
        "ops_",
        alice.strip_suffix(char::is_alphanumeric).unwrap(),
        &format!("{alice} "),
        &hex::encode(Digest::of(alice.as_bytes()).bytes()),
    ] {
        assert_eq!(tokens.caller(bad), None, "{bad}");
    }
}

#[test]
fn a_file_that_others_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    Tokens::add(&file, "ci", &only(&[])).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o700 | 0o010] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = Tokens::load(&file).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert!(Tokens::add(&file, "ci", &only(&[])).is_err());
    }
    assert!(Tokens::load(folder.path()).is_err());
    assert!(Tokens::load(&folder.path().join("missing")).is_err());
}

#[test]
fn what_is_no_file_of_tokens_is_refused_and_not_shown() {
    let hash = "ab".repeat(32);
    for bad in [
        "tokens: secret-hunter2",
        "secret-hunter2: []",
        "tokens: [{name: ci, sha256: secret-hunter2}]",
        "tokens: [{name: CI, sha256: HASH}]",
        "tokens: [{name: ci, sha256: HASH, role: proposer}]",
        "tokens: [{name: ci, sha256: HASH}, {name: other, sha256: HASH}]",
        "tokens: [{name: ci, sha256: HASH, only: [A]}]",
        "tokens: [{name: ci}]",
        "tokens: [{name: ci, sha256: HASH00}]",
    ] {
        let error = Tokens::parse(bad.replace("HASH", &hash).as_bytes()).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(Tokens::parse(format!("tokens: [{{name: ci, sha256: {hash}}}]").as_bytes()).is_ok());
}

#[test]
fn a_token_is_not_added_to_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    std::fs::write(&file, "tokens: []").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Tokens::add(&file, "ci", &only(&[])).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "tokens: []");
    assert!(Tokens::add(&folder.path().join("new"), "C I", &only(&[])).is_err());
}

proptest! {
    #[test]
    fn nothing_that_somebody_writes_breaks_it(text in any::<String>(), token in "[ -~]{0,80}") {
        for text in [text.clone(), format!("tokens: [{{name: {text}}}]"), format!("tokens: {text}")] {
            if let Ok(tokens) = Tokens::parse(text.as_bytes()) {
                prop_assert_eq!(tokens.caller(&token), None);
            }
        }
    }
}
