//! The socket buffer as a frame. All reads of packet bytes and of the socket buffer's fields are in this file.

use aya_ebpf::programs::TcContext;
use terway_ebpf_verdict::{Frame, Truncated};

/// The frame that a program was called for.
pub struct Skb<'a>(pub &'a TcContext);

impl Frame for Skb<'_> {
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the kernel hands a valid `__sk_buff`; the verifier checks this access.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn ingress_ifindex(&self) -> u32 {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.0.skb.skb).ingress_ifindex }
    }

    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        // SAFETY: as in `ifindex`.
        let (present, tag) = unsafe { ((*self.0.skb.skb).vlan_present, (*self.0.skb.skb).vlan_tci) };
        if present == 0 { None } else { Some(tag as u16) }
    }

    /// Copies the bytes by `bpf_skb_load_bytes`. The helper reads fragments as well, so the frame need not be linear.
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N], Truncated> {
        self.0.load(offset).map_err(|_| Truncated)
    }
}
