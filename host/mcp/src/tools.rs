//! Capabilities as tools: their names, descriptions, schemas and hints.
//!
//! A tool's name is its capability's with `_` for each dot and dash, since some clients and model APIs take nothing
//! else. Two capabilities that would share one are both hidden: whichever was left would be called for the other. All
//! texts are the manifest's, which an approver has signed with the lock, or the host's own.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jsonschema::Validator;
use ops_policy::manifest::Safety;
use ops_runner::agents;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::own;
use crate::schema;

/// The longest name that the common model APIs take, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest summary of a capability that is shown, in bytes.
const LONGEST_SUMMARY: usize = 1024;

/// A capability as a tool.
pub(crate) struct Offer {
    /// The capability's name.
    pub(crate) capability: String,
    /// Whether it may change something, so that it answers with plans.
    pub(crate) changes: bool,
    /// How its plans are approved, in words.
    pub(crate) approval: String,
    /// What clients are told.
    pub(crate) tool: Tool,
    /// Checks answers; made with the first of them.
    answers: OnceLock<Option<Validator>>,
}

/// The tools by their names, and what is hidden, with reasons.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) offers: BTreeMap<String, Arc<Offer>>,
    /// The capability, and why it is no tool.
    pub(crate) hidden: Vec<(String, String)>,
    /// What the lock does not vouch for, in the runner's words.
    pub(crate) refused: Vec<String>,
}

impl Shelf {
    /// The shelf of these capabilities.
    pub(crate) fn new(capabilities: Vec<agents::Tool>) -> Self {
        let mut shelf = Self::default();
        let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for capability in &capabilities {
            owners.entry(name(&capability.capability)).or_default().push(capability.capability.clone());
        }
        for capability in capabilities {
            let named = name(&capability.capability);
            let others =
                owners.get(&named).into_iter().flatten().filter(|other| **other != capability.capability);
            let others: Vec<_> = others.map(String::as_str).collect();
            let offer = match others.as_slice() {
                _ if own::is_own(&named) => Err(format!("`{named}` is a tool of the host's own")),
                [] => Offer::new(&named, &capability),
                others => Err(format!("its tool would have the name of that of {}", others.join(" and "))),
            };
            match offer {
                Ok(offer) => drop(shelf.offers.insert(named, Arc::new(offer))),
                Err(why) => shelf.hidden.push((capability.capability, why)),
            }
        }
        shelf
    }
}

impl Offer {
    fn new(named: &str, capability: &agents::Tool) -> Result<Self, String> {
        if named.len() > LONGEST_NAME {
            return Err(format!("its name is longer than the {LONGEST_NAME} bytes that clients take"));
        }
        let changes = capability.safety != Safety::ReadOnly;
        let manifest = &capability.manifest;
        let input = schema::input(&manifest.input, changes)?;
        let output = schema::output(&manifest.output)?;
        let tool = Tool::new(named.to_owned(), description(capability)?, input)
            .with_title(capability.capability.clone())
            .with_raw_output_schema(Arc::new(output))
            .with_annotations(hints(capability));
        Ok(Self {
            capability: capability.capability.clone(),
            changes,
            approval: capability.approval.clone(),
            tool,
            answers: OnceLock::new(),
        })
    }

    /// Whether an answer is what the tool's output schema says.
    pub(crate) fn answers_with(&self, answer: &Value) -> bool {
        let made = self.answers.get_or_init(|| {
            let schema: &JsonObject = self.tool.output_schema.as_deref()?;
            jsonschema::draft202012::new(&Value::Object(schema.clone())).ok()
        });
        made.as_ref().is_some_and(|validator| validator.is_valid(answer))
    }
}

/// The name of a capability's tool.
fn name(capability: &str) -> String {
    capability.replace(['.', '-'], "_")
}

/// What the tool is for: the manifest's summary, then what the host does with a call.
fn description(capability: &agents::Tool) -> Result<String, String> {
    let summary = &capability.manifest.summary;
    if summary.len() > LONGEST_SUMMARY {
        return Err(format!("its summary is longer than {LONGEST_SUMMARY} bytes"));
    }
    schema::plain("its summary", &Value::String(summary.clone()))?;
    if capability.safety == Safety::ReadOnly {
        return Ok(summary.clone());
    }
    let needed = schema::required(&capability.manifest.input);
    let needed = match needed.as_slice() {
        [] => String::new(),
        needed => format!(" That call needs: {}.", needed.join(", ")),
    };
    let what = if capability.safety == Safety::Destructive { "It destroys things. " } else { "" };
    Ok(format!(
        "{summary}\n\n{what}A call changes nothing: it answers with a plan, which a person on the host approves.{needed} \
         Then call again with plan_id alone, and the plan is carried out."
    ))
}

