//! What all runs of a process share: the workspace, the ledger, the host's key, the engine and the egress.

use std::sync::{Arc, Mutex, Once, OnceLock};

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
use crate::prune::Held;
use crate::ready::Shelf;
use crate::schema;
use crate::seen::Seen;
use crate::trust::Trust;
use crate::workspace::{Workspace, WorkspaceError, private_folder};
use crate::writing_out::Waiting;

/// What all runs of a process share. Clones are the same.
#[derive(Clone)]
pub struct Runner(Arc<Shared>);

struct Shared {
    workspace: Workspace,
    ledger: Arc<Ledger>,
    audit: Arc<AuditLog>,
    key: HostKey,
    egress: Arc<Egress>,
    /// Made when the first component is needed: most commands need none.
    sandbox: OnceLock<Sandbox>,
    /// What need not be read again.
    seen: Seen,
    /// Capabilities that have run.
    ready: Shelf,
    /// How full the content store is.
    held: Mutex<Option<Held>>,
    /// Receipts whose folders are not written yet.
    waiting: Arc<Waiting>,
    /// Whether the ledger is ready for a receipt.
    awaited: Once,
    /// Made when the first guest is to run, or when it was said that this host stays.
    workers: OnceLock<Workers>,
    /// What was found and mended at the start, for people.
    recovered: OnceLock<Vec<String>>,
}

impl Runner {
    /// Opens a workspace that is trusted on this host, with its ledger and key.
    ///
    /// # Errors
    ///
    /// Nobody trusted it here, or its state cannot be used.
    pub fn open(workspace: Workspace) -> Result<Self, WorkspaceError> {
        Self::with(workspace, None)
    }

    /// The same for one run that comes at once: the process for its guest starts, and the lock is read, while the ledger is
    /// opened.
    ///
    /// # Errors
    ///
    /// Those of [`Runner::open`].
    pub fn open_for_a_run(workspace: Workspace) -> Result<Self, WorkspaceError> {
        let workers = Workers::new(Program::own());
        workers.expect_any();
        Self::with(workspace, Some(workers))
    }

    /// `workers` are those of a run that comes at once.
    fn with(workspace: Workspace, workers: Option<Workers>) -> Result<Self, WorkspaceError> {
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
        let seen = Seen::default();
        let open = || Ledger::open(workspace.state());
        let ledger = match &workers {
            // What is wrong with the lock, the run finds out.
            Some(_) => beside(open, || drop(seen.pinned(&workspace, Timestamp::now()))),
            None => open(),
        };
        let ledger = ledger.map_err(|error| fail(&error))?;
        if !has_key && ledger.size().map_err(|error| fail(&error))? > 0 {
            return Err(lost("host's key (host.key)"));
        }
        let key = HostKey::load_or_create(workspace.state()).map_err(|error| fail(&error))?;
        let runner = Self(Arc::new(Shared {
            audit: Arc::new(AuditLog::new(workspace.state())),
            workspace,
            ledger: Arc::new(ledger),
            key,
            egress: Arc::new(Egress::new(Hickory::default())),
            sandbox: OnceLock::new(),
            seen,
            ready: Shelf::default(),
            held: Mutex::default(),
            waiting: Arc::default(),
            awaited: Once::new(),
            workers: workers.map_or_else(OnceLock::new, OnceLock::from),
            recovered: OnceLock::new(),
        }));
        let recovered = runner.recover();
        runner.0.recovered.get_or_init(|| recovered);
        Ok(runner)
    }

    /// Has processes for guests ready before a run wants one, and lets those that had no folders take several runs of
    /// their binding. For a front end that stays and serves many, before its first run.
    pub fn keep_workers(&self) {
        self.0.workers.get_or_init(|| Workers::kept(Program::own()));
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
        self.0.recovered.get().map_or(&[], Vec::as_slice)
    }

    /// How many of this host's commits were waited for until the disk had them.
    pub fn durable_commits(&self) -> u64 {
        self.0.ledger.durable_commits()
    }

    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.0.workspace
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
            .block_on(self.workers().describe(&component, self.needs_landlock()))
            .map_err(|error| error.to_string())?;
        manifest.check_arguments()?;
        schema::check(&manifest)?;
        Ok(Described {
            manifest,
            imports: component.imports().iter().cloned().collect(),
            interface: component.interface_digest(),
        })
    }

    pub(crate) fn sandbox(&self) -> Result<&Sandbox, Ending> {
        if let Some(sandbox) = self.0.sandbox.get() {
            return Ok(sandbox);
        }
        let sandbox = Sandbox::new(&self.0.workspace.state().join("cache"))
            .map_err(|error| Ending::denied("sandbox", error.to_string()))?;
        Ok(self.0.sandbox.get_or_init(|| sandbox))
    }

    pub(crate) fn workers(&self) -> &Workers {
        self.0.workers.get_or_init(|| Workers::new(Program::own()))
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    pub(crate) fn audit(&self) -> Arc<AuditLog> {
        self.0.audit.clone()
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    pub(crate) fn held(&self) -> &Mutex<Option<Held>> {
        &self.0.held
    }

    pub(crate) fn ready(&self) -> &Shelf {
        &self.0.ready
    }

    /// Makes the ledger ready for the first receipt, while the guest's process comes up.
    pub(crate) fn await_receipt(&self) {
        self.0.awaited.call_once(|| self.ledger().make_ready());
    }

    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        &self.0.waiting
    }

    pub(crate) fn key(&self) -> &HostKey {
        &self.0.key
    }

    pub(crate) fn egress(&self) -> Arc<Egress> {
        self.0.egress.clone()
    }

    /// Host and engine, with their versions: a plan is carried out by the ones that made it.
    pub(crate) fn host(&self) -> String {
        format!("ops {}, {}", env!("CARGO_PKG_VERSION"), Sandbox::engine_version())
    }
}

/// Does something on a thread of its own, and something else meanwhile.
fn beside<T: Send>(work: impl Fn() -> T + Sync, meanwhile: impl FnOnce()) -> T {
    std::thread::scope(|scope| {
        let started = std::thread::Builder::new().spawn_scoped(scope, &work);
        meanwhile();
        match started.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // Without a thread, one after the other.
            Err(_) => work(),
        }
    })
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
