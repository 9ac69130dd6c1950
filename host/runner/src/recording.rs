//! What a run keeps of the world that it saw, so that it can be run again without that world.
//!
//! `recording.json` lies in the host's content store and is never written out: it holds the seeds of the guest's
//! random bytes. Its salted digest is in `evidence.json`, so a replay starts from what the receipt vouches for. Large
//! bodies and the files of granted folders lie beside it under their own digests. What would not fit, or would hold
//! the value of a secret, is not recorded, and the recording says why.

use std::collections::BTreeMap;
use std::path::Path;

use ops_egress::scrub::Scrubber;
use ops_ledger::evidence::LARGEST_BODY;
use ops_ledger::store::Ledger;
use ops_policy::digest::Digest;
use ops_policy::message::{Effect, Failure, Input, Undo};
use ops_policy::plan::Clock;
use ops_sandbox::job::End;
use ops_sandbox::tree::{self, Tree};
use serde::{Deserialize, Serialize};

use crate::journal::{Answer, Entry, Question};

/// The format's version, in every recording.
const VERSION: u32 = 1;
/// The file's name in the content store.
pub(crate) const NAME: &str = "recording.json";
/// Bodies that are longer lie beside the recording, in bytes.
const INLINE: usize = 64 * 1024;
/// The bodies and files of one run together, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A run's recorded world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The run key.
    pub(crate) run: String,
    /// The capability.
    pub(crate) capability: String,
    /// Host and engine, with versions.
    pub(crate) host: String,
    /// The component's bytes.
    pub(crate) component: Digest,
    /// What the guest was given.
    pub(crate) input: Input,
    /// The contracts by name; their bytes are blobs.
    pub(crate) contracts: BTreeMap<String, Digest>,
    /// Each time that the guest ran.
    pub(crate) phases: Vec<Recorded>,
    /// Why something is missing, where something is. Such a recording cannot be replayed.
    pub(crate) missing: Option<String>,
    /// The digests of the blobs beside it.
    pub(crate) blobs: Vec<Digest>,
}

/// One time that the guest ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// `read`, `plan` or `apply`.
    pub(crate) phase: String,
    /// The frozen clock.
    pub(crate) clock: Clock,
    /// Where the random bytes came from, hex. A secret.
    pub(crate) seed: String,
    /// What was linked: fetch, effects, wasi:http.
    pub(crate) links: [bool; 3],
    /// Whether the calling of other capabilities was.
    #[serde(default)]
    pub(crate) invoke: bool,
    /// Memory and output in bytes, time in milliseconds.
    pub(crate) limits: [u64; 3],
    /// The granted folders as the guest found them.
    pub(crate) folders: Vec<Folder>,
    /// Every question with its answer.
    pub(crate) entries: Vec<Stored>,
    /// How it ended.
    pub(crate) end: Ended,
}

/// A granted folder as the guest found it. Its files are blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folder {
    /// The grant's name.
    pub(crate) name: String,
    /// Whether the guest could change its copy.
    pub(crate) writable: bool,
    /// What lay there.
    pub(crate) tree: Tree,
}

/// An entry whose long bodies lie elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    /// The blob with the question's body, which the entry then leaves empty.
    pub(crate) asked: Option<Digest>,
    /// The same of the answer's.
    pub(crate) answered: Option<Digest>,
}

impl Stored {
    /// Takes long bodies out of an entry. They are given besides, by the names of their files.
    pub(crate) fn split(mut entry: Entry) -> (Self, Vec<(String, Vec<u8>)>) {
        let mut blobs = Vec::new();
        let mut long = |body: Option<&mut Vec<u8>>| {
            let body = body.filter(|body| body.len() > INLINE)?;
            let bytes = std::mem::take(body);
            let digest = Digest::of(&bytes);
            blobs.push((blob_name(&digest), bytes));
            Some(digest)
        };
        let asked = match &mut entry.question {
            Question::Fetch(request) => long(request.body.as_mut()),
            Question::FetchUrl(request) => long(request.body.as_mut()),
            Question::Perform(effect) => long(effect.request.body.as_mut()),
            Question::Malformed { .. } | Question::Invoke(_) => None,
        };
        let answered = match &mut entry.answer {
            Answer::Response(response) => long(Some(&mut response.body)),
            Answer::Error(_) | Answer::Planned | Answer::Refused | Answer::Invoked(_) => None,
        };
        (Self { entry, asked, answered }, blobs)
    }

