//! Rights as values: what a binding grants, what a component asks for, and which of two is the greater.
//!
//! Everything that compares rights is built on this: differences between versions, what a lock's signature is shown
//! to change, findings, suggestions. Two rights are compared only where they are of one kind; `subsumes` says no
//! where it is not certain, so that a mistake shows a right too many and hides none. That it agrees with
//! [`crate::decide`] is a property that is tested: where one set of rules covers another, every request that the other
//! lets pass, it lets pass.

mod of;
mod requests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use crate::approval::{Accept, Approval, Mode};
use crate::binding::Record;
use crate::manifest::{Access, Safety};
use crate::origin::Origin;
use crate::rights::invokes;
use crate::scalar::Setting;
use crate::service::Tls;
use crate::visible::visible;

pub use of::{Held, granted, imported, needed};
pub use requests::Requests;

/// The most sets of requests that a comparison parts one set into.
const PARTS: usize = 256;

/// One right. What is `None` in a need is whatever the binding says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// To import an interface, such as `ops:capability/fetch`, of one track of versions.
    Interface {
        /// The name without the version.
        name: String,
        /// The versions that are compatible with each other, such as `0.2`; empty where it has none.
        track: String,
    },
    /// To do what a safety class allows.
    Safety(Safety),
    /// To change something once it is approved like this.
    Approval(Approval),
    /// To send requests.
    Requests(Requests),
    /// To reach an origin under a service's name; none is the host itself.
    Origin {
        /// The service.
        service: String,
        /// Where it lives.
        origin: Option<Origin>,
    },
    /// To be answered by whom a certificate names.
    Trust {
        /// The service.
        service: String,
        /// By the system's roots where there is none.
        tls: Option<Tls>,
    },
    /// To dial addresses that are not globally routable.
    Address {
        /// The service.
        service: String,
        /// The range.
        range: IpNet,
    },
    /// To have a secret added to requests.
    Secret {
        /// The service.
        service: String,
        /// The secret's name in `ops.yaml`.
        secret: String,
        /// Where it goes.
        place: Place,
    },
    /// To have requests sent again where no answer comes, with a key in a header.
    Repeat {
        /// Which requests.
        requests: Requests,
        /// The header.
        header: String,
    },
    /// To use a directory.
    Directory {
        /// The name that the guest sees.
        name: String,
        /// The folder, relative to the workspace.
        path: Option<String>,
        /// What is done there.
        access: Access,
    },
    /// To read a contract.
    Contract(String),
    /// To see a setting.
    Config {
        /// Its key.
        key: String,
        /// Its value.
        value: Option<Setting>,
    },
    /// To call a capability, or every one of a family where the name ends in `.**`.
    Invoke(String),
    /// To have a capability started.
    Starts(String),
    /// To use as much as this of something.
    Limit {
        /// Of what.
        of: Limit,
        /// Bytes, milliseconds or requests.
        most: u64,
    },
    /// To run beside other runs: all of them, or those with another target.
    Beside(Option<String>),
    /// To be kept on record like this.
    Kept(Record),
}

/// Where a secret goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into a header of every request to the service.
    Header {
        /// Its name.
        name: String,
        /// Its value, with `{}` where the secret is.
        form: String,
    },
    /// Into the body of some requests.
    Body {
        /// A JSON pointer.
        at: String,
        /// The requests.
        requests: Requests,
    },
}

impl Place {
    /// Whether everything that goes to the other place goes to this one.
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Body { at, requests }, Self::Body { at: other, requests: theirs }) => {
                at == other && requests.passes(theirs)
            }
            (ours, theirs) => ours == theirs,
        }
    }
}

/// What a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Memory of the guest, bytes.
    Memory,
    /// Real time of a phase, milliseconds.
    Time,
    /// Requests of a phase.
    Requests,
    /// One answer's body, bytes.
    Response,
    /// The output, bytes.
    Output,
    /// Waiting for the target, milliseconds.
    Wait,
}

