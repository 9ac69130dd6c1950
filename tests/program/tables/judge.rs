//! What the policy, or the egress, makes of one input.

use ops_egress::address::permitted;
use ops_policy::address;
use ops_policy::binding::Binding;
use ops_policy::decide::{Door, decide};
use ops_policy::explain::request_for;
use ops_policy::manifest::{Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::message::{Header, Request, WireRequest};
use ops_policy::origin::Scheme;
use ops_policy::rights::Rights;
use ops_policy::settings::Settings;
use ops_policy::target_lock::TargetLock;
use ops_policy::visible::visible;
use serde_json::{Value, json};

/// A decision with its reason.
type Judge = fn(&[Vec<u8>]) -> String;

/// What judges the inputs of a table.
pub(super) fn of(table: &str) -> Option<Judge> {
    let judge: Judge = match table {
        "addresses" => addresses,
        "ranges" => ranges,
        "origins" => origins,
        "authorities" => authorities,
        "paths" => paths,
        "queries" => queries,
        "headers" => headers,
        "bodies" => bodies,
        "placeholders" => placeholders,
        "doors" => doors,
        "sources" => sources,
        "targets" => targets,
        "locks" => locks,
        "records" => records,
        _ => return None,
    };
    Some(judge)
}

fn said(decision: Result<String, String>) -> String {
    match decision {
        Ok(what) if what.is_empty() => "allowed".to_owned(),
        Ok(what) => format!("allowed, {}", visible(&what)),
        Err(why) => format!("denied, {}", visible(&why)),
    }
}

fn text(fields: &[Vec<u8>], index: usize) -> String {
    String::from_utf8(fields.get(index).cloned().unwrap_or_default()).expect("only bodies hold odd bytes")
}

/// The words of a field; a single `-` stands for none.
fn words(fields: &[Vec<u8>], index: usize) -> Vec<String> {
    text(fields, index).split(' ').filter(|word| !matches!(*word, "" | "-")).map(str::to_owned).collect()
}

fn addresses(fields: &[Vec<u8>]) -> String {
    let asked = text(fields, 0);
    let (scheme, asked) = match asked.strip_prefix("http ") {
        Some(address) => (Scheme::Http, address.to_owned()),
        None => (Scheme::Https, asked),
    };
    let listed: Result<Vec<_>, _> = words(fields, 1).iter().map(|range| address::parse(range)).collect();
    said(listed.map_err(|error| error.to_string()).and_then(|listed| {
        permitted(asked.parse().unwrap(), scheme, &listed).map_err(|error| error.to_string())?;
        Ok(String::new())
    }))
}

fn ranges(fields: &[Vec<u8>]) -> String {
    said(address::parse(&text(fields, 0)).map(|range| range.to_string()).map_err(|error| error.to_string()))
}

fn origins(fields: &[Vec<u8>]) -> String {
    let service = json!({"origin": text(fields, 0), "addresses": words(fields, 1), "rules": [rule("GET", "/x", "read")]});
    said(binding(service).map(|binding| binding.services["web"].place()))
}

fn authorities(fields: &[Vec<u8>]) -> String {
    let origin = text(fields, 1);
    let addresses = if origin.starts_with("http:") { json!(["127.0.0.1"]) } else { json!([]) };
    let service = json!({"origin": origin, "addresses": addresses, "rules": [rule("GET", "/x", "read")]});
    let binding = binding(service).expect("the second field is an origin");
    let found = request_for(&manifest("GET", "/x"), &binding, "GET", &text(fields, 0), vec![], None);
    said(
        found
            .map(|request| format!("{}:{}", request.service, request.path))
            .map_err(|error| error.to_string()),
    )
}

fn paths(fields: &[Vec<u8>]) -> String {
    let (pattern, path) = (text(fields, 0), text(fields, 1));
    let rule = rule("GET", &pattern, "read");
    let request = request("GET", &path, vec![], None);
    said(judged(service(rule), &pattern, Door::Fetch, &request).map(|sent| sent.target))
}

fn queries(fields: &[Vec<u8>]) -> String {
    let mut rule = rule("GET", "/x", "read");
    rule["query"] = json!(words(fields, 0));
    let request = request("GET", &format!("/x?{}", text(fields, 1)), vec![], None);
    said(judged(service(rule), "/x", Door::Fetch, &request).map(|sent| sent.target))
}

fn headers(fields: &[Vec<u8>]) -> String {
    let mut rule = rule("POST", "/x", "mutate");
    rule["headers"] = json!(words(fields, 0));
    rule["idempotency"] = json!("Idempotency-Key");
    let mut service = service(rule);
    service["credential"] = json!({"secret": "key", "header": "X-Api-Key", "as": "{}"});
    let request = request("POST", "/x", fields_of(&fields[1..]), None);
    said(judged(service, "/x", Door::Perform, &request).map(|sent| {
        let fields = sent.headers.iter().map(|header| format!("{}: {}", header.name, header.value));
        fields.collect::<Vec<_>>().join("; ")
    }))
}

fn bodies(fields: &[Vec<u8>]) -> String {
    let mut rule = rule("POST", "/x", "read");
    // A condition as a binding has it, which is not JSON, goes in after the rest is written.
    let condition = text(fields, 0);
    rule["body"] = if condition == "-" { json!({}) } else { json!("CONDITION") };
    let lines = binding_text(service(rule)).replace("\"CONDITION\"", &format!("{{{condition}}}"));
    let typed = if fields.len() > 2 { fields_of(&fields[2..]) } else { fields_of(&[JSON.into()]) };
    let request = request("POST", "/x", typed, Some(fields[1].clone()));
    said(judged_text(&lines, "/x", Door::Fetch, &request).map(|sent| lossy(sent.body)))
}

fn placeholders(fields: &[Vec<u8>]) -> String {
    let mut service = service(rule("POST", "/x", "mutate"));
    service["secrets"] = json!([{"name": "key", "at": text(fields, 0), "rule": "r"}]);
    let request = request("POST", "/x", fields_of(&[JSON.into()]), Some(fields[1].clone()));
    said(judged(service, "/x", Door::Perform, &request).map(|sent| lossy(sent.body)))
}

fn doors(fields: &[Vec<u8>]) -> String {
    let (asked, granted) = (words(fields, 0), words(fields, 1));
    let door = match asked[0].as_str() {
        "fetch" => Door::Fetch,
        "undo" => Door::Undo,
        _ => Door::Perform,
    };
    let request = request(&asked[1], "/x", vec![], None);
    let mut rule = rule(&granted[0], "/x", &granted[1]);
    if let Some(purpose) = granted.get(2) {
        rule["for"] = json!(purpose);
    }
    said(judged(service(rule), "/x", door, &request).map(|_| String::new()))
}

fn targets(fields: &[Vec<u8>]) -> String {
    let arguments: Value = serde_json::from_slice(&fields[1]).expect("the second field is JSON");
    said(TargetLock::parse(&text(fields, 0)).and_then(|lock| lock.resolve(&arguments)))
}

fn locks(fields: &[Vec<u8>]) -> String {
    let schema: Value = serde_json::from_slice(&fields[1]).expect("the second field is JSON");
    let schema = json!({"type": "object", "properties": schema});
    said(TargetLock::parse(&text(fields, 0)).and_then(|lock| {
        lock.check_against(&schema)?;
        Ok(lock.arguments().join(" "))
    }))
}

fn records(fields: &[Vec<u8>]) -> String {
    let settings = format!("workspace: demo\nrecords: {}\n", text(fields, 0));
    let parsed = Settings::parse("ops.yaml", settings.as_bytes());
    said(parsed.map_err(|error| error.message).map(|settings| {
        format!("{} s, {} bytes", settings.records.retention.as_secs(), settings.records.store)
    }))
}

fn sources(fields: &[Vec<u8>]) -> String {
    let settings = json!({
        "workspace": "demo",
        "secrets": {
            "client": {"from": "env:CLIENT", "origins": ["https://vault.example"]},
            "key": {"from": text(fields, 0), "origins": ["https://web.example"]},
        },
        "infisical": {"origin": "https://vault.example", "client_id": "id", "client_secret": "client"},
    });
    let parsed = Settings::parse("ops.yaml", settings.to_string().as_bytes());
    said(parsed.map(|_| String::new()).map_err(|error| error.message))
}

const JSON: &str = "content-type: application/json";

fn rule(method: &str, path: &str, effect: &str) -> Value {
    json!({"id": "r", "method": method, "path": path, "effect": effect})
}

fn service(rule: Value) -> Value {
    json!({"origin": "https://web.example", "rules": [rule]})
}

fn fields_of(lines: &[Vec<u8>]) -> Vec<Header> {
    let line = |line: &Vec<u8>| {
        let line = String::from_utf8(line.clone()).unwrap();
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("`{line}` is no header field"));
        Header { name: name.to_owned(), value: value.to_owned() }
    };
    lines.iter().map(line).collect()
}

