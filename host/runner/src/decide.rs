//! Step 2: what this run may do, before one guest instruction.
//!
//! Order: author's needs and operator's grants are intersected; the component's imports are compared with what will
//! be linked; where `ops.yaml` requires a review, there must be one that counts; each credential's secret must name the origin that it would go to; certificates and contracts must be
//! in the lock; each granted directory must lie, links followed, away from everything that grants rights.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ops_policy::grant_path::{self, Protected};
use ops_policy::manifest::{Access, NeedKind, RuleEffect, Safety};
use ops_policy::message::Input;
use ops_policy::rights::{GrantedService, Rights};
use ops_policy::rule::Rule;
use ops_policy::service::Tls;
use ops_policy::settings::Role;
use ops_sandbox::imports;
use ops_sandbox::job::Links;
use serde_json::Value;

use crate::ending::Ending;
use crate::invoking;
use crate::run::{Decided, Resolved, Run, Wanted};
use crate::workspace::{BINDINGS, Workspace};

/// What the rights of a run rest on in the file system.
pub(crate) struct Grounds {
    /// Links for the sandbox.
    pub(crate) links: Links,
    /// Granted directories: name, real folder, access.
    pub(crate) directories: Vec<(String, PathBuf, Access)>,
    /// Granted contracts: name and bytes.
    pub(crate) contracts: Vec<(String, Vec<u8>)>,
    /// Private certificate authorities by service.
    pub(crate) authorities: BTreeMap<String, Vec<u8>>,
    /// The Infisical server's, where it has one of its own.
    pub(crate) infisical: Option<Vec<u8>>,
}

impl Run<'_> {
    pub(crate) fn decide(&mut self, resolved: Resolved) -> Result<Decided, Ending> {
        let Resolved { pinned, capability, ready, .. } = &resolved;
        let workspace = self.runner.workspace();
        let mut rights = Rights::intersect(&capability.manifest, &capability.binding).map_err(|missing| {
            let list: Vec<_> = missing.iter().map(ToString::to_string).collect();
            Ending::denied(
                "not-granted",
                format!(
                    "{} does not grant what the capability needs:\n{}",
                    workspace.shown(&capability.binding_file),
                    list.join("\n")
                ),
            )
        })?;
        // Taking something back is destructive, whatever the run was.
        if is_undo(&resolved.wanted) {
            rights.safety = Safety::Destructive;
        }
        self.record.rights = Some(rights.clone());
        invoking::admit(&self.order.cause, rights.safety == Safety::ReadOnly)?;
        if self.role == Some(Role::Reader) && rights.safety != Safety::ReadOnly {
            return Err(Ending::denied(
                "role",
                format!(
                    "`{}` is a reader: it may run read-only capabilities, and ask for no change (ops.yaml: agents)",
                    ops_policy::visible::visible(&self.order.actor.id)
                ),
            ));
        }
        let dialled = |service: &&GrantedService| service.grant.origin.is_some();
        let http =
            rights.services.values().filter(dialled).any(|service| service.grant.rules.iter().any(reads));
        let invoke =
            capability.manifest.needs.iter().any(|need| matches!(need.need, NeedKind::Invoke { .. }));
        let links = Links { fetch: true, effects: rights.safety != Safety::ReadOnly, http, invoke };
        imports::check(ready.component.imports(), links, rights.safety).map_err(|refused| {
            Ending::denied("import", format!("{}: {refused}", workspace.shown(&capability.binding.component)))
        })?;
        let component = pinned.component(workspace, &capability.binding.component)?;
        pinned.admit_review(rights.safety, &capability.name, component, self.now)?;
        pinned
            .settings
            .admit(&capability.binding)
            .map_err(|error| Ending::denied("secret", error.to_string()))?;
        let mut authorities = BTreeMap::new();
        for (name, service) in &rights.services {
            if let Some(Tls::Authority { ca }) = &service.grant.tls {
                authorities.insert(name.clone(), pinned.file(workspace, ca)?);
            }
        }
        let infisical = match pinned.settings.infisical.as_ref().and_then(|server| server.tls.as_ref()) {
            Some(Tls::Authority { ca }) => Some(pinned.file(workspace, ca)?),
            _ => None,
        };
        let mut contracts = Vec::new();
        for name in &rights.contracts {
            contracts.push((name.clone(), pinned.file(workspace, &format!("{BINDINGS}/{name}"))?));
        }
        self.record.contracts.clone_from(&contracts);
        let grounds =
            Grounds { links, directories: self.directories(&rights)?, contracts, authorities, infisical };
        let arguments = match &resolved.wanted {
            Wanted::Call(arguments) => arguments.values.to_string(),
            Wanted::Apply { plan, .. } => plan.input.arguments.clone(),
            Wanted::Undo(undone) => undone.plan.input.arguments.clone(),
        };
        let input = Input {
            arguments,
            config: Value::Object(rights.config.clone()).to_string(),
            services: rights.services.keys().cloned().collect(),
        };
        if let Wanted::Apply { plan, .. } = &resolved.wanted
            && plan.input != input
        {
            return Err(Ending::denied(
                "plan",
                "the plan's input is not what this binding gives the capability",
            ));
        }
        self.record.input = Some(input.clone());
        Ok(Decided { rights: Arc::new(rights), input, grounds, resolved })
    }

    /// The granted folders, links followed, away from what grants rights.
    fn directories(&self, rights: &Rights) -> Result<Vec<(String, PathBuf, Access)>, Ending> {
        let workspace = self.runner.workspace();
        let mut found = Vec::new();
        if rights.directories.is_empty() {
            return Ok(found);
        }
        let protected = protected(workspace);
        for (name, grant) in &rights.directories {
            let path = workspace.root().join(&grant.path);
            let real = path.canonicalize().map_err(|error| {
                Ending::denied("directory", format!("directory `{name}`: {}: {error}", path.display()))
            })?;
            grant_path::check(&real, &protected)
                .map_err(|error| Ending::denied("directory", format!("directory `{name}`: {error}")))?;
            found.push((name.clone(), real, grant.access));
        }
        Ok(found)
    }
}

/// Everything that grants rights or holds what the host knows.
pub(crate) fn protected(workspace: &Workspace) -> Vec<Protected> {
    let root = workspace.root();
    let inside = ["ops.yaml", "ops.lock", "approvers", "bindings", "components", "tls"];
    inside
        .iter()
        .map(|name| (root.join(name), (*name).to_owned()))
        .chain([
            (workspace.receipts(), "the receipts".to_owned()),
            (workspace.state().to_path_buf(), "the host's state".to_owned()),
        ])
        .map(|(path, what)| Protected { path: path.canonicalize().unwrap_or(path), what })
        .collect()
}

fn is_undo(wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Call(_) => false,
        Wanted::Apply { plan, .. } => plan.undoes.is_some(),
        Wanted::Undo(_) => true,
    }
}

/// Plain `wasi:http` gets to read, where something may be read at all.
fn reads(rule: &Rule) -> bool {
    rule.effect == RuleEffect::Read
}
