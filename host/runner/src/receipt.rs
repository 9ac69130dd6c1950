//! Step 8: sign what happened, commit it, write it out for people, and answer the caller.
//!
//! Bodies are kept before the commit, or in its transaction, so that a receipt never names evidence that was not kept.
//! Nothing of a secret that the run used is in any of them. If the ledger fails here after an effect, nobody knows
//! what it says of the run, and the caller is told so.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ops_egress::scrub::Scrubber;
use ops_ledger::digest::Digest;
use ops_ledger::evidence::{Evidence, Place};
use ops_ledger::receipt::Receipt;
use ops_ledger::statement::Statement;
use ops_ledger::store::{Bodies, Durability, MOST_SMALL, NewReceipt, SoftReceipt};
use ops_ledger::{content, failpoint};
use ops_policy::binding;
use ops_policy::manifest::Safety;
use ops_policy::plan::Plan;
use serde_json::{Value, json};

use crate::applying::Done;
use crate::broker::Refused;
use crate::ending::{Ending, Status};
use crate::output::{CHECK, Start};
use crate::recording::{self, Recording, Written};
use crate::resolution::Resolving;
use crate::run::Run;
use crate::sends::UseKey;
use crate::staging;
use crate::target::Target;

/// What a caller gets.
#[derive(Clone, Debug)]
pub struct Report {
    /// The capability.
    pub capability: String,
    /// The run key; None where nothing was about to run.
    pub key: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// The capability's output, where the run is done or a check that it made failed: before that, what it says is
    /// not so.
    pub output: Option<Value>,
    /// The plan that this run made, for the caller to see.
    pub plan: Option<Arc<Plan>>,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// What the host is to start now, where the run asked for that.
    pub(crate) start: Option<Start>,
    /// The target that the run had for itself, until what it asked to be started has its receipt too: whoever waits for it
    /// then sees both.
    pub(crate) held: Option<Arc<Target>>,
    /// What became of that.
    pub started: Option<Box<Report>>,
    /// What was refused to the guest while it ran, in words. A guest may keep it to itself.
    pub denied: Vec<(String, Refused)>,
    /// Where the receipt was written out; none where that is done later.
    pub receipt: Option<PathBuf>,
    /// Why it could not be written out, where it could not. The ledger has it all the same.
    pub export_fault: Option<String>,
    /// How many bytes of evidence were not kept, where the store of `ops.yaml` had no room for them.
    pub not_kept: Option<u64>,
}

impl Report {
    /// Wrong usage: nothing ran, and there is no receipt.
    pub(crate) fn usage(capability: String, ending: Ending) -> Self {
        Self {
            capability,
            key: None,
            ending,
            output: None,
            plan: None,
            dry_run: false,
            start: None,
            held: None,
            started: None,
            denied: Vec::new(),
            receipt: None,
            export_fault: None,
            not_kept: None,
        }
    }
}

/// Codes of endings that are the host's own trouble: a disk, a secret, a folder. Neither the guest nor a rule stopped it.
const HOST_FAULTS: [Option<&str>; 9] = [
    Some("audit"),
    Some("directory"),
    Some("guest-lost"),
    Some("host"),
    Some("host-panic"),
    Some("journal"),
    Some("ledger"),
    Some("sandbox"),
    Some("secret"),
];

/// A body that is kept as evidence.
struct Body {
    name: &'static str,
    media_type: &'static str,
    bytes: Vec<u8>,
    place: Place,
}

/// The blobs of a recording by their file names.
type Blobs = BTreeMap<String, Vec<u8>>;

impl Body {
    fn new(name: &'static str, media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, media_type, bytes, place: Place::Exported }
    }
}