    /// The entry with its long bodies, which a run has kept.
    pub(crate) fn whole(&self, ledger: &Ledger, run: &str) -> Result<Entry, RecordingError> {
        let mut entry = self.entry.clone();
        if let Some(digest) = &self.asked {
            let bytes = Some(blob(ledger, run, digest)?);
            match &mut entry.question {
                Question::Fetch(request) => request.body = bytes,
                Question::FetchUrl(request) => request.body = bytes,
                Question::Perform(effect) => effect.request.body = bytes,
                Question::Malformed { .. } | Question::Invoke(_) => {}
            }
        }
        if let (Some(digest), Answer::Response(response)) = (&self.answered, &mut entry.answer) {
            response.body = blob(ledger, run, digest)?;
        }
        Ok(entry)
    }
}

/// A blob that a run has kept, checked against its name.
pub(crate) fn blob(ledger: &Ledger, run: &str, digest: &Digest) -> Result<Vec<u8>, RecordingError> {
    let name = blob_name(digest);
    let bytes = ledger.body(run, &name).map_err(|error| RecordingError::Damaged(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| RecordingError::Damaged(format!("{name} is gone")))?;
    if Digest::of(&bytes) != *digest {
        return Err(RecordingError::Damaged(format!("{name} was changed")));
    }
    Ok(bytes)
}

/// How the guest ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// It returned an output; this is the digest of its text.
    Output(Digest),
    /// It returned a failure.
    Failed(Failure),
    /// It trapped, or broke a limit other than time, in words.
    Broke(String),
    /// The host ended it: by a decision, at its time limit, or because somebody cancelled.
    Stopped(String),
}

impl Ended {
    /// `by_host` is the code of the decision that stopped the guest, where one did.
    pub(crate) fn of(end: &End, by_host: Option<&str>) -> Self {
        match (by_host, end) {
            (Some(code), _) => Self::Stopped(code.to_owned()),
            (None, End::Output(output)) => Self::Output(Digest::of(output.as_bytes())),
            (None, End::Failed(failure)) => Self::Failed(failure.clone()),
            (None, End::Stopped | End::Cancelled) => Self::Stopped("cancelled".into()),
            (None, End::OutOfTime) => Self::Stopped("limit-time".into()),
            (None, End::OutOfMemory) => Self::Broke("limit-memory".into()),
            (None, End::OutputTooLong) => Self::Broke("limit-output".into()),
            (None, End::NotStarted(why)) => Self::Broke(format!("not started: {why}")),
            (None, End::Trapped(why)) => Self::Broke(format!("trap: {why}")),
            (None, End::Unconfined(_)) => Self::Stopped("confinement".into()),
            (None, End::Lost(_)) => Self::Stopped("guest-lost".into()),
            (None, End::HostPanicked(_)) => Self::Stopped("host-panic".into()),
        }
    }
}

/// Collects a recording while a run goes on.
#[derive(Default)]
pub(crate) struct Recorder {
    phases: Vec<Recorded>,
    blobs: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    missing: Option<String>,
}

/// What is written into the content store at the end.
pub(crate) struct Written {
    /// `recording.json`.
    pub(crate) document: Vec<u8>,
    /// The blobs by their file names.
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
}

impl Recorder {
    /// Whether anything was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// Keeps the files of a granted folder's copy, before the guest gets it.
    pub(crate) fn folder(&mut self, name: &str, writable: bool, copy: &Path, tree: &Tree) -> Folder {
        for (path, entry) in &tree.entries {
            let tree::Entry::File { digest, size, .. } = entry else { continue };
            if self.missing.is_some() || self.blobs.contains_key(&blob_name(digest)) {
                continue;
            }
            if usize::try_from(*size).map_or(true, |size| self.bytes.saturating_add(size) > MAX_BYTES) {
                self.miss(too_long());
                continue;
            }
            match std::fs::read(copy.join(path)) {
                Ok(bytes) => self.blob(digest, bytes),
                Err(error) => self.miss(format!("the copy of the directory `{name}`: {error}")),
            }
        }
        Folder { name: name.to_owned(), writable, tree: tree.clone() }
    }

    /// Keeps a phase.
    pub(crate) fn phase(&mut self, recorded: Recorded) {
        self.phases.push(recorded);
    }

    /// Takes long bodies out of the entries of a phase.
    pub(crate) fn entries(&mut self, entries: Vec<Entry>) -> Vec<Stored> {
        entries.into_iter().map(|entry| self.entry(entry)).collect()
    }

    fn entry(&mut self, entry: Entry) -> Stored {
        self.bytes = self.bytes.saturating_add(bodies(&entry).map(<[u8]>::len).sum());
        if self.bytes > MAX_BYTES {
            self.miss(too_long());
        }
        let (stored, blobs) = Stored::split(entry);
        if self.missing.is_none() {
            self.blobs.extend(blobs);
        }
        stored
    }

