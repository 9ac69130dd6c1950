//! For each kind of finding: a binding for which it fires, and one, much like it, for which it does not.

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
const ELSEWHERE: [&str; 6] = [
    "lock-does-not-hold",
    "not-in-lock",
    "unreadable",
    "suppression-expired",
    "suppression-unused",
    "receipt-damaged",
];

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

const GET: &str = "      - {id: get, method: GET, path: /x, effect: read}\n";
const PUT: &str = "      - {id: put, method: PUT, path: /x, effect: mutate}\n";
const POST: &str = "      - {id: ask, method: POST, path: /x, effect: read}\n";

fn get() -> Value {
    json!([{"method": "GET", "path": "/x", "effect": "read"}])
}

fn post(effect: &str, path: &str) -> Value {
    json!([{"method": "POST", "path": path, "effect": effect}])
}

fn put() -> Value {
    json!([{"method": "PUT", "path": "/x", "effect": "mutate"}])
}

/// Had by ten runs that ended, and used by none.
fn never_used(case: &mut Case<'_>) {
    had(case, 10, 0);
}

fn had(case: &mut Case<'_>, runs: u64, used: u64) {
    let binding = case.binding.clone().unwrap();
    for row in &mut case.page.rights {
        if let Some(key) = key(&binding, row) {
            case.uses.offered.insert(key, runs);
            row.used = Some(used);
        }
    }
}

fn denied(case: &mut Case<'_>, current: bool) {
    let view = DeniedView {
        kind: "request".into(),
        what: "GET /y".into(),
        reason: "no rule".into(),
        runs: 1,
        key: "CAP-1".into(),
        current,
    };
    case.page.denied = vec![view];
}

