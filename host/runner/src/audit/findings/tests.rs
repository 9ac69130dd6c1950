//! For each kind of finding: a binding for which it fires, and one, much like it, for which it does not.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ops_policy::binding::Binding;
use ops_policy::digest::Digest;
use ops_policy::finding::KINDS;
use ops_policy::lock::Component;
use ops_policy::settings::Settings;
use serde_json::{Value, json};

use super::super::basis::Lines;
use super::super::page::{Rebuilt, import, limits, service_view};
use super::super::uses::{Uses, key};
use super::super::{Claims, DeniedView, LockView, Page, ReviewState, ReviewView, ServiceView, rows};
use super::*;

/// Kinds of which tests/program/auditing.rs has the tests: they are about files, receipts and the lock.
const ELSEWHERE: [&str; 5] =
    ["lock-does-not-hold", "not-in-lock", "unreadable", "suppression-expired", "suppression-unused"];

const HEAD: &str = "capability: a.b\ncomponent: components/a.wasm\n";
const WEB: &str = "services:\n  web:\n    origin: https://web.example:443\n";
const LIMITS: &str = "limits: {time: 5s, requests: 5, response: 1MiB}\n";

/// A capability as a test has it.
struct Sample {
    binding: String,
    manifest: Value,
    imports: Vec<&'static str>,
    settings: &'static str,
    change: fn(&mut Case<'_>),
    development: bool,
}

impl Sample {
    /// A binding of these lines, for a component that needs nothing.
    fn of(binding: &str) -> Self {
        let manifest = json!({
            "name": "a.b", "summary": "s", "version": "1.0.0", "safety": "read-only",
            "input": {"type": "object"}, "output": {}, "needs": [],
        });
        Self {
            binding: format!("{HEAD}{binding}"),
            manifest,
            imports: Vec::new(),
            settings: "workspace: demo\n",
            change: |_| {},
            development: false,
        }
    }

    fn reads(rules: &str) -> Self {
        Self::of(&format!("safety: read-only\n{WEB}    rules:\n{rules}{LIMITS}"))
    }

    fn changes(rules: &str) -> Self {
        let fields = "safety: mutating\napproval: {mode: manual}\n";
        let sample = Self::of(&format!("{fields}{WEB}    rules:\n{rules}{LIMITS}"));
        sample.manifest("safety", json!("mutating"))
    }

    fn manifest(mut self, field: &str, value: Value) -> Self {
        self.manifest[field] = value;
        self
    }

    /// Adds a need of the service `web`.
    fn needing(self, rules: Value) -> Self {
        self.with_need(json!({"kind": "service", "name": "web", "rules": rules}))
    }

    fn with_need(mut self, need: Value) -> Self {
        self.manifest["needs"].as_array_mut().unwrap().push(json!({"need": need, "optional": false}));
        self
    }

