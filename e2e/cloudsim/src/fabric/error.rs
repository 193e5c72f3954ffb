//! Errors of changes to the fabric.

use std::{io, net::Ipv4Addr, path::PathBuf};

/// Why a change of the fabric was refused or failed. A failed change leaves nothing behind.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// The ENI has a port already.
    #[error("plug {eni_id}: the ENI is plugged already; unplug it first")]
    AlreadyPlugged {
        /// The ENI.
        eni_id: String,
    },
    /// The ENI has no port.
    #[error("change {eni_id}: the ENI is not plugged")]
    NotPlugged {
        /// The ENI.
        eni_id: String,
    },
    /// Another ENI has the address. An address has one owner only.
    #[error("give {address} to {eni_id}: the address belongs to {owner}; free it there first")]
    AddressTaken {
        /// The ENI that requested the address.
        eni_id: String,
        /// The address.
        address: Ipv4Addr,
        /// The ENI that has the address.
        owner: String,
    },
    /// The vSwitch is not part of the topology.
    #[error("plug {eni_id}: vSwitch {vswitch_id} is unknown; add it to the topology first")]
    UnknownVSwitch {
        /// The ENI.
        eni_id: String,
        /// The missing vSwitch.
        vswitch_id: String,
    },
    /// The trunk of a member is not plugged, or is a member itself.
    #[error("plug member {eni_id}: trunk {trunk} is not plugged as a NIC of its own")]
    UnknownTrunk {
        /// The member.
        eni_id: String,
        /// The trunk it names.
        trunk: String,
    },
    /// The VLAN id is outside 1 to 4094, the range of IEEE 802.1Q.
    #[error("plug member {eni_id}: VLAN id {vlan} is not between 1 and 4094")]
    BadVlan {
        /// The member.
        eni_id: String,
        /// The id asked for.
        vlan: u16,
    },
    /// Another member of the trunk has the VLAN id.
    #[error("plug member {eni_id}: VLAN id {vlan} of trunk {trunk} is used by {owner}")]
    VlanTaken {
        /// The member.
        eni_id: String,
        /// Its trunk.
        trunk: String,
        /// The id asked for.
        vlan: u16,
        /// The member that has the VLAN id.
        owner: String,
    },
    /// The instance's namespace could not be opened.
    #[error("plug {eni_id}: open network namespace {}; is the instance running?", path.display())]
    Netns {
        /// The ENI.
        eni_id: String,
        /// The namespace.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The TAP could not be created or moved into the namespace.
    #[error("plug {eni_id}: make its TAP ({step}); this needs CAP_NET_ADMIN and /dev/net/tun")]
    Tap {
        /// The ENI.
        eni_id: String,
        /// The act that failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The capture file could not be created.
    #[error("capture {eni_id} to {}", path.display())]
    Capture {
        /// The ENI.
        eni_id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
