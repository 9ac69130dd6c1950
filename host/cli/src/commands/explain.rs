//! `ops explain`: what would be decided about a request, and why, on each side.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use ops_policy::decide::Door;
use ops_policy::explain::{Decision, Explanation, Side};
use ops_policy::message::Header;
use ops_policy::visible::visible;
use ops_runner::explain::Question;
use ops_runner::runner::Runner;

use super::{Outcome, print, print_json};
use crate::args::Explain;
use crate::say;

/// The longest body that is read, in bytes: one more than any rule lets through.
const MAX_BODY: u64 = (8 << 20) + 1;

pub(crate) fn run(runner: &Runner, asked: Explain) -> Outcome {
    let Explain { capability, method, url, body, headers, json } = asked;
    let body = body.as_deref().map(read).transpose()?;
    let headers = headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    // A method is written in upper case; who types it need not.
    let method = method.to_ascii_uppercase();
    let question = Question { capability, method: method.clone(), url: url.clone(), headers, body };
    let explanation = match runner.explain(question) {
        Ok(explanation) => explanation,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json.json {
        print_json(&explanation.json())?;
    } else {
        print(text(&explanation, &method, &url).trim_end())?;
    }
    Ok(u8::from(!matches!(explanation.decision, Decision::Allowed(_))))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let opened = std::fs::File::open(file).map_err(|error| fail(&error))?;
    let mut bytes = Vec::new();
    opened.take(MAX_BODY).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    Ok(bytes)
}

/// `name: value`, as in a request.
fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`{}` is no header; write it as \"name: value\"", visible(text)))?;
    Ok(Header { name: name.trim().to_owned(), value: value.trim().to_owned() })
}

fn text(explanation: &Explanation, method: &str, url: &str) -> String {
    let mut text = String::new();
    let (word, why) = match &explanation.decision {
        Decision::Allowed(allowed) => {
            ("allowed", format!("by rule `{}` of service `{}`", allowed.rule, allowed.service))
        }
        Decision::Denied(denial) => ("denied", denial.reason.to_string()),
        Decision::NoRun(_) => ("denied", "the binding lacks something that the component needs".into()),
    };
    let _ = writeln!(text, "{} {}", visible(method), visible(url));
    let _ = writeln!(text, "  {word:<9} {why}");
    let door = match explanation.door {
        Door::Fetch => "as a read (fetch)",
        Door::Perform => "as a change (perform), which needs an approved plan",
        Door::Undo => "as the undo of a change, which needs an approved plan of its own",
    };
    let _ = writeln!(text, "  judged    {door}");
    for (who, side) in [("author", &explanation.author), ("operator", &explanation.operator)] {
        let (word, what) = words(side);
        let _ = writeln!(text, "  {who:<9} {word}: {what}");
    }
    if let Decision::NoRun(missing) = &explanation.decision {
        for missing in missing {
            let _ = writeln!(text, "  missing   {}", visible(&missing.what));
        }
    }
    if let Some(lines) = explanation.suggestion() {
        let who = match explanation.author {
            Side::Covers { .. } => "in the binding, this would allow it; review it first:",
            Side::Refuses { .. } => {
                "in the binding, this would grant it; but its author must say first that it is needed:"
            }
        };
        let _ = writeln!(text, "{who}");
        for line in lines.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn words(side: &Side) -> (&'static str, &str) {
    match side {
        Side::Covers { what } => ("covers it", what),
        Side::Refuses { why } => ("does not", why),
    }
}