impl Run<'_> {
    pub(crate) fn receipt(mut self, ending: Ending) -> Report {
        let scrubber = Scrubber::new(&self.record.secrets);
        let ending = self.owed(Ending { message: scrubber.text(&ending.message), ..ending });
        let Some(status) = ending.status else {
            staging::remove(self.runner.workspace().state(), &self.key);
            return Report::usage(self.name, ending);
        };
        self.scrub(&scrubber);
        if ending.code == Some("audit") {
            // A plan that rests on requests which are on no record does not wait for anybody.
            self.record.keep_plan = None;
        }
        // An effect that was refused is on record already.
        if ending.exit == 4 && ending.code != Some("effect-denied") {
            self.trail.ended(&ending);
        }
        let committed = self.keep_plans().and_then(|()| self.commit(&ending, status, &scrubber));
        let (ending, receipt, export_fault) = match committed {
            Err(fault) => (self.no_receipt(&ending, &fault), None, None),
            Ok(written) => match written {
                Ok(folder) => (ending, folder, None),
                Err(fault) => (ending, None, Some(fault)),
            },
        };
        // Without the lock nothing was staged.
        if self.alive.is_some() && ending.status != Some(Status::Unknown) {
            staging::remove(self.runner.workspace().state(), &self.key);
        }
        let checked = ending.code == Some(CHECK);
        let plan = match &self.record.new_plan {
            Some((plan, _)) => Some(plan.clone()),
            None => self.record.plan.clone().filter(|_| !self.record.stored_plan),
        };
        Report {
            capability: self.name,
            key: Some(self.key),
            ending,
            output: self.record.output.filter(|_| status == Status::Done || checked),
            plan,
            dry_run: self.record.dry_run,
            start: self.record.start.filter(|_| status == Status::Done),
            held: self.target.map(Arc::new),
            started: None,
            denied: self.record.denied.into_iter().collect(),
            receipt,
            export_fault,
            not_kept: self.record.not_kept,
        }
    }

    /// Wrong usage leaves no receipt; but once there is an intent, or a service was asked for something, the ledger is
    /// owed one whatever the guest calls it. And what is not in the audit log is not done.
    /// A doubt that this run has taken over is not settled by its end.
    fn owed(&self, ending: Ending) -> Ending {
        let record = &self.record;
        let asked = !(record.used.is_empty() && record.denied.is_empty() && record.undialled.is_empty());
        let ending = match self.trail.fault() {
            _ if ending.status.is_none() && (record.intent.is_some() || asked) => {
                Ending::failed("invalid-input", ending.message)
            }
            Some(fault) if ending.code.is_none() && record.intent.is_some() => {
                Ending::denied("audit", format!("{fault}\nbefore that: {}", ending.message))
            }
            Some(fault) if ending.code.is_none() => Ending::denied("audit", fault),
            _ => ending,
        };
        let is_known = |number| {
            record.effects.iter().any(|(done, how)| *done == number && matches!(how, Done::Performed { .. }))
        };
        if let Some(number) = record.doubt.filter(|number| record.intent.is_some() && !is_known(*number))
            && ending.status != Some(Status::Unknown)
        {
            return Ending::unknown(format!(
                "{}\neffect {number} may have been sent before that, and nobody knows whether it happened:  ops runs show {}",
                ending.message, self.key
            ));
        }
        let changed = !record.committed.is_empty()
            || record.effects.iter().any(|(_, done)| matches!(done, Done::Performed { .. }));
        if record.intent.is_some() && changed && ending.exit == 4 && HOST_FAULTS.contains(&ending.code) {
            // What stopped it is neither the guest nor a rule, so the run can go on where it stands.
            return Ending::unknown(format!(
                "{}\nwhat was done before that is done; go on with it:  ops cap resume {}",
                ending.message, self.key
            ));
        }
        ending
    }

    /// Takes every secret that the run used out of everything that it leaves.
    fn scrub(&mut self, scrubber: &Scrubber) {
        if self.record.secrets.is_empty() {
            return;
        }
        let record = &mut self.record;
        record.stdout.kept = scrubber.bytes(&record.stdout.kept);
        record.stderr.kept = scrubber.bytes(&record.stderr.kept);
        record.denied = std::mem::take(&mut record.denied)
            .into_iter()
            .map(|(what, Refused { count, suggestion })| {
                let suggestion = suggestion.map(|lines| scrubber.text(&lines));
                (scrubber.text(&what), Refused { count, suggestion })
            })
            .collect();
        record.used = std::mem::take(&mut record.used)
            .into_iter()
            .map(|(key, used)| (UseKey { path: scrubber.text(&key.path), ..key }, used))
            .collect();
        if let Some(output) = &record.output {
            let clean = scrubber.text(&output.to_string());
            record.output = Some(serde_json::from_str(&clean).unwrap_or(Value::String(clean)));
        }
    }

    /// Stores the plans that are to wait. The receipt's commit makes them durable.
    fn keep_plans(&self) -> Result<(), String> {
        let waiting = match (&self.record.plan, &self.record.keep_plan, self.record.intent) {
            (Some(plan), Some(seed), None) => Some((plan, seed)),
            _ => None,
        };
        let new = self.record.new_plan.as_ref().map(|(plan, seed)| (plan, seed));
        for (plan, seed) in waiting.into_iter().chain(new).filter(|(plan, _)| !self.is_stored(plan)) {
            self.store_plan(plan, seed).map_err(|ending| ending.message)?;
        }
        Ok(())
    }

    /// Signs and commits. The inner result is about the copy for people.
    fn commit(
        &mut self,
        ending: &Ending,
        status: Status,
        scrubber: &Scrubber,
    ) -> Result<Result<Option<PathBuf>, String>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let safety = self.record.rights.as_ref().map(|rights| rights.safety);
        let durable = safety != Some(Safety::ReadOnly) || self.record.recovery;
        let mut evidence = Evidence::new(&self.key);
        let (bodies, blobs) = self.keeping(status, scrubber)?;
        for body in &bodies {
            evidence
                .add_file(body.name, body.media_type, &body.bytes, body.place)
                .map_err(|error| text(&error))?;
        }
        let receipt = self.statement(ending, status, &mut evidence).map_err(|error| text(&error))?;
        let index = evidence.to_bytes().map_err(|error| text(&error))?;
        let stored = bodies.iter().filter(|body| body.place != Place::Nowhere);
        let stored = stored
            .map(|body| (body.name, body.bytes.as_slice()))
            .chain([("evidence.json", index.as_slice())]);
        let blobs = blobs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let kept: Vec<_> = blobs.chain(stored).collect();
        let digest = Digest::of(&index);
        if durable {
            self.commit_durable(receipt, &digest, &kept)?;
        } else {
            self.commit_soft(receipt, digest, &kept)?;
        }
        failpoint::reach("receipt-committed");
        // Whoever changed something has waited for the disk already.
        let exported =
            if durable { self.runner.export(&self.key).map(Some) } else { self.runner.write_out(&self.key) };
        failpoint::reach("exported");
        Ok(exported)
    }

    /// The receipt of a run that planned or changed something, or of a dead one. Its bodies are files.
    fn commit_durable(
        &mut self,
        mut receipt: Receipt,
        evidence: &Digest,
        kept: &[(&str, &[u8])],
    ) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        // Files without a receipt are taken for those of a dead run.
        self.live().map_err(|ending| ending.message)?;
        let state = self.runner.workspace().state();
        for (name, bytes) in kept {
            // Blobs are named after their contents; a dead run may have left half of anything.
            let put = if name.starts_with("blob-") {
                content::keep
            } else if self.record.recovery {
                content::put_over
            } else {
                content::put
            };
            put(state, &self.key, name, bytes, true).map_err(|error| text(&error))?;
        }
        // Long bodies of the journal lie there already.
        let size = content::size(state, &self.key).map_err(|error| text(&error))?;
        failpoint::reach("before-receipt");
        let new = NewReceipt {
            recovery: self.record.recovery,
            resolves: self.record.resolves.as_ref().and_then(Resolving::of),
            settles: self.record.settles.as_deref(),
            kept: size,
            ..NewReceipt::new(&self.key, &self.name, receipt.run.status)
        };
        let sign = |sequence| {
            receipt.ledger.sequence = sequence;
            Statement::receipt(evidence, receipt).sign(self.runner.key())
        };
        let ledger = self.runner.ledger();
        ledger.commit_receipt(&new, Durability::Durable, sign).map_err(|error| text(&error))?;
        Ok(())
    }

    /// The receipt of a read-only run: one transaction, and nothing else on disk where its bodies are few.
    fn commit_soft(
        &mut self,
        receipt: Receipt,
        evidence: Digest,
        kept: &[(&str, &[u8])],
    ) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut soft = SoftReceipt { receipt, evidence, bodies: Bodies::default(), files: 0 };
        let small = kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= MOST_SMALL;
        if !small {
            self.live().map_err(|ending| ending.message)?;
        }
        for (name, bytes) in kept {
            if small {
                soft.bodies.add(name, bytes).map_err(|error| text(&error))?;
            } else {
                content::put(self.runner.workspace().state(), &self.key, name, bytes, false)
                    .map_err(|error| text(&error))?;
                soft.files += bytes.len() as u64;
            }
        }
        failpoint::reach("before-receipt");
        self.runner.ledger().commit_soft(soft, self.runner.key()).map_err(|error| text(&error))?;
        Ok(())
    }

    /// What the run leaves as evidence, and the blobs of its recording. Where the binding wants digests only, or the
    /// store has no room, no body is kept.
    fn keeping(&mut self, status: Status, scrubber: &Scrubber) -> Result<(Vec<Body>, Blobs), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut bodies = self.bodies().map_err(|error| text(&error))?;
        let mut blobs = BTreeMap::new();
        if let Some(written) = self.recording(scrubber).map_err(|error| text(&error))? {
            blobs = written.blobs;
            let (name, media_type) = (recording::NAME, "application/json");
            bodies.push(Body { name, media_type, bytes: written.document, place: Place::Host });
        }
        let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let needed = bodies.iter().map(|body| length(body.bytes.len()));
        let needed = needed.chain(blobs.values().map(|bytes| length(bytes.len()))).sum();
        if self.keeps_bodies() {
            if self.runner.make_room(self.record.records, needed)? {
                return Ok((bodies, blobs));
            }
            self.record.not_kept = Some(needed);
        }
        for body in &mut bodies {
            body.place = Place::Nowhere;
        }
        // The journal's long bodies stay while somebody may go on with the run.
        if status != Status::Unknown {
            let state = self.runner.workspace().state();
            content::erase(state, &self.key).map_err(|error| text(&error))?;
        }
        Ok((bodies, BTreeMap::new()))
    }

    /// Whether the binding lets bodies be kept. A receipt for a dead run asks the binding as it is now.
    fn keeps_bodies(&self) -> bool {
        let workspace = self.runner.workspace();
        let record = match &self.record.capability {
            Some(capability) => Some(capability.binding.record),
            None => self
                .runner
                .pinned(self.now)
                .and_then(|pinned| pinned.capability(workspace, &self.name))
                .ok()
                .map(|capability| capability.binding.record),
        };
        record != Some(binding::Record::Digests)
    }

    /// What the guest saw, where it ran.
    fn recording(&mut self, scrubber: &Scrubber) -> Result<Option<Written>, serde_json::Error> {
        let recorder = std::mem::take(&mut self.recorder);
        let (Some(capability), Some(input)) = (&self.record.capability, &self.record.input) else {
            return Ok(None);
        };
        if recorder.is_empty() {
            return Ok(None);
        }
        let about = Recording {
            run: self.key.clone(),
            capability: self.name.clone(),
            host: self.runner.host(),
            component: capability.component_digest,
            input: input.clone(),
            version: 0,
            contracts: BTreeMap::new(),
            phases: Vec::new(),
            missing: None,
            blobs: Vec::new(),
        };
        recorder.close(about, &self.record.contracts, scrubber).map(Some)
    }

    /// What the run leaves as evidence.
    fn bodies(&self) -> Result<Vec<Body>, serde_json::Error> {
        let record = &self.record;
        let mut bodies = Vec::new();
        let json = "application/json";
        if let Some(output) = &record.output {
            bodies.push(Body::new("output.json", json, serde_json::to_vec_pretty(output)?));
        }
        if let Some(plan) = &record.plan {
            bodies.push(Body::new("plan.json", json, serde_json::to_vec_pretty(plan.as_ref())?));
        }
        if !record.effects.is_empty() {
            let effects: Vec<_> = record.effects.iter().map(effect).collect();
            bodies.push(Body::new("effects.json", json, serde_json::to_vec_pretty(&effects)?));
        }
        if let Some(resolving) = &record.resolves {
            bodies.push(Body::new("resolution.json", json, serde_json::to_vec_pretty(&resolving.said)?));
        }
        for (name, printed) in [("stdout.txt", &record.stdout), ("stderr.txt", &record.stderr)] {
            if !printed.kept.is_empty() {
                bodies.push(Body::new(name, "text/plain", printed.kept.clone()));
            }
        }
        Ok(bodies)
    }

    /// The end of a run whose receipt could not be committed.
    fn no_receipt(&self, ending: &Ending, fault: &str) -> Ending {
        let message = format!("the receipt could not be committed: {fault}\nbefore that: {}", ending.message);
        if self.record.intent.is_some() {
            Ending::unknown(message)
        } else {
            Ending::denied("ledger", message)
        }
    }
}

fn effect((number, done): &(usize, Done)) -> Value {
    match done {
        Done::Performed { response, address } => {
            json!({"effect": number, "outcome": "performed", "address": address, "response": response})
        }
        Done::Unknown { address } => json!({"effect": number, "outcome": "started", "address": address}),
        Done::NotSent { why } => json!({"effect": number, "outcome": "not-sent", "why": why}),
    }
}
