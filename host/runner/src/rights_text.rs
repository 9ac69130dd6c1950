//! What a capability may do, in sentences.

use std::collections::BTreeSet;
use std::fmt::Write;

use ops_policy::approval::{Accept, Mode};
use ops_policy::binding::{Binding, Record};
use ops_policy::interface::{Class, Interface};
use ops_policy::manifest::{Access, Manifest, RuleEffect, Safety};
use ops_policy::rights::Rights;
use ops_policy::rule::Rule;
use ops_policy::service::Tls;
use ops_policy::visible::visible;

/// The rights of one capability, for people. `imports` is what its component asks for.
pub fn rights_text(
    manifest: &Manifest,
    binding: &Binding,
    rights: &Rights,
    imports: &BTreeSet<String>,
) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} ({}, {})", binding.capability, binding.safety.as_str(), approval(binding));
    let _ = writeln!(text, "  {}", visible(&manifest.summary));
    text.push_str(&grants_text(binding, rights));
    imports_text(&mut text, imports);
    text
}

/// What a binding grants and how far, for people: the middle of [`rights_text`].
pub(crate) fn grants_text(binding: &Binding, rights: &Rights) -> String {
    let mut text = String::new();
    for (name, service) in &rights.services {
        let service = &service.grant;
        let _ = writeln!(text, "  service {name} at {}", service.place());
        for range in &service.addresses {
            let _ = writeln!(text, "    may be dialled in {range}");
        }
        match &service.tls {
            None => {}
            Some(Tls::Authority { ca }) => {
                let _ = writeln!(text, "    with a certificate that {} vouches for", visible(ca));
            }
            Some(Tls::Pinned { fingerprint }) => {
                let _ = writeln!(text, "    with the one certificate {fingerprint}");
            }
        }
        if let Some(credential) = &service.credential {
            let (secret, header) = (&credential.secret, &credential.header);
            let form = visible(&format!("{}{{}}{}", credential.before, credential.after));
            let _ = writeln!(text, "    with the secret `{secret}` in {header}, as \"{form}\"");
        }
        for rule in &service.rules {
            let _ = writeln!(
                text,
                "    {} {} {} (rule {}{})",
                effect(rule.effect),
                rule.method.as_str(),
                rule.path,
                rule.id,
                if rule.only_undo { ", to take a run back only" } else { "" }
            );
            conditions_text(&mut text, rule);
            for place in service.secrets_of(&rule.id) {
                let (name, at) = (&place.name, visible(&place.at));
                let _ = writeln!(text, "      with the secret `{name}` put into the body at {at}");
            }
        }
    }
    for (name, directory) in &rights.directories {
        let what = match directory.access {
            Access::Read => "reads",
            Access::Stage => "stages changes in",
        };
        let _ = writeln!(text, "  {what} the directory {name}, {}", directory.path);
    }
    for contract in &rights.contracts {
        let _ = writeln!(text, "  reads the contract {contract}");
    }
    for (key, value) in &rights.config {
        let _ = writeln!(text, "  sees the setting {key} = {}", visible(&value.to_string()));
    }
    for capability in &rights.invoke {
        let _ = writeln!(text, "  may call {capability}");
    }
    for capability in &rights.starts {
        let _ = writeln!(text, "  may have {capability} started, which is then a run of its own");
    }
    if let Some(lock) = &binding.lock {
        let wait = binding.limits.wait.as_secs_f32();
        let _ = writeln!(text, "  one run at a time for each {lock}, waited for {wait} s at most");
    }
    let limits = &binding.limits;
    let _ = writeln!(
        text,
        "  within {} MiB, {} s, {} requests, answers of {} KiB, output of {} KiB",
        limits.memory >> 20,
        limits.time.as_secs_f32(),
        limits.requests,
        limits.response >> 10,
        limits.output >> 10
    );
    let kept = match binding.record {
        Record::Full => "requests and answers whole",
        Record::Digests => "digests of requests and answers, not their bodies",
    };
    let _ = writeln!(text, "  keeps {kept}");
    for unneeded in rights.unneeded() {
        let _ = writeln!(text, "  granted but not needed, so without effect: {unneeded}");
    }
    text
}

fn effect(effect: RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Read => "may read   ",
        RuleEffect::Mutate => "may change ",
        RuleEffect::Destroy => "may destroy",
    }
}

