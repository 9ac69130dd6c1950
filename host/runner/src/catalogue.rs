//! What is bound here: the list, and one capability in full.

use ops_policy::visible::visible;
use serde::Serialize;
use serde_json::{Value, json};

use jiff::Timestamp;
use ops_policy::manifest::{Manifest, Safety};
use ops_policy::rights::Rights;

use crate::ending::Ending;
use crate::pinned::{Bound, Capability, Pinned, Refusal};
use crate::reviewing::View;
use crate::rights_text::{rights_text, ways};
use crate::runner::Runner;
use crate::workspace::BINDINGS;

/// Threads that read bindings at most, and bindings that are worth a thread.
const MOST_THREADS: usize = 8;
const LEAST_SHARE: usize = 64;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The capability's name.
    pub name: String,
    /// Its safety class; empty where the binding cannot be used.
    pub safety: String,
    /// How its plans are approved.
    pub approval: String,
    /// What it does, in the author's words.
    pub summary: String,
    /// Why it cannot run, where it cannot.
    pub fault: Option<String>,
}

/// One capability in full.
pub struct Shown {
    capability: Capability,
    rights: Rights,
    /// What became of its review; none where nobody ever reviewed it.
    review: Option<View>,
    /// Why it does not run without a better one.
    fault: Option<String>,
}

impl Runner {
    /// Every capability that the lock holds, sorted by name. One that cannot run does not hide the others.
    ///
    /// # Errors
    ///
    /// The lock does not hold.
    pub fn catalogue(&self) -> Result<Vec<Row>, Refusal> {
        let pinned = self.pinned(Timestamp::now())?;
        self.rows(&pinned, false)
    }

    /// The rows of all capabilities. `whole` holds their components' bytes against the lock too. A large workspace is shared
    /// out to a few threads.
    pub(crate) fn rows(&self, pinned: &Pinned, whole: bool) -> Result<Vec<Row>, Refusal> {
        let names: Vec<_> = pinned.names()?.into_iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let share = names.len().div_ceil(threads).max(LEAST_SHARE);
        std::thread::scope(|scope| {
            let rows = |part: &[&String]| -> Vec<Row> {
                part.iter().map(|name| self.row(pinned, name, whole)).collect()
            };
            let parts: Vec<_> = names.chunks(share).map(|part| scope.spawn(move || rows(part))).collect();
            let done = parts.into_iter().map(std::thread::ScopedJoinHandle::join);
            // A row must not go missing because its thread fell over.
            Ok(done.flat_map(|rows| rows.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect())
        })
    }

    fn row(&self, pinned: &Pinned, name: &str, whole: bool) -> Row {
        let bound = pinned.bound(self.workspace(), name).and_then(|bound| {
            pinned.admit_review(bound.binding.safety, name, bound.component, Timestamp::now())?;
            if whole {
                self.check_component(pinned, &bound.binding.component, bound.component.digest)?;
            }
            Ok(bound)
        });
        match bound {
            Ok(Bound { binding, component, .. }) => Row {
                name: name.to_owned(),
                safety: binding.safety.as_str().to_owned(),
                approval: ways(&binding),
                summary: visible(&component.manifest.summary),
                fault: None,
            },
            Err(refusal) => Row {
                name: name.to_owned(),
                safety: String::new(),
                approval: String::new(),
                summary: String::new(),
                fault: Some(refusal.message),
            },
        }
    }

    /// One capability, with what it may do.
    ///
    /// # Errors
    ///
    /// There is no such binding, or it cannot be used.
    pub fn describe(&self, name: &str) -> Result<Shown, Ending> {
        if !self.is_bound(name) {
            return Err(self.unknown_capability(name));
        }
        let now = Timestamp::now();
        let pinned = self.pinned(now)?;
        let capability = pinned.capability(self.workspace(), name)?;
        let component = pinned.component(self.workspace(), &capability.binding.component)?;
        let fault = pinned.admit_review(capability.binding.safety, name, component, now).err();
        let (review, fault) = (pinned.review(name, component, now), fault.map(|refusal| refusal.message));
        let rights = Rights::intersect(&capability.manifest, &capability.binding).map_err(|missing| {
            let list: Vec<_> = missing.iter().map(ToString::to_string).collect();
            Ending::denied("not-granted", list.join("\n"))
        })?;
        Ok(Shown { capability, rights, review, fault })
    }

    /// Whether a name resolves to a binding file.
    pub(crate) fn is_bound(&self, name: &str) -> bool {
        ops_policy::name::check(name).is_ok() && self.workspace().has(&crate::pinned::binding_file(name))
    }

    /// What to say about a name that nothing is bound to.
    pub(crate) fn unknown_capability(&self, name: &str) -> Ending {
        let bound = self.workspace().list(BINDINGS, ".yaml").unwrap_or_default();
        let names: Vec<&str> = bound.iter().filter_map(|file| file.strip_suffix(".yaml")).collect();
        let hint = match ops_policy::name::nearest(name, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`ops cap list` lists what is bound here".to_owned(),
        };
        Ending::usage(format!("there is no capability `{}`\n  {hint}", visible(name)))
    }
}

impl Shown {
    /// What it may do at most, by its binding.
    pub fn safety(&self) -> Safety {
        self.capability.binding.safety
    }

    /// The capabilities that the host starts on its word.
    pub fn starts(&self) -> &[String] {
        &self.capability.binding.starts
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.capability.manifest
    }

    /// What it may do, in sentences.
    pub(crate) fn rights(&self) -> String {
        let Capability { manifest, binding, imports, .. } = &self.capability;
        rights_text(manifest, binding, &self.rights, imports)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = self.rights();
        text.push_str("  imports\n");
        for import in &self.capability.imports {
            text.push_str(&format!("    {}\n", visible(import)));
        }
        text.push_str(&format!(
            "  component {} {}\n",
            self.capability.binding.component, self.capability.component_digest
        ));
        if let Some(review) = &self.review {
            text.push_str(&format!("  review {}\n", review.text()));
        }
        if let Some(fault) = &self.fault {
            text.push_str(&format!("  NOT RUNNABLE: {fault}\n"));
        }
        text.push_str(&format!("  flags: ops cap run {} --help", self.capability.name));
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "capability": self.capability.name,
            "safety": self.capability.binding.safety.as_str(),
            "component": {"path": self.capability.binding.component, "digest": self.capability.component_digest},
            "binding": {"path": self.capability.binding_file, "digest": self.capability.binding_digest},
            "imports": self.capability.imports,
            "manifest": self.capability.manifest,
            "review": self.review,
            "fault": self.fault,
        })
    }
}
