//! A binding as text, written anew: every field that says something, in one order and one style.

use std::fmt::Write;

use ipnet::IpNet;

use crate::approval::{Accept, Mode};
use crate::binding::{Binding, Record};
use crate::body::Predicate;
use crate::limits::Limits;
use crate::manifest::Safety;
use crate::rule::Rule;
use crate::scalar::{Scalar, Setting};
use crate::service::{Service, Tls};

/// The whole file.
pub(super) fn binding(binding: &Binding) -> String {
    let mut file = String::new();
    let safety = match binding.safety {
        Safety::ReadOnly => "read-only",
        Safety::Mutating => "mutating",
        Safety::Destructive => "destructive",
    };
    let _ = writeln!(file, "capability: {}", text(&binding.capability));
    let _ = writeln!(file, "component: {}", text(&binding.component));
    let _ = writeln!(file, "safety: {safety}");
    approval(&mut file, binding);
    if !binding.services.is_empty() {
        file.push_str("services:\n");
        for (name, granted) in &binding.services {
            service(&mut file, name, granted);
        }
    }
    if !binding.directories.is_empty() {
        file.push_str("directories:\n");
    }
    for (name, granted) in &binding.directories {
        let (path, access) = (text(&granted.path), granted.access.as_str());
        let _ = writeln!(file, "  {}: {{path: {path}, access: {access}}}", text(name));
    }
    if !binding.config.is_empty() {
        file.push_str("config:\n");
    }
    for (key, setting) in &binding.config {
        let value = match setting {
            Setting::One(value) => scalar(value),
            Setting::Many(values) => format!("[{}]", list(values.iter().map(scalar))),
        };
        let _ = writeln!(file, "  {}: {value}", text(key));
    }
    for (key, names) in
        [("contracts", &binding.contracts), ("invoke", &binding.invoke), ("starts", &binding.starts)]
    {
        if !names.is_empty() {
            let _ = writeln!(file, "{key}: [{}]", list(names.iter().map(|name| text(name))));
        }
    }
    if let Some(lock) = &binding.lock {
        let _ = writeln!(file, "lock: {}", text(&lock.to_string()));
    }
    limits(&mut file, &binding.limits);
    if binding.record != Record::default() {
        let _ = writeln!(file, "record: {}", binding.record.as_str());
    }
    file
}

fn approval(file: &mut String, binding: &Binding) {
    let approval = &binding.approval;
    if binding.safety == Safety::ReadOnly && approval.mode == Mode::Auto && approval.reason.is_none() {
        return;
    }
    let mode = if approval.mode == Mode::Auto { "auto" } else { "manual" };
    let mut fields = format!("mode: {mode}");
    if approval.mode == Mode::Manual {
        let word = |accept: &Accept| match accept {
            Accept::Signed => "signed".to_owned(),
            Accept::Confirmed => "confirmed".to_owned(),
            Accept::Piped => "piped".to_owned(),
        };
        if approval.accept != [Accept::Signed] {
            let _ = write!(fields, ", accept: [{}]", list(approval.accept.iter().map(word)));
        }
        if approval.approvals != 1 {
            let _ = write!(fields, ", approvals: {}", approval.approvals);
        }
    }
    if let Some(reason) = &approval.reason {
        let _ = write!(fields, ", reason: {}", text(reason));
    }
    let _ = writeln!(file, "approval: {{{fields}}}");
}

