//! Who calls, and which capabilities that is for.

use ops_policy::visible;
use ops_runner::run::{Actor, Standing};

use crate::only::Only;

/// The longest name of a client program that is kept, in bytes.
const LONGEST_CLIENT: usize = 100;

/// Who calls, once that is proven. What the name may ask for is not in here: `agents:` of `ops.yaml` says that, and it
/// is asked anew in each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or the user's; it goes into receipts.
    pub name: String,
    /// In what standing.
    pub standing: Standing,
    /// Which capabilities the caller sees.
    pub only: Only,
}

impl Caller {
    /// The caller as a receipt names it. `client` is what the client program says of itself.
    pub(crate) fn actor(&self, client: &str) -> Actor {
        Actor {
            kind: "agent",
            id: self.name.clone(),
            via: "mcp",
            client: visible::clip(&visible::visible(client), LONGEST_CLIENT),
            standing: self.standing,
        }
    }
}
