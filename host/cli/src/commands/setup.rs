//! `ops init`, `ops trust`, `ops bind`, `ops pin`: everything that decides what may run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ops_policy::lock::NAMESPACE;
use ops_policy::sign;
use ops_policy::visible::lines;
use ops_runner::runner::Runner;
use ops_runner::workspace::Workspace;
use ops_runner::{bind as binding, pin as pinning, setup};

use super::Outcome;
use crate::args::{Bind, Init, Pin, Trust};
use crate::{say, signing, terminal};

/// The longest public key file that is read, in bytes.
const MAX_KEY: u64 = 64 * 1024;

pub(crate) fn init(args: &Init) -> Outcome {
    fs::create_dir_all(&args.folder).map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let folder = args.folder.canonicalize().map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let principal = args.principal.clone().unwrap_or_else(ops_runner::user_name);
    if folder.join("ops/ops.yaml").exists() {
        return Err(format!(
            "{} is a workspace already; `ops trust` records it on this host",
            folder.display()
        ));
    }
    let public = match (&args.approver, &args.new_key) {
        (Some(file), _) => read_public(file)?,
        (None, Some(file)) => new_key(file, &principal)?,
        (None, None) => {
            return Err("name the first approver: --approver ~/.ssh/id_ed25519.pub, or --new-key FILE to try things out".into());
        }
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => workspace_name(&folder),
    };
    let line =
        format!("{principal} namespaces=\"ops-lock,ops-plan,ops-resolution,ops-review\" {}\n", public.trim());
    let workspace = setup::init(&folder, &name, &line).map_err(|error| error.to_string())?;
    say::note(format!(
        "made the workspace {}\n  approver   {principal}\n  state      {} (ledger, keys; only for you)\nnext: ops bind NAME FILE.wasm, grant what it needs, ops pin --key KEY",
        workspace.root().display(),
        workspace.state().display()
    ));
    Ok(0)
}

/// A folder's name in the letters that a workspace's name may have.
fn workspace_name(folder: &Path) -> String {
    let name: String = folder
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("w-{name}")
    }
}

fn read_public(file: &Path) -> Result<String, String> {
    let about = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if !about.is_file() || about.len() > MAX_KEY {
        return Err(format!("{}: is no public key file", file.display()));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if text.contains("PRIVATE KEY") {
        return Err(format!("{}: this is a private key; name the .pub file", file.display()));
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Makes a key pair beside each other, as `ssh-keygen` would.
fn new_key(file: &Path, principal: &str) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", file.display());
    let seed = ops_runner::key::random::<32>().map_err(|error| error.to_string())?;
    let pair =
        sign::generate(&seed.into(), &format!("{principal}@ops")).map_err(|error| error.to_string())?;
    let mut private =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(fail)?;
    private.write_all(pair.private.as_bytes()).map_err(fail)?;
    let public = format!("{}.pub", file.display());
    fs::write(&public, format!("{}\n", pair.public)).map_err(|error| format!("{public}: {error}"))?;
    say::note(format!("made the key {} (without a passphrase: for trying things out)", file.display()));
    Ok(pair.public)
}

pub(crate) fn trust(workspace: &Workspace, args: &Trust) -> Outcome {
    let approvers = setup::approvers_to_trust(workspace).map_err(|error| error.to_string())?;
    say::note(format!(
        "{}\nwhoever holds one of these keys decides what runs in this workspace:\n\n{}",
        workspace.root().display(),
        lines(&approvers)
    ));
    if !args.yes && !terminal::yes("Trust it on this host?") {
        return Err("not trusted; answer yes at a terminal, or give --yes".into());
    }
    setup::trust(workspace, approvers).map_err(|error| error.to_string())?;
    say::note("trusted on this host");
    Ok(0)
}

pub(crate) fn bind(runner: &Runner, args: &Bind) -> Outcome {
    let bytes =
        fs::read(&args.component).map_err(|error| format!("{}: {error}", args.component.display()))?;
    let described =
        runner.inspect(&bytes).map_err(|error| format!("{}: {error}", args.component.display()))?;
    let file = args
        .component
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| format!("{}: has no file name", args.component.display()))?;
    let written = binding::bind(runner.workspace(), &args.name, file, &bytes, &described.manifest)
        .map_err(|error| error.to_string())?;
    say::note(format!(
        "wrote {}; it grants nothing yet\nnext: grant what it needs, then ops pin --key KEY",
        runner.workspace().shown(&written)
    ));
    Ok(0)
}

pub(crate) fn pin(runner: &Runner, args: &Pin) -> Outcome {
    let workspace = runner.workspace();
    // The lock covers what `ops sync` writes, so that comes first; where nobody ever did, nobody need hear of it.
    if runner.has_generated() && !runner.sync_check().differences.is_empty() {
        say::note(
            "generated files are not what the bindings say: `ops sync` writes them anew, before `ops pin`",
        );
    }
    let pinning = pinning::prepare(workspace, &|bytes| runner.inspect(bytes), args.development)?;
    if pinning.shown.is_empty() {
        say::note("nothing changes; the lock covers everything as it is");
        return Ok(0);
    }
    say::note(format!("the new lock, number {}, changes this:\n\n{}", pinning.counter(), pinning.shown));
    let Some(key) = &args.key else {
        return Ok(1);
    };
    if !args.yes && !terminal::yes("Sign it?") {
        return Err("not signed; answer yes at a terminal, or give --yes".into());
    }
    let signature = signing::sign_with(key, NAMESPACE, &pinning.body()?)?;
    let signer = pinning.commit(workspace, &signature)?;
    say::note(format!("signed by {signer}{}", if args.development { ", for development" } else { "" }));
    Ok(0)
}