fn service(file: &mut String, name: &str, service: &Service) {
    let _ = writeln!(file, "  {}:", text(name));
    if let Some(origin) = &service.origin {
        let _ = writeln!(file, "    origin: {}", text(&origin.to_string()));
    }
    match &service.tls {
        Some(Tls::Authority { ca }) => {
            let _ = writeln!(file, "    tls: {{ca: {}}}", text(ca));
        }
        Some(Tls::Pinned { fingerprint }) => {
            let _ = writeln!(file, "    tls: {{fingerprint: {}}}", text(&fingerprint.to_string()));
        }
        None => {}
    }
    if !service.addresses.is_empty() {
        let _ = writeln!(file, "    addresses: [{}]", list(service.addresses.iter().map(range)));
    }
    if let Some(credential) = &service.credential {
        let form = text(&format!("{}{{}}{}", credential.before, credential.after));
        let (secret, header) = (text(&credential.secret), text(&credential.header));
        let _ = writeln!(file, "    credential: {{secret: {secret}, header: {header}, as: {form}}}");
    }
    file.push_str("    rules:\n");
    for granted in &service.rules {
        let _ = writeln!(file, "      - {}", rule(granted));
    }
    if !service.secrets.is_empty() {
        file.push_str("    secrets:\n");
    }
    for secret in &service.secrets {
        let (name, at, rule) = (text(&secret.name), text(&secret.at), text(&secret.rule));
        let _ = writeln!(file, "      - {{name: {name}, at: {at}, rule: {rule}}}");
    }
}

/// A rule in braces.
pub(super) fn rule(rule: &Rule) -> String {
    let path = text(&rule.path.to_string());
    let mut fields = format!(
        "id: {}, method: {}, path: {path}, effect: {}",
        text(&rule.id),
        rule.method,
        rule.effect.as_str()
    );
    for (key, names) in [("query", &rule.query), ("headers", &rule.headers)] {
        if !names.is_empty() {
            let _ = write!(fields, ", {key}: [{}]", list(names.iter().map(|name| text(name))));
        }
    }
    if !rule.body.is_empty() {
        let _ = write!(fields, ", body: {}", body(&rule.body));
    }
    if let Some(name) = &rule.idempotency {
        let _ = write!(fields, ", idempotency: {}", text(name));
    }
    if rule.only_undo {
        fields.push_str(", for: undo");
    }
    format!("{{{fields}}}")
}

/// Body conditions in braces.
pub(super) fn body(conditions: &[Predicate]) -> String {
    let conditions = conditions.iter().map(|condition| {
        format!("{}: [{}]", text(condition.pointer()), list(condition.allowed().iter().map(scalar)))
    });
    format!("{{{}}}", list(conditions))
}

/// A range. Only those of IPv6 have colons, which are YAML's own.
pub(super) fn range(range: &IpNet) -> String {
    match range {
        IpNet::V4(range) => range.to_string(),
        IpNet::V6(range) => text(&range.to_string()),
    }
}

fn limits(file: &mut String, limits: &Limits) {
    let default = Limits::default();
    let size = |bytes: u64| match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        bytes => format!("{}KiB", bytes >> 10),
    };
    let time = |time: std::time::Duration| format!("{}ms", time.as_millis());
    let written: Vec<_> = [
        (limits.memory != default.memory, "memory", size(limits.memory)),
        (limits.time != default.time, "time", time(limits.time)),
        (limits.requests != default.requests, "requests", limits.requests.to_string()),
        (limits.response != default.response, "response", size(limits.response)),
        (limits.output != default.output, "output", size(limits.output)),
        (limits.wait != default.wait, "wait", time(limits.wait)),
    ]
    .into_iter()
    .filter(|(is_other, ..)| *is_other)
    .map(|(_, key, value)| format!("{key}: {value}"))
    .collect();
    if !written.is_empty() {
        let _ = writeln!(file, "limits: {{{}}}", written.join(", "));
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Text(value) => text(value),
    }
}

/// Words that some readers of YAML take for something else than a text.
const NOT_TEXTS: [&str; 13] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity", "none"];

/// A text as YAML reads it back, in plain ASCII: guests have a hand in some of them.
pub(super) fn text(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'@');
    let begins_plain = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    if begins_plain
        && value.bytes().all(plain)
        && !NOT_TEXTS.iter().any(|other| other.eq_ignore_ascii_case(value))
    {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
