//! Which ranges a service needs, by the addresses that were dialled.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

/// Up to so many addresses of one range stand for it one by one.
const FEW: usize = 4;

/// The ranges that stand for the listed ones. None where they stay as they are, or nothing was dialled.
///
/// A range in which nothing was dialled goes. An address outside of all of them is a public one, which needs no range.
pub(super) fn narrow(listed: &[IpNet], dialled: &BTreeSet<IpAddr>) -> Option<Vec<IpNet>> {
    if dialled.is_empty() {
        return None;
    }
    let mut narrowed: Vec<IpNet> = Vec::new();
    for range in listed {
        let within: Vec<_> = dialled.iter().filter(|address| range.contains(*address)).collect();
        let stand_in = match within.as_slice() {
            few if few.len() <= FEW => few.iter().map(|address| IpNet::from(**address)).collect(),
            _ => vec![*range],
        };
        for range in stand_in {
            if !narrowed.contains(&range) {
                narrowed.push(range);
            }
        }
    }
    (narrowed != listed).then_some(narrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The listed ranges, the dialled addresses, and what the ranges become.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>);

    #[test]
    fn ranges_become_the_addresses_that_were_dialled() {
        let cases: [Case<'_>; 8] = [
            (&["10.0.0.0/8"], &["10.2.0.5"], Some(&["10.2.0.5/32"])),
            (&["10.0.0.0/8", "192.168.0.0/16"], &["10.2.0.5"], Some(&["10.2.0.5/32"])),
            (&["fd00::/8"], &["fd00::5", "10.2.0.5"], Some(&["fd00::5/128"])),
            (&["10.2.0.5/32"], &["10.2.0.5"], None),
            (&["10.0.0.0/8", "10.2.0.0/16"], &["10.2.0.5"], Some(&["10.2.0.5/32"])),
            (&["10.0.0.0/8"], &["9.9.9.9"], Some(&[])),
            (&["10.0.0.0/8"], &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"], None),
            (&["10.0.0.0/8"], &[], None),
        ];
        for (listed, dialled, expected) in cases {
            let ranges =
                |texts: &[&str]| -> Vec<IpNet> { texts.iter().map(|text| text.parse().unwrap()).collect() };
            let dialled: BTreeSet<IpAddr> = dialled.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(narrow(&ranges(listed), &dialled), expected.map(ranges), "{listed:?} {dialled:?}");
        }
    }
}
