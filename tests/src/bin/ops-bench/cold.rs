//! Whole processes: a read-only capability's run with its receipt, from the start of `ops` to its end, beside what a
//! person could type instead.

use std::process::Command;

use crate::figure::{Budget, Figure};
use crate::process::in_turns;
use crate::site::{self, Site};

/// The call that `wasmtime run` makes: the one that `ops cap run` makes of `--text a`.
const INVOKE: &str = r#"run({arguments: "{\"text\":\"a\"}", config: "{}", services: []})"#;

/// All of it. `wasmtime` is the engine's own program; `seed` a script that does what the old control plane did for a run.
pub(crate) fn figures(wasmtime: &str, seed: &str, runs: usize) -> Vec<Figure> {
    let site = Site::new(&[site::ECHO]);
    let component = site.path("ops/components/guest_echo.wasm");
    let compiled = site.path("echo.cwasm");
    let made = site.command(wasmtime).arg("compile").arg(&component).arg("-o").arg(&compiled).status();
    assert!(made.unwrap().success(), "{wasmtime} compiles nothing");

    let ops = |words: &[&str]| site.ops(words);
    let other = |words: &[&str]| {
        let (program, rest) = words.split_first().unwrap();
        let mut command: Command = site.command(program);
        command.args(rest);
        command
    };
    let costs = in_turns(
        &mut [
            ops(&["cap", "run", site::ECHO.0, "--text", "a"]),
            other(&[wasmtime, "run", "--allow-precompiled", "--invoke", INVOKE, compiled.to_str().unwrap()]),
            other(&["bash", "-c", "true"]),
            other(&["bash", seed, component.to_str().unwrap()]),
            ops(&["--version"]),
        ],
        runs,
    );
    let [run, engine, bash, old, version] = costs[..] else { unreachable!("a cost for each command") };
    let name = "ops cap run, read-only, cached";
    vec![
        Figure::new("cold-engine", name, "ms", run.elapsed)
            .beside("wasmtime run, precompiled", engine.elapsed)
            .budget(Budget::TimesAtMost(0.75)),
        Figure::new("cold-bash", name, "ms", run.elapsed).beside("bash -c true", bash.elapsed),
        Figure::new("cold-seed", name, "ms", run.elapsed)
            .beside("a script as the old control plane", old.elapsed),
        Figure::new("cold-processor", "the same, of processors", "ms", run.processor)
            .beside("wasmtime run, precompiled", engine.processor),
        Figure::new("cold-memory", "the same, most resident memory", "MiB", run.memory)
            .beside("wasmtime run, precompiled", engine.memory),
        Figure::new("version", "ops --version", "ms", version.elapsed).beside("bash -c true", bash.elapsed),
    ]
}
