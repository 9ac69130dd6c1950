//! The words of `ops suggest`.

use clap::Args;
use ops_runner::suggest::MOST_RUNS;

use super::Json;

#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// The capability's name.
    pub(crate) capability: String,
    /// The runs to learn from: keys, or their beginning or last letters, with commas between or again for each. Where none
    /// is named: the last ones that ended done, planned or partial.
    #[arg(long, value_name = "RUNS", value_delimiter = ',')]
    pub(crate) from: Vec<String>,
    /// How many past runs are looked at.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RUNS)))]
    pub(crate) runs: u32,
    #[command(flatten)]
    pub(crate) json: Json,
}
