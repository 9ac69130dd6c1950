//! A scripted world, in which a capability runs natively and without any host.
//!
//! A test says what the services answer, what lies in the directories and what the binding's config holds, then lets
//! the capability [plan](World::plan) or [apply](World::apply) and looks at what came out:
//!
//! ```
//! # use ops_guest::testing::{Answer, World, assert_converges};
//! # use ops_guest::{Ctx, Failure, Request, Undo, capability};
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! # use serde_json::json;
//! # #[derive(Deserialize, JsonSchema)]
//! # struct Input { vm_id: u32 }
//! # #[derive(Serialize, JsonSchema)]
//! # struct Output {}
//! # #[capability(
//! #     name = "infra.vm.clone",
//! #     summary = "Clones a VM.",
//! #     safety = "mutating",
//! #     needs(
//! #         service("pve", rule(GET "/vms/{id}", read), rule(POST "/clone", mutate)),
//! #         directory("notes", read),
//! #         config("node", "Where it runs."),
//! #     )
//! # )]
//! # fn clone(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
//! #     let found = ctx.fetch(Request::get("pve", format!("/vms/{}", input.vm_id)).accept(&[404]))?;
//! #     if found.status == 404 {
//! #         let request = Request::post_json("pve", "/clone", &json!({"to": input.vm_id}))?;
//! #         let clone = ctx.effect(format!("clone template 9000 to VM {}", input.vm_id), request);
//! #         clone.undo(Undo::by_hand("delete the VM")).perform()?;
//! #     }
//! #     Ok(Output {})
//! # }
//! # fn main() {
//! let mut world = World::new(&CAPABILITY)
//!     .config(json!({"node": "pve1"}))
//!     .service("pve", [
//!         Answer::get("/vms/214").status(404),
//!         Answer::get("/vms/214").json(json!({"running": true})).after("POST", "/clone"),
//!         Answer::post("/clone").json(json!({"task": "7"})),
//!     ])
//!     .directory("notes", &[("readme.txt", "hello")]);
//! let plan = world.plan(json!({"vm_id": 214}));
//! assert_eq!(plan.effects[0].summary, "clone template 9000 to VM 214");
//! assert_converges(&mut world, json!({"vm_id": 214}));
//! # }
//! ```
//!
//! The world is as strict as the host where an author can go wrong: it panics at a request that no need of the
//! manifest covers, at one that the test has no answer for, and when apply asks for another effect than the plan had
//! or leaves other files behind. It checks no binding and no limits.

#![expect(clippy::panic, clippy::expect_used, reason = "a harness tells a test what is wrong by panicking")]

mod answer;
pub(crate) mod crossing;
mod files;
mod fixture;
mod invoked;
mod needs;
mod world;

pub use answer::Answer;
pub(crate) use crossing::Handle;
pub use world::{End, Files, Ran, World};

use serde_json::Value;

/// How many plans a capability may take until nothing is left to do.
const ROUNDS: usize = 10;

/// Applies, plans again, and expects that nothing is left to do: no effect, and no file that would change.
///
/// A plan that ends `incomplete` is applied and planned again, up to ten times. The answers of the world must follow
/// the effects, which is what [`Answer::after`] is for. Returns the last plan.
///
/// # Panics
/// If the capability fails, if a plan still changes something after an apply that reached its end, or if it never
/// reaches it.
pub fn assert_converges(world: &mut World, arguments: Value) -> Ran {
    for _ in 0..ROUNDS {
        match world.apply(arguments.clone()).end {
            End::Stopped => continue,
            End::Failed(failure) => panic!("the capability does not converge, it fails: {failure:?}"),
            End::Output(_) => {}
        }
        let again = world.plan(arguments);
        let left: Vec<_> = again.effects.iter().map(|effect| effect.summary.as_str()).collect();
        assert!(left.is_empty(), "after an apply a new plan still has effects: {left:#?}");
        assert!(again.files.is_empty(), "after an apply a new plan still changes {:?}", again.files.keys());
        if let End::Failed(failure) = &again.end {
            panic!("after an apply the capability fails: {failure:?}");
        }
        return again;
    }
    panic!("after {ROUNDS} plans the capability is still incomplete");
}
