//! The scripted world: that it lets a good capability through and finds a bad one out.

#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::Duration;

use ops_guest::testing::{Answer, End, World, assert_converges};
use ops_guest::{Call, Ctx, Failure, Invoked, Level, NetError, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A machine of which something is wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The machine's number.
    #[schemars(range(min = 100, max = 999), extend("x-ops-positional" = 0))]
    vm_id: u32,
    /// Which mistake to make.
    #[serde(default)]
    mistake: Mistake,
}

/// Mistakes that an author can make.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mistake {
    #[default]
    None,
    ReadsNothingFirst,
    DoesMoreInApply,
    StagesAnAnswer,
    UndeclaredRead,
    UndeclaredEffect,
    UndeclaredDirectory,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    created: bool,
    id: String,
}

#[capability(
    name = "infra.vm.create",
    summary = "Creates a machine and starts it.",
    safety = "mutating",
    needs(
        service("pve",
            rule(GET "/vms/{id}", read),
            rule(GET "/tasks/{id}", read),
            rule(POST "/vms", mutate),
            rule(POST "/vms/{id}/start", mutate)),
        directory("notes", stage),
        config("node", "The node that gets the machine."),
    )
)]
fn create(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let (vm, mistake) = (input.vm_id, input.mistake);
    let found = ctx.fetch(Request::get("pve", format!("/vms/{vm}")).accept(&[404]))?;
    let there = found.status != 404 && mistake != Mistake::ReadsNothingFirst;
    let started = there && found.json::<Value>()?["started"] == true;
    let id = ctx.unique_id()?;
    let undo = || Undo::request(Request::delete("pve", format!("/vms/{vm}")));
    let mut note = format!("vm {vm} on {}\n", ctx.config_str("node")?);
    if !there {
        let clone = Request::post_json("pve", "/vms", &json!({"id": vm, "name": id}))?;
        let clone = ctx.effect(format!("create VM {vm}"), clone).undo(undo()).perform()?;
        clone.then(|answer| {
            let task = answer.text()?;
            ctx.poll("the new machine", Duration::from_secs(1), Duration::from_secs(10), || {
                ctx.progress(1, Some(2), "waiting");
                let answer = ctx.fetch(Request::get("pve", format!("/tasks/{task}")))?;
                Ok((answer.text()? == "OK").then_some(()))
            })
        })?;
        if mistake == Mistake::StagesAnAnswer && clone.answer().is_some() {
            note.push_str("done\n");
        }
    }
    match mistake {
        Mistake::UndeclaredRead => drop(ctx.fetch(Request::get("pve", "/version"))?),
        Mistake::UndeclaredDirectory => drop(ctx.directory("secrets")),
        Mistake::UndeclaredEffect => {
            drop(ctx.effect("x", Request::delete("pve", "/vms/1")).undo(undo()).perform()?);
        }
        Mistake::DoesMoreInApply
            if ctx.fetch_raw(&Request::get("pve", "/tasks/performed")).is_ok_and(|a| a.status == 200) =>
        {
            drop(ctx.effect("more", Request::new("POST", "pve", "/vms")).undo(undo()).perform()?);
        }
        _ => {}
    }
    if !started {
        let start = Request::new("POST", "pve", format!("/vms/{vm}/start"));
        ctx.effect(format!("start VM {vm}"), start).undo(Undo::by_hand("stop it")).perform()?;
    }
    std::fs::write(ctx.directory("notes").join("vm.txt"), note)?;
    ctx.log(Level::Info, "all done");
    Ok(Output { created: !there, id })
}

fn world() -> World {
    World::new(&CAPABILITY).config(json!({"node": "pve1"})).directory("notes", &[("old.txt", "old")]).service(
        "pve",
        [
            Answer::get("/vms/214").status(404),
            Answer::get("/vms/214").json(json!({"started": false})).after("POST", "/vms"),
            Answer::get("/vms/214").json(json!({"started": true})).after("POST", "/vms/214/start"),
            Answer::get("/tasks/7").bytes("OK"),
            Answer::get("/tasks/performed").status(404),
            Answer::get("/tasks/performed").after("POST", "/vms"),
            Answer::post("/vms").bytes("7").when(|body| body["id"] == 214),
            Answer::post("/vms/214/start"),
        ],
    )
}

#[test]
fn a_good_capability_converges() {
    let mut world = world();
    let plan = world.plan(json!({"vm_id": 214}));
    let summaries: Vec<_> = plan.effects.iter().map(|effect| effect.summary.as_str()).collect();
    assert_eq!(summaries, ["create VM 214", "start VM 214"]);
    assert_eq!(plan.reads, ["pve GET /vms/214"], "a plan waits for nothing");
    assert_eq!(plan.file("notes/vm.txt"), "vm 214 on pve1\n");
    assert_eq!(plan.log, ["info: all done"]);

    let last = assert_converges(&mut world, json!({"vm_id": 214}));
    assert_eq!(last.output()["created"], false);
    assert_eq!(world.performed().len(), 2);
}

