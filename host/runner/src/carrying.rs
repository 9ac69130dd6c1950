//! Steps 5 to 7: intend, apply, commit files. And the other branch: a read-only run, which does none of these.

use std::path::Path;
use std::sync::Arc;

use ops_ledger::failpoint;
use ops_policy::digest::Digest;
use ops_policy::message::Failure;
use ops_policy::plan::Plan;
use ops_sandbox::commit::set::{self, Folder, Set, SetError};
use ops_sandbox::commit::{self, Problem};
use ops_sandbox::stage::FileChange;
use ops_sandbox::tree;

use crate::applying::{Applying, Done};
use crate::approving::Approved;
use crate::broker::Phase;
use crate::ending::{Ending, Status};
use crate::key::random;
use crate::phase::Stage;
use crate::planning::{changes, clock, word};
use crate::record::FileOutcome;
use crate::run::{Decided, Planned, Run};

/// What the apply phase staged, ready to be committed.
pub(crate) struct Staged {
    stage: Stage,
    changes: Vec<(String, FileChange)>,
    folders: Vec<(String, std::path::PathBuf)>,
}

impl Run<'_> {
    /// A read-only run: one phase, nothing to approve.
    pub(crate) async fn execute(&mut self, decided: &Decided) -> Result<Ending, Ending> {
        self.runner.await_receipt();
        let seed = random::<32>().map_err(|error| Ending::stopped("host", error.to_string()))?;
        let stage = self.stage(decided)?;
        let phased = self.guest(decided, Phase::Read, clock(self.now), seed, stage).await?;
        match phased.result(&decided.limits())? {
            Ok(output) => {
                self.take_output(decided, output)?;
                Ok(Ending::done("done"))
            }
            Err(failure) => Err(Ending::of_failure(&failure)),
        }
    }

    /// Step 5: the intent is on record, and the approvals are used up, before anything is changed.
    pub(crate) fn intend(&mut self, planned: &Planned, approved: &Approved) -> Result<(), Ending> {
        if *self.order.cancel.borrow() {
            return Err(Ending::interrupted());
        }
        self.commit_intent(planned, approved)
    }

    /// Step 6: the component runs again, held to the plan.
    pub(crate) async fn apply(
        &mut self,
        decided: &Decided,
        planned: &Planned,
    ) -> Result<Option<Staged>, Ending> {
        if planned.plan.undoes.is_some() {
            return self.take_back(decided, planned).await.map(|()| None);
        }
        match self.apply_phase(decided, planned).await {
            // What was changed before by the run that this one goes on with was not undone by the world's changing.
            Err(ending) if ending.status == Some(Status::Stale) && self.record.before > 0 => {
                let why = ending.message.trim_start_matches("nothing was changed: ");
                Err(Ending::denied("directory", format!("nothing more was changed: {why}")))
            }
            Err(ending) if matches!(ending.status, Some(Status::Stale | Status::Partial)) => {
                Err(self.plan_again(decided, ending).await)
            }
            other => other.map(Some),
        }
    }

    async fn apply_phase(&mut self, decided: &Decided, planned: &Planned) -> Result<Staged, Ending> {
        let plan = &planned.plan;
        self.record.applying = true;
        let stage = self.stage_to_apply(decided, plan)?;
        check_preconditions(decided, plan, &stage)?;
        let applying = self.applying(plan);
        let phased = self.guest(decided, Phase::Apply(applying), plan.clock, planned.seed, stage).await?;
        let Phase::Apply(applying) = &phased.seen.phase else {
            return Err(Ending::stopped("host", "the phase changed"));
        };
        if let Some(number) = applying.lost() {
            self.record.effects.push((number, Done::Unknown { address: None }));
            return Err(Ending::unknown(format!(
                "the host failed while effect {number} was on its way: look at the service to see whether it happened"
            )));
        }
        let result = phased.result(&decided.limits()).map_err(|ending| match ending.status {
            Some(Status::Interrupted) => Ending::partial(format!(
                "interrupted after {}",
                count(applying.performed(), "effect", "effects")
            )),
            _ => ending,
        })?;
        match result {
            Ok(output) => {
                if let Some(ending) = applying.missing() {
                    return Err(ending);
                }
                let performed = applying.performed();
                self.take_output(decided, output).map_err(|ending| after(ending, performed))?;
            }
            // The plan ended here for want of an answer; so does its application.
            Err(Failure::Incomplete { message }) if applying.performed() > 0 => {
                return Err(Ending::partial(message));
            }
            Err(failure) => return Err(after(Ending::of_failure(&failure), applying.performed())),
        }
        let changes = changes(decided, &phased.stage)?;
        if plan.incomplete.is_some() && !changes.is_empty() {
            return Err(Ending::partial(
                "all effects of the plan were carried out; its files need a plan of their own",
            ));
        }
        check_staged(plan, &changes)?;
        let folders =
            decided.grounds.directories.iter().map(|(name, real, _)| (name.clone(), real.clone())).collect();
        Ok(Staged { stage: phased.stage, changes, folders })
    }

    /// The plan, as it is held to the ledger.
    pub(crate) fn applying(&self, plan: &Arc<Plan>) -> Applying {
        Applying::new(
            plan.clone(),
            self.runner.ledger().clone(),
            self.runner.workspace().state().to_path_buf(),
            self.key.clone(),
            self.order.cancel.clone(),
            self.record.before,
            self.record.doubt,
        )
    }

    /// A new plan for what is left. How the run ends does not change; the message says where to go on.
    async fn plan_again(&mut self, decided: &Decided, ending: Ending) -> Ending {
        self.record.output = None;
        match self.make_plan(decided, false).await {
            Ok(planned) if planned.plan.is_empty() => {
                Ending { message: format!("{}\nthere is nothing left to do", ending.message), ..ending }
            }
            Ok(planned) => {
                self.record.new_plan(&planned);
                Ending {
                    message: format!(
                        "{}\na new plan is stored\n  look at it:       ops plan show {id}\n  \
                         approve and run:  ops plan approve {id} --key KEY --apply",
                        ending.message,
                        id = planned.plan.id
                    ),
                    ..ending
                }
            }
            Err(error) => Ending {
                message: format!(
                    "{}\nno plan for what is left could be made: {}\n  take back what was done:  ops runs undo {}",
                    ending.message, error.message, self.key
                ),
                ..ending
            },
        }
    }

    /// Step 7: staged results replace the originals, if these still are what the plan saw. From the moment when this is
    /// recorded it happens, whether this process lives or not.
    pub(crate) fn commit_files(
        &mut self,
        planned: &Planned,
        staged: Option<Staged>,
    ) -> Result<Ending, Ending> {
        let Some(staged) = staged else { return Ok(Ending::done(done(&planned.plan))) };
        let set = staged.set();
        let is_committed =
            || staged.is_committed().map_err(|error| not_replaced(planned, &error.to_string()));
        if self.record.continues.is_some() && is_committed()? {
            self.record.committed.extend(set.folders.into_iter().map(|folder| folder.staged));
            return Ok(Ending::done(done(&planned.plan)));
        }
        for folder in &set.folders {
            commit::check(&folder.target, &folder.changes)
                .map_err(|problem| self.refused(planned, &problem, Some(&folder.staged)))?;
        }
        if !set.folders.is_empty() {
            let stage = &staged.stage.folder;
            set::record(stage, &self.key, &set).map_err(|problem| self.refused(planned, &problem, None))?;
            failpoint::reach("commit-recorded");
            let committed = set::roll_forward(stage).map_err(|error| self.stopped(planned, &set, &error))?;
            failpoint::reach("files-committed");
            let folders = committed.map(|set| set.folders).unwrap_or_default();
            self.record.committed.extend(folders.into_iter().map(|folder| folder.staged));
        }
        Ok(Ending::done(done(&planned.plan)))
    }

    /// The end of a run whose commit was stopped between its record and its end.
    fn stopped(&mut self, planned: &Planned, set: &Set, error: &SetError) -> Ending {
        let (committed, again) = match error {
            SetError::Folder { committed, again, .. } => (committed.as_slice(), *again),
            SetError::Remove { .. } => (&[][..], true),
            SetError::Record { .. } => (&[][..], false),
        };
        let done = set.folders.iter().filter(|folder| committed.contains(&folder.target));
        self.record.committed.extend(done.map(|folder| folder.staged.clone()));
        if again {
            return Ending::unknown(format!("{error}\nthe next start of ops goes on with it"));
        }
        self.conflict(planned, &error.to_string())
    }

    /// The end of a run that could not begin to replace files. A disk that fails is no conflict: nobody has changed a
    /// file, and the run can go on where it stands.
    fn refused(&mut self, planned: &Planned, problem: &Problem, directory: Option<&str>) -> Ending {
        let what = match directory {
            Some(directory) => format!("directory `{directory}`: {problem}"),
            None => problem.to_string(),
        };
        if is_disk(problem) { not_replaced(planned, &what) } else { self.conflict(planned, &what) }
    }

    fn conflict(&mut self, planned: &Planned, what: &str) -> Ending {
        self.record.files = FileOutcome::Conflict;
        Ending::denied("file-conflict", files_stay(planned, what))
    }
}

