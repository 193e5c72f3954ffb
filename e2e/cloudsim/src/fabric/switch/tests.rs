//! The decision about a frame, for every rule of the simulated VPC.

mod ports;
mod properties;
mod sessions;

use super::*;
use crate::{
    fabric::{
        counters::Counters,
        frames::{Packet, arp_request, framed},
        model::PortKind,
    },
    world::{
        FabricRules,
        security_group::{Policy, Protocol, Rule},
    },
};

const ONE: [u8; 4] = [10, 0, 0, 11];
const TWO: [u8; 4] = [10, 0, 16, 12];
const MEMBER: [u8; 4] = [10, 0, 16, 42];
const ONE_MAC: Mac = [2, 0, 0, 0, 0, 1];
const TWO_MAC: Mac = [2, 0, 0, 0, 0, 2];
const MEMBER_MAC: Mac = [2, 0, 0, 0, 0, 42];
const VLAN: u16 = 42;

/// A switch with `eni-1` (a trunk in 10.0.0.0/24), its member `eni-m`, and `eni-2`, all in the
/// group `open`. The group `web` lets in nothing but TCP and UDP to port 8080.
struct World {
    switch: Switch,
    one: PortId,
    two: PortId,
    member: PortId,
    now: Instant,
}

fn port(eni: &str, mac: Mac, address: [u8; 4], vswitch: &str, kind: PortKind) -> Port {
    Port {
        eni_id: eni.to_owned(),
        mac,
        addresses: vec![address.into()],
        vswitch_id: vswitch.to_owned(),
        security_groups: vec!["open".to_owned()],
        kind,
    }
}

fn direct() -> PortKind {
    PortKind::Direct {
        netns: "/nowhere".into(),
        ifname: None,
    }
}

fn accept(protocol: Protocol, ports: &str) -> Rule {
    let ports = ports.parse().unwrap();
    Rule {
        policy: Policy::Accept,
        priority: 1,
        protocol,
        ports,
        cidr: None,
        group: None,
    }
}

fn group(id: &str, ingress: Vec<Rule>) -> SecurityGroup {
    SecurityGroup {
        id: id.to_owned(),
        vpc: "vpc".to_owned(),
        kind: Default::default(),
        inner_access_policy: Policy::Drop,
        ingress,
        egress: Vec::new(),
        max_addresses: None,
    }
}

impl World {
    fn new() -> Self {
        Self::with(FabricOptions::default())
    }

    fn with(options: FabricOptions) -> Self {
        let mut switch = Switch::new(options);
        let net = |id: &str, cidr: &str| VSwitchNet {
            id: id.to_owned(),
            cidr: cidr.parse().unwrap(),
        };
        switch.set_topology(
            vec![net("a", "10.0.0.0/24"), net("b", "10.0.16.0/22")],
            vec![
                group("open", vec![accept(Protocol::All, "0-65535")]),
                group(
                    "web",
                    vec![accept(Protocol::Tcp, "8080"), accept(Protocol::Udp, "8080")],
                ),
            ],
        );
        let one = switch.plug(&port("eni-1", ONE_MAC, ONE, "a", direct())).unwrap();
        let two = switch.plug(&port("eni-2", TWO_MAC, TWO, "b", direct())).unwrap();
        let kind = PortKind::Member {
            trunk: "eni-1".to_owned(),
            vlan: VLAN,
        };
        let member = switch
            .plug(&port("eni-m", MEMBER_MAC, MEMBER, "b", kind))
            .unwrap();
        Self {
            switch,
            one,
            two,
            member,
            now: Instant::now(),
        }
    }

