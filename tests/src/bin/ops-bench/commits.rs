//! How many commits a caller waits for until the disk has them: what the ledger itself counts, around one run each.

use ops_tests::server::{Reply, Server};
use serde_json::{Value, json};

use crate::amount::Amount;
use crate::figure::{Budget, Figure};
use crate::site::{self, Site};
use crate::within::{self, Host};

/// The hidden word that makes this program count.
pub(crate) const WORD: &str = "commits-here";
/// What changes a stand-in.
const CHANGES: &str = "test.guest.changes";
/// How many effects the run that has some has.
const EFFECTS: usize = 5;

/// The counts, in a workspace of their own.
pub(crate) fn figures() -> Vec<Figure> {
    let server = Server::start(|_, _| Reply::Answer(200, "{}".to_owned()));
    let site = Site::new(&[site::ECHO]);
    let file = site.place("guest-changes");
    let count = |approval: &str, status: &str| {
        let text = format!(
            "capability: {CHANGES}\ncomponent: components/{file}\nsafety: mutating\napproval: {approval}\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n      \
             - {{id: make, method: POST, path: /item, effect: mutate}}\n",
            server.origin()
        );
        site.write(&format!("ops/bindings/{CHANGES}.yaml"), &text);
        site.pin();
        within::figures(&site, &[WORD, status])
    };
    let approved = count("{mode: auto, reason: what is changed is a stand-in}", "done");
    [approved, count("{mode: manual}", "planned")].concat()
}

/// Counts, in this process: for a change that ends with this status.
pub(crate) fn here(status: &str) -> Vec<Figure> {
    let host = Host::here();
    let count = |capability: &str, arguments: &Value, status: &str| {
        let before = host.runner.durable_commits();
        let answer = host.call(capability, arguments);
        assert_eq!(answer.status, status, "{capability}: {}", answer.message);
        Amount::once((host.runner.durable_commits() - before) as f64)
    };
    let figure = |id: &str, what: &str, count: Amount, budget: usize| {
        Figure::new(id, what, "durable commits", count).budget(Budget::AtMost(budget as f64))
    };
    let change = count(CHANGES, &json!({"change": vec!["POST/item"; EFFECTS]}), status);
    if status == "planned" {
        return vec![figure("commits-plan", "a plan that is stored to wait", change, 1)];
    }
    vec![
        figure("commits-read", "a read-only run", count(site::ECHO.0, &json!({"text": "a"}), "done"), 0),
        figure("commits-effects", &format!("a run with {EFFECTS} effects"), change, EFFECTS + 1),
    ]
}
