//! The gates of what was recorded: `D403` holds that receipts verify, `D404` that the ledger agrees with itself.

use gates_common::{Finding, Look, Report};
use ops_guest::records::{self, BadReceipt, Ledger, Receipts};
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
    let Receipts { receipts, verified, erased, bad } = records::receipts(ctx, LAST)?;
    if bad.is_empty() && verified.saturating_add(erased) < receipts {
        let what = format!("of {receipts} receipts {verified} verify, and nothing says why not all");
        look.found(Finding::new("the ledger", 0, what, "run `ops receipts verify --all`"));
    }
    for BadReceipt { run, why } in bad {
        let file = format!("receipts/sessions/R{run}");
        look.found(Finding::new(
            file,
            0,
            why,
            format!("run `ops receipts verify {run}`, and trust nothing of this run"),
        ));
    }
    if receipts == 0 {
        // No receipts prove nothing. A ledger that agrees with itself proves that there are none yet.
        let Ledger { consistent, entries, .. } = records::ledger(ctx)?;
        if consistent {
            look.saw(format!(
                "a ledger of {entries} entries, which has no receipt yet and agrees with itself"
            ));
        } else {
            let what = "there are no receipts, and the ledger does not agree with itself";
            look.found(Finding::new("the ledger", 0, what, "run `ops ledger verify`"));
        }
    } else {
        look.saw(format!("the last {receipts} receipts: {verified} verify with their evidence, {erased} without, which was erased"));
    }
    Ok(look.report())
}

fn ledger(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let Ledger { consistent, entries, findings } = records::ledger(ctx)?;
    look.saw(format!("the ledger: {entries} entries, their log, check values and files"));
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
