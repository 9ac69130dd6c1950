//! From what a run has done to what its receipt says: one field after another, nothing decided here.

use jiff::Timestamp;
use ops_ledger::digest::Digest as LedgerDigest;
use ops_ledger::evidence::{Evidence, EvidenceError};
use ops_ledger::receipt as say;
use ops_policy::digest::Digest;
use ops_policy::manifest::{Access, RuleEffect, Safety};
use ops_policy::message::Undo;
use ops_policy::plan::{Change, Plan};
use ops_policy::visible::{clip, visible};
use ops_sandbox::confine::Confinement;
use ops_sandbox::engine::Sandbox;

use crate::applying::Done;
use crate::ending::{Ending, Status};
use crate::record::{FileOutcome, Record};
use crate::run::{Actor, Cause, Run, What};

/// The longest text of a guest in a receipt, in bytes.
const MAX_TEXT: usize = 500;
/// The longest summary of an effect, in bytes: it names all recipients of a message, for one.
const MAX_SUMMARY: usize = 8 * 1024;

/// A digest in the ledger's type.
pub(crate) fn digest(digest: Digest) -> LedgerDigest {
    LedgerDigest::from(*digest.bytes())
}

fn text(text: &str) -> String {
    clip(&visible(text), MAX_TEXT)
}

impl Run<'_> {
    /// The receipt of this run, without its place in the ledger.
    pub(crate) fn statement(
        &self,
        ending: &Ending,
        status: Status,
        evidence: &mut Evidence,
    ) -> Result<say::Receipt, EvidenceError> {
        let record = &self.record;
        let finished = Timestamp::now();
        Ok(say::Receipt {
            run: self.run_part(ending, status, finished),
            actor: actor(&self.order.actor),
            definition: definition(record, evidence)?,
            host: say::Host {
                id: self.runner.key_id(),
                ops_version: env!("CARGO_PKG_VERSION").into(),
                engine: Sandbox::engine_version().into(),
                deployment: match record.separate_user {
                    true => say::Deployment::SeparateUser,
                    false => say::Deployment::SameUser,
                },
                sandbox: record.confined.map(Confinement::names).unwrap_or_default(),
            },
            grants: grants(record),
            used: used(record),
            invoked: invoked(record),
            denied: denied(record, ending),
            effects: effects(record, evidence)?,
            files: files(record, evidence)?,
            approval: approval(record, self.now),
            outcome: say::Outcome {
                error_code: ending.code.map(str::to_owned),
                message: clip(&ops_policy::visible::lines(&ending.message), 4 * MAX_TEXT),
                stopped: (ending.exit == 4).then(|| ending.code.unwrap_or("stopped").to_owned()),
            },
            usage: say::Usage {
                wall_ms: u64::try_from(finished.duration_since(self.now).as_millis()).unwrap_or(0),
                peak_memory_bytes: record.peak_memory,
                requests: record.used.values().map(|used| used.count).sum(),
                stdout_bytes: record.stdout.total,
                stderr_bytes: record.stderr.total,
            },
            evidence: evidence.records(),
            ledger: say::LedgerPlace { id: self.runner.ledger_id(), intent: record.intent, sequence: 0 },
        })
    }

    fn run_part(&self, ending: &Ending, status: Status, finished: Timestamp) -> say::Run {
        let record = &self.record;
        let safety = record.rights.as_ref().map(|rights| rights.safety);
        say::Run {
            id: self.key.clone(),
            capability: self.name.clone(),
            safety: safety
                .or_else(|| record.capability.as_ref().map(|capability| capability.binding.safety))
                .map(say_safety),
            mode: match safety {
                _ if record.approving => say::Mode::Approve,
                _ if record.resolving => say::Mode::Resolve,
                _ if record.applying
                    || matches!(self.order.what, What::Apply { .. } | What::Resume { .. }) =>
                {
                    say::Mode::Apply
                }
                Some(Safety::ReadOnly) => say::Mode::Read,
                _ if record.dry_run => say::Mode::DryRun,
                _ => say::Mode::Plan,
            },
            started_on: self.now,
            finished_on: finished,
            status: say_status(status),
            exit_code: ending.exit,
            plan: record.plan.as_deref().map(plan_ref),
            planned_by: record.plan.as_ref().filter(|_| record.stored_plan).map(|plan| plan.run.clone()),
            new_plan: record.new_plan.as_ref().map(|(plan, _)| plan_ref(plan)),
            continues: record.continues.clone(),
            called_by: match &self.order.cause {
                Cause::Called { by, .. } => Some(by.clone()),
                Cause::Asked | Cause::Started { .. } => None,
            },
            started_by: match &self.order.cause {
                Cause::Started { by } => Some(by.clone()),
                Cause::Asked | Cause::Called { .. } => None,
            },
        }
    }
}

