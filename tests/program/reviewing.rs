//! `ops review`: who may say that they have looked, at what, and what becomes of that.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Trial;
use ops_policy::lock::SignedLock;
use ops_policy::sign;
use ops_tests::scratch::Scratch;
use ops_tests::skip;
use serde_json::Value;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn()| skip::trial(format!("reviewing::{name}"), None, run);
    vec![
        trial("a_review_is_shown_signed_kept_and_listed", whole),
        trial("a_lock_without_reviews_is_as_it_was_before_there_were_any", unchanged),
        trial("one_who_may_not_sign_the_lock_reviews_into_a_file", by_file),
        trial("only_what_the_lock_covers_is_reviewed", covered),
        trial("what_does_not_count_is_not_put_into_the_lock", refused),
        trial("a_capability_that_is_gone_takes_its_review_along", gone),
        trial("the_text_is_what_ssh_keygen_verifies", ssh_keygen),
    ]
}

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";
const SIGN: [&str; 6] = ["review", "sign", "test.guest.echo", "--key", "key", "--yes"];

fn echo() -> Scratch {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch
}

fn lock(scratch: &Scratch) -> SignedLock {
    SignedLock::parse("ops.lock", &fs::read(scratch.path("ops/ops.lock")).unwrap()).unwrap()
}

/// Adds a key to the approvers, for these namespaces only, and pins.
fn approver(scratch: &Scratch, name: &str, namespaces: &str) {
    let pair = sign::generate(&[name.len() as u8; 32].into(), name).unwrap();
    scratch.write(name, &pair.private);
    fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    let approvers = fs::read_to_string(scratch.path("ops/approvers")).unwrap();
    let line = format!("{name} namespaces=\"{namespaces}\" {}\n", pair.public);
    scratch.write("ops/approvers", &format!("{approvers}{line}"));
    scratch.pin();
}

