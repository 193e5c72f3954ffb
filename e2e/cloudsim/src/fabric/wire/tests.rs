//! Headers against bytes written down by hand, and against garbage.

use proptest::prelude::*;

use super::{
    arp::Arp,
    checksum,
    ethernet::Ethernet,
    icmp::echo_answer,
    ipv4::Ipv4,
    transport::{Signal, classify},
};
use crate::fabric::frames::Packet;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

#[test]
fn the_checksum_is_that_of_rfc_1071() {
    assert_eq!(
        checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
        !0xddf2
    );
    assert_eq!(checksum(&[0x01]), !0x0100);
    assert_eq!(checksum(&[]), 0xffff);
}

#[test]
fn a_tagged_frame_is_read_behind_its_tag() {
    let mut frame = vec![
        1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 0x81, 0x00, 0x60, 0x2a, 0x08, 0x00,
    ];
    frame.extend(b"payload");
    let ethernet = Ethernet::parse(&frame).unwrap();
    assert_eq!((ethernet.vlan, ethernet.ethertype), (Some(42), 0x0800));
    assert_eq!(ethernet.payload, b"payload");
    assert!(ethernet.is_group());
    assert_eq!(Ethernet::parse(&frame[..17]), None);
}

#[test]
fn padding_behind_a_short_packet_is_cut_off() {
    let packet = Packet::udp((A, 1), (B, 2));
    let mut padded = packet.bytes();
    padded.resize(60, 0);
    assert_eq!(Ipv4::parse(&padded).unwrap().packet, packet.bytes());
}

#[test]
fn a_broken_header_is_no_packet() {
    let good = Packet::udp((A, 1), (B, 2)).bytes();
    assert!(Ipv4::parse(&good).is_some());
    for (place, value) in [(0, 0x65), (0, 0x44), (2, 0xff), (10, !good[10])] {
        let mut bad = good.clone();
        bad[place] = value;
        assert_eq!(Ipv4::parse(&bad), None, "byte {place}");
    }
    assert_eq!(Ipv4::parse(&good[..19]), None);
}

#[test]
fn the_gateway_answers_an_echo_request_and_nothing_else() {
    let request = Packet::echo(8, A, B).bytes();
    let answer = echo_answer(&Ipv4::parse(&request).unwrap()).unwrap();
    assert_eq!(answer, Packet::echo(0, B, A).bytes());
    let mut spoiled = Packet::echo(8, A, B);
    spoiled.body[7] ^= 1;
    for other in [Packet::echo(0, A, B), spoiled, Packet::udp((A, 1), (B, 2))] {
        assert_eq!(echo_answer(&Ipv4::parse(&other.bytes()).unwrap()), None);
    }
}

#[test]
fn an_icmp_error_belongs_to_the_flow_it_quotes() {
    let sent = Packet::udp((A, 4000), (B, 53));
    let error = Packet::unreachable(B, A, &sent).bytes();
    let (_, signal) = classify(&Ipv4::parse(&error).unwrap()).unwrap();
    let (flow, _) = classify(&Ipv4::parse(&sent.bytes()).unwrap()).unwrap();
    assert_eq!(signal, Signal::Error(flow));
}

#[test]
fn a_transport_header_that_is_cut_short_has_no_flow() {
    for (mut packet, needed) in [
        (Packet::udp((A, 1), (B, 2)), 8),
        (Packet::tcp((A, 1), (B, 2), 2), 14),
        (Packet::echo(8, A, B), 8),
    ] {
        packet.body.truncate(needed);
        assert!(classify(&Ipv4::parse(&packet.bytes()).unwrap()).is_some());
        packet.body.truncate(needed - 1);
        assert!(classify(&Ipv4::parse(&packet.bytes()).unwrap()).is_none());
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Ethernet::parse(&bytes);
        let _ = Arp::parse(&bytes);
        if let Some(packet) = Ipv4::parse(&bytes).or_else(|| Ipv4::parse_quoted(&bytes)) {
            let _ = classify(&packet);
            let _ = echo_answer(&packet);
        }
    }
}
