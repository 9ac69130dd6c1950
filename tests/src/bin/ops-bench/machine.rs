//! What it is measured on.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The machine, and what else it did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor, as it calls itself.
    pub(crate) processor: String,
    /// How many processors this process may use.
    pub(crate) processors: usize,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// The file system of the state folder.
    pub(crate) file_system: String,
    /// The load of the last minute before anything was measured.
    pub(crate) load: f64,
}

impl Machine {
    /// This one, with the state folder on that file system.
    pub(crate) fn this(file_system: String) -> Self {
        let processor = text("/proc/cpuinfo");
        let processor =
            processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        let load = text("/proc/loadavg");
        Self {
            processor: processor.unwrap_or("unknown processor").to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system,
            load: load.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default(),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let Self { processor, processors, kernel, file_system, load } = self;
        format!(
            "{processor}, {processors} processors, Linux {kernel}, state on {file_system}, load {load} before"
        )
    }
}

/// The type of the file system that a path lies on: of the longest mount point that leads to it.
pub(crate) fn file_system(path: &Path) -> String {
    let mounts = text("/proc/mounts");
    let of = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        path.starts_with(at).then(|| (at.len(), kind.to_owned()))
    };
    mounts.lines().filter_map(of).max_by_key(|(length, _)| *length).map_or_else(String::new, |(_, kind)| kind)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        assert_eq!(file_system(Path::new("/proc/self/status")), "proc");
        assert!(!file_system(Path::new("/")).is_empty());
    }
}