    fn blob(&mut self, digest: &Digest, bytes: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.blobs.insert(blob_name(digest), bytes);
    }

    fn miss(&mut self, why: String) {
        self.missing.get_or_insert(why);
        self.blobs.clear();
    }

    /// The recording of a run, without anything in which a secret's value was found.
    pub(crate) fn close(
        mut self,
        mut about: Recording,
        contracts: &[(String, Vec<u8>)],
        scrubber: &Scrubber,
    ) -> Result<Written, serde_json::Error> {
        for (name, bytes) in contracts {
            let digest = Digest::of(bytes);
            self.blob(&digest, bytes.clone());
            about.contracts.insert(name.clone(), digest);
        }
        about.version = VERSION;
        about.blobs = self.blobs.values().map(|bytes| Digest::of(bytes)).collect();
        about.phases = self.phases;
        let mut document = serde_json::to_vec(&about)?;
        // Bodies are searched as they were sent, since a secret that is escaped in them is not found in base64; the
        // document is searched for header fields, names of files, and the failure's text.
        let holds = |bytes: &[u8]| scrubber.bytes(bytes) != bytes;
        let entries = about.phases.iter().flat_map(|phase| &phase.entries);
        let found = entries.flat_map(|stored| bodies(&stored.entry)).any(&holds);
        if found || holds(&document) || self.blobs.values().any(|blob| holds(blob)) {
            self.missing.get_or_insert("it would hold the value of a secret".into());
        }
        if document.len() as u64 > LARGEST_BODY {
            self.missing.get_or_insert_with(too_long);
        }
        if self.missing.is_some() {
            about.phases.clear();
            about.blobs.clear();
            about.contracts.clear();
            self.blobs.clear();
            about.input = Input { arguments: String::new(), config: String::new(), services: Vec::new() };
            about.missing = self.missing;
            document = serde_json::to_vec(&about)?;
        }
        Ok(Written { document, blobs: self.blobs })
    }
}

/// The bodies of a question and its answer.
fn bodies(entry: &Entry) -> impl Iterator<Item = &[u8]> {
    let asked = match &entry.question {
        Question::Fetch(request) => request.body.as_deref(),
        Question::FetchUrl(request) => request.body.as_deref(),
        Question::Perform(effect) => effect.request.body.as_deref(),
        Question::Malformed { .. } | Question::Invoke(_) => None,
    };
    let undo = match &entry.question {
        Question::Perform(Effect { undo: Undo::Request(request), .. }) => request.body.as_deref(),
        _ => None,
    };
    let answered = match &entry.answer {
        Answer::Response(response) => Some(response.body.as_slice()),
        Answer::Error(_) | Answer::Planned | Answer::Refused | Answer::Invoked(_) => None,
    };
    let invoked = if let Answer::Invoked(answers) = &entry.answer { answers.as_slice() } else { &[] };
    let outputs = invoked.iter().filter_map(|answer| answer.outcome.as_ref().ok()).map(String::as_bytes);
    asked.into_iter().chain(undo).chain(answered).chain(outputs)
}

fn too_long() -> String {
    format!("what it saw is longer than {} MiB", MAX_BYTES >> 20)
}

fn blob_name(digest: &Digest) -> String {
    format!("blob-{}", digest.hex())
}

/// Why a recording cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    /// It was never kept, or has been erased, or needs another host.
    #[error("{why}")]
    None {
        /// A stable word.
        code: &'static str,
        /// For people.
        why: String,
    },
    /// It is not what the receipt vouches for.
    #[error("the run's recording was damaged: {0}")]
    Damaged(String),
}

impl Recording {
    /// Reads a document whose digest was checked.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, RecordingError> {
        let recording: Self =
            serde_json::from_slice(document).map_err(|error| RecordingError::Damaged(error.to_string()))?;
        if recording.version != VERSION {
            let why = format!("its recording has version {}, which is not known here", recording.version);
            return Err(RecordingError::None { code: "host", why });
        }
        match &recording.missing {
            Some(why) => {
                Err(RecordingError::None { code: "not-recorded", why: format!("not recorded: {why}") })
            }
            None => Ok(recording),
        }
    }

    /// The entries of a phase with their whole bodies.
    pub(crate) fn entries(&self, ledger: &Ledger, phase: &Recorded) -> Result<Vec<Entry>, RecordingError> {
        phase.entries.iter().map(|stored| stored.whole(ledger, &self.run)).collect()
    }
}

#[cfg(test)]
mod tests;
