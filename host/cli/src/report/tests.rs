use ops_policy::finding::Severity;
use ops_policy::manifest::RuleEffect;
use ops_runner::audit::{
    Claims, Coverage, DeniedView, EventKind, Finding, Import, LockView, Page, ReviewState, ReviewView,
    RightKind, RightRow, RunView, SCHEMA_VERSION, ServiceView, Suppressed,
};

use super::*;

const HOSTILE: &str = "</style><script>alert(1)</script>\u{202e}\u{1b}[2J\"'&";

fn right(
    kind: RightKind,
    of: Option<&str>,
    right: &str,
    effect: Option<RuleEffect>,
    used: Option<u64>,
) -> RightRow {
    RightRow {
        kind,
        of: of.map(str::to_owned),
        name: None,
        right: right.to_owned(),
        rule: of.map(|_| "session".to_owned()),
        effect,
        needed: Coverage::Whole,
        optional: false,
        granted: true,
        used,
        line: Some(12),
    }
}

fn import(name: &str, class: &'static str, words: &str) -> Import {
    Import {
        name: name.to_owned(),
        class,
        words: words.to_owned(),
        functions: vec!["[method]a.run".to_owned()],
    }
}

/// A capability as real ones are.
pub(super) fn page(number: usize) -> Page {
    let origin = format!("https://mail-{}.example.internal:443", number % 40);
    let inert = [
        "cli/environment",
        "cli/exit",
        "cli/stderr",
        "cli/stdin",
        "cli/stdout",
        "clocks/monotonic-clock",
        "clocks/wall-clock",
        "filesystem/preopens",
        "filesystem/types",
        "io/error",
        "io/poll",
        "io/streams",
        "random/insecure-seed",
    ];
    let mut imports: Vec<_> = ["effects", "fetch"]
        .iter()
        .map(|name| {
            import(
                &format!("ops:capability/{name}@0.1.0"),
                "power",
                "changes services that the binding names, each change planned and approved first",
            )
        })
        .collect();
    imports.extend(
        inert.iter().map(|name| import(&format!("wasi:{name}@0.2.6"), "inert", "does this and that")),
    );
    Page {
        capability: format!("communications.mail-{number}.send"),
        summary: "Sends one test message, or stages it where no mail service is bound.".to_owned(),
        safety: ["read-only", "mutating", "destructive"][number % 3].to_owned(),
        approval: ["none", "signed", "auto"][number % 3].to_owned(),
        binding: format!("ops/bindings/communications.mail-{number}.send.yaml"),
        component: "ops/components/communications_mail_send.wasm".to_owned(),
        digest: Some(format!("sha256:{}", "0123456789abcdef".repeat(4))),
        version: Some("0.1.0".to_owned()),
        claims: Claims { licenses: Some("Apache-2.0".to_owned()), ..Claims::default() },
        imports,
        exports: vec!["ops:capability/guest@0.1.0".to_owned()],
        services: vec![ServiceView {
            name: "mail".to_owned(),
            place: origin,
            addresses: vec!["10.0.0.0/8".to_owned()],
            trust: "the system's certificates".to_owned(),
            secrets: vec!["mail-token in authorization".to_owned()],
            line: Some(6),
        }],
        rights: vec![
            right(
                RightKind::Request,
                Some("mail"),
                "GET /.well-known/jmap of mail (read)",
                Some(RuleEffect::Read),
                Some(3),
            ),
            right(
                RightKind::Request,
                Some("mail"),
                "GET /jmap/session of mail (read)",
                Some(RuleEffect::Read),
                Some(0),
            ),
            right(
                RightKind::Request,
                Some("mail"),
                "POST /jmap/ of mail (mutate), where /methodCalls/*/0: [\"Email/set\"]",
                Some(RuleEffect::Mutate),
                Some(u64::from(number.is_multiple_of(2))),
            ),
            right(
                RightKind::Directory,
                None,
                "directory outbox at state/outbox (stage)",
                Some(RuleEffect::Mutate),
                Some(0),
            ),
            right(RightKind::Config, None, "setting from = \"ops@example.test\"", None, None),
            RightRow {
                granted: false,
                line: None,
                ..right(RightKind::Contract, None, "contract mail.yaml", None, None)
            },
        ],
        limits: [("memory", "64 MiB"), ("time", "30 s"), ("requests", "100")]
            .map(|(a, b)| (a.into(), b.into()))
            .to_vec(),
        review: number.is_multiple_of(3).then(|| ReviewView {
            reviewer: "alice".to_owned(),
            at: "2026-05-01T10:00:00Z".to_owned(),
            expires: "2026-11-01T10:00:00Z".to_owned(),
            state: [ReviewState::Valid, ReviewState::Outdated][number % 2],
            why: None,
        }),
        looked_at: 5,
        runs: (0..5)
            .map(|run| RunView {
                key: format!("CAP-20261122-18000{run}__communications.mail-{number}.send__Rabcdefghij"),
                status: "done".to_owned(),
                at: "2026-11-22T18:00:00.123456789Z".to_owned(),
                approved_by: Some("alice".to_owned()),
            })
            .collect(),
        denied: Vec::new(),
        fault: None,
        needs_unknown: None,
    }
}

