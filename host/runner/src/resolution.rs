//! A person's word on a run of which nobody knows what became.
//!
//! An effect that was sent and never answered stands in the way of the run's continuation and of every new plan for
//! the same input. Somebody looks at the service and says what became of it; what is said is signed like an approval,
//! and has a receipt of its own. Order of checks: the run is one that nobody knows about; the effect is in doubt; the
//! lock holds; the signature is by an approver of this moment, who may approve the run's plan.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use ops_ledger::receipt::Approver;
use ops_ledger::runlock::RunLock;
use ops_ledger::store::{Outcome, Resolution, RunRecord};
use ops_policy::digest::Digest;
use ops_policy::message::{Effect, Header, Response};
use ops_policy::plan::Plan;
use ops_policy::settings::Own;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::applying::Answered;
use crate::ending::Ending;
use crate::journal::{Answer, Entry, Question};
use crate::key::run_key;
use crate::record::Record;
use crate::recording::Stored;
use crate::run::{Actor, Cause, Order, Run, What};
use crate::runner::Runner;

/// The namespace of these signatures (`ssh-keygen -Y sign -n`).
pub const NAMESPACE: &str = "ops-resolution";
/// The longest answer that a person may supply, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// What somebody says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The effect of this number did not happen.
    NotPerformed(u64),
    /// The effect of this number happened, and what the service answered is lost.
    Performed(u64),
    /// The effect of this number happened, and this JSON document is what the service answered: `status`, `headers`
    /// (an object) and `body` (a text, or any JSON).
    Answered(u64, Vec<u8>),
    /// Nothing is to be done any more about the run.
    GiveUp,
}

/// What was said, as evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    run: String,
    effect: Option<u64>,
    outcome: &'static str,
    answer: Option<Value>,
    text: String,
    signature: String,
}

/// What a resolution changes in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Resolving {
    pub(crate) said: Said,
    pub(crate) signer: Approver,
    told: Option<Told>,
}

#[derive(Clone, Debug)]
enum Told {
    NotPerformed(u64),
    Performed(u64),
    Answered { effect: u64, response: Vec<u8>, journal: Vec<u8> },
}

impl Resolving {
    /// For the ledger.
    pub(crate) fn of(&self) -> Option<Resolution<'_>> {
        let (effect, outcome) = match self.told.as_ref()? {
            Told::NotPerformed(effect) => (*effect, Outcome::NotPerformed),
            Told::Performed(effect) => (*effect, Outcome::Performed),
            Told::Answered { effect, response, journal } => {
                (*effect, Outcome::Answered { response, journal })
            }
        };
        Some(Resolution { run: &self.said.run, effect, outcome })
    }
}

/// What a resolution came to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The run key of the resolution.
    pub key: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// Where its receipt was written out.
    pub receipt: Option<PathBuf>,
}

/// Signs a text, or brings a signature made elsewhere. `Err` is wrong usage, for people.
pub type SignText<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// An answer as a person writes it down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAnswer {
    status: u16,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

impl Runner {
    /// Takes a person's word on a run of which nobody knows what became. `name` is its key, or the beginning of it.
    pub fn resolve(&self, name: &str, word: &Word, sign: SignText<'_>, actor: &Actor) -> Resolved {
        let now = Timestamp::now();
        let none = |ending| Resolved { key: None, ending, receipt: None };
        let known = match self.ledger().run(name) {
            Ok(known) => known,
            Err(error) => return none(error.into()),
        };
        let begun = run_key(&known.capability, now).map_err(|error| error.to_string()).and_then(|key| {
            let alive = RunLock::hold(self.workspace().state(), &key).map_err(|error| error.to_string())?;
            Ok((key, alive))
        });
        let (key, alive) = match begun {
            Ok(begun) => begun,
            Err(why) => return none(Ending::denied("host", why)),
        };
        let plan = known.plan.as_ref().and_then(|plan| self.document(plan).ok()).map(Arc::new);
        let mut record = Record {
            separate_user: self.is_separate_user(now),
            plan: plan.clone(),
            stored_plan: true,
            resolving: true,
            continues: Some(known.run.clone()),
            ..Record::default()
        };
        let ending = match self.word(&known, plan.as_deref(), word, sign, now) {
            Ok(resolving) => {
                let ending = ending(&known, word);
                if matches!(word, Word::Performed(_) | Word::GiveUp) {
                    record.settles = Some(known.run.clone());
                }
                record.resolves = Some(resolving);
                ending
            }
            Err(ending) => ending,
        };
        let order = Order {
            what: What::Apply { plan: known.plan.clone().unwrap_or_default() },
            actor: actor.clone(),
            cause: Cause::Asked,
            reports: Arc::new(|_| {}),
            trace: Arc::new(|_| {}),
            cancel: watch::channel(false).1,
        };
        let report = Run::with(self, key, known.capability, order, now, record, Some(alive)).receipt(ending);
        Resolved { key: report.key, ending: report.ending, receipt: report.receipt }
    }