#[test]
fn ids_agree_between_plan_and_apply_and_differ_between_plans() {
    let mut world = world();
    let first = world.plan(json!({"vm_id": 214})).output()["id"].clone();
    let second = world.apply(json!({"vm_id": 214}));
    assert_ne!(first, second.output()["id"]);
    assert_eq!(first.as_str().map(str::len), Some(32));
    let body = second.effects[0].request.body.as_deref().map(serde_json::from_slice::<Value>);
    assert!(matches!(body, Some(Ok(body)) if body["name"] == second.output()["id"]));
}

#[test]
#[should_panic(expected = "a new plan still has effects")]
fn a_capability_that_reads_nothing_first_is_found_out() {
    assert_converges(&mut world(), json!({"vm_id": 214, "mistake": "reads-nothing-first"}));
}

#[test]
#[should_panic(expected = "is not that of the plan")]
fn another_effect_in_apply_is_found_out() {
    world().apply(json!({"vm_id": 214, "mistake": "does-more-in-apply"}));
}

#[test]
#[should_panic(expected = "the apply leaves other files than the plan")]
fn a_file_that_depends_on_an_answer_is_found_out() {
    world().apply(json!({"vm_id": 214, "mistake": "stages-an-answer"}));
}

#[test]
#[should_panic(expected = "no rule (read) for GET /version")]
fn a_read_that_the_manifest_lacks_is_found_out() {
    world().plan(json!({"vm_id": 214, "mistake": "undeclared-read"}));
}

#[test]
#[should_panic(expected = "no rule (mutate or destroy) for DELETE /vms/1")]
fn an_effect_that_the_manifest_lacks_is_found_out() {
    world().plan(json!({"vm_id": 214, "mistake": "undeclared-effect"}));
}

#[test]
#[should_panic(expected = "no directory secrets")]
fn a_directory_that_the_manifest_lacks_is_found_out() {
    world().plan(json!({"vm_id": 214, "mistake": "undeclared-directory"}));
}

#[test]
fn waiting_ends_and_takes_no_time_in_a_test() {
    let begun = std::time::Instant::now();
    let mut world = world().service("never", []);
    let stuck = World::new(&CAPABILITY).config(json!({"node": "n"})).directory("notes", &[]).service(
        "pve",
        [
            Answer::get("/vms/214").status(404),
            Answer::post("/vms").bytes("7"),
            Answer::get("/tasks/7").bytes("running"),
        ],
    );
    let ran = { stuck }.apply(json!({"vm_id": 214}));
    assert_eq!(ran.end, End::Failed(Failure::failed("waited 10 s for the new machine, in vain")));
    assert_eq!(ran.reads.iter().filter(|read| read.contains("/tasks/7")).count(), 11);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(matches!(world.plan(json!({"vm_id": 99, "wrong": 1})).failure(), Failure::InvalidInput(_)));
}

/// Reads of which it is told how long they took, and a contract.
#[derive(Serialize, JsonSchema)]
struct Measured {
    milliseconds: u64,
    contract: String,
}

mod measured {
    use super::*;

    #[capability(
        name = "infra.vm.measure",
        summary = "Reads a machine and a contract.",
        safety = "read-only",
        needs(service("pve", rule(GET "/vms", read)), contract("vm.contract.yaml", optional))
    )]
    fn measure(ctx: &Ctx, _: Nothing) -> Result<Measured, Failure> {
        let start = ctx.elapsed();
        ctx.fetch(Request::get("pve", "/vms"))?;
        let milliseconds = u64::try_from((ctx.elapsed() - start).as_millis()).unwrap_or(u64::MAX);
        Ok(Measured { milliseconds, contract: ctx.contract("vm.contract.yaml")? })
    }
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[test]
fn an_answer_takes_its_time_and_a_contract_is_read() {
    let slow = Answer::get("/vms").takes(Duration::from_millis(250));
    let mut world =
        World::new(&measured::CAPABILITY).service("pve", [slow]).contract("vm.contract.yaml", "a: 1\n");
    assert_eq!(world.plan(json!({})).output(), &json!({"milliseconds": 250, "contract": "a: 1\n"}));

    let refused = Answer::get("/vms").fails(NetError::Tls("unknown issuer".into()));
    let ran = World::new(&measured::CAPABILITY).service("pve", [refused]).plan(json!({}));
    assert_eq!(ran.failure().why(), "GET /vms: unknown issuer");
}

#[test]
fn a_contract_that_is_not_granted_is_named_with_the_remedy() {
    let ran = World::new(&measured::CAPABILITY).service("pve", [Answer::get("/vms")]).plan(json!({}));
    assert!(
        matches!(ran.failure(), Failure::NotGranted(why) if why.contains("vm.contract.yaml") && why.contains("`contracts:`")),
        "{ran:?}"
    );
}

#[test]
#[should_panic(expected = "asks for no contract other.yaml")]
fn a_contract_that_the_manifest_lacks_is_found_out() {
    drop(World::new(&measured::CAPABILITY).contract("other.yaml", ""));
}

