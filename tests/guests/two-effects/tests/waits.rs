//! Its plan shows both effects, and its apply waits between them.

use guest_two_effects::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::json;

#[test]
fn between_its_effects() {
    let mut world = World::new(&CAPABILITY).service(
        "web",
        [
            Answer::post("/a").bytes("made a"),
            Answer::get("/task").bytes("done"),
            Answer::post("/b").bytes("made b"),
        ],
    );
    let plan = world.plan(json!({}));
    assert_eq!((plan.effects.len(), plan.reads.len()), (2, 0));
    let ran = world.apply(json!({}));
    assert_eq!((&ran.effects, ran.reads.len()), (&plan.effects, 1));
    assert_eq!(ran.output(), &json!({"a": "made a", "b": "made b"}));
}
