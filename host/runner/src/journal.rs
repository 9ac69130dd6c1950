//! The journal of a phase: every question that the guest put to the broker and the answer that it got, in order,
//! with the guest's clock after it.
//!
//! A guest is deterministic between two answers, so a journal is all that is needed to bring another run of the same
//! component to the same place. [`Tape`] plays one back; a question that is not the recorded one stops it.

use std::collections::VecDeque;

use ops_policy::message::{Call, Effect, Invoked, NetError, Request, Response};
use ops_sandbox::broker::HttpRequest;
use serde::{Deserialize, Serialize};

/// What the guest asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "door", content = "asked", rename_all = "kebab-case")]
pub(crate) enum Question {
    /// A read of a service.
    Fetch(Request),
    /// A read of an address, by plain `wasi:http`.
    FetchUrl(HttpRequest),
    /// Something that made no request.
    Malformed {
        /// The method.
        method: String,
        /// What is wrong with it.
        why: String,
    },
    /// An effect.
    Perform(Effect),
    /// Calls of other capabilities, made at once.
    Invoke(Vec<Call>),
}

/// What it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// What the service said.
    Response(Response),
    /// Why nothing came back.
    Error(NetError),
    /// The effect was written down.
    Planned,
    /// Nothing, for a request that was none.
    Refused,
    /// What came of each call.
    Invoked(Vec<Invoked>),
}

/// One crossing of the wall and back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) question: Question,
    pub(crate) answer: Answer,
    /// What the guest's monotonic clock was moved to, in nanoseconds.
    pub(crate) clock: u64,
}

/// A journal that is played back.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    left: VecDeque<Entry>,
    /// How many were played.
    played: usize,
}

/// The guest asked something else than the journal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The place in the journal, from 1.
    pub(crate) number: usize,
    /// What the journal has, in words.
    pub(crate) recorded: String,
    /// What was asked, in words.
    pub(crate) asked: String,
}

impl Tape {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self { left: entries.into(), played: 0 }
    }

    /// Whether there is more to play.
    pub(crate) fn is_playing(&self) -> bool {
        !self.left.is_empty()
    }

    /// How many answers have not been asked for.
    pub(crate) fn left(&self) -> usize {
        self.left.len()
    }

    /// The recorded answer to a question, or none where the journal has ended.
    pub(crate) fn next(&mut self, question: &Question) -> Result<Option<Entry>, Difference> {
        let Some(entry) = self.left.pop_front() else { return Ok(None) };
        self.played += 1;
        if entry.question == *question {
            return Ok(Some(entry));
        }
        Err(Difference {
            number: self.played,
            recorded: entry.question.to_string(),
            asked: question.to_string(),
        })
    }
}

impl Question {
    /// About how long it is in all.
    pub(crate) fn bytes(&self) -> usize {
        let body = match self {
            Self::Fetch(asked) => asked.body.as_deref(),
            Self::FetchUrl(asked) => asked.body.as_deref(),
            Self::Perform(effect) => effect.request.body.as_deref(),
            Self::Malformed { .. } | Self::Invoke(_) => None,
        };
        body.map_or(0, <[u8]>::len).saturating_add(self.words().len())
    }

    /// Everything of it that is text, for a search.
    pub(crate) fn words(&self) -> String {
        let request = |request: &Request| {
            let headers: Vec<_> = request.headers.iter().map(|header| header.value.as_str()).collect();
            format!("{} {} {}", request.method, request.path, headers.join(" "))
        };
        match self {
            Self::Fetch(asked) => request(asked),
            Self::FetchUrl(asked) => {
                let headers: Vec<_> = asked.headers.iter().map(|header| header.value.as_str()).collect();
                format!("{} {} {}", asked.method, asked.url, headers.join(" "))
            }
            Self::Malformed { method, .. } => method.clone(),
            Self::Perform(effect) => format!("{} {}", effect.summary, request(&effect.request)),
            Self::Invoke(calls) => {
                let calls = calls.iter().map(|call| format!("{} {}", call.capability, call.arguments));
                calls.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Fetch(request) => format!("a read of {}", request_text(request)),
            Self::FetchUrl(request) => {
                let place = request.url.split(['?', '#']).next().unwrap_or_default();
                format!("a read of {} {place}", request.method)
            }
            Self::Malformed { method, why } => format!("a request {method} of which {why}"),
            Self::Perform(effect) => {
                format!("the effect `{}` ({})", effect.summary, request_text(&effect.request))
            }
            Self::Invoke(calls) => {
                let names: Vec<_> = calls.iter().map(|call| call.capability.as_str()).collect();
                format!("a call of {}", names.join(", "))
            }
        };
        f.write_str(&ops_policy::visible::clip(&ops_policy::visible::visible(&text), 500))
    }
}

/// A request in words, without its query and its body.
fn request_text(request: &Request) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    format!("{} {} {path}", request.service, request.method)
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "crossing {}: recorded was {}, asked was {}", self.number, self.recorded, self.asked)?;
        if self.recorded == self.asked {
            f.write_str("; they differ in query, header fields or body")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(path: &str) -> Question {
        Question::Fetch(Request {
            service: "pve".into(),
            method: "GET".into(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
        })
    }

    fn entry(path: &str, clock: u64) -> Entry {
        let response = Response { status: 200, headers: Vec::new(), body: vec![0, 255] };
        Entry { question: fetch(path), answer: Answer::Response(response), clock }
    }

    #[test]
    fn an_entry_survives_its_json() {
        let answers = [
            Answer::Planned,
            Answer::Refused,
            Answer::Error(NetError::Timeout("late".into())),
            entry("/", 0).answer,
        ];
        for answer in answers {
            let entry = Entry { answer, ..entry("/a?b", u64::MAX) };
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        }
    }

    #[test]
    fn a_tape_answers_its_own_questions_only() {
        let mut tape = Tape::new(vec![entry("/a", 1), entry("/b", 2)]);
        assert_eq!(tape.next(&fetch("/a")).unwrap().unwrap().clock, 1);
        assert!(tape.is_playing());
        let difference = tape.next(&fetch("/b?x")).unwrap_err();
        assert_eq!(
            difference.to_string(),
            "crossing 2: recorded was a read of pve GET /b, asked was a read of pve GET /b; \
             they differ in query, header fields or body"
        );
        assert_eq!(tape.next(&fetch("/c")).unwrap(), None);
        assert_eq!(tape.left(), 0);
    }
}
