//! Frames as the tests write and read them.

use std::net::Ipv4Addr;

/// The parts of a frame that tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub destination: [u8; 6],
    pub source: [u8; 6],
    pub vlan: Option<u16>,
    pub ethertype: u16,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let tagged = word(12) == 0x8100;
        let at = if tagged { 16 } else { 12 };
        Self {
            destination: bytes[..6].try_into().unwrap(),
            source: bytes[6..12].try_into().unwrap(),
            vlan: tagged.then(|| word(14) & 0xfff),
            ethertype: word(at),
            payload: bytes[at + 2..].to_vec(),
        }
    }

    /// Source and destination of an IPv4 packet.
    pub fn ipv4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        if self.ethertype != 0x0800 || self.payload.len() < 20 {
            return None;
        }
        let ip = |at: usize| {
            <[u8; 4]>::try_from(&self.payload[at..at + 4])
                .map(Ipv4Addr::from)
                .unwrap()
        };
        Some((ip(12), ip(16)))
    }

    pub fn is_udp_from(&self, source: Ipv4Addr) -> bool {
        self.ipv4().is_some_and(|(from, _)| from == source) && self.payload[9] == 17
    }

    /// Where a UDP datagram comes from.
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.payload[20], self.payload[21]])
    }

    /// What a UDP datagram carries.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload[28..]).into_owned()
    }
}

/// An Ethernet header, tagged or not, and what follows.
pub fn ethernet(to: [u8; 6], from: [u8; 6], vlan: Option<u16>, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [to, from].concat();
    if let Some(id) = vlan {
        bytes.extend(0x8100_u16.to_be_bytes());
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IPv4 packet with a UDP datagram.
pub fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), text: &str) -> Vec<u8> {
    let length = (28 + text.len()) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend(length.to_be_bytes());
    ip.extend([0, 1, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(from.0.octets());
    ip.extend(to.0.octets());
    let sum: u32 = ip
        .chunks(2)
        .map(|c| u32::from(u16::from_be_bytes([c[0], c[1]])))
        .sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip.extend(from.1.to_be_bytes());
    ip.extend(to.1.to_be_bytes());
    ip.extend((length - 20).to_be_bytes());
    ip.extend([0, 0]); // no checksum
    ip.extend(text.as_bytes());
    ip
}

/// The payload of an ARP request.
pub fn arp_request(mac: [u8; 6], ip: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
    bytes.extend(mac);
    bytes.extend(ip.octets());
    bytes.extend([0; 6]);
    bytes.extend(target.octets());
    bytes
}

/// The answer to an ARP request, in the name of `mac`.
pub fn arp_answer(request: &[u8], mac: [u8; 6]) -> Option<Vec<u8>> {
    let frame = Frame::parse(request);
    let body = &frame.payload;
    if frame.ethertype != 0x0806 || body.len() < 28 || body[6..8] != [0, 1] {
        return None;
    }
    let mut answer = vec![0, 1, 8, 0, 6, 4, 0, 2];
    answer.extend(mac);
    answer.extend(&body[24..28]);
    answer.extend(&body[8..18]);
    Some(ethernet(frame.source, mac, frame.vlan, 0x0806, &answer))
}
