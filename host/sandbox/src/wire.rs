//! What host and guest's process say to each other, and how it goes over their socket.
//!
//! A frame is a length (four bytes, little-endian) and so many bytes. A message is a frame of JSON. After
//! [`ToHost::Ran`] come frames of plain bytes: the output, where there is one, and what the guest printed.
//!
//! The host trusts nothing that comes from there: a frame is refused by its length before there is room made for it,
//! and the messages are plain values, whose meaning is for the host to judge. The process trusts its host.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ops_policy::manifest::Manifest;
use ops_policy::message::{Call, Effect, Input, Invoked, NetError, Outcome, Report, Request, Response};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::broker::{HttpRequest, Moment, Stop};
use crate::confine::Confinement;
use crate::describe::DescribeError;
use crate::job::{End, Job, Limits, Links, Mount};

/// The longest message to the host, in bytes. A guest may hand over 16 MiB in one call, and base64 makes 22 of them.
pub(crate) const TO_HOST: usize = 32 << 20;

/// The longest [`Described`], in bytes. All texts of a manifest come to less, each escaped.
pub(crate) const DESCRIBED: usize = 2 << 20;

/// The longest message to the process, in bytes: an answer of 64 MiB as base64, and its header.
pub(crate) const TO_WORKER: usize = 96 << 20;

/// The most texts of a refused `wasi:http` request, each with its number. The host says the text, so that nothing of
/// the guest's is in it.
pub(crate) const REFUSALS: [&str; 11] = [
    "it asks for a tunnel",
    "its scheme is neither http nor https",
    "its address names no host",
    "its address holds a user or a password",
    "one of its header fields is not text",
    "its content-length is not a length",
    "its body is not as long as its content-length says",
    "its body was broken off",
    "the bodies that wait are more than 8 MiB",
    "it has trailers",
    "it is malformed",
];

/// From the host.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Run the component, when it is time to begin.
    Run(Box<Task>),
    /// Ask the component what it is, when it is time to begin.
    Describe {
        /// As in [`Task`].
        needs_landlock: bool,
    },
    /// Begin. The process is confined as the host wants it; this is where the run stands before the guest's first
    /// instruction.
    Begin(Moment),
    /// What was asked last is answered.
    Answer(Box<Said>),
    /// The refusal that was told last was heard.
    Heard(Result<(), Stop>),
}

/// An answer, and the moment that it came at.
#[derive(Serialize, Deserialize)]
pub(crate) enum Said {
    /// To [`ToHost::Fetch`] and [`ToHost::FetchUrl`].
    Fetched(Result<Result<Response, NetError>, Stop>, Moment),
    /// To [`ToHost::Perform`].
    Performed(Result<Result<Outcome, NetError>, Stop>, Moment),
    /// To [`ToHost::Invoke`].
    Invoked(Result<Vec<Invoked>, Stop>, Moment),
    /// To [`ToHost::Report`].
    Told(Result<(), Stop>),
}

impl From<Said> for ToWorker {
    fn from(said: Said) -> Self {
        Self::Answer(Box::new(said))
    }
}

/// A job on its way.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) input: Input,
    pub(crate) links: Links,
    pub(crate) clock: (u64, u32),
    pub(crate) seed: [u8; 32],
    pub(crate) mounts: Vec<Place>,
    pub(crate) limits: Limits,
    pub(crate) needs_landlock: bool,
}

/// A folder on its way: a path of the host is bytes, which need not be text.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    guest: String,
    host: Vec<u8>,
    writable: bool,
}

impl From<&Mount> for Place {
    fn from(mount: &Mount) -> Self {
        let Mount { guest, host, writable } = mount;
        Self { guest: guest.clone(), host: host.as_os_str().as_bytes().to_vec(), writable: *writable }
    }
}

impl From<&Place> for Mount {
    fn from(place: &Place) -> Self {
        let Place { guest, host, writable } = place.clone();
        Self { guest, host: OsString::from_vec(host).into(), writable }
    }
}

