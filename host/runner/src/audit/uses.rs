//! What receipts say of a capability's newest runs: what was used, what was denied, who approved.
//!
//! Each receipt is read once. Its digest and its signature are checked, and one that does not hold is told of and not
//! counted. A use counts for the rule that has its id, method and path today: a rule that was written anew was never used.

use std::collections::{BTreeMap, BTreeSet};

use ops_ledger::receipt::{Access, ApprovalHow, DenialKind, Mode, Receipt, Status};
use ops_ledger::store::Newest;
use ops_policy::binding::Binding;
use ops_policy::manifest;
use ops_policy::visible::{clip, visible};

use super::{DeniedView, RightKind, RightRow, RunView};
use crate::ending::Ending;
use crate::receipts::statement;
use crate::runner::Runner;

/// Receipts that are read and taken apart at once.
const BATCH: usize = 512;
/// Runs that a page lists.
const LISTED: usize = 20;
/// Different denials that a page lists.
const DENIALS: usize = 20;
/// The longest text of a denial, in bytes.
const TEXT: usize = 300;

/// What the receipts of one capability say.
#[derive(Default)]
pub(super) struct Uses {
    /// How many were read.
    pub(super) looked_at: u64,
    /// In how many runs something was used, by [`key`].
    pub(super) used: BTreeMap<Key, u64>,
    /// In how many runs that came to an end by themselves it was granted.
    pub(super) offered: BTreeMap<Key, u64>,
    /// The newest runs, the newest first.
    pub(super) runs: Vec<RunView>,
    /// What was asked for and not had, with the digest of the component that asked.
    pub(super) denied: Vec<(DeniedView, Option<String>)>,
    /// Receipts that do not hold.
    pub(super) broken: Vec<String>,
}

/// The uses of each of these capabilities, from its newest receipts.
pub(super) fn gather(
    runner: &Runner,
    capabilities: &BTreeSet<String>,
    each: u32,
) -> Result<BTreeMap<String, Uses>, Ending> {
    let newest = runner.ledger().newest(capabilities, each)?;
    let key = runner.key().public();
    let mut uses: BTreeMap<String, Uses> = BTreeMap::new();
    for batch in newest.chunks(BATCH) {
        let sequences: Vec<_> = batch.iter().map(|newest| newest.sequence).collect();
        let bundles = runner.ledger().bundles(&sequences)?;
        let read = |part: &[(&Newest, Option<Vec<u8>>)]| -> Vec<Option<Receipt>> {
            let receipt =
                |bundle: &Vec<u8>| statement(bundle, &key).ok().map(|statement| statement.predicate);
            part.iter().map(|(_, bundle)| bundle.as_ref().and_then(receipt)).collect()
        };
        let pairs: Vec<_> = batch.iter().zip(bundles).collect();
        let receipts = super::gather::shared_out(&pairs, read);
        for ((newest, _), receipt) in pairs.iter().zip(receipts) {
            let uses = uses.entry(newest.capability.clone()).or_default();
            match receipt {
                Some(receipt) => uses.add(&receipt),
                None => uses.broken.push(newest.run.clone()),
            }
        }
    }
    Ok(uses)
}

impl Uses {
    /// Takes a receipt in; they come the newest first.
    fn add(&mut self, receipt: &Receipt) {
        // An approval that was refused, and a word on another run, are no runs of the component.
        if matches!(receipt.run.mode, Mode::Approve | Mode::Resolve) {
            return;
        }
        self.looked_at += 1;
        if self.runs.len() < LISTED {
            self.runs.push(run(receipt));
        }
        for key in used(receipt) {
            *self.used.entry(key).or_default() += 1;
        }
        // A run that broke off may not have come to what it needs late.
        if matches!(receipt.run.status, Status::Done | Status::Planned | Status::Partial) {
            for key in offered(receipt) {
                *self.offered.entry(key).or_default() += 1;
            }
        }
        self.denials(receipt);
    }

    fn denials(&mut self, receipt: &Receipt) {
        let component = receipt.definition.component.as_ref().map(|component| component.digest.to_string());
        for denial in receipt.denied.iter().filter(|denial| asks_for_more(denial.kind)) {
            let (what, reason) = (shown(&denial.what), shown(&denial.reason));
            let same = |(view, by): &&mut (DeniedView, Option<String>)| {
                view.kind == denial.kind.word() && view.what == what && *by == component
            };
            if let Some((view, _)) = self.denied.iter_mut().find(same) {
                view.runs += 1;
            } else if self.denied.len() < DENIALS {
                let view = DeniedView {
                    kind: denial.kind.word().to_owned(),
                    what,
                    reason,
                    runs: 1,
                    key: receipt.run.id.clone(),
                    current: false,
                };
                self.denied.push((view, component.clone()));
            }
        }
    }
}

