//! One capability, looked at: its binding, what the lock has of its component, and the component's own bytes.
//!
//! Order: the binding is read once, compared with the lock, then parsed; the component is read once, compared with the
//! lock, then inspected. A step that fails leaves its words in the page and ends nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ops_policy::binding::Binding;
use ops_policy::digest::Digest;
use ops_policy::finding::Severity;
use ops_policy::interface::Interface;
use ops_policy::limits::Limits;
use ops_policy::lock::Component;
use ops_policy::manifest::Manifest;
use ops_policy::right::Limit;
use ops_policy::rights::Rights;
use ops_policy::service::{Service, Tls};
use ops_policy::visible::{clip, visible};
use ops_sandbox::inspect::{self, Inspection};

use super::basis::{About, Basis, Lines, not_in_lock, unreadable};
use super::uses::Uses;
use super::{Claims, Finding, Import, Page, ReviewState, ReviewView, ServiceView, rows};
use crate::pinned::binding_file;
use crate::reviewing;
use crate::rights_text::ways;
use crate::runner::Runner;
use crate::workspace::{BINDINGS, Workspace};

/// The longest text of a fault, in bytes.
const FAULT: usize = 2000;
/// The largest component that was built again, in bytes: more than the workspace would hold.
const REBUILT: u64 = 256 * 1024 * 1024;

/// One capability with what the findings need to know of it.
pub(super) struct Case<'a> {
    pub(super) page: Page,
    /// The binding's file, as people see it.
    pub(super) file: String,
    pub(super) binding: Option<Binding>,
    pub(super) lines: Lines,
    /// What the lock has of the component.
    pub(super) component: Option<&'a Component>,
    /// What its author says that it needs. By a lock that holds alone: anybody could have written another.
    pub(super) manifest: Option<&'a Manifest>,
    /// Digest of the component as it lies there.
    pub(super) digest: Option<Digest>,
    /// What came of comparing it with one that was built again, where that was asked for.
    pub(super) rebuilt: Option<Rebuilt>,
    /// What its receipts say.
    pub(super) uses: Uses,
    pub(super) problems: Vec<Finding>,
}

/// What came of comparing a component with one that was built again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebuilt {
    /// The same bytes.
    Same,
    /// Other bytes.
    Differs(Digest),
    /// There is none of that name.
    Missing,
}

impl<'a> Case<'a> {
    /// Looks at one capability. `bytes` are those of its binding, or why they could not be had.
    pub(super) fn look(
        runner: &Runner,
        basis: &'a Basis,
        name: &str,
        bytes: Result<Vec<u8>, String>,
        rebuilt: Option<&Path>,
    ) -> Self {
        let file = runner.workspace().shown(&binding_file(name));
        let page = Page { capability: name.to_owned(), binding: file.clone(), ..Page::default() };
        let mut case = Self {
            page,
            file,
            binding: None,
            lines: Lines::default(),
            component: None,
            manifest: None,
            digest: None,
            rebuilt: None,
            uses: Uses::default(),
            problems: Vec::new(),
        };
        case.read_binding(basis, bytes);
        if let Some(binding) = case.binding.take() {
            case.describe(&binding);
            case.read_component(runner, basis, &binding, rebuilt);
            case.page.rights = rows::rows(&binding, case.manifest, &case.lines);
            case.admissible(runner.workspace(), basis, &binding);
            case.binding = Some(binding);
        }
        case.page.needs_unknown = case.needs_unknown(basis).map(str::to_owned);
        case
    }

    /// A finding about a place in the binding.
    pub(super) fn finding(
        &self,
        id: &'static str,
        severity: Severity,
        at: &str,
        what: String,
        fix: impl Into<String>,
    ) -> Finding {
        self.about(at).finding(id, severity, what, fix)
    }

    fn about<'b>(&'b self, at: &'b str) -> About<'b> {
        About {
            capability: Some(&self.page.capability),
            file: self.file.clone(),
            line: self.lines.at(at),
            subject: at,
        }
    }

