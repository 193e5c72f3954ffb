//! What a frame says about itself. All reads of packet bytes and of the socket buffer's
//! fields are in this file.

use aya_ebpf::programs::TcContext;

const ETHERTYPE: usize = 12;
const SOURCE_MAC: usize = 6;
const HEADER: usize = 14;
const IPV4_SOURCE: usize = HEADER + 12;
const IPV4_DESTINATION: usize = HEADER + 16;
const ARP_SENDER_MAC: usize = HEADER + 8;
const ARP_SENDER_IPV4: usize = HEADER + 14;

/// The protocol behind the Ethernet header.
#[derive(PartialEq, Eq)]
pub enum Protocol {
    Ipv4,
    Arp,
    Other,
}

/// The frame ends before the field that was asked for.
pub struct Truncated;

/// The interface the program runs on.
#[inline(always)]
pub fn ifindex(ctx: &TcContext) -> u32 {
    // SAFETY: the kernel hands a valid `__sk_buff`; the verifier checks this access.
    unsafe { (*ctx.skb.skb).ifindex }
}

/// The VLAN id of the tag the kernel has taken aside, if there is one. Id 0 only carries a
/// priority and belongs to no VLAN.
#[inline(always)]
pub fn vlan(ctx: &TcContext) -> Option<u16> {
    // SAFETY: as in `ifindex`.
    let (present, tci) = unsafe { ((*ctx.skb.skb).vlan_present, (*ctx.skb.skb).vlan_tci) };
    let id = (tci & 0xfff) as u16;
    if present == 0 || id == 0 { None } else { Some(id) }
}

/// Whether the frame carries any tag, a priority tag too.
#[inline(always)]
pub fn is_tagged(ctx: &TcContext) -> bool {
    // SAFETY: as in `ifindex`.
    unsafe { (*ctx.skb.skb).vlan_present != 0 }
}

/// The protocol behind the Ethernet header (and behind the outer tag).
#[inline(always)]
pub fn protocol(ctx: &TcContext) -> Result<Protocol, Truncated> {
    Ok(match u16::from_be_bytes(bytes(ctx, ETHERTYPE)?) {
        0x0800 => Protocol::Ipv4,
        0x0806 => Protocol::Arp,
        _ => Protocol::Other,
    })
}

#[inline(always)]
pub fn source_mac(ctx: &TcContext) -> Result<[u8; 6], Truncated> {
    bytes(ctx, SOURCE_MAC)
}

#[inline(always)]
pub fn ipv4_source(ctx: &TcContext) -> Result<[u8; 4], Truncated> {
    bytes(ctx, IPV4_SOURCE)
}

#[inline(always)]
pub fn ipv4_destination(ctx: &TcContext) -> Result<[u8; 4], Truncated> {
    bytes(ctx, IPV4_DESTINATION)
}

#[inline(always)]
pub fn arp_sender_mac(ctx: &TcContext) -> Result<[u8; 6], Truncated> {
    bytes(ctx, ARP_SENDER_MAC)
}

#[inline(always)]
pub fn arp_sender_ipv4(ctx: &TcContext) -> Result<[u8; 4], Truncated> {
    bytes(ctx, ARP_SENDER_IPV4)
}

/// Copies bytes out of the frame. The kernel's helper reads fragments as well, so no
/// frame has to be linear.
#[inline(always)]
fn bytes<const N: usize>(ctx: &TcContext, offset: usize) -> Result<[u8; N], Truncated> {
    ctx.load(offset).map_err(|_| Truncated)
}
