//! The service `ops`: what the host knows, as answers to reads.
//!
//! It is granted by rules like any other service and never dialled. Every answer is JSON, made from the ledger, the lock and
//! the workspace's files at that moment; nothing of a secret, of a plan's seed or of a recording is in any. A receipt and
//! an output stay as they are once they are written.

mod lines;
mod receipt;
mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use ops_ledger::receipt as ledger;
use ops_ledger::store::{LedgerError, ReceiptFilter};
use ops_policy::digest::Digest;
use ops_policy::message::{Header, Response, WireRequest};
use ops_policy::settings::{Own, Role};
use serde_json::{Value, json};

use crate::ending::Ending;
use crate::pinned::Refusal;
use crate::runner::Runner;
use crate::workspace::BINDINGS;

/// Runs and receipts in one answer at most.
const MAX_LISTED: u32 = 1000;
/// The file of a run's output among its evidence.
pub(crate) const OUTPUT: &str = "output.json";

/// Answers a read of the service.
pub(crate) type OwnAnswers = Arc<dyn Fn(&WireRequest) -> Response + Send + Sync>;

/// Why there is no answer.
enum Missing {
    /// There is no such thing.
    Unknown,
    /// It was erased.
    Erased,
    /// The question is not one that is answered here.
    Malformed(String),
    /// The host could not find out.
    Failed(String),
}

impl From<Ending> for Missing {
    fn from(ending: Ending) -> Self {
        Self::Failed(ending.message)
    }
}

impl From<LedgerError> for Missing {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NotFound { .. } | LedgerError::Ambiguous { .. } => Self::Unknown,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Runner {
    /// Who answers reads of the service `ops`.
    pub(crate) fn own_answers(&self) -> OwnAnswers {
        let runner = self.clone();
        Arc::new(move |request| runner.own(request))
    }

    /// Answers a read of the service `ops` that a rule let through.
    fn own(&self, request: &WireRequest) -> Response {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (status, body) = match self.look_up(path, query) {
            Ok(body) => (200, body),
            Err(Missing::Unknown) => (404, json!({"error": "there is no such thing here"})),
            Err(Missing::Erased) => (410, json!({"error": "it was erased, in order"})),
            Err(Missing::Malformed(why)) => (400, json!({"error": why})),
            Err(Missing::Failed(why)) => (500, json!({"error": why})),
        };
        let headers = vec![Header { name: "content-type".into(), value: "application/json".into() }];
        Response { status, headers, body: body.to_string().into_bytes() }
    }

    fn look_up(&self, path: &str, query: &str) -> Result<Value, Missing> {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let asked = Asked::of(query)?;
        match segments.as_slice() {
            ["receipts", run] => self.own_receipt(run),
            ["receipts"] => self.own_receipts(asked.last),
            ["runs", run, "output"] => self.own_output(run),
            ["runs"] => self.own_runs(&asked),
            ["plans"] => self.own_plans(),
            ["ledger"] => self.own_ledger(),
            ["lock"] => Ok(self.own_lock()),
            ["settings"] => self.own_settings(),
            ["registry"] => self.registry(),
            ["sync"] => serde_json::to_value(self.sync_differences())
                .map_err(|error| Missing::Failed(error.to_string())),
            _ => Err(Missing::Unknown),
        }
    }

    fn own_runs(&self, asked: &Asked) -> Result<Value, Missing> {
        if asked.status.as_deref() == Some("unknown") && asked.capability.is_none() {
            let rows = self.runs(true, asked.last)?;
            let rows = rows.into_iter().filter(|row| row.status == "unknown").map(|row| {
                json!({
                    "run": row.key, "capability": row.capability, "status": row.status, "at": row.at,
                    "dry_run": false, "parent": null, "started_by": null,
                })
            });
            return Ok(json!({"runs": rows.collect::<Vec<_>>()}));
        }
        let status = match asked.status.as_deref() {
            None => None,
            Some(word) => Some(
                ledger::Status::ALL
                    .into_iter()
                    .find(|status| status.word() == word)
                    .ok_or_else(|| Missing::Malformed(format!("`{word}` is no status of a run")))?,
            ),
        };
        let filter = ReceiptFilter { capability: asked.capability.clone(), status, limit: asked.last };
        let mut rows = Vec::new();
        for row in self.ledger().receipts(&filter)? {
            let (statement, _) = self.receipt(&row.run)?;
            let run = statement.predicate.run;
            rows.push(json!({
                "run": row.run, "capability": row.capability, "status": row.status.word(), "at": row.at.to_string(),
                "dry_run": run.mode == ledger::Mode::DryRun, "parent": run.called_by, "started_by": run.started_by,
            }));
        }
        Ok(json!({"runs": rows}))
    }

