//! `ops review`: say that you have looked, and list who did.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use ops_policy::lock;
use ops_policy::review::{MAX_FILE, NAMESPACE, SignedReview};
use ops_policy::visible::visible;
use ops_runner::reviewing::{Adding, Row};
use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, open, print, print_json};
use crate::args::review::{Add, Review, Sign};
use crate::{output, say, signing, terminal};

pub(crate) fn run(workspace: Option<&Path>, command: Review) -> Outcome {
    let runner = open(workspace)?;
    match command {
        Review::Sign(args) => sign(&runner, &args),
        Review::Add(args) => add(&runner, &args),
        Review::List(json) => list(&runner, json.json),
    }
}

fn sign(runner: &Runner, args: &Sign) -> Outcome {
    let reviewing = runner.review(&args.capability, args.expires)?;
    say::note(format!("you say that you have looked at this, as it is pinned:\n\n{}", reviewing.shown));
    if !args.yes && !terminal::yes("Sign the review?") {
        return Err("not signed; answer yes at a terminal, or give --yes".into());
    }
    let signature = signing::sign_with(&args.key, NAMESPACE, reviewing.text().as_bytes())?;
    let signed = reviewing.signed(runner, signature)?;
    if let Some(file) = &args.to {
        write_new(file, &signed.render().map_err(|error| error.to_string())?)?;
        say::note(format!(
            "wrote {}\nnext: whoever may sign the lock puts it there:  ops review add {} --key KEY",
            file.display(),
            file.display()
        ));
        return Ok(0);
    }
    put(runner, &runner.add_review(&signed)?, &args.key, args.yes)
}

fn add(runner: &Runner, args: &Add) -> Outcome {
    let shown = args.review.display();
    let fail = |error: std::io::Error| format!("{shown}: {error}");
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(&args.review).map_err(fail)?.take(most).read_to_end(&mut bytes).map_err(fail)?;
    let signed =
        SignedReview::parse(&shown.to_string(), &bytes).map_err(|error| visible(&error.to_string()))?;
    let adding = runner.add_review(&signed)?;
    say::note(format!("this review goes into the lock:\n\n{}", signed.review.text()));
    put(runner, &adding, &args.key, args.yes)
}

/// Signs the lock that has a review more.
fn put(runner: &Runner, adding: &Adding, key: &Path, yes: bool) -> Outcome {
    let behind = match adding.left_behind.as_str() {
        "" => String::new(),
        plans => format!(
            "; plans and runs rest on the lock that they were made under, so that these stay behind:\n{plans}"
        ),
    };
    say::note(format!("the new lock, number {}, differs in this review alone{behind}", adding.counter()));
    if !yes && !terminal::yes("Sign the lock?") {
        return Err("the lock is as it was; answer yes at a terminal, or give --yes".into());
    }
    let signature = signing::sign_with(key, lock::NAMESPACE, &adding.body()?)?;
    let signer = adding.commit(runner, &signature).map_err(|why| {
        format!("{why}\n  a reviewer who may not sign the lock gives --to FILE; an approver then does `ops review add FILE`")
    })?;
    say::note(format!("signed by {signer}"));
    Ok(0)
}

/// A file that was there is somebody's review, too.
fn write_new(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut new = fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(fail)?;
    new.write_all(bytes).map_err(fail)
}

fn list(runner: &Runner, json: bool) -> Outcome {
    let rows = runner.reviews().map_err(|refusal| refusal.to_string())?;
    if json {
        return print_json(&json!({"reviews": rows}));
    }
    if rows.is_empty() {
        say::note("no capability is bound here; `ops bind NAME FILE.wasm` writes a binding");
        return Ok(0);
    }
    let mut table = output::table(&["capability", "review", "by", "signed", "good until"]);
    for row in &rows {
        let review = row.review.as_ref();
        let time = |time: Option<&String>| time.map(|time| output::minute(time)).unwrap_or_default();
        table.add_row([
            row.capability.clone(),
            state(row),
            review.and_then(|view| view.reviewer.clone()).unwrap_or_default(),
            time(review.map(|view| &view.at)),
            time(review.map(|view| &view.expires)),
        ]);
    }
    print(output::render(table))
}

/// The state, with why it is not what it should be.
fn state(row: &Row) -> String {
    let required = if row.required { ", and ops.yaml requires one" } else { "" };
    match (&row.fault, &row.review) {
        (Some(fault), _) => format!("NOT RUNNABLE: {}", fault.lines().next().unwrap_or_default()),
        (None, None) => format!("none{required}"),
        (None, Some(view)) if view.why.is_empty() => view.state.to_owned(),
        (None, Some(view)) => format!("{}: {}", view.state, view.why.join("; ")),
    }
}
