//! What all runs of a process share: the workspace, the ledger, the host's key, the engine and the egress.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use ops_egress::resolve::Hickory;
use ops_egress::send::Egress;
use ops_ledger::audit::AuditLog;
use ops_ledger::key::HostKey;
use ops_ledger::store::{Ledger, LedgerError};
use ops_sandbox::confine::has_landlock;
use ops_sandbox::engine::Sandbox;
use ops_sandbox::workers::{Program, Workers};

use crate::ending::Ending;
use crate::pin::Described;
use crate::seen::Seen;
use crate::trust::Trust;
use crate::workspace::{Workspace, WorkspaceError, private_folder};

/// What all runs of a process share.
pub struct Runner {
    workspace: Workspace,
    ledger: Arc<Ledger>,
    audit: Arc<AuditLog>,
    key: HostKey,
    egress: Arc<Egress>,
    /// Made when the first component is needed: most commands need none.
    sandbox: OnceLock<Sandbox>,
    /// What lists need not read again.
    seen: Seen,
    workers: Workers,
    /// What was found and mended at the start, for people.
    recovered: Vec<String>,
}

impl Runner {
    /// Opens a workspace that is trusted on this host, with its ledger and key.
    ///
    /// # Errors
    ///
    /// Nobody trusted it here, or its state cannot be used.
    pub fn open(workspace: Workspace) -> Result<Self, WorkspaceError> {
        if Trust::load(&workspace)?.is_none() {
            return Err(WorkspaceError(crate::pinned::untrusted(&workspace)));
        }
        let fail = |error: &dyn std::fmt::Display| WorkspaceError(error.to_string());
        // Made here and not by the first run, so that wrong usage of a capability writes nothing at all.
        for folder in ["runs", "staging"] {
            private_folder(&workspace.state().join(folder))?;
        }
        // The ledger is made before the key. One without the other means that something was lost, and what is made
        // anew would not fit what is left.
        let lost = |what: &str| {
            WorkspaceError(format!(
                "{}: the {what} is gone, though this host has worked here; restore it from a backup, or move the whole \
                 folder away to begin anew",
                workspace.state().display()
            ))
        };
        let has_key = workspace.state().join("host.key").exists();
        if has_key && !workspace.state().join("ledger.db").exists() {
            return Err(lost("ledger (ledger.db)"));
        }
        let ledger = Ledger::open(workspace.state()).map_err(|error| fail(&error))?;
        if !has_key && ledger.size().map_err(|error| fail(&error))? > 0 {
            return Err(lost("host's key (host.key)"));
        }
        let key = HostKey::load_or_create(workspace.state()).map_err(|error| fail(&error))?;
        let mut runner = Self {
            audit: Arc::new(AuditLog::new(workspace.state())),
            workspace,
            ledger: Arc::new(ledger),
            key,
            egress: Arc::new(Egress::new(Hickory::default())),
            sandbox: OnceLock::new(),
            seen: Seen::default(),
            workers: Workers::new(Program::own()),
            recovered: Vec::new(),
        };
        runner.recovered = runner.recover();
        Ok(runner)
    }

    /// Has processes for guests ready before a run wants one, and lets those that had no folders take several runs of
    /// their binding. For a front end that stays and serves many.
    pub fn keep_workers(&mut self) {
        self.workers = Workers::kept(Program::own());
    }

    /// What this host lacks of the confinement of guests, for people to read at the start; none where nothing is.
    pub fn unconfined(&self) -> Option<&'static str> {
        (!has_landlock()).then_some(
            "this kernel has no Landlock: what keeps a capability that has folders from the host's other files is the WebAssembly sandbox alone. \
             A kernel of 5.13 or newer with `landlock` in its parameter `lsm` has it; `require: {landlock: true}` in \
             ops.yaml refuses to run without it",
        )
    }

    /// Whether guests run only where the kernel has Landlock: what the settings in force say. Where none are, nobody has asked
    /// for it.
    pub(crate) fn needs_landlock(&self) -> bool {
        self.pinned(Timestamp::now()).is_ok_and(|pinned| pinned.settings.require.landlock)
    }

    /// What was found at the start: runs that had died, for people.
    pub fn recovered(&self) -> &[String] {
        &self.recovered
    }

    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What a component says of itself, and what it imports. It is asked with every import a trap.
    ///
    /// # Errors
    ///
    /// For people: it is no component of ours, or it does not describe itself.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Described, String> {
        let sandbox = self.sandbox().map_err(|ending| ending.message)?;
        let component = sandbox.load(bytes).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        let manifest = runtime
            .block_on(self.workers.describe(&component, self.needs_landlock()))
            .map_err(|error| error.to_string())?;
        manifest.check_arguments()?;
        Ok(Described {
            manifest,
            imports: component.imports().iter().cloned().collect(),
            interface: component.interface_digest(),
        })
    }

    pub(crate) fn sandbox(&self) -> Result<&Sandbox, Ending> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox);
        }
        let sandbox = Sandbox::new(&self.workspace.state().join("cache"))
            .map_err(|error| Ending::denied("sandbox", error.to_string()))?;
        Ok(self.sandbox.get_or_init(|| sandbox))
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    pub(crate) fn audit(&self) -> Arc<AuditLog> {
        self.audit.clone()
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(crate) fn key(&self) -> &HostKey {
        &self.key
    }

    pub(crate) fn egress(&self) -> Arc<Egress> {
        self.egress.clone()
    }

    /// Host and engine, with their versions: a plan is carried out by the ones that made it.
    pub(crate) fn host(&self) -> String {
        format!("ops {}, {}", env!("CARGO_PKG_VERSION"), Sandbox::engine_version())
    }
}

/// The ledger's refusals, as the end of a run before anything was sent.
impl From<LedgerError> for Ending {
    fn from(error: LedgerError) -> Self {
        let code = match &error {
            LedgerError::PlanNotWaiting { .. } | LedgerError::PlanNotApprovable { .. } => "plan-used",
            LedgerError::ApprovalUsed { .. } | LedgerError::ApprovalElsewhere { .. } => "approval",
            LedgerError::Blocked { .. } => "blocked",
            LedgerError::NotFound { .. } | LedgerError::Ambiguous { .. } => {
                return Self::usage(error.to_string());
            }
            _ => "ledger",
        };
        Self::denied(code, error.to_string())
    }
}
