//! Step 3: what the run would change.
//!
//! The guest runs once with reads answered for real, effects captured and files staged. What it asked for, and
//! everything that this rests on, becomes the plan. A stored plan that is to be carried out is taken as it is.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use ops_egress::scrub::Scrubber;
use ops_ledger::store::LedgerError;
use ops_policy::approval::Mode;
use ops_policy::digest::Digest;
use ops_policy::manifest::{Access, Safety};
use ops_policy::message::Failure;
use ops_policy::plan::{Change, Clock, Plan, PlannedFile, VERSION};
use ops_sandbox::stage::{self, ChangeKind, FileChange};
use ops_sandbox::tree;

use crate::broker::{Phase, Seen};
use crate::ending::Ending;
use crate::key::{plan_id, random};
use crate::phase::Stage;
use crate::plans::input_digest;
use crate::run::{Decided, Planned, Run, Wanted};
use crate::sends::Outbound;
use crate::statement::digest;

/// The longest file content that a plan shows, in bytes.
const MAX_TEXT: u64 = 64 * 1024;

impl Run<'_> {
    pub(crate) async fn plan(&mut self, decided: &Decided) -> Result<Planned, Ending> {
        match &decided.resolved.wanted {
            Wanted::Apply { plan, seed } => Ok(Planned { plan: plan.clone(), seed: *seed }),
            Wanted::Undo(undone) => {
                self.check_unblocked(decided)?;
                let planned = self.plan_undo(decided, undone)?;
                self.check_secrets(decided, &planned.plan).await?;
                self.record.plan = Some(planned.plan.clone());
                Ok(planned)
            }
            Wanted::Call(arguments) => {
                if !arguments.dry_run {
                    self.check_unblocked(decided)?;
                }
                let planned = self.make_plan(decided, arguments.dry_run).await?;
                self.record.plan = Some(planned.plan.clone());
                Ok(planned)
            }
        }
    }

    /// A run with the same input that is under way, or that ended nobody knows how, could do the same thing twice.
    fn check_unblocked(&self, decided: &Decided) -> Result<(), Ending> {
        match self.runner.ledger().blocked_by(&self.name, &digest(input_digest(&decided.input)))? {
            None => Ok(()),
            Some(run) => Err(LedgerError::Blocked { run }.into()),
        }
    }

    /// Runs the plan phase and puts its plan together.
    pub(crate) async fn make_plan(&mut self, decided: &Decided, dry_run: bool) -> Result<Planned, Ending> {
        let seed = random::<32>().map_err(|error| Ending::stopped("host", error.to_string()))?;
        let clock = clock(self.now);
        let stage = self.stage(decided)?;
        let phased = self.guest(decided, Phase::Plan { dry_run }, clock, seed, stage).await?;
        let incomplete = match phased.result(&decided.limits())? {
            Ok(output) => {
                self.take_output(decided, output)?;
                None
            }
            Err(Failure::Incomplete { message }) if !phased.seen.captured.is_empty() => Some(message),
            Err(failure) => return Err(Ending::of_failure(&failure)),
        };
        // Files depend on reads only. Where the plan is not whole, what was staged is not whole either.
        let files = if incomplete.is_some() { Vec::new() } else { files(decided, &phased.stage)? };
        let plan = self.compose(
            decided,
            phased.seen,
            files,
            &phased.stage,
            Draft { seed, clock, incomplete, dry_run, undoes: None },
        )?;
        self.check_secrets(decided, &plan).await?;
        Ok(Planned { plan: Arc::new(plan), seed })
    }

    /// A plan is shown, stored and sent to approvers, so no value of a secret may be in it, wherever it came from:
    /// those that the run has used, and those that its effects would be sent with.
    async fn check_secrets(&mut self, decided: &Decided, plan: &Plan) -> Result<(), Ending> {
        let mut outbound = self.outbound.take().unwrap_or_else(|| self.new_outbound(decided));
        let checked = self.find_secrets(decided, plan, &mut outbound).await;
        self.outbound = Some(outbound);
        checked
    }

    async fn find_secrets(
        &mut self,
        decided: &Decided,
        plan: &Plan,
        outbound: &mut Outbound,
    ) -> Result<(), Ending> {
        let deadline = Instant::now() + decided.limits().time;
        for effect in &plan.effects {
            let service = decided.rights.services.get(&effect.request.service).map(|service| &service.grant);
            let (Some(service), Some(rule)) = (service, &effect.rule) else { continue };
            for name in service.secrets_with(rule) {
                // One that cannot be had now is told of when the effect is to be sent.
                let _ = outbound.secrets.get(name, deadline).await;
            }
        }
        self.record.secrets = outbound.secrets.known();
        let text = serde_json::to_string(plan).map_err(|error| Ending::stopped("host", error.to_string()))?;
        let bodies: Vec<_> =
            plan.effects.iter().filter_map(|effect| effect.request.body.as_deref()).collect();
        for secret in &self.record.secrets {
            let scrubber = Scrubber::new([secret]);
            let holds = |bytes: &[u8]| scrubber.bytes(bytes) != bytes;
            if holds(text.as_bytes()) || bodies.iter().any(|body| holds(body)) {
                return Err(Ending::stopped(
                    "secret",
                    format!(
                        "stopped: the plan would hold the value of the secret `{}`; it belongs in ops.yaml under \
                         `secrets:` only, not in the config, the arguments or a file",
                        secret.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Puts a plan together.
    pub(crate) fn compose(
        &self,
        decided: &Decided,
        seen: Seen,
        files: Vec<PlannedFile>,
        stage: &Stage,
        draft: Draft,
    ) -> Result<Plan, Ending> {
        let capability = &decided.resolved.capability;
        let settings = &decided.resolved.pinned.settings.approvals;
        let host = |error: &dyn std::fmt::Display| Ending::stopped("host", error.to_string());
        let lifetime = SignedDuration::try_from(settings.plan).map_err(|error| host(&error))?;
        let expires = self.now.checked_add(lifetime).map_err(|error| host(&error))?;
        let approvals = match (&capability.binding.approval.mode, decided.rights.safety) {
            (Mode::Auto, _) if draft.undoes.is_none() => 0,
            (_, Safety::Destructive) => {
                capability.binding.approval.approvals.max(settings.destructive).max(1)
            }
            _ => capability.binding.approval.approvals,
        };
        Ok(Plan {
            version: VERSION,
            id: plan_id().map_err(|error| host(&error))?,
            ledger: self.runner.ledger_id(),
            run: self.key.clone(),
            requester: self.order.actor.id.clone(),
            asked_as: self.order.actor.standing.asked_as(),
            capability: self.name.clone(),
            safety: decided.rights.safety,
            lock: decided.resolved.pinned.lock.digest,
            component: capability.component_digest,
            binding: capability.binding_digest,
            manifest: capability.manifest_digest,
            host: self.runner.host(),
            input: decided.input.clone(),
            clock: draft.clock,
            seed: Digest::of(&draft.seed),
            nonce: hex::encode(random::<16>().map_err(|error| host(&error))?),
            created: whole_seconds(self.now),
            expires: whole_seconds(expires),
            approvals: approvals.into(),
            dry_run: draft.dry_run,
            undoes: draft.undoes,
            incomplete: draft.incomplete,
            effects: seen.captured,
            files,
            reads: seen.reads,
            invoked: seen.invoked,
            directories: stage.trees.iter().map(|(name, tree)| (name.clone(), tree.digest())).collect(),
            contracts: decided
                .grounds
                .contracts
                .iter()
                .map(|(name, bytes)| (name.clone(), Digest::of(bytes)))
                .collect(),
        })
    }
}

/// What a plan phase was run with.
pub(crate) struct Draft {
    pub(crate) seed: [u8; 32],
    pub(crate) clock: Clock,
    pub(crate) incomplete: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) undoes: Option<String>,
}

/// A time for people and for comparisons of expiry, where a fraction of a second says nothing.
fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The frozen clock of a run that begins now.
pub(crate) fn clock(now: Timestamp) -> Clock {
    Clock {
        seconds: u64::try_from(now.as_second()).unwrap_or(0),
        nanoseconds: u32::try_from(now.subsec_nanosecond()).unwrap_or(0),
    }
}

/// What the guest staged, in all its directories.
pub(crate) fn changes(decided: &Decided, stage: &Stage) -> Result<Vec<(String, FileChange)>, Ending> {
    let mut all = Vec::new();
    for (name, _, access) in &decided.grounds.directories {
        if *access != Access::Stage {
            continue;
        }
        let Some(before) = stage.trees.get(name) else { continue };
        let changes = stage::changes(before, &stage.copy(name), &tree::Limits::default())
            // The folder that was walked through is the guest's copy, which is gone when this is read.
            .map_err(|error| {
                let (path, problem) = (error.path, error.problem);
                Ending::stopped(
                    "stage",
                    format!("directory `{name}`: `{path}`, as the capability left it: {problem}"),
                )
            })?;
        all.extend(changes.into_iter().map(|change| (name.clone(), change)));
    }
    Ok(all)
}

/// The planned files, with the texts that the approver reads.
fn files(decided: &Decided, stage: &Stage) -> Result<Vec<PlannedFile>, Ending> {
    let mut files = Vec::new();
    for (directory, change) in changes(decided, stage)? {
        let original = decided.grounds.directories.iter().find(|(name, ..)| *name == directory);
        files.push(PlannedFile {
            before_text: original
                .filter(|_| change.before.is_some())
                .and_then(|(_, real, _)| text(&real.join(&change.path), change.before)),
            after_text: text(&stage.copy(&directory).join(&change.path), change.after),
            change: word(change.kind),
            path: change.path,
            before: change.before,
            after: change.after,
            size: change.size,
            directory,
        });
    }
    Ok(files)
}

/// A file's text, where it is short, is text, and has the content that the plan names.
fn text(path: &std::path::Path, digest: Option<Digest>) -> Option<String> {
    let digest = digest?;
    let about = std::fs::symlink_metadata(path).ok()?;
    if !about.is_file() || about.len() > MAX_TEXT {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    if Digest::of(&bytes) != digest {
        return None;
    }
    String::from_utf8(bytes).ok()
}

/// A change in the plan's words.
pub(crate) fn word(kind: ChangeKind) -> Change {
    match kind {
        ChangeKind::Create => Change::Create,
        ChangeKind::Replace => Change::Replace,
        ChangeKind::Delete => Change::Delete,
        ChangeKind::CreateDirectory => Change::CreateDirectory,
        ChangeKind::DeleteDirectory => Change::DeleteDirectory,
    }
}