pub(crate) fn plan_ref(plan: &Plan) -> say::PlanRef {
    say::PlanRef { id: plan.id.clone(), digest: digest(plan.hash()) }
}

pub(crate) fn actor(actor: &Actor) -> say::Actor {
    say::Actor {
        kind: match actor.kind {
            "agent" => say::ActorKind::Agent,
            "ci" => say::ActorKind::Ci,
            _ => say::ActorKind::Human,
        },
        id: text(&actor.id),
        via: if actor.via == "mcp" { say::Via::Mcp } else { say::Via::Cli },
        client: Some(text(&actor.client)),
    }
}

fn definition(record: &Record, evidence: &mut Evidence) -> Result<say::Definition, EvidenceError> {
    let capability = record.capability.as_ref();
    // What a dead run was is told by its plan.
    let plan = record.plan.as_ref().filter(|_| capability.is_none());
    let of_plan = |name: &str, hash: fn(&Plan) -> Digest| {
        plan.map(|plan| say::NamedDigest { name: name.into(), digest: digest(hash(plan)) })
    };
    let input_digest = match &record.input {
        Some(input) => Some(evidence.add_digest("input", input.arguments.as_bytes())?),
        None => None,
    };
    Ok(say::Definition {
        component: capability
            .map(|capability| say::NamedDigest {
                name: capability.binding.component.clone(),
                digest: digest(capability.component_digest),
            })
            .or_else(|| of_plan("component", |plan| plan.component)),
        binding: capability
            .map(|capability| say::NamedDigest {
                name: capability.binding_file.clone(),
                digest: digest(capability.binding_digest),
            })
            .or_else(|| of_plan("binding", |plan| plan.binding)),
        manifest: capability
            .map(|capability| capability.manifest_digest)
            .or_else(|| plan.map(|plan| plan.manifest))
            .map(digest),
        lock: record.lock.map(|(hash, counter, development)| say::LockRef {
            digest: digest(hash),
            counter,
            development,
        }),
        input_digest,
        imports: capability
            .map(|capability| capability.imports.iter().cloned().collect())
            .unwrap_or_default(),
    })
}

fn grants(record: &Record) -> say::Grants {
    let Some(rights) = &record.rights else {
        return say::Grants::default();
    };
    say::Grants {
        services: rights
            .services
            .iter()
            .map(|(name, service)| say::ServiceGrant {
                name: name.clone(),
                origin: service.grant.origin.as_ref().map(ToString::to_string),
                rules: service
                    .grant
                    .rules
                    .iter()
                    .map(|rule| say::RuleGrant {
                        id: rule.id.clone(),
                        method: rule.method.as_str().into(),
                        path: rule.path.to_string(),
                        effect: match rule.effect {
                            RuleEffect::Read => say::RuleEffect::Read,
                            RuleEffect::Mutate => say::RuleEffect::Mutate,
                            RuleEffect::Destroy => say::RuleEffect::Destroy,
                        },
                        for_undo: rule.only_undo,
                    })
                    .collect(),
            })
            .collect(),
        directories: rights
            .directories
            .iter()
            .map(|(name, directory)| say::DirectoryGrant {
                name: name.clone(),
                path: directory.path.clone(),
                access: match directory.access {
                    Access::Read => say::Access::Read,
                    Access::Stage => say::Access::Stage,
                },
            })
            .collect(),
        contracts: rights.contracts.iter().cloned().collect(),
        config: rights.config.keys().cloned().collect(),
        invoke: rights.invoke.iter().cloned().collect(),
        starts: rights.starts.iter().cloned().collect(),
    }
}

