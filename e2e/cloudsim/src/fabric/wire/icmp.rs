//! The ping answer of the gateway.

use super::{
    checksum,
    ipv4::{ICMP, Ipv4},
};

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// The packet that answers `packet`. Returns `None` unless `packet` is an intact, unfragmented echo request.
pub fn echo_answer(packet: &Ipv4<'_>) -> Option<Vec<u8>> {
    let request = packet.protocol == ICMP
        && !packet.is_fragment()
        && packet.payload.len() >= 8
        && packet.payload[0] == ECHO_REQUEST
        && checksum(packet.payload) == 0;
    if !request {
        return None;
    }
    let mut answer = packet.packet.to_vec();
    let header_length = answer.len() - packet.payload.len();
    answer[8] = 64; // a fresh TTL
    answer[12..16].copy_from_slice(&packet.dst.octets());
    answer[16..20].copy_from_slice(&packet.src.octets());
    seal(&mut answer[..header_length], 10);
    answer[header_length] = ECHO_REPLY;
    seal(&mut answer[header_length..], 2);
    Some(answer)
}

/// Writes the checksum of `bytes` at `at`.
fn seal(bytes: &mut [u8], at: usize) {
    bytes[at..at + 2].fill(0);
    let sum = checksum(bytes);
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