    /// Sends a frame into a NIC, counts it, and returns its delivery or the reason of its drop.
    fn send(&mut self, ingress: PortId, frame: &[u8]) -> Result<Delivered, Reason> {
        let decision = self.switch.switch(self.now, ingress, frame);
        self.switch.count(&decision, frame.len(), Ok(()));
        match decision.verdict {
            Verdict::Forward { to, header, payload } => Ok(Delivered {
                to,
                frame: [header.as_bytes(), payload].concat(),
            }),
            Verdict::Answer { header, payload } => Ok(Delivered {
                to: decision.from,
                frame: [header.as_bytes(), &payload].concat(),
            }),
            Verdict::Drop(Dropped { reason, .. }) => Err(reason),
        }
    }

    fn one_says(&mut self, packet: &Packet) -> Result<Delivered, Reason> {
        self.send(self.one, &packet.from(ONE_MAC, None))
    }

    fn two_says(&mut self, packet: &Packet) -> Result<Delivered, Reason> {
        self.send(self.two, &packet.from(TWO_MAC, None))
    }

    fn member_says(&mut self, packet: &Packet) -> Result<Delivered, Reason> {
        self.send(self.one, &packet.from(ONE_MAC, Some(VLAN)))
    }

    fn set_groups(&mut self, eni: &str, address: [u8; 4], groups: &[&str]) {
        let groups = groups.iter().map(|id| id.to_string()).collect();
        self.switch.update(eni, vec![address.into()], groups).unwrap();
    }

