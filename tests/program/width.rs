//! Tables on a screen of 80 columns, of the commands as they are. What becomes of names that are longer than any here
//! is tested beside the table printer.

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    vec![skip::trial("width::tables_fit_eighty_columns", None, tables)]
}

const BINDING: &str = "capability: communications.mail.send.test\n\
                       component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                       approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                       config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";

fn tables() {
    let scratch = Scratch::new();
    scratch.place("guest-echo");
    scratch.write_binding(
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch.bind("communications-mail-send-test", BINDING);
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "hi"]).exits(0);
    scratch
        .ops(&["schedule", "install", "test.guest.echo", "--at", "Mon 03:30", "--", "--text", "hi"])
        .exits(0);
    let call = ["cap", "run", "communications.mail.send.test", "--to", "a@example.test", "--subject"];
    for subject in ["one", "two"] {
        let plan = scratch.ops(&[&call[..], &[subject]].concat()).exits(3).plan();
        if subject == "one" {
            scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
        }
    }
    for (words, head) in [
        (&["cap", "list"][..], "CAPABILITY"),
        (&["plan", "list"], "PLAN"),
        (&["runs", "list"], "RUN"),
        (&["receipts", "list"], "planned"),
        (&["schedule", "list"], "CAPABILITY"),
        (&["status"], "PLAN"),
        (&["audit"], "workspace"),
        (&["audit", "communications.mail.send.test"], "RIGHT"),
    ] {
        let text = scratch.ops(words).exits(0).stdout;
        let table = text.lines().skip_while(|line| !line.starts_with(head));
        let wide: Vec<_> = table.clone().filter(|line| line.chars().count() > 80).collect();
        assert!(table.count() > 1 && wide.is_empty(), "ops {}: {wide:?}\n{text}", words.join(" "));
    }
}