impl Right {
    /// Whether whoever has this right can do all that the other allows.
    pub fn subsumes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Safety(ours), Self::Safety(theirs)) => ours >= theirs,
            (Self::Approval(ours), Self::Approval(theirs)) => asks_no_more(ours, theirs),
            (Self::Requests(ours), Self::Requests(theirs)) => ours.subsumes(theirs),
            (Self::Trust { service, tls }, Self::Trust { service: other, tls: theirs }) => {
                // The one certificate may well be vouched for by somebody; the reverse is not known.
                service == other
                    && (tls == theirs || matches!(theirs, Some(Tls::Pinned { .. })) && !is_pinned(tls))
            }
            (Self::Address { service, range }, Self::Address { service: other, range: theirs }) => {
                service == other && range.contains(theirs)
            }
            (
                Self::Directory { name, path, access },
                Self::Directory { name: other, path: theirs, access: their_access },
            ) => name == other && access >= their_access && holds(path.as_deref(), theirs.as_deref()),
            (Self::Config { key, value }, Self::Config { key: other, value: theirs }) => {
                key == other && (value.is_none() || value == theirs)
            }
            (
                Self::Secret { service, secret, place },
                Self::Secret { service: other, secret: theirs, place: their_place },
            ) => (service, secret) == (other, theirs) && place.holds(their_place),
            (Self::Repeat { requests, header }, Self::Repeat { requests: theirs, header: their_header }) => {
                header == their_header && requests.passes(theirs)
            }
            (Self::Invoke(ours), Self::Invoke(theirs)) => ours == theirs || invokes(ours, theirs),
            (Self::Limit { of, most }, Self::Limit { of: other, most: theirs }) => {
                of == other && most >= theirs
            }
            (Self::Beside(ours), Self::Beside(theirs)) => ours.is_none() || ours == theirs,
            (ours, theirs) => ours == theirs,
        }
    }

    /// What both allow; `None` where that is surely nothing.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Requests(ours), Self::Requests(theirs)) => ours.intersect(theirs).map(Self::Requests),
            (
                Self::Directory { name, path, access },
                Self::Directory { name: other, path: theirs, access: their_access },
            ) if name == other => {
                let inner = match (path.as_deref(), theirs.as_deref()) {
                    (ours, theirs) if holds(ours, theirs) => theirs,
                    (ours, theirs) if holds(theirs, ours) => ours,
                    _ => return None,
                };
                let access = *access.min(their_access);
                Some(Self::Directory { name: name.clone(), path: inner.map(str::to_owned), access })
            }
            (Self::Approval(ours), Self::Approval(theirs)) => both(ours, theirs).map(Self::Approval),
            (ours, theirs) if ours.subsumes(theirs) => Some(theirs.clone()),
            (ours, theirs) if theirs.subsumes(ours) => Some(ours.clone()),
            _ => None,
        }
    }
}

/// Whether some of the rights together allow what one more would: a set of requests may be covered in parts.
pub fn covers<'a>(rights: impl IntoIterator<Item = &'a Right> + Clone, right: &Right) -> bool {
    covered(&rights, right, &mut PARTS.clone())
}

fn covered<'a>(
    rights: &(impl IntoIterator<Item = &'a Right> + Clone),
    right: &Right,
    left: &mut usize,
) -> bool {
    if rights.clone().into_iter().any(|ours| ours.subsumes(right)) {
        return true;
    }
    let Right::Requests(requests) = right else { return false };
    let Some(parts) = requests.parts() else { return false };
    let Some(rest) = left.checked_sub(parts.len()) else { return false };
    *left = rest;
    parts.into_iter().all(|part| covered(rights, &Right::Requests(part), left))
}

fn is_pinned(tls: &Option<Tls>) -> bool {
    matches!(tls, Some(Tls::Pinned { .. }))
}

/// Whether every plan that the second lets pass, the first lets pass.
fn asks_no_more(first: &Approval, second: &Approval) -> bool {
    match (first.mode, second.mode) {
        (Mode::Auto, _) => true,
        (Mode::Manual, Mode::Auto) => false,
        (Mode::Manual, Mode::Manual) => {
            first.approvals <= second.approvals && second.accept.iter().all(|way| first.accept.contains(way))
        }
    }
}

/// An approval that both accept.
fn both(one: &Approval, other: &Approval) -> Option<Approval> {
    match (one.mode, other.mode) {
        (Mode::Auto, _) => Some(other.clone()),
        (_, Mode::Auto) => Some(one.clone()),
        (Mode::Manual, Mode::Manual) => {
            let accept: Vec<Accept> =
                one.accept.iter().filter(|way| other.accept.contains(way)).copied().collect();
            let approvals = one.approvals.max(other.approvals);
            (!accept.is_empty()).then(|| Approval { accept, approvals, ..one.clone() })
        }
    }
}

