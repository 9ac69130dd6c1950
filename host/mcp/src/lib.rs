//! The front end for agents: every capability that the lock vouches for is a tool of one MCP server. It calls the
//! runner, as the front end for people does, and can do nothing that the runner does not do.

pub mod caller;
pub mod http;
pub mod only;
mod stub;
