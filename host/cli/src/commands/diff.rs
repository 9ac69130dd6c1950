//! `ops diff`: what a new version may do that the old one could not.

use std::path::Path;

use ops_runner::diff::compare;

use super::{Outcome, open_workspace, print, print_json};
use crate::args::Diff;
use crate::say;

pub(crate) fn run(workspace: Option<&Path>, args: &Diff) -> Outcome {
    let open = || open_workspace(workspace);
    let differences = compare(args.old.as_deref(), args.new.as_deref(), &open)?;
    if args.json.json {
        print_json(&differences.json())?;
    } else {
        let text = differences.text();
        if !text.is_empty() {
            print(text)?;
        }
        for note in &differences.notes {
            say::note(format!("note: {note}"));
        }
        say::note(differences.summary());
    }
    let least = args.fail_on.map(|gravity| gravity.class());
    Ok(u8::from(least.is_some_and(|least| differences.gravest() >= Some(least))))
}
