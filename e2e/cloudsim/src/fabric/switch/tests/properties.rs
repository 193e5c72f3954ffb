//! Properties of every frame, valid or not.

use proptest::prelude::*;

use super::*;
use crate::fabric::wire::ipv4::{ICMP, TCP, UDP};

/// Frames that are almost valid. Every field is often valid, so that the other fields decide.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let address = || {
        prop_oneof![
            Just(ONE),
            Just(TWO),
            Just(MEMBER),
            Just([10, 0, 0, 253]),
            Just([10, 0, 0, 77]),
            Just([10, 96, 0, 1]),
            Just([224, 0, 0, 251]),
            any::<[u8; 4]>(),
        ]
    };
    let mac = || prop_oneof![4 => Just(GATEWAY_MAC), 4 => Just(ONE_MAC), 2 => Just(TWO_MAC), 1 => Just(MEMBER_MAC), 1 => any::<Mac>()];
    let ethertype = prop_oneof![6 => Just(ETHERTYPE_IPV4), 1 => Just(ETHERTYPE_ARP), 1 => Just(0x86dd), 1 => any::<u16>()];
    let vlan = prop_oneof![Just(None), Just(Some(VLAN)), (0u16..4096).prop_map(Some)];
    let protocol = prop_oneof![Just(TCP), Just(UDP), Just(ICMP), any::<u8>()];
    let offset = prop_oneof![3 => Just(0), 1 => Just(185), 1 => 0u16..8192];
    let body = proptest::collection::vec(any::<u8>(), 0..80);
    let header = (mac(), mac(), vlan, ethertype);
    let packet = (
        address(),
        address(),
        protocol,
        0u16..4,
        any::<bool>(),
        offset,
        body,
    );
    (header, packet, any::<bool>(), 0usize..140).prop_map(|(header, packet, whole, length)| {
        let (dst_mac, src_mac, vlan, ethertype) = header;
        let (src, dst, protocol, id, more, offset, body) = packet;
        let packet = Packet {
            src: src.into(),
            dst: dst.into(),
            protocol,
            id,
            more,
            offset,
            body,
        };
        let mut frame = framed(dst_mac, src_mac, vlan, ethertype, &packet.bytes());
        if !whole {
            frame.truncate(length);
        }
        frame
    })
}

fn worlds() -> impl Strategy<Value = FabricOptions> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(spoof_drop, trunk_hairpin, own)| {
        let member_mac = if own { MemberMac::Member } else { MemberMac::Trunk };
        FabricOptions::new(FabricRules {
            spoof_drop,
            trunk_hairpin,
            member_mac,
        })
    })
}

proptest! {
    #[test]
    fn garbage_has_one_outcome(frames in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..100)), 1..20)) {
        let mut world = World::new();
        for (first, frame) in &frames {
            let ingress = if *first { world.one } else { world.two };
            let _ = world.send(ingress, frame);
        }
        prop_assert_eq!(balance(&world.counters()), frames.len() as u64);
    }

    /// Every frame is counted once, and what is delivered is the sender's own packet, unchanged,
    /// in a frame that is right for its receiver.
    #[test]
    fn frames_have_one_outcome_and_arrive_right(
        options in worlds(),
        frames in proptest::collection::vec((any::<bool>(), plausible()), 1..40),
    ) {
        let rules = options.rules.clone();
        let mut world = World::with(options);
        for (number, (first, frame)) in frames.iter().enumerate() {
            let ingress = if *first { world.one } else { world.two };
            let decision = world.switch.switch(world.now, ingress, frame);
            if let Verdict::Forward { to, header, payload } = &decision.verdict {
                check_delivery(&world, &rules, decision.from, *to, frame, (header, payload))?;
            }
            world.switch.count(&decision, frame.len(), Ok(()));
            prop_assert_eq!(balance(&world.counters()), number as u64 + 1);
        }
    }
}

fn check_delivery(
    world: &World,
    rules: &FabricRules,
    from: PortId,
    to: PortId,
    sent: &[u8],
    (header, payload): (&LinkHeader, &[u8]),
) -> Result<(), TestCaseError> {
    let sent = Ethernet::parse(sent).unwrap();
    let packet = Ipv4::parse(sent.payload).unwrap();
    let [sender, receiver] = [from, to].map(|id| world.switch.ports().get(id).unwrap());
    prop_assert_eq!(payload, packet.packet);
    prop_assert!(receiver.addresses.contains(&packet.dst));
    if rules.spoof_drop {
        prop_assert!(sender.addresses.contains(&packet.src));
    }
    if !rules.trunk_hairpin {
        prop_assert_ne!(
            world.switch.ports().carrier(from),
            world.switch.ports().carrier(to)
        );
    }
    let mac = if to == world.two {
        TWO_MAC
    } else if to == world.member && rules.member_mac == MemberMac::Member {
        MEMBER_MAC
    } else {
        ONE_MAC
    };
    let vlan = (to == world.member).then_some(VLAN);
    prop_assert_eq!(*header, LinkHeader::new(mac, GATEWAY_MAC, vlan, ETHERTYPE_IPV4));
    Ok(())
}

/// The number of all counted frames. The counters of the ENIs must agree with the totals.
fn balance(counters: &Counters) -> u64 {
    let dropped: u64 = counters.dropped.values().sum();
    let at_enis: u64 = counters.enis.values().flat_map(|eni| eni.dropped.values()).sum();
    assert_eq!(dropped, at_enis);
    let delivered: u64 = counters.enis.values().map(|eni| eni.delivered).sum();
    assert_eq!(delivered, counters.forwarded + counters.answered);
    let sent: u64 = counters.enis.values().map(|eni| eni.sent).sum();
    assert_eq!(sent, counters.received);
    counters.forwarded + counters.answered + dropped
}
