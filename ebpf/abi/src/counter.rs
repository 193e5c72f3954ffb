//! The counters of the programs: one slot of the counter map per outcome.

/// An outcome that the programs count. The number is the slot in the map.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Trunk ingress: tag taken off, frame given to the host.
    Popped = 0,
    /// Trunk egress: tag put on.
    Pushed = 1,
    /// Trunk ingress: no pod of this node has this destination in this VLAN.
    PopNoBinding = 2,
    /// Trunk ingress: ARP inside a tag; a member's addresses are resolved by the VPC.
    PopArp = 3,
    /// Trunk ingress: a protocol inside the tag that no member has yet (IPv6, a second tag).
    PopProtocol = 4,
    /// Trunk ingress: shorter than its headers.
    PopTruncated = 5,
    /// Trunk ingress: the kernel could not take the tag off.
    PopFailed = 6,
    /// Trunk egress: the kernel could not put the tag on.
    PushFailed = 7,
    /// From a pod: IPv4 source that is not the pod's. Trunk egress: a member's source, and not from the member's veth.
    SourceAddress = 8,
    /// From a pod: its own address but another hardware address.
    SourceMac = 9,
    /// From a pod: ARP in somebody else's name.
    SourceArp = 10,
    /// From a pod: neither IPv4 nor ARP, or tagged by the pod itself.
    SourceProtocol = 11,
    /// From a pod: shorter than its headers.
    SourceTruncated = 12,
}

impl Counter {
    /// All counters, in the order of their slots.
    pub const ALL: [Counter; 13] = [
        Counter::Popped,
        Counter::Pushed,
        Counter::PopNoBinding,
        Counter::PopArp,
        Counter::PopProtocol,
        Counter::PopTruncated,
        Counter::PopFailed,
        Counter::PushFailed,
        Counter::SourceAddress,
        Counter::SourceMac,
        Counter::SourceArp,
        Counter::SourceProtocol,
        Counter::SourceTruncated,
    ];

    /// Slots in the counter map.
    pub const SLOTS: usize = Self::ALL.len();

    /// The slot of this outcome.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        self as u32
    }

    /// A short stable name, fit for a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Counter::Popped => "popped",
            Counter::Pushed => "pushed",
            Counter::PopNoBinding => "pop_no_binding",
            Counter::PopArp => "pop_arp",
            Counter::PopProtocol => "pop_protocol",
            Counter::PopTruncated => "pop_truncated",
            Counter::PopFailed => "pop_failed",
            Counter::PushFailed => "push_failed",
            Counter::SourceAddress => "source_address",
            Counter::SourceMac => "source_mac",
            Counter::SourceArp => "source_arp",
            Counter::SourceProtocol => "source_protocol",
            Counter::SourceTruncated => "source_truncated",
        }
    }

    /// Whether a packet counted here was dropped.
    pub const fn is_drop(self) -> bool {
        !matches!(self, Counter::Popped | Counter::Pushed)
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn slots_are_dense_and_in_order() {
        for (slot, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter.slot() as usize, slot);
        }
    }
}