#[test]
fn schemas_are_in_one_piece_and_carry_the_docs() {
    let manifest = CAPABILITY.manifest();
    let input: Value = serde_json::from_str(&manifest.input).unwrap_or_default();
    let vm = &input["properties"]["vm_id"];
    assert_eq!(
        (&vm["minimum"], &vm["maximum"], &vm["x-ops-positional"]),
        (&json!(100), &json!(999), &json!(0))
    );
    assert_eq!(vm["description"], "The machine's number.");
    assert_eq!(input["additionalProperties"], false);
    assert_eq!(input["required"], json!(["vm_id"]));
    for schema in [&manifest.input, &manifest.output] {
        assert!(
            !schema.contains("$ref") && schema.contains("https://json-schema.org/draft/2020-12/schema"),
            "{schema}"
        );
    }
}

/// What came of two machines.
#[derive(Serialize, JsonSchema)]
struct Both {
    outputs: Vec<Value>,
    runs: Vec<Option<String>>,
    why: Option<String>,
    milliseconds: u64,
}

mod calling {
    use super::*;

    #[capability(
        name = "infra.vm.both",
        summary = "Asks for two machines.",
        safety = "read-only",
        needs(
            invoke("infra.vm.measure"),
            invoke("gates.**", optional),
            service("ops", optional, rule(GET "/receipts/{run}", read))
        )
    )]
    fn both(ctx: &Ctx, _: Nothing) -> Result<Both, Failure> {
        let start = ctx.elapsed();
        let calls = [
            Call::new("infra.vm.measure", &json!({"n": 1}))?,
            Call::new("gates.one.check", &json!({"n": 2}))?,
        ];
        let answers = ctx.invoke(&calls)?;
        Ok(Both {
            outputs: answers.iter().filter_map(|answer| answer.outcome.clone().ok()).collect(),
            runs: answers.iter().map(|answer| answer.run.clone()).collect(),
            why: answers.iter().find_map(|answer| answer.output::<Value>().err()).map(|why| why.to_string()),
            milliseconds: u64::try_from((ctx.elapsed() - start).as_millis()).unwrap_or(u64::MAX),
        })
    }
}

#[test]
fn calls_are_answered_in_order_and_take_as_long_as_the_longest() {
    let slow = |n: &Value| Invoked { milliseconds: 30, ..Invoked::with("R1", json!({"n": n["n"]})) };
    let mut world = World::new(&calling::CAPABILITY)
        .invocable("infra.vm.measure", slow)
        .invocable("gates.one.check", |_| Invoked::failed("R2", "it is broken"));
    let ran = world.plan(json!({}));
    assert_eq!(
        ran.output(),
        &json!({"outputs": [{"n": 1}], "runs": ["R1", "R2"], "why": "it is broken", "milliseconds": 30})
    );
    assert_eq!(ran.reads, ["invoke infra.vm.measure {\"n\":1}", "invoke gates.one.check {\"n\":2}"]);
}

#[test]
#[should_panic(expected = "does not say that it calls other.thing.do")]
fn a_call_that_the_manifest_lacks_is_found_out() {
    drop(World::new(&calling::CAPABILITY).invocable("other.thing.do", |_| Invoked::failed("R", "")));
}

mod recorded {
    use super::*;
    use ops_guest::records;

    #[derive(Deserialize, JsonSchema)]
    pub(super) struct Run {
        run: String,
    }

    #[derive(Serialize, JsonSchema)]
    pub(super) struct Status {
        status: Option<String>,
    }

    #[capability(
        name = "gaps.evidence.check",
        summary = "Looks at a receipt.",
        safety = "read-only",
        needs(service("ops", rule(GET "/receipts/{run}", read)))
    )]
    fn evidence(ctx: &Ctx, input: Run) -> Result<Status, Failure> {
        Ok(Status { status: records::receipt(ctx, &input.run)?.map(|receipt| receipt.status) })
    }
}

#[test]
fn a_receipt_is_read_by_its_key_and_no_other_path() {
    let receipt = json!({
        "run": "CAP-1", "capability": "a.b", "safety": "read-only", "status": "done", "at": "", "dry_run": false, "verifies": true,
        "why": null,
    });
    let mut world = World::new(&recorded::CAPABILITY).service(
        "ops",
        [Answer::get("/receipts/CAP-1").json(receipt), Answer::get("/receipts/CAP-2").status(404)],
    );
    assert_eq!(world.plan(json!({"run": "CAP-1"})).output(), &json!({"status": "done"}));
    assert_eq!(world.plan(json!({"run": "CAP-2"})).output(), &json!({"status": null}));
    for wrong in ["", "../lock", "a/b", "fixed in a commit", "..", "a?b"] {
        let ran = world.plan(json!({"run": wrong}));
        assert!(
            matches!(ran.failure(), Failure::InvalidInput(_)) && ran.reads.is_empty(),
            "{wrong}: {ran:?}"
        );
    }
}
