//! Ranges of addresses that a binding may list: those that are not globally routable.
//!
//! Listing a range opens it, so the list is judged range by range: it must lie inside one known kind of private
//! range, and it can never hold an address that serves credentials of the machine (metadata), or one that is not
//! a host at all. A globally routable range needs no listing; accepting one would look like a restriction and be
//! none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why a range cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be listed: {why}")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(a: u16, b: u16, c: u16, h: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, h), prefix))
}

/// Never, whatever the list says.
const NEVER: [(IpNet, &str); 12] = [
    (v4(0, 0, 0, 0, 8), "it holds unspecified addresses (0.0.0.0/8)"),
    (
        v4(169, 254, 0, 0, 16),
        "it holds link-local addresses, where machines serve their credentials (169.254.0.0/16)",
    ),
    (v4(192, 0, 0, 0, 24), "it holds protocol addresses, one of which serves credentials (192.0.0.0/24)"),
    (v4(224, 0, 0, 0, 4), "it holds multicast addresses (224.0.0.0/4)"),
    (v4(255, 255, 255, 255, 32), "it holds the broadcast address"),
    (v6(0, 0, 0, 0, 128), "it holds the unspecified address (::)"),
    (v6(0xfe80, 0, 0, 0, 10), "it holds link-local addresses (fe80::/10)"),
    (v6(0xff00, 0, 0, 0, 8), "it holds multicast addresses (ff00::/8)"),
    (v6(0xfd00, 0xec2, 0, 0, 32), "it holds addresses that serve credentials (fd00:ec2::/32)"),
    (v6(0x64, 0xff9b, 0, 0, 96), "it embeds IPv4 addresses; list those as IPv4"),
    (v6(0x2001, 0, 0, 0, 32), "it embeds IPv4 addresses; list those as IPv4"),
    (v6(0x2002, 0, 0, 0, 16), "it embeds IPv4 addresses; list those as IPv4"),
];

/// Addresses inside useful ranges that serve credentials. The egress never dials them, so listing one alone, which
/// would look like a grant, is refused.
const METADATA: [IpNet; 3] =
    [v4(100, 100, 100, 200, 32), v6(0xfd00, 0x42, 0, 0x42, 128), v6(0xfd20, 0xce, 0, 0x254, 128)];

/// The kinds of range that are not globally routable and may be opened.
const PRIVATE: [IpNet; 15] = [
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 2, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(240, 0, 0, 0, 4),
    v6(0, 0, 0, 1, 128),
    v6(0x64, 0xff9b, 1, 0, 48),
    v6(0x100, 0, 0, 0, 64),
    v6(0x2001, 0xdb8, 0, 0, 32),
    v6(0xfc00, 0, 0, 0, 7),
];

/// Parses an address or a range in CIDR form, and checks that it may be listed.
///
/// # Errors
///
/// A text that is neither, a range with host bits set, and every range that cannot be listed, with the reason.
pub fn parse(text: &str) -> Result<IpNet, AddressError> {
    let refuse = |why| AddressError { text: text.chars().take(64).collect(), why };
    let range = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| refuse("write an address or a range such as 10.2.0.0/16"))?,
    };
    if range.addr() != range.network() {
        return Err(refuse("the address goes on behind the prefix; write the range's first address"));
    }
    if let Some((_, why)) = NEVER.iter().find(|(never, _)| range.contains(never) || never.contains(&range)) {
        return Err(refuse(why));
    }
    if METADATA.contains(&range) {
        return Err(refuse("it serves credentials of the machine, and is never dialled"));
    }
    if let IpAddr::V6(address) = range.addr()
        && range != PRIVATE_LOOPBACK_V6
        && (address.to_ipv4_mapped().is_some()
            || (address.segments().starts_with(&[0; 6]) && range.prefix_len() > 96))
    {
        return Err(refuse("it embeds IPv4 addresses; list those as IPv4"));
    }
    if PRIVATE.iter().any(|private| private.contains(&range)) {
        return Ok(range);
    }
    if PRIVATE.iter().any(|private| range.contains(private)) {
        return Err(refuse("it holds private and public addresses; list the private ranges one by one"));
    }
    Err(refuse("it is globally routable, which needs no listing; this list opens private ranges only"))
}

const PRIVATE_LOOPBACK_V6: IpNet = v6(0, 0, 0, 1, 128);

/// Whether a listed range holds loopback addresses only.
pub fn is_loopback(range: &IpNet) -> bool {
    v4(127, 0, 0, 0, 8).contains(range) || PRIVATE_LOOPBACK_V6.contains(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_may_be_listed() {
        for (text, canonical) in [
            ("10.2.0.0/16", "10.2.0.0/16"),
            ("10.2.3.4", "10.2.3.4/32"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("100.64.0.0/10", "100.64.0.0/10"),
            ("::1", "::1/128"),
            ("fd12:3456::/32", "fd12:3456::/32"),
            ("FD12:3456::/32", "fd12:3456::/32"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn the_rest_may_not() {
        for (text, why) in [
            ("10.2.3.4/16", "first address"),
            ("mail.example", "write an address"),
            ("10.2.0.0/33", "write an address"),
            ("0x7f.1", "write an address"),
            ("0.0.0.0", "unspecified"),
            ("0.0.0.0/0", "unspecified"),
            ("::/0", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("169.254.0.0/15", "link-local"),
            ("168.0.0.0/6", "link-local"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "credentials"),
            ("fc00::/7", "credentials"),
            ("fd00::/8", "credentials"),
            ("192.0.0.192", "credentials"),
            ("fd00:ec2::23", "credentials"),
            ("100.100.100.200", "credentials"),
            ("fd20:ce::254", "credentials"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.0/4", "broadcast"),
            ("::ffff:10.0.0.1", "embeds"),
            ("::10.0.0.1", "embeds"),
            ("64:ff9b::a00:1", "embeds"),
            ("2002:a00:1::/48", "embeds"),
            ("8.8.8.8", "globally routable"),
            ("93.184.216.0/24", "globally routable"),
            ("2600::/16", "globally routable"),
            ("8.0.0.0/6", "private and public"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn loopback() {
        for (text, expected) in
            [("127.0.0.1", true), ("127.0.0.0/8", true), ("::1", true), ("10.0.0.1", false)]
        {
            assert_eq!(is_loopback(&parse(text).unwrap()), expected, "{text}");
        }
    }
}