fn used(record: &Record) -> Vec<say::Use> {
    record
        .used
        .iter()
        .map(|(key, used)| say::Use {
            service: key.service.clone(),
            rule: key.rule.clone(),
            method: key.method.clone(),
            path: text(&key.path),
            address: key.address.clone(),
            count: used.count,
            bytes_sent: used.sent,
            bytes_received: used.received,
        })
        .collect()
}

fn invoked(record: &Record) -> Vec<say::InvokedRecord> {
    let made = record.invoked.iter().flat_map(|made| made.calls.iter().zip(&made.answers));
    made.map(|(call, answer)| say::InvokedRecord {
        capability: text(&call.capability),
        run: answer.run.clone(),
        output: answer.outcome.is_ok(),
    })
    .collect()
}

/// What was refused while the guest ran, and what ended the run.
fn denied(record: &Record, ending: &Ending) -> Vec<say::Denial> {
    let mut denied: Vec<_> = record
        .denied
        .iter()
        .map(|(what, refused)| say::Denial {
            kind: say::DenialKind::Request,
            what: what.clone(),
            reason: "no grant covers it".into(),
            count: refused.count,
        })
        .collect();
    denied.extend(record.undialled.iter().map(|(what, count)| say::Denial {
        kind: say::DenialKind::Address,
        what: text(what),
        reason: "no listed range holds the address".into(),
        count: *count,
    }));
    if let (4, Some(code)) = (ending.exit, ending.code) {
        let kind = match code {
            "import" => say::DenialKind::Import,
            "approval" | "plan-expired" | "plan-used" => say::DenialKind::Approval,
            "effect" | "effect-denied" | "deviation" => say::DenialKind::Effect,
            "directory" | "stage" | "file-conflict" => say::DenialKind::File,
            code if code.starts_with("limit") => say::DenialKind::Limit,
            code if code.starts_with("lock") => say::DenialKind::Lock,
            _ => say::DenialKind::Run,
        };
        denied.push(say::Denial { kind, what: code.into(), reason: text(&ending.message), count: 1 });
    }
    denied
}

fn effects(record: &Record, evidence: &mut Evidence) -> Result<Vec<say::EffectRecord>, EvidenceError> {
    // A word on another run changes nothing at a service.
    let Some(plan) = record.plan.as_ref().filter(|_| !record.resolving) else { return Ok(Vec::new()) };
    let mut effects = Vec::new();
    for (place, effect) in plan.effects.iter().enumerate() {
        let number = place + 1;
        // The last word on an effect counts: one that was not sent may have been sent by a second try.
        let done = record.effects.iter().rev().find(|(done, _)| *done == number).map(|(_, done)| done);
        let (outcome, status, address) = match done {
            Some(Done::Performed { response, address }) => {
                (say::EffectOutcome::Performed, Some(response.status), address.clone())
            }
            Some(Done::Unknown { address }) => (say::EffectOutcome::Started, None, address.clone()),
            Some(Done::NotSent { .. }) => (say::EffectOutcome::NotSent, None, None),
            None if record.intent.is_some() && record.doubt == Some(number) => {
                (say::EffectOutcome::Started, None, None)
            }
            None if record.applying => (say::EffectOutcome::NotSent, None, None),
            None if effect.unchecked => (say::EffectOutcome::Unchecked, None, None),
            None => (say::EffectOutcome::Planned, None, None),
        };
        let request = serde_json::to_vec(&effect.request).map_err(EvidenceError::Json)?;
        effects.push(say::EffectRecord {
            number: number as u64,
            summary: clip(&visible(&effect.summary), MAX_SUMMARY),
            service: text(&effect.request.service),
            rule: effect.rule.clone(),
            method: text(&effect.request.method),
            path: text(effect.request.path.split('?').next().unwrap_or_default()),
            request_digest: evidence.add_digest(&format!("effect {number}"), &request)?,
            outcome,
            status,
            address,
            undo: undo(&effect.undo),
        });
    }
    Ok(effects)
}

