//! Where secrets may go.

use std::collections::{BTreeMap, BTreeSet};

use ops_policy::finding::Severity;
use ops_policy::origin::Origin;
use ops_policy::visible::visible;

use super::super::Finding;
use super::super::basis::{About, Basis};
use super::super::page::Case;

/// `secret-several-origins`: whoever runs one of the servers can use it at the others. A secret is what `from` names: a
/// second name for it is no second secret.
pub(super) fn several_origins(file: &str, basis: &Basis) -> Vec<Finding> {
    let mut sources: BTreeMap<&str, (Vec<&str>, BTreeSet<String>)> = BTreeMap::new();
    for (name, secret) in basis.settings.iter().flat_map(|settings| &settings.secrets) {
        let (names, origins) = sources.entry(&secret.from).or_default();
        names.push(name);
        origins.extend(secret.origins.iter().map(Origin::to_string));
    }
    let several = sources.into_values().filter(|(_, origins)| origins.len() > 1);
    several
        .map(|(names, origins)| {
            let origins: Vec<_> = origins.into_iter().collect();
            // With the origins: one more of them is another finding, which nobody has looked at.
            let subject = format!("secrets/{} {}", names.join("+"), origins.join(" "));
            let first = names.first().copied().unwrap_or_default();
            let line = basis.lines.at(&format!("/secrets/{first}/origins"));
            let about = About { capability: None, file: file.to_owned(), line, subject: &subject };
            let who = match names.as_slice() {
                [name] => format!("the secret {name}"),
                _ => format!("the secrets {} are one, by `from`, which", names.join(", ")),
            };
            let what = format!("{who} may go to {} origins: {}", origins.len(), origins.join(", "));
            about.finding(
                "secret-several-origins",
                Severity::Medium,
                what,
                "give each origin a secret of its own",
            )
        })
        .collect()
}

/// `secret-not-admitted`: every one, where a run is refused for the first.
pub(super) fn not_admitted(case: &Case<'_>, basis: &Basis) -> Vec<Finding> {
    let (Some(binding), Some(settings)) = (&case.binding, &basis.settings) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, service) in &binding.services {
        let Some(origin) = &service.origin else { continue };
        let credential =
            service.credential.iter().map(|credential| (&credential.secret, "credential".to_owned()));
        let placed = service.secrets.iter().enumerate();
        let placed = placed.map(|(index, place)| (&place.name, format!("secrets/{index}")));
        for (secret, field) in credential.chain(placed) {
            let why = match settings.secrets.get(secret) {
                Some(known) if known.origins.contains(origin) => continue,
                Some(_) => "is not among its origins there",
                None => "ops.yaml does not name the secret",
            };
            let what = format!("the service {name} sends the secret {} to {origin}: {why}", visible(secret));
            let fix = "find out which of the two is right; runs are refused until they agree";
            let at = format!("/services/{name}/{field}");
            let finding = case.finding("secret-not-admitted", Severity::Medium, &at, what, fix);
            found.push(Finding { subject: format!("services/{name}/secrets/{secret}"), ..finding });
        }
    }
    found
}