/// Whether a denial is the component's asking. A lock that does not hold, an approval that is missing and a limit are
/// not.
fn asks_for_more(kind: DenialKind) -> bool {
    match kind {
        DenialKind::Import
        | DenialKind::Request
        | DenialKind::Effect
        | DenialKind::Address
        | DenialKind::File
        | DenialKind::Invoke => true,
        DenialKind::Lock | DenialKind::Approval | DenialKind::Limit | DenialKind::Run => false,
    }
}

/// What is used, of the rights whose use a receipt tells: a rule by service, id, method and path, a capability that is
/// called, a directory in which files are staged.
pub(super) type Key = Vec<String>;

/// The key of a row of the page, where receipts tell whether it was used.
pub(super) fn key(binding: &Binding, row: &RightRow) -> Option<Key> {
    match row.kind {
        RightKind::Request => {
            let (service, id) = (row.of.as_ref()?, row.rule.as_ref()?);
            let rule = binding.services.get(service)?.rule(id)?;
            Some(of_rule(service, id, rule.method.as_str(), &rule.path.to_string()))
        }
        RightKind::Invoke => Some(of_name("invoke", row.name.as_ref()?)),
        RightKind::Directory if row.effect > Some(manifest::RuleEffect::Read) => {
            Some(of_name("directories", row.name.as_ref()?))
        }
        // A file that is read, a setting and a start leave no trace in the run's own receipt.
        RightKind::Directory | RightKind::Contract | RightKind::Config | RightKind::Starts => None,
    }
}

fn of_rule(service: &str, id: &str, method: &str, path: &str) -> Key {
    ["services", service, id, method, path].map(str::to_owned).to_vec()
}

fn of_name(kind: &str, name: &str) -> Key {
    [kind, name].map(str::to_owned).to_vec()
}

/// What a run used: the rules of its requests and of its effects, sent or only planned, what it called, and where it
/// changed files.
fn used(receipt: &Receipt) -> BTreeSet<Key> {
    let requests = receipt.used.iter().map(|used| (&used.service, Some(&used.rule)));
    let effects = receipt.effects.iter().map(|effect| (&effect.service, effect.rule.as_ref()));
    let rules = requests.chain(effects).filter_map(|(service, id)| {
        let granted = receipt.grants.services.iter().find(|granted| granted.name == *service)?;
        let rule = granted.rules.iter().find(|rule| Some(&rule.id) == id)?;
        Some(of_rule(service, &rule.id, &rule.method, &rule.path))
    });
    let invoked = receipt.invoked.iter().map(|call| of_name("invoke", &call.capability));
    let staged = receipt.files.iter().map(|file| of_name("directories", &file.directory));
    rules.chain(invoked).chain(staged).collect()
}

/// What a run was granted, of the same kinds.
fn offered(receipt: &Receipt) -> Vec<Key> {
    let grants = &receipt.grants;
    let rules = grants.services.iter().flat_map(|service| {
        service.rules.iter().map(|rule| of_rule(&service.name, &rule.id, &rule.method, &rule.path))
    });
    let invoke = grants.invoke.iter().map(|name| of_name("invoke", name));
    let staged = grants.directories.iter().filter(|directory| directory.access == Access::Stage);
    rules.chain(invoke).chain(staged.map(|directory| of_name("directories", &directory.name))).collect()
}

fn run(receipt: &Receipt) -> RunView {
    let approval = &receipt.approval;
    let approved_by = match approval.how {
        ApprovalHow::None => None,
        ApprovalHow::Auto => Some("auto".to_owned()),
        ApprovalHow::Signed | ApprovalHow::Confirmed | ApprovalHow::Piped => {
            let names: Vec<_> =
                approval.approvers.iter().map(|approver| visible(&approver.principal)).collect();
            Some(format!("{} ({})", names.join(", "), approval.how.word()))
        }
    };
    RunView {
        key: receipt.run.id.clone(),
        status: receipt.run.status.word().to_owned(),
        at: receipt.run.finished_on.to_string(),
        approved_by,
    }
}

fn shown(text: &str) -> String {
    clip(&visible(text), TEXT)
}
