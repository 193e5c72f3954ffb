//! The flow of a packet, and the packet's effect on the flow's session.

use std::net::Ipv4Addr;

use super::{
    be16,
    ipv4::{ICMP, Ipv4, TCP, UDP},
};

/// Addresses, ports and protocol of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    pub protocol: u8,
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    /// The source port; the identifier of an ICMP query; zero for protocols without ports.
    pub src_port: u16,
    /// As `src_port`.
    pub dst_port: u16,
}

/// A flow as one of its two ENIs sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalFlow {
    pub protocol: u8,
    pub local: Ipv4Addr,
    pub remote: Ipv4Addr,
    pub local_port: u16,
    pub remote_port: u16,
}

impl Flow {
    pub fn seen_by_sender(&self) -> LocalFlow {
        LocalFlow {
            protocol: self.protocol,
            local: self.src,
            remote: self.dst,
            local_port: self.src_port,
            remote_port: self.dst_port,
        }
    }

    pub fn seen_by_receiver(&self) -> LocalFlow {
        LocalFlow {
            protocol: self.protocol,
            local: self.dst,
            remote: self.src,
            local_port: self.dst_port,
            remote_port: self.src_port,
        }
    }
}

/// The effect of a packet on the session of its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The flow goes on.
    Data,
    /// A TCP connection begins (again).
    Open,
    /// One side of a TCP connection has sent its FIN.
    Finish,
    /// A TCP connection is reset.
    Reset,
    /// An ICMP error about the quoted flow, in the direction of the quoted packet.
    Error(Flow),
}

/// Reads the flow of a packet or of a first fragment; `None` when its transport header is cut short.
pub fn classify(packet: &Ipv4<'_>) -> Option<(Flow, Signal)> {
    match packet.protocol {
        TCP => {
            let flags = *packet.payload.get(13)?;
            Some((with_ports(packet)?, tcp_signal(flags)))
        }
        UDP => {
            packet.payload.get(7)?;
            Some((with_ports(packet)?, Signal::Data))
        }
        ICMP => icmp(packet),
        _ => Some((flow(packet, 0, 0), Signal::Data)),
    }
}

fn tcp_signal(flags: u8) -> Signal {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    if flags & RST != 0 {
        Signal::Reset
    } else if flags & (SYN | ACK) == SYN {
        Signal::Open
    } else if flags & FIN != 0 {
        Signal::Finish
    } else {
        Signal::Data
    }
}

fn icmp(packet: &Ipv4<'_>) -> Option<(Flow, Signal)> {
    let identifier = be16(packet.payload, 4)?;
    packet.payload.get(7)?;
    match packet.payload[0] {
        // Unreachable, quench, redirect, time exceeded and parameter problem quote the packet that caused them.
        3 | 4 | 5 | 11 | 12 => {
            let signal = Ipv4::parse_quoted(&packet.payload[8..])
                .and_then(|quoted| quoted_flow(&quoted))
                .map_or(Signal::Data, Signal::Error);
            Some((flow(packet, 0, 0), signal))
        }
        // In echo, timestamp, information and address mask messages, request and reply have the same identifier.
        0 | 8 | 13..=18 => Some((flow(packet, identifier, identifier), Signal::Data)),
        _ => Some((flow(packet, 0, 0), Signal::Data)),
    }
}

/// The flow of a quoted packet. Eight bytes after its header are always present (RFC 792).
fn quoted_flow(quoted: &Ipv4<'_>) -> Option<Flow> {
    match quoted.protocol {
        _ if quoted.offset != 0 => None,
        TCP | UDP => with_ports(quoted),
        ICMP => {
            let identifier = be16(quoted.payload, 4)?;
            Some(flow(quoted, identifier, identifier))
        }
        _ => Some(flow(quoted, 0, 0)),
    }
}

fn with_ports(packet: &Ipv4<'_>) -> Option<Flow> {
    Some(flow(packet, be16(packet.payload, 0)?, be16(packet.payload, 2)?))
}

fn flow(packet: &Ipv4<'_>, src_port: u16, dst_port: u16) -> Flow {
    Flow {
        protocol: packet.protocol,
        src: packet.src,
        dst: packet.dst,
        src_port,
        dst_port,
    }
}
