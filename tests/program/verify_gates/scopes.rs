//! The seeds' commands on what is shipped.

use ops_tests::scratch::Scratch;

use super::world::core;

pub(super) fn what_is_shipped_passes(scratch: &Scratch) {
    let said = core(scratch);
    assert_eq!(said["summary"], "10/10 PASS", "{said:#}");
    for row in said["gates"].as_array().unwrap() {
        let run = row["run_key"].as_str().unwrap();
        scratch.ops(&["receipts", "verify", run]).exits(0);
    }
    for (words, scope, summary) in [
        ("verify.run -- fast", "fast", "10/10 PASS"),
        ("verify.domain.run aof --force", "domain aof", "6/6 PASS"),
        ("verify.pack.run loop_gap", "domain loop_gap", "3/3 PASS"),
        ("verify.run -- domain infra", "fast and domain infra", "10/10 PASS"),
        ("verify.run -- release", "release", "10/10 PASS"),
        ("verify.pack.run", "pack core-operator", "10/10 PASS"),
    ] {
        let mut line = vec!["cap", "run"];
        line.extend(words.split(' '));
        line.push("--json");
        let said = scratch.ops(&line).exits(0).json();
        assert_eq!(
            (&said["data"]["scope"], &said["data"]["summary"]),
            (&scope.into(), &summary.into()),
            "{said:#}"
        );
    }
    scratch.ops(&["cap", "run", "verify.domain.run", "home"]).exits(2).says("domains: core, aof, loop_gap");
    scratch.ops(&["cap", "run", "verify.pack.run", "home"]).exits(2).says("packs: core-operator");
    scratch.ops(&["cap", "run", "verify.route.recommend"]).exits(0);
    // Nothing is bound to a server here: that is a warning, and never healthy.
    let said = scratch.ops(&["cap", "run", "stability.control.snapshot", "--json"]).exits(0).json();
    assert_eq!(said["data"]["summary"], "WARN", "{said:#}");
    let domains = said["data"]["domains"].as_array().unwrap();
    assert!(domains.iter().all(|domain| domain["status"] == "not-bound"), "{said:#}");
}

/// The contract of the snapshot is no gate's: the snapshot says itself what is wrong with it.
pub(super) fn a_word_that_the_watched_domains_do_not_know(scratch: &Scratch) {
    let contract = "ops/bindings/stability.control.contract.yaml";
    let text = std::fs::read_to_string(scratch.path(contract)).unwrap();
    scratch.write(contract, &text.replacen("status: healthy", "status: fine", 1));
    scratch.pin();
    let words = "unknown word `fine`, expected one of `healthy`, `not-bound`, `warn`, `incident`";
    scratch
        .ops(&["cap", "run", "stability.control.snapshot"])
        .exits(2)
        .says(words)
        .says("stability.control.contract.yaml, line");
}
