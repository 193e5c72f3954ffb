//! Frames of member ENIs on the trunk: the tag goes off on the way in, on on the way out.

use aya_ebpf::{
    helpers::{bpf_skb_change_type, bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};
use terway_ebpf_abi::{Counter, InterfaceAddress, TaggedAddress};

use crate::{
    Verdict,
    frame::{self, Protocol, Truncated},
    maps,
};

/// EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;
/// "For this host" (`linux/if_packet.h`).
const PACKET_HOST: u32 = 0;

/// Takes the tag off a frame for a pod of this node. A tagged frame for nobody here is
/// dropped; one without a VLAN is the trunk's own and stays as it is.
#[inline(always)]
pub fn pop(ctx: &TcContext) -> Verdict {
    let Some(vlan) = frame::vlan(ctx) else {
        return Verdict::Ignore;
    };
    match destination(ctx) {
        Ok(Ok(address)) => {
            let key = TaggedAddress::ipv4(frame::ifindex(ctx), vlan, address);
            if maps::delivers(&key) {
                strip(ctx)
            } else {
                Verdict::Drop(Counter::PopNoBinding)
            }
        }
        Ok(Err(reason)) => Verdict::Drop(reason),
        Err(Truncated) => Verdict::Drop(Counter::PopTruncated),
    }
}

#[inline(always)]
fn destination(ctx: &TcContext) -> Result<Result<[u8; 4], Counter>, Truncated> {
    Ok(match frame::protocol(ctx)? {
        Protocol::Ipv4 => Ok(frame::ipv4_destination(ctx)?),
        Protocol::Arp => Err(Counter::PopArp),
        Protocol::Other => Err(Counter::PopProtocol),
    })
}

#[inline(always)]
fn strip(ctx: &TcContext) -> Verdict {
    let skb = ctx.skb.skb;
    // SAFETY: both helpers take the program's own context. Nothing read from the frame
    // before is used afterwards.
    unsafe {
        if bpf_skb_vlan_pop(skb) != 0 {
            return Verdict::Drop(Counter::PopFailed);
        }
        // The frame may carry the member's MAC instead of the trunk's, and the kernel then
        // holds it for somebody else's. The binding has just said that it is ours.
        if bpf_skb_change_type(skb, PACKET_HOST) != 0 {
            return Verdict::Drop(Counter::PopFailed);
        }
    }
    Verdict::Done(Counter::Popped)
}

/// Tags a frame whose source is a pod's. Others (the node's own ARP for the gateway, host
/// traffic) leave as they are.
#[inline(always)]
pub fn push(ctx: &TcContext) -> Verdict {
    if frame::is_tagged(ctx) || !matches!(frame::protocol(ctx), Ok(Protocol::Ipv4)) {
        return Verdict::Ignore;
    }
    let Ok(address) = frame::ipv4_source(ctx) else {
        return Verdict::Ignore;
    };
    let Some(vlan) = maps::tag_of(&InterfaceAddress::ipv4(frame::ifindex(ctx), address)) else {
        return Verdict::Ignore;
    };
    // SAFETY: the helper takes the program's own context.
    if unsafe { bpf_skb_vlan_push(ctx.skb.skb, TAG.to_be(), vlan) } != 0 {
        // Untagged it would leave in the trunk's own name.
        return Verdict::Drop(Counter::PushFailed);
    }
    Verdict::Done(Counter::Pushed)
}
