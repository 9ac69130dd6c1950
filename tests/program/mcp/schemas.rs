//! Schemas: two validators that others wrote accept each, and a thousand inputs that break them are refused by the host,
//! with the place that is wrong, before any guest sees them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::agent::Piped;
use ops_tests::scratch::{Scratch, ran, repository};
use ops_tests::skip;
use ops_tests::torture::dice::Dice;
use serde_json::{Map, Value, json};

use super::clients;

/// How many inputs are tried.
const BAD_INPUTS: usize = 1000;
/// What they are made from.
const SEED: u64 = 20_261_122;

pub(super) fn trials() -> Vec<Trial> {
    vec![skip::trial("mcp::schemas::hold_what_they_promise", clients::missing(), || {
        let scratch = everything();
        let mut server = Piped::start(scratch.command());
        two_validators(&scratch, &mut server);
        bad_inputs(&scratch, server);
    })]
}

/// The capabilities of the repository, by their crates: what `ops/bindings` binds.
fn capabilities() -> Vec<(String, String)> {
    let bound = entries(&repository().join("ops/bindings")).into_iter().filter_map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        let component = text.lines().find_map(|line| line.strip_prefix("component: components/"))?;
        let package = component.strip_suffix(".wasm").unwrap().replace('_', "-");
        Some((package, file.file_stem().unwrap().to_str().unwrap().to_owned()))
    });
    bound.collect()
}

/// A workspace with the repository's own bindings, and each guest of the tests with what its author says it needs.
fn everything() -> Scratch {
    let capabilities = capabilities();
    let built = entries(&repository().join("capabilities")).into_iter().filter(|folder| folder.is_dir());
    let crates =
        built.flat_map(|folder| entries(&folder)).filter(|folder| folder.join("imports.txt").exists());
    assert_eq!(crates.count(), capabilities.len(), "a capability is not bound in the repository's workspace");

    let scratch = Scratch::new();
    for file in entries(&repository().join("ops/bindings")) {
        fs::copy(&file, scratch.path("ops/bindings").join(file.file_name().unwrap())).unwrap();
    }
    fs::copy(repository().join("ops/ops.yaml"), scratch.path("ops/ops.yaml")).unwrap();
    for (package, _) in &capabilities {
        scratch.place(package);
    }
    for guest in entries(&repository().join("tests/guests")) {
        bind(&scratch, guest.file_name().unwrap().to_str().unwrap());
    }
    scratch.pin();
    scratch
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// Binds a guest and grants it what it asks for.
fn bind(scratch: &Scratch, guest: &str) {
    let name = format!("test.guest.{guest}");
    let component = scratch.place(&format!("guest-{guest}"));
    let bound = scratch.ops(&["bind", &name, &format!("ops/{component}")]);
    if bound.stderr.contains("a binding's name is the capability's") {
        // One that goes by the name of an honest one.
        return;
    }
    bound.exits(0);
    let file = scratch.path(&format!("ops/bindings/{name}.yaml"));
    let text = fs::read_to_string(&file).unwrap();
    let Some((bound, needs)) =
        text.split_once("# What the author says it needs. Uncomment what you grant, then `ops pin`.")
    else {
        return;
    };
    // `NAME` in a family of capabilities is for a person to fill in.
    let needs = needs
        .replace("\n# ", "\n")
        .replace("test.NAME ", "test.guest.echo ")
        .replace("https://HOST:", "https://example.test:");
    fs::write(&file, format!("{bound}{needs}")).unwrap();
}

/// The input schemas by the names of their tools, as a client is told of them.
fn schemas(server: &mut Piped) -> BTreeMap<String, Value> {
    let listed = server.request("tools/list", json!({})).pop().unwrap();
    let tools = listed.result()["tools"].as_array().unwrap();
    let schemas: BTreeMap<_, _> = tools
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool["inputSchema"].clone()))
        .collect();
    for (_, name) in capabilities() {
        assert!(schemas.contains_key(&name.replace('.', "_")), "{name} is no tool: {:?}", schemas.keys());
    }
    schemas
}

fn two_validators(scratch: &Scratch, server: &mut Piped) {
    let listed = server.request("tools/list", json!({})).pop().unwrap();
    let tools = listed.result()["tools"].as_array().unwrap().clone();
    assert!(tools.len() > capabilities().len() + 20, "{}", tools.len());
    for tool in &tools {
        for schema in [tool.get("inputSchema"), tool.get("outputSchema")].into_iter().flatten() {
            let problem = jsonschema::draft202012::meta::validate(schema).err();
            assert!(problem.is_none(), "{}: {problem:?}", tool["name"]);
            jsonschema::draft202012::new(schema).unwrap();
        }
    }
    let own = |tool: &&Value| !tool["name"].as_str().unwrap().starts_with("test_guest_");
    tools.iter().filter(own).for_each(says_what_it_takes);

    let file = scratch.path("tools.json");
    fs::write(&file, Value::Array(tools).to_string()).unwrap();
    let check = "
import json, sys
from jsonschema import Draft202012Validator
for tool in json.load(open(sys.argv[1])):
    for schema in (tool['inputSchema'], tool.get('outputSchema', {})):
        Draft202012Validator.check_schema(schema)
        assert '$schema' not in schema or schema['$schema'] == Draft202012Validator.META_SCHEMA['$id'], schema";
    ran(Command::new(clients::tool("bin/python")).args(["-c", check]).arg(&file)).exits(0);
}

