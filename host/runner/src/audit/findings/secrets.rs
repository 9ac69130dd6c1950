//! Where secrets may go.

use ops_policy::finding::Severity;
use ops_policy::origin::Origin;
use ops_policy::visible::visible;

use super::super::Finding;
use super::super::basis::{About, Basis};
use super::super::page::Case;

/// `secret-several-origins`: whoever runs one of the servers can use it at the others.
pub(super) fn several_origins(file: &str, basis: &Basis) -> Vec<Finding> {
    let secrets = basis.settings.iter().flat_map(|settings| &settings.secrets);
    secrets
        .filter(|(_, secret)| secret.origins.len() > 1)
        .map(|(name, secret)| {
            let subject = format!("secrets/{name}");
            let about = About {
                capability: None,
                file: file.to_owned(),
                line: basis.lines.at(&format!("/secrets/{name}/origins")),
                subject: &subject,
            };
            let origins: Vec<_> = secret.origins.iter().map(Origin::to_string).collect();
            let what =
                format!("the secret {name} may go to {} origins: {}", origins.len(), origins.join(", "));
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