fn undo(undo: &Undo) -> say::UndoRecord {
    let (kind, words) = match undo {
        Undo::Request(request) => {
            (say::UndoKind::Request, format!("{} {} {}", request.service, request.method, request.path))
        }
        Undo::ByHand(how) => (say::UndoKind::ByHand, how.clone()),
        Undo::Impossible(why) => (say::UndoKind::Impossible, why.clone()),
    };
    say::UndoRecord { kind, text: text(&words) }
}

fn files(record: &Record, evidence: &mut Evidence) -> Result<Vec<say::FileRecord>, EvidenceError> {
    let Some(plan) = record.plan.as_ref().filter(|_| !record.resolving) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for file in &plan.files {
        let place = format!("{}/{}", file.directory, file.path);
        let mut salted = |when: &str, digest: Option<Digest>| {
            digest.map(|digest| evidence.add_digest(&format!("{place} {when}"), digest.bytes())).transpose()
        };
        files.push(say::FileRecord {
            directory: file.directory.clone(),
            path: text(&file.path),
            change: match file.change {
                Change::Create => say::FileChange::Create,
                Change::Replace => say::FileChange::Replace,
                Change::Delete => say::FileChange::Delete,
                Change::CreateDirectory => say::FileChange::CreateDirectory,
                Change::DeleteDirectory => say::FileChange::DeleteDirectory,
            },
            before: salted("before", file.before)?,
            after: salted("after", file.after)?,
            outcome: match record.files {
                _ if record.committed.contains(&file.directory) => say::FileOutcome::Committed,
                FileOutcome::Conflict => say::FileOutcome::Conflict,
                FileOutcome::Staged => say::FileOutcome::Staged,
            },
        });
    }
    Ok(files)
}

fn approval(record: &Record, now: Timestamp) -> say::Approval {
    if let Some(resolving) = &record.resolves {
        let approvers = vec![resolving.signer.clone()];
        return say::Approval { required: true, how: say::ApprovalHow::Signed, reason: None, approvers };
    }
    let required = record.plan.as_ref().is_some_and(|plan| plan.approvals > 0);
    let Some(approved) = &record.approved else {
        return say::Approval { required, how: say::ApprovalHow::None, reason: None, approvers: Vec::new() };
    };
    let how = match approved.how {
        "auto" => say::ApprovalHow::Auto,
        "confirmed" => say::ApprovalHow::Confirmed,
        "piped" => say::ApprovalHow::Piped,
        _ => say::ApprovalHow::Signed,
    };
    let approvers = match how {
        say::ApprovalHow::Confirmed => vec![say::Approver {
            principal: crate::user_name(),
            fingerprint: None,
            kind: None,
            touch: false,
            at: now,
        }],
        _ => approved.approvals.iter().map(|approval| approval.approver.clone()).collect(),
    };
    say::Approval { required, how, reason: approved.reason.as_deref().map(text), approvers }
}

fn say_safety(safety: Safety) -> say::Safety {
    match safety {
        Safety::ReadOnly => say::Safety::ReadOnly,
        Safety::Mutating => say::Safety::Mutating,
        Safety::Destructive => say::Safety::Destructive,
    }
}

fn say_status(status: Status) -> say::Status {
    match status {
        Status::Done => say::Status::Done,
        Status::Planned => say::Status::Planned,
        Status::Failed => say::Status::Failed,
        Status::Denied => say::Status::Denied,
        Status::Stale => say::Status::Stale,
        Status::Partial => say::Status::Partial,
        Status::Unknown => say::Status::Unknown,
        Status::Interrupted => say::Status::Interrupted,
    }
}