pub(super) fn audit(capabilities: usize) -> Audit {
    let pages: Vec<_> = (0..capabilities).map(page).collect();
    let finding = |number: usize, id, severity| Finding {
        id,
        severity,
        capability: Some(format!("communications.mail-{number}.send")),
        file: format!("ops/bindings/communications.mail-{number}.send.yaml"),
        line: Some(12),
        subject: "services/mail/session".to_owned(),
        what: "rule `session` of service `mail` was not used in the newest 5 runs".to_owned(),
        fix: "remove the rule, or say in a suppression why it stays".to_owned(),
    };
    let mut findings: Vec<_> =
        (0..capabilities).map(|number| finding(number, "auto-approval", Severity::High)).collect();
    findings.extend((0..capabilities).map(|number| finding(number, "private-range", Severity::Medium)));
    findings.extend((0..capabilities).map(|number| finding(number, "grant-never-used", Severity::Low)));
    let events = [EventKind::Ran, EventKind::Planned, EventKind::Approved, EventKind::Denied];
    Audit {
        schema_version: SCHEMA_VERSION,
        workspace: "demo".to_owned(),
        generated_at: "2026-11-22T18:30:00.5Z".to_owned(),
        lock: LockView {
            holds: true,
            why: None,
            counter: Some(7),
            development: true,
            signer: Some("alice".to_owned()),
        },
        runs: 50,
        suppressed: vec![Suppressed {
            finding: finding(0, "private-range", Severity::Medium),
            reason: "the mail server stands in the same rack".to_owned(),
            expires: "2027-05-01".to_owned(),
        }],
        timeline: (0..capabilities.min(200))
            .map(|number| Event {
                at: "2026-11-22T18:00:00Z".to_owned(),
                kind: events[number % 4],
                capability: format!("communications.mail-{number}.send"),
                who: Some("alice".to_owned()),
                what: "a plan of 2 effects".to_owned(),
                key: format!("CAP-20261122-180000__communications.mail-{number}.send__Rabcdefghij"),
            })
            .collect(),
        capabilities: pages,
        findings,
    }
}

