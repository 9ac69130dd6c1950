//! What an audit can find: the kinds, each with an id that stays, what it means and what to do.
//!
//! A suppression in `ops.yaml` names a kind by its id, code scanning shows them as rules, and docs/auditing.md lists
//! them; all three read this one table.

use std::fmt;

use serde::{Deserialize, Serialize};

use self::Severity::{High, Low, Medium};

/// How much a finding weighs. The order is that of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something is wider or less sure than it need be; nothing happens because of it alone.
    Low,
    /// A guard is weaker than it could be, or a change could happen that nothing needs.
    Medium,
    /// What a reviewer relies on does not hold.
    High,
}

impl Severity {
    /// All of them, the lightest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its id, which never changes.
    pub id: &'static str,
    /// How much it weighs at most. Some weigh less where only reading is concerned.
    pub severity: Severity,
    /// What is so, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, in general.
    pub fix: &'static str,
    /// Whether a suppression may name it. Where the audit itself would be blinded, it may not.
    pub suppressible: bool,
    /// Whether each is about one place of many: a rule, a range, a directory, a secret, an import. A suppression has to
    /// name that place, or it would hide what is added beside it later.
    pub placed: bool,
}

/// The kind with that id.
pub fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == id)
}

const fn kind_of(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Kind {
    Kind { id, severity, title, why, fix, suppressible: true, placed: false }
}

const fn always(kind: Kind) -> Kind {
    Kind { suppressible: false, ..kind }
}

const fn placed(kind: Kind) -> Kind {
    Kind { placed: true, ..kind }
}

/// All kinds: what does not hold, then components, grants, approvals, secrets, reviews, use, suppressions.
pub const KINDS: [Kind; 27] = [
    always(kind_of(
        "lock-does-not-hold",
        High,
        "The lock does not hold",
        "Nothing here is vouched for by an approver's signature, and nothing runs. What is shown was read from files \
         that anybody may have changed.",
        "Find out what changed and who changed it, then sign the lock anew with `ops pin`.",
    )),
    always(kind_of(
        "not-in-lock",
        High,
        "A file is not what the lock covers",
        "It was changed, added or taken away after the lock was signed. It is not loaded, so the capability does not run.",
        "Put it back, or look at the difference with `ops pin --check` and sign it with `ops pin`.",
    )),
    always(kind_of(
        "unreadable",
        High,
        "A file cannot be read",
        "What cannot be read cannot be judged: the audit says nothing about this capability.",
        "Mend the file; the message says what is wrong with it.",
    )),
    kind_of(
        "development-lock",
        Medium,
        "The lock is for development",
        "Components were pinned as they came out of the build, and every receipt says so. Such a lock is not for real \
         operations.",
        "Sign the lock without `--development`.",
    ),
    placed(kind_of(
        "import-refused",
        Medium,
        "The component imports what nothing can grant",
        "The host refuses such a component in every run. Its author wanted a right that no binding can give.",
        "Ask the author what it is for, and bind a component without it.",
    )),
    placed(kind_of(
        "import-not-needed",
        High,
        "The component imports a power that it states no need for",
        "The manifest says less than the code asks for. This is what a hidden right looks like.",
        "Ask the author why it is there; do not pin this component before it is explained.",
    )),
    kind_of(
        "not-reproducible",
        High,
        "The component cannot be traced to its source",
        "Without source and revision nobody can build it again and compare. One that was built again and differs is not \
         what its source says.",
        "Ask for a component that names both, build it again, and run `ops audit --rebuilt FOLDER`.",
    ),
    placed(kind_of(
        "grant-not-needed",
        Medium,
        "A grant that the author does not ask for",
        "It has no effect today. An upgrade that asks for it would get it without a change of the binding.",
        "Remove it from the binding.",
    )),
    placed(kind_of(
        "grant-wider-than-need",
        Medium,
        "A grant is wider than the author's need",
        "The part beyond the need has no effect today. An upgrade that asks for more would get it without a change of \
         the binding.",
        "Narrow it to what the manifest states.",
    )),
    placed(kind_of(
        "grant-never-used",
        Medium,
        "A grant was never used",
        "It is needed and in force, and none of the runs that were looked at used it. It may be for a rare case, or for \
         none.",
        "Look at what `ops suggest` would leave; remove what is for no case.",
    )),
    placed(kind_of(
        "private-range",
        Medium,
        "A private range may be dialled",
        "The service may be dialled at any address of the range to which its name resolves, now and later.",
        "List the service's own addresses.",
    )),
    kind_of(
        "limit-missing",
        Low,
        "A limit is not set",
        "The capability talks to a service, and its binding leaves a limit to the default, or sets it to the most there \
         is.",
        "Write the limits that its runs need.",
    ),
    placed(kind_of(
        "body-unconditioned",
        High,
        "A rule takes any body at an endpoint that does many things",
        "At such an endpoint the body says what happens, not method and path. A rule that lets any body through lets \
         everything through.",
        "Add a condition under `body:` that lists what the request may ask for.",
    )),
    kind_of(
        "safety-above-manifest",
        Low,
        "The binding's safety class is above the manifest's",
        "The binding allows more than the author says that the capability does.",
        "Lower `safety` to what the manifest says.",
    ),
    kind_of(
        "auto-approval",
        High,
        "Nobody approves its plans",
        "Changes happen without a person. The receipt says that nobody approved.",
        "Use `approval: {mode: manual}`, or suppress this with the reason why nobody need be asked.",
    ),
    kind_of(
        "confirmed-approval",
        Medium,
        "A typed hash approves",
        "Typing the plan's short hash guards against slips. It is no boundary: whoever has the terminal can do it, and \
         the receipt cannot say who it was.",
        "Accept signatures only: `accept: [signed]`.",
    ),
    kind_of(
        "piped-approval",
        Low,
        "A piped yes approves",
        "Any program that runs as the same user can say yes. Such a binding can only stage records of the workspace.",
        "Accept signatures only: `accept: [signed]`.",
    ),
    placed(kind_of(
        "secret-several-origins",
        Medium,
        "A secret may go to several origins",
        "Whoever runs one of these servers can use it at the others.",
        "Give each origin a secret of its own.",
    )),
    placed(kind_of(
        "secret-not-admitted",
        Medium,
        "A binding sends a secret where ops.yaml does not let it go",
        "Its runs are refused. Either ops.yaml is behind, or the binding would carry a secret to a place that nobody \
         agreed to.",
        "Find out which; only then add the origin in ops.yaml.",
    )),
    kind_of(
        "review-missing",
        High,
        "Nobody has reviewed the capability",
        "No review of it is in the lock.",
        "Look at it, then `ops review sign CAPABILITY`.",
    ),
    kind_of(
        "review-outdated",
        High,
        "The review is of something else",
        "Component, import list or binding have changed since it was signed.",
        "Look at the difference with `ops diff`, then `ops review sign CAPABILITY`.",
    ),
    kind_of(
        "review-expired",
        High,
        "The review has expired",
        "It was for a time that is over.",
        "Look again, then `ops review sign CAPABILITY`.",
    ),
    kind_of(
        "review-unsigned",
        High,
        "The review is by nobody who counts",
        "Its signature is not one of an approver who may review now.",
        "Have an approver who may review sign it.",
    ),
    kind_of(
        "asked-for-more",
        Medium,
        "A run asked for more than it may have",
        "The component that is pinned now asked for something that it was refused.",
        "Look at the receipt: a missing grant, a mistake of the author, or an attempt.",
    ),
    always(kind_of(
        "receipt-damaged",
        High,
        "A receipt does not hold",
        "Its digest or its signature is wrong. It is not counted, so what was used is not known in full.",
        "Run `ops ledger verify`, and find out who or what changed the ledger.",
    )),
    always(kind_of(
        "suppression-expired",
        Low,
        "A suppression has expired",
        "Its finding is shown again.",
        "Look at the finding again: mend it, or write a new date.",
    )),
    always(kind_of(
        "suppression-unused",
        Low,
        "A suppression suppresses nothing",
        "There is no such finding any more. It would hide the next one of its kind.",
        "Remove it from ops.yaml.",
    )),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_words_and_unique() {
        let ids: BTreeSet<_> = KINDS.iter().map(|kind| kind.id).collect();
        assert_eq!(ids.len(), KINDS.len());
        for kind in KINDS {
            assert_eq!(crate::name::check_word(kind.id), Ok(()));
            assert!(
                kind.why.ends_with('.') && kind.fix.ends_with('.') && !kind.title.ends_with('.'),
                "{}",
                kind.id
            );
        }
        assert_eq!(kind("private-range").map(|kind| kind.severity), Some(Medium));
        assert_eq!(kind("Private-range"), None);
    }
}
