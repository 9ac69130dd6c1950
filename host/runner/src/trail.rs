//! What a run tells the audit log: one line for each decision, written before the guest learns of it. An effect has a
//! line before it is sent, too.
//!
//! Where the log cannot be written, nothing more is sent, and the run ends as denied: a decision that is on no record
//! must not pass for one that is. Secrets that the run has read are in no line.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use ops_egress::infisical::Exchange;
use ops_ledger::audit::{AuditLog, Decision, Phase, Record};
use ops_policy::decide::{Allowed, Denial};
use ops_policy::message::Invoked;
use ops_policy::visible::{clip, visible};

use crate::ending::Ending;
use crate::secrets::Veil;

/// The longest text in a line, in bytes.
const MAX_TEXT: usize = 500;

/// Where lines go as they are written, for `--trace-checks`.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;

/// One run's lines.
#[derive(Clone)]
pub(crate) struct Trail {
    log: Arc<AuditLog>,
    run: String,
    capability: String,
    trace: TraceSink,
    veil: Veil,
    fault: Arc<Mutex<Option<String>>>,
}

/// What came of a request that was allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Came {
    pub(crate) address: Option<String>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) status: Option<u16>,
    pub(crate) failure: Option<&'static str>,
}

impl Trail {
    pub(crate) fn new(log: Arc<AuditLog>, run: &str, capability: &str, trace: TraceSink, veil: Veil) -> Self {
        let (run, capability) = (run.to_owned(), capability.to_owned());
        Self { log, run, capability, trace, veil, fault: Arc::default() }
    }

    /// Why a line could not be written, where one could not.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails if the log cannot be written.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        self.log.ready().map_err(|error| unwritten(&error))
    }

    /// A request that was allowed and sent, or tried.
    pub(crate) fn sent(&self, phase: Phase, allowed: &Allowed, came: Came) {
        self.write(Record {
            address: came.address,
            sent: Some(came.sent),
            received: Some(came.received),
            status: came.status,
            outcome: came.failure.map(str::to_owned),
            ..self.allowed(phase, allowed)
        });
    }

    /// A request that a rule allows, to a name that has no address which may be dialled.
    pub(crate) fn undialled(&self, phase: Phase, allowed: &Allowed, missing: &str) {
        let decision = Decision::Denied;
        self.write(Record { decision, missing: Some(self.text(missing)), ..self.allowed(phase, allowed) });
    }

    /// An effect that is about to be sent.
    pub(crate) fn sending(&self, phase: Phase, allowed: &Allowed) -> Result<(), String> {
        self.write(Record { outcome: Some("sending".into()), ..self.allowed(phase, allowed) });
        self.fault().map_or(Ok(()), Err)
    }

    /// A request of the host's own, for a secret.
    pub(crate) fn asked_for_secret(&self, exchange: &Exchange) {
        self.write(Record {
            service: Some("infisical".into()),
            method: Some(exchange.method.clone()),
            path: Some(self.text(&exchange.path)),
            address: exchange.address.map(|address| address.to_string()),
            sent: Some(exchange.sent),
            received: Some(exchange.received),
            status: exchange.status,
            outcome: exchange.status.is_none().then(|| "failed".into()),
            ..self.record(Phase::Run, Decision::Allowed)
        });
    }

    /// An effect that was allowed and written down.
    pub(crate) fn planned(&self, allowed: &Allowed) {
        self.write(Record { outcome: Some("planned".into()), ..self.allowed(Phase::Plan, allowed) });
    }

    /// A request that was refused.
    pub(crate) fn denied(&self, phase: Phase, denial: &Denial) {
        self.write(Record {
            service: Some(self.text(&denial.service)),
            missing: Some(self.text(&denial.reason.audited())),
            method: Some(self.text(&denial.method)),
            path: Some(self.text(&denial.path)),
            ..self.record(phase, Decision::Denied)
        });
    }

    /// A request to an address that is no service's.
    pub(crate) fn no_service(&self, phase: Phase, method: &str, missing: &str) {
        self.write(Record {
            missing: Some(self.text(missing)),
            method: Some(clip(&self.text(method), 16)),
            ..self.record(phase, Decision::Denied)
        });
    }

    /// A call of another capability that was made, whatever came of it.
    pub(crate) fn called(&self, phase: Phase, capability: &str, answer: &Invoked) {
        let run = answer.run.as_deref().unwrap_or("no run");
        let outcome = if answer.outcome.is_ok() { "output" } else { "no output" };
        self.write(Record {
            service: Some("invoke".into()),
            path: Some(self.text(capability)),
            outcome: Some(format!("{outcome}, {run}")),
            ..self.record(phase, Decision::Allowed)
        });
    }

    /// A call of a capability that the binding does not name.
    pub(crate) fn not_called(&self, phase: Phase, capability: &str) {
        self.write(Record {
            service: Some("invoke".into()),
            path: Some(self.text(capability)),
            missing: Some("the binding does not name it under `invoke:`, or no need does".into()),
            ..self.record(phase, Decision::Denied)
        });
    }

    /// A run that was refused or stopped.
    pub(crate) fn ended(&self, ending: &Ending) {
        let first = ending.message.lines().next().unwrap_or_default();
        let missing = self.text(&format!("{}: {first}", ending.code.unwrap_or("stopped")));
        self.write(Record { missing: Some(missing), ..self.record(Phase::Run, Decision::Denied) });
    }

    fn text(&self, text: &str) -> String {
        clip(&visible(&self.veil.over(text)), MAX_TEXT)
    }

    fn allowed(&self, phase: Phase, allowed: &Allowed) -> Record {
        let path = allowed.request.target.split('?').next().unwrap_or_default();
        Record {
            service: Some(allowed.service.clone()),
            rule: Some(allowed.rule.clone()),
            method: Some(allowed.request.method.clone()),
            path: Some(self.text(path)),
            ..self.record(phase, Decision::Allowed)
        }
    }

    fn record(&self, phase: Phase, decision: Decision) -> Record {
        Record {
            time: Timestamp::now(),
            run: self.run.clone(),
            capability: self.capability.clone(),
            phase,
            decision,
            service: None,
            rule: None,
            missing: None,
            method: None,
            path: None,
            address: None,
            sent: None,
            received: None,
            status: None,
            outcome: None,
        }
    }

    fn write(&self, record: Record) {
        match self.log.write(&record) {
            Ok(line) => (self.trace)(&line),
            Err(error) => {
                let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                fault.get_or_insert_with(|| unwritten(&error));
            }
        }
    }
}

fn unwritten(error: &dyn std::fmt::Display) -> String {
    format!("the audit log cannot be written, so nothing is sent: {error}")
}
