//! The probes of the watched domains.

use ops_guest::{Call, Ctx, Failure, InvokeError, Invoked};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::contract::{Contract, Probe, Status};

/// How one domain stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Domain {
    /// The domain.
    domain: String,
    /// The worst of its probes.
    pub(crate) status: Status,
    /// The probe that says so.
    probe: String,
    /// What it says.
    why: String,
    /// The run of that probe.
    run_key: Option<String>,
}

/// Calls all probes, and says of each domain how it stands.
///
/// # Errors
/// `InvalidInput` where the binding does not name a probe: then nobody has looked, and the set-up is to be mended.
pub(crate) fn look(ctx: &Ctx, contract: &Contract) -> Result<Vec<Domain>, Failure> {
    let probes: Vec<_> = contract
        .domains
        .iter()
        .flat_map(|watched| watched.probes.iter().map(move |probe| (&watched.domain.value, probe)))
        .collect();
    let calls: Vec<_> = probes
        .iter()
        .map(|(_, probe)| Call {
            capability: probe.capability.value.clone(),
            arguments: Value::Object(probe.arguments.clone()),
        })
        .collect();
    let answers = ctx.invoke(&calls)?;
    if answers.len() != probes.len() {
        return Err(Failure::failed(format!("{} probes gave {} answers", probes.len(), answers.len())));
    }
    let mut domains: Vec<Domain> = vec![];
    for ((name, probe), answer) in probes.into_iter().zip(answers) {
        let found = one(name, probe, answer)?;
        match domains.iter_mut().find(|domain| domain.domain == found.domain) {
            Some(known) if known.status >= found.status => {}
            Some(known) => *known = found,
            None => domains.push(found),
        }
    }
    Ok(domains)
}

/// What one probe says of its domain.
fn one(domain: &str, probe: &Probe, answer: Invoked) -> Result<Domain, Failure> {
    let name = &probe.capability.value;
    let (status, why) = match &answer.outcome {
        Ok(output) => match probe.means(output) {
            // A probe that nobody can look up again proves nothing.
            Some(meaning) if meaning.status == Status::Healthy && answer.run.is_none() => {
                (Status::Incident, "it answered without a run".to_owned())
            }
            Some(meaning) => (meaning.status, format!("{} is {}", meaning.field, meaning.value)),
            None => (Status::Incident, "its output says nothing that the contract knows".to_owned()),
        },
        Err(InvokeError::NotGranted(why)) => {
            return Err(Failure::invalid(format!(
                "{domain} cannot be looked at: {why}; name `{name}` under `invoke` in the binding, then `ops pin`"
            )));
        }
        Err(InvokeError::Failed(why)) => (Status::Incident, why.clone()),
    };
    Ok(Domain { domain: domain.to_owned(), status, probe: name.clone(), why, run_key: answer.run })
}
