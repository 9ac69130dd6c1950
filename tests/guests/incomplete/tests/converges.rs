//! It comes to its end in two plans.

use guest_incomplete::CAPABILITY;
use ops_guest::Failure;
use ops_guest::testing::{Answer, End, World, assert_converges};
use serde_json::json;

#[test]
fn in_two_plans() {
    let mut world = World::new(&CAPABILITY).service(
        "web",
        [
            Answer::get("/state").json(json!({"id": null, "started": false})),
            Answer::get("/state").json(json!({"id": "7", "started": false})).after("POST", "/items"),
            Answer::get("/state").json(json!({"id": "7", "started": true})).after("POST", "/items/7/start"),
            Answer::post("/items").json(json!({"id": "7"})),
            Answer::post("/items/7/start"),
        ],
    );
    assert!(
        matches!(world.plan(json!({})).failure(), Failure::Incomplete(why) if why.contains("the id of the item"))
    );
    assert_eq!(world.apply(json!({})).end, End::Stopped);
    assert_eq!(world.performed().len(), 1);
    assert_eq!(assert_converges(&mut world, json!({})).output(), &json!({"id": "7"}));
    assert_eq!(world.performed().len(), 2);
}