fn request(method: &str, path: &str, headers: Vec<Header>, body: Option<Vec<u8>>) -> Request {
    Request { service: "web".to_owned(), method: method.to_owned(), path: path.to_owned(), headers, body }
}

fn lossy(body: Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(&body.unwrap_or_default()).into_owned()
}

/// A binding, as YAML: JSON is YAML.
fn binding_text(service: Value) -> String {
    json!({
        "capability": "a.b", "component": "a.wasm", "safety": "destructive", "approval": {"mode": "manual"},
        "services": {"web": service},
    })
    .to_string()
}

fn binding(service: Value) -> Result<Binding, String> {
    Binding::parse("b.yaml", binding_text(service).as_bytes()).map_err(|error| error.message)
}

/// An author who needs any request with that method and path.
fn manifest(method: &str, path: &str) -> Manifest {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let rules = [RuleEffect::Read, RuleEffect::Mutate, RuleEffect::Destroy].map(|effect| RuleNeed {
        method: method.to_owned(),
        path: path.to_owned(),
        effect,
        query: words(&["start", "limit", "a b", "é", "start[]"]),
        headers: words(&["x-a", "range", "cookie", "authorization", "x-custom"]),
    });
    Manifest {
        name: "a.b".to_owned(),
        summary: String::new(),
        version: "1.0.0".to_owned(),
        safety: Safety::Destructive,
        input: json!({}),
        output: json!({}),
        needs: vec![Need {
            need: NeedKind::Service { name: "web".to_owned(), rules: rules.into() },
            optional: false,
        }],
    }
}

fn judged(service: Value, path: &str, door: Door, request: &Request) -> Result<WireRequest, String> {
    judged_text(&binding_text(service), path, door, request)
}

/// What is sent, under a binding and an author who needs requests of this method and path pattern.
fn judged_text(binding: &str, path: &str, door: Door, request: &Request) -> Result<WireRequest, String> {
    let binding = Binding::parse("b.yaml", binding.as_bytes()).map_err(|error| error.message)?;
    let method = binding.services["web"].rules[0].method;
    let rights = Rights::intersect(&manifest(method.as_str(), path), &binding).unwrap();
    decide(&rights, door, request).map(|allowed| allowed.request).map_err(|denial| denial.reason.to_string())
}
