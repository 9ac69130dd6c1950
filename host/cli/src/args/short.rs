//! The command that is typed most, read without the others: a parser of all of them takes longer to make than a run
//! takes to begin.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{Cap, Cli, Command};

/// The program as if it had this command alone.
#[derive(Debug, Parser)]
#[command(name = "ops")]
struct Short {
    #[arg(long, global = true)]
    workspace: Option<PathBuf>,
    #[command(subcommand)]
    command: Only,
}

#[derive(Debug, Subcommand)]
enum Only {
    #[command(subcommand)]
    Cap(Cap),
}

impl Cli {
    /// Reads the words that follow the program's name, the name among them. Help and whatever is wrong come from the
    /// parser of all commands.
    pub(crate) fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        if words.iter().any(|word| word == "cap")
            && let Ok(Short { workspace, command: Only::Cap(command) }) = Short::try_parse_from(&words)
        {
            return Ok(Self { workspace, command: Command::Cap(command) });
        }
        Self::try_parse_from(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parsers_read_the_same() {
        for line in [
            "ops cap list",
            "ops cap list --json",
            "ops --workspace w cap show a.b",
            "ops cap run a.b --text x --json --dry-run",
            "ops cap run --workspace w a.b --workspace x",
            "ops cap run",
            "ops cap run --help",
            "ops cap run a.b --help",
            "ops cap resume KEY --trace-checks",
            "ops cap",
            "ops cap --help",
            "ops cap --version",
            "ops cap lits",
            "ops cap list --jsno",
            "ops cap show",
            "ops --workspace",
            "ops status cap",
            "ops plan show cap",
            "ops --workspace cap status",
        ] {
            let words = || line.split(' ').map(OsString::from).collect();
            let shown = |read: Result<Cli, clap::Error>| match read {
                Ok(cli) => format!("{cli:?}"),
                Err(error) => error.render().to_string(),
            };
            assert_eq!(shown(Cli::read(words())), shown(Cli::try_parse_from::<Vec<_>, _>(words())), "{line}");
        }
    }
}
