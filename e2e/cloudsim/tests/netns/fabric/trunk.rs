//! Members: tagged frames on their trunk's NIC.

use std::net::Ipv4Addr;

use cloudsim::{
    fabric::{Fabric, FabricError, FabricOptions, Port, PortKind, Reason},
    world::{FabricRules, MemberMac},
};

use super::{
    lab::{Namespace, PATIENCE, direct, eventually, fabric},
    wire::{GATEWAY, Wire, arp_request, read_capture, udp},
};

const TRUNK_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MEMBER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 42];
const MEMBER: Ipv4Addr = Ipv4Addr::new(10, 0, 16, 42);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 16, 12);
const MEMBER_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 19, 253);

fn member(name: &str, vlan: u16, address: Ipv4Addr) -> Port {
    Port {
        eni_id: name.to_owned(),
        mac: [2, 0, 0, 0, 1, vlan as u8],
        addresses: vec![address],
        vswitch_id: "vsw-b".to_owned(),
        security_groups: vec!["sg-open".to_owned()],
        kind: PortKind::Member {
            trunk: "eni-1".to_owned(),
            vlan,
        },
    }
}

/// A node with a trunk `eni-1` and a member `eni-m` on VLAN 42, and a peer `eni-2`.
fn world(options: FabricOptions) -> (Fabric, Namespace, Namespace) {
    let fabric = fabric(options);
    let (node, peer) = (Namespace::new(), Namespace::new());
    fabric
        .plug(direct(1, "10.0.0.11", "vsw-a", "sg-open", &node))
        .unwrap();
    fabric.plug(member("eni-m", 42, MEMBER)).unwrap();
    fabric
        .plug(direct(2, "10.0.16.12", "vsw-b", "sg-open", &peer))
        .unwrap();
    node.ip("link set eth0 up");
    peer.configure("eth0", "10.0.16.12/22", "10.0.19.253");
    (fabric, node, peer)
}

