//! What the author of a capability uses.
//!
//! A capability is one function with an attribute. Its input and output are plain types; what it needs of the world
//! is written above it, and everything that it does to the world goes through the [`Ctx`] that it is given.
//!
//! ```
//! use ops_guest::{Ctx, Failure, Request, capability};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// What is asked.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Input {
//!     /// The number of the virtual machine.
//!     #[schemars(range(min = 100, max = 999))]
//!     vm_id: u32,
//! }
//!
//! /// What is answered.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Output {
//!     /// Whether it runs.
//!     running: bool,
//! }
//!
//! #[capability(
//!     name = "infra.vm.status",
//!     summary = "Says whether a virtual machine runs.",
//!     safety = "read-only",
//!     needs(service("pve", rule(GET "/vms/{id}/status", read)))
//! )]
//! fn status(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
//!     ctx.fetch(Request::get("pve", format!("/vms/{}/status", input.vm_id)))?.json()
//! }
//! # fn main() {
//! # use ops_guest::testing::{Answer, World};
//! # let answer = Answer::get("/vms/214/status").json(serde_json::json!({"running": true}));
//! # let mut world = World::new(&CAPABILITY).service("pve", [answer]);
//! # assert_eq!(world.plan(serde_json::json!({"vm_id": 214})).output()["running"], true);
//! # }
//! ```
//!
//! Doc comments of the fields become the help of the command line and the descriptions that agents see. A field that
//! people may give by position carries `#[schemars(extend("x-ops-positional" = 0))]`.
//!
//! # How a run goes
//!
//! The function is called twice: once in the *plan phase*, in which reads are answered for real and each effect is
//! written down and not sent, and once in the *apply phase*, in which the same effects must be asked for again, byte
//! for byte. Three habits follow.
//!
//! * **Read first, and skip what is there.** A plan that could not see the end is followed by a second one, which
//!   starts from the beginning. [`testing::assert_converges`] checks it.
//! * **Wait only for what happened:** [`Done::then`] runs its closure after a real effect only. Use [`Done::required`]
//!   for an answer that goes *into* a later request, and for nothing else: it ends the plan there.
//! * **Staged files depend on reads only.** What a service answered to an effect belongs in the output.
//!
//! Files in granted directories are read and written with `std::fs`; [`Ctx::directory`] says where they are. The
//! wall clock stands still during a run, so a loop must not wait for it: use [`Ctx::poll`].
//!
//! # What a component imports
//!
//! Only the interfaces behind the methods that it calls. The list is what a reviewer reads, so nothing in this crate
//! may keep an unused one alive: there is no trait object between [`Ctx`] and the host.

mod ctx;
mod effect;
mod failure;
mod host;
mod invoke;
mod manifest;
pub mod records;
mod request;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod yaml;

/// The bindings that are generated from `wit/`, for guests that do without the attribute.
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::missing_safety_doc,
    reason = "the code is generated; the items that have a meaning are documented in wit/"
)]
#[doc(hidden)]
pub mod raw {
    wit_bindgen::generate!({
        world: "capability",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "ops_guest::raw",
        additional_derives: [PartialEq, Eq],
    });
}

/// What the attribute's code calls. Not for authors.
#[doc(hidden)]
pub mod private {
    pub use crate::manifest::{About, call, config, contract, directory, invoke, manifest, rule, service};
}

/// What a capability writes into a JSON body where the host is to put a secret: the binding says, under `secrets:` of
/// the service, which one goes where. The capability, the plan and the journal only ever hold this word.
pub const PLACEHOLDER: &str = "[secret]";

pub use ctx::Ctx;
pub use effect::{Done, Effect, Proposal};
pub use invoke::{Call, InvokeError, Invoked};
pub use manifest::Capability;
pub use ops_guest_macros::capability;
pub use raw::exports::ops::capability::guest::{
    Access, ConfigNeed, DirectoryNeed, Failure, Input, Manifest, Need, NeedKind, RateLimit, RuleEffect,
    RuleNeed, Safety, ServiceNeed, Upstream,
};
pub use raw::ops::capability::effects::Undo;
pub use raw::ops::capability::report::Level;
pub use raw::ops::capability::types::{Header, NetError, Response};
pub use request::Request;
pub use yaml::{read_contract, yaml_options};