fn hints(capability: &agents::Tool) -> ToolAnnotations {
    let reads = capability.safety == Safety::ReadOnly;
    ToolAnnotations::new()
        .read_only(reads)
        .destructive(capability.safety == Safety::Destructive)
        .idempotent(reads || capability.idempotent)
        .open_world(capability.reaches_services)
}

#[cfg(test)]
pub(crate) mod tests {
    use ops_policy::manifest::Manifest;
    use serde_json::json;

    use super::*;

    /// A capability as the runner lists it.
    pub(crate) fn capability(name: &str, safety: Safety) -> agents::Tool {
        agents::Tool {
            capability: name.to_owned(),
            safety,
            approval: "manual: signed".to_owned(),
            idempotent: false,
            reaches_services: true,
            manifest: Manifest {
                name: name.to_owned(),
                summary: "Does a thing.".to_owned(),
                version: "0.1.0".to_owned(),
                safety,
                input: json!({"type": "object", "properties": {"to": {"type": "string", "description": "To."}},
                    "required": ["to"], "additionalProperties": false}),
                output: json!({"type": "object", "properties": {"sent": {"type": "string", "maxLength": 10}}}),
                needs: vec![],
            },
        }
    }

    #[test]
    fn a_capability_becomes_a_tool() {
        let shelf = Shelf::new(vec![
            capability("communications.mail-send.test", Safety::Mutating),
            capability("infra.vm.status", Safety::ReadOnly),
        ]);
        assert_eq!(shelf.hidden, []);
        let names: Vec<_> = shelf.offers.keys().map(String::as_str).collect();
        assert_eq!(names, ["communications_mail_send_test", "infra_vm_status"]);
        let send = &shelf.offers["communications_mail_send_test"];
        assert_eq!(send.tool.title.as_deref(), Some("communications.mail-send.test"));
        let description = send.tool.description.as_deref().unwrap();
        assert!(
            description.starts_with("Does a thing.\n") && description.contains("needs: to."),
            "{description}"
        );
        let hints = send.tool.annotations.as_ref().unwrap();
        assert_eq!((hints.read_only_hint, hints.destructive_hint), (Some(false), Some(false)));
        assert_eq!((hints.idempotent_hint, hints.open_world_hint), (Some(false), Some(true)));
        let status = &shelf.offers["infra_vm_status"].tool;
        assert_eq!(status.description.as_deref(), Some("Does a thing."));
        assert_eq!(status.annotations.as_ref().unwrap().read_only_hint, Some(true));
    }

    #[test]
    fn what_would_be_mistaken_for_another_is_hidden() {
        let long = format!("a.{}", "b".repeat(63));
        let shelf = Shelf::new(vec![
            capability("a.b-c", Safety::ReadOnly),
            capability("a.b.c", Safety::ReadOnly),
            capability("ops.status", Safety::ReadOnly),
            capability(&long, Safety::ReadOnly),
            capability("x.y", Safety::ReadOnly),
        ]);
        let hidden: Vec<_> = shelf.hidden.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(hidden, ["a.b-c", "a.b.c", "ops.status", &long]);
        assert!(shelf.hidden[0].1.contains("a.b.c"), "{}", shelf.hidden[0].1);
        assert_eq!(shelf.offers.len(), 1);
    }

    #[test]
    fn texts_that_hide_something_are_not_shown() {
        let with = |change: fn(&mut Manifest)| {
            let mut one = capability("a.b", Safety::ReadOnly);
            change(&mut one.manifest);
            Shelf::new(vec![one])
        };
        for shelf in [
            with(|manifest| manifest.summary = "Reads.\u{202e}".into()),
            with(|manifest| manifest.summary = "x".repeat(LONGEST_SUMMARY + 1)),
            with(|manifest| manifest.input = json!({"type": "object", "description": "\u{1b}[2J"})),
            with(|manifest| manifest.output = json!({"$ref": "file:///etc/passwd"})),
        ] {
            assert_eq!((shelf.offers.len(), shelf.hidden.len()), (0, 1));
        }
    }
}