/// What the schemas promise: a description on each field, and a range on each integer.
fn says_what_it_takes(tool: &Value) {
    let schema = &tool["inputSchema"];
    assert_eq!(schema["type"], "object", "{tool}");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let field_of = || format!("{} of {}", name, tool["name"]);
        assert!(
            !field["description"].as_str().unwrap_or_default().is_empty(),
            "{} has no description",
            field_of()
        );
        if is_a(field, "integer") {
            assert!(
                field.get("minimum").is_some() && field.get("maximum").is_some(),
                "{} has no range",
                field_of()
            );
        }
    }
}

fn is_a(field: &Value, kind: &str) -> bool {
    field["type"] == kind || field["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
}

fn bad_inputs(scratch: &Scratch, mut server: Piped) {
    let schemas: Vec<_> =
        schemas(&mut server).into_iter().filter(|(name, _)| !name.starts_with("ops_")).collect();
    let mut dice = Dice::new(SEED);
    let mut tried = 0;
    while tried < BAD_INPUTS {
        let (tool, schema) = &schemas[dice.below(schemas.len())];
        let Some((input, place)) = bad_input(schema, &mut dice) else { continue };
        let valid = jsonschema::draft202012::new(schema).unwrap().is_valid(&input);
        if valid {
            continue;
        }
        tried += 1;
        let answer = server.request("tools/call", json!({"name": tool, "arguments": input})).pop().unwrap();
        let said = answer.said();
        assert!(said.is_error, "{tool} {input}: {}", said.content);
        assert!(said.message().contains(&place), "{tool} {input}: no {place} in {}", said.message());
        assert_eq!(said.content.get("run_key"), None, "{tool} {input}: {}", said.content);
    }
    assert_eq!(server.finish(), [""; 0]);
    assert_eq!(scratch.receipts(), [] as [PathBuf; 0], "a guest was started");
}

/// An input in which one thing is wrong, and the JSON pointer to it; none where the dice chose a value that the field takes.
fn bad_input(schema: &Value, dice: &mut Dice) -> Option<(Value, String)> {
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut input: Map<String, Value> = Map::new();
    for (name, field) in &fields {
        if name != "plan_id" && (requires(schema, name) || dice.once_in(2)) {
            input.insert(name.clone(), good(field));
        }
    }
    let names: Vec<_> = fields.keys().filter(|name| *name != "plan_id").collect();
    if names.is_empty() || dice.once_in(5) {
        let unknown = format!(
            "{}-{}",
            ["x", "To", "__proto__", "a/b", "a~b", "\u{202e}x"][dice.below(6)],
            dice.below(100)
        );
        let pointer = unknown.replace('~', "~0").replace('/', "~1").replace('\u{202e}', "\\u{202e}");
        input.insert(unknown, json!(1));
        return Some((Value::Object(input), format!("/{pointer}")));
    }
    let name = names[dice.below(names.len())];
    if requires(schema, name) && dice.once_in(4) {
        input.remove(name);
    } else {
        let value = bad(&fields[name], dice);
        if jsonschema::draft202012::new(&fields[name]).unwrap().is_valid(&value) {
            return None;
        }
        input.insert(name.clone(), value);
    }
    Some((Value::Object(input), format!("/{name}")))
}

fn requires(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.contains(&json!(name)))
}

/// A value that a field takes.
fn good(field: &Value) -> Value {
    let one = field["oneOf"].get(0).and_then(|one| one.get("const"));
    if let Some(value) = field.get("default").or(field["enum"].get(0)).or(field["examples"].get(0)).or(one) {
        return value.clone();
    }
    if is_a(field, "string") {
        let least = field["minLength"].as_u64().unwrap_or(1).max(1);
        json!("a".repeat(usize::try_from(least).unwrap()))
    } else if is_a(field, "integer") || is_a(field, "number") {
        field.get("minimum").cloned().unwrap_or(json!(1))
    } else if is_a(field, "boolean") {
        json!(true)
    } else if is_a(field, "array") {
        json!([])
    } else {
        json!({})
    }
}

/// A value that a field hardly takes: of another kind, too long, too large, or not one of those that there are.
fn bad(field: &Value, dice: &mut Dice) -> Value {
    let longest = field["maxLength"].as_u64().map(|most| usize::try_from(most).unwrap() + 1);
    let most = field["maxItems"].as_u64().map(|most| usize::try_from(most).unwrap() + 1);
    let above = field["maximum"].as_i64().map(|most| json!(most.saturating_add(1)));
    let below = field["minimum"].as_i64().map(|least| json!(least - 1));
    let mut all = vec![
        json!(dice.number()),
        json!(-1.5),
        json!(true),
        json!([[]]),
        json!({"a": {}}),
        json!([1, null]),
        json!("no such word \u{1b}[2J"),
        json!(""),
    ];
    all.extend(longest.map(|length| json!("x".repeat(length))));
    all.extend(most.map(|count| json!(vec!["abc"; count])));
    all.extend(above.into_iter().chain(below));
    all[dice.below(all.len())].clone()
}
