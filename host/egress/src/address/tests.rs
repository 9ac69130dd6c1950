use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn classes() {
    use Class::*;
    for (text, class) in [
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("9.255.255.255", Global),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("11.0.0.0", Global),
        ("100.63.255.255", Global),
        ("100.64.0.0", CarrierGrade),
        ("100.127.255.255", CarrierGrade),
        ("100.128.0.0", Global),
        ("100.100.100.200", Metadata),
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("168.63.129.16", Metadata),
        ("168.63.129.17", Global),
        ("169.253.255.255", Global),
        ("169.254.0.1", LinkLocal),
        ("169.254.169.254", Metadata),
        ("172.15.255.255", Global),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("172.32.0.0", Global),
        ("192.0.0.1", Reserved),
        ("192.0.0.192", Metadata),
        ("192.0.1.1", Global),
        ("192.0.2.1", Documentation),
        ("192.88.99.1", Reserved),
        ("192.168.1.1", Private),
        ("192.169.0.0", Global),
        ("198.17.255.255", Global),
        ("198.19.255.255", Benchmarking),
        ("198.51.100.7", Documentation),
        ("203.0.113.7", Documentation),
        ("223.255.255.255", Global),
        ("224.0.0.1", Multicast),
        ("240.0.0.1", Reserved),
        ("255.255.255.254", Reserved),
        ("255.255.255.255", Broadcast),
        ("8.8.8.8", Global),
        ("::", Unspecified),
        ("::1", Loopback),
        ("::2", Transition),
        ("::10.0.0.1", Transition),
        ("::ffff:10.0.0.1", Private),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:169.254.169.254", Metadata),
        ("::ffff:8.8.8.8", Global),
        ("::ffff:0:8.8.8.8", Reserved),
        ("64:ff9b::8.8.8.8", Global),
        ("64:ff9b::192.168.0.1", Private),
        ("64:ff9b:1::8.8.8.8", Transition),
        ("64:ff9b:2::1", Reserved),
        ("100::1", Reserved),
        ("2001::1", Transition),
        ("2001:2::1", Benchmarking),
        ("2001:10::1", Reserved),
        ("2001:20::1", Reserved),
        ("2001:200::1", Global),
        ("2001:db8::1", Documentation),
        ("2001:4860:4860::8888", Global),
        ("2002:a00:1::1", Transition),
        ("2606:4700::1111", Global),
        ("3fff:fff::1", Documentation),
        ("4000::1", Reserved),
        ("5f00::1", Reserved),
        ("fc00::1", UniqueLocal),
        ("fd00:ec2::254", Metadata),
        ("fd00:ec2::23", Metadata),
        ("fd00:42::42", Metadata),
        ("fd20:ce::254", Metadata),
        ("fdff::1", UniqueLocal),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("fec0::1", Reserved),
        ("ff02::1", Multicast),
    ] {
        assert_eq!(Class::of(ip(text)), class, "{text}");
    }
}

