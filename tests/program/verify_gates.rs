//! Gates in the repository's own workspace: what is shipped passes, and each mistake of `tests/gates/` fails its gate alone.

mod mistakes;
mod scopes;
mod world;

use libtest_mimic::Trial;
use ops_tests::skip::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("verify_gates::what_is_shipped_passes", None, scopes::what_is_shipped_passes),
        trial("verify_gates::each_mistake_fails_its_gate_alone", None, mistakes::each_fails_its_gate_alone),
        trial("verify_gates::records_that_were_changed_fail_theirs", None, mistakes::of_records),
    ]
}
