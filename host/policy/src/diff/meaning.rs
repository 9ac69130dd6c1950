//! A difference in one right, in a sentence.

use super::Class;
use crate::interface::{Class as Kind, Interface, Power};
use crate::manifest::{Access, RuleEffect, Safety};
use crate::right::{Held, Right, approval_words};

/// The class of a right that came alone.
pub(super) fn alone(right: &Right) -> Class {
    match right {
        // Every guest has these, with nothing in them.
        Right::Interface { .. } if looked_up(right).is_some_and(|found| found.class == Kind::Inert) => {
            Class::Unchanged
        }
        // A setting is data, what is kept is evidence: neither lets anything pass.
        Right::Config { .. } | Right::Kept(_) => Class::Moved,
        _ => Class::Widened,
    }
}

/// The class of a right in whose place another stands that is neither more nor less.
pub(super) fn other(right: &Right) -> Class {
    match right {
        // The same secret goes to the same place.
        Right::Config { .. } | Right::Kept(_) | Right::Beside(_) | Right::Secret { .. } => Class::Moved,
        _ => Class::Widened,
    }
}

/// An import's entry in the list of interfaces.
pub(super) fn looked_up(right: &Right) -> Option<Interface> {
    match right {
        Right::Interface { name, track } => Some(Interface::parse(&format!("{name}@{track}.0"))),
        _ => None,
    }
}

/// What a new right means. `now` is all that there is now.
pub(super) fn gained(right: &Right, now: &[Held]) -> String {
    match right {
        Right::Interface { .. } => import(right),
        Right::Safety(safety) => class_words(*safety, now),
        Right::Approval(approval) => format!("its plans are {}", approval_words(approval)),
        Right::Requests(requests) if requests.only_undo => {
            "the host may send these requests to take a run back".to_owned()
        }
        Right::Requests(requests) => format!("it may {} by these requests", verb(requests.effect)),
        Right::Origin { .. } => "it reaches a place that it did not reach".to_owned(),
        Right::Trust { .. } => "whoever has such a certificate can answer it".to_owned(),
        Right::Address { .. } => "the service may be dialled at addresses of a private network".to_owned(),
        Right::Secret { secret, .. } => format!("the secret `{secret}` goes out with its requests"),
        Right::Repeat { .. } => "the host may send these requests again where no answer came".to_owned(),
        Right::Directory { access: Access::Read, .. } => "it reads the files there".to_owned(),
        Right::Directory { access: Access::Stage, .. } => {
            "it reads the files there and plans changes to them".to_owned()
        }
        Right::Contract(_) => "it reads that contract".to_owned(),
        Right::Config { .. } => "it sees one more setting".to_owned(),
        Right::Invoke(_) => "it may call that capability, which runs with its own rights".to_owned(),
        Right::Starts(_) => {
            "the host starts that capability on its word, as a run of its own with its own approval"
                .to_owned()
        }
        Right::Limit { of, .. } => format!("it may use more {}", of.as_str()),
        Right::Beside(_) => "its runs no longer wait for each other".to_owned(),
        Right::Kept(_) => "its runs are kept on record otherwise".to_owned(),
    }
}

/// What the loss of a right means.
pub(super) fn lost(right: &Right) -> String {
    match right {
        Right::Interface { .. } => "it no longer asks for that".to_owned(),
        Right::Requests(_) => "these requests no longer pass".to_owned(),
        Right::Origin { .. } => "it no longer reaches that place".to_owned(),
        Right::Secret { secret, .. } => format!("the secret `{secret}` is no longer sent there"),
        Right::Address { .. } => "the service is no longer dialled there".to_owned(),
        Right::Directory { .. } => "it no longer sees the files there".to_owned(),
        Right::Config { .. } => "it no longer sees that setting".to_owned(),
        Right::Invoke(_) => "it may no longer call that capability".to_owned(),
        Right::Beside(_) => "its runs wait for each other".to_owned(),
        _ => "it no longer has that".to_owned(),
    }
}