    fn word(
        &self,
        known: &RunRecord,
        plan: Option<&Plan>,
        word: &Word,
        sign: SignText<'_>,
        now: Timestamp,
    ) -> Result<Resolving, Ending> {
        let run = &known.run;
        let status = known.status.map_or("under way", ops_ledger::receipt::Status::word);
        if known.status != Some(ops_ledger::receipt::Status::Unknown) {
            return Err(Ending::usage(format!("{run} is {status}: there is nothing to resolve")));
        }
        if let Some(by) = &known.settled_by {
            return Err(Ending::usage(format!(
                "{run} was settled by {by}: there is nothing left to resolve"
            )));
        }
        let plan = plan.ok_or_else(|| Ending::denied("plan", format!("the plan of {run} cannot be read")))?;
        let (number, outcome, answer) = match word {
            Word::NotPerformed(number) => (Some(*number), "not-performed", None),
            Word::Performed(number) => (Some(*number), "performed", None),
            Word::Answered(number, bytes) => (Some(*number), "performed", Some(bytes)),
            Word::GiveUp => (None, "given-up", None),
        };
        if let Some(number) = number
            && !known.in_doubt.contains(&number)
        {
            return Err(Ending::usage(doubt(known, number)));
        }
        let response = answer.map(|bytes| read_answer(bytes)).transpose().map_err(Ending::usage)?;
        let pinned = self.pinned(now)?;
        let text = text_to_sign(run, plan, number, outcome, answer.map(Vec::as_slice));
        let signature = sign(&text).map_err(Ending::usage)?;
        let refused = |why: String| Ending::denied("approval", format!("{run} is not resolved: {why}"));
        let approver = pinned
            .approvers
            .verify(NAMESPACE, text.as_bytes(), &signature, now)
            .map_err(|error| refused(error.to_string()))?;
        if pinned.settings.approvals.own == Own::Refused && approver.principal == plan.requester {
            return Err(refused(format!(
                "{} asked for its plan and may not resolve it (ops.yaml: approvals.self)",
                approver.principal
            )));
        }
        let told = match (number, response) {
            (None, _) => None,
            (Some(number), None) if outcome == "performed" => Some(Told::Performed(number)),
            (Some(number), None) => Some(Told::NotPerformed(number)),
            (Some(number), Some(response)) => Some(self.answered(run, plan, number, response)?),
        };
        let said = Said {
            run: run.clone(),
            effect: number,
            outcome,
            answer: answer.and_then(|bytes| serde_json::from_slice(bytes).ok()),
            text,
            signature,
        };
        let signer = Approver {
            principal: approver.principal,
            fingerprint: Some(approver.fingerprint),
            kind: Some(approver.kind.name().to_owned()),
            touch: approver.touch,
            at: now,
        };
        Ok(Resolving { said, signer, told })
    }

