//! What the torture tests share: chance that can be repeated, a disk that fails, machines that count what is done to
//! them, and one operator's way from a plan to its end, whatever was killed on it.

pub mod blow;
pub mod campaign;
pub mod dice;
pub mod disk;
pub mod figures;
pub mod job;
pub mod machines;
pub mod site;

/// How often a torture test does its thing: `TORTURE` where it is set, else `usual`.
pub fn rounds(usual: usize) -> usize {
    std::env::var("TORTURE").ok().map_or(usual, |text| text.parse().expect("TORTURE is a number"))
}

/// Shows a figure of a test that passed, among the results.
pub fn say(figure: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "  {figure}").ok();
}
