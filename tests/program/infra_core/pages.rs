//! The commands of the runbook and of the skill, read out of the pages and run as they stand there, on a day on which
//! Authentik's database is away until somebody restarts what the page says.
//!
//! A line that does not exit with 0 says so in its comment: `# exits 3`. The words PLAN, RUN and KEY stand for what an
//! operator fills in: the plan that waits, the newest run of the smoke test over all systems, and the approver's key.

use std::fs;
use std::process::Command;

use ops_tests::scratch::{Ran, ops, ran, repository};
use serde_json::json;

use super::Test;
use super::site::Site;

pub(super) const TESTS: &[Test] = &[
    ("each_command_of_the_runbook_does_what_it_says", runbook),
    ("each_command_of_the_skill_does_what_it_says", skill),
];

fn runbook() {
    each_command("docs/runbooks/infra-core.md", 10);
}

fn skill() {
    each_command("ops/skills/infra-core/README.md", 5);
}

fn each_command(page: &str, least: usize) {
    let commands = commands(page);
    assert!(commands.len() >= least, "{page} lost its commands: {commands:?}");
    let mut site = Site::new();
    site.authentik.set("database", json!(false));
    let (mut plan, mut run) = (None, None);
    for line in commands {
        let (command, code) = match line.split_once("# exits ") {
            Some((command, code)) => (command.trim(), code[..1].parse().unwrap()),
            None => (line.trim(), 0),
        };
        let filled = command
            .replace("PLAN", plan.as_deref().unwrap_or("PLAN"))
            .replace("RUN", run.as_deref().unwrap_or("RUN"))
            .replace("KEY", "key");
        let done = in_site(&site, &filled);
        assert_eq!(done.code, code, "{page}: {line}\n{}{}", done.stdout, done.stderr);
        if done.stderr.contains("ops plan show ") {
            plan = Some(done.plan());
        }
        if command == "ops cap run infra.core.smoke" {
            run = Some(key(&done));
        }
        // What was restarted finds its database again.
        if command.starts_with("ops plan approve") {
            site.authentik.set("database", json!(true));
        }
    }
}

/// The lines of the blocks of commands on a page.
fn commands(page: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join(page)).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

fn in_site(site: &Site, command: &str) -> Ran {
    let path = format!("{}:{}", ops().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    ran(site.scratch.around(bash.args(["-eu", "-c", command])).env("PATH", path))
}

/// The run key that is shown at the end.
fn key(done: &Ran) -> String {
    let line = done.stderr.lines().find_map(|line| line.strip_prefix("run key"));
    line.unwrap_or_else(|| panic!("no run key in:\n{}", done.stderr)).trim().to_owned()
}
