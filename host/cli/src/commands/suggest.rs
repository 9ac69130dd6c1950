//! `ops suggest`: a patch on standard output, and what people should know of it on standard error.

use ops_runner::runner::Runner;
use ops_runner::suggest::Ask;

use super::{Outcome, print, print_json};
use crate::args::Suggest;
use crate::say;

pub(crate) fn run(runner: &Runner, asked: Suggest) -> Outcome {
    let Suggest { capability, from, runs, json } = asked;
    let suggested = match runner.suggest(&Ask { capability, from, runs }) {
        Ok(suggested) => suggested,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json.json {
        return print_json(&suggested.json());
    }
    say::note(suggested.text().trim_end());
    match &suggested.patch {
        // Its last line has its end.
        Some(patch) => print(patch.trim_end_matches('\n')),
        None => Ok(0),
    }
}
