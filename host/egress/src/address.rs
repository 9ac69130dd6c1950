//! Which addresses may be dialled.
//!
//! A name is under somebody else's control: it may resolve to this machine, to the network behind it, or to a cloud's
//! metadata service. So an address is judged by itself, after the look-up and right before it is dialled:
//!
//! 1. link-local, metadata, unspecified, multicast and broadcast addresses: never;
//! 2. an `http:` origin: loopback only, and only where the binding lists it;
//! 3. globally routable addresses: always;
//! 4. all others: only where the binding lists a range that holds them.
//!
//! An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) must pass with both: it may be
//! translated on the way, and a list that was written for one spelling must not open the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ops_policy::origin::Scheme;

/// What kind of address it is (IANA's special-purpose registries, and the clouds' metadata services).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Globally routable.
    Global,
    /// This machine.
    Loopback,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16.
    Private,
    /// fc00::/7.
    UniqueLocal,
    /// 100.64.0.0/10, between a provider and its customers.
    CarrierGrade,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials to whoever asks from the machine.
    Metadata,
    /// 0.0.0.0/8 and `::`, which many systems take for this machine.
    Unspecified,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// Set aside for documentation.
    Documentation,
    /// Set aside for benchmarks.
    Benchmarking,
    /// IPv6 addresses that carry IPv4 through a tunnel or a local translator: 6to4, Teredo, IPv4-compatible and
    /// 64:ff9b:1::/48.
    Transition,
    /// Any other range that is not globally routable.
    Reserved,
}

/// Why an address may not be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Addresses of this class are never dialled.
    #[error("{0} addresses are never dialled")]
    Never(Class),
    /// The binding would have to list its range.
    #[error("a {0} address is dialled only if the binding lists its range under `addresses:`")]
    NotListed(Class),
    /// `http:` is for this machine only.
    #[error("a {0} address is not dialled without TLS; use https:")]
    Plain(Class),
}

/// Whether an address may be dialled for an origin of this scheme.
///
/// `listed` are the ranges under `addresses:` in the binding. They add to what is globally routable; they do not
/// narrow it.
///
/// # Errors
///
/// The first rule of the module's list that it breaks.
pub fn permitted(address: IpAddr, scheme: Scheme, listed: &[IpNet]) -> Result<(), Refusal> {
    let class = Class::of(address);
    let forms = || std::iter::once(address).chain(embedded(address).into_iter().flatten().map(IpAddr::V4));
    if let Some(never) = forms().map(Class::of).find(|class| class.is_never_dialled()) {
        return Err(Refusal::Never(never));
    }
    if scheme == Scheme::Http && class != Class::Loopback {
        return Err(Refusal::Plain(class));
    }
    let is_open =
        |form: IpAddr| Class::of(form) == Class::Global || listed.iter().any(|net| net.contains(&form));
    if forms().all(is_open) { Ok(()) } else { Err(Refusal::NotListed(class)) }
}

impl Class {
    /// The class of an address. A mapped or NAT64 address has the class of the IPv4 address in it.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Whether no binding can list it.
    pub fn is_never_dialled(self) -> bool {
        matches!(
            self,
            Self::LinkLocal | Self::Metadata | Self::Unspecified | Self::Multicast | Self::Broadcast
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "globally routable",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::UniqueLocal => "unique-local",
            Self::CarrierGrade => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Transition => "transition",
            Self::Reserved => "reserved",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = s;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The first range that holds the address tells its class; no range: global.
const V4: [(Ipv4Net, Class); 20] = [
    (v4(100, 100, 100, 200, 32), Class::Metadata), // Alibaba
    (v4(168, 63, 129, 16, 32), Class::Metadata),   // Azure; routable by its looks
    (v4(169, 254, 169, 254, 32), Class::Metadata), // most clouds
    (v4(192, 0, 0, 192, 32), Class::Metadata),     // Oracle, old form
    (v4(0, 0, 0, 0, 8), Class::Unspecified),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::CarrierGrade),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(169, 254, 0, 0, 16), Class::LinkLocal),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 0, 0, 0, 24), Class::Reserved),
    (v4(192, 0, 2, 0, 24), Class::Documentation),
    (v4(192, 88, 99, 0, 24), Class::Reserved), // 6to4 relays
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(198, 18, 0, 0, 15), Class::Benchmarking),
    (v4(198, 51, 100, 0, 24), Class::Documentation),
    (v4(203, 0, 113, 0, 24), Class::Documentation),
    (v4(224, 0, 0, 0, 4), Class::Multicast),
    (v4(255, 255, 255, 255, 32), Class::Broadcast),
    (v4(240, 0, 0, 0, 4), Class::Reserved),
];

/// As [`V4`]; what no range holds is global inside 2000::/3 and reserved outside.
const V6: [(Ipv6Net, Class); 18] = [
    (v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32), Class::Metadata), // Amazon
    (v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254], 128), Class::Metadata), // Google
    (v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42], 128), Class::Metadata), // Scaleway
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Class::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Class::Loopback),
    (COMPATIBLE, Class::Transition),
    (LOCAL_NAT64, Class::Transition),
    (TEREDO, Class::Transition),
    (SIX_TO_FOUR, Class::Transition),
    (v6([0x2001, 0x0002, 0, 0, 0, 0, 0, 0], 48), Class::Benchmarking),
    (v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32), Class::Documentation),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Class::Reserved), // IETF protocols
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Class::Documentation),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Class::UniqueLocal),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Class::LinkLocal),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Class::Multicast),
    (v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3), Class::Global),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 0), Class::Reserved),
];

const MAPPED: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);
const TRANSLATED: Ipv6Net = v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48);
const COMPATIBLE: Ipv6Net = v6([0, 0, 0, 0, 0, 0, 0, 0], 96);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

fn of_v4(address: Ipv4Addr) -> Class {
    V4.iter().find(|(net, _)| net.contains(&address)).map_or(Class::Global, |(_, class)| *class)
}

fn of_v6(address: Ipv6Addr) -> Class {
    // These two are IPv4 in all but spelling: a mapped address is dialled as IPv4, the well-known NAT64 prefix is
    // routed to a translator.
    if (MAPPED.contains(&address) || NAT64.contains(&address))
        && let [Some(inner), _] = embedded(IpAddr::V6(address))
    {
        return of_v4(inner);
    }
    V6.iter().find(|(net, _)| net.contains(&address)).map_or(Class::Reserved, |(_, class)| *class)
}

/// The IPv4 addresses that an IPv6 address carries: at most two (Teredo names its server and its client).
fn embedded(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(address) = address else { return [None, None] };
    let bits = address.to_bits();
    let word = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    let in_last = [MAPPED, TRANSLATED, NAT64, LOCAL_NAT64, COMPATIBLE];
    if address.is_unspecified() || address.is_loopback() {
        [None, None]
    } else if in_last.iter().any(|net| net.contains(&address)) {
        [Some(word(0)), None]
    } else if SIX_TO_FOUR.contains(&address) {
        [Some(word(80)), None]
    } else if TEREDO.contains(&address) {
        // The client's address is written inverted.
        [Some(word(64)), Some(Ipv4Addr::from_bits(!word(0).to_bits()))]
    } else {
        [None, None]
    }
}

#[cfg(test)]
mod tests;
