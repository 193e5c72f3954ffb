//! Counters of frames. Every frame is forwarded, answered, or dropped for one reason, and is counted once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The frame is shorter than its headers say, or has a wrong IPv4 header checksum.
    Malformed,
    /// No member of the NIC has the VLAN id of the frame's tag.
    UnknownVlan,
    /// The source MAC is not the ENI's.
    SpoofMac,
    /// The source address is not the ENI's.
    SpoofIp,
    /// The fabric does not carry this protocol, for example IPv6.
    NotIpv4,
    /// The frame is broadcast or multicast. A VPC carries none except ARP (unverified).
    Broadcast,
    /// The frame is not addressed to the gateway's MAC, which is the only MAC in ARP answers of the VPC (unverified).
    WrongMac,
    /// The frame is an ARP announcement or a probe for the ENI's own address, which nobody answers.
    OwnArp,
    /// The packet goes to a gateway's own address. The gateway answers only pings from its own subnet.
    Gateway,
    /// The destination is outside every vSwitch, for example a Service address.
    NoRoute,
    /// The destination is in a vSwitch, but no attached ENI has it.
    NoOwner,
    /// The destination is on the same trunk, and the world's `trunkHairpin` is false.
    Hairpin,
    /// The destination is the sending ENI itself.
    ToSelf,
    /// The packet is larger than the MTU.
    Mtu,
    /// The packet is a later fragment, and the first fragment is unknown.
    Fragment,
    /// The sender's security groups refused the packet.
    SgEgress,
    /// The receiver's security groups refused the packet.
    SgIngress,
    /// The session table is full.
    SessionTable,
    /// The receiver's NIC is down or its namespace is gone.
    LinkDown,
    /// The receiver's NIC did not accept the frame.
    QueueFull,
}

/// Totals since the fabric started; `received == forwarded + answered + sum(dropped)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Frames that came in.
    pub received: u64,
    /// Frames handed to another ENI.
    pub forwarded: u64,
    /// Frames the gateway answered itself (ARP, ping).
    pub answered: u64,
    /// Frames dropped, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Security group sessions alive now.
    pub sessions: usize,
    /// Counters of each plugged ENI. They start at zero when the ENI is plugged.
    pub enis: BTreeMap<String, EniCounters>,
}

/// Counters of one ENI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EniCounters {
    /// Name of the ENI's NIC in the instance. Members have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// Whether the ENI (or its trunk) has a TAP at this moment.
    pub connected: bool,
    /// Frames its instance sent.
    pub sent: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Frames handed to its instance, answers of the gateway included.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Drops by reason: `sg-ingress`, `link-down` and `queue-full` count at the receiver,
    /// everything else at the sender.
    pub dropped: BTreeMap<Reason, u64>,
}
