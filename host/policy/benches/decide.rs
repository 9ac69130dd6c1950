//! How many requests `decide()` judges in a second: with 1, 10 and 200 rules, of which the last one covers the request,
//! and with a condition on a JMAP body of 4 KiB.
//!
//! `cargo bench -p ops-policy --bench decide -- --quick`; the figure for people is `thrpt`, in elements per second.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot set up has nothing to measure")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ops_policy::binding::Binding;
use ops_policy::decide::{Door, decide};
use ops_policy::manifest::{Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::message::{Header, Request};
use ops_policy::rights::Rights;
use serde_json::json;

/// Rights to one service with these rules, which the author needs as GET and POST under any path.
fn rights(rules: &[String]) -> Rights {
    let text = format!(
        "capability: a.b\ncomponent: a.wasm\nsafety: read-only\nservices:\n  mail:\n    \
         origin: https://mail.example\n    rules:\n      - {}\n",
        rules.join("\n      - ")
    );
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let need = |method: &str| RuleNeed {
        method: method.to_owned(),
        path: "/**".to_owned(),
        effect: RuleEffect::Read,
        query: vec!["start".to_owned()],
        headers: vec![],
    };
    let manifest = Manifest {
        name: "a.b".to_owned(),
        summary: String::new(),
        version: "1.0.0".to_owned(),
        safety: Safety::ReadOnly,
        input: json!({}),
        output: json!({}),
        needs: vec![Need {
            need: NeedKind::Service { name: "mail".to_owned(), rules: vec![need("GET"), need("POST")] },
            optional: false,
        }],
    };
    Rights::intersect(&manifest, &binding).unwrap()
}

fn request(method: &str, path: &str, body: Option<Vec<u8>>) -> Request {
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    Request {
        service: "mail".to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: vec![header("accept", "application/json"), header("content-type", "application/json")],
        body,
    }
}

fn rules(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for count in [1_usize, 10, 200] {
        let rules: Vec<String> = (1..=count)
            .map(|number| format!("{{id: r{number}, method: GET, path: \"/v{number}/{{id}}/log\", effect: read, query: [start]}}"))
            .collect();
        let rights = rights(&rules);
        let asked = request("GET", &format!("/v{count}/214/log?start=1"), None);
        assert!(decide(&rights, Door::Fetch, &asked).is_ok());
        group.bench_function(BenchmarkId::new("rules", count), |bencher| {
            bencher.iter(|| decide(black_box(&rights), Door::Fetch, black_box(&asked)));
        });
    }
    group.finish();
}

fn body(bench: &mut Criterion) {
    let calls: Vec<_> = (0..32)
        .map(|number| json!(["Email/get", {"accountId": "u1", "ids": ["M0001", "M0002", "M0003"], "properties": ["id", "subject", "from", "receivedAt", "preview"]}, number.to_string()]))
        .collect();
    let bytes =
        json!({"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], "methodCalls": calls})
            .to_string()
            .into_bytes();
    assert!((3500..5000).contains(&bytes.len()), "{}", bytes.len());
    let rule = "{id: query, method: POST, path: /jmap/, effect: read, body: {\"/methodCalls/*/0\": [Email/query, Email/get]}}";
    let rights = rights(&[rule.to_owned()]);
    let asked = request("POST", "/jmap/", Some(bytes));
    assert!(decide(&rights, Door::Fetch, &asked).is_ok());
    let mut group = bench.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    group.bench_function("body/4KiB", |bencher| {
        bencher.iter(|| decide(black_box(&rights), Door::Fetch, black_box(&asked)));
    });
    group.finish();
}

criterion_group!(benches, rules, body);
criterion_main!(benches);
