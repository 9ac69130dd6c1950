//! Our requests and the stand-in's answers against the vendor's API schema, where `PVE_API_SCHEMA` names a file with it:
//! path → method → `parameters`, `returns`. The schema is the vendor's and no part of this project.
//!
//! Of a request is checked: path and method, that every parameter is known and none is missing, and of each its type,
//! words, range, length, pattern, and the formats that we use. Of an answer: that it has the form that the method returns.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::Test;
use super::stand_in::{StandIn, approve, run, word};

pub(super) const TESTS: &[Test] = &[("requests_and_answers_fit_the_vendors_schema", fit)];

const PREFIX: &str = "/api2/json";

/// Why there is nothing to check against. Nothing of this repository can bring the schema along.
pub(super) fn not_run() -> Option<&'static str> {
    match std::env::var_os("PVE_API_SCHEMA") {
        None => Some("PVE_API_SCHEMA names no file with the vendor's API schema"),
        Some(file) if !std::path::Path::new(&file).exists() => Some("there is no file PVE_API_SCHEMA"),
        Some(_) => None,
    }
}

#[expect(clippy::print_stderr, reason = "whoever sees the test pass is to see what that says")]
fn fit() {
    let file = std::env::var("PVE_API_SCHEMA").unwrap();
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let server = StandIn::start(&[]);
    let both = ["infra.vm.provision", "infra.vm.bootstrap"];
    let scratch = server.workspace(&both);
    for capability in both {
        run(&scratch, capability, &["--dry-run"]);
        approve(&scratch, capability).exits(0);
    }
    // What is undone is asked for by the host, with these two of the plan.
    let log = server.log();
    let mut wrong = Vec::new();
    let mut seen = BTreeMap::new();
    for line in &log {
        match call(&schema, line) {
            Err(why) => wrong.push(format!("{} {}: {why}", line["method"], line["path"])),
            Ok(template) => *seen.entry(template).or_insert(0) += 1,
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen.len(), 13, "another set of calls than was thought of: {seen:#?}");
    for (method, path, query) in [
        ("POST", "/nodes/pve1/qemu/214/status/stop", json!({})),
        ("DELETE", "/nodes/pve1/qemu/214", json!({"purge": "1", "destroy-unreferenced-disks": "1"})),
    ] {
        let undo = json!({"method": method, "path": format!("{PREFIX}{path}"), "query": query, "body": {}, "status": 200, "response": {"data": "UPID:"}});
        call(&schema, &undo).unwrap();
    }
    a_wrong_request_is_found_out(&schema);
    eprintln!(
        "checked {} calls of {} methods with the vendor's schema; a pass on the stand-in is not a pass on Proxmox",
        log.len(),
        seen.len()
    );
}

/// The check itself can fail.
fn a_wrong_request_is_found_out(schema: &Value) {
    let good = json!({"method": "PUT", "path": "/api2/json/nodes/pve1/qemu/214/resize", "query": {}, "body": {"disk": "scsi0", "size": "50G"}, "status": 200, "response": {"data": "UPID:"}});
    call(schema, &good).unwrap();
    for (pointer, value) in [
        ("/path", json!("/api2/json/nodes/pve1/qemu/214/grow")),
        ("/method", json!("PATCH")),
        ("/path", json!("/api2/json/nodes/pve1/qemu/99/resize")),
        ("/body", json!({"disk": "scsi0"})),
        ("/body", json!({"disk": "scsi0", "size": "50G", "more": 1})),
        ("/body", json!({"disk": "disk0", "size": "50G"})),
        ("/body", json!({"disk": "scsi0", "size": "fifty"})),
        ("/body", json!({"disk": "scsi0", "size": 50})),
        ("/response", json!({"data": null})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(call(schema, &bad).is_err(), "{bad} passes");
    }
}

/// Checks one line of the log. Returns the method and the path's template.
fn call(schema: &Value, line: &Value) -> Result<String, String> {
    let path = word(&line["path"]);
    let path = path.strip_prefix(PREFIX).ok_or("it is not below /api2/json")?;
    let (template, in_path) = schema
        .as_object()
        .unwrap()
        .keys()
        .find_map(|template| Some((template, matched(template, path)?)))
        .ok_or("the vendor has no such path")?;
    let method = schema[template].get(word(&line["method"])).ok_or("the vendor has no such method there")?;
    let mut given = in_path;
    for part in [&line["query"], &line["body"]] {
        let more = part.as_object().cloned().unwrap_or_default();
        given.extend(more.into_iter().map(|(name, value)| (name, (value, part == &line["query"]))));
    }
    parameters(&method["parameters"], given)?;
    match line["status"].as_u64() {
        Some(200) => returned(&method["returns"], &line["response"]["data"], "data")?,
        _ if line["response"]["message"].is_string() => {}
        _ => return Err("the error has no message".into()),
    }
    Ok(format!("{} {template}", word(&line["method"])))
}

/// Parameters by name, each with whether it is only text: what stands in a path or a query.
type Given = BTreeMap<String, (Value, bool)>;

fn matched(template: &str, path: &str) -> Option<Given> {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let mut values = Given::new();
    for (wanted, given) in wanted.iter().zip(&given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => drop(values.insert(name.to_owned(), (json!(given), true))),
            None if wanted == given => {}
            None => return None,
        }
    }
    (wanted.len() == given.len()).then_some(values)
}

fn parameters(schema: &Value, given: Given) -> Result<(), String> {
    let known = schema["properties"].as_object().cloned().unwrap_or_default();
    for (name, (value, is_text)) in &given {
        let numbered = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let schema = known.get(name).or_else(|| known.get(&format!("{numbered}[n]")));
        let schema = schema.ok_or(format!("there is no parameter {name}"))?;
        let value = match schema["type"].as_str() {
            Some("integer") if *is_text => {
                json!(word(value).parse::<i64>().map_err(|_| format!("{name} is no integer"))?)
            }
            _ => value.clone(),
        };
        one(schema, &value).map_err(|why| format!("{name}: {why}"))?;
    }
    match known.iter().find(|(name, schema)| !is_optional(schema) && !given.contains_key(*name)) {
        Some((name, _)) => Err(format!("the parameter {name} is missing")),
        None => Ok(()),
    }
}

fn is_optional(schema: &Value) -> bool {
    // A few of the vendor's flags are numbers in text.
    schema["optional"].as_u64().or_else(|| schema["optional"].as_str()?.parse().ok()).unwrap_or(0) != 0
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Checks one value of a request.
fn one(schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{value} is not {what}"));
    match schema["type"].as_str() {
        Some("integer") if value.as_i64().is_none() => return wrong("an integer"),
        Some("boolean")
            if !["0", "1", "\"0\"", "\"1\"", "true", "false"].contains(&value.to_string().as_str()) =>
        {
            return wrong("a flag");
        }
        Some("string") if !value.is_string() => return wrong("text"),
        Some("array") => {
            let items = value.as_array().ok_or(format!("{value} is no list"))?;
            return items.iter().try_for_each(|item| one(&schema["items"], item));
        }
        _ => {}
    }
    let outside = |limit: &Value, is_outside: fn(i64, i64) -> bool| {
        number(limit).zip(value.as_i64()).is_some_and(|(limit, value)| is_outside(value, limit))
    };
    if outside(&schema["minimum"], |value, limit| value < limit)
        || outside(&schema["maximum"], |value, limit| value > limit)
    {
        return wrong("in the range");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("one of the words");
    }
    let Some(text) = value.as_str() else { return Ok(()) };
    if number(&schema["maxLength"]).is_some_and(|most| text.chars().count() as i64 > most) {
        return wrong("short enough");
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
        if !whole.is_match(text) {
            return wrong("as its pattern says");
        }
    }
    match &schema["format"] {
        Value::String(name) => named_format(name, text),
        Value::Object(parts) => property_string(parts, text),
        _ => Ok(()),
    }
}

/// The formats of the parameters that we use. Another one is an error, so that none goes unchecked.
fn named_format(name: &str, text: &str) -> Result<(), String> {
    let pattern = match name {
        "pve-vmid" => "[1-9][0-9]{2,8}",
        "pve-node" | "dns-name" => "[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?",
        "pve-storage-id" => "[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]",
        "pve-bridge-id" => "[-_.A-Za-z0-9]+",
        "address-list" => r"[0-9a-fA-F.:]+([ ,;][0-9a-fA-F.:]+)*",
        "urlencoded" => "([-_.~A-Za-z0-9]|%[0-9A-Fa-f]{2})+",
        "pve-qm-ipconfig" => r"(ip=(dhcp|[0-9.]+/[0-9]+))(,gw=[0-9.]+)?",
        _ => return Err(format!("its format {name} is not known here")),
    };
    match Regex::new(&format!("^{pattern}$")).unwrap().is_match(text) {
        true => Ok(()),
        false => Err(format!("{text:?} is not of the format {name}")),
    }
}

/// `virtio,bridge=vmbr0`: parts with commas between them, the first one perhaps without its name.
fn property_string(parts: &Map<String, Value>, text: &str) -> Result<(), String> {
    for (number, part) in text.split(',').enumerate() {
        let (name, value) = match part.split_once('=') {
            Some(pair) => pair,
            None if number == 0 => {
                let default = parts.iter().find(|(_, schema)| schema["default_key"].as_u64() == Some(1));
                (default.ok_or("no part may go without a name")?.0.as_str(), part)
            }
            None => return Err(format!("{part:?} has no name")),
        };
        let schema = parts.get(name).ok_or(format!("there is no part {name}"))?;
        let value = match schema["type"].as_str() {
            Some("integer" | "boolean") => {
                json!(value.parse::<i64>().map_err(|_| format!("{part:?} is no number"))?)
            }
            _ => json!(value),
        };
        one(schema, &value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// Checks a value of an answer: its type and, of objects, that what must be there is there. The vendor sends numbers as
/// text and flags as numbers here and there.
fn returned(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if value.is_null() && is_optional(schema) {
        return Ok(());
    }
    let fits = match schema["type"].as_str() {
        Some("null") => value.is_null(),
        Some("string") => value.is_string(),
        Some("integer") => number(value).is_some(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean() || matches!(value.as_u64(), Some(0 | 1)),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits {
        return Err(format!("{at} of the answer is {value}, and not {}", schema["type"]));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        returned(&schema["items"], item, &format!("{at}/{number}"))?;
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        match value.get(name) {
            Some(value) => returned(schema, value, &format!("{at}/{name}"))?,
            None if is_optional(schema) || name.ends_with("[n]") => {}
            None => return Err(format!("{at} of the answer has no {name}")),
        }
    }
    Ok(())
}
