//! Addresses in the fields of custom resources.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_family_has_its_own_field() {
    let mut allocation = Allocation::default();
    assert_eq!(allocation.address(Family::V4), Ok(None));
    allocation.set_address(ip("2001:db8:0:0::7"));
    allocation.set_address(ip("10.0.16.7"));
    assert_eq!(
        (allocation.ipv4.as_str(), allocation.ipv6.as_str()),
        ("10.0.16.7", "2001:db8::7")
    );
    assert_eq!(
        allocation.addresses(),
        Ok(vec![ip("10.0.16.7"), ip("2001:db8::7")])
    );
    allocation.set_cidr("2001:db8::/64".parse().unwrap());
    assert_eq!(allocation.cidr(Family::V4), Ok(None));
    assert_eq!(
        allocation.cidr(Family::V6),
        Ok(Some("2001:db8::/64".parse().unwrap()))
    );
    allocation.clear_addresses();
    assert_eq!(allocation.addresses(), Ok(vec![]));
}

#[test]
fn an_address_in_the_field_of_the_other_family_is_an_error() {
    let allocation = Allocation {
        ipv4: "2001:db8::7".into(),
        ipv6_cidr: "10.0.0.0/8".into(),
        ..Allocation::default()
    };
    let words = |error: AddressError| error.to_string();
    assert_eq!(
        allocation.address(Family::V4).map_err(words),
        Err("ipv4 \"2001:db8::7\" is not an IPv4 address".into())
    );
    assert_eq!(
        allocation.cidr(Family::V6).map_err(words),
        Err("ipv6CIDR \"10.0.0.0/8\" is not an IPv6 network".into())
    );
}

#[test]
fn an_eni_keeps_its_addresses_by_family_and_text() {
    let mut nic = Nic::default();
    nic.find_or_add(ip("10.0.16.7"), true).pod_uid = "u".into();
    nic.find_or_add(ip("2001:db8:0::7"), false);
    nic.find_or_add(ip("10.0.16.7"), false);
    let known: Vec<_> = nic
        .all_addresses()
        .map(|(family, ip)| ip.address(family).unwrap())
        .collect();
    assert_eq!(known, [ip("10.0.16.7"), ip("2001:db8::7")]);
    assert_eq!(nic.addresses(Family::V6).keys().next().unwrap(), "2001:db8::7");
    let first = nic.find(ip("10.0.16.7")).unwrap();
    assert_eq!((first.primary, first.pod_uid.as_str()), (true, "u"));
    assert_eq!(nic.find_mut(ip("10.0.16.8")), None);
}