impl Task {
    pub(crate) fn of(job: &Job) -> Self {
        Self {
            input: job.input.clone(),
            links: job.links,
            clock: (job.clock_seconds, job.clock_nanoseconds),
            seed: job.seed,
            mounts: job.mounts.iter().map(Place::from).collect(),
            limits: job.limits,
            needs_landlock: job.needs_landlock,
        }
    }
}

/// To the host.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// The process has its order, is confined, and has run no instruction of the guest's. Said once for each order, before
    /// all else.
    Confined(Confinement),
    /// As in [`crate::broker::Broker`].
    Fetch(Request),
    /// As in [`crate::broker::Broker`].
    FetchUrl(HttpRequest),
    /// As in [`crate::broker::Broker`], with the number of the text in [`REFUSALS`].
    Refused { method: String, why: usize },
    /// As in [`crate::broker::Broker`].
    Perform(Effect),
    /// As in [`crate::broker::Broker`].
    Invoke(Vec<Call>),
    /// As in [`crate::broker::Broker`].
    Report(Report),
    /// The run is over. Its output, where the end is one, comes in a frame of its own.
    Ran {
        end: End,
        /// How many bytes were printed to standard output and error.
        printed: [u64; 2],
        peak_memory: u64,
    },
}

/// What the component is: all that is said after an order to describe. It is a message of its own, with a shorter bound: a
/// schema is any JSON, which takes many times its length when it is read.
pub(crate) type Described = Result<Manifest, DescribeError>;

/// A message as a frame.
///
/// # Errors
///
/// It is longer than `most` bytes.
pub(crate) fn frame_of(message: &impl Serialize, most: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let header =
        u32::try_from(length).ok().filter(|_| length <= most).ok_or_else(|| too_long(length, most))?;
    for (to, from) in frame.iter_mut().zip(header.to_le_bytes()) {
        *to = from;
    }
    Ok(frame)
}

/// The length in a frame's first four bytes.
///
/// # Errors
///
/// It is more than `most`.
pub(crate) fn length_of(header: [u8; 4], most: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(header) as usize;
    if length > most { Err(too_long(length, most)) } else { Ok(length) }
}

fn too_long(length: usize, most: usize) -> io::Error {
    io::Error::other(format!("a message of {length} bytes, where at most {most} may come"))
}

/// What a frame says.
pub(crate) fn parsed<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(frame)?)
}

/// How much is taken from a socket at a time, in bytes.
const CHUNK: usize = 16 << 10;

/// How much room is kept for what comes next, in bytes.
const KEPT: usize = 1 << 20;

/// What came over a socket and was not looked at. Several frames that came together are taken at once.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Inbox {
    /// Whether there is nothing that was not looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next frame, if it is here as a whole.
    ///
    /// # Errors
    ///
    /// It is longer than `most`.
    pub(crate) fn frame(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(header) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(None);
        };
        let begin = self.at + 4;
        let end = begin.saturating_add(length_of(*header, most)?);
        let Some(frame) = self.bytes.get(begin..end).map(<[u8]>::to_vec) else { return Ok(None) };
        self.at = end;
        Ok(Some(frame))
    }

    /// Takes what there is of a socket, which has to be read when there is something, or waited for as it says.
    ///
    /// # Errors
    ///
    /// What the system says, and [`io::ErrorKind::UnexpectedEof`] where nothing will come any more.
    pub(crate) fn fill(&mut self, from: impl AsFd, flags: RecvFlags) -> io::Result<()> {
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.at = 0;
        }
        // Of a long frame there is as much room made as has come, and not as much as it says.
        self.bytes.reserve(CHUNK);
        let (count, _) = recv(from, spare_capacity(&mut self.bytes), flags)?;
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The next frame, which is waited for.
    ///
    /// # Errors
    ///
    /// It is longer than `most`, or will not come.
    pub(crate) fn next(&mut self, from: impl AsFd, most: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(frame) = self.frame(most)? {
                return Ok(frame);
            }
            match self.fill(&from, RecvFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                filled => filled?,
            }
        }
    }
}