/// Whether the system refused, and not somebody's write.
fn is_disk(problem: &Problem) -> bool {
    matches!(problem, Problem::Io { .. })
}

/// The end of a run whose disk failed before the first file was replaced.
fn not_replaced(planned: &Planned, why: &str) -> Ending {
    Ending::denied("directory", files_stay(planned, why))
}

fn files_stay(planned: &Planned, why: &str) -> String {
    let after = match planned.plan.effects.len() {
        0 => String::new(),
        effects => format!("; {} of the plan had been performed", count(effects, "effect", "effects")),
    };
    format!("files were not replaced: {why}{after}")
}

impl Staged {
    fn of(&self, directory: &str) -> Vec<FileChange> {
        self.changes.iter().filter(|(name, _)| name == directory).map(|(_, change)| change.clone()).collect()
    }

    /// What is to be committed together.
    fn set(&self) -> Set {
        let folders = self.folders.iter().map(|(name, target)| Folder {
            target: target.clone(),
            staged: name.clone(),
            changes: self.of(name),
        });
        Set { folders: folders.filter(|folder| !folder.changes.is_empty()).collect() }
    }

    /// Whether the originals are as they shall be: the run that this one continues came that far.
    fn is_committed(&self) -> Result<bool, tree::TreeError> {
        let tree = |path: &Path| match tree::scan(path, &tree::Limits::default()) {
            Ok(tree) => Ok(Some(tree.digest())),
            Err(error) if matches!(error.problem, tree::Problem::Io(_)) => Err(error),
            // Something else than files and folders is there: somebody has put it there.
            Err(_) => Ok(None),
        };
        for folder in &self.set().folders {
            let shall = tree(&self.stage.copy(&folder.staged))?;
            if shall.is_none() || tree(&folder.target)? != shall {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Granted folders and contracts must be what the plan saw.
fn check_preconditions(decided: &Decided, plan: &Arc<Plan>, stage: &Stage) -> Result<(), Ending> {
    for (name, tree) in &stage.trees {
        if plan.directories.get(name) != Some(&tree.digest()) {
            return Err(Ending::stale(format!(
                "nothing was changed: the directory `{name}` is not as the plan saw it"
            )));
        }
    }
    for (name, bytes) in &decided.grounds.contracts {
        if plan.contracts.get(name) != Some(&Digest::of(bytes)) {
            return Err(Ending::stale(format!("nothing was changed: the contract `{name}` has changed")));
        }
    }
    Ok(())
}

/// What the guest staged now must be what was approved.
fn check_staged(plan: &Plan, changes: &[(String, FileChange)]) -> Result<(), Ending> {
    let same = plan.files.len() == changes.len()
        && plan.files.iter().zip(changes).all(|(planned, (directory, change))| {
            planned.directory == *directory
                && planned.path == change.path
                && planned.change == word(change.kind)
                && planned.before == change.before
                && planned.after == change.after
        });
    if same {
        return Ok(());
    }
    let other = changes.iter().find(|(directory, change)| {
        !plan.files.iter().any(|planned| {
            planned.directory == *directory && planned.path == change.path && planned.after == change.after
        })
    });
    let what = other.map_or_else(
        || "a planned change is missing".to_owned(),
        |(directory, change)| format!("{directory}/{} differs", ops_policy::visible::visible(&change.path)),
    );
    Err(Ending::denied(
        "deviation",
        format!("no file was replaced: what was staged is not what was approved: {what}"),
    ))
}

/// An end that came after effects. They happened, so there is a receipt whatever the guest calls it.
fn after(ending: Ending, performed: usize) -> Ending {
    if performed == 0 {
        return ending;
    }
    Ending::failed(
        ending.code.unwrap_or("failed"),
        format!("{}\n{} had been performed", ending.message, count(performed, "effect", "effects")),
    )
}

fn done(plan: &Plan) -> String {
    match (plan.effects.len(), plan.files.len()) {
        (effects, _) if plan.undoes.is_some() => format!(
            "done: {} sent and answered; the service may still be working on it, so look there",
            count(effects, "undo", "undos")
        ),
        (effects, 0) => format!("done: {}", count(effects, "effect", "effects")),
        (0, files) => format!("done: {} changed", count(files, "file", "files")),
        (effects, files) => {
            format!(
                "done: {}, {} changed",
                count(effects, "effect", "effects"),
                count(files, "file", "files")
            )
        }
    }
}

/// A number with its noun.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use ops_sandbox::commit::Why;

    use super::*;

    /// Called a conflict, it ended as denied after its effects were performed, and could not go on.
    #[test]
    fn a_disk_that_fails_is_no_conflict() {
        let path = || "commit.json".to_owned();
        assert!(is_disk(&Problem::Io { path: path(), error: Error::other("input/output error") }));
        assert!(!is_disk(&Problem::Conflict { path: path(), why: Why::Changed }));
        assert!(!is_disk(&Problem::Staged { path: path() }));
    }
}
