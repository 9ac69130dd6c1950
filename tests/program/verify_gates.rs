//! Gates in the repository's own workspace: what is shipped passes, and each mistake of `tests/gates/` fails its gate alone.
//!
//! One copy of the workspace serves all of it, because every one of its components is compiled for it.

mod mistakes;
mod scopes;
mod world;

use libtest_mimic::Trial;
use ops_tests::skip::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("verify_gates::what_is_shipped_passes_and_each_mistake_fails_its_gate_alone", None, all)]
}

fn all() {
    let scratch = world::copy();
    scratch.breaks("bindings, records and the ledger are changed from run to run");
    scopes::what_is_shipped_passes(&scratch);
    mistakes::each_fails_its_gate_alone(&scratch);
    mistakes::of_records(&scratch);
    scopes::a_word_that_the_watched_domains_do_not_know(&scratch);
}
