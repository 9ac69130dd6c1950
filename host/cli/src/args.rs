//! What can be typed after `ops`.

pub(crate) mod audit;
mod diff;
mod inspect;
pub(crate) mod review;
mod short;
mod suggest;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use diff::Diff;
pub(crate) use inspect::Inspect;
pub(crate) use suggest::Suggest;

/// Runs operations code that you do not have to trust.
#[derive(Debug, Parser)]
#[command(
    name = "ops",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a person is needed, 4 denied or stopped, \
                        5 outcome unknown, 130 interrupted."
)]
pub(crate) struct Cli {
    /// The workspace: the folder that holds ops.yaml, or its parent [else OPS_WORKSPACE, else the nearest above].
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) workspace: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a workspace and record its first approver on this host.
    Init(Init),
    /// Trust a workspace that came from elsewhere: shows who may approve in it, and records that.
    Trust(Trust),
    /// Show what waits for a person: plans, runs without an end, open loops and gaps, the last verify, a lock that does
    /// not hold. Exit 1 if something has to be mended.
    Status(Status),
    /// Look at what this host can resist: who it runs as, what confines guests, whether lock and ledger hold. Exit 1 if
    /// something is bad.
    Doctor(Json),
    /// Write a binding for a component, with no rights in it.
    Bind(Bind),
    /// Show what changes in rights, and sign the lock.
    Pin(Pin),
    /// Write the registry, the capability map, the domain catalog and the pages of capabilities anew, from the bindings and
    /// components. Before `ops pin`, whose lock covers them.
    Sync(Sync),
    /// List, look at and run capabilities.
    #[command(subcommand)]
    Cap(Cap),
    /// Pieces of work that close gaps with evidence: short for `ops cap run loops.…`.
    #[command(subcommand)]
    Loops(Loops),
    /// Write timers for read-only capabilities, for systemd or cron.
    #[command(subcommand)]
    Schedule(Schedule),
    /// Say whether a capability may make a request, and why; sends nothing. Exit 1 if it may not.
    Explain(Explain),
    /// Say what a component can ask for, and what it says of itself, before anybody binds it. Needs no workspace.
    Inspect(Inspect),
    /// Say what a new version may do that the old one could not: two components, two bindings, or two states of a workspace.
    /// Changes nothing.
    Diff(Diff),
    /// Look at every capability as a reviewer does: what it can reach, who wanted it, who granted it, what was used, and
    /// what deserves a second look. Changes nothing, and needs no lock that holds.
    Audit(audit::Audit),
    /// Print a patch that narrows a capability's binding to what its past runs did; changes nothing.
    Suggest(Suggest),
    /// Say that you have looked at a capability as it is pinned, signed; list who did. ops.yaml can require it.
    #[command(subcommand)]
    Review(review::Review),
    /// Look at, approve, reject and carry out plans.
    #[command(subcommand)]
    Plan(Plan),
    /// List runs, say what became of one that nobody knows about, take one back.
    #[command(subcommand)]
    Runs(Runs),
    /// List, show, verify and prove receipts.
    #[command(subcommand)]
    Receipts(Receipts),
    /// Sign and check the log of everything that happened.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Serve agents.
    #[command(subcommand)]
    Mcp(Mcp),
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Numbers only, without the lists.
    #[arg(long, conflicts_with = "json")]
    pub(crate) brief: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to make it; ops/ and receipts/ are made in there.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The first approver's public key, an OpenSSH .pub file.
    #[arg(long, value_name = "FILE.pub", conflicts_with = "new_key")]
    pub(crate) approver: Option<PathBuf>,
    /// Make a new key for the first approver, without a passphrase: for trying things out.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key: Option<PathBuf>,
    /// The first approver's name [default: your user name].
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// The workspace's name [default: the folder's name].
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Record it without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bind {
    /// The capability's name.
    pub(crate) name: String,
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    pub(crate) component: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The approver's private key, or a .pub file whose private key an agent holds.
    #[arg(long, value_name = "KEY", required_unless_present = "check")]
    pub(crate) key: Option<PathBuf>,
    /// Mark the lock as one for development; receipts will say so.
    #[arg(long)]
    pub(crate) development: bool,
    /// Sign without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only show what would change; exit 1 if anything would.
    #[arg(long, conflicts_with_all = ["key", "yes"])]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Only say what differs, with file and line; exit 1 if anything does.
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cap {
    /// List the capabilities that are bound here.
    List(Json),
    /// Show what a capability needs, what it is granted, and what it imports.
    Show {
        /// The capability's name.
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Run a capability. `ops cap run NAME --help` lists its own flags.
    #[command(disable_help_flag = true)]
    Run {
        /// The capability's name, then its flags; also --dry-run and --json.
        #[arg(value_name = "NAME [FLAGS]", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Go on with a run of which nobody knew what became. Nothing that it did is done again.
    Resume {
        /// The run key, the beginning of it, or its last letters.
        run: String,
        /// Show each decision as it is made, as the audit log has it.
        #[arg(long)]
        trace_checks: bool,
        #[command(flatten)]
        json: Json,
    },
}

/// Each takes the words of the capability that it stands for, `--help` among them.
#[derive(Debug, Subcommand)]
pub(crate) enum Loops {
    /// List loops: `ops cap run loops.list`.
    #[command(disable_help_flag = true)]
    List(Words),
    /// Show one: `ops cap run loops.show`.
    #[command(disable_help_flag = true)]
    Show(Words),
    /// Open one: `ops cap run loops.create`.
    #[command(disable_help_flag = true)]
    Create(Words),
    /// Close one: `ops cap run loops.close`.
    #[command(disable_help_flag = true)]
    Close(Words),
}

/// Words for a capability.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// What the capability takes; also --dry-run and --json.
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Print a systemd service and timer, and a crontab line, for a read-only capability.
    Print(Scheduled),
    /// Write service and timer into your systemd folder, ~/.config/systemd/user.
    Install(Scheduled),
    /// List what was installed for this workspace.
    List(Json),
    /// Remove what was installed.
    Remove {
        /// The capability's name.
        capability: String,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Scheduled {
    /// The capability's name.
    pub(crate) capability: String,
    /// How often: minutes that divide an hour, hours that divide a day, or 1d.
    #[arg(long, value_name = "15m|6h|1d", required_unless_present = "at", conflicts_with = "at")]
    pub(crate) every: Option<String>,
    /// At which time, by this machine's clock: 03:30, or "Mon 03:30".
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// What the capability takes.
    #[arg(value_name = "FLAGS", last = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The capability's name.
    pub(crate) capability: String,
    /// The method, such as GET.
    pub(crate) method: String,
    /// The URL, or SERVICE:/path.
    pub(crate) url: String,
    /// A file with the body.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// A header field that the capability would set, "name: value"; again for each. With a body, content-type is
    /// application/json unless given.
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plan {
    /// List plans, newest first.
    List(Json),
    /// Show exactly what a plan would change.
    Show {
        /// The plan's id, or the beginning of it.
        #[arg(required_unless_present = "file")]
        id: Option<String>,
        /// Show an exported plan.json instead; needs no workspace.
        #[arg(long, value_name = "plan.json", conflicts_with = "id")]
        file: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Write plan.json and plan.txt, the text to sign, so that a plan can be approved elsewhere.
    Export {
        /// The plan's id.
        id: String,
        /// Into which folder.
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Approve a plan with your key.
    Approve {
        /// The plan's id.
        id: String,
        /// Your private key, or a .pub file whose private key an agent holds.
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
        /// A signature made elsewhere: `ssh-keygen -Y sign -n ops-plan -f KEY plan.txt`; plan.txt must lie beside it.
        #[arg(long, value_name = "plan.txt.sig", conflicts_with = "key")]
        signature: Option<PathBuf>,
        /// Then carry it out.
        #[arg(long)]
        apply: bool,
        /// Show each decision as it is made, as the audit log has it.
        #[arg(long, requires = "apply")]
        trace_checks: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Put a plan away for good.
    Reject {
        /// The plan's id.
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Carry out an approved plan.
    Apply {
        /// The plan's id.
        id: String,
        /// Show each decision as it is made, as the audit log has it.
        #[arg(long)]
        trace_checks: bool,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// List runs, newest first.
    List {
        /// Those only of which nobody knows what became.
        #[arg(long)]
        unknown: bool,
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        top: u32,
        #[command(flatten)]
        json: Json,
    },
    /// Show one run: its effects, and what can be done about it.
    Show {
        /// The run key, the beginning of it, or its last letters.
        key: String,
        #[command(flatten)]
        json: Json,
    },
    /// Say, signed, what became of an effect that may have been sent, after a look at the service.
    Resolve {
        /// The run key, the beginning of it, or its last letters.
        run: String,
        /// Which effect, by its number in the plan.
        #[arg(long, value_name = "N", requires = "outcome", required_unless_present = "give_up")]
        effect: Option<u64>,
        /// What became of it.
        outcome: Option<Outcome>,
        /// Leave the run as it is: it is not gone on with.
        #[arg(long, conflicts_with_all = ["effect", "outcome"])]
        give_up: bool,
        /// What the service answered, so that the run can be gone on with: {"status": 200, "headers": {}, "body": …}.
        #[arg(long, value_name = "FILE.json")]
        answer: Option<PathBuf>,
        /// Your private key, or a .pub file whose private key an agent holds.
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
        /// A signature made elsewhere over the text that this command shows when neither is given.
        #[arg(long, value_name = "FILE.sig", conflicts_with = "key")]
        signature: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Plan to take back what a run has changed, in reverse order. The plan is destructive and waits for approval.
    Undo {
        /// The run key, the beginning of it, or its last letters.
        run: String,
        #[command(flatten)]
        json: Json,
    },
}

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Outcome {
    /// It happened.
    Performed,
    /// It did not happen.
    NotPerformed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Receipts {
    /// List receipts, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        top: u32,
        #[command(flatten)]
        json: Json,
    },
    /// Show one.
    Show {
        /// The run key, the beginning of it, or its last letters.
        key: String,
        #[command(flatten)]
        json: Json,
    },
    /// Run a past run again, offline, from what it saw; sends nothing. Exit 1 if it does not do the same again.
    Replay {
        /// The run key, the beginning of it, or its last letters.
        #[arg(required_unless_present = "all")]
        key: Option<String>,
        /// Every receipt of the ledger, a line for each.
        #[arg(long, conflicts_with = "key")]
        all: bool,
        /// Only those that did not do the same again, or whose recording is damaged.
        #[arg(long, requires = "all")]
        quiet: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Turn a run into a test of its capability: DIR/fixture.json. Texts are replaced by placeholders.
    Export {
        /// The run key, the beginning of it, or its last letters.
        key: String,
        /// Into which folder.
        #[arg(long, value_name = "DIR")]
        fixture: PathBuf,
        /// A field whose text stays as it is: its name, or a JSON pointer; again for each.
        #[arg(long, value_name = "FIELD")]
        keep: Vec<String>,
    },
    /// Erase bodies, salts and used-up plans of old runs, as `records:` of ops.yaml says. Receipts stay; such a run can
    /// no longer be replayed or taken back.
    Prune {
        /// Erase what is older than this, such as 30d, 12h or 0s [default: the retention of ops.yaml].
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<Duration>,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Print this host's public key, PEM: what others check its receipts with.
    Key(Json),
    /// Check receipts: signature, type, evidence. Exit 1 if one is not good.
    Verify {
        /// Run keys, folders that hold a receipt, or files that `ops receipts prove` wrote.
        #[arg(required_unless_present = "all")]
        what: Vec<String>,
        /// Every receipt of the ledger.
        #[arg(long)]
        all: bool,
        /// A host's public key to trust, PEM [default: this host's].
        #[arg(long, value_name = "FILE.pem")]
        host_key: Option<PathBuf>,
        /// A log's key to trust, a file with what `ops ledger key` printed [default: this host's].
        #[arg(long, value_name = "FILE")]
        log_key: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Write a receipt with the proof that it is in the log: one file, which verifies offline.
    Prove {
        /// The run key, the beginning of it, or its last letters.
        key: String,
        /// Into which file [default: standard output].
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Sign the log's size and root, and print that: keep it elsewhere, it is what shows a rewritten history.
    Checkpoint(Json),
    /// Print the key that others check checkpoints with.
    Key(Json),
    /// Check the whole ledger. Exit 1 if anything is found.
    Verify {
        /// A checkpoint that was kept elsewhere: the log must go on from it.
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Make again what is derived: the tree's hashes, the log's files, the folders of receipts.
    Rebuild(Json),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mcp {
    /// Serve the capabilities of this workspace as tools (MCP), over standard input and output or over HTTP.
    Serve {
        /// Listen at this address or, given a port alone, at 127.0.0.1 [default: standard input and output].
        #[arg(long, value_name = "ADDR:PORT", requires = "tokens", value_parser = address)]
        http: Option<SocketAddr>,
        /// The file of tokens that `ops mcp token` writes.
        #[arg(long, value_name = "FILE", requires = "http")]
        tokens: Option<PathBuf>,
        /// Who the client is, a name of `agents:` in ops.yaml [default: you, as a proposer].
        #[arg(long = "as", value_name = "NAME", conflicts_with = "http")]
        name: Option<String>,
        /// Only these capabilities, `*` for any text; again for each. Over HTTP each token has its own.
        #[arg(long, value_name = "GLOB", conflicts_with = "http")]
        only: Vec<String>,
    },
    /// Make a token for a name of `agents:` in ops.yaml, and print it, once.
    Token {
        /// Whose it is.
        name: String,
        /// Good for these capabilities only, `*` for any text; again for each.
        #[arg(long, value_name = "GLOB")]
        only: Vec<String>,
        /// The file that gets its hash; made where it is missing.
        #[arg(long, value_name = "FILE")]
        tokens: PathBuf,
    },
    /// Print what a client needs in its configuration, to start this server.
    Config {
        /// Which client [default: all, a line for each].
        client: Option<Client>,
    },
}

/// A kind of client, by the form of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Client {
    /// A desktop client: claude_desktop_config.json and its like.
    Desktop,
    /// An editor: .vscode/mcp.json and its like.
    Editor,
    /// A plain mcp.json.
    Json,
}

/// An address to listen at. A port alone is one of this machine's own.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    port.or_else(|_| text.parse())
        .map_err(|_| "write an address and a port, such as 127.0.0.1:8808".to_owned())
}

/// An age, as `records:` of ops.yaml has it.
fn age(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];
    let read = || {
        let (digits, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
        let (_, seconds) = units.iter().find(|(name, _)| *name == unit)?;
        digits.parse::<u64>().ok()?.checked_mul(*seconds).map(Duration::from_secs)
    };
    read().ok_or_else(|| "write a whole number and s, m, h or d, such as 30d".to_owned())
}
