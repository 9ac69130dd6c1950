//! The audit as a page, in a browser: from disk, with the network off, in light, in dark and on paper.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, ran, repository};
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = if !skip::has_program("chromium") {
        Some("chromium")
    } else if !skip::has_program("node") {
        Some("node")
    } else if !modules().join("node_modules/axe-core").exists() {
        Some("axe-core")
    } else {
        None
    };
    vec![
        skip::trial("report::a_browser_opens_the_page_without_a_network", missing, in_a_browser),
        skip::trial("report::the_page_has_what_the_audit_has", None, as_the_audit),
    ]
}

/// Where `make live-deps` puts what drives the browser.
fn modules() -> PathBuf {
    std::env::var_os("OPS_TEST_REPORT").map_or_else(|| repository().join("target/report"), PathBuf::from)
}

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";
const SEND: &str = "capability: communications.mail.send.test\n\
                    component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                    approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                    services:\n  mail:\n    origin: https://mail.example.test:443\n    addresses: [10.0.0.0/8]\n    \
                    rules:\n      - {id: session, method: GET, path: /jmap/session, effect: read}\n      \
                    - {id: call, method: POST, path: /jmap/, effect: read}\n\
                    config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";

/// A workspace with runs, a plan that waits, findings of each weight, and a binding that cannot be read.
fn site() -> Scratch {
    let scratch = Scratch::new();
    scratch.place("guest-echo");
    scratch.write_binding(ECHO);
    scratch.bind("communications-mail-send-test", SEND);
    for text in ["one", "two", "<script>alert(1)</script>"] {
        scratch.ops(&["cap", "run", "test.guest.echo", "--text", text]).exits(0);
    }
    scratch.write("ops/bindings/broken.one.yaml", "capability: <b>broken</b>\nno such key: 1\n");
    scratch.breaks("a binding is not in the lock");
    scratch
}

fn page(scratch: &Scratch) -> String {
    scratch.ops(&["audit", "--format", "html"]).exits(0).stdout
}

fn as_the_audit() {
    let scratch = site();
    let audit = scratch.ops(&["audit", "--format", "json"]).exits(0).json();
    let page = page(&scratch);
    for finding in audit["findings"].as_array().unwrap() {
        assert!(page.contains(finding["id"].as_str().unwrap()), "{finding}");
    }
    for capability in audit["capabilities"].as_array().unwrap() {
        for word in [&capability["capability"], &capability["binding"]] {
            assert!(page.contains(word.as_str().unwrap()), "{word}");
        }
    }
    for part in
        ["https://mail.example.test:443", "may be dialled in 10.0.0.0/8", "ops:capability/fetch@0.1.0"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("<b>broken"));
}

fn in_a_browser() {
    let scratch = site();
    let folder = repository().join("target/report");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("audit.html");
    fs::write(&file, page(&scratch)).unwrap();
    let looked = ran(Command::new("node")
        .arg(repository().join("tests/report/look.mjs"))
        .args([&file, &folder])
        .env("MODULES", modules()));
    looked.exits(0);
    for kept in ["light.png", "dark.png", "paper.pdf"] {
        assert!(fs::metadata(folder.join(kept)).unwrap().len() > 10_000, "{kept}");
    }
}
