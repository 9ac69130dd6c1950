//! Where a guest runs: the engine, the links it may have, and the staged copies of its directories.

mod bindings;
mod bounds;
pub mod broker;
pub mod cache;
mod card;
mod clock;
pub mod commit;
pub mod component;
pub mod confine;
mod convert;
pub mod describe;
pub mod engine;
mod files;
mod host;
mod http;
pub mod imports;
pub mod inspect;
pub mod job;
mod limits;
mod link;
mod random;
mod remote;
mod run;
pub mod stage;
mod state;
mod stdio;
#[cfg(test)]
mod testing;
mod text;
pub mod tree;
mod watchdog;
mod wire;
pub mod worker;
pub mod workers;
