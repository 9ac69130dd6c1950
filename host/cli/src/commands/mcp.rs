//! `ops mcp`: serve agents.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use ops_mcp::only::Only;
use ops_mcp::serve::{over_http, over_stdio};
use ops_mcp::stdio::Streams;
use ops_mcp::tokens::Tokens;
use ops_policy::visible;
use ops_runner::runner::Runner;
use serde_json::{Value, json};

use super::{Outcome, open, open_workspace, print};
use crate::args::{Client, Mcp};
use crate::say;

pub(crate) fn run(workspace: Option<&Path>, command: Mcp) -> Outcome {
    match command {
        Mcp::Serve { http: Some(at), tokens: Some(tokens), .. } => serve_http(workspace, at, &tokens),
        Mcp::Serve { name, only, .. } => serve_stdio(workspace, name, only),
        Mcp::Token { name, only, tokens } => token(&name, only, &tokens),
        Mcp::Config { client } => config(workspace, client),
    }
}

fn serve_stdio(workspace: Option<&Path>, name: Option<String>, only: Vec<String>) -> Outcome {
    // Before anything else: from here on nothing but the protocol comes out of standard output.
    let streams = Streams::take().map_err(|error| format!("standard input and output: {error}"))?;
    let only = Only::new(only)?;
    over_stdio(streams, open_to_serve(workspace)?, name, only)?;
    Ok(0)
}

fn serve_http(workspace: Option<&Path>, at: SocketAddr, tokens: &Path) -> Outcome {
    let tokens = Tokens::load(tokens).map_err(|error| error.to_string())?;
    let runner = open_to_serve(workspace)?;
    let listener = TcpListener::bind(at).map_err(|error| format!("{at}: {error}"))?;
    over_http(listener, runner, tokens, |told| say::note(visible::lines(told)))?;
    Ok(0)
}

fn open_to_serve(workspace: Option<&Path>) -> Result<Runner, String> {
    let runner = open(workspace)?;
    if let Some(lack) = runner.unconfined() {
        say::note(format!("warning: {lack}"));
    }
    Ok(runner)
}

fn token(name: &str, only: Vec<String>, file: &Path) -> Outcome {
    let only = Only::new(only)?;
    let token = Tokens::add(file, name, &only).map_err(|error| error.to_string())?;
    say::note(format!(
        "a token for {name}, shown this once; {} has its hash\nits role is in ops.yaml:  agents: {{reader: […], proposer: […]}}\n\
         a server that runs already reads it when it is started again",
        file.display()
    ));
    print(token)
}

fn config(workspace: Option<&Path>, client: Option<Client>) -> Outcome {
    let program = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    let root = open_workspace(workspace)?.root().to_path_buf();
    let (Some(program), Some(root)) = (program.to_str(), root.to_str()) else {
        return Err("the path of this program, or of the workspace, is not UTF-8".into());
    };
    match client {
        Some(client) => print(configuration(client, program, root)),
        None => {
            for (client, file) in [
                (Client::Desktop, "claude_desktop_config.json"),
                (Client::Editor, ".vscode/mcp.json"),
                (Client::Json, "mcp.json"),
            ] {
                print(format!("{file}: {}", configuration(client, program, root)))?;
            }
            Ok(0)
        }
    }
}

/// What a client has to know to start this server.
fn configuration(client: Client, program: &str, root: &str) -> Value {
    let arguments = json!(["mcp", "serve", "--workspace", root]);
    match client {
        Client::Desktop => json!({"mcpServers": {"ops": {"command": program, "args": arguments}}}),
        Client::Editor => {
            json!({"servers": {"ops": {"type": "stdio", "command": program, "args": arguments}}})
        }
        Client::Json => {
            json!({"mcpServers": {"ops": {"type": "stdio", "command": program, "args": arguments}}})
        }
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
            let text = configuration(client, "/usr/bin/ops", "/srv/ops").to_string();
            assert!(text.contains(r#""command":"/usr/bin/ops""#), "{text}");
            assert!(text.contains(r#"["mcp","serve","--workspace","/srv/ops"]"#), "{text}");
        }
    }
}