    /// Why there are no needs to compare with.
    fn needs_unknown(&self, basis: &Basis) -> Option<&'static str> {
        let why = match (&self.binding, basis.pinned.is_some()) {
            _ if self.manifest.is_some() => return None,
            (None, _) => "its binding cannot be read",
            (_, false) => "no lock holds, so nobody vouches for what its manifest says",
            (_, true) => "its component is not in the lock: `ops pin` asks it",
        };
        Some(why)
    }

    fn fault(&mut self, why: &str) {
        // The first thing that is wrong explains the others.
        self.page.fault.get_or_insert_with(|| clip(&ops_policy::visible::lines(why), FAULT));
    }

    fn read_binding(&mut self, basis: &Basis, bytes: Result<Vec<u8>, String>) {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(why) => {
                self.fault(&why);
                let finding = not_in_lock(self.about("file"), why);
                return self.problems.push(finding);
            }
        };
        let path = binding_file(&self.page.capability);
        self.lines = Lines::of(&self.file, &bytes);
        if let Some(why) = basis.check_file(&path, &bytes) {
            self.fault(&why);
            let about = About { line: Some(1), ..self.about("file") };
            self.problems.push(not_in_lock(about, why));
        }
        let read = Binding::parse(&self.file, &bytes).map_err(|error| (error.line, error.to_string()));
        let named = read.and_then(|binding| match binding.capability == self.page.capability {
            true => Ok(binding),
            false => Err((
                0,
                format!("it binds `{}`; a binding's file name is its capability's name", binding.capability),
            )),
        });
        match named {
            Ok(binding) => self.binding = Some(binding),
            Err((line, why)) => {
                self.fault(&why);
                let about = About { line: Some(line).filter(|line| *line > 0), ..self.about("file") };
                let first = why.lines().next().unwrap_or_default().to_owned();
                self.problems.push(unreadable(about, first));
            }
        }
    }

    /// What the binding says by itself.
    fn describe(&mut self, binding: &Binding) {
        self.page.safety = binding.safety.as_str().to_owned();
        self.page.approval = ways(binding);
        self.page.limits = limits(&binding.limits);
        let services = binding.services.iter().map(|(name, service)| ServiceView {
            line: self.lines.at(&format!("/services/{name}")),
            ..service_view(name, service)
        });
        self.page.services = services.collect();
    }

    fn read_component(
        &mut self,
        runner: &Runner,
        basis: &'a Basis,
        binding: &Binding,
        rebuilt: Option<&Path>,
    ) {
        let workspace = runner.workspace();
        self.page.component = workspace.shown(&binding.component);
        self.component = basis.lock.as_ref().and_then(|lock| lock.components.get(&binding.component));
        if let Some(component) = self.component {
            let pinned = basis.pinned.as_ref();
            let view = pinned.and_then(|pinned| pinned.review(&self.page.capability, component, basis.now));
            self.page.review = view.map(review_view);
            self.page.summary = visible(&component.manifest.summary);
            self.page.version = Some(visible(&component.manifest.version));
            self.page.imports = component.imports.iter().map(|name| import(name, Vec::new())).collect();
        } else if basis.lock.is_some() {
            let why = format!("{} is not in the lock", self.page.component);
            self.fault(&why);
            let finding = not_in_lock(self.about("/component"), why);
            self.problems.push(finding);
        }
        self.manifest =
            self.component.filter(|_| basis.pinned.is_some()).map(|component| &component.manifest);
        let bytes = match workspace.read(&binding.component) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(&error.to_string());
                let finding = unreadable(self.about("/component"), error.to_string());
                return self.problems.push(finding);
            }
        };
        let digest = Digest::of(&bytes);
        (self.digest, self.page.digest) = (Some(digest), Some(digest.to_string()));
        if let Some(pinned) =
            self.component.map(|component| component.digest).filter(|pinned| *pinned != digest)
        {
            let why = format!(
                "{} is not the component that was pinned: it is {}, the lock says {}",
                self.page.component,
                digest.short(),
                pinned.short()
            );
            self.fault(&why);
            let finding = not_in_lock(self.about("/component"), why);
            self.problems.push(finding);
        }
        self.rebuilt = rebuilt.map(|folder| compare(folder, &binding.component, digest));
        match inspect::inspect(&bytes) {
            Ok(inspection) => self.inspected(&inspection),
            Err(error) => {
                let why = format!("{}: {error}", self.page.component);
                self.fault(&why);
                let finding = unreadable(self.about("/component"), why);
                self.problems.push(finding);
            }
        }
    }

    /// What the bytes themselves say.
    fn inspected(&mut self, inspection: &Inspection) {
        self.page.imports =
            inspection.imports.iter().map(|item| import(&item.name, item.functions.clone())).collect();
        self.page.exports = inspection.exports.iter().map(|item| visible(&item.name)).collect();
        let said = &inspection.claims;
        self.page.claims = Claims {
            name: said.name.clone(),
            version: said.version.clone(),
            authors: said.authors.clone(),
            licenses: said.licence.clone(),
            source: said.source.clone(),
            revision: said.revision.clone(),
            homepage: said.homepage.clone(),
            producers: said
                .tools
                .iter()
                .map(|tool| format!("{} {} {}", tool.role, tool.name, tool.version).trim_end().to_owned())
                .collect(),
        };
    }

    /// Whether a run would be refused for what binding and manifest say.
    fn admissible(&mut self, workspace: &Workspace, basis: &Basis, binding: &Binding) {
        let contracts = binding.contracts.iter().map(|name| format!("{BINDINGS}/{name}"));
        let authorities = binding.services.values().filter_map(|service| service.tls.as_ref()?.ca());
        for path in contracts.chain(authorities.map(str::to_owned)) {
            if basis.lock.is_some() && !basis.covers(&path) {
                let why = format!("{} is not in the lock", workspace.shown(&path));
                self.fault(&why);
                let about = About { file: workspace.shown(&path), line: None, ..self.about(&path) };
                let finding = not_in_lock(about, why);
                self.problems.push(finding);
            }
        }
        let Some(manifest) = self.manifest else { return };
        if let Err(missing) = Rights::intersect(manifest, binding) {
            let list: Vec<_> = missing.iter().map(|missing| missing.what.clone()).collect();
            self.fault(&visible(&list.join("; ")));
        }
        if let Some(Err(why)) = basis.settings.as_ref().map(|settings| settings.admit(binding)) {
            self.fault(&why.to_string());
        }
    }
}