/// What it means that one right stands where the other stood.
pub(super) fn changed(was: &Right, is: &Right, class: Class, now: &[Held]) -> String {
    match (was, is, class) {
        (Right::Requests(was), Right::Requests(is), Class::Widened)
            if is.passes(was) && is.effect < was.effect =>
        {
            format!(
                "requests that counted as `{}` now count as `{}`, and are approved as such",
                was.effect.as_str(),
                is.effect.as_str()
            )
        }
        (Right::Requests(was), Right::Requests(is), Class::Widened) if is.subsumes(was) => {
            format!("it may {} by more requests than before", verb(is.effect))
        }
        (Right::Requests(_), Right::Requests(is), Class::Widened) => {
            format!("it may {} by other requests than before", verb(is.effect))
        }
        (Right::Requests(was), Right::Requests(is), _) if was.passes(is) && was.effect < is.effect => {
            format!(
                "requests that counted as `{}` now count as `{}`",
                was.effect.as_str(),
                is.effect.as_str()
            )
        }
        (Right::Requests(_), Right::Requests(_), _) => "fewer requests pass".to_owned(),
        (Right::Origin { .. }, _, _) => {
            "its requests, and the secrets with them, go to another place".to_owned()
        }
        (Right::Trust { .. }, _, Class::Widened) => {
            "others than before can answer for the service".to_owned()
        }
        (Right::Trust { .. }, _, _) => "fewer can answer for the service".to_owned(),
        (Right::Address { .. }, _, Class::Widened) => "it may be dialled at more addresses".to_owned(),
        (Right::Address { .. }, _, _) => "it may be dialled at fewer addresses".to_owned(),
        (Right::Directory { .. }, Right::Directory { access: Access::Stage, .. }, Class::Widened) => {
            "it may plan changes to more files, or to other ones".to_owned()
        }
        (Right::Directory { .. }, _, Class::Widened) => "it reads more files, or other ones".to_owned(),
        (Right::Directory { .. }, _, _) => "it sees or changes less there".to_owned(),
        (Right::Secret { secret, .. }, _, Class::Moved) => {
            format!("the secret `{secret}` goes out in another header, or in another form")
        }
        (Right::Config { .. }, _, _) => "it sees another value".to_owned(),
        (Right::Limit { of, .. }, _, Class::Widened) => format!("it may use more {}", of.as_str()),
        (Right::Limit { of, .. }, _, _) => format!("it may use less {}", of.as_str()),
        (Right::Approval(_), _, Class::Widened) => {
            "less is asked of people before it changes something".to_owned()
        }
        (Right::Approval(_), _, _) => "more is asked of people before it changes something".to_owned(),
        (Right::Safety(_), Right::Safety(is), Class::Widened) => class_words(*is, now),
        (Right::Safety(_), _, _) => "it may do less than before".to_owned(),
        (Right::Beside(_), Right::Beside(Some(_)), Class::Narrowed) => {
            "runs with the same target wait for each other".to_owned()
        }
        (Right::Beside(_), Right::Beside(None), _) => "its runs no longer wait for each other".to_owned(),
        (Right::Beside(_), _, _) => "its runs wait for each other on another target".to_owned(),
        (Right::Kept(_), Right::Kept(crate::binding::Record::Digests), _) => {
            "bodies are no longer kept: such a run can be neither replayed nor taken back".to_owned()
        }
        (Right::Kept(_), _, _) => "bodies of requests and answers are kept".to_owned(),
        (Right::Interface { .. }, _, _) => "it asks for another version of that interface".to_owned(),
        (_, is, Class::Narrowed) => lost(is),
        (_, is, _) => gained(is, now),
    }
}

fn verb(effect: RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Read => "read",
        RuleEffect::Mutate => "change something",
        RuleEffect::Destroy => "destroy something",
    }
}

fn class_words(safety: Safety, now: &[Held]) -> String {
    let approval = now.iter().find_map(|held| match &held.right {
        Right::Approval(approval) => Some(format!(", {}", approval_words(approval))),
        _ => None,
    });
    let may = match safety {
        Safety::ReadOnly => "it may read",
        Safety::Mutating => "it may change things",
        Safety::Destructive => "it may destroy things",
    };
    format!("{may}{}", approval.unwrap_or_default())
}

fn import(right: &Right) -> String {
    let Some(found) = looked_up(right) else { return String::new() };
    match found.class {
        Kind::Inert => format!("it {}; every guest can, and nothing of the host is in it", found.words),
        Kind::Power => format!("it {}", found.words),
        Kind::Never => format!("it {}; nothing grants that, so it would not run", found.words),
    }
}

/// Whether a need of the author's says what a power is for.
pub(super) fn is_stated(power: Power, needs: &[Held]) -> bool {
    let requests = |change: bool| {
        needs.iter().any(|held| {
            matches!(&held.right, Right::Requests(requests) if (requests.effect > RuleEffect::Read) == change)
        })
    };
    match power {
        Power::Effects => requests(true),
        Power::Fetch | Power::Http => requests(false),
        Power::Invoke => needs.iter().any(|held| matches!(held.right, Right::Invoke(_))),
    }
}
