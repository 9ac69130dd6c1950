//! Runs as people look at them: what ended, what is under way, and what nobody knows the outcome of.

use ops_ledger::receipt::Status;
use ops_ledger::store::{EffectProgress, RunFilter, RunRecord};
use serde::Serialize;

use crate::ending::Ending;
use crate::runner::Runner;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The run key.
    pub key: String,
    /// The capability.
    pub capability: String,
    /// How it ended; `running` while it has no receipt; `resolved` and `settled` of an unknown one that stands in
    /// nobody's way any more.
    pub status: String,
    /// When its intent was committed, or else its receipt, RFC 3339.
    pub at: String,
    /// How many effects it is known to have performed.
    pub performed: u64,
    /// The numbers of the effects of which nobody knows whether they happened.
    pub in_doubt: Vec<u64>,
    /// The run that it goes on with or resolves.
    pub continues: Option<String>,
    /// The run that went on with it, or took its place.
    pub settled_by: Option<String>,
}

/// One run with its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What the list says of it.
    #[serde(flatten)]
    pub row: Row,
    /// The plan that it took up.
    pub plan: Option<String>,
    /// Each effect of that plan.
    pub effects: Vec<Effect>,
    /// The run that took it back.
    pub taken_back_by: Option<String>,
    /// What can be done about it, as commands.
    pub next: Vec<String>,
}

/// One effect of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Its place in the plan, from 1.
    pub number: u64,
    /// `performed`, `started` (it may have happened), `not-performed` (a person said so) or `not-started`.
    pub state: &'static str,
    /// What it does, in the capability's words.
    pub summary: String,
}

impl Runner {
    /// The newest runs, or those only of which nobody knows what became and that nothing has settled.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn runs(&self, unknown: bool, limit: u32) -> Result<Vec<Row>, Ending> {
        let runs = self.ledger().runs(&RunFilter { unknown, limit })?;
        // The same filter holds those that are under way.
        let wanted = runs.into_iter().filter(|run| !unknown || run.status == Some(Status::Unknown));
        Ok(wanted.map(row).collect())
    }

    /// One run by its key, the beginning of it, or its last letters.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn show_run(&self, name: &str) -> Result<Shown, Ending> {
        let known = self.ledger().run(name)?;
        // A plan that was erased has no effects to show any more.
        let plan = known.plan.as_ref().and_then(|plan| self.document(plan).ok());
        let states = self.ledger().effects(&known.run)?;
        let effects = plan.iter().flat_map(|plan| plan.effects.iter().enumerate()).map(|(place, effect)| {
            let number = place as u64 + 1;
            let state = states.iter().find(|state| state.number == number).map(|state| state.progress);
            Effect {
                number,
                state: match state {
                    Some(EffectProgress::Performed) => "performed",
                    Some(EffectProgress::Started) => "started",
                    Some(EffectProgress::NotPerformed) => "not-performed",
                    None => "not-started",
                },
                summary: effect.summary.clone(),
            }
        });
        let undos = self.ledger().undone_by(&known.run)?;
        let taken_back_by =
            undos.into_iter().find(|undo| undo.status == Some(Status::Done)).map(|undo| undo.run);
        let is_undo = plan.as_ref().is_some_and(|plan| plan.undoes.is_some());
        let mut next = next(&known);
        if taken_back_by.is_some() || is_undo {
            next.retain(|command| !command.starts_with("ops runs undo"));
        }
        Ok(Shown {
            effects: effects.collect(),
            plan: known.plan.clone(),
            taken_back_by,
            next,
            row: row(known),
        })
    }
}

fn row(run: RunRecord) -> Row {
    let status = match run.status {
        None => "running".to_owned(),
        Some(Status::Unknown) if run.settled_by.is_some() => "settled".to_owned(),
        Some(Status::Unknown) if run.resolved => "resolved".to_owned(),
        Some(status) => status.word().to_owned(),
    };
    Row {
        key: run.run,
        capability: run.capability,
        status,
        at: run.at.to_string(),
        performed: run.performed,
        in_doubt: run.in_doubt,
        continues: run.continues,
        settled_by: run.settled_by,
    }
}

/// What a person can do about a run.
fn next(run: &RunRecord) -> Vec<String> {
    let key = &run.run;
    match (run.status, &run.settled_by, run.in_doubt.first()) {
        (Some(Status::Unknown), None, Some(number)) => vec![
            format!("ops runs resolve {key} --effect {number} performed|not-performed --key KEY"),
            format!("ops cap resume {key}"),
        ],
        (Some(Status::Unknown), None, None) => {
            vec![format!("ops cap resume {key}"), format!("ops runs resolve {key} --give-up --key KEY")]
        }
        (Some(Status::Unknown), Some(by), _) => vec![format!("ops runs show {by}")],
        (Some(_), _, _) if run.performed > 0 => vec![format!("ops runs undo {key}")],
        _ => Vec::new(),
    }
}
