//! The four systems that everything else rests on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the systems of infra-core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// DNS and the edge, at a vendor.
    Cloudflare,
    /// The vault of passwords.
    Vaultwarden,
    /// The store of machines' secrets.
    Infisical,
    /// Sign-on.
    Authentik,
}

impl System {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Cloudflare, Self::Vaultwarden, Self::Infisical, Self::Authentik];

    /// Its name, which is also that of its service in a binding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Vaultwarden => "vaultwarden",
            Self::Infisical => "infisical",
            Self::Authentik => "authentik",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