fn review_view(view: reviewing::View) -> ReviewView {
    ReviewView {
        reviewer: view.reviewer.unwrap_or_else(|| "nobody who counts".to_owned()),
        at: view.at,
        expires: view.expires,
        state: match view.state {
            "valid" => ReviewState::Valid,
            "expired" => ReviewState::Expired,
            "unsigned" => ReviewState::Unsigned,
            _ => ReviewState::Outdated,
        },
        why: (!view.why.is_empty()).then(|| visible(&view.why.join("; "))),
    }
}

/// Compares a component with the file of the same name in a folder. What is no regular file, or larger than a component
/// may be, is as good as none.
fn compare(folder: &Path, component: &str, digest: Digest) -> Rebuilt {
    let path = folder.join(component.rsplit('/').next().unwrap_or(component));
    let is_fit = path.metadata().is_ok_and(|about| about.is_file() && about.len() <= REBUILT);
    let read = || {
        let mut bytes = Vec::new();
        File::open(&path)?.take(REBUILT).read_to_end(&mut bytes)?;
        std::io::Result::Ok(Digest::of(&bytes))
    };
    match is_fit.then(read) {
        None | Some(Err(_)) => Rebuilt::Missing,
        Some(Ok(found)) if found == digest => Rebuilt::Same,
        Some(Ok(found)) => Rebuilt::Differs(found),
    }
}

pub(super) fn import(name: &str, functions: Vec<String>) -> Import {
    let interface = Interface::parse(name);
    Import {
        name: visible(name),
        class: interface.class.as_str(),
        words: interface.never.unwrap_or(interface.words).to_owned(),
        functions: functions.iter().map(|name| visible(name)).collect(),
    }
}

pub(super) fn service_view(name: &str, service: &Service) -> ServiceView {
    let trust = match (&service.origin, &service.tls) {
        (None, _) => "answered by the host itself".to_owned(),
        (Some(_), None) => "the system's certificate authorities".to_owned(),
        (_, Some(Tls::Authority { ca })) => format!("the certificate authority {}", visible(ca)),
        (_, Some(Tls::Pinned { fingerprint })) => format!("the one certificate {fingerprint}"),
    };
    let credential = service.credential.iter();
    let mut secrets: Vec<_> = credential
        .map(|credential| format!("{} in the header {}", credential.secret, credential.header))
        .collect();
    let placed = service.secrets.iter();
    secrets.extend(
        placed.map(|place| format!("{} at {} of rule {}", place.name, visible(&place.at), place.rule)),
    );
    ServiceView {
        name: name.to_owned(),
        place: service.place(),
        addresses: service.addresses.iter().map(ToString::to_string).collect(),
        trust,
        secrets,
        line: None,
    }
}

/// Each limit and its amount.
pub(super) fn limits(limits: &Limits) -> Vec<(String, String)> {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    [
        (Limit::Memory, limits.memory),
        (Limit::Time, milliseconds(limits.time)),
        (Limit::Requests, limits.requests),
        (Limit::Response, limits.response),
        (Limit::Output, limits.output),
        (Limit::Wait, milliseconds(limits.wait)),
    ]
    .map(|(limit, most)| (limit.as_str().to_owned(), limit.amount(most)))
    .to_vec()
}
