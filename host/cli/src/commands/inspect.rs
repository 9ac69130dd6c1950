//! `ops inspect`: what a component can ask for, for somebody who has never seen it.
//!
//! What its bytes say comes first; what it says of itself is told apart, as a claim.

use std::fmt::Write;

use ops_policy::interface::{Class, Interface};
use ops_policy::manifest::Manifest;
use ops_policy::visible::visible;
use ops_runner::inspection::{self, Claims, Inspected, Item};

use super::{Outcome, print, print_json};
use crate::args::Inspect;
use crate::output::wrapped;

/// How wide the page is.
const WIDTH: u16 = 80;
/// The parts within the component that are listed one by one.
const PARTS: usize = 12;

pub(crate) fn run(args: &Inspect) -> Outcome {
    let inspected = inspection::inspect_file(&args.component)?;
    if args.json.json {
        return print_json(&inspected.json());
    }
    let name = args.component.file_name().unwrap_or_default().to_string_lossy();
    print(text(&visible(&name), &inspected).trim_end())
}

fn text(file: &str, inspected: &Inspected) -> String {
    let mut text = format!("{file}\n");
    paragraph(&mut text, "  ", &verdict(inspected));
    let inspection = &inspected.inspection;
    let _ = writeln!(text, "  size       {}", size(inspection.size));
    let _ = writeln!(text, "  component  {}", inspected.digest);
    let _ = writeln!(text, "  interface  {}", inspection.interface);
    text.push_str(&claims_text(&inspection.claims));
    for (class, title) in [
        (Class::Never, "imports that nobody can grant"),
        (Class::Power, "imports that reach the world, each as far as a binding grants it"),
        (Class::Inert, "imports that every guest gets, and that reach nothing by themselves"),
    ] {
        let imports: Vec<_> = inspected.imports(class).collect();
        if !imports.is_empty() {
            let _ = writeln!(text, "\n{title}");
            let mut said = None;
            for (item, interface) in imports {
                import_text(&mut text, item, interface);
                // Of several that have the same reason, the first says it.
                if let Some(never) = interface.never.filter(|never| said != Some(*never)) {
                    paragraph(&mut text, "      ", &format!("never: {never}"));
                    said = Some(never);
                }
                functions_text(&mut text, item);
            }
        }
    }
    if inspection.imports.is_empty() {
        text.push_str("\nimports nothing at all\n");
    }
    text.push_str("\nexports\n");
    for export in &inspection.exports {
        paragraph(&mut text, "  ", &visible(&export.name));
        functions_text(&mut text, export);
    }
    parts_text(&mut text, inspected);
    match &inspected.manifest {
        Some(Ok(manifest)) => manifest_text(&mut text, manifest, inspected),
        Some(Err(why)) => {
            text.push_str("\nits manifest\n");
            paragraph(&mut text, "  ", &visible(why));
        }
        None => {}
    }
    text
}

/// What can become of it here, in a sentence.
fn verdict(inspected: &Inspected) -> String {
    let never: Vec<_> = inspected.imports(Class::Never).map(|(item, _)| visible(&item.name)).collect();
    let what = match &inspected.manifest {
        Some(Ok(_)) => "a capability",
        Some(Err(_)) => "a component with a capability's exports, whose manifest cannot be had",
        None => {
            "a component, but no capability: it does not export ops:capability/guest@0.1, so `ops bind` does not take it"
        }
    };
    match never.len() {
        0 => what.to_owned(),
        1 => format!("{what}; it cannot run here, because nobody can grant {}", never.join("")),
        number => format!("{what}; it cannot run here, because nobody can grant {number} of its imports"),
    }
}

/// What it says of itself, told apart from what was read.
fn claims_text(claims: &Claims) -> String {
    let mut text = String::from("\nsays of itself, which nobody has checked\n");
    let before = text.len();
    for (what, said) in [
        ("name", &claims.name),
        ("version", &claims.version),
        ("description", &claims.description),
        ("authors", &claims.authors),
        ("licence", &claims.licence),
        ("source", &claims.source),
        ("revision", &claims.revision),
        ("homepage", &claims.homepage),
        ("built from", &claims.dependencies),
    ] {
        if let Some(said) = said {
            labelled(&mut text, what, said);
        }
    }
    if !claims.tools.is_empty() {
        let tools: Vec<_> = claims
            .tools
            .iter()
            .map(|tool| format!("{} {}", tool.name, tool.version).trim().to_owned())
            .collect();
        labelled(&mut text, "made with", &tools.join(", "));
    }
    if !claims.unreadable.is_empty() {
        labelled(&mut text, "unreadable", &claims.unreadable.join(", "));
    }
    if text.len() == before {
        text.push_str("  nothing\n");
    }
    text
}

fn import_text(text: &mut String, item: &Item, interface: Interface) {
    let _ = writeln!(text, "  {}", visible(&item.name));
    paragraph(text, "      ", interface.words);
}

/// The functions in it, as people call them: `[method]pollable.block` is `pollable.block`.
fn functions_text(text: &mut String, item: &Item) {
    if !item.functions.is_empty() {
        let short = |name: &String| visible(name.split_once(']').map_or(name.as_str(), |(_, name)| name));
        let names: Vec<_> = item.functions.iter().map(short).collect();
        paragraph(text, "      ", &format!("calls: {}", names.join(", ")));
    }
}

/// What lies within, where that is more than the adapters of a tool: other modules were put in by somebody, too.
fn parts_text(text: &mut String, inspected: &Inspected) {
    let inspection = &inspected.inspection;
    let inner = inspection.parts.get(1..).unwrap_or_default();
    if inner.is_empty() {
        return;
    }
    text.push_str("\nis made of\n");
    for part in inner.iter().take(PARTS) {
        let name = part.claims.name.as_deref().unwrap_or("without a name");
        let indent = "  ".repeat(part.depth.min(8));
        paragraph(text, &indent, &format!("{} of {}: {name}", part.kind, size(part.size)));
    }
    let more = inner.len().saturating_sub(PARTS) as u64 + inspection.further_parts;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more, which --json lists up to the sixty-fourth");
    }
}

fn manifest_text(text: &mut String, manifest: &Manifest, inspected: &Inspected) {
    text.push_str("\nits manifest, as it answered when it was asked in a confined process\n");
    labelled(text, "capability", &visible(&manifest.name));
    labelled(text, "version", &visible(&manifest.version));
    labelled(text, "safety", manifest.safety.as_str());
    labelled(text, "summary", &visible(&manifest.summary));
    let arguments = manifest.input.get("properties").and_then(|properties| properties.as_object());
    let arguments: Vec<_> = arguments.into_iter().flatten().map(|(name, _)| visible(name)).collect();
    if !arguments.is_empty() {
        labelled(text, "takes", &arguments.join(", "));
    }
    match inspected.to_grant().as_deref() {
        None | Some("") => text.push_str("\nit asks for nothing that a binding grants\n"),
        Some(needs) => {
            text.push_str("\nwhat `ops bind` would leave to you to grant\n");
            needs.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
    }
}

fn labelled(text: &mut String, what: &str, said: &str) {
    let mut lines = wrapped(said, WIDTH - 15).into_iter();
    let _ = writeln!(text, "  {what:<11}  {}", lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(text, "{:15}{line}", "");
    }
}

fn paragraph(text: &mut String, indent: &str, words: &str) {
    let room = WIDTH.saturating_sub(u16::try_from(indent.len()).unwrap_or_default());
    for line in wrapped(words, room) {
        let _ = writeln!(text, "{indent}{line}");
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
