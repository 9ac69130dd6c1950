//! The sections of a receipt's page, one function each.

use super::{code, moment, optional, request, section, table, text};
use crate::digest::Digest;
use crate::receipt::Status;
use crate::receipt::{
    ActorKind, ApprovalHow, Deployment, EffectOutcome, FileOutcome, PlanRef, Receipt, Safety, UndoKind,
    UndoRecord, Via,
};
use crate::statement::{EVIDENCE_NAME, Statement};

pub(super) fn run(receipt: &Receipt) -> String {
    let run = &receipt.run;
    let usage = &receipt.usage;
    let mut rows = vec![
        ["Run".into(), code(&run.id)],
        ["Status".into(), format!("{} (exit code {})", run.status, run.exit_code)],
        ["Safety".into(), run.safety.map_or("not known", safety).into()],
        ["Started".into(), moment(run.started_on)],
        ["Finished".into(), format!("{}, after {} ms", moment(run.finished_on), usage.wall_ms)],
        ["Asked for by".into(), actor(receipt)],
        ["Host".into(), host(receipt)],
        ["Requests".into(), usage.requests.to_string()],
        ["Most memory".into(), format!("{} KiB", usage.peak_memory_bytes.div_ceil(1024))],
        ["Printed".into(), format!("{} bytes, {} to stderr", usage.stdout_bytes, usage.stderr_bytes)],
    ];
    let mut plan = |what: &str, plan: &Option<PlanRef>| {
        if let Some(plan) = plan {
            rows.push([what.into(), format!("{} with hash {}", code(&plan.id), short(&plan.digest))]);
        }
    };
    plan("Plan", &run.plan);
    plan("Plan for the rest", &run.new_plan);
    for (what, key) in [
        ("Planned by", &run.planned_by),
        ("Continues", &run.continues),
        ("Called by", &run.called_by),
        ("Started on the word of", &run.started_by),
    ] {
        if let Some(key) = key {
            rows.push([what.into(), code(key)]);
        }
    }
    if let Some(error) = &receipt.outcome.error_code {
        rows.push(["Error".into(), code(error)]);
    }
    section("Run", &table(["", ""], rows))
}

pub(super) fn changes(receipt: &Receipt) -> String {
    let effects = receipt.effects.iter().map(|effect| {
        let answer = effect.status.map_or_else(|| "–".into(), |status| status.to_string());
        [
            effect.number.to_string(),
            text(&effect.summary),
            effect.outcome.word().into(),
            request(effect),
            optional(effect.rule.as_deref()),
            optional(effect.address.as_deref()),
            answer,
            undo(&effect.undo),
        ]
    });
    let heads = ["#", "Effect", "Outcome", "Request", "Rule", "Address", "Answer", "Undo"];
    let effects = table(heads, effects.collect());
    let files = receipt.files.iter().map(|file| {
        [
            code(&format!("{}/{}", file.directory, file.path)),
            file.change.word().into(),
            file.outcome.word().into(),
        ]
    });
    let files = table(["File", "Change", "Outcome"], files.collect());
    section(
        if changed_something(receipt) { "What it changed" } else { "What it would change" },
        &join([effects, files]),
    )
}

fn changed_something(receipt: &Receipt) -> bool {
    let sent = [EffectOutcome::Performed, EffectOutcome::Started];
    receipt.effects.iter().any(|effect| sent.contains(&effect.outcome))
        || receipt.files.iter().any(|file| file.outcome == FileOutcome::Committed)
}

