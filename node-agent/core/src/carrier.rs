//! What carries an address to a pod.

use std::{fmt, net::IpAddr};

/// A VLAN id of IEEE 802.1Q that can name a member of a trunk: 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VlanId(u16);

impl VlanId {
    /// `None` for 0 and 4095, which name no VLAN, and for what does not fit into 12 bits.
    pub const fn new(id: u16) -> Option<VlanId> {
        match id {
            1..=4094 => Some(VlanId(id)),
            _ => None,
        }
    }

    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What carries an address to a pod. `N` is how the NIC is known: by the ENI's id, by its record, or as a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier<N> {
    /// The address is one of the NIC's own, and other pods have the NIC's other addresses. Routing alone leads there.
    Shared { nic: N },
    /// The address is that of a member ENI. Its frames have this VLAN id on the trunk.
    Member { trunk: N, vlan: VlanId },
    /// The NIC is the pod's alone. Not served yet: the agent's binding decision refuses it.
    Whole { nic: N },
}

impl<N> Carrier<N> {
    /// The NIC on this node by which the address is reached.
    pub fn nic(&self) -> &N {
        match self {
            Carrier::Shared { nic } | Carrier::Member { trunk: nic, .. } | Carrier::Whole { nic } => nic,
        }
    }

    /// The VLAN id that frames have on the NIC.
    pub fn vlan(&self) -> Option<VlanId> {
        match self {
            Carrier::Member { vlan, .. } => Some(*vlan),
            Carrier::Shared { .. } | Carrier::Whole { .. } => None,
        }
    }

    /// The same carrier with its NIC known in another way.
    pub fn map<M>(self, nic: impl FnOnce(N) -> M) -> Carrier<M> {
        match self {
            Carrier::Shared { nic: known } => Carrier::Shared { nic: nic(known) },
            Carrier::Member { trunk, vlan } => Carrier::Member {
                trunk: nic(trunk),
                vlan,
            },
            Carrier::Whole { nic: known } => Carrier::Whole { nic: nic(known) },
        }
    }
}

/// A NIC as the datapath finds and uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicLink {
    /// The MAC by which the link is found.
    pub mac: [u8; 6],
    /// Gateway of the vSwitch.
    pub gateway: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_id_has_twelve_bits_and_names_a_vlan() {
        for id in [0, 4095, 4096, u16::MAX] {
            assert_eq!(VlanId::new(id), None, "{id}");
        }
        for id in [1, 4094] {
            assert_eq!(VlanId::new(id).map(VlanId::get), Some(id));
        }
    }
}
