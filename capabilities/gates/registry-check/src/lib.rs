//! The gates of the registry: what is bound, against what names it.
//!
//! `D63` holds that each capability that is named anywhere is bound, and has a domain; `D67` that generated files are
//! what would be generated; `D401` that bindings can run and grant no more than is needed; `D405` that approvals are
//! what the binding of this gate says was agreed.

mod approvals;
mod bindings;
mod generated;
mod named;

use gates_common::{Look, Report};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;

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
    /// Registry parity.
    D63,
    /// Generated files.
    D67,
    /// Bindings.
    D401,
    /// Approvals.
    D405,
}

#[capability(
    name = "gates.registry.check",
    summary = "Checks names, generated files, rights and approvals of what is bound.",
    safety = "read-only",
    needs(
        service(
            "ops",
            rule(GET "/registry", read),
            rule(GET "/sync", read),
            rule(GET "/settings", read)
        ),
        contract("gate.registry.yaml"),
        contract("gate.execution.topology.yaml"),
        contract("recovery.actions.yaml", optional),
        config("auto", optional, "The capabilities above read-only that may run without an approval."),
        config("own", optional, "Whether `ops.yaml` may let people approve plans of their own: refused or allowed."),
        config("destructive", optional, "How many approvals `ops.yaml` must ask for above mutating.")
    )
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    match input.gate {
        Gate::D63 => named::check(ctx, Look::of("D63")),
        Gate::D67 => generated::check(ctx, Look::of("D67")),
        Gate::D401 => bindings::check(ctx, Look::of("D401")),
        Gate::D405 => approvals::check(ctx, Look::of("D405")),
    }
}