    fn own_plans(&self) -> Result<Value, Missing> {
        let mut plans = Vec::new();
        for row in
            self.plans()?.into_iter().filter(|row| matches!(row.status.as_str(), "waiting" | "approved"))
        {
            let plan = self.plan(&row.id)?;
            plans.push(json!({
                "plan": row.id, "capability": row.capability, "status": row.status, "requester": plan.requester,
                "at": plan.created, "expires": row.expires,
            }));
        }
        Ok(json!({"plans": plans}))
    }

    fn own_ledger(&self) -> Result<Value, Missing> {
        let report = self.check_ledger(None).map_err(Missing::Failed)?;
        Ok(json!({"consistent": report.good, "entries": report.entries, "findings": report.findings}))
    }

    fn own_lock(&self) -> Value {
        self.lock_that_holds().unwrap_or_else(|refusal| {
            json!({
                "holds": false, "why": refusal.message, "counter": 0, "development": false, "signer": null,
                "changed": [],
            })
        })
    }

    fn lock_that_holds(&self) -> Result<Value, Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        let lock = &pinned.lock.lock;
        let components = pinned.components()?;
        let components = components.into_iter().map(|(path, component)| (path, component.digest));
        let known: BTreeMap<&String, Digest> =
            lock.files.iter().map(|(path, digest)| (path, *digest)).chain(components).collect();
        let mut changed = Vec::new();
        for (path, digest) in &known {
            match self.workspace().read(path) {
                Ok(bytes) if Digest::of(&bytes) == *digest => {}
                Ok(_) => changed.push(json!({"file": path, "what": "changed"})),
                Err(_) => changed.push(json!({"file": path, "what": "missing"})),
            }
        }
        for name in self.workspace().list(BINDINGS, ".yaml").unwrap_or_default() {
            let path = format!("{BINDINGS}/{name}");
            if !known.contains_key(&path) {
                changed.push(json!({"file": path, "what": "not in the lock"}));
            }
        }
        Ok(json!({
            "holds": true, "why": null, "counter": lock.counter, "development": lock.development,
            "signer": pinned.signer.principal, "changed": changed,
        }))
    }

    fn own_settings(&self) -> Result<Value, Missing> {
        let pinned = self.pinned(Timestamp::now()).map_err(|refusal| Missing::Failed(refusal.message))?;
        let settings = &pinned.settings;
        let of_role = |role: Role| -> Vec<&String> {
            settings.agents.iter().filter(|(_, own)| **own == role).map(|(name, _)| name).collect()
        };
        Ok(json!({
            "workspace": settings.workspace,
            "approvals": {
                "plan_seconds": settings.approvals.plan.as_secs(),
                "approval_seconds": settings.approvals.approval.as_secs(),
                "self": match settings.approvals.own { Own::Refused => "refused", Own::Allowed => "allowed" },
                "destructive": settings.approvals.destructive,
            },
            "records": {
                "retention_seconds": settings.records.retention.as_secs(), "store_bytes": settings.records.store,
            },
            "agents": {"reader": of_role(Role::Reader), "proposer": of_role(Role::Proposer)},
            "require": {"landlock": settings.require.landlock, "user": settings.require.user},
        }))
    }
}

/// What a query asks for.
struct Asked {
    capability: Option<String>,
    status: Option<String>,
    last: u32,
}

impl Asked {
    /// Which keys a query may have, the rule that let it through says.
    fn of(query: &str) -> Result<Self, Missing> {
        let mut asked = Self { capability: None, status: None, last: MAX_LISTED };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "capability" => asked.capability = Some(value.to_owned()),
                "status" => asked.status = Some(value.to_owned()),
                "last" => {
                    let last = value.parse::<u32>().ok().filter(|last| (1..=MAX_LISTED).contains(last));
                    asked.last =
                        last.ok_or_else(|| Missing::Malformed(format!("`last` is 1 to {MAX_LISTED}")))?;
                }
                other => return Err(Missing::Malformed(format!("`{other}` is no key here"))),
            }
        }
        Ok(asked)
    }
}

fn safety_word(safety: ledger::Safety) -> &'static str {
    match safety {
        ledger::Safety::ReadOnly => "read-only",
        ledger::Safety::Mutating => "mutating",
        ledger::Safety::Destructive => "destructive",
    }
}
