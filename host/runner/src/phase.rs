//! Running the guest once, in one phase, on private copies of its directories.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ops_egress::retry::Budget as Retries;
use ops_ledger::failpoint;
use ops_policy::manifest::Access;
use ops_policy::message::Failure;
use ops_policy::plan::{Clock, Plan};
use ops_sandbox::job::{End, Job, Limits, Mount, Ran};
use ops_sandbox::{stage, tree};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::broker::{Phase, RunBroker, Seen};
use crate::ending::Ending;
use crate::recording::{Ended, Folder, Recorded};
use crate::run::{Decided, Run};
use crate::secrets::Secrets;
use crate::sends::{Outbound, Sender};
use crate::staging;

/// The copies that a guest works on.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    /// What each granted directory held when it was copied, by name.
    pub(crate) trees: BTreeMap<String, tree::Tree>,
    /// The same for the recording.
    pub(crate) recorded: Vec<Folder>,
    /// Removes the copies when dropped. Those of an application go with the run.
    _gone: Option<TempDir>,
}

impl Stage {
    /// Nothing, for a guest without folders, and for a plan without a guest.
    pub(crate) fn none() -> Self {
        Self { folder: PathBuf::new(), trees: BTreeMap::new(), recorded: Vec::new(), _gone: None }
    }

    /// The guest's copy of a directory.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// What one phase left.
pub(crate) struct Phased {
    pub(crate) end: End,
    pub(crate) seen: Seen,
    pub(crate) stage: Stage,
}

impl Run<'_> {
    /// Copies the granted directories and contracts, for a phase that changes nothing.
    pub(crate) fn stage(&mut self, decided: &Decided) -> Result<Stage, Ending> {
        if decided.grounds.directories.is_empty() && decided.grounds.contracts.is_empty() {
            return Ok(Stage::none());
        }
        self.live()?;
        let own = self.own_stage()?;
        let folder = tempfile::Builder::new().prefix("phase-").tempdir_in(own);
        let folder = folder.map_err(|error| Ending::denied("directory", error.to_string()))?;
        let mut stage = self.fill(decided, folder.path().to_path_buf(), &BTreeMap::new())?;
        stage._gone = Some(folder);
        Ok(stage)
    }

    /// The same for an application. What it begins with is kept beside, so that it can be resumed: the run that goes on
    /// with this one begins with that.
    pub(crate) fn stage_to_apply(&mut self, decided: &Decided, plan: &Plan) -> Result<Stage, Ending> {
        let state = self.runner.workspace().state().to_path_buf();
        let own = self.own_stage()?;
        let earlier = self.record.continues.as_deref().map(|run| self.runner.chain(run)).transpose()?;
        let before = staging::before(&state, &self.key);
        let mut sources = BTreeMap::new();
        for (name, real, _) in &decided.grounds.directories {
            make_folder(&before)?;
            // One of them may have died while it copied; the original was untouched then.
            let is_whole = |kept: &PathBuf| {
                tree::scan(kept, &tree::Limits::default())
                    .is_ok_and(|tree| plan.directories.get(name) == Some(&tree.digest()))
            };
            let kept = earlier.iter().flatten().map(|run| staging::before(&state, run).join(name));
            let from = kept.filter(|kept| kept.is_dir()).find(is_whole).unwrap_or_else(|| real.clone());
            let to = before.join(name);
            stage::copy(&from, &to, &tree::Limits::default())
                .map_err(|error| Ending::denied("directory", format!("directory `{name}`: {error}")))?;
            sources.insert(name.clone(), to);
        }
        if !sources.is_empty() {
            staging::sync(&own).map_err(|error| Ending::denied("directory", error.to_string()))?;
        }
        let folder = staging::apply(&state, &self.key);
        make_folder(&folder)?;
        self.fill(decided, folder, &sources)
    }

    /// This run's folder for copies.
    fn own_stage(&self) -> Result<PathBuf, Ending> {
        let own = staging::of_run(self.runner.workspace().state(), &self.key);
        make_folder(&own)?;
        Ok(own)
    }

    /// Copies directories, from `sources` where that names one, and contracts into a folder.
    fn fill(
        &mut self,
        decided: &Decided,
        folder: PathBuf,
        sources: &BTreeMap<String, PathBuf>,
    ) -> Result<Stage, Ending> {
        let (mut trees, mut recorded) = (BTreeMap::new(), Vec::new());
        for (name, real, access) in &decided.grounds.directories {
            let copy = folder.join(name);
            let copied = stage::copy(sources.get(name).unwrap_or(real), &copy, &tree::Limits::default())
                .map_err(|error| Ending::denied("directory", format!("directory `{name}`: {error}")))?;
            recorded.push(self.recorder.folder(name, *access == Access::Stage, &copy, &copied));
            trees.insert(name.clone(), copied);
        }
        if !decided.grounds.contracts.is_empty() {
            stage::contract_copy(&decided.grounds.contracts, &folder.join("contracts"))
                .map_err(|error| Ending::denied("directory", error.to_string()))?;
        }
        failpoint::reach("staged");
        Ok(Stage { folder, trees, recorded, _gone: None })
    }