#[test]
fn what_may_be_dialled_with_nothing_listed() {
    for (text, ok) in [
        ("8.8.8.8", true),
        ("2606:4700::1111", true),
        ("::ffff:8.8.8.8", true),
        ("64:ff9b::8.8.8.8", true),
        ("2002:808:808::1", false),
        ("64:ff9b:1::8.8.8.8", false),
        ("::8.8.8.8", false),
        ("10.0.0.1", false),
        ("127.0.0.1", false),
        ("::1", false),
        ("100.64.0.1", false),
        ("fd12::1", false),
        ("192.0.2.1", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(permitted(ip(text), Scheme::Https, &[]).is_ok(), ok, "{text}");
    }
}

#[test]
fn a_listed_range_opens_what_it_holds_and_nothing_else() {
    for (text, listed, ok) in [
        ("10.2.3.4", &["10.2.0.0/16"][..], true),
        ("10.3.0.1", &["10.2.0.0/16"], false),
        ("127.0.0.1", &["10.2.0.0/16"], false),
        ("8.8.8.8", &["10.2.0.0/16"], true),
        ("127.0.0.1", &["127.0.0.1/32"], true),
        ("127.0.0.2", &["127.0.0.1/32"], false),
        ("::1", &["127.0.0.0/8"], false),
        ("::1", &["::1/128"], true),
        ("fd12::1", &["fd12::/16"], true),
        // A mapped address needs both spellings.
        ("::ffff:10.2.0.1", &["10.2.0.0/16"], false),
        ("::ffff:10.2.0.1", &["::ffff:0:0/96"], false),
        ("::ffff:10.2.0.1", &["10.2.0.0/16", "::ffff:10.2.0.0/112"], true),
        ("64:ff9b::10.2.0.1", &["64:ff9b::/96"], false),
        ("64:ff9b::10.2.0.1", &["64:ff9b::/96", "10.2.0.0/16"], true),
        // 6to4: the address after 2002: counts too.
        ("2002:a02:1::1", &["2002::/16"], false),
        ("2002:a02:1::1", &["2002::/16", "10.2.0.0/16"], true),
        ("2002:808:808::1", &["2002::/16"], true),
        // Teredo: client 10.2.0.1 inverted is f5fd:fffe.
        ("2001:0:808:808::f5fd:fffe", &["2001::/32"], false),
        ("2001:0:808:808::f5fd:fffe", &["2001::/32", "10.2.0.0/16"], true),
    ] {
        assert_eq!(permitted(ip(text), Scheme::Https, &nets(listed)).is_ok(), ok, "{text} {listed:?}");
    }
}

#[test]
fn some_are_never_dialled_whatever_is_listed() {
    let all = nets(&["0.0.0.0/0", "::/0"]);
    for text in [
        "0.0.0.0",
        "::",
        "169.254.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
    ] {
        let refused = permitted(ip(text), Scheme::Https, &all);
        assert!(matches!(refused, Err(Refusal::Never(_))), "{text}: {refused:?}");
    }
}

#[test]
fn plain_http_is_for_listed_loopback() {
    let all = nets(&["0.0.0.0/0", "::/0"]);
    for (text, listed, ok) in [
        ("127.0.0.1", &all[..], true),
        ("::1", &all, true),
        ("127.0.0.1", &[], false),
        ("10.0.0.1", &all, false),
        ("8.8.8.8", &all, false),
        ("::127.0.0.1", &all, false),
        ("2002:7f00:1::1", &all, false),
    ] {
        assert_eq!(permitted(ip(text), Scheme::Http, listed).is_ok(), ok, "{text}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let refusal = permitted(ip("10.0.0.1"), Scheme::Https, &[]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "a private address is dialled only if the binding lists its range under `addresses:`"
    );
}

proptest! {
    #[test]
    fn an_address_in_ipv6_clothes_is_never_easier_to_reach(bits: u32) {
        let plain = Ipv4Addr::from_bits(bits);
        if permitted(plain.into(), Scheme::Https, &[]).is_err() {
            for prefix in [0xffff_u128 << 32, 0xffff << 48, 0x64_ff9b << 96, 0x64_ff9b_0001 << 80, 0] {
                let dressed = Ipv6Addr::from_bits(prefix | u128::from(bits));
                prop_assert!(permitted(dressed.into(), Scheme::Https, &[]).is_err(), "{dressed}");
            }
            let six_to_four = Ipv6Addr::from_bits(0x2002 << 112 | u128::from(bits) << 80);
            prop_assert!(permitted(six_to_four.into(), Scheme::Https, &nets(&["2002::/16"])).is_err());
        }
    }

    #[test]
    fn a_longer_list_never_closes_an_address(bits: u128, net in 0u8..=128) {
        let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
        let listed = [IpNet::new(address, net).unwrap().trunc()];
        if permitted(address, Scheme::Https, &[]).is_ok() {
            prop_assert!(permitted(address, Scheme::Https, &listed).is_ok());
        }
    }
}
