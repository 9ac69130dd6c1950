//! What a run has done so far: everything that its receipt will say. Filled by the steps, read by the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ops_egress::secret::Secret;
use ops_policy::digest::Digest;
use ops_policy::message::Input;
use ops_policy::plan::{Plan, PlannedCalls};
use ops_policy::rights::Rights;
use ops_policy::settings::Records;
use ops_sandbox::confine::Confinement;
use ops_sandbox::job::Printed;
use serde_json::Value;

use crate::applying::Done;
use crate::approving::Approved;
use crate::broker::{Phase, Refused, Seen};
use crate::output::Start;
use crate::pinned::Capability;
use crate::resolution::Resolving;
use crate::run::Planned;
use crate::sends::{Sender, UseKey, Used};

/// What became of staged files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// They are where the guest left them.
    #[default]
    Staged,
    /// Somebody else had changed an original.
    Conflict,
}

/// What a run has done so far.
#[derive(Default)]
pub(crate) struct Record {
    /// Digest, counter and development mark of the lock.
    pub(crate) lock: Option<(Digest, u64, bool)>,
    pub(crate) capability: Option<Arc<Capability>>,
    /// Whether everything here belongs to a user of its own, as `ops.yaml` requires it.
    pub(crate) separate_user: bool,
    /// What the content store keeps, as far as `ops.yaml` was read.
    pub(crate) records: Records,
    pub(crate) rights: Option<Rights>,
    pub(crate) input: Option<Input>,
    pub(crate) dry_run: bool,
    /// Whether this is about an approval that was refused, and no run.
    pub(crate) approving: bool,
    /// Whether this is a person's word on another run, and no run.
    pub(crate) resolving: bool,
    /// The plan that this run made or carries out.
    pub(crate) plan: Option<Arc<Plan>>,
    /// Whether another run made it.
    pub(crate) stored_plan: bool,
    /// The seed of a plan that this run made and that is to be kept.
    pub(crate) keep_plan: Option<[u8; 32]>,
    /// The plan for what is left, with its seed.
    pub(crate) new_plan: Option<(Arc<Plan>, [u8; 32])>,
    pub(crate) approved: Option<Approved>,
    pub(crate) intent: Option<u64>,
    /// The run with an unknown outcome that this one goes on with or resolves.
    pub(crate) continues: Option<String>,
    /// How many effects that run has performed.
    pub(crate) before: usize,
    /// The number of the effect of that run which may have been sent, and is safe to send again.
    pub(crate) doubt: Option<usize>,
    /// The run with an unknown outcome that blocks nothing any more after this one's receipt.
    pub(crate) settles: Option<String>,
    /// What a person said of an effect of another run, which this one is about.
    pub(crate) resolves: Option<Resolving>,
    /// Whether the run's own process was gone, and this one only writes its receipt.
    pub(crate) recovery: bool,
    /// The granted contracts.
    pub(crate) contracts: Vec<(String, Vec<u8>)>,
    pub(crate) applying: bool,
    pub(crate) effects: Vec<(usize, Done)>,
    pub(crate) files: FileOutcome,
    pub(crate) committed: BTreeSet<String>,
    pub(crate) output: Option<Value>,
    /// How many bytes of evidence the store had no room for.
    pub(crate) not_kept: Option<u64>,
    pub(crate) stdout: Printed,
    pub(crate) stderr: Printed,
    pub(crate) peak_memory: u64,
    pub(crate) guest_time: Duration,
    /// What the guest was confined by, if it ran.
    pub(crate) confined: Option<Confinement>,
    pub(crate) used: BTreeMap<UseKey, Used>,
    /// The calls of other capabilities, of the phase that made them.
    pub(crate) invoked: Vec<PlannedCalls>,
    /// What the host is to start after the receipt.
    pub(crate) start: Option<Start>,
    pub(crate) denied: BTreeMap<String, Refused>,
    /// Services whose addresses may not be dialled, in words, and how often.
    pub(crate) undialled: BTreeMap<String, u64>,
    pub(crate) secrets: Vec<Secret>,
}

impl Record {
    /// Takes over what was seen and sent in a phase.
    pub(crate) fn phase(&mut self, seen: &Seen, sender: &Sender) {
        for (key, used) in &sender.uses {
            let sum = self.used.entry(key.clone()).or_default();
            sum.count += used.count;
            sum.sent += used.sent;
            sum.received += used.received;
        }
        for (what, refused) in &seen.denied {
            let sum = self.denied.entry(what.clone()).or_default();
            sum.count += refused.count;
            sum.suggestion.clone_from(&refused.suggestion);
        }
        for (what, count) in &sender.undialled {
            *self.undialled.entry(what.clone()).or_default() += count;
        }
        if !seen.invoked.is_empty() {
            self.invoked.clone_from(&seen.invoked);
        }
        self.secrets = sender.outbound.secrets.known();
        if let Phase::Apply(applying) = &seen.phase {
            self.effects.clone_from(&applying.done);
        }
    }

    /// Takes over what the guest printed: the last phase's text, the sum of all bytes.
    pub(crate) fn printed(&mut self, stdout: Printed, stderr: Printed) {
        for (kept, new) in [(&mut self.stdout, stdout), (&mut self.stderr, stderr)] {
            kept.total += new.total;
            kept.kept = new.kept;
        }
    }

    /// Takes over the plan for what is left.
    pub(crate) fn new_plan(&mut self, planned: &Planned) {
        self.new_plan = Some((planned.plan.clone(), planned.seed));
    }
}
