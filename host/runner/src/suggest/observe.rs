//! What past runs did: by their recordings, which have each request whole, and else by their receipts, which have method,
//! path and address of it.
//!
//! A recording counts as far as the receipt vouches for it. What a guest was refused is no part of what it did.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use ops_ledger::receipt::{EffectOutcome, EffectRecord, Receipt, Status};
use ops_ledger::store::StoredReceipt;
use ops_policy::decide::Door;
use ops_policy::digest::Digest;
use ops_policy::message::{NetError, Request, Undo};
use ops_policy::rights::Rights;
use ops_policy::suggest::{Asked, Observed, Told};

use crate::broker::url;
use crate::ending::Ending;
use crate::journal::{Answer, Entry, Question};
use crate::receipts::statement;
use crate::recording::RecordingError;
use crate::runner::Runner;

/// The requests of all runs together that are kept whole, in bytes.
pub(super) const MOST_BYTES: usize = 128 * 1024 * 1024;

/// What a run did.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The run key.
    pub(super) key: String,
    /// How it ended.
    pub(super) status: Status,
    /// The digest of its component, hex.
    pub(super) component: Option<String>,
    observed: Observed,
    /// Whether it has effects, and whether one of them was sent.
    effects: (bool, bool),
    /// Why its requests are not known whole, where they are not.
    unrecorded: Option<String>,
}

impl Runner {
    /// What a run did. `room` is how many bytes of requests may still be kept.
    pub(super) fn observe(
        &self,
        stored: &StoredReceipt,
        rights: &Rights,
        room: &mut usize,
    ) -> Result<Run, Ending> {
        let receipt = self.read_receipt(stored)?;
        let mut observed = Observed {
            invoked: receipt
                .invoked
                .iter()
                .filter(|call| call.run.is_some())
                .map(|call| call.capability.clone())
                .collect(),
            most_requests: Some(receipt.usage.requests.max(receipt.effects.len() as u64)),
            ..Observed::default()
        };
        let used = receipt.used.iter().map(|used| (&used.service, &used.address));
        let effects = receipt.effects.iter().map(|effect| (&effect.service, &effect.address));
        for (service, address) in used.chain(effects) {
            if let Some(address) = address.as_deref().and_then(ip) {
                observed.dialled.entry(service.clone()).or_default().insert(address);
            }
        }
        let mut unrecorded = None;
        match self.recorded_requests(stored, rights, room) {
            Ok(requests) => observed.requests = requests,
            // No guest, no requests of its own: a plan that takes another run back.
            Err(error) => {
                observed.told = told(&receipt);
                unrecorded = (!observed.told.is_empty()).then(|| error.to_string());
            }
        }
        let was_sent = |effect: &EffectRecord| {
            matches!(effect.outcome, EffectOutcome::Performed | EffectOutcome::Started)
        };
        Ok(Run {
            effects: (!receipt.effects.is_empty(), receipt.effects.iter().any(was_sent)),
            key: stored.summary.run.clone(),
            status: stored.summary.status,
            component: receipt.definition.component.map(|component| component.digest.hex()),
            observed,
            unrecorded,
        })
    }

    /// The receipt that this host signed.
    pub(super) fn read_receipt(&self, stored: &StoredReceipt) -> Result<Receipt, Ending> {
        let statement = statement(&stored.bundle, &self.key().public());
        let statement = statement.map_err(|error| Ending::denied("receipt", error))?;
        Ok(statement.predicate)
    }

    fn recorded_requests(
        &self,
        stored: &StoredReceipt,
        rights: &Rights,
        room: &mut usize,
    ) -> Result<Vec<Asked>, RecordingError> {
        let recording = self.vouched_recording(stored)?.recording;
        let mut requests: Vec<Asked> = Vec::new();
        let mut known = BTreeSet::new();
        for phase in &recording.phases {
            for entry in recording.entries(self.ledger(), phase)? {
                for asked in requests_of(entry, rights) {
                    // The apply phase does again what the plan phase did.
                    let digest = Digest::of_json(&(asked.door as u8, &asked.request));
                    if digest.is_ok_and(|digest| !known.insert(*digest.bytes())) {
                        continue;
                    }
                    let bytes = size(&asked.request);
                    *room = room.checked_sub(bytes).ok_or_else(|| RecordingError::None {
                        code: "too-much",
                        why: format!("the requests of these runs are longer than {} MiB", MOST_BYTES >> 20),
                    })?;
                    requests.push(asked);
                }
            }
        }
        Ok(requests)
    }
}

/// The requests behind one question, as far as they were let through.
fn requests_of(entry: Entry, rights: &Rights) -> Vec<Asked> {
    if matches!(&entry.answer, Answer::Error(NetError::NotGranted(_))) {
        return Vec::new();
    }
    let asked = |door, request| Asked { door, request };
    match entry.question {
        Question::Fetch(request) => vec![asked(Door::Fetch, request)],
        Question::FetchUrl(request) => {
            url::request_of(rights, &request).map(|request| asked(Door::Fetch, request)).into_iter().collect()
        }
        Question::Perform(effect) => {
            let mut both = vec![asked(Door::Perform, effect.request)];
            if let Undo::Request(back) = effect.undo {
                both.push(asked(Door::Undo, back));
            }
            both
        }
        Question::Malformed { .. } | Question::Invoke(_) => Vec::new(),
    }
}

fn size(request: &Request) -> usize {
    let headers: usize = request.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
    request.path.len() + headers + request.body.as_ref().map_or(0, Vec::len) + 64
}

/// What the receipt tells of the requests: those that were sent, and the effects of a plan.
fn told(receipt: &Receipt) -> Vec<Told> {
    let used = receipt.used.iter().map(|used| Told {
        service: used.service.clone(),
        rule: used.rule.clone(),
        method: used.method.clone(),
        path: used.path.clone(),
    });
    let effects = receipt.effects.iter().filter_map(|effect| {
        Some(Told {
            service: effect.service.clone(),
            rule: effect.rule.clone()?,
            method: effect.method.clone(),
            path: plain(&effect.path),
        })
    });
    used.chain(effects).collect::<BTreeSet<_>>().into_iter().collect()
}

fn plain(path: &str) -> String {
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The address without the port.
fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().ok().map(|address| address.ip())
}

/// What several runs did.
pub(super) fn together<R: Deref<Target = Run>>(runs: &[R]) -> Observed {
    let mut all = Observed::default();
    for run in runs {
        all.requests.extend(run.observed.requests.iter().cloned());
        all.told.extend(run.observed.told.iter().cloned());
        all.invoked.extend(run.observed.invoked.iter().cloned());
        all.most_requests = all.most_requests.max(run.observed.most_requests);
        for (service, addresses) in &run.observed.dialled {
            all.dialled.entry(service.clone()).or_default().extend(addresses);
        }
    }
    all
}

/// What is not known of the runs, for people.
pub(super) fn unknown<R: Deref<Target = Run>>(runs: &[R]) -> Vec<String> {
    let unrecorded = runs.iter().filter_map(|run| Some((&run.key, run.unrecorded.as_ref()?)));
    let mut unknown: Vec<_> = unrecorded
        .map(|(key, why)| {
            format!("{key}: {why}; its receipt has method, path and address, and no query key, header field or body")
        })
        .collect();
    if runs.iter().any(|run| run.effects.0) && !runs.iter().any(|run| run.effects.1) {
        let text = "none of these runs carried its effects out, so what the capability asks once they are answered is not \
                    known, and would be denied";
        unknown.push(text.to_owned());
    }
    unknown
}