    /// The ledger's row and the journal's entry of an effect whose answer a person supplies. The guest's clock stands
    /// where the last answer left it.
    fn answered(&self, run: &str, plan: &Plan, number: u64, response: Response) -> Result<Told, Ending> {
        let fail = |error: &dyn std::fmt::Display| Ending::denied("ledger", error.to_string());
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let planned = place.and_then(|place| plan.effects.get(place));
        let planned = planned.ok_or_else(|| fail(&format!("the plan has no effect {number}")))?;
        let last = self.ledger().journal(run)?.pop();
        let last: Option<Stored> =
            last.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(|error| fail(&error))?;
        let effect = Effect {
            summary: planned.summary.clone(),
            request: planned.request.clone(),
            undo: planned.undo.clone(),
        };
        let entry = Entry {
            question: Question::Perform(effect),
            answer: Answer::Response(response.clone()),
            clock: last.map_or(0, |last| last.entry.clock),
        };
        let (stored, blobs) = Stored::split(entry);
        for (name, bytes) in blobs {
            ops_ledger::content::keep(self.workspace().state(), run, &name, &bytes, true)
                .map_err(|error| fail(&error))?;
        }
        Ok(Told::Answered {
            effect: number,
            response: serde_json::to_vec(&Answered { response, address: None })
                .map_err(|error| fail(&error))?,
            journal: serde_json::to_vec(&stored).map_err(|error| fail(&error))?,
        })
    }
}

/// What the person signs.
fn text_to_sign(run: &str, plan: &Plan, effect: Option<u64>, outcome: &str, answer: Option<&[u8]>) -> String {
    let effect = effect.map_or("none".to_owned(), |number| number.to_string());
    let answer = answer.map_or("none".to_owned(), |bytes| Digest::of(bytes).to_string());
    format!(
        "ops-resolution v1\nrun {run}\nplan {}\neffect {effect}\noutcome {outcome}\nanswer {answer}\n",
        plan.hash()
    )
}

fn read_answer(bytes: &[u8]) -> Result<Response, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("the answer is not {{\"status\": 200, \"headers\": {{…}}, \"body\": …}}: {why}")
    };
    if bytes.len() > MAX_ANSWER {
        return Err(wrong(&format!("it is longer than {MAX_ANSWER} bytes")));
    }
    let answer: WrittenAnswer = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
    if !(100..600).contains(&answer.status) {
        return Err(wrong(&"a status is 100 to 599"));
    }
    let headers = answer.headers.into_iter();
    Ok(Response {
        status: answer.status,
        headers: headers.map(|(name, value)| Header { name: name.to_ascii_lowercase(), value }).collect(),
        body: match answer.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        },
    })
}

/// Why an effect cannot be told of.
fn doubt(known: &RunRecord, number: u64) -> String {
    let run = &known.run;
    match known.in_doubt.first() {
        Some(other) => format!("effect {number} of {run} is not in doubt; effect {other} is"),
        None => format!(
            "no effect of {run} is in doubt\n  go on with it:  ops cap resume {run}\n  \
             or give it up:  ops runs resolve {run} --give-up --key KEY"
        ),
    }
}

fn ending(known: &RunRecord, word: &Word) -> Ending {
    let run = &known.run;
    match word {
        Word::NotPerformed(number) => Ending::done(format!(
            "effect {number} of {run} did not happen\n  go on with it:  ops cap resume {run}\n  \
             or plan again:  the same input is no longer refused"
        )),
        Word::Answered(number, _) => Ending::done(format!(
            "effect {number} of {run} happened\n  go on with it:  ops cap resume {run}\n  \
             or plan again:  the same input is no longer refused"
        )),
        Word::Performed(number) => Ending::partial(format!(
            "effect {number} of {run} happened and its answer is lost, so the run ends here\n  \
             run the capability again for a plan of what is left"
        )),
        Word::GiveUp => Ending::partial(format!(
            "{run} is given up as it is\n  run the capability again for a plan of what is left"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_strictly() {
        let read = |text: &str| read_answer(text.as_bytes());
        let answer =
            read(r#"{"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "ok"}"#).unwrap();
        assert_eq!(
            (answer.status, answer.headers[0].name.as_str(), answer.body.as_slice()),
            (200, "content-type", &b"ok"[..])
        );
        assert_eq!(read(r#"{"status": 200, "body": {"data": 1}}"#).unwrap().body, br#"{"data":1}"#);
        assert_eq!(read(r#"{"status": 204}"#).unwrap().body, b"");
        for wrong in ["", "{}", r#"{"status": 99}"#, r#"{"status": 200, "bdy": 1}"#, "ok"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
