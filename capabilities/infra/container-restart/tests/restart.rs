//! The restart in a scripted world: what is looked at before, what is asked for, and what is waited for.

use infra_container_restart::CAPABILITY;
use ops_guest::testing::{Answer, End, World, assert_converges};
use ops_guest::{Failure, Undo};
use serde_json::{Value, json};

const RESTART: &str = "/v1.44/containers/authentik-server/restart?t=10";

/// The list of running containers with this health.
fn list(health: &str) -> Answer {
    let filters = format!(
        "%7B%22health%22%3A%5B%22{health}%22%5D%2C%22name%22%3A%5B%22%5E%2Fauthentik-server%24%22%5D%2C%22status%22%3A%5B%22running%22%5D%7D"
    );
    Answer::get(&format!("/v1.44/containers/json?filters={filters}"))
}

fn entry() -> Value {
    json!([{"Id": "c0ffee", "Names": ["/authentik-server"], "State": "running", "Status": "Up 3 minutes (healthy)"}])
}

fn world(answers: impl IntoIterator<Item = Answer>) -> World {
    World::new(&CAPABILITY).service("docker", answers)
}

fn arguments() -> Value {
    json!({"container": "authentik-server"})
}

/// Not healthy before, healthy after.
fn sick() -> World {
    world([
        list("healthy").json(json!([])),
        list("none").json(json!([])),
        list("healthy").json(entry()).after("POST", RESTART),
        Answer::post(RESTART).status(204),
    ])
}

#[test]
fn a_sick_container_is_restarted_and_waited_for() {
    let plan = sick().plan(arguments());
    assert_eq!(plan.effects.len(), 1);
    assert_eq!(plan.effects[0].summary, "restart the container authentik-server");
    assert!(matches!(&plan.effects[0].undo, Undo::Impossible(_)));
    assert_eq!(plan.output()["state"], "planned");
    let ran = sick().apply(arguments());
    assert_eq!((&ran.output()["state"], &ran.output()["healthy"]), (&json!("restarted"), &json!(true)));
}

/// A plan that is made again finds it healthy.
#[test]
fn nothing_is_left_to_do_then() {
    assert_converges(&mut sick(), arguments());
}

#[test]
fn a_healthy_container_is_left_alone_unless_asked() {
    let well = || world([list("healthy").json(entry()), Answer::post(RESTART).status(204)]);
    let ran = well().plan(arguments());
    assert_eq!((&ran.output()["state"], ran.effects.len()), (&json!("left-alone"), 0));
    let ran = well().plan(json!({"container": "authentik-server", "even_if_healthy": true}));
    assert_eq!((ran.effects.len(), ran.reads.len()), (1, 0), "a plan does not rest on what does not matter");
}

#[test]
fn a_container_without_a_health_check_is_waited_for_to_run() {
    let mut world = world([
        list("healthy").json(json!([])),
        list("none").json(entry()),
        Answer::post(RESTART).status(204),
    ]);
    let ran = world.apply(arguments());
    assert_eq!((&ran.output()["state"], &ran.output()["healthy"]), (&json!("restarted"), &Value::Null));
}

#[test]
fn one_that_does_not_come_back_is_a_failure() {
    let never =
        [list("healthy").json(json!([])), list("none").json(json!([])), Answer::post(RESTART).status(204)];
    let ran = world(never).apply(json!({"container": "authentik-server", "wait_seconds": 30}));
    let why = ran.failure().why();
    assert_eq!(why, "waited 30 s for authentik-server to run and be healthy, in vain");
}

/// The engine takes names for patterns, so an entry of another name is no answer.
#[test]
fn another_container_is_not_taken_for_it() {
    let other = json!([{"Names": ["/authentik-server2", "/x/authentik-server"]}]);
    let ran = world([list("healthy").json(other), Answer::post(RESTART).status(204)]).plan(arguments());
    assert_eq!(ran.effects.len(), 1);
}

#[test]
fn what_the_engine_refuses_is_told() {
    let gone = json!({"message": "No such container: authentik-server"});
    let ran = world([list("healthy").json(json!([])), Answer::post(RESTART).status(404).json(gone)])
        .apply(arguments());
    assert!(ran.failure().why().contains("No such container"), "{ran:?}");
}

#[test]
fn names_and_times_have_a_form() {
    for bad in ["..", "a/b", "", "-x", "a?b"] {
        let ran = world([]).plan(json!({"container": bad}));
        assert!(matches!(ran.failure(), Failure::InvalidInput(_)), "{bad}: {ran:?}");
    }
}

#[test]
fn without_an_engine_only_a_dry_run_goes_through() {
    let ran = World::new(&CAPABILITY).dry_run(arguments());
    assert_eq!((ran.effects.len(), &ran.output()["state"]), (1, &json!("planned")));
    assert!(matches!(World::new(&CAPABILITY).plan(arguments()).end, End::Stopped));
}