fn reviewed(change: fn(&mut Case<'_>)) -> Sample {
    Sample::of("safety: read-only\n").changed(change)
}

fn review(case: &mut Case<'_>, state: ReviewState) {
    case.page.review = Some(ReviewView {
        reviewer: "alice".into(),
        at: "2026-01-01T00:00:00Z".into(),
        expires: "2026-02-01T00:00:00Z".into(),
        state,
        why: Some("w".into()),
    });
}

fn mutating(approval: &str, rest: &str) -> Sample {
    Sample::of(&format!("safety: mutating\napproval: {approval}\n{rest}"))
        .manifest("safety", json!("mutating"))
}

const LAB: &str = "directories:\n  out: {path: lab/out, access: stage}\n";
const GAPS: &str = "directories:\n  out: {path: gaps, access: stage}\n";

fn staging(sample: Sample) -> Sample {
    sample.with_need(json!({"kind": "directory", "name": "out", "access": "stage"}))
}

/// Each kind with what fires it, how much that weighs and at which line; and with what is much alike and does not.
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(&'static str, Sample, Severity, Option<u64>, Sample)> {
    use Severity::{High, Low, Medium};
    let secret = |origin: &str| {
        Sample::reads(GET)
            .needing(get())
            .replaced("    rules:", &format!("    credential: {{secret: token, header: Authorization, as: \"{{}}\"}}\n    rules:"))
            .settings(match origin {
                "web" => "workspace: demo\nsecrets:\n  token: {from: \"env:T\", origins: [\"https://web.example:443\"]}\n",
                "none" => "workspace: demo\n",
                "two" => {
                    "workspace: demo\nsecrets:\n  token:\n    from: \"env:T\"\n    origins: [\"https://web.example:443\", \
                     \"https://more.example:443\"]\n"
                }
                _ => "workspace: demo\nsecrets:\n  token: {from: \"env:T\", origins: [\"https://else.example:443\"]}\n",
            })
    };
    let ranged = |range: &str| {
        Sample::reads(GET)
            .needing(get())
            .replaced("    rules:", &format!("    addresses: [{range}]\n    rules:"))
    };
    vec![
        (
            "development-lock",
            Sample { development: true, ..Sample::of("safety: read-only\n") },
            Medium,
            None,
            Sample::of("safety: read-only\n"),
        ),
        (
            "import-refused",
            Sample::of("safety: read-only\n").importing(&["wasi:sockets/tcp@0.2.6"]),
            Medium,
            Some(2),
            Sample::of("safety: read-only\n").importing(&["wasi:io/poll@0.2.6"]),
        ),
        (
            "import-not-needed",
            Sample::reads(GET)
                .needing(get())
                .importing(&["ops:capability/fetch@0.1.0", "ops:capability/effects@0.1.0"]),
            High,
            Some(2),
            Sample::changes(PUT).needing(put()).importing(&["ops:capability/effects@0.1.0"]),
        ),
        (
            "not-reproducible",
            Sample::of("safety: read-only\n").changed(|case| case.page.claims.source = None),
            Low,
            Some(2),
            Sample::of("safety: read-only\n"),
        ),
        (
            "not-reproducible",
            Sample::of("safety: read-only\n")
                .changed(|case| case.rebuilt = Some(Rebuilt::Differs(Digest::of(b"other")))),
            High,
            Some(2),
            Sample::of("safety: read-only\n").changed(|case| {
                case.rebuilt = Some(Rebuilt::Same);
                case.page.claims = Claims::default();
            }),
        ),
        (
            "not-reproducible",
            Sample::of("safety: read-only\n").changed(|case| case.page.claims.revision = None),
            Low,
            Some(2),
            Sample {
                development: true,
                ..Sample::of("safety: read-only\n").changed(|case| case.page.claims.revision = None)
            },
        ),
        ("grant-not-needed", Sample::reads(GET), Low, Some(5), Sample::reads(GET).needing(get())),
        (
            "grant-not-needed",
            Sample::changes(&format!("{GET}{PUT}")).needing(get()),
            Medium,
            Some(10),
            Sample::changes(&format!("{GET}{PUT}").replace("mutate}", "mutate, for: undo}")).needing(get()),
        ),
        (
            "grant-not-needed",
            Sample::of("safety: read-only\nconfig:\n  k: v\n"),
            Low,
            Some(5),
            Sample::of("safety: read-only\nconfig:\n  k: v\n")
                .with_need(json!({"kind": "config", "key": "k", "meaning": "m"})),
        ),
        (
            "grant-wider-than-need",
            Sample::reads(&GET.replace("/x", "/**")).needing(get()),
            Low,
            Some(8),
            Sample::reads(GET).needing(json!([{"method": "GET", "path": "/**", "effect": "read"}])),
        ),
        (
            "grant-wider-than-need",
            Sample::changes(&PUT.replace("effect", "query: [force], effect")).needing(put()),
            Medium,
            Some(9),
            // An operator who calls a change graver than its author does grants no more.
            Sample::changes(PUT).needing(put()),
        ),
        (
            "grant-wider-than-need",
            mutating("{mode: manual}", LAB)
                .with_need(json!({"kind": "directory", "name": "out", "access": "read"})),
            Medium,
            Some(6),
            staging(mutating("{mode: manual}", LAB)),
        ),
        (
            "grant-never-used",
            Sample::reads(GET).needing(get()).changed(never_used),
            Low,
            Some(8),
            Sample::reads(GET).needing(get()).changed(|case| had(case, 9, 0)),
        ),
        (
            "grant-never-used",
            Sample::changes(PUT).needing(put()).changed(never_used),
            Medium,
            Some(9),
            Sample::changes(PUT).needing(put()).changed(|case| had(case, 10, 1)),
        ),
        ("private-range", ranged("10.2.0.0/16"), Medium, Some(7), Sample::reads(GET).needing(get())),
        ("private-range", ranged("10.2.0.7"), Low, Some(7), Sample::reads(GET).needing(get())),
        ("private-range", ranged("127.0.0.0/8"), Low, Some(7), Sample::reads(GET).needing(get())),
        (
            "limit-missing",
            Sample::reads(GET).needing(get()).replaced(LIMITS, "limits: {time: 5s, response: 1MiB}\n"),
            Low,
            Some(9),
            // What dials nothing spends nothing.
            Sample::of("safety: read-only\n"),
        ),
        (
            "limit-missing",
            Sample::of("safety: read-only\nlimits: {memory: 4GiB}\n"),
            Low,
            Some(4),
            Sample::of("safety: read-only\nlimits: {memory: 3GiB}\n"),
        ),
        (
            "body-unconditioned",
            Sample::reads(POST).needing(post("read", "/x")),
            High,
            Some(8),
            Sample::reads(&POST.replace("effect", "body: {/op: [list]}, effect")).needing(post("read", "/x")),
        ),
        (
            "body-unconditioned",
            Sample::changes(&POST.replace("/x", "/graphql").replace("read", "mutate"))
                .needing(post("mutate", "/graphql")),
            Medium,
            Some(9),
            Sample::changes(&POST.replace("/x", "/orders").replace("read", "mutate"))
                .needing(post("mutate", "/orders")),
        ),
        (
            "safety-above-manifest",
            mutating("{mode: manual}", "").manifest("safety", json!("read-only")),
            Low,
            Some(3),
            mutating("{mode: manual}", ""),
        ),
        (
            "auto-approval",
            staging(mutating("{mode: auto, reason: r}", GAPS)),
            Low,
            Some(4),
            staging(mutating("{mode: manual}", GAPS)),
        ),
        (
            "auto-approval",
            staging(mutating("{mode: auto, reason: r}", LAB)),
            Medium,
            Some(4),
            staging(mutating("{mode: manual}", LAB)),
        ),
        (
            "auto-approval",
            Sample::changes(PUT).needing(put()).replaced("{mode: manual}", "{mode: auto, reason: r}"),
            High,
            Some(4),
            Sample::changes(PUT).needing(put()),
        ),
        (
            "confirmed-approval",
            Sample::changes(PUT)
                .needing(put())
                .replaced("{mode: manual}", "{mode: manual, accept: [confirmed]}"),
            Medium,
            Some(4),
            Sample::changes(PUT).needing(put()),
        ),
        (
            "piped-approval",
            staging(mutating("{mode: manual, accept: [signed, piped]}", GAPS)),
            Low,
            Some(4),
            staging(mutating("{mode: manual, accept: [signed]}", GAPS)),
        ),
        ("secret-several-origins", secret("two"), Medium, Some(5), secret("web")),
        ("secret-not-admitted", secret("none"), Medium, Some(7), secret("web")),
        ("secret-not-admitted", secret("else"), Medium, Some(7), secret("two")),
        (
            "review-missing",
            Sample::of("safety: read-only\n").settings("workspace: demo\nrequire: {review: read-only}\n"),
            High,
            Some(1),
            Sample::of("safety: read-only\n").settings("workspace: demo\nrequire: {review: mutating}\n"),
        ),
        (
            "review-outdated",
            reviewed(|case| review(case, ReviewState::Outdated)),
            Medium,
            Some(1),
            reviewed(|_| {}),
        ),
        (
            "review-outdated",
            reviewed(|case| review(case, ReviewState::Outdated))
                .settings("workspace: demo\nrequire: {review: read-only}\n"),
            High,
            Some(1),
            reviewed(|case| review(case, ReviewState::Valid))
                .settings("workspace: demo\nrequire: {review: read-only}\n"),
        ),
        (
            "review-expired",
            reviewed(|case| review(case, ReviewState::Expired)),
            Medium,
            Some(1),
            reviewed(|case| review(case, ReviewState::Valid)),
        ),
        (
            "review-unsigned",
            reviewed(|case| review(case, ReviewState::Unsigned)),
            Medium,
            Some(1),
            reviewed(|case| review(case, ReviewState::Valid)),
        ),
        (
            "asked-for-more",
            Sample::reads(GET).needing(get()).changed(|case| denied(case, true)),
            Medium,
            Some(2),
            Sample::reads(GET).needing(get()).changed(|case| denied(case, false)),
        ),
    ]
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
    for (id, fires, severity, line, quiet) in table() {
        let found = fires.found();
        assert_eq!(found, [(id, severity, line)], "{}", fires.binding);
        let found: Vec<_> = quiet.found().into_iter().filter(|(found, ..)| *found == id).collect();
        assert_eq!(found, [], "{}", quiet.binding);
    }
}

#[test]
fn no_kind_is_without_a_test() {
    let mut tested: BTreeMap<&str, ()> = table().into_iter().map(|(id, ..)| (id, ())).collect();
    tested.extend(ELSEWHERE.map(|id| (id, ())));
    let kinds: BTreeSet<_> = KINDS.iter().map(|kind| kind.id).collect();
    assert_eq!(tested.into_keys().collect::<BTreeSet<_>>(), kinds);
}
