//! The commands of `docs/verify.md`, read out of the page and run as they stand there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ran, repository};
use ops_tests::skip;

use crate::verify::{applied, newest};

/// A block of commands.
struct Block {
    /// What stands after `sh` in its first line.
    word: String,
    commands: String,
}

pub(crate) fn trials() -> Vec<Trial> {
    let tools = tools();
    let there = ["venv/bin/python", "venv/log/aics_tlog", "node_modules/@sigstore/verify"]
        .iter()
        .all(|tool| tools.join(tool).exists());
    let node = skip::has_program("node") && skip::has_program("openssl");
    let missing =
        (!there || !node).then_some("one of openssl, node, @sigstore/verify, securesystemslib, aics-tlog");
    vec![
        skip::trial("verify_docs::each_command_does_what_the_page_says", missing, each_command),
        skip::trial("verify_docs::each_check_can_fail", missing, each_check_can_fail),
    ]
}

/// Where `make live-deps` runs the page's own installation.
fn tools() -> PathBuf {
    repository().join("target/verify")
}

fn each_command() {
    let folder = handed_over();
    let blocks = blocks();
    assert!(blocks.len() >= 10, "the page lost its commands");
    for block in &blocks {
        let done = run(folder.1.as_path(), &block.commands);
        match block.word.as_str() {
            "" => assert_eq!(done.code, 0, "{}\n{}{}", block.commands, done.stdout, done.stderr),
            "fails" => assert_ne!(done.code, 0, "{}\n{}", block.commands, done.stdout),
            word => assert_eq!(word, "install", "a block that no test runs"),
        }
    }
}

/// A damage, the block that must notice it by the script that it runs, and the words that it must say.
struct Damage {
    script: &'static str,
    does: fn(&Path),
    says: &'static str,
}

fn each_check_can_fail() {
    let damages = [
        Damage {
            script: "openssl pkeyutl",
            does: |folder| edit(folder, "host.pem", |_| stranger()),
            says: "Signature Verification Failure",
        },
        Damage {
            script: "python3 subject.py",
            does: |folder| edit(folder, "receipt/evidence.json", |text| text + " "),
            says: "refused: evidence.json is not the file",
        },
        Damage {
            script: "python3 evidence.py",
            does: |folder| edit(folder, "receipt/plan.json", |text| text + " "),
            says: "refused: plan.json was changed",
        },
        Damage {
            script: "check.py receipt/receipt.sigstore.json receipt/evidence.json",
            does: |folder| edit(folder, "host.pem", |_| stranger()),
            says: "refused: ",
        },
        Damage {
            script: "check.py receipt/receipt.sigstore.json receipt/evidence.json",
            does: |folder| edit(folder, "receipt/evidence.json", |text| text + " "),
            says: "refused: this is not the evidence",
        },
        Damage {
            script: "check.js receipt/receipt.sigstore.json receipt/evidence.json",
            does: |folder| edit(folder, "host.pem", |_| stranger()),
            says: "signature verification failed",
        },
        Damage {
            script: "check.js receipt/receipt.sigstore.json receipt/evidence.json",
            does: |folder| edit(folder, "receipt/evidence.json", |text| text + " "),
            says: "other evidence",
        },
        Damage {
            script: "check_log.py receipt.proof.json",
            does: |folder| edit(folder, "receipt.proof.json", |text| text.replace("index 3", "index 2")),
            says: "refused: the path does not lead",
        },
        Damage {
            script: "check_log.py receipt.proof.json",
            does: |folder| edit(folder, "receipt/receipt.sigstore.json", |text| text + " "),
            says: "refused: the proof is of another receipt",
        },
        Damage {
            script: "check_history.py log",
            does: |folder| {
                let kept = folder.join("log/checkpoint");
                fs::copy(folder.join("kept.checkpoint"), kept.with_extension("new")).unwrap();
                fs::rename(&kept, folder.join("kept.checkpoint")).unwrap();
                fs::rename(kept.with_extension("new"), kept).unwrap();
            },
            says: "refused: the log is shorter than it was",
        },
        Damage {
            script: "check_history.py log",
            does: |folder| {
                let tile = folder.join("log/tile/entries/000.p/5");
                let mut bytes = fs::read(&tile).unwrap();
                bytes[100] ^= 1;
                fs::write(tile, bytes).unwrap();
            },
            says: "TileVerificationError",
        },
        Damage {
            script: "ops receipts verify",
            does: |folder| edit(folder, "log.vkey", |_| "x+00000000+AAAA".into()),
            says: "not a C2SP verifier key",
        },
    ];
    for damage in damages {
        let folder = handed_over();
        let blocks = blocks();
        let block = blocks
            .iter()
            .find(|block| block.commands.contains(damage.script) && block.word.is_empty())
            .unwrap_or_else(|| panic!("no block runs {}", damage.script));
        // What a block needs of those before it: the Statement that was taken out.
        run(&folder.1, &blocks[0].commands);
        assert_eq!(run(&folder.1, &block.commands).code, 0, "{} before its damage", damage.script);
        (damage.does)(&folder.1);
        let done = run(&folder.1, &block.commands);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(done.code != 0 && said.contains(damage.says), "{}: {said}", damage.script);
    }
}

/// What somebody was handed: the files in the page's table, in a folder.
fn handed_over() -> (Scratch, PathBuf) {
    let scratch = applied();
    let prints = |words: &[&str]| scratch.ops(words).exits(0).stdout;
    let kept = prints(&["ledger", "checkpoint"]);
    let receipt = newest(&scratch);
    let key = receipt.file_name().unwrap().to_str().unwrap().trim_start_matches('R').to_owned();
    let more = ["cap", "run", "communications.mail.send.test", "--to", "b@example.test", "--dry-run"];
    scratch.ops(&more).exits(0);
    prints(&["ledger", "checkpoint"]);

    let folder = scratch.path("handed");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("kept.checkpoint"), kept).unwrap();
    fs::write(folder.join("host.pem"), prints(&["receipts", "key"])).unwrap();
    fs::write(folder.join("log.vkey"), prints(&["ledger", "key"])).unwrap();
    let proof = folder.join("receipt.proof.json");
    scratch.ops(&["receipts", "prove", &key, "--to", proof.to_str().unwrap()]).exits(0);
    for (from, to) in [(receipt, "receipt"), (scratch.path("receipts/log"), "log")] {
        ran(Command::new("cp").arg("-r").arg(from).arg(folder.join(to))).exits(0);
    }
    for tool in ["venv", "node_modules"] {
        symlink(tools().join(tool), folder.join(tool)).unwrap();
    }
    (scratch, folder)
}

fn run(folder: &Path, commands: &str) -> Ran {
    let ops = ops_tests::scratch::ops();
    let path = format!("{}:{}", ops.parent().unwrap().display(), std::env::var("PATH").unwrap());
    ran(Command::new("bash").args(["-eu", "-c", commands]).current_dir(folder).env("PATH", path))
}

/// The blocks of commands on the page.
fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(repository().join("docs/verify.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(word) = line.strip_prefix("```sh") {
            let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { word: word.trim().to_owned(), commands: commands.join("\n") });
        }
    }
    blocks
}

fn edit(folder: &Path, name: &str, change: impl FnOnce(String) -> String) {
    let file = folder.join(name);
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
}

/// The public key of a host that nobody here knows.
fn stranger() -> String {
    crate::verify::stranger().1.public_pem()
}