    /// Runs the guest. What it printed and used goes into the record; how it ended comes back.
    pub(crate) async fn guest(
        &mut self,
        decided: &Decided,
        phase: Phase,
        clock: Clock,
        seed: [u8; 32],
        stage: Stage,
    ) -> Result<Phased, Ending> {
        let limits = decided.limits();
        let outbound = self.outbound.take().unwrap_or_else(|| self.new_outbound(decided));
        let sender =
            Sender::new(outbound, decided.rights.clone(), limits, phase.audited(), self.order.cancel.clone());
        let word = phase.audited().word().to_owned();
        let tape = std::mem::take(&mut self.tape);
        let rights = decided.rights.clone();
        let broker = RunBroker::new(rights, sender, self.caller(), phase, tape, self.order.reports.clone());
        let broker = Arc::new(Mutex::new(broker));
        let job = Job {
            input: decided.input.clone(),
            links: decided.grounds.links,
            clock_seconds: clock.seconds,
            clock_nanoseconds: clock.nanoseconds,
            seed,
            mounts: mounts(decided, &stage),
            limits: Limits { memory: limits.memory, time: limits.time, output: limits.output },
            binding: decided.resolved.capability.binding_digest,
            needs_landlock: decided.resolved.pinned.settings.require.landlock,
            cancel: self.order.cancel.clone(),
        };
        let ran = self.runner.workers().run(&decided.resolved.ready.component, job, broker.clone()).await;
        let broker = Arc::into_inner(broker)
            .ok_or_else(|| Ending::stopped("host", "the sandbox kept the broker"))?
            .into_inner();
        let Ran { end, stdout, stderr, peak_memory, elapsed, confined } = ran;
        self.record.printed(stdout, stderr);
        self.record.peak_memory = self.record.peak_memory.max(peak_memory);
        self.record.guest_time += elapsed;
        self.record.confined = confined.or(self.record.confined);
        failpoint::reach("guest-ended");
        let (mut seen, sender) = broker.into_parts();
        self.record.phase(&seen, &sender);
        let entries = self.recorder.entries(std::mem::take(&mut seen.journal));
        let links = decided.grounds.links;
        self.recorder.phase(Recorded {
            phase: word,
            clock,
            seed: hex::encode(seed),
            links: [links.fetch, links.effects, links.http],
            invoke: links.invoke,
            limits: [
                limits.memory,
                limits.output,
                u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
            ],
            folders: stage.recorded.clone(),
            entries,
            end: Ended::of(&end, seen.ending.as_ref().map(|ending| ending.code.unwrap_or("ended"))),
        });
        self.outbound = Some(sender.outbound);
        Ok(Phased { end, seen, stage })
    }

    /// What all phases of this run send with.
    pub(crate) fn new_outbound(&self, decided: &Decided) -> Outbound {
        let runner = self.runner;
        let settings = Arc::new(decided.resolved.pinned.settings.clone());
        let root = runner.workspace().root().to_path_buf();
        let authority = decided.grounds.infisical.clone();
        Outbound {
            egress: runner.egress(),
            own: runner.own_answers(),
            authorities: decided.grounds.authorities.clone(),
            secrets: Secrets::new(
                runner.egress(),
                settings,
                root,
                authority,
                self.veil.clone(),
                self.trail.clone(),
            ),
            veil: self.veil.clone(),
            retries: Retries::default(),
            trail: self.trail.clone(),
        }
    }
}

fn make_folder(path: &std::path::Path) -> Result<(), Ending> {
    crate::workspace::private_folder(path).map_err(|error| Ending::denied("directory", error.to_string()))
}

/// What the guest sees: each directory under its name, contracts under `/contracts`.
fn mounts(decided: &Decided, stage: &Stage) -> Vec<Mount> {
    let mut mounts: Vec<_> = decided
        .grounds
        .directories
        .iter()
        .map(|(name, _, access)| Mount {
            guest: format!("/{name}"),
            host: stage.copy(name),
            writable: *access == Access::Stage,
        })
        .collect();
    if !decided.grounds.contracts.is_empty() {
        mounts.push(Mount { guest: "/contracts".into(), host: stage.copy("contracts"), writable: false });
    }
    mounts
}

impl Phased {
    /// The guest's output, or its failure, or the end of the run where the host stopped it.
    pub(crate) fn result(
        &self,
        limits: &ops_policy::limits::Limits,
    ) -> Result<Result<String, Failure>, Ending> {
        if let Some(ending) = &self.seen.ending {
            return Err(ending.clone());
        }
        match &self.end {
            End::Output(output) => Ok(Ok(output.clone())),
            End::Failed(failure) => Ok(Err(failure.clone())),
            End::Stopped => Err(Ending::stopped("host", "the run was stopped")),
            End::Cancelled => Err(Ending::interrupted()),
            End::OutOfTime => Err(Ending::stopped(
                "limit-time",
                format!("stopped after {}, the binding's limits.time", seconds(limits.time)),
            )),
            End::OutOfMemory => Err(Ending::stopped(
                "limit-memory",
                format!(
                    "stopped: it asked for more than {} MiB, the binding's limits.memory",
                    limits.memory >> 20
                ),
            )),
            End::OutputTooLong => Err(Ending::stopped(
                "limit-output",
                format!(
                    "stopped: its output is longer than {} KiB, the binding's limits.output",
                    limits.output >> 10
                ),
            )),
            End::NotStarted(why) => {
                Err(Ending::denied("sandbox", format!("the capability was not started: {why}")))
            }
            End::Trapped(why) => Err(Ending::stopped("trap", format!("the capability crashed: {why}"))),
            End::Unconfined(why) => {
                Err(Ending::denied("confinement", format!("the capability was not started: {why}")))
            }
            End::Lost(why) => Err(Ending::stopped("guest-lost", format!("the capability was lost: {why}"))),
            End::HostPanicked(place) => Err(Ending::stopped(
                "host-panic",
                format!("the host failed while it served the capability ({place}); please report this"),
            )),
        }
    }
}

/// A duration as people write it.
pub(crate) fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}