/// Whether the second folder is the first or lies in it. `None` is any folder.
fn holds(first: Option<&str>, second: Option<&str>) -> bool {
    match (first, second) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => {
            second.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

impl Limit {
    /// The key in a binding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Requests => "requests",
            Self::Response => "response",
            Self::Output => "output",
            Self::Wait => "wait",
        }
    }

    /// An amount as a binding writes it.
    pub fn amount(self, most: u64) -> String {
        let units: &[(u64, &str)] = match self {
            Self::Requests => &[],
            Self::Time | Self::Wait => {
                &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")]
            }
            Self::Memory | Self::Response | Self::Output => {
                &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, " bytes")]
            }
        };
        let unit = units.iter().find(|(factor, _)| most > 0 && most.is_multiple_of(*factor));
        unit.map_or_else(|| most.to_string(), |(factor, unit)| format!("{}{unit}", most / factor))
    }
}

/// Milliseconds, as limits are compared.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How plans are approved, in words.
pub(crate) fn approval_words(approval: &Approval) -> String {
    if approval.mode == Mode::Auto {
        return "approved by nobody".to_owned();
    }
    let way = |way: &Accept| match way {
        Accept::Signed => "signed",
        Accept::Confirmed => "confirmed at the terminal",
        Accept::Piped => "a piped yes",
    };
    let ways = approval.accept.iter().map(way).collect::<Vec<_>>().join(" or ");
    match approval.approvals {
        1 => format!("approved by one person ({ways})"),
        count => format!("approved by {count} people ({ways})"),
    }
}

/// One line for people, without hidden characters.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Interface { name, track } if track.is_empty() => format!("import {name}"),
            Self::Interface { name, track } => format!("import {name} {track}"),
            Self::Safety(safety) => format!("safety {}", safety.as_str()),
            Self::Approval(approval) => format!("plans {}", approval_words(approval)),
            Self::Requests(requests) => requests.to_string(),
            Self::Origin { service, origin: Some(origin) } => format!("service {service} at {origin}"),
            Self::Origin { service, origin: None } => format!("service {service}, which is this host"),
            Self::Trust { service, tls: None } => format!("service {service} by the system's certificates"),
            Self::Trust { service, tls: Some(Tls::Authority { ca }) } => {
                format!("service {service} by a certificate that {ca} vouches for")
            }
            Self::Trust { service, tls: Some(Tls::Pinned { fingerprint }) } => {
                format!("service {service} by the one certificate {fingerprint}")
            }
            Self::Address { service, range } => format!("service {service} dialled in {range}"),
            Self::Secret { service, secret, place: Place::Header { name, form } } => {
                format!("service {service} with the secret `{secret}` in the header {name} as \"{form}\"")
            }
            Self::Secret { service, secret, place: Place::Body { at, requests } } => {
                let Requests { method, path, .. } = requests;
                format!("service {service} with the secret `{secret}` in {at} of the body of {method} {path}")
            }
            Self::Repeat { requests: Requests { service, method, path, .. }, header } => {
                format!("{method} {path} of {service} repeated where no answer comes, with a key in {header}")
            }
            Self::Directory { name, path, access } => {
                let path = path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default();
                format!("directory {name}{path} ({})", access.as_str())
            }
            Self::Contract(name) => format!("contract {name}"),
            Self::Config { key, value: None } => format!("setting {key}"),
            Self::Config { key, value: Some(value) } => format!("setting {key} = {}", value.to_json()),
            Self::Invoke(name) => format!("call {name}"),
            Self::Starts(name) => format!("have {name} started"),
            Self::Limit { of, most } => format!("{} up to {}", of.as_str(), of.amount(*most)),
            Self::Beside(None) => "run beside any other run".to_owned(),
            Self::Beside(Some(target)) => format!("run beside those with another target than {target}"),
            Self::Kept(Record::Full) => "kept on record with bodies".to_owned(),
            Self::Kept(Record::Digests) => "kept on record as digests".to_owned(),
        };
        f.write_str(&visible(&text))
    }
}
