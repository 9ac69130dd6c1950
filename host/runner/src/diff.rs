//! What differs between two versions, with the file and the line of each difference.
//!
//! Two files of one kind are compared (components, bindings, `ops.yaml`, approvers), or two states of a workspace: the
//! lock in force, another lock, the files as they are, a folder, a git revision. `ops pin` shows the same before it asks
//! for a signature.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use ops_policy::approvers::Approvers;
use ops_policy::binding::Binding;
use ops_policy::diff::{self, Change, Class, Shape};
use ops_policy::digest::Digest;
use ops_policy::lock::SignedLock;
use ops_policy::rights::Rights;
use ops_policy::settings::Settings;
use ops_policy::visible::visible;
use ops_policy::yaml::places::Places;
use serde_json::{Value, json};

use crate::pin::{is_binding, kept, lock_in_force};
use crate::rights_text::rights_text;
use crate::snapshot::{Folder, Revision, Taken, is_revision, of_files, of_lock, read_file};
use crate::trust::Trust;
use crate::workspace::{APPROVERS, SETTINGS, Workspace};

/// A difference, and where it stands in the new version.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What it is.
    pub change: Change,
    /// The file of the workspace that it is in, where it is in one.
    pub file: Option<String>,
    /// The line of that file, from 1.
    pub line: Option<u64>,
}

/// Everything that differs, the gravest first.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// The differences.
    pub list: Vec<Difference>,
    /// Of each new capability, what it may do, in sentences; where binding and component are both known.
    new: BTreeMap<String, String>,
    /// What could not be compared, for people.
    pub notes: Vec<String>,
}

/// One of the two that are compared.
enum Side {
    Component(Box<Shape>),
    Binding(Box<Binding>, Vec<u8>),
    Settings(Box<Settings>, Vec<u8>),
    Approvers(Approvers),
    Workspace(Box<Taken>),
}

/// What a component's bytes are, for the comparison.
///
/// # Errors
///
/// For people: they are no component, or a capability that does not describe itself.
pub fn shape(bytes: &[u8]) -> Result<Shape, String> {
    let inspected = crate::inspection::of_bytes(bytes)?;
    let manifest = inspected.manifest.transpose()?;
    let imports = inspected.inspection.imports.into_iter().map(|item| item.name).collect();
    Ok(Shape { digest: inspected.digest, manifest, imports, interface: inspected.inspection.interface })
}

/// Compares two versions. None is, for the old one, the lock in force, and for the new one, the workspace as it is;
/// `workspace` opens that, and is called only where it is needed.
///
/// # Errors
///
/// For people: one of them cannot be read, or they are of two kinds.
pub fn compare(
    old: Option<&str>,
    new: Option<&str>,
    workspace: &dyn Fn() -> Result<Workspace, String>,
) -> Result<Differences, String> {
    let old_side = match old {
        None => in_force(&workspace()?)?,
        Some(named) => side(named, workspace)?,
    };
    let new_side = match new {
        None => {
            let workspace = workspace()?;
            let signed = |lock: &SignedLock| is_signed(&workspace, lock);
            Side::Workspace(Box::new(of_files(&mut &workspace, &shape, &signed)?))
        }
        Some(named) => side(named, workspace)?,
    };
    match (old_side, new_side) {
        (Side::Component(old), Side::Component(new)) => Ok(plain(diff::components(&old, &new), None)),
        (Side::Binding(old, before), Side::Binding(new, after)) => {
            let mut changes = diff::bindings(&old, &new);
            if changes.is_empty() && before != after {
                changes.push(Change::unchanged("binding"));
            }
            Ok(plain(changes, Some(&after)))
        }
        (Side::Settings(old, before), Side::Settings(new, after)) => {
            let mut changes = diff::settings(&old, &new);
            if changes.is_empty() && before != after {
                changes.push(Change::unchanged("settings"));
            }
            Ok(plain(changes, Some(&after)))
        }
        (Side::Approvers(old), Side::Approvers(new)) => Ok(plain(diff::approvers(&old, &new), None)),
        (Side::Workspace(old), Side::Workspace(new)) => Ok(workspaces(&old, &new)),
        _ => Err("the two are of different kinds; compare two components, two bindings, or two workspaces (locks, \
                  folders, git revisions)"
            .to_owned()),
    }
}

