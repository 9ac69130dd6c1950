//! `ops inspect`.

use std::path::PathBuf;

use clap::Args;

use super::Json;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    pub(crate) component: PathBuf,
    #[command(flatten)]
    pub(crate) json: Json,
}