pub(super) fn approval(receipt: &Receipt) -> String {
    let approval = &receipt.approval;
    let how = match (approval.how, approval.required) {
        (ApprovalHow::None, false) => "No approval was needed.",
        (ApprovalHow::None, true) if receipt.run.status == Status::Unknown => {
            "How it was approved is not known here."
        }
        (ApprovalHow::None, true) => "Nobody approved.",
        (ApprovalHow::Auto, _) => "Nobody was asked: the binding approves every plan.",
        (ApprovalHow::Signed, _) => "By a signature over the plan's hash.",
        (ApprovalHow::Confirmed, _) => "By typing the plan's short hash at a terminal. Nobody signed.",
        (ApprovalHow::Piped, _) => "By a piped yes. Nobody signed.",
    };
    let reason =
        approval.reason.as_deref().map_or_else(String::new, |reason| format!("Reason: {}", text(reason)));
    let approvers = approval.approvers.iter().map(|approver| {
        [
            code(&approver.principal),
            optional(approver.fingerprint.as_deref()),
            optional(approver.kind.as_deref()),
            if approver.touch { "yes".into() } else { "no".into() },
            moment(approver.at),
        ]
    });
    let approvers = table(["Who", "Key", "Kind", "Touched", "When"], approvers.collect());
    section("Who approved, and how", &join([how.into(), reason, approvers]))
}

pub(super) fn grants(receipt: &Receipt) -> String {
    let grants = &receipt.grants;
    let rules = grants.services.iter().flat_map(|service| {
        service.rules.iter().map(|rule| {
            [
                code(&service.name),
                service.origin.as_deref().map_or_else(|| "this host".into(), code),
                code(&rule.id),
                code(&format!("{} {}", rule.method, rule.path)),
                format!("{}{}", rule.effect.word(), if rule.for_undo { ", for undo only" } else { "" }),
            ]
        })
    });
    let rules = table(["Service", "Origin", "Rule", "Request", "Effect"], rules.collect());
    let directories = grants
        .directories
        .iter()
        .map(|granted| [code(&granted.name), code(&granted.path), granted.access.word().into()]);
    let directories = table(["Directory", "Path", "Access"], directories.collect());
    let body = join([
        rules,
        directories,
        list("Contracts", &grants.contracts),
        list("Config", &grants.config),
        list("May call", &grants.invoke),
        list("May have started", &grants.starts),
    ]);
    section("What it could reach", if body.is_empty() { "Nothing." } else { &body })
}

pub(super) fn used(receipt: &Receipt) -> String {
    let rows = receipt.used.iter().map(|used| {
        [
            code(&used.service),
            code(&used.rule),
            code(&format!("{} {}", used.method, used.path)),
            optional(used.address.as_deref()),
            used.count.to_string(),
            used.bytes_sent.to_string(),
            used.bytes_received.to_string(),
        ]
    });
    let heads = ["Service", "Rule", "Request", "Address", "Times", "Bytes sent", "Bytes received"];
    let body = table(heads, rows.collect());
    let none = match receipt.run.status {
        Status::Unknown => "Not known, but for its effects.",
        _ => "No service was reached.",
    };
    section("What it used", if body.is_empty() { none } else { &body })
}

pub(super) fn invoked(receipt: &Receipt) -> String {
    let rows = receipt.invoked.iter().map(|call| {
        [code(&call.capability), optional(call.run.as_deref()), if call.output { "yes" } else { "no" }.into()]
    });
    let body = table(["Capability", "Run", "Output"], rows.collect());
    section("What it called", &body)
}

pub(super) fn denied(receipt: &Receipt) -> String {
    let rows = receipt.denied.iter().map(|denial| {
        [denial.kind.word().into(), text(&denial.what), text(&denial.reason), denial.count.to_string()]
    });
    let body = table(["Kind", "What", "Why", "Times"], rows.collect());
    section("What was refused", if body.is_empty() { "Nothing." } else { &body })
}

