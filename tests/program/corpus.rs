//! Replays the inputs that fuzzing keeps: `tests/fuzz/corpus/<target>/*`, one trial per target.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use ops_tests::fuzz::TARGETS;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(name, target): (&'static str, fn(&[u8]))| {
        Trial::test(format!("corpus::{name}"), move || replay(name, target))
    };
    TARGETS.into_iter().map(trial).collect()
}

fn replay(name: &str, target: fn(&[u8])) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let input = fs::read(&path)?;
        if catch_unwind(|| target(&input)).is_err() {
            return Err(format!("{} breaks what must hold; see above", path.display()).into());
        }
        replayed += 1;
    }
    if replayed == 0 { Err(format!("{} is empty", folder.display()).into()) } else { Ok(()) }
}