    fn importing(self, imports: &[&'static str]) -> Self {
        Self { imports: imports.to_vec(), ..self }
    }

    fn changed(self, change: fn(&mut Case<'_>)) -> Self {
        Self { change, ..self }
    }

    /// What is found: id, severity and line.
    fn found(&self) -> Vec<(&'static str, Severity, Option<u64>)> {
        let component = Component {
            digest: Digest::of(b"component"),
            capabilities: BTreeSet::from(["a.b".to_owned()]),
            manifest: serde_json::from_value(self.manifest.clone()).unwrap(),
            imports: BTreeSet::new(),
            interface: Digest::of(b"interface"),
        };
        let binding = Binding::parse("b", self.binding.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let lines = Lines::of("b", self.binding.as_bytes());
        let services = binding.services.iter().map(|(name, service)| service_view(name, service));
        let page = Page {
            capability: "a.b".into(),
            rights: rows::rows(&binding, Some(&component.manifest), &lines),
            imports: self.imports.iter().map(|name| import(name, Vec::new())).collect(),
            services: services.collect::<Vec<ServiceView>>(),
            limits: limits(&binding.limits),
            claims: Claims {
                source: Some("https://git.example/a".into()),
                revision: Some("1".into()),
                ..Claims::default()
            },
            ..Page::default()
        };
        let mut case = Case {
            page,
            file: "ops/bindings/a.b.yaml".into(),
            binding: Some(binding),
            lines,
            component: Some(&component),
            manifest: Some(&component.manifest),
            digest: Some(component.digest),
            rebuilt: None,
            uses: Uses::default(),
            problems: Vec::new(),
        };
        (self.change)(&mut case);
        let basis = Basis {
            view: LockView {
                holds: true,
                why: None,
                counter: Some(1),
                development: self.development,
                signer: None,
            },
            lock: None,
            settings: Some(Settings::parse("ops.yaml", self.settings.as_bytes()).unwrap()),
            lines: Lines::of("ops.yaml", self.settings.as_bytes()),
            pinned: None,
            now: Timestamp::UNIX_EPOCH,
            problems: Vec::new(),
        };
        let mut found = lock("ops/ops.lock", &basis);
        found.extend(secrets::several_origins("ops/ops.yaml", &basis));
        found.extend(of_case(&basis, &case));
        for finding in &found {
            let kind = ops_policy::finding::kind(finding.id).unwrap();
            assert!(finding.severity <= kind.severity, "{finding:?}");
            assert!(
                !finding.what.is_empty() && !finding.fix.is_empty() && !finding.subject.is_empty(),
                "{finding:?}"
            );
            assert!(!finding.what.ends_with('.') && !finding.fix.ends_with('.'), "{finding:?}");
        }
        found.into_iter().map(|finding| (finding.id, finding.severity, finding.line)).collect()
    }
}

impl Sample {
    fn replaced(self, from: &str, to: &str) -> Self {
        assert!(self.binding.contains(from), "{from}");
        Self { binding: self.binding.replacen(from, to, 1), ..self }
    }

    fn settings(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }
}

#[test]
fn each_kind_fires_where_it_should_and_keeps_quiet_where_not() {
    for (id, fires, severity, line, quiet) in table::table() {
        let found = fires.found();
        assert_eq!(found, [(id, severity, line)], "{}", fires.binding);
        let found: Vec<_> = quiet.found().into_iter().filter(|(found, ..)| *found == id).collect();
        assert_eq!(found, [], "{}", quiet.binding);
    }
}

#[test]
fn no_kind_is_without_a_test() {
    let mut tested: BTreeMap<&str, ()> = table::table().into_iter().map(|(id, ..)| (id, ())).collect();
    tested.extend(ELSEWHERE.map(|id| (id, ())));
    let kinds: BTreeSet<_> = KINDS.iter().map(|kind| kind.id).collect();
    assert_eq!(tested.into_keys().collect::<BTreeSet<_>>(), kinds);
}

/// A rule's line, and how much it weighs that it takes any body.
#[test]
fn what_a_body_says_is_asked_of_every_method_that_has_one() {
    for (method, path, effect, body, expected) in [
        ("POST", "/x", "read", "", Some(Severity::High)),
        ("PUT", "/x", "read", "", Some(Severity::High)),
        ("PATCH", "/x", "read", "", Some(Severity::High)),
        ("DELETE", "/x", "read", "", Some(Severity::High)),
        ("POST", "/x", "read", "/op: [list]", None),
        ("PUT", "/x", "read", "/op: [list]", Some(Severity::Medium)),
        ("PATCH", "/x", "read", "/op: [list]", Some(Severity::Medium)),
        ("DELETE", "/x", "read", "/op: [list]", Some(Severity::High)),
        ("GET", "/**", "read", "", None),
        ("HEAD", "/**", "read", "", None),
        // A name that the sender gives binds nothing.
        ("POST", "/graphql", "read", "/operationName: [List]", Some(Severity::High)),
        ("POST", "/graphql", "read", "/*/operationName: [List]", Some(Severity::High)),
        ("POST", "/graphql", "read", "/0/operationName: [List], /variables/id: [1]", Some(Severity::High)),
        ("POST", "/graphql", "read", "/operationName: [List], /query: [q]", None),
        ("POST", "/rpc", "read", "/jsonrpc: [\"2.0\"]", Some(Severity::High)),
        ("POST", "/rpc", "mutate", "/jsonrpc: [\"2.0\"]", Some(Severity::Medium)),
        ("POST", "/rpc", "mutate", "/method: [add]", None),
        // Open paths.
        ("POST", "/**", "mutate", "", Some(Severity::Medium)),
        ("POST", "/shop/**", "mutate", "", Some(Severity::Medium)),
        ("POST", "/{x}", "mutate", "", Some(Severity::Medium)),
        ("POST", "/api/{x}", "mutate", "", Some(Severity::Medium)),
        ("POST", "/{x}/graphql", "mutate", "", Some(Severity::Medium)),
        ("POST", "/{x}/{y}", "mutate", "", Some(Severity::Medium)),
        ("POST", "/**", "mutate", "/op: [list]", None),
        ("POST", "/orders/{x}", "mutate", "", None),
        ("PUT", "/**", "mutate", "", None),
        ("DELETE", "/**", "mutate", "", None),
    ] {
        let rule = format!(
            "      - {{id: r, method: {method}, path: \"{path}\", effect: {effect}, body: {{{body}}}}}\n"
        );
        let rule = rule.replace(", body: {}", "");
        let found = Sample::changes(&rule).found();
        let found = found.into_iter().find(|(id, ..)| *id == "body-unconditioned");
        assert_eq!(found.map(|(_, severity, _)| severity), expected, "{rule}");
    }
}

#[test]
fn needs_that_nobody_vouches_for_are_compared_with_nothing() {
    let all = "      - {id: get, method: GET, path: /**, effect: read}\n      - {id: put, method: PUT, path: /x, effect: mutate}\n";
    let needs = json!([{"method": "GET", "path": "/x", "effect": "read"}]);
    let sample = || {
        let sample = Sample::changes(all).needing(needs.clone()).manifest("safety", json!("read-only"));
        sample.importing(&["ops:capability/invoke@0.1.0"])
    };
    let by_needs = ["import-not-needed", "grant-wider-than-need", "safety-above-manifest"];
    let found = |sample: Sample| {
        let found: BTreeSet<_> = sample.found().into_iter().map(|(id, ..)| id).collect();
        by_needs.map(|id| found.contains(id))
    };
    assert_eq!(found(sample()), [true; 3]);
    assert_eq!(found(sample().changed(|case| case.manifest = None)), [false; 3]);
}
