//! What confines the process of a guest, as a user sees it: in the receipt, on standard error, and where the workspace
//! requires more than the kernel has. What it keeps native code from is tested in `host/sandbox/tests/worker`.

use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, ran};
use ops_tests::server::Server;
use ops_tests::skip::trial;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use serde_json::{Value, json};

use crate::hostile::yard::Yard;

pub(crate) fn trials() -> Vec<Trial> {
    let yarded = |name: &str, guest, story: fn(&Yard)| {
        trial(format!("confinement::{name}"), None, move || {
            let yard = Yard::new(guest);
            story(&yard);
            yard.is_unharmed();
        })
    };
    vec![
        yarded("the_receipt_says_what_it_was", "echo", in_the_receipt),
        yarded("a_kernel_without_landlock_is_said", "echo", said),
        yarded("landlock_can_be_required", "reads-service", required),
        yarded("a_run_that_never_began_had_none", "spins", none),
    ]
}

/// The calls of Landlock; they have these numbers on every processor.
const LANDLOCK: [i64; 3] = [444, 445, 446];

/// Runs a command on a kernel that does not have these calls.
fn without_landlock(mut command: Command) -> Ran {
    let rules = LANDLOCK.into_iter().map(|number| (number, Vec::new())).collect();
    let missing = SeccompAction::Errno(rustix::io::Errno::NOSYS.raw_os_error().unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    // The filter holds for this thread and for what it starts.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            seccompiler::apply_filter(&program).unwrap();
            ran(&mut command)
        });
        thread.join().unwrap()
    })
}

fn names(receipt: &Value) -> Vec<String> {
    serde_json::from_value(receipt["host"]["sandbox"].clone()).unwrap()
}

fn in_the_receipt(yard: &Yard) {
    yard.bind("config: {greeting: hello}");
    let run = yard.run(&["--text", "a"]).ends("done", 0, None);
    let names = names(&run.receipt);
    assert_eq!(names[..3], ["wasm", "process", "seccomp"]);
    // The rest is the kernel's: said where it lacks something, and only there.
    match names.get(3) {
        Some(landlock) => assert!(landlock.starts_with("landlock-") && !run.ran.stderr.contains("Landlock")),
        None => assert!(run.ran.stderr.contains("this kernel has no Landlock")),
    }
    let page = std::fs::read_to_string(run.folder.join("receipt.md")).unwrap();
    assert!(page.contains("`wasm`, `process`, `seccomp`"), "{page}");
}

fn said(yard: &Yard) {
    yard.bind("config: {greeting: hello}");
    let ran = without_landlock(yard.command(&["--text", "a"]));
    let run = yard.ended(ran).ends("done", 0, None).says("this kernel has no Landlock");
    assert_eq!(names(&run.receipt), ["wasm", "process", "seccomp"]);
}

fn required(yard: &Yard) {
    let server = Server::answering("good day");
    let settings = std::fs::read_to_string(yard.scratch.path("ops/ops.yaml")).unwrap();
    yard.scratch.write("ops/ops.yaml", &format!("{settings}\nrequire: {{landlock: true}}\n"));
    yard.bind(&format!(
        "services: {{web: {{origin: \"{}\", addresses: [127.0.0.0/8], rules: [{{id: all, method: GET, path: /**, effect: read}}]}}}}",
        server.origin()
    ));
    let ran = without_landlock(yard.command(&[]));
    let run =
        yard.ended(ran).ends("denied", 4, Some("confinement")).says("no Landlock, which ops.yaml requires");
    assert_eq!((names(&run.receipt), run.receipt["used"].clone()), (Vec::new(), json!([])));
    if ops_sandbox::confine::has_landlock() {
        yard.run(&[]);
        assert!(!server.seen().is_empty(), "with Landlock it runs");
    } else {
        yard.scratch.write("ops/ops.yaml", &settings);
        yard.scratch.pin();
    }
}

fn none(yard: &Yard) {
    yard.bind("limits: {time: 1s}");
    let binding = "ops/bindings/test.guest.spins.yaml";
    let pinned = std::fs::read_to_string(yard.scratch.path(binding)).unwrap();
    yard.scratch.write(binding, &format!("{pinned}# changed since\n"));
    let run = yard.run(&[]);
    assert_eq!((run.receipt["run"]["status"].clone(), names(&run.receipt)), (json!("denied"), Vec::new()));
    let page = std::fs::read_to_string(run.folder.join("receipt.md")).unwrap();
    assert!(page.contains("no capability ran"), "{page}");
    yard.scratch.write(binding, &pinned);
}
