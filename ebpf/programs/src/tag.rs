//! Takes a VLAN tag off a frame and puts one on, by the kernel's helpers.

use aya_ebpf::{
    helpers::{bpf_skb_change_type, bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};

/// EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;
/// The frame is for this host (`linux/if_packet.h`).
const PACKET_HOST: u32 = 0;

/// Takes the tag off and makes the frame the host's own. Returns whether the kernel did both.
#[inline(always)]
pub fn strip(ctx: &TcContext) -> bool {
    let skb = ctx.skb.skb;
    // SAFETY: both helpers take the program's own context. Nothing that was read from the frame before the call is
    // used after it.
    unsafe {
        // The frame may carry the member's MAC instead of the trunk's. The kernel has then marked the frame as
        // somebody else's (PACKET_OTHERHOST) and would drop it. The binding says that the frame is for a pod here.
        bpf_skb_vlan_pop(skb) == 0 && bpf_skb_change_type(skb, PACKET_HOST) == 0
    }
}

/// Puts a tag on. Returns whether the kernel did.
#[inline(always)]
pub fn put(ctx: &TcContext, vlan: u16) -> bool {
    // SAFETY: the helper takes the program's own context.
    unsafe { bpf_skb_vlan_push(ctx.skb.skb, TAG.to_be(), vlan) == 0 }
}
