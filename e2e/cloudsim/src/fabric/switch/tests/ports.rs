//! Ports that come, go and contradict each other.

use std::net::Ipv4Addr;

use super::*;

#[test]
fn ports_that_contradict_others_are_refused_and_change_nothing() {
    let mut world = World::new();
    let member = |vlan| PortKind::Member {
        trunk: "eni-1".to_owned(),
        vlan,
    };
    let free = [10, 0, 16, 50];
    let refused = [
        port("eni-1", TWO_MAC, free, "a", direct()),
        port("eni-9", TWO_MAC, ONE, "a", direct()),
        port("eni-9", TWO_MAC, free, "nowhere", direct()),
        port("eni-9", TWO_MAC, free, "b", member(VLAN)),
        port("eni-9", TWO_MAC, free, "b", member(0)),
        port("eni-9", TWO_MAC, free, "b", member(4095)),
        port(
            "eni-9",
            TWO_MAC,
            free,
            "b",
            PortKind::Member {
                trunk: "eni-m".to_owned(),
                vlan: 1,
            },
        ),
    ];
    for port in refused {
        assert!(world.switch.plug(&port).is_err(), "{port:?}");
    }
    let taken: Ipv4Addr = TWO.into();
    assert!(world.switch.update("eni-1", vec![taken], vec![]).is_err());
    assert!(world.one_says(&udp(ONE, TWO)).is_ok());
    world
        .switch
        .plug(&port("eni-9", TWO_MAC, free, "b", member(1)))
        .unwrap();
}

#[test]
fn an_unplugged_trunk_takes_its_members_and_their_addresses_along() {
    let mut world = World::new();
    assert_eq!(world.switch.unplug("eni-1"), [world.one, world.member].into());
    assert_eq!(world.switch.unplug("eni-1"), [].into());
    assert_eq!(world.two_says(&udp(TWO, MEMBER)), Err(Reason::NoOwner));
    world
        .switch
        .plug(&port("eni-m", MEMBER_MAC, MEMBER, "b", direct()))
        .unwrap();
    assert!(world.two_says(&udp(TWO, MEMBER)).is_ok());
}