/// What a request must keep to beyond method and path, or may carry beyond the usual.
fn conditions_text(text: &mut String, rule: &Rule) {
    for (what, names) in [("query keys", &rule.query), ("headers", &rule.headers)] {
        if !names.is_empty() {
            let _ = writeln!(text, "      with the {what} {}", visible(&names.join(", ")));
        }
    }
    if let Some(header) = &rule.idempotency {
        let _ = writeln!(text, "      repeated where no answer comes, with a key in {header}");
    }
    for condition in &rule.body {
        let _ = writeln!(text, "      only with a body in which {}", visible(&condition.to_string()));
    }
}

/// What its component imports: by name what is a power, by number what has nothing in it.
fn imports_text(text: &mut String, imports: &BTreeSet<String>) {
    let inert = |name: &str| Interface::parse(name).class == Class::Inert;
    let powers: Vec<_> = imports.iter().filter(|name| !inert(name)).map(|name| visible(name)).collect();
    let rest = imports.len() - powers.len();
    let powers = if powers.is_empty() { "nothing that is a power".to_owned() } else { powers.join(", ") };
    let _ = writeln!(text, "  imports {powers}; and {rest} inert interfaces");
}

/// How its plans are approved, in full.
fn approval(binding: &Binding) -> String {
    match (binding.safety, binding.approval.mode) {
        (Safety::ReadOnly, _) => "nothing to approve".into(),
        (_, Mode::Auto) => {
            format!(
                "NOBODY approves: {}",
                binding.approval.reason.as_deref().map(visible).unwrap_or_default()
            )
        }
        (_, Mode::Manual) => {
            let ways = ways(binding);
            match binding.approval.approvals {
                1 => format!("approved by a person, {ways}"),
                number => format!("approved by {number} people, {ways}"),
            }
        }
    }
}

/// The ways in which its plans are approved, in a word or two.
pub fn ways(binding: &Binding) -> String {
    if binding.safety == Safety::ReadOnly {
        return "none".into();
    }
    match binding.approval.mode {
        Mode::Auto => "auto".into(),
        Mode::Manual => {
            let ways: Vec<_> = binding.approval.accept.iter().map(|accept| way(*accept)).collect();
            ways.join(" or ")
        }
    }
}

/// A way to say yes, as a binding writes it.
pub(crate) fn way(accept: Accept) -> &'static str {
    match accept {
        Accept::Signed => "signed",
        Accept::Confirmed => "confirmed",
        Accept::Piped => "piped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_the_record_and_what_is_for_undo_are_shown() {
        let with = |field: &str| {
            let text = format!(
                "{{capability: a.b, component: a.wasm, safety: mutating, approval: {{mode: manual}}, {field}services: \
                 {{web: {{origin: \"https://web.example\", rules: [{{id: r, method: DELETE, path: /q, effect: destroy, \
                 for: undo}}]}}}}}}"
            );
            let binding = Binding::parse("b", text.as_bytes()).unwrap();
            let manifest: Manifest = serde_json::from_value(serde_json::json!({
                "name": "a.b", "summary": "", "version": "1.0.0", "safety": "mutating", "output": {},
                "input": {"type": "object", "properties": {"vm_id": {"type": "integer"}}},
                "needs": [{"need": {"kind": "service", "name": "web", "rules": []}, "optional": false}],
            }))
            .unwrap();
            let rights = Rights::intersect(&manifest, &binding).unwrap();
            rights_text(&manifest, &binding, &rights, &BTreeSet::new())
        };
        let text = with("");
        assert!(text.contains("may destroy DELETE /q (rule r, to take a run back only)"), "{text}");
        assert!(text.contains("keeps requests and answers whole") && !text.contains("at a time"), "{text}");
        let text = with("record: digests, lock: \"pve/{vm_id}\", ");
        assert!(text.contains("one run at a time for each pve/{vm_id}, waited for 10 s at most"), "{text}");
        assert!(text.contains("keeps digests of requests and answers, not their bodies"), "{text}");
    }

    #[test]
    fn the_conditions_of_a_rule_are_shown() {
        let binding = "capability: a.b\ncomponent: components/a.wasm\nsafety: read-only\nservices:\n  web:\n    \
                       origin: https://web.example:443\n    rules:\n      - {id: q, method: POST, path: /q, effect: read, \
                       query: [since], headers: [x-trace], body: {\"/calls/*/0\": [Mailbox/get]}}\n";
        let binding = Binding::parse("b", binding.as_bytes()).unwrap();
        let mut text = String::new();
        conditions_text(&mut text, &binding.services["web"].rules[0]);
        for part in ["query keys since", "headers x-trace", "/calls/*/0: [\"Mailbox/get\"]"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