fn side(named: &str, workspace: &dyn Fn() -> Result<Workspace, String>) -> Result<Side, String> {
    let path = Path::new(named);
    let fail = |error: &dyn std::fmt::Display| format!("{named}: {error}");
    // Neither may hide the other, as git has it, too.
    let plain = !named.starts_with(['.', '/']) && path.exists();
    if plain && workspace().is_ok_and(|workspace| is_revision(workspace.root(), named)) {
        return Err(format!(
            "`{named}` is a file or a folder, and a git revision: write ./{named} for the one, heads/{named} or a hash for the other"
        ));
    }
    let signed = |lock: &SignedLock| workspace().is_ok_and(|workspace| is_signed(&workspace, lock));
    if path.is_dir() {
        let root =
            [path.to_path_buf(), path.join("ops")].into_iter().find(|folder| folder.join(SETTINGS).is_file());
        let root = root.ok_or_else(|| fail(&format!("is no workspace: it holds no {SETTINGS}")))?;
        return taken(of_files(&mut Folder::open(&root)?, &shape, &signed)).map_err(|error| fail(&error));
    }
    let Some(bytes) = read_file(path)? else {
        let mut revision = Revision::open(workspace()?.root(), named)?;
        return taken(of_files(&mut revision, &shape, &signed)).map_err(|error| fail(&error));
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if bytes.starts_with(b"\0asm") {
        return shape(&bytes).map(|shape| Side::Component(Box::new(shape))).map_err(|error| fail(&error));
    }
    if name.ends_with(".lock") {
        let signed = SignedLock::parse(named, &bytes).map_err(|error| error.to_string())?;
        let workspace = workspace()?;
        let text = |path: &str, digest: &Digest| text_of(&workspace, path, digest);
        let mut taken = missing_texts(of_lock(&signed.lock, &text));
        if !is_signed(&workspace, &signed) {
            taken.notes.push(format!(
                "{named} is signed by nobody who counts here, so nothing vouches for what it says of components"
            ));
        }
        return Ok(Side::Workspace(Box::new(Taken { folder: workspace.shown(""), ..taken })));
    }
    if name == APPROVERS {
        return Approvers::parse(named, &bytes).map(Side::Approvers).map_err(|error| error.to_string());
    }
    if is_binding(&bytes) {
        let binding = Binding::parse(named, &bytes).map_err(|error| error.to_string())?;
        return Ok(Side::Binding(Box::new(binding), bytes));
    }
    let settings = Settings::parse(named, &bytes).map_err(|error| {
        format!("{error}\n  it is no component, lock or binding, so it was read as {SETTINGS}")
    })?;
    Ok(Side::Settings(Box::new(settings), bytes))
}

fn taken(taken: Result<Taken, String>) -> Result<Side, String> {
    taken.map(|taken| Side::Workspace(Box::new(taken)))
}

/// The lock that this host goes by.
fn in_force(workspace: &Workspace) -> Result<Side, String> {
    let trust = Trust::load(workspace).map_err(|error| error.to_string())?;
    let trust = trust.ok_or_else(|| crate::pinned::untrusted(workspace))?;
    let lock = lock_in_force(workspace, &trust).map_err(|why| {
        format!("there is no lock to compare with: {why}\n  `ops pin` makes one; or name what to compare")
    })?;
    let text = |path: &str, digest: &Digest| text_of(workspace, path, digest);
    Ok(Side::Workspace(Box::new(missing_texts(of_lock(&lock, &text)))))
}

/// Whether an approver whom this host trusts has signed a lock, however old it is: what it says of the component that has
/// some digest does not change.
fn is_signed(workspace: &Workspace, lock: &SignedLock) -> bool {
    let trust = Trust::load(workspace).ok().flatten();
    let approvers = trust.and_then(|trust| Approvers::parse(APPROVERS, trust.approvers.as_bytes()).ok());
    approvers.is_some_and(|approvers| lock.verify(&approvers, Timestamp::now()).is_ok())
}

/// The bytes that a lock covered: as they are, if they still are, else from what this host keeps of its locks.
fn text_of(workspace: &Workspace, path: &str, digest: &Digest) -> Option<Vec<u8>> {
    let now = workspace.read(path).ok().filter(|bytes| Digest::of(bytes) == *digest);
    now.or_else(|| kept(workspace, digest).map(String::into_bytes))
}

fn missing_texts(mut taken: Taken) -> Taken {
    let missing = taken.snapshot.bindings.values().filter(|bound| bound.binding.is_none()).count();
    if missing > 0 {
        taken.notes.push(format!("the text of {missing} bindings of that lock is not kept on this host"));
    }
    taken
}

/// The differences between two states of a workspace.
pub(crate) fn workspaces(old: &Taken, new: &Taken) -> Differences {
    let changes = diff::snapshots(&old.snapshot, &new.snapshot);
    let places: BTreeMap<&String, Places> =
        new.texts.iter().filter_map(|(path, bytes)| Some((path, Places::parse(path, bytes).ok()?))).collect();
    let locate = |change: Change| {
        let file = match change.part.as_str() {
            "binding" => new.snapshot.bindings.get(&change.subject).map(|bound| bound.file.clone()),
            "settings" => Some(SETTINGS.to_owned()),
            "approvers" => Some(APPROVERS.to_owned()),
            "file" => Some(change.subject.clone()),
            _ => None,
        };
        let places = file.as_ref().and_then(|file| places.get(file)).filter(|_| !change.at.is_empty());
        let line = places.map(|places| places.nearest_line(&change.at));
        let file = file.map(|file| format!("{}{file}", new.folder));
        Difference { change, file, line }
    };
    // Where the old text is not to be had, all of it is shown, too.
    let is_new = |name: &&String| match (old.snapshot.bindings.get(*name), new.snapshot.bindings.get(*name)) {
        (None, _) => true,
        (Some(before), Some(after)) => before.binding.is_none() && before.digest != after.digest,
        (Some(_), None) => false,
    };
    let new_rights = |name: &String| {
        let bound = new.snapshot.bindings.get(name)?;
        let binding = bound.binding.as_ref()?;
        let shape = new.snapshot.components.get(&binding.component)?;
        let manifest = shape.manifest.as_ref()?;
        let rights = Rights::intersect(manifest, binding).ok()?;
        Some((name.clone(), rights_text(manifest, binding, &rights, &shape.imports)))
    };
    Differences {
        list: changes.into_iter().map(locate).collect(),
        new: new.snapshot.bindings.keys().filter(is_new).filter_map(new_rights).collect(),
        notes: old.notes.iter().chain(&new.notes).cloned().collect(),
    }
}

/// The differences between two files alone.
fn plain(mut changes: Vec<Change>, new: Option<&[u8]>) -> Differences {
    diff::sort(&mut changes);
    let places = new.and_then(|bytes| Places::parse("new", bytes).ok());
    let locate = |change: Change| {
        let places = places.as_ref().filter(|_| !change.at.is_empty());
        let line = places.map(|places| places.nearest_line(&change.at));
        Difference { change, file: None, line }
    };
    Differences { list: changes.into_iter().map(locate).collect(), ..Differences::default() }
}

impl Differences {
    /// The gravest class; none where there are no differences.
    pub fn gravest(&self) -> Option<Class> {
        self.list.iter().map(|difference| difference.change.class).max()
    }

    /// How many differences are of a class.
    pub fn count(&self, class: Class) -> usize {
        self.list.iter().filter(|difference| difference.change.class == class).count()
    }

    /// How many of each class, such as `2 widened, 1 moved`.
    pub fn summary(&self) -> String {
        let counted = |class: Class| {
            let count = self.count(class);
            (count > 0).then(|| format!("{count} {}", class.as_str()))
        };
        let classes = [Class::Widened, Class::Moved, Class::Narrowed, Class::Unchanged];
        let all: Vec<_> = classes.into_iter().filter_map(counted).collect();
        if all.is_empty() { "no difference".to_owned() } else { all.join(", ") }
    }

    /// For people: what each difference is about, and under it the differences, the gravest first.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut subjects: Vec<&str> = Vec::new();
        for difference in &self.list {
            if !subjects.contains(&difference.change.subject.as_str()) {
                subjects.push(&difference.change.subject);
            }
        }
        for subject in subjects {
            if !subject.is_empty() {
                let _ = writeln!(text, "{subject}");
            }
            let rights = self.new.get(subject);
            for difference in self.list.iter().filter(|difference| difference.change.subject == subject) {
                // What a new capability may do stands there as a whole.
                if rights.is_none() || difference.change.at.is_empty() && difference.change.part == "binding"
                {
                    one(&mut text, difference);
                }
            }
            for line in rights.map(|rights| rights.lines()).into_iter().flatten() {
                let _ = writeln!(text, "             {line}");
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// For programs: `changes` with class, subject, part, place, what was, what is and what it means; the number of
    /// each class; `notes` of what could not be compared.
    pub fn json(&self) -> Value {
        let one = |difference: &Difference| {
            let Change { class, subject, part, at, was, is, means } = &difference.change;
            json!({
                "class": class.as_str(), "subject": subject, "part": part, "at": at, "was": was, "is": is, "means": means,
                "file": difference.file, "line": difference.line,
            })
        };
        json!({
            "changes": self.list.iter().map(one).collect::<Vec<_>>(),
            "widened": self.count(Class::Widened),
            "moved": self.count(Class::Moved),
            "narrowed": self.count(Class::Narrowed),
            "unchanged": self.count(Class::Unchanged),
            "notes": self.notes,
        })
    }
}

fn one(text: &mut String, difference: &Difference) {
    let Change { class, part, was, is, means, .. } = &difference.change;
    let place = match (&difference.file, difference.line) {
        (Some(file), Some(line)) => format!("  ({}:{line})", visible(file)),
        (None, Some(line)) => format!("  (line {line})"),
        _ => format!("  ({part})"),
    };
    let _ = writeln!(text, "  {:<9}  {means}{place}", class.as_str());
    for (word, what) in [("was", was), ("is", is)] {
        if let Some(what) = what {
            let _ = writeln!(text, "             {word:<3} {what}");
        }
    }
}
