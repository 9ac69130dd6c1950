//! `ops schedule`: units that systemd takes, for what is read-only, whatever the words are.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ran};
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = (!skip::has_program("systemd-analyze")).then_some("systemd-analyze");
    vec![
        skip::trial("schedule::systemd_takes_what_is_installed_whatever_the_words_are", missing, hostile),
        skip::trial("schedule::what_was_installed_is_listed_and_removed_and_nothing_else", None, installed),
        skip::trial("schedule::only_what_is_read_only_and_would_run_has_a_timer", None, refused),
    ]
}

const SEND: &str = "capability: communications.mail.send.test\n\
                    component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                    approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                    config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";

fn site() -> Scratch {
    let scratch = Scratch::new();
    scratch.place("guest-echo");
    scratch.write_binding(
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch.bind("communications-mail-send-test", SEND);
    scratch
}

fn units(scratch: &Scratch) -> Vec<String> {
    let Ok(entries) = fs::read_dir(scratch.path("home/.config/systemd/user")) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn verify(scratch: &Scratch) -> Ran {
    let folder = scratch.path("home/.config/systemd/user");
    let units = units(scratch).into_iter().map(|name| folder.join(name));
    ran(Command::new("systemd-analyze")
        .env("XDG_RUNTIME_DIR", scratch.path("home"))
        .args(["--user", "--man=no", "verify"])
        .args(units))
}

fn hostile() {
    let scratch = site();
    let words = [
        "",
        "it's",
        "100%",
        "%h %i",
        "$HOME ${HOME}",
        "\"; rm -rf /",
        "back\\slash",
        "a\nExecStart=/bin/false",
        "é\u{202e}",
        ";",
    ];
    for when in [["--every", "15m"], ["--every", "1d"], ["--at", "Mon 03:30"]] {
        for word in words {
            let call = ["schedule", "install", "test.guest.echo", when[0], when[1], "--", "--text", word];
            scratch.ops(&call).exits(0);
            let said = verify(&scratch).exits(0);
            assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "{word:?}");
            let name = units(&scratch)[0].clone();
            let text = fs::read_to_string(scratch.path("home/.config/systemd/user").join(name)).unwrap();
            assert_eq!(text.matches("\nExecStart=").count(), 1, "{text}");
        }
    }
    // The judge finds what is wrong, so its silence says something.
    let name = units(&scratch)[1].clone();
    let timer = scratch.path("home/.config/systemd/user").join(name);
    let text = fs::read_to_string(&timer).unwrap();
    fs::write(&timer, text.replace("OnCalendar=", "OnCalendar=never ")).unwrap();
    assert!(verify(&scratch).stderr.contains("calendar specification"));
}

fn installed() {
    let scratch = site();
    let folder = scratch.path("home/.config/systemd/user");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mine.timer"), "[Timer]\nOnCalendar=daily\n").unwrap();
    let listed = || scratch.ops(&["schedule", "list", "--json"]).exits(0).json()["schedules"].clone();
    assert_eq!(listed().as_array().unwrap().len(), 0);
    scratch
        .ops(&["schedule", "install", "test.guest.echo", "--every", "1h", "--", "--text", "hi"])
        .exits(0)
        .says("enable --now ops-");
    let one = listed();
    assert_eq!(
        (&one[0]["capability"], &one[0]["calendar"]),
        (&"test.guest.echo".into(), &"*-*-* 0/1:00:00".into())
    );
    // What the unit says runs, as it stands there.
    let service = folder.join(format!("{}.service", one[0]["unit"].as_str().unwrap()));
    let text = fs::read_to_string(&service).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut command = Command::new("sh");
    scratch.around(&mut command).current_dir("/").args(["-c", line]);
    ran(&mut command).exits(0);
    // A second time writes it anew; the other workspace of this user does not see it.
    scratch.ops(&["schedule", "install", "test.guest.echo", "--at", "03:30", "--", "--text", "hi"]).exits(0);
    assert_eq!(listed()[0]["calendar"], "*-*-* 03:30:00");
    scratch.ops(&["schedule", "remove", "test.guest.echo"]).exits(0);
    assert_eq!(units(&scratch), ["mine.timer"]);
    scratch.ops(&["schedule", "remove", "test.guest.echo"]).exits(2).says("is not scheduled here");
    // A file of somebody else's under that name is left alone.
    fs::write(&service, "[Service]\n").unwrap();
    scratch
        .ops(&["schedule", "install", "test.guest.echo", "--every", "1h", "--", "--text", "hi"])
        .exits(2)
        .says("is there, and not from");
    assert!(Path::new(&service).exists());
}

fn refused() {
    let scratch = site();
    let print = |words: &[&str]| scratch.ops(&[&["schedule", "print"], words].concat());
    print(&["communications.mail.send.test", "--every", "1h"]).exits(2).says("waits for a person's approval");
    print(&["test.guest.ehco", "--every", "1h"]).exits(2).says("did you mean `test.guest.echo`?");
    print(&["test.guest.echo", "--every", "7m", "--", "--text", "hi"]).exits(2).says("divide an hour");
    print(&["test.guest.echo"]).exits(2).says("--every");
    print(&["test.guest.echo", "--every", "1h", "--", "--no-such"]).exits(2).says("--no-such");
    let line_break =
        print(&["test.guest.echo", "--every", "1h", "--json", "--", "--text", "a\nb"]).exits(0).json();
    assert_eq!(line_break["crontab"], serde_json::Value::Null);
    let starts = "starts: [communications.mail.send.test]\n";
    scratch.bind(
        "guest-echo",
        &format!(
            "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n{starts}"
        ),
    );
    scratch.ops(&["schedule", "install", "test.guest.echo", "--every", "1h"]).exits(2).says("what it starts");
    assert!(units(&scratch).is_empty());
}