#[test]
fn it_asks_nothing_of_anybody() {
    let page = html(&audit(4));
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'"));
    for never in
        ["<script", " src=", "@import", "url(", " onclick", "javascript:", "<link", "<iframe", "<img"]
    {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn no_text_of_a_stranger_is_markup_or_hidden() {
    let mut audit = audit(1);
    audit.workspace = HOSTILE.to_owned();
    audit.lock.why = Some(HOSTILE.to_owned());
    let page = &mut audit.capabilities[0];
    page.capability = HOSTILE.to_owned();
    page.summary = HOSTILE.to_owned();
    page.safety = HOSTILE.to_owned();
    page.approval = HOSTILE.to_owned();
    page.fault = Some(HOSTILE.to_owned());
    page.needs_unknown = Some(HOSTILE.to_owned());
    page.binding = HOSTILE.to_owned();
    page.component = HOSTILE.to_owned();
    page.digest = Some(HOSTILE.to_owned());
    page.version = Some(HOSTILE.to_owned());
    page.claims.authors = Some(HOSTILE.to_owned());
    page.claims.producers = vec![HOSTILE.to_owned()];
    page.imports = vec![import(HOSTILE, "never", HOSTILE), import(HOSTILE, "inert", HOSTILE)];
    page.imports[0].functions = vec![HOSTILE.to_owned()];
    let service = &mut page.services[0];
    (service.name, service.place, service.trust) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
    (service.addresses, service.secrets) = (vec![HOSTILE.into()], vec![HOSTILE.into()]);
    for right in &mut page.rights {
        (right.right, right.rule, right.name) = (HOSTILE.into(), Some(HOSTILE.into()), Some(HOSTILE.into()));
        right.of = right.of.as_ref().map(|_| HOSTILE.to_owned());
    }
    page.limits = vec![(HOSTILE.into(), HOSTILE.into())];
    page.review = Some(ReviewView {
        reviewer: HOSTILE.into(),
        at: HOSTILE.into(),
        expires: HOSTILE.into(),
        state: ReviewState::Outdated,
        why: Some(HOSTILE.into()),
    });
    page.denied = vec![DeniedView {
        kind: HOSTILE.into(),
        what: HOSTILE.into(),
        reason: HOSTILE.into(),
        runs: 1,
        key: HOSTILE.into(),
        current: true,
    }];
    for run in &mut page.runs {
        (run.key, run.status, run.at) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        run.approved_by = Some(HOSTILE.into());
    }
    audit.findings.truncate(3);
    for finding in audit.findings.iter_mut().chain(audit.suppressed.iter_mut().map(|one| &mut one.finding)) {
        finding.capability = Some(HOSTILE.into());
        (finding.file, finding.what, finding.fix) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
    }
    (audit.suppressed[0].reason, audit.suppressed[0].expires) = (HOSTILE.into(), HOSTILE.into());
    for event in &mut audit.timeline {
        (event.at, event.capability, event.who) = (HOSTILE.into(), HOSTILE.into(), Some(HOSTILE.into()));
        (event.what, event.key) = (HOSTILE.into(), HOSTILE.into());
    }
    let page = html(&audit);
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert_eq!(page.matches("</style>").count(), 1);
    // Everything that was set shows, and in an attribute no quotation mark ends it.
    assert!(page.matches("&lt;script&gt;").count() > 30, "{}", page.matches("&lt;script&gt;").count());
    assert!(!page.contains("\\u{1b}[2J\"'"));
}

#[test]
fn a_thousand_capabilities_are_less_than_five_megabytes() {
    let page = html(&audit(1_000));
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn the_matrix_has_thirty_columns_and_leaves_nothing_out() {
    let page = html(&audit(41));
    let matrix =
        page.split("<table class=\"matrix wide\">").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(matrix.matches("<th class=\"place\"").count(), 30);
    for number in 0..40 {
        assert!(matrix.contains(&format!("mail-{number}.example.internal")), "{number}");
    }
    assert!(matrix.contains("state/outbox") && matrix.contains("stage<i>, not used</i>"));
    // The weightiest of what is granted there, and used if any of it was.
    assert!(matrix.contains("<span class=\"tag change\">change</span>"));
}

#[test]
fn links_within_the_page_lead_somewhere() {
    let page = html(&audit(5));
    let targets = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for target in targets {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target}");
    }
}

#[test]
fn an_empty_workspace_has_a_page_too() {
    let page = html(&audit(0));
    for part in ["Nothing was found.", "There is no binding.", "Nothing here imports anything."] {
        assert!(page.contains(part), "{part}");
    }
}