/// The one row of the list.
fn row(scratch: &Scratch) -> Value {
    let list = scratch.ops(&["review", "list", "--json"]).exits(0).json();
    let rows = list["reviews"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{list}");
    rows[0].clone()
}

fn state(scratch: &Scratch) -> Value {
    row(scratch)["review"]["state"].clone()
}

fn whole() {
    let scratch = echo();
    scratch.ops(&["pin", "--development", "--key", "key", "--yes"]).exits(0);
    assert_eq!(
        (row(&scratch)["review"].clone(), row(&scratch)["required"].clone()),
        (Value::Null, false.into())
    );
    // Nobody at the terminal has said yes.
    scratch.ops(&SIGN[..5]).exits(2).says("not signed; answer yes at a terminal");
    assert_eq!(state(&scratch), Value::Null);

    let before = lock(&scratch).lock;
    let ran = scratch.ops(&SIGN).exits(0).says("it was never reviewed before").says("signed by alice");
    for part in ["test.guest.echo (read-only", "\n    wasi:", "  component sha256:", "  interface sha256:"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let mut after = lock(&scratch).lock;
    assert_eq!((after.counter, after.development), (before.counter + 1, true), "the mark stays");
    let review = after.reviews.remove("test.guest.echo").unwrap().review;
    after.counter = before.counter;
    assert_eq!(after, before, "nothing else differs");
    assert_eq!(review.expires.duration_since(review.at).as_hours(), 180 * 24);

    let found = row(&scratch);
    assert_eq!(found["review"]["state"], "valid", "{found}");
    assert_eq!(found["review"]["reviewer"], "alice", "{found}");
    let table = scratch.ops(&["review", "list"]).exits(0).stdout;
    assert!(table.contains("valid") && table.contains("alice"), "{table}");
    let shown = scratch.ops(&["cap", "show", "test.guest.echo"]).exits(0).stdout;
    assert!(shown.contains("  review valid, signed by alice at"), "{shown}");
    scratch.ops(&["cap", "run", "test.guest.echo", "--text", "hi"]).exits(0);

    // It is carried over by `ops pin`, which says where it fits no more.
    scratch.write("ops/bindings/notes.yaml", "a: contract\n");
    let pinned = scratch.pin();
    assert!(!pinned.stderr.contains("review"), "{}", pinned.stderr);
    assert_eq!(state(&scratch), "valid");
    scratch.write_binding(&format!("{ECHO}limits: {{time: 9s}}\n"));
    drop(scratch.pin().says("the review of test.guest.echo is outdated by this: the binding is"));
    assert_eq!(state(&scratch), "outdated");
    assert!(row(&scratch)["review"]["why"][0].as_str().unwrap().starts_with("the binding is"));
    let again = scratch.ops(&SIGN).exits(0).says("the review before it: outdated, signed by alice");
    assert!(again.stderr.contains("    narrowed   "), "{}", again.stderr);
    assert_eq!(state(&scratch), "valid");
}

fn unchanged() {
    let scratch = echo();
    let file = fs::read_to_string(scratch.path("ops/ops.lock")).unwrap();
    assert!(!file.contains("review"), "{file}");
    scratch.ops(&["pin", "--check"]).exits(0);
    assert_eq!(fs::read_to_string(scratch.path("ops/ops.lock")).unwrap(), file);
}

fn by_file() {
    let scratch = echo();
    approver(&scratch, "rita", "ops-review");
    let number = lock(&scratch).lock.counter;
    let ritas = |more: &[&str]| {
        let words = ["review", "sign", "test.guest.echo", "--key", "rita", "--yes"];
        scratch.ops(&[&words[..], more].concat())
    };
    ritas(&[]).exits(2).says("does not allow rita to sign for namespace `ops-lock`").says("--to FILE");
    assert_eq!((lock(&scratch).lock.counter, state(&scratch)), (number, Value::Null));
    ritas(&["--to", "ritas.review"]).exits(0).says("ops review add ritas.review --key KEY");
    ritas(&["--to", "ritas.review"]).exits(2).says("exists");
    assert_eq!(lock(&scratch).lock.counter, number, "the lock is as it was");

    let add = ["review", "add", "ritas.review", "--key", "key", "--yes"];
    scratch.ops(&add[..5]).exits(2).says("the lock is as it was");
    scratch
        .ops(&add)
        .exits(0)
        .says("ops-review v1")
        .says("capability test.guest.echo")
        .says("signed by alice");
    assert_eq!(
        (state(&scratch), row(&scratch)["review"]["reviewer"].clone()),
        ("valid".into(), "rita".into())
    );

    // Once more, where something else is pinned.
    scratch.write_binding(&format!("{ECHO}limits: {{time: 9s}}\n"));
    scratch.pin();
    scratch.ops(&add).exits(2).says("is not of what is pinned: the binding is");
    assert_eq!(state(&scratch), "outdated");
}

fn covered() {
    let scratch = echo();
    let first = "a review is of what the lock covers";
    scratch
        .ops(&["review", "sign", "test.guest.ehco", "--key", "key", "--yes"])
        .exits(2)
        .says("did you mean");
    for (file, text, why) in [
        ("ops/bindings/test.guest.echo.yaml", format!("{ECHO}limits: {{time: 9s}}\n"), "has changed"),
        ("ops/bindings/more.yaml", "a: contract\n".to_owned(), "is not in the lock"),
        ("ops/ops.yaml", "workspace: demo\nrequire: {landlock: false}\n".to_owned(), "has changed"),
    ] {
        let path = scratch.path(file);
        let before = fs::read(&path).ok();
        fs::write(&path, text).unwrap();
        scratch.ops(&SIGN).exits(2).says(why);
        match before {
            Some(before) => fs::write(&path, before).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    let component = scratch.path("ops/components/guest_echo.wasm");
    let before = fs::read(&component).unwrap();
    fs::write(&component, [before.as_slice(), b"\0\x02\x01x"].concat()).unwrap();
    scratch.ops(&SIGN).exits(2).says("has changed").says(first);
    fs::write(&component, before).unwrap();
    for (expires, why) in
        [("367d", "at most 366 days"), ("0s", "at least a second"), ("1w", "write a whole number")]
    {
        scratch.ops(&[&SIGN[..], &["--expires", expires]].concat()).exits(2).says(why);
    }
    scratch.ops(&[&SIGN[..], &["--expires", "366d"]].concat()).exits(0);
}

fn refused() {
    let scratch = echo();
    approver(&scratch, "leo", "ops-lock,ops-plan");
    let words = ["review", "sign", "test.guest.echo", "--key", "leo", "--yes"];
    scratch
        .ops(&words)
        .exits(2)
        .says("does not allow leo to sign for namespace `ops-review`")
        .says("has `ops-review` among its namespaces");
    scratch.ops(&[&SIGN[..], &["--to", "mine.review"]].concat()).exits(0);
    let good = fs::read_to_string(scratch.path("mine.review")).unwrap();
    let add = ["review", "add", "changed.review", "--key", "key", "--yes"];
    for (from, to, why) in [
        ("test.guest.echo", "test.guest.ecco", "which is not in the lock"),
        ("\"workspace\": \"demo\"", "\"workspace\": \"other\"", "does not fit the text"),
        ("\"at\": \"20", "\"at\": \"19", "at most 366 days"),
        ("{", "[", "not a signed review"),
        ("}\n", "}\n\n", "not a signed review"),
        ("BEGIN SSH", "BEGIN NO", "not an SSH signature"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        scratch.write("changed.review", &changed);
        scratch.ops(&add).exits(2).says(why);
    }
    scratch.write("changed.review", &" ".repeat(300 * 1024));
    scratch.ops(&add).exits(2).says("at most 262144 bytes");
    scratch.ops(&["review", "add", "no.review", "--key", "key"]).exits(2).says("no.review");
    assert_eq!(state(&scratch), Value::Null);
}

fn gone() {
    let scratch = echo();
    scratch.ops(&SIGN).exits(0);
    fs::remove_file(scratch.path("ops/bindings/test.guest.echo.yaml")).unwrap();
    scratch.pin();
    assert!(lock(&scratch).lock.reviews.is_empty());
    scratch.breaks("what its runs were of is bound no more");
}

fn ssh_keygen() {
    let scratch = echo();
    scratch.ops(&SIGN).exits(0);
    let signed = lock(&scratch).lock.reviews.remove("test.guest.echo").unwrap();
    scratch.write("review.txt", &signed.review.text());
    scratch.write("review.txt.sig", &signed.signature);
    let mut verify = std::process::Command::new("ssh-keygen");
    verify.args([
        "-Y",
        "verify",
        "-f",
        "ops/approvers",
        "-I",
        "alice",
        "-n",
        "ops-review",
        "-s",
        "review.txt.sig",
    ]);
    let text = fs::File::open(scratch.path("review.txt")).unwrap();
    let output = scratch.around(&mut verify).stdin(text).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
