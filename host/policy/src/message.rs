//! What guest and host say to each other, as plain data.
//!
//! These types mirror `wit/` one to one and are the only thing that crosses the wall between a guest and the
//! host. They hold no handle and nothing of an engine, so that they can be hashed into a plan, kept in a journal,
//! or sent over a socket.

use serde::{Deserialize, Serialize};

/// One header field. Names are compared without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The field's name.
    pub name: String,
    /// The field's value.
    pub value: String,
}

/// A request to a service, as a guest states it: a service name, never a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The name under which manifest and binding know the service.
    pub service: String,
    /// HTTP method.
    pub method: String,
    /// Absolute path with an optional query.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<Header>,
    /// The body, where there is one.
    #[serde(with = "bytes::optional")]
    pub body: Option<Vec<u8>>,
}

/// A request as it goes out: rebuilt from what was parsed and matched, never the guest's own bytes.
///
/// Origin and credential are added by the egress; neither is part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRequest {
    /// HTTP method.
    pub method: String,
    /// Path and query in origin form.
    pub target: String,
    /// Header fields that a rule let through, names in lower case.
    pub headers: Vec<Header>,
    /// The body; written anew from the parsed value where a body predicate was matched.
    #[serde(with = "bytes::optional")]
    pub body: Option<Vec<u8>>,
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// HTTP status, 100 to 599.
    pub status: u16,
    /// Header fields in the order in which they came, names in lower case.
    pub headers: Vec<Header>,
    /// The whole body.
    #[serde(with = "bytes")]
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "message", rename_all = "kebab-case")]
pub enum NetError {
    /// No grant covers it; the text says what is missing.
    NotGranted(String),
    /// The request is malformed; nothing was sent.
    InvalidRequest(String),
    /// The name did not resolve to an allowed address; nothing was sent.
    Unreachable(String),
    /// TLS failed; nothing was sent.
    Tls(String),
    /// No complete answer in time.
    Timeout(String),
    /// The connection was lost before a complete answer.
    Connection(String),
    /// The answer is larger than the limit.
    TooLarge(String),
    /// A limit of the binding is used up.
    Limit(String),
}

/// How an effect can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Undo {
    /// By this request.
    Request(Request),
    /// By a person, who follows this text.
    ByHand(String),
    /// Not at all; the text says why.
    Impossible(String),
}

/// One change to the outside world, as the guest asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// One line for people.
    pub summary: String,
    /// What is sent.
    pub request: Request,
    /// How it can be taken back.
    pub undo: Undo,
}

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "response", rename_all = "kebab-case")]
pub enum Outcome {
    /// Captured in the plan phase; nothing was sent.
    Planned,
    /// Sent and answered.
    Performed(Response),
}

/// A call of another capability, as the guest asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The capability's name.
    pub capability: String,
    /// Its arguments, a JSON object.
    pub arguments: String,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoked {
    /// The key of its run, where it came to one.
    pub run: Option<String>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Its output as JSON.
    pub outcome: Result<String, CallError>,
}

/// Why a call has no output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "message", rename_all = "kebab-case")]
pub enum CallError {
    /// The binding does not name the capability, or it is not read-only.
    NotGranted(String),
    /// It ran, or was to run, and has no output.
    Failed(String),
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Of use to the author.
    Debug,
    /// Of use to the operator.
    Info,
    /// To be looked at.
    Warn,
}

/// Something that a guest tells people. Never a right, always untrusted text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Report {
    /// A log line.
    Log {
        /// How much it matters.
        level: Level,
        /// The line.
        message: String,
    },
    /// How far the work is.
    Progress {
        /// Steps done.
        done: u64,
        /// Steps in all, where known.
        total: Option<u64>,
        /// What is being done now.
        message: String,
    },
}

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The arguments, a JSON object.
    pub arguments: String,
    /// The binding's `config`, a JSON object.
    pub config: String,
    /// Names of the granted services, sorted.
    pub services: Vec<String>,
}

/// Why a run has no output, in the guest's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Failure {
    /// The arguments break a rule of the capability.
    InvalidInput {
        /// For people.
        message: String,
    },
    /// Something that is not granted was needed after all.
    NotGranted {
        /// For people.
        message: String,
    },
    /// A service answered with an unexpected status.
    Upstream {
        /// The service's name.
        service: String,
        /// HTTP status.
        status: u16,
        /// For people.
        message: String,
    },
    /// A service asked to be left alone.
    RateLimited {
        /// The service's name.
        service: String,
        /// For how many seconds, where it said so.
        seconds: Option<u64>,
    },
    /// The world is not as the arguments suppose.
    Conflict {
        /// For people.
        message: String,
    },
    /// The plan needs the answer of an effect that has not happened.
    Incomplete {
        /// For people.
        message: String,
    },
    /// Anything else.
    Failed {
        /// For people.
        message: String,
    },
}

/// Bodies as base64 in JSON, so that any bytes survive.
mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, Engine, Error, STANDARD, Serializer};

        pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
            match bytes {
                Some(bytes) => to.serialize_some(&STANDARD.encode(bytes)),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
            Option::<String>::deserialize(from)?
                .map(|text| STANDARD.decode(text).map_err(D::Error::custom))
                .transpose()
        }
    }
}
