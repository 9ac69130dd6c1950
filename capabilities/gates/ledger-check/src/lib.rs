//! The gates of what was recorded: `D403` holds that receipts verify, `D404` that the ledger agrees with itself.

use gates_common::workspace::get;
use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// How many receipts are verified at most: the newest.
const LAST: u32 = 200;

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The gate.
    #[schemars(extend("x-ops-positional" = 0))]
    gate: Gate,
}

/// The gates of this capability.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum Gate {
    /// Receipts verify.
    D403,
    /// The ledger agrees with itself.
    D404,
}

/// `/receipts?last=N`.
#[derive(Deserialize)]
struct Receipts {
    receipts: u64,
    verified: u64,
    #[serde(default)]
    erased: u64,
    #[serde(default)]
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Bad {
    run: String,
    why: String,
}

/// `/ledger`.
#[derive(Deserialize)]
struct Ledger {
    consistent: bool,
    findings: Vec<String>,
    receipts: u64,
}

#[capability(
    name = "gates.ledger.check",
    summary = "Checks that receipts verify and that the ledger agrees with itself.",
    safety = "read-only",
    needs(service("ops", rule(GET "/receipts", read, query("last")), rule(GET "/ledger", read)))
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    match input.gate {
        Gate::D403 => receipts(ctx, Look::of("D403")),
        Gate::D404 => ledger(ctx, Look::of("D404")),
    }
}

fn receipts(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let Receipts { receipts, verified, erased, bad } = get(ctx, &format!("/receipts?last={LAST}"))?;
    if bad.is_empty() && verified != receipts {
        let what = format!("of {receipts} receipts {verified} verify, and nothing says why");
        look.found(Finding::new("the ledger", 0, what, "run `ops receipts verify --all`"));
    }
    for Bad { run, why } in bad {
        let file = format!("receipts/sessions/R{run}");
        look.found(Finding::new(file, 0, why, format!("run `ops receipts verify {run}`, and trust nothing of this run")));
    }
    if receipts == 0 {
        // Nothing is proven by no receipts. That there are none is, where the ledger counts none either.
        let Ledger { receipts: counted, .. } = get(ctx, "/ledger")?;
        if counted > LAST.into() {
            let what = format!("the ledger counts {counted} receipts, and none can be read");
            look.found(Finding::new("the ledger", 0, what, "run `ops ledger verify`"));
        } else {
            look.saw("a ledger that has no receipt yet");
        }
    } else {
        look.saw(format!("the last {receipts} receipts: {verified} verify, of {erased} the evidence is erased"));
    }
    Ok(look.report())
}

fn ledger(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let Ledger { consistent, findings, receipts } = get(ctx, "/ledger")?;
    look.saw(format!("the ledger: {receipts} receipts, their log and check values"));
    if !consistent && findings.is_empty() {
        let what = "the ledger does not agree with itself, and nothing says where".to_owned();
        look.found(Finding::new("the ledger", 0, what, "run `ops ledger verify`"));
    }
    for what in findings {
        let fix = "run `ops ledger verify`; restore the state folder from a copy if it cannot be explained";
        look.found(Finding::new("the ledger", 0, what, fix));
    }
    Ok(look.report())
}