#[test]
fn a_member_speaks_and_hears_tagged_frames_with_the_trunks_mac() {
    let (fabric, node, peer) = world(FabricOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("member.pcap");
    fabric.pcap("eni-m", Some(file.clone())).unwrap();
    let wire = Wire::open(&node, "eth0");

    wire.send(&arp_request(TRUNK_MAC, Some(42), MEMBER, MEMBER_GATEWAY));
    let answer = wire.hear("the gateway's ARP answer", |frame| frame[12..14] == [8, 6]);
    assert_eq!(answer[..6], TRUNK_MAC);
    assert_eq!(answer[22..28], GATEWAY);
    assert_eq!(answer[28..32], MEMBER_GATEWAY.octets());

    let server = peer.udp("10.0.16.12", 5353);
    wire.send(&udp(
        TRUNK_MAC,
        Some(42),
        (MEMBER, 4000),
        (PEER, 5353),
        b"from the pod",
    ));
    let mut heard = [0; 64];
    let (length, source) = server.recv_from(&mut heard).unwrap();
    assert_eq!(
        (&heard[..length], source),
        (&b"from the pod"[..], (MEMBER, 4000).into())
    );

    server.send_to(b"to the pod", (MEMBER, 4000)).unwrap();
    let frame = wire.hear("the answer", |frame| frame.ends_with(b"to the pod"));
    assert_eq!(frame[..6], TRUNK_MAC);

    // The kernel shows frames without their tags; the capture shows the wire.
    let tagged = |frame: &Vec<u8>| frame[12..16] == [0x81, 0, 0, 42];
    eventually("four frames in the capture", || {
        read_capture(&file).unwrap().len() == 4
    });
    assert!(read_capture(&file).unwrap().iter().all(tagged));
    assert_eq!(fabric.counters().enis["eni-m"].sent, 2);
    assert_eq!(fabric.counters().enis["eni-m"].delivered, 2);
}

#[test]
fn a_world_may_give_members_their_own_mac() {
    let rules = FabricRules {
        member_mac: MemberMac::Member,
        ..Default::default()
    };
    let (fabric, node, peer) = world(FabricOptions::new(rules));
    let wire = Wire::open(&node, "eth0");
    let server = peer.udp("10.0.16.12", 5353);
    for mac in [MEMBER_MAC, TRUNK_MAC] {
        wire.send(&udp(
            mac,
            Some(42),
            (MEMBER, 4000),
            (PEER, 5353),
            b"either will do",
        ));
        server.recv_from(&mut [0; 64]).unwrap();
    }
    server.send_to(b"to the pod", (MEMBER, 4000)).unwrap();
    let frame = wire.hear("the answer", |frame| frame.ends_with(b"to the pod"));
    assert_eq!(frame[..6], MEMBER_MAC);
    drop(fabric);
}

#[test]
fn an_unknown_vlan_and_a_borrowed_address_are_dropped_and_counted() {
    let (fabric, node, _peer) = world(FabricOptions::default());
    let other = Ipv4Addr::new(10, 0, 16, 43);
    fabric.plug(member("eni-n", 43, other)).unwrap();
    let wire = Wire::open(&node, "eth0");
    let dropped = |eni: &str, reason| fabric.counters().enis[eni].dropped.get(&reason).copied();

    wire.send(&udp(TRUNK_MAC, Some(99), (MEMBER, 4000), (PEER, 5353), b""));
    eventually("unknown VLAN", || {
        dropped("eni-1", Reason::UnknownVlan) == Some(1)
    });
    wire.send(&udp(TRUNK_MAC, Some(42), (other, 4000), (PEER, 5353), b""));
    eventually("another member's address", || {
        dropped("eni-m", Reason::SpoofIp) == Some(1)
    });
    wire.send(&udp(TRUNK_MAC, None, (MEMBER, 4000), (PEER, 5353), b""));
    eventually("a member's address without its tag", || {
        dropped("eni-1", Reason::SpoofIp) == Some(1)
    });
    wire.send(&udp(
        [2, 0, 0, 0, 0, 9],
        Some(42),
        (MEMBER, 4000),
        (PEER, 5353),
        b"",
    ));
    eventually("a foreign MAC", || dropped("eni-m", Reason::SpoofMac) == Some(1));
}

#[test]
fn a_frame_may_return_on_its_trunk_where_the_world_allows_it() {
    for trunk_hairpin in [true, false] {
        let rules = FabricRules {
            trunk_hairpin,
            ..Default::default()
        };
        let (fabric, node, _peer) = world(FabricOptions::new(rules));
        let other = Ipv4Addr::new(10, 0, 16, 43);
        fabric.plug(member("eni-n", 43, other)).unwrap();
        let wire = Wire::open(&node, "eth0");
        wire.send(&udp(TRUNK_MAC, Some(42), (MEMBER, 4000), (other, 5353), b"round"));
        if trunk_hairpin {
            wire.hear("the frame on the other VLAN", |frame| frame.ends_with(b"round"));
            assert_eq!(fabric.counters().enis["eni-n"].delivered, 1);
        } else {
            let dropped = || fabric.counters().dropped.get(&Reason::Hairpin).copied();
            eventually("the drop", || dropped() == Some(1));
        }
    }
}

#[test]
fn members_follow_their_trunk_and_move_between_trunks() {
    let (fabric, node, peer) = world(FabricOptions::default());
    assert!(matches!(
        fabric.plug(member("eni-x", 42, PEER)),
        Err(FabricError::VlanTaken { .. })
    ));
    let mut lost = member("eni-x", 7, Ipv4Addr::new(10, 0, 16, 7));
    lost.kind = PortKind::Member {
        trunk: "eni-m".to_owned(),
        vlan: 7,
    };
    assert!(matches!(fabric.plug(lost), Err(FabricError::UnknownTrunk { .. })));

    // The member moves to the peer's node, and its traffic follows.
    let second = Namespace::new();
    fabric.unplug("eni-m");
    fabric
        .plug(direct(3, "10.0.0.13", "vsw-a", "sg-open", &second))
        .unwrap();
    second.ip("link set eth0 up");
    let mut moved = member("eni-m", 5, MEMBER);
    moved.kind = PortKind::Member {
        trunk: "eni-3".to_owned(),
        vlan: 5,
    };
    fabric.plug(moved).unwrap();
    let wire = Wire::open(&second, "eth0");
    let client = peer.udp("10.0.16.12", 5353);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"where are you", (MEMBER, 4000)).unwrap();
    wire.hear("the frame on the second node", |frame| {
        frame.ends_with(b"where are you")
    });

    fabric.unplug("eni-3");
    assert!(
        !fabric.counters().enis.contains_key("eni-m"),
        "a member outlived its trunk"
    );
    drop(node);
}
