//! `ops diff`, on versions that differ in one thing: `tests/diffs/NAME/` holds `old` and `new` (bindings, an `ops.yaml`, or
//! components as text), `class`, which is written by hand, and `output.txt`, which `BLESS=1` writes. A folder that is
//! dropped in is a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use ops_tests::scratch::{Scratch, ran, repository};
use ops_tests::skip;

/// The fewest folders, so that one that is not found is noticed.
const FOLDERS: usize = 55;

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";

pub(crate) fn trials() -> Vec<Trial> {
    let of_folder = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Trial::test(format!("diffs::{name}"), move || check(&folder))
    };
    let count = Trial::test("diffs::are_read", || match folders().len() {
        found if found < FOLDERS => Err(format!("{found} folders, expected at least {FOLDERS}").into()),
        _ => Ok(()),
    });
    let trial = |name: &str, run: fn()| skip::trial(format!("diffs::{name}"), None, run);
    let whole = [
        trial("pin_shows_what_diff_shows", pin_shows_the_same),
        trial("git_revisions_and_folders_are_compared", revisions),
        trial("two_locks_are_compared", locks),
        trial("what_cannot_be_compared_is_refused", refused),
        trial("a_lock_that_does_not_hold_is_not_compared_with", forged),
        trial("a_repository_cannot_hide_a_difference", hostile_repository),
        trial("pin_shows_all_of_what_is_new", whole),
    ];
    folders().into_iter().map(of_folder).chain([count]).chain(whole).collect()
}

