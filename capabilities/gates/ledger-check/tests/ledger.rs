//! `D403` and `D404` in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{Report, Verdict};
use gates_ledger_check::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

fn look(gate: &str, receipts: &Value, ledger: &Value) -> Report {
    let answers = [
        Answer::get("/receipts?last=200").json(receipts.clone()),
        Answer::get("/ledger").json(ledger.clone()),
    ];
    let ran = World::new(&CAPABILITY).service("ops", answers).plan(json!({"gate": gate}));
    serde_json::from_value(ran.output().clone()).unwrap()
}

fn receipts(count: u64, verified: u64, erased: u64, bad: Value) -> Value {
    json!({"receipts": count, "verified": verified, "erased": erased, "bad": bad})
}

fn ledger(consistent: bool, findings: Value) -> Value {
    json!({"consistent": consistent, "entries": 7, "findings": findings})
}

#[test]
fn each_receipt_verifies() {
    let well = ledger(true, json!([]));
    let bad = json!([{"run": "CAP-1", "why": "signature: BAD"}]);
    for (said, ledger, result, what) in [
        (receipts(5, 4, 1, json!([])), &well, Verdict::Pass, "the last 5 receipts"),
        (receipts(5, 4, 0, bad), &well, Verdict::Fail, "signature: BAD"),
        (receipts(5, 4, 0, json!([])), &well, Verdict::Fail, "nothing says why not all"),
        (receipts(0, 0, 0, json!([])), &well, Verdict::Pass, "has no receipt yet"),
        (
            receipts(0, 0, 0, json!([])),
            &ledger(false, json!([])),
            Verdict::Fail,
            "does not agree with itself",
        ),
    ] {
        let report = look("D403", &said, ledger);
        let told = report.looked_at.iter().chain(report.findings.iter().map(|found| &found.what));
        assert!(told.into_iter().any(|text| text.contains(what)), "{report:#?}");
        assert_eq!(report.result, result, "{what}");
    }
}

#[test]
fn the_ledger_agrees_with_itself() {
    for (said, result, what) in [
        (ledger(true, json!([])), Verdict::Pass, ""),
        (ledger(false, json!(["entry 3: its seal is broken"])), Verdict::Fail, "entry 3"),
        (ledger(false, json!([])), Verdict::Fail, "nothing says where"),
    ] {
        let report = look("D404", &json!({}), &said);
        assert_eq!(report.result, result);
        assert!(report.findings.iter().all(|found| found.what.contains(what) && !found.fix.is_empty()));
    }
}
