//! The contract of the communications stack: what it consists of and how far it is, as people write it down.
//!
//! `docs/schemas/communications.stack.contract.schema.json` is made from these types. The form is checked here; whether
//! what it says makes sense is for `communications.stack.status` to report, so values that a check looks at are
//! taken as they are.

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::Deserialize;

/// The file beside the bindings.
pub const NAME: &str = "communications.stack.contract.yaml";

/// The most mailboxes that a contract may list, so that a report of them stays readable.
const MAILBOXES: usize = 200;

/// The communications stack.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the stack, for example `communications-operator`; never a person.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// How far the roll-out is, for example `ws1-infra`.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub stage: String,
    /// The mail server's product, for example `stalwart`.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub provider: String,
    /// Whether mail may really go out.
    pub mode: Mode,
    /// The domain of the stack's mailboxes.
    pub domain: String,
    /// The virtual machine that the stack runs on.
    pub vm_target: VmTarget,
    /// The ports that it serves.
    pub ports: Vec<Port>,
    /// The mailboxes that it has, or is to have.
    #[schemars(length(max = 200))]
    pub mailboxes: Vec<Mailbox>,
    /// What test messages may do.
    pub send_test: SendTest,
}

/// The version of a contract's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// The first one.
    #[serde(rename = "1.0")]
    One,
}

/// Whether mail may really go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It may not: no capability is bound to a mail server.
    SimulationOnly,
    /// It may, to try the stack.
    LivePilot,
    /// It may.
    Live,
}

/// The virtual machine of the stack. A check says what of it is missing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmTarget {
    /// Its host name, without a domain.
    #[schemars(required)]
    pub hostname: Option<String>,
    /// Its number at the hypervisor.
    #[schemars(required, range(min = 100, max = 999_999_999))]
    pub vm_id: Option<u32>,
    /// The profile that it is made from.
    #[schemars(required)]
    pub profile: Option<String>,
}

/// A port that the stack serves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What is spoken there, for example `submission`.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// The number.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u32,
}

/// A mailbox of the stack.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// A short name, by which other files speak of it.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub id: String,
    /// Its mail address, in the stack's domain.
    pub address: String,
    /// What it is for, for example `alerts`.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub role: String,
    /// How far it is.
    pub status: MailboxStatus,
}

/// How far a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxStatus {
    /// It is to be made.
    Planned,
    /// The mail server has it.
    Active,
    /// It was in use, and is no more.
    Retired,
}

impl Mode {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SimulationOnly => "simulation-only",
            Self::LivePilot => "live-pilot",
            Self::Live => "live",
        }
    }
}

impl MailboxStatus {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// What test messages may do. Bindings grant it; the contract says what was agreed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendTest {
    /// Who they come from.
    pub default_sender: String,
    /// Who gets them where nobody else is named.
    pub default_recipient: String,
    /// The domains that they may go to.
    #[schemars(length(min = 1))]
    pub allowed_recipient_domains: Vec<String>,
}

impl Contract {
    /// The contract that the binding grants.
    ///
    /// # Errors
    /// `NotGranted` where it grants none, `Failed` where the file is not in the form of a contract.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        Self::parse(&ctx.contract(NAME)?)
    }

    /// Reads a contract's text, strictly: unknown fields and words, duplicate keys, anchors and merge keys are errors.
    ///
    /// # Errors
    /// `Failed`, with the place in the file.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let contract: Self = read_contract(NAME, text)?;
        if let Some((field, word)) = contract.words().find(|(_, word)| !is_word(word)) {
            return Err(Failure::failed(format!(
                "{NAME}: {field} is {word:?}, which is not a word of small letters, digits and hyphens"
            )));
        }
        if contract.mailboxes.len() > MAILBOXES {
            return Err(Failure::failed(format!("{NAME}: it lists more than {MAILBOXES} mailboxes")));
        }
        Ok(contract)
    }

    /// The values that name something of the workspace, with their fields.
    fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ports = self.ports.iter().map(|port| ("the name of a port", port.name.as_str()));
        let mailboxes = self.mailboxes.iter().flat_map(|mailbox| {
            [("the id of a mailbox", mailbox.id.as_str()), ("the role of a mailbox", mailbox.role.as_str())]
        });
        [("owner", self.owner.as_str()), ("stage", &self.stage), ("provider", &self.provider)]
            .into_iter()
            .chain(ports)
            .chain(mailboxes)
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