fn folders() -> Vec<PathBuf> {
    let folder = repository().join("tests/diffs");
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// The two versions; components are assembled into a folder of their own.
fn versions(folder: &Path, scratch: &Path) -> [PathBuf; 2] {
    ["old", "new"].map(|which| {
        let text = folder.join(format!("{which}.wat"));
        if !text.exists() {
            return folder.join(format!("{which}.yaml"));
        }
        let made = scratch.join(format!("{which}.wasm"));
        fs::write(&made, wat::parse_file(text).unwrap()).unwrap();
        made
    })
}

fn check(folder: &Path) -> Result<(), Failed> {
    let scratch = tempfile::tempdir().unwrap();
    let [old, new] = versions(folder, scratch.path());
    let ops = |flags: &[&str]| {
        let mut command = Command::new(ops_tests::scratch::ops());
        // Two files need no workspace.
        ran(command.current_dir(scratch.path()).arg("diff").arg(&old).arg(&new).args(flags))
    };
    let ran = ops(&[]).exits(0);
    let shown = ran.stdout.clone();
    let class = fs::read_to_string(folder.join("class")).unwrap().trim().to_owned();
    let gravest = ["widened", "moved", "narrowed", "unchanged"]
        .into_iter()
        .find(|class| shown.lines().any(|line| line.trim_start().starts_with(class)));
    // That there is no difference at all is an answer, too.
    if gravest.unwrap_or("unchanged") != class {
        return Err(format!("it is {class}, and this was shown:\n{shown}").into());
    }
    ops(&["--fail-on", "widened"]).exits(i32::from(class == "widened"));
    let file = folder.join("output.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &shown).unwrap();
        return Ok(());
    }
    match fs::read_to_string(&file) {
        Ok(expected) if expected == shown => Ok(()),
        _ => Err(format!("output.txt is not what is shown now (BLESS=1 writes it):\n{shown}").into()),
    }
}

fn pin_shows_the_same() {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch.pin();
    scratch.ops(&["diff", "--fail-on", "unchanged"]).exits(0).says("no difference");
    scratch.write_binding(&format!("{ECHO}config: {{greeting: hello}}\nlimits: {{requests: 100}}\n"));
    let diff = scratch.ops(&["diff"]).exits(0);
    assert!(
        diff.stdout.contains("widened    it may use more requests  (ops/bindings/test.guest.echo.yaml:5)"),
        "{}",
        diff.stdout
    );
    assert!(
        diff.stdout.contains("moved      it sees one more setting  (ops/bindings/test.guest.echo.yaml:4)"),
        "{}",
        diff.stdout
    );
    let pin = scratch.ops(&["pin", "--check"]).exits(1);
    for line in diff.stdout.lines() {
        assert!(pin.stderr.contains(line), "pin does not show: {line}\n{}", pin.stderr);
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "commit.gpgsign=false"];
    let mut command = Command::new("git");
    command.current_dir(folder).args(identity).args(words);
    ran(command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")).exits(0).stdout
}

fn revisions() {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch.pin();
    let root = scratch.path("");
    git(&root, &["init", "-q"]);
    git(&root, &["add", "ops/ops.yaml", "ops/bindings", "ops/approvers"]);
    git(&root, &["commit", "-qm", "first"]);
    scratch.write_binding(&format!("{ECHO}invoke: [test.guest.other]\n"));
    let shown = scratch.ops(&["diff", "HEAD"]).exits(0);
    assert!(shown.stdout.contains("widened    it may call that capability"), "{}", shown.stdout);
    // Components are no part of that repository, which is said and not passed over.
    shown.says("what they import and need is not compared");
    git(&root, &["commit", "-qam", "second"]);
    scratch.ops(&["diff", "HEAD~1", "HEAD", "--fail-on", "widened"]).exits(1);
    scratch.ops(&["diff", "HEAD", "HEAD~1", "--fail-on", "widened"]).exits(0);
    // A folder is one, too.
    let copy = tempfile::tempdir().unwrap();
    for file in ["ops.yaml", "bindings/test.guest.echo.yaml"] {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(scratch.path("ops").join(file), to).unwrap();
    }
    let folder = copy.path().to_str().unwrap();
    scratch.ops(&["diff", "HEAD~1", folder, "--fail-on", "widened"]).exits(1);
    for hostile in ["--output=/tmp/x", "-x", "HEAD:ops", "nothing-of-that-name"] {
        scratch.ops(&["diff", "--", hostile]).exits(2).says("neither a file, a folder nor a git revision");
    }
}

fn locks() {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch.pin();
    fs::copy(scratch.path("ops/ops.lock"), scratch.path("first.lock")).unwrap();
    scratch.write_binding(&format!("{ECHO}limits: {{time: 40s}}\n"));
    scratch.pin();
    let shown = scratch.ops(&["diff", "first.lock", "ops/ops.lock"]).exits(0);
    assert!(shown.stdout.contains("widened    it may use more time"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("was time up to 20s") && shown.stdout.contains("is  time up to 40s"),
        "{}",
        shown.stdout
    );
    // Where the old text is gone, the difference is not taken for none.
    for state in fs::read_dir(scratch.path("state/ops")).unwrap() {
        fs::remove_dir_all(state.unwrap().path().join("pinned")).unwrap();
    }
    let shown = scratch.ops(&["diff", "first.lock"]).exits(0);
    assert!(
        shown.stdout.contains("widened    the binding is another one, and its text is not kept here"),
        "{}",
        shown.stdout
    );
}

fn refused() {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    scratch.pin();
    let component = "ops/components/guest_echo.wasm";
    scratch.ops(&["diff", component, "ops/ops.yaml"]).exits(2).says("of different kinds");
    scratch.write("broken.wasm", "\0asm nothing");
    scratch.ops(&["diff", component, "broken.wasm"]).exits(2).says("broken.wasm");
    scratch.write("broken.yaml", "capability: a\nservices: 1\n");
    scratch.ops(&["diff", "ops/bindings/test.guest.echo.yaml", "broken.yaml"]).exits(2).says("broken.yaml:");
    scratch.ops(&["diff", component, component, "--fail-on", "unchanged"]).exits(0).says("no difference");
}

const WRITER: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: mutating\n\
                      approval: {mode: auto, reason: it is in a hurry}\nservices:\n  item:\n    origin: https://item.example\n    \
                      tls: {ca: certs/ca.pem}\n    credential: {secret: token, header: Authorization, as: \"Basic {}\"}\n    rules:\n      \
                      - {id: put, method: PUT, path: /**, effect: mutate}\nconfig: {greeting: hello}\n";

/// The lock of a workspace that grants nothing, put back over one that grants the same again.
fn forged() {
    let scratch = Scratch::new();
    let lock = scratch.path("ops/ops.lock");
    scratch.bind("guest-echo", &format!("{ECHO}limits: {{requests: 100}}\n"));
    scratch.pin();
    let wide = fs::read_to_string(&lock).unwrap();
    let binding = fs::read_to_string(scratch.path("ops/bindings/test.guest.echo.yaml")).unwrap();
    scratch.write_binding(ECHO);
    scratch.pin();
    // An older one.
    fs::write(&lock, &wide).unwrap();
    scratch.write_binding(&binding);
    scratch.ops(&["diff"]).exits(2).says("there is no lock to compare with");
    let pin = scratch.ops(&["pin", "--check"]).exits(1);
    let told = &pin.stderr;
    assert!(told.contains("does not hold, so everything is shown as new"), "{told}");
    assert!(told.contains("the capability is new") && told.contains("100 requests"), "{told}");
    // One whose digest of the binding was changed by hand: nobody signed that.
    scratch.write_binding(ECHO);
    scratch.pin();
    let signed = fs::read_to_string(&lock).unwrap();
    let digest = |bytes: &[u8]| ops_policy::digest::Digest::of(bytes).to_string();
    let wider = format!("{ECHO}limits: {{requests: 200}}\n");
    fs::write(&lock, signed.replace(&digest(ECHO.as_bytes()), &digest(wider.as_bytes()))).unwrap();
    scratch.write_binding(&wider);
    scratch.ops(&["diff"]).exits(2).says("there is no lock to compare with");
}

fn hostile_repository() {
    let scratch = Scratch::new();
    scratch.bind("guest-echo", ECHO);
    let root = scratch.path("");
    git(&root, &["init", "-q", "-b", "main"]);
    git(&root, &["add", "ops/ops.yaml", "ops/bindings"]);
    git(&root, &["commit", "-qm", "first"]);
    git(&root, &["checkout", "-q", "-b", "evil"]);
    scratch.write_binding(&format!("{ECHO}limits: {{requests: 100}}\n"));
    git(&root, &["commit", "-qam", "wider"]);
    let widened = ["diff", "main", "evil", "--fail-on", "widened"];
    scratch.ops(&widened).exits(1);
    // A commit that the repository says is another one.
    git(&root, &["replace", "main", "evil"]);
    scratch.ops(&widened).exits(1);
    // A folder of the revision's name.
    fs::create_dir(scratch.path("main")).unwrap();
    scratch.ops(&widened).exits(2).says("is a file or a folder, and a git revision");
    fs::remove_dir(scratch.path("main")).unwrap();
    // A second file for the capability, and a name that is no text.
    let second = "ops/bindings/zzz.yaml";
    scratch.write(second, ECHO);
    git(&root, &["add", second]);
    git(&root, &["commit", "-qm", "second"]);
    scratch.ops(&widened).exits(2).says("a binding's file name is its capability's");
    git(&root, &["rm", "-q", second]);
    let latin = std::os::unix::ffi::OsStrExt::from_bytes(b"z\xff.yaml");
    let latin: &std::ffi::OsStr = latin;
    fs::write(scratch.path("ops/bindings").join(latin), "").unwrap();
    git(&root, &["add", "ops/bindings"]);
    git(&root, &["commit", "-qm", "third"]);
    scratch.ops(&widened).exits(2).says("not UTF-8");
}

/// Everything that a new binding grants, and how it is approved, stands in what is signed.
fn whole() {
    let scratch = Scratch::new();
    let copy = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ops/bindings")).unwrap();
        fs::write(folder.path().join("ops/ops.yaml"), "workspace: demo\n").unwrap();
        if !text.is_empty() {
            fs::write(folder.path().join("ops/bindings/test.guest.echo.yaml"), text).unwrap();
        }
        folder
    };
    let (empty, full) = (copy(""), copy(WRITER));
    let words = ["diff", empty.path().to_str().unwrap(), full.path().to_str().unwrap()];
    let shown = scratch.ops(&words).exits(0).stdout;
    for part in [
        "safety mutating",
        "approved by nobody",
        "https://item.example:443",
        "certs/ca.pem",
        "`token`",
        "Basic {}",
        "PUT /** of item",
        "greeting",
    ] {
        assert!(shown.contains(part), "{part} is not shown:\n{shown}");
    }
    // An authority is one wherever it lies.
    let other = copy(WRITER);
    for (folder, text) in [(&full, "one"), (&other, "two")] {
        fs::create_dir(folder.path().join("ops/certs")).unwrap();
        fs::write(folder.path().join("ops/certs/ca.pem"), text).unwrap();
    }
    let words =
        ["diff", full.path().to_str().unwrap(), other.path().to_str().unwrap(), "--fail-on", "widened"];
    scratch.ops(&words).exits(1);
    // At pin, in sentences.
    scratch.place("communications-mail-send-test");
    scratch.write_binding(SEND);
    let pin = scratch.ops(&["pin", "--check"]).exits(1).stderr;
    for part in [
        "mutating, approved by a person, signed",
        "from = \"ops@example.test\"",
        "stages changes in the directory outbox",
    ] {
        assert!(pin.contains(part), "{part} is not shown:\n{pin}");
    }
}

const SEND: &str = "capability: communications.mail.send.test\n\
                    component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                    approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                    config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";
