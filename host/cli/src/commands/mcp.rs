//! `ops mcp`: serve agents.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use ops_mcp::front::Tell;
use ops_mcp::only::Only;
use ops_mcp::serve::{over_http, over_stdio};
use ops_mcp::stdio::Streams;
use ops_mcp::tokens::Tokens;
use ops_policy::settings::Settings;
use ops_policy::{name, visible};
use ops_runner::runner::Runner;
use ops_runner::workspace::{SETTINGS, Workspace};
use serde_json::{Map, Value, json};

use super::{Outcome, open, open_workspace, print};
use crate::args::{Client, Mcp};
use crate::say;

/// The variable that says where the host's state is.
const STATE: &str = "XDG_STATE_HOME";

pub(crate) fn run(workspace: Option<&Path>, command: Mcp) -> Outcome {
    match command {
        Mcp::Serve { http: Some(at), tokens: Some(tokens), .. } => serve_http(workspace, at, &tokens),
        Mcp::Serve { name, only, .. } => serve_stdio(workspace, name, only),
        Mcp::Token { name, only, tokens } => token(workspace, &name, only, &tokens),
        Mcp::Config { client } => config(workspace, client),
    }
}

fn serve_stdio(workspace: Option<&Path>, name: Option<String>, only: Vec<String>) -> Outcome {
    // Before anything else: from here on nothing but the protocol comes out of standard output.
    if std::io::stdin().is_terminal() {
        say::note(
            "this waits for an MCP client on standard input; `ops mcp config` prints what goes into a client's configuration",
        );
    }
    let streams = Streams::take().map_err(|error| format!("standard input and output: {error}"))?;
    let only = Only::new(only)?;
    over_stdio(streams, open_to_serve(workspace)?, name, only, told())?;
    Ok(0)
}

fn serve_http(workspace: Option<&Path>, at: SocketAddr, tokens: &Path) -> Outcome {
    let tokens = Tokens::load(tokens).map_err(|error| error.to_string())?;
    let runner = open_to_serve(workspace)?;
    let listener = TcpListener::bind(at).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("{at}: another program listens there; choose another port"),
        _ => format!("{at}: {error}"),
    })?;
    over_http(listener, runner, tokens, told())?;
    Ok(0)
}

fn told() -> Tell {
    Arc::new(|told| say::note(visible::lines(told)))
}

fn open_to_serve(workspace: Option<&Path>) -> Result<Runner, String> {
    let runner = open(workspace)?;
    if let Some(lack) = runner.unconfined() {
        say::note(format!("warning: {lack}"));
    }
    Ok(runner)
}

fn token(workspace: Option<&Path>, name: &str, only: Vec<String>, file: &Path) -> Outcome {
    name::check_word(name).map_err(|error| error.to_string())?;
    let only = Only::new(only)?;
    let token = Tokens::add(file, name, &only).map_err(|error| error.to_string())?;
    say::note(format!(
        "a token for {name}, shown this once; {} has its hash\na server that runs already reads it when it is started again",
        file.display()
    ));
    let settings = open_workspace(workspace).ok().and_then(|workspace| settings(&workspace));
    if !settings.is_some_and(|settings| settings.agents.contains_key(name)) {
        say::note(format!(
            "{name} has no role yet, and is refused without one; add it to ops.yaml and pin:  \
             agents: {{reader: […], proposer: […]}}"
        ));
    }
    print(token)
}

/// `ops.yaml` as it is, whether the lock covers that or not.
fn settings(workspace: &Workspace) -> Option<Settings> {
    Settings::parse(&workspace.shown(SETTINGS), &workspace.read(SETTINGS).ok()?).ok()
}

/// What of this environment decides what the server works with. A client passes few variables on.
fn environment() -> Result<Map<String, Value>, String> {
    let mut environment = Map::new();
    if let Some(folder) = std::env::var_os(STATE).filter(|folder| Path::new(folder).is_absolute()) {
        let folder = folder.into_string().map_err(|_| format!("{STATE} is not UTF-8"))?;
        environment.insert(STATE.to_owned(), folder.into());
    }
    Ok(environment)
}

/// Says which variables a client has to pass on itself, since their values are secret.
fn tell_secrets(workspace: &Workspace) {
    let Some(settings) = settings(workspace) else { return };
    let names: Vec<_> =
        settings.secrets.values().filter_map(|secret| secret.from.strip_prefix("env:")).collect();
    if !names.is_empty() {
        say::note(format!(
            "ops.yaml takes secrets from the environment, which clients do not pass on; the server needs: {}",
            names.join(", ")
        ));
    }
}

fn config(workspace: Option<&Path>, client: Option<Client>) -> Outcome {
    let program = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    let workspace = open_workspace(workspace)?;
    let (Some(program), Some(root)) = (program.to_str(), workspace.root().to_str()) else {
        return Err("the path of this program, or of the workspace, is not UTF-8".into());
    };
    let environment = environment()?;
    tell_secrets(&workspace);
    match client {
        Some(client) => print(configuration(client, program, root, &environment)),
        None => {
            for (client, file) in [
                (Client::Desktop, "claude_desktop_config.json"),
                (Client::Editor, ".vscode/mcp.json"),
                (Client::Json, "mcp.json"),
            ] {
                print(format!("{file}: {}", configuration(client, program, root, &environment)))?;
            }
            Ok(0)
        }
    }
}

/// What a client has to know to start this server.
fn configuration(client: Client, program: &str, root: &str, environment: &Map<String, Value>) -> Value {
    let arguments = json!(["mcp", "serve", "--workspace", root]);
    let mut server = match client {
        Client::Desktop => json!({"command": program, "args": arguments}),
        Client::Editor | Client::Json => json!({"type": "stdio", "command": program, "args": arguments}),
    };
    if let (Some(server), false) = (server.as_object_mut(), environment.is_empty()) {
        server.insert("env".to_owned(), environment.clone().into());
    }
    match client {
        Client::Desktop | Client::Json => json!({"mcpServers": {"ops": server}}),
        Client::Editor => json!({"servers": {"ops": server}}),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (words, good) in [
            ("serve", true),
            ("serve --as ci --only infra.* --only a.b", true),
            ("serve --http 8808 --tokens t", true),
            ("serve --http 127.0.0.1:8808 --tokens t", true),
            ("serve --http [::1]:8808 --tokens t", true),
            ("serve --http 8808", false),
            ("serve --tokens t", false),
            ("serve --http 8808 --tokens t --as ci", false),
            ("serve --http 8808 --tokens t --only a.b", false),
            ("serve --http example.test --tokens t", false),
            ("token ci --tokens t --only a.*", true),
            ("token ci", false),
            ("config editor", true),
            ("config", true),
        ] {
            let words = ["ops", "mcp"].into_iter().chain(words.split(' '));
            assert_eq!(Cli::try_parse_from(words.clone()).is_ok(), good, "{:?}", words.collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_client_is_told_how_to_start_it() {
        for client in [Client::Desktop, Client::Editor, Client::Json] {
            let text = configuration(client, "/usr/bin/ops", "/srv/ops", &Map::new()).to_string();
            assert!(!text.contains("env"), "{text}");
            let state = Map::from_iter([(STATE.to_owned(), "/srv/state".into())]);
            let with = configuration(client, "/usr/bin/ops", "/srv/ops", &state).to_string();
            assert!(with.contains(r#""env":{"XDG_STATE_HOME":"/srv/state"}"#), "{with}");
            assert!(text.contains(r#""command":"/usr/bin/ops""#), "{text}");
            assert!(text.contains(r#"["mcp","serve","--workspace","/srv/ops"]"#), "{text}");
        }
    }
}
