//! `ops review`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Json, age};

#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// Show what a capability may do, and sign that you have looked at it. Your key must be one that may sign the lock too,
    /// or give --to.
    Sign(Sign),
    /// Put a review into the lock that somebody else has signed with `ops review sign --to FILE`.
    Add(Add),
    /// List who reviewed what, until when, and whether that still fits what is pinned.
    List(Json),
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The capability's name.
    pub(crate) capability: String,
    /// Your private key, or a .pub file whose private key an agent holds.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: PathBuf,
    /// How long the review is good, 366d at most.
    #[arg(long, value_name = "AGE", value_parser = age, default_value = "180d")]
    pub(crate) expires: Duration,
    /// Write the signed review into this file and leave the lock as it is, for whoever may sign that.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Sign without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The signed review.
    #[arg(value_name = "FILE")]
    pub(crate) review: PathBuf,
    /// The private key of an approver who may sign the lock, or a .pub file whose private key an agent holds.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: PathBuf,
    /// Sign without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}
