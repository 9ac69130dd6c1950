//! The rows: what fires, how much that weighs and at which line; and what is much alike and does not.

use super::*;
use Severity::{High, Low, Medium};

/// A kind, what fires it, severity and line, and what does not fire it.
pub(super) type Row = (&'static str, Sample, Severity, Option<u64>, Sample);

/// All of them.
pub(super) fn table() -> Vec<Row> {
    [components(), requests(), grants(), approvals(), people()].into_iter().flatten().collect()
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

/// A service with a credential, where `ops.yaml` says this of its secret.
fn secret(settings: &'static str) -> Sample {
    let credential = "    credential: {secret: token, header: Authorization, as: \"{}\"}\n    rules:";
    Sample::reads(GET).needing(get()).replaced("    rules:", credential).settings(settings)
}

/// A second name for the same value.
const ALIASED: &str = "workspace: demo\nsecrets:\n  more: {from: \"env:T\", origins: [\"https://more.example:443\"]}\n  \
                       token: {from: \"env:T\", origins: [\"https://web.example:443\"]}\n";
const FOR_WEB: &str =
    "workspace: demo\nsecrets:\n  token: {from: \"env:T\", origins: [\"https://web.example:443\"]}\n";
const FOR_ANOTHER: &str =
    "workspace: demo\nsecrets:\n  token: {from: \"env:T\", origins: [\"https://else.example:443\"]}\n";
const FOR_TWO: &str = "workspace: demo\nsecrets:\n  token:\n    from: \"env:T\"\n    \
                       origins: [\"https://web.example:443\", \"https://more.example:443\"]\n";

/// A service in a private range.
fn ranged(range: &str) -> Sample {
    let addresses = format!("    addresses: [{range}]\n    rules:");
    Sample::reads(GET).needing(get()).replaced("    rules:", &addresses)
}

/// What the component asks for, and where it comes from.
fn components() -> Vec<Row> {
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
    ]
}

/// What the binding grants, against what is needed and used.
fn requests() -> Vec<Row> {
    vec![
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
    ]
}

/// What the binding grants, by itself.
fn grants() -> Vec<Row> {
    vec![
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
    ]
}

/// How plans are approved, and where secrets may go.
fn approvals() -> Vec<Row> {
    vec![
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
        ("secret-several-origins", secret(FOR_TWO), Medium, Some(5), secret(FOR_WEB)),
        (
            "secret-several-origins",
            secret(ALIASED),
            Medium,
            Some(3),
            secret(
                "workspace: demo\nsecrets:\n  more: {from: \"env:T\", origins: [\"https://web.example:443\"]}\n  \
                 token: {from: \"env:T\", origins: [\"https://web.example:443\"]}\n",
            ),
        ),
        ("secret-not-admitted", secret("workspace: demo\n"), Medium, Some(7), secret(FOR_WEB)),
        ("secret-not-admitted", secret(FOR_ANOTHER), Medium, Some(7), secret(FOR_TWO)),
    ]
}

/// Who has looked at it, and what runs did.
fn people() -> Vec<Row> {
    vec![
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
            "receipt-damaged",
            Sample::of("safety: read-only\n").changed(|case| case.uses.broken = vec!["CAP-1".into()]),
            High,
            Some(1),
            Sample::of("safety: read-only\n").changed(|case| case.uses.looked_at = 1),
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