    fn counters(&self) -> Counters {
        self.switch.counters(|_| None)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Delivered {
    to: PortId,
    frame: Vec<u8>,
}

fn udp(src: [u8; 4], dst: [u8; 4]) -> Packet {
    Packet::udp((src, 4000), (dst, 8080))
}

#[test]
fn a_packet_reaches_the_owner_of_its_address_unchanged_from_the_gateway() {
    let mut world = World::new();
    let packet = udp(ONE, TWO);
    let frame = framed(TWO_MAC, GATEWAY_MAC, None, ETHERTYPE_IPV4, &packet.bytes());
    assert_eq!(world.one_says(&packet), Ok(Delivered { to: world.two, frame }));
    let counters = world.counters();
    assert_eq!((counters.received, counters.forwarded), (1, 1));
    assert_eq!(counters.enis["eni-1"].sent, 1);
    assert_eq!(counters.enis["eni-2"].delivered_bytes, 46);
}

#[test]
fn a_member_is_reached_by_its_tag_and_its_trunks_mac() {
    let mut world = World::new();
    let packet = udp(TWO, MEMBER);
    let frame = framed(ONE_MAC, GATEWAY_MAC, Some(VLAN), ETHERTYPE_IPV4, &packet.bytes());
    assert_eq!(
        world.two_says(&packet),
        Ok(Delivered {
            to: world.member,
            frame
        })
    );
    assert_eq!(
        world.member_says(&udp(MEMBER, TWO)).map(|delivered| delivered.to),
        Ok(world.two)
    );
}

#[test]
fn the_gateway_answers_arp_for_all_but_the_askers_own_address() {
    let mut world = World::new();
    for target in [[10, 0, 0, 253], [10, 0, 0, 77], TWO, [8, 8, 8, 8]] {
        let answer = world
            .send(world.one, &arp_request(ONE_MAC, None, ONE, target))
            .unwrap();
        let body = crate::fabric::wire::arp::write(2, (GATEWAY_MAC, target.into()), (ONE_MAC, ONE.into()));
        assert_eq!(
            answer.frame,
            framed(ONE_MAC, GATEWAY_MAC, None, ETHERTYPE_ARP, &body)
        );
    }
    // A probe for the own address, an announcement of the own address, and an unrequested reply.
    assert_eq!(
        world.send(world.one, &arp_request(ONE_MAC, None, [0; 4], ONE)),
        Err(Reason::OwnArp)
    );
    assert_eq!(
        world.send(world.one, &arp_request(ONE_MAC, None, ONE, ONE)),
        Err(Reason::OwnArp)
    );
    let body = crate::fabric::wire::arp::write(2, (ONE_MAC, ONE.into()), (GATEWAY_MAC, TWO.into()));
    let reply = framed(GATEWAY_MAC, ONE_MAC, None, ETHERTYPE_ARP, &body);
    assert_eq!(world.send(world.one, &reply), Err(Reason::OwnArp));
    assert_eq!(world.counters().answered, 4);
}

#[test]
fn a_members_arp_is_answered_with_its_tag() {
    let mut world = World::new();
    let asked = arp_request(ONE_MAC, Some(VLAN), MEMBER, [10, 0, 19, 253]);
    let answer = world.send(world.one, &asked).unwrap();
    let answer = Ethernet::parse(&answer.frame).unwrap();
    assert_eq!((answer.dst, answer.vlan), (ONE_MAC, Some(VLAN)));
}

#[test]
fn the_gateway_answers_pings_of_its_own_subnet() {
    let mut world = World::new();
    let answer = world.one_says(&Packet::echo(8, ONE, [10, 0, 0, 253])).unwrap();
    assert_eq!(answer.to, world.one);
    assert!(
        answer
            .frame
            .ends_with(&Packet::echo(0, [10, 0, 0, 253], ONE).bytes())
    );
    assert_eq!(
        world.one_says(&Packet::echo(8, ONE, [10, 0, 19, 253])),
        Err(Reason::Gateway)
    );
    assert_eq!(world.one_says(&udp(ONE, [10, 0, 0, 253])), Err(Reason::Gateway));
}

#[test]
fn what_cannot_be_routed_is_dropped_with_its_reason() {
    let mut world = World::new();
    for (dst, reason) in [
        ([10, 96, 0, 1], Reason::NoRoute),
        ([169, 254, 1, 1], Reason::NoRoute),
        ([10, 0, 0, 77], Reason::NoOwner),
        ([224, 0, 0, 1], Reason::Broadcast),
        ([255; 4], Reason::Broadcast),
        (ONE, Reason::ToSelf),
    ] {
        assert_eq!(world.one_says(&udp(ONE, dst)), Err(reason), "{dst:?}");
        assert_eq!(
            world.counters().enis["eni-1"].dropped[&reason],
            world.counters().dropped[&reason]
        );
    }
}

#[test]
fn foreign_sources_are_dropped_unless_the_world_allows_them() {
    let stranger = [2, 0, 0, 0, 0, 9];
    let attempts = [
        (udp([10, 0, 0, 99], TWO).from(ONE_MAC, None), Reason::SpoofIp),
        (udp([169, 254, 0, 1], TWO).from(ONE_MAC, None), Reason::SpoofIp),
        (udp(MEMBER, TWO).from(ONE_MAC, None), Reason::SpoofIp),
        (udp(ONE, TWO).from(ONE_MAC, Some(VLAN)), Reason::SpoofIp),
        (udp(ONE, TWO).from(stranger, None), Reason::SpoofMac),
        (udp(MEMBER, TWO).from(MEMBER_MAC, Some(VLAN)), Reason::SpoofMac),
    ];
    let mut strict = World::new();
    let rules = FabricRules {
        spoof_drop: false,
        ..Default::default()
    };
    let mut lax = World::with(FabricOptions::new(rules));
    for (frame, reason) in &attempts {
        assert_eq!(strict.send(strict.one, frame), Err(*reason));
        assert!(lax.send(lax.one, frame).is_ok());
    }
}

#[test]
fn with_own_macs_a_member_is_reached_by_its_own_and_may_use_either() {
    let rules = FabricRules {
        member_mac: MemberMac::Member,
        ..Default::default()
    };
    let mut world = World::with(FabricOptions::new(rules));
    let delivered = world.two_says(&udp(TWO, MEMBER)).unwrap();
    assert_eq!(delivered.frame[..6], MEMBER_MAC);
    for mac in [MEMBER_MAC, ONE_MAC] {
        assert!(
            world
                .send(world.one, &udp(MEMBER, TWO).from(mac, Some(VLAN)))
                .is_ok()
        );
    }
    assert!(
        world
            .send(world.one, &udp(MEMBER, TWO).from(TWO_MAC, Some(VLAN)))
            .is_err()
    );
}

#[test]
fn a_trunk_and_its_members_meet_only_where_the_world_allows_it() {
    for allowed in [true, false] {
        let rules = FabricRules {
            trunk_hairpin: allowed,
            ..Default::default()
        };
        let mut world = World::with(FabricOptions::new(rules));
        for verdict in [
            world.member_says(&udp(MEMBER, ONE)),
            world.one_says(&udp(ONE, MEMBER)),
        ] {
            assert_eq!(verdict.is_ok(), allowed);
        }
    }
}

#[test]
fn only_ipv4_to_the_gateways_mac_is_carried() {
    let mut world = World::new();
    let packet = udp(ONE, TWO).bytes();
    let big = Packet {
        body: vec![0; 1481],
        ..Packet::udp((ONE, 1), (TWO, 2))
    };
    for (frame, reason) in [
        (vec![0; 13], Reason::Malformed),
        (
            framed(GATEWAY_MAC, ONE_MAC, None, 0x86dd, &packet),
            Reason::NotIpv4,
        ),
        (
            framed([0xff; 6], ONE_MAC, None, ETHERTYPE_IPV4, &packet),
            Reason::Broadcast,
        ),
        (
            framed(TWO_MAC, ONE_MAC, None, ETHERTYPE_IPV4, &packet),
            Reason::WrongMac,
        ),
        (
            framed(GATEWAY_MAC, ONE_MAC, None, ETHERTYPE_IPV4, &packet[..30]),
            Reason::Malformed,
        ),
        (
            framed(GATEWAY_MAC, ONE_MAC, Some(7), ETHERTYPE_IPV4, &packet),
            Reason::UnknownVlan,
        ),
        (big.from(ONE_MAC, None), Reason::Mtu),
    ] {
        assert_eq!(world.send(world.one, &frame), Err(reason));
    }
    // A NIC without members drops every tagged frame.
    let tagged = framed(GATEWAY_MAC, TWO_MAC, Some(VLAN), ETHERTYPE_IPV4, &packet);
    assert_eq!(world.send(world.two, &tagged), Err(Reason::UnknownVlan));
}

#[test]
fn later_fragments_share_the_fate_of_the_first() {
    let mut world = World::new();
    world.set_groups("eni-2", TWO, &["web"]);
    let part = |port, id, offset, more| {
        let first = Packet::udp((ONE, 4000), (TWO, port));
        Packet {
            id,
            offset,
            more,
            ..first
        }
    };
    assert_eq!(world.one_says(&part(8080, 7, 185, true)), Err(Reason::Fragment));
    assert!(world.one_says(&part(8080, 7, 0, true)).is_ok());
    // A later fragment has payload where the first one has ports, so these bytes decide nothing.
    assert!(world.one_says(&part(9999, 7, 185, true)).is_ok());
    assert!(world.one_says(&part(9999, 7, 370, false)).is_ok());
    assert_eq!(world.one_says(&part(9999, 7, 370, false)), Err(Reason::Fragment));

    assert_eq!(world.one_says(&part(9999, 8, 0, true)), Err(Reason::SgIngress));
    assert_eq!(world.one_says(&part(8080, 8, 185, true)), Err(Reason::SgIngress));
    world.now += std::time::Duration::from_secs(31);
    assert_eq!(world.one_says(&part(8080, 8, 185, true)), Err(Reason::Fragment));
}

#[test]
fn a_failed_write_counts_as_a_drop_at_the_receiver() {
    let mut world = World::new();
    let frame = udp(ONE, TWO).from(ONE_MAC, None);
    let decision = world.switch.switch(world.now, world.one, &frame);
    world.switch.count(&decision, frame.len(), Err(Reason::LinkDown));
    let counters = world.counters();
    assert_eq!((counters.forwarded, counters.dropped[&Reason::LinkDown]), (0, 1));
    assert_eq!(counters.enis["eni-2"].dropped[&Reason::LinkDown], 1);
}
