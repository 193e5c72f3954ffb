//! Entries for tests of arbitrary input: bytes are read as the kernel's answers.

use netlink_packet_core::{NetlinkDeserializable as _, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use terway_address::Family;
use terway_node_core::program::Program;

use super::netlink::{End, Protocol as _, Raw, packets};
use super::{address, dead_end, filter, forward, link, marks, neighbour, route, rule};

/// Reads a datagram of rtnetlink: links, addresses, neighbours, rules, routes, filters.
pub fn route_answers(bytes: &[u8]) {
    for message in objects(bytes) {
        let (kind, body) = (message.header.message_type, &message.body);
        let _ = link::shown::parse(&message);
        let _ = RouteNetlinkMessage::is_anothers(kind, body);
        if let Ok(object) = RouteNetlinkMessage::deserialize(&message.header, body) {
            read(&object);
        }
    }
}

fn read(object: &RouteNetlinkMessage) {
    match object {
        RouteNetlinkMessage::NewAddress(message) => {
            let _ = address::parse(message);
        }
        RouteNetlinkMessage::NewNeighbour(message) => {
            let _ = neighbour::parse(message);
        }
        RouteNetlinkMessage::NewRule(message) => {
            let _ = [Family::V4, Family::V6].map(|family| rule::parse(message, family));
        }
        RouteNetlinkMessage::NewRoute(message) => {
            let _ = [Family::V4, Family::V6].map(|family| route::parse(message, family));
            let _ = [Family::V4, Family::V6].map(|family| dead_end::parse(message, family));
        }
        RouteNetlinkMessage::NewTrafficFilter(message) => {
            let _ = Program::ALL.map(|program| filter::program_id(message, program));
        }
        _ => {}
    }
}

/// Reads a datagram of nf_tables.
pub fn nf_tables_answers(bytes: &[u8]) {
    for message in objects(bytes) {
        let _ = forward::parse(&message);
        let _ = marks::table::comment(&message);
    }
}

/// The objects of a datagram. Ends are read too.
fn objects(bytes: &[u8]) -> Vec<Raw> {
    let mut objects = Vec::new();
    for packet in packets(bytes).flatten() {
        let _ = End::of(&packet).map(|end| end.into_result("read").is_ok());
        if let NetlinkPayload::InnerMessage(message) = packet.payload {
            objects.push(message);
        }
    }
    objects
}
