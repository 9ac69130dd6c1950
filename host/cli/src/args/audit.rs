//! `ops audit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ops_policy::finding::Severity;

use super::Json;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// These capabilities, each with its whole page [default: all, in short].
    #[arg(value_name = "CAPABILITY")]
    pub(crate) capabilities: Vec<String>,
    /// For people, for programs, for code scanning (SARIF 2.1.0), or one page for a browser.
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    pub(crate) format: Format,
    /// Exit 1 if something at least as severe was found and is not suppressed.
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Least>,
    /// How many of the newest runs of each capability are looked at, at most 1000.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) runs: u32,
    /// A folder with components that were built again from their source, to compare with, by file name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) rebuilt: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// How an audit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Sarif,
    Html,
}

/// The least severe finding that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Least {
    Low,
    Medium,
    High,
}

impl From<Least> for Severity {
    fn from(least: Least) -> Self {
        match least {
            Least::Low => Self::Low,
            Least::Medium => Self::Medium,
            Least::High => Self::High,
        }
    }
}
