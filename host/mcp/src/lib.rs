//! The front end for agents: every capability that the lock vouches for is a tool of one MCP server. It calls the
//! runner, as the front end for people does, and can do nothing that the runner does not do.

mod answer;
pub mod caller;
mod engine;
pub mod front;
mod gate;
pub mod http;
pub mod only;
mod own;
mod resources;
mod schema;
pub mod serve;
mod server;
pub mod stdio;
pub mod tokens;
mod tools;