/// Puts plain bytes after other frames, as a frame.
pub(crate) fn extend(frames: &mut Vec<u8>, bytes: &[u8]) {
    // What an engine of 32 bits holds is no longer than that.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    frames.extend(length.to_le_bytes());
    frames.extend(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The next message of those that come like this, one byte after the other, and then no more.
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
        let mut inbox = Inbox::default();
        for byte in bytes {
            assert!(inbox.frame(TO_WORKER)?.is_none(), "there is a byte to come");
            theirs.write_all(&[*byte])?;
            inbox.fill(&ours, RecvFlags::DONTWAIT)?;
        }
        drop(theirs);
        parsed(&inbox.next(&ours, TO_WORKER)?)
    }

    #[test]
    fn frames_that_come_together_are_told_apart() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let long = vec![b'x'; 3 * CHUNK];
        let mut frames = Vec::new();
        for bytes in [&b"one"[..], b"", &long] {
            extend(&mut frames, bytes);
        }
        theirs.write_all(&frames).unwrap();
        let mut inbox = Inbox::default();
        assert_eq!(inbox.next(&ours, 3).unwrap(), b"one");
        assert!(inbox.next(&ours, 0).unwrap().is_empty() && !inbox.is_empty());
        assert!(inbox.next(&ours, long.len() - 1).is_err());
        assert!(inbox.next(&ours, long.len()).unwrap() == long && inbox.is_empty());
        let waits = inbox.fill(&ours, RecvFlags::DONTWAIT).unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(inbox.next(&ours, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_message_comes_as_it_went() {
        let message = ToWorker::Answer(Box::new(Said::Fetched(
            Ok(Err(NetError::Timeout("late".into()))),
            Moment { clock: 7, replaying: true },
        )));
        let frame = frame_of(&message, TO_WORKER).unwrap();
        let Ok(ToWorker::Answer(said)) = read(&frame) else { panic!("an answer") };
        let Said::Fetched(Ok(Err(NetError::Timeout(text))), moment) = *said else { panic!("a timeout") };
        assert_eq!((text.as_str(), moment.clock, moment.replaying), ("late", 7, true));
    }

    /// What the host says of a refused request is one of its own texts, so each text has to be known here.
    #[test]
    fn every_refusal_has_its_text() {
        let sources = [include_str!("http/mod.rs"), include_str!("http/courier.rs")].concat();
        let calls = sources.split("Refusal::new(").chain(sources.split("self.refuse(")).skip(1);
        let texts = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
        let texts: Vec<_> = texts.collect();
        assert!(texts.len() >= REFUSALS.len() - 1, "{texts:?}");
        for text in texts {
            assert!(REFUSALS.contains(&text), "{text}");
        }
    }

    #[test]
    fn a_path_is_bytes() {
        let host = OsString::from_vec(vec![b'/', 0xff, b'a']).into();
        let mount = Mount { guest: "/in".into(), host, writable: true };
        let text = serde_json::to_vec(&Place::from(&mount)).unwrap();
        assert_eq!(Mount::from(&serde_json::from_slice::<Place>(&text).unwrap()), mount);
    }

    #[test]
    fn lengths_are_bounded_both_ways() {
        assert!(frame_of(&"x".repeat(9), 11).is_ok() && frame_of(&"x".repeat(10), 11).is_err());
        assert_eq!(length_of([11, 0, 0, 0], 11).unwrap(), 11);
        let error = length_of([0xff; 4], 11).unwrap_err().to_string();
        assert_eq!(error, "a message of 4294967295 bytes, where at most 11 may come");
        assert!(read::<ToWorker>(&[0xff; 8]).is_err());
        assert!(read::<ToWorker>(b"\x02\0\0\0{]").is_err());
    }
}
