//! Runs whose process is gone.
//!
//! An intent without a receipt and without a living lock is owed a receipt, and nobody can say more than `unknown`.
//! Whoever opens the ledger next writes it, holding the run's lock, so that it is written once. Before that, staged
//! files whose commit was recorded are brought to their end. What dead runs have left in the staging folder goes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ops_ledger::failpoint;
use ops_ledger::runlock::{self, RunLock};
use ops_ledger::store::{Dangling, EffectProgress, EffectState, RunFilter};
use ops_policy::plan::Plan;
use tokio::sync::watch;

use crate::applying::{Answered, Done};
use crate::approving::Approved;
use crate::ending::Ending;
use crate::record::Record;
use crate::run::{Actor, Cause, Order, Run, Standing, What};
use crate::runner::Runner;
use crate::staging;

/// Runs with an unknown outcome that are looked for in the staging folder.
const MAX_OPEN: u32 = 10_000;
/// A run takes its lock long before its folder is as old as this.
const YOUNG: Duration = Duration::from_secs(60);

impl Runner {
    /// Writes the receipts that dead runs are owed. Returns what people should hear.
    pub(crate) fn recover(&self) -> Vec<String> {
        let mut told = Vec::new();
        match self.ledger().dangling() {
            Ok(dangling) => told.extend(dangling.iter().filter_map(|run| self.recover_run(run))),
            Err(error) => told.push(format!("warning: runs that have died could not be looked for: {error}")),
        }
        if let Err(error) = self.tidy() {
            told.push(format!("warning: what dead runs have left could not be removed: {error}"));
        }
        told
    }

    fn recover_run(&self, dangling: &Dangling) -> Option<String> {
        let run = &dangling.run;
        // Somebody else who recovers it, or the run itself after all.
        let alive = RunLock::hold(self.workspace().state(), run).ok()?;
        if self.ledger().run(run).ok()?.status.is_some() {
            return None;
        }
        failpoint::reach("recovery-begun");
        let plan = dangling.plan.as_ref().and_then(|plan| self.document(plan).ok()).map(Arc::new);
        let effects = self.ledger().effects(run).unwrap_or_default();
        let mut record = Record {
            separate_user: self.is_separate_user(Timestamp::now()),
            plan: plan.clone(),
            stored_plan: plan.as_ref().is_some_and(|plan| plan.run != *run),
            intent: Some(dangling.intent),
            continues: dangling.continues.clone(),
            applying: true,
            recovery: true,
            effects: effects.iter().filter_map(done).collect(),
            ..Record::default()
        };
        let approvals = dangling.plan.as_ref().and_then(|plan| self.ledger().approvals(plan).ok());
        let approvals: Vec<_> = approvals
            .unwrap_or_default()
            .into_iter()
            .filter(|approval| approval.consumed_by.as_ref() == Some(run))
            .collect();
        if !approvals.is_empty() {
            record.approved = Some(Approved { how: "signed", reason: None, approvals });
        }
        let files = staging::roll_forward(self.workspace().state(), run);
        match &files {
            Ok(committed) => record.committed.extend(committed.iter().cloned()),
            Err(_) => record.files = crate::record::FileOutcome::Conflict,
        }
        let ending = ending(run, plan.as_deref(), &effects, files.err());
        let order = Order {
            what: What::Apply { plan: dangling.plan.clone().unwrap_or_default() },
            actor: Actor {
                kind: "human",
                id: crate::user_name(),
                via: "cli",
                client: concat!("ops/", env!("CARGO_PKG_VERSION"), " recovery").to_owned(),
                standing: Standing::Person,
            },
            cause: Cause::Asked,
            reports: Arc::new(|_| {}),
            trace: Arc::new(|_| {}),
            cancel: watch::channel(false).1,
        };
        let report = Run::with(
            self,
            run.clone(),
            dangling.capability.clone(),
            order,
            dangling.at,
            record,
            Some(alive),
        )
        .receipt(ending);
        Some(format!("the process of {run} had died\n{}", report.ending.message))
    }

