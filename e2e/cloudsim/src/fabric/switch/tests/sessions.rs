//! Sessions: a flow that was allowed to begin goes on in both directions until it expires.

use std::time::Duration;

use super::*;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;

/// `eni-1` lets nothing in but port 8080; `eni-2` lets in everything.
fn guarded() -> World {
    let mut world = World::new();
    world.set_groups("eni-1", ONE, &["web"]);
    world
}

fn ask() -> Packet {
    Packet::udp((ONE, 4000), (TWO, 53))
}

fn reply() -> Packet {
    Packet::udp((TWO, 53), (ONE, 4000))
}

#[test]
fn a_reply_passes_and_the_same_packet_without_a_question_does_not() {
    let mut world = guarded();
    assert_eq!(world.two_says(&reply()), Err(Reason::SgIngress));
    assert_eq!(world.counters().enis["eni-1"].dropped[&Reason::SgIngress], 1);
    assert!(world.one_says(&ask()).is_ok());
    assert!(world.two_says(&reply()).is_ok());
    let other = Packet::udp((TWO, 53), (ONE, 4001));
    assert_eq!(world.two_says(&other), Err(Reason::SgIngress));
}

#[test]
fn a_session_ends_910_seconds_after_its_last_packet() {
    let mut world = guarded();
    world.one_says(&ask()).unwrap();
    world.now += Duration::from_secs(909);
    assert!(world.two_says(&reply()).is_ok());
    world.now += Duration::from_secs(909);
    assert!(world.two_says(&reply()).is_ok());
    world.now += Duration::from_secs(910);
    assert_eq!(world.two_says(&reply()), Err(Reason::SgIngress));
    world.switch.expire(world.now);
    // The remaining session is the egress session that the refused packet opened at its sender.
    assert_eq!(world.counters().sessions, 1);
}

#[test]
fn an_icmp_error_passes_with_the_session_it_is_about() {
    let mut world = guarded();
    let error = Packet::unreachable(TWO, ONE, &ask());
    assert_eq!(world.two_says(&error), Err(Reason::SgIngress));
    world.one_says(&ask()).unwrap();
    assert!(world.two_says(&error).is_ok());
    let about_another = Packet::unreachable(TWO, ONE, &Packet::udp((ONE, 4001), (TWO, 53)));
    assert_eq!(world.two_says(&about_another), Err(Reason::SgIngress));
    // An ICMP error opens no session.
    assert_eq!(world.counters().sessions, 2);
}

#[test]
fn an_icmp_error_leaves_by_the_session_it_is_about() {
    let mut world = World::new();
    world.switch.set_topology(
        world.switch.vswitches.values().cloned().collect(),
        vec![
            group("open", vec![accept(Protocol::All, "0-65535")]),
            SecurityGroup {
                kind: crate::world::security_group::GroupKind::Enterprise,
                ..group("silent", vec![accept(Protocol::All, "0-65535")])
            },
        ],
    );
    world.set_groups("eni-2", TWO, &["silent"]);
    let error = Packet::unreachable(TWO, ONE, &ask());
    assert_eq!(world.two_says(&error), Err(Reason::SgEgress));
    world.one_says(&ask()).unwrap();
    assert!(world.two_says(&error).is_ok());
}

#[test]
fn a_ping_is_answered_through_its_session() {
    let mut world = guarded();
    let (request, answer) = (Packet::echo(8, ONE, TWO), Packet::echo(0, TWO, ONE));
    assert_eq!(world.two_says(&answer), Err(Reason::SgIngress));
    world.one_says(&request).unwrap();
    assert!(world.two_says(&answer).is_ok());
}

#[test]
fn a_change_that_still_allows_a_session_leaves_it_alone() {
    let mut world = guarded();
    world.one_says(&ask()).unwrap();
    world.set_groups("eni-1", ONE, &["web", "unknown"]);
    world.set_groups("eni-2", TWO, &["open", "web"]);
    assert!(world.two_says(&reply()).is_ok());
}

/// The server still sends answers for a while. They may leave, because all egress is allowed, but they must not open
/// the connection again from inside.
#[test]
fn a_change_that_forbids_a_session_cuts_it_for_good() {
    let mut world = World::new();
    let inbound = Packet::tcp((ONE, 4000), (TWO, 22), ACK);
    let outbound = Packet::tcp((TWO, 22), (ONE, 4000), ACK);
    world.one_says(&Packet::tcp((ONE, 4000), (TWO, 22), SYN)).unwrap();
    world.two_says(&outbound).unwrap();
    world.set_groups("eni-2", TWO, &["web"]);
    for _ in 0..3 {
        assert_eq!(world.one_says(&inbound), Err(Reason::SgIngress));
        assert!(world.two_says(&outbound).is_ok());
    }
    // The rules allow the connection again, and TCP still retransmits.
    world.set_groups("eni-2", TWO, &["open"]);
    assert!(world.one_says(&inbound).is_ok());
}

#[test]
fn a_closed_connection_is_forgotten_soon_and_may_be_opened_again() {
    let mut world = guarded();
    let from_one = |flags| Packet::tcp((ONE, 4000), (TWO, 80), flags);
    let from_two = |flags| Packet::tcp((TWO, 80), (ONE, 4000), flags);
    world.one_says(&from_one(SYN)).unwrap();
    world.two_says(&from_two(SYN | ACK)).unwrap();
    world.one_says(&from_one(FIN | ACK)).unwrap();
    world.now += Duration::from_secs(60);
    // The connection is half closed. The other side may still send.
    world.two_says(&from_two(ACK)).unwrap();
    world.two_says(&from_two(FIN | ACK)).unwrap();
    world.now += Duration::from_secs(9);
    world.two_says(&from_two(ACK)).unwrap();
    world.one_says(&from_one(SYN)).unwrap();
    world.now += Duration::from_secs(60);
    world.two_says(&from_two(SYN | ACK)).unwrap();
    world.two_says(&from_two(RST)).unwrap();
    world.now += Duration::from_secs(11);
    assert_eq!(world.two_says(&from_two(ACK)), Err(Reason::SgIngress));
}

#[test]
fn sessions_do_not_outlive_their_eni() {
    let mut world = guarded();
    world.one_says(&ask()).unwrap();
    world.switch.unplug("eni-1");
    let mut back = port("eni-1", ONE_MAC, ONE, "a", direct());
    back.security_groups = vec!["web".to_owned()];
    world.one = world.switch.plug(&back).unwrap();
    assert_eq!(world.two_says(&reply()), Err(Reason::SgIngress));
}

#[test]
fn a_full_table_refuses_new_sessions_and_keeps_the_old() {
    let mut world = World::with(FabricOptions {
        session_limit: 2,
        ..Default::default()
    });
    world.one_says(&ask()).unwrap();
    assert_eq!(
        world.one_says(&Packet::udp((ONE, 4001), (TWO, 53))),
        Err(Reason::SessionTable)
    );
    assert!(world.two_says(&reply()).is_ok());
    world.now += Duration::from_secs(910);
    assert!(world.one_says(&Packet::udp((ONE, 4001), (TWO, 53))).is_ok());
}
