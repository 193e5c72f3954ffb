//! What a pod may send: IPv4 and ARP in its own name, so that no pod can borrow another's
//! security groups.

use aya_ebpf::programs::TcContext;
use terway_ebpf_abi::{Counter, InterfaceAddress};

use crate::{
    Verdict,
    frame::{self, Protocol, Truncated},
    maps,
};

/// Checks a frame that a pod has sent into its host veth.
#[inline(always)]
pub fn check(ctx: &TcContext) -> Verdict {
    if frame::is_tagged(ctx) {
        return Verdict::Drop(Counter::SourceProtocol);
    }
    match objection(ctx) {
        Ok(None) => Verdict::Ignore,
        Ok(Some(reason)) => Verdict::Drop(reason),
        Err(Truncated) => Verdict::Drop(Counter::SourceTruncated),
    }
}

#[inline(always)]
fn objection(ctx: &TcContext) -> Result<Option<Counter>, Truncated> {
    match frame::protocol(ctx)? {
        Protocol::Ipv4 => ipv4(ctx),
        Protocol::Arp => arp(ctx),
        Protocol::Other => Ok(Some(Counter::SourceProtocol)),
    }
}

#[inline(always)]
fn ipv4(ctx: &TcContext) -> Result<Option<Counter>, Truncated> {
    let key = InterfaceAddress::ipv4(frame::ifindex(ctx), frame::ipv4_source(ctx)?);
    Ok(match maps::hardware_of(&key) {
        None => Some(Counter::SourceAddress),
        Some(mac) if mac != frame::source_mac(ctx)? => Some(Counter::SourceMac),
        Some(_) => None,
    })
}

#[inline(always)]
fn arp(ctx: &TcContext) -> Result<Option<Counter>, Truncated> {
    let key = InterfaceAddress::ipv4(frame::ifindex(ctx), frame::arp_sender_ipv4(ctx)?);
    let Some(mac) = maps::hardware_of(&key) else {
        return Ok(Some(Counter::SourceArp));
    };
    // The sender named inside the packet is the one that ends up in neighbour tables.
    let own = frame::arp_sender_mac(ctx)? == mac && frame::source_mac(ctx)? == mac;
    Ok(if own { None } else { Some(Counter::SourceArp) })
}