    /// Removes what runs have staged that are neither alive nor to be resumed.
    fn tidy(&self) -> Result<(), String> {
        let state = self.workspace().state();
        let left = names(&staging::folder(state))?;
        let locks = names(&state.join("runs"))?;
        if left.is_empty() && locks.is_empty() {
            return Ok(());
        }
        let open = self.ledger().runs(&RunFilter { unknown: true, limit: MAX_OPEN });
        let mut open: BTreeSet<_> =
            open.map_err(|error| error.to_string())?.into_iter().map(|run| run.run).collect();
        for run in open.clone() {
            // One that went on with another may have died before it had copies of its own.
            open.extend(self.chain(&run).map_err(|ending| ending.message)?);
        }
        let mut faults = Vec::new();
        for run in left.iter().chain(&locks) {
            let own = [staging::of_run(state, run), state.join("runs").join(run)];
            if is_young(&own) || runlock::is_alive(state, run).unwrap_or(true) {
                continue;
            }
            let Ok(_lock) = RunLock::hold(state, run) else { continue };
            if !open.contains(run) {
                // Given up, or taken over: what it had not committed stays as it is.
                staging::remove(state, run);
            } else if staging::is_recorded(state, run) {
                // A commit that the system stopped, such as a full disk.
                faults.extend(staging::roll_forward(state, run).err());
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// Whether something was made just now, by a run that may be about to take its lock.
fn is_young(paths: &[std::path::PathBuf]) -> bool {
    let young = |path: &std::path::PathBuf| {
        let made = std::fs::symlink_metadata(path).and_then(|about| about.modified()).ok()?;
        Some(made.elapsed().is_ok_and(|age| age < YOUNG))
    };
    paths.iter().filter_map(young).any(|young| young)
}

/// The entries of a folder.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        names.extend(entry.map_err(fail)?.file_name().into_string());
    }
    Ok(names)
}

/// What the ledger knows of an effect.
pub(crate) fn done(effect: &EffectState) -> Option<(usize, Done)> {
    let number = usize::try_from(effect.number).ok()?;
    let done = match (effect.progress, &effect.response) {
        (EffectProgress::Started, _) | (EffectProgress::Performed, None) => Done::Unknown { address: None },
        (EffectProgress::Performed, Some(response)) => {
            let Answered { response, address } = serde_json::from_slice(response).ok()?;
            Done::Performed { response, address }
        }
        (EffectProgress::NotPerformed, _) => {
            Done::NotSent { why: "a person said that it did not happen".into() }
        }
    };
    Some((number, done))
}

fn ending(run: &str, plan: Option<&Plan>, effects: &[EffectState], files: Option<String>) -> Ending {
    let performed = effects.iter().filter(|effect| effect.progress == EffectProgress::Performed).count();
    let planned = plan.map_or(effects.len(), |plan| plan.effects.len());
    let mut message = format!("{performed} of {planned} effects are known to have happened");
    if let Some(why) = files {
        message.push_str(&format!("\nits files were not all replaced: {why}"));
    }
    let in_doubt = effects.iter().find(|effect| effect.progress == EffectProgress::Started);
    match in_doubt {
        Some(effect) => {
            let number = effect.number;
            let summary = plan
                .and_then(|plan| plan.effects.get(usize::try_from(number).ok()?.checked_sub(1)?))
                .map(|effect| format!(", `{}`", ops_policy::visible::visible(&effect.summary)))
                .unwrap_or_default();
            message.push_str(&format!(
                "\neffect {number}{summary}, may have been sent: look at the service, then say which\n  \
                 ops runs resolve {run} --effect {number} performed|not-performed --key KEY\n  \
                 ops cap resume {run}"
            ));
        }
        None => message.push_str(&format!("\nnone is in doubt; go on with it\n  ops cap resume {run}")),
    }
    Ending::unknown(message)
}
