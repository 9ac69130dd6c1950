use std::path::{Path, PathBuf};

use ops_egress::resolve::Hickory;
use ops_egress::retry::Budget as Retries;
use ops_egress::send::Egress;
use ops_ledger::audit::AuditLog;
use ops_policy::binding::Binding;
use ops_policy::manifest::{Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::message::Undo;
use ops_policy::settings::Settings;
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::secrets::{Secrets, Veil};
use crate::sends::Outbound;
use crate::trail::Trail;

/// A broker in the plan phase, for a capability that may change one service and make two requests.
fn planning() -> RunBroker {
    let rule = RuleNeed {
        method: "POST".into(),
        path: "/a".into(),
        effect: RuleEffect::Mutate,
        query: vec![],
        headers: vec![],
    };
    let manifest = Manifest {
        name: "a.b".into(),
        summary: String::new(),
        version: "0.1.0".into(),
        safety: Safety::Mutating,
        input: json!({}),
        output: json!({}),
        needs: vec![Need {
            need: NeedKind::Service { name: "web".into(), rules: vec![rule] },
            optional: false,
        }],
    };
    let binding = "capability: a.b\ncomponent: components/a.wasm\nsafety: mutating\napproval: {mode: manual}\n\
                   services:\n  web:\n    origin: https://web.example:443\n    rules:\n\
                   \u{20}     - {id: a, method: POST, path: /a, effect: mutate}\nlimits: {requests: 10}\n";
    let binding = Binding::parse("b", binding.as_bytes()).unwrap();
    let rights = Arc::new(Rights::intersect(&manifest, &binding).unwrap());
    let sender =
        Sender::new(outbound(), rights.clone(), binding.limits, audit::Phase::Plan, watch::channel(false).1);
    let caller = Caller::with(Arc::new(|_, _| panic!("nothing is called")), watch::channel(false).1);
    RunBroker::new(rights, sender, caller, Phase::Plan { dry_run: false }, Tape::default(), Arc::new(|_| {}))
}

/// What a run sends with; its audit log lies nowhere.
fn outbound() -> Outbound {
    let egress = Arc::new(Egress::new(Hickory::default()));
    let settings = Arc::new(Settings::parse("ops.yaml", b"workspace: demo\n").unwrap());
    let log = Arc::new(AuditLog::new(Path::new("/nowhere")));
    let veil = Veil::default();
    let trail = Trail::new(log, "CAP-1", "a.b", Arc::new(|_| {}), veil.clone());
    let secrets =
        Secrets::new(egress.clone(), settings, PathBuf::from("/"), None, veil.clone(), trail.clone());
    let (authorities, retries) = (BTreeMap::new(), Retries::default());
    let unanswered = |_: &_| Response { status: 404, headers: Vec::new(), body: Vec::new() };
    Outbound { egress, own: Arc::new(unanswered), authorities, secrets, veil, retries, trail }
}

fn request(path: &str, body: Option<Vec<u8>>) -> Request {
    Request { service: "web".into(), method: "POST".into(), path: path.into(), headers: vec![], body }
}

fn effect(body: Vec<u8>) -> Effect {
    Effect { summary: "a".into(), request: request("/a", Some(body)), undo: Undo::ByHand("undo".into()) }
}

#[tokio::test]
async fn a_guest_cannot_ask_for_ever() {
    let mut broker = planning();
    let mut answered = 0;
    while broker.fetch(request(&format!("/{answered}"), None)).await.is_ok() {
        answered += 1;
        assert!(answered <= 10 + MAX_REFUSED, "it is answered for ever");
    }
    assert_eq!(answered, 10 + MAX_REFUSED);
    assert_eq!(broker.seen.ending.and_then(|ending| ending.code), Some("limit-requests"));
    assert_eq!(broker.seen.denied.values().map(|refused| refused.count).sum::<u64>(), answered);
}

#[tokio::test]
async fn a_plan_is_never_longer_than_people_can_be_shown() {
    let mut broker = planning();
    for _ in 0..4 {
        assert_eq!(broker.perform(effect(vec![b'x'; 8 << 20])).await, Ok(Ok(Outcome::Planned)));
    }
    assert_eq!(broker.perform(effect(vec![b'x'])).await, Err(Stop));
    assert_eq!(broker.seen.ending.and_then(|ending| ending.code), Some("limit-plan"));
}

#[tokio::test]
async fn more_effects_than_requests_are_no_plan() {
    let mut broker = planning();
    for _ in 0..10 {
        assert_eq!(broker.perform(effect(vec![])).await, Ok(Ok(Outcome::Planned)));
    }
    assert_eq!(broker.perform(effect(vec![])).await, Err(Stop));
    assert_eq!(broker.seen.ending.and_then(|ending| ending.code), Some("limit-requests"));
}

#[tokio::test]
async fn an_effect_that_is_not_granted_ends_the_run() {
    let mut broker = planning();
    let other = Effect { request: request("/b", None), ..effect(vec![]) };
    assert_eq!(broker.perform(other).await, Err(Stop));
    assert_eq!(broker.seen.ending.and_then(|ending| ending.code), Some("effect-denied"));
}

/// Each refused question is kept for the journal, so their length counts too.
#[tokio::test]
async fn a_guest_cannot_fill_the_hosts_memory_with_refusals() {
    let mut broker = planning();
    let body = || Some(vec![b'x'; 15 << 20]);
    for _ in 0..4 {
        assert!(matches!(broker.fetch(request("/never", body())).await, Ok(Err(NetError::NotGranted(_)))));
    }
    assert_eq!(broker.fetch(request("/never", body())).await, Err(Stop));
    assert_eq!(broker.seen.ending.and_then(|ending| ending.code), Some("limit-requests"));
}
