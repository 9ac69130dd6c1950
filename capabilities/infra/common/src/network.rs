//! The address that cloud-init gives a VM.

use std::fmt;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

/// `dhcp`, or an IPv4 address with the length of its network's prefix, such as `192.0.2.14/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^(dhcp|[0-9.]+/[0-9]+)$"))]
pub enum Network {
    /// From a DHCP server.
    Dhcp,
    /// This address.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// How many bits of it are the network's, 8 to 30.
        prefix: u8,
    },
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not `dhcp` and not an address such as 192.0.2.14/24");
        if text == "dhcp" {
            return Ok(Self::Dhcp);
        }
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let prefix = match prefix.parse() {
            Ok(prefix @ 8..=30) if prefix.to_string() == text.rsplit('/').next().unwrap_or_default() => {
                prefix
            }
            _ => return Err(wrong()),
        };
        Ok(Self::Static { address: address.parse().map_err(|_| wrong())?, prefix })
    }
}

impl Network {
    /// Whether an address lies in this network, which a gateway must.
    pub fn contains(self, other: Ipv4Addr) -> bool {
        match self {
            Self::Dhcp => false,
            Self::Static { address, prefix } => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                address.to_bits() & mask == other.to_bits() & mask
            }
        }
    }

    /// The address, where it is known before the VM runs.
    pub fn address(self) -> Option<Ipv4Addr> {
        match self {
            Self::Dhcp => None,
            Self::Static { address, .. } => Some(address),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.write_str("dhcp"),
            Self::Static { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["dhcp", "192.0.2.14/24", "10.0.0.1/8"] {
            assert_eq!(Network::try_from(good.to_owned()).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "DHCP",
            "192.0.2.14",
            "192.0.2.14/31",
            "192.0.2.14/+24",
            "192.0.2.14/024",
            "192.0.2/24",
            "192.0.2.14/24,gw=1",
        ] {
            assert!(Network::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        let network = Network::try_from("192.0.2.14/25".to_owned()).unwrap();
        assert!(network.contains(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(
            !network.contains(Ipv4Addr::new(192, 0, 2, 129)) && !Network::Dhcp.contains(Ipv4Addr::LOCALHOST)
        );
    }
}