pub(super) fn definition(receipt: &Receipt) -> String {
    let known = &receipt.definition;
    let mut rows: Vec<(&str, String, &Digest)> = Vec::new();
    if let Some(file) = &known.component {
        rows.push(("Component", code(&file.name), &file.digest));
    }
    if let Some(file) = &known.binding {
        rows.push(("Binding", code(&file.name), &file.digest));
    }
    if let Some(digest) = &known.manifest {
        rows.push(("Manifest", "–".into(), digest));
    }
    if let Some(lock) = &known.lock {
        rows.push(("Lock", format!("version {}", lock.counter), &lock.digest));
    }
    if let Some(digest) = &known.input_digest {
        rows.push(("Input, salted", "–".into(), digest));
    }
    if let Some(plan) = &receipt.run.plan {
        rows.push(("Plan", code(&plan.id), &plan.digest));
    }
    let full: Vec<String> = rows.iter().map(|(what, _, digest)| format!("{} {what}", digest.hex())).collect();
    let brief = rows.into_iter().map(|(what, name, digest)| [what.into(), name, short(digest)]);
    let brief = table(["", "Name", "SHA-256"], brief.collect());
    let full = if full.is_empty() { String::new() } else { format!("```text\n{}\n```", full.join("\n")) };
    let body = join([brief, list("Imports", &known.imports), full]);
    section("What exactly ran", if body.is_empty() { "It was refused before that was known." } else { &body })
}

pub(super) fn evidence(receipt: &Receipt) -> String {
    let rows = receipt
        .evidence
        .iter()
        .map(|file| [code(&file.name), code(&file.media_type), file.size.to_string(), short(&file.digest)]);
    section("Evidence", &table(["File", "Type", "Bytes", "Salted SHA-256"], rows.collect()))
}

pub(super) fn check(statement: &Statement<Receipt>) -> String {
    let receipt = &statement.predicate;
    let subject = statement.subject.first().map_or("", |subject| subject.digest.sha256.as_str());
    // The commands stand in a block that nothing may close: a run key and digests are plain, or are left out.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let run = if plain(&receipt.run.id) { receipt.run.id.as_str() } else { "." };
    let subject = if plain(subject) { subject } else { "" };
    let body = format!(
        "```sh\nops receipts verify {run}\nsha256sum {EVIDENCE_NAME}   # {subject}\n```\n\n\
         This page is a rendering; what was signed is in `receipt.sigstore.json`, by the host key {}, as entry {} \
         of the ledger {}. Other tools can check that signature. They must also be told to compare \
         `{EVIDENCE_NAME}` with the statement's subject, which some do not do by themselves.",
        code(&receipt.host.id),
        receipt.ledger.sequence,
        code(&receipt.ledger.id),
    );
    section("How to check this receipt", &body)
}

fn actor(receipt: &Receipt) -> String {
    let actor = &receipt.actor;
    let kind = match actor.kind {
        ActorKind::Human => "a person",
        ActorKind::Agent => "an agent",
        ActorKind::Ci => "a pipeline",
    };
    let via = match actor.via {
        Via::Cli => "the command line",
        Via::Mcp => "MCP",
    };
    let client = actor.client.as_deref().map_or_else(String::new, |client| format!(" with {}", code(client)));
    format!("{}, {kind}, through {via}{client}", code(&actor.id))
}

fn host(receipt: &Receipt) -> String {
    let host = &receipt.host;
    let deployment = match host.deployment {
        Deployment::SameUser => "same user",
        Deployment::SeparateUser => "separate user",
    };
    let sandbox = match host.sandbox.as_slice() {
        [] => "no capability ran".into(),
        names => names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
    };
    format!("ops {}, {}, {deployment}, {sandbox}", text(&host.ops_version), text(&host.engine))
}

fn safety(safety: Safety) -> &'static str {
    match safety {
        Safety::ReadOnly => "read-only",
        Safety::Mutating => "mutating",
        Safety::Destructive => "destructive",
    }
}

fn undo(undo: &UndoRecord) -> String {
    let kind = match undo.kind {
        UndoKind::Request => "by request",
        UndoKind::ByHand => "by hand",
        UndoKind::Impossible => "impossible",
    };
    format!("{kind}: {}", text(&undo.text))
}

fn list(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| code(name)).collect();
    format!("{what}: {}", names.join(", "))
}

fn short(digest: &Digest) -> String {
    format!("`{}…`", digest.short())
}

fn join<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}
