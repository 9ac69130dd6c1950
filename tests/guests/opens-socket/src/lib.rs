//! Hostile: opens a TCP connection of its own.
//!
//! What must stop it: it imports `wasi:sockets`, which is never linked, so it is refused before its first instruction.

use std::io::Write;
use std::net::TcpStream;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Address and port, for example `127.0.0.1:8080`.
    address: String,
}

/// That it came through.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    connected: bool,
}

#[capability(
    name = "test.guest.opens-socket",
    summary = "Opens a TCP connection past the broker.",
    safety = "read-only"
)]
fn opens_socket(_: &Ctx, input: Input) -> Result<Output, Failure> {
    TcpStream::connect(input.address)?.write_all(b"hello from inside")?;
    Ok(Output { connected: true })
}
