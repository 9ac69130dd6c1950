//! What the system says of a running server: its memory, its descriptors, its threads, its guests' processes.

use std::fs;

/// What a process and those that it started take up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// Resident memory of all of them in MiB, with each page that they share counted once.
    pub(crate) memory: f64,
    /// Open descriptors of the process.
    pub(crate) descriptors: usize,
    /// Threads of the process.
    pub(crate) threads: usize,
    /// How many it started that live.
    pub(crate) children: usize,
}

/// What a process takes up now. A child that ends meanwhile counts as nothing.
pub(crate) fn taken(pid: u32) -> Taken {
    let children = children(pid);
    Taken {
        memory: resident(pid) + children.iter().copied().map(resident).sum::<f64>(),
        descriptors: entries(&format!("/proc/{pid}/fd")).len(),
        threads: entries(&format!("/proc/{pid}/task")).len(),
        children: children.len(),
    }
}

/// Whether a child of a process is running at this moment.
pub(crate) fn has_running_child(pid: u32) -> bool {
    let runs = |child: u32, thread: &String| {
        let stat = fs::read_to_string(format!("/proc/{child}/task/{thread}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
    };
    let is_running = |child| entries(&format!("/proc/{child}/task")).iter().any(|thread| runs(child, thread));
    children(pid).into_iter().any(is_running)
}

/// The processor time of a process, in the system's ticks, with that of the children that it has waited for.
pub(crate) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    // Fields 14 to 17 of proc_pid_stat(5); the third one is the first here.
    fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn children(pid: u32) -> Vec<u32> {
    let of = |thread: String| {
        fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default()
    };
    let all: String = entries(&format!("/proc/{pid}/task")).into_iter().map(of).collect();
    all.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Its share of resident memory, in MiB: a page that several processes share counts for each in part.
fn resident(pid: u32) -> f64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = pages.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_seen_with_its_children() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let taken = taken(std::process::id());
        assert!(
            taken.memory > 0.5 && taken.descriptors >= 3 && taken.threads >= 1 && taken.children >= 1,
            "{taken:?}"
        );
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(std::process::id()).contains(&child.id()));
        assert_eq!(resident(child.id()), 0.0);
    }
}
