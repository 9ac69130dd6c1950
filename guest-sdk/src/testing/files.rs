//! The directories of a scripted world: kept in memory, put into a temporary folder for each run, compared after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files by `directory/name`, with their bytes.
pub(super) type Tree = BTreeMap<String, Vec<u8>>;

/// Writes the files below `root`.
pub(super) fn write(root: &Path, tree: &Tree) {
    for (name, bytes) in tree {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder of the test can be made");
        }
        fs::write(path, bytes).expect("a file of the test can be written");
    }
}

/// Reads all files below `root`.
pub(super) fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    collect(root, "", &mut tree);
    tree
}

fn collect(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(folder).expect("a folder of the test can be read") {
        let entry = entry.expect("a folder of the test can be read");
        let name = format!("{prefix}{}", entry.file_name().to_str().expect("file names are UTF-8"));
        let kind = entry.file_type().expect("a file of the test has a type");
        assert!(kind.is_dir() || kind.is_file(), "{name}: only regular files and folders can be staged");
        match kind.is_dir() {
            true => collect(&entry.path(), &format!("{name}/"), tree),
            false => drop(tree.insert(name, fs::read(entry.path()).expect("a file of the test can be read"))),
        }
    }
}

/// What `after` has that `before` has not: new and changed files with their bytes, lost ones with `None`.
pub(super) fn changes(before: &Tree, after: &Tree) -> BTreeMap<String, Option<Vec<u8>>> {
    let kept = after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes));
    let lost = before.keys().filter(|name| !after.contains_key(*name));
    kept.map(|(name, bytes)| (name.clone(), Some(bytes.clone())))
        .chain(lost.map(|name| (name.clone(), None)))
        .collect()
}
