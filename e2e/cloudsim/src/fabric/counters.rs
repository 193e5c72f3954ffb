//! What became of every frame: each is forwarded, answered or dropped for one reason, and counted once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a frame went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Shorter than its own headers say, or with a wrong IPv4 header checksum.
    Malformed,
    /// Tagged with a VLAN id that no member of this trunk has, or tagged on a NIC without members.
    UnknownVlan,
    /// The source MAC is not the ENI's.
    SpoofMac,
    /// The source address is not the ENI's.
    SpoofIp,
    /// IPv6, or anything else the fabric does not carry.
    NotIpv4,
    /// Broadcast or multicast; a VPC has none beyond ARP.
    Broadcast,
    /// Not addressed to the gateway's MAC, the only one that a VPC ever answers with.
    WrongMac,
    /// An ARP announcement or a probe for the ENI's own address: right, and nobody's business.
    OwnArp,
    /// Sent to a gateway's own address, which answers pings of its own subnet only.
    Gateway,
    /// Outside every vSwitch, e.g. a Service address.
    NoRoute,
    /// In a vSwitch, but no attached ENI has the address.
    NoOwner,
    /// The owner is on the same trunk and the world forbids that way.
    Hairpin,
    /// Sender and owner are the same ENI.
    ToSelf,
    /// Larger than the MTU.
    Mtu,
    /// A later fragment whose first one is unknown.
    Fragment,
    /// Refused by the sender's security groups.
    SgEgress,
    /// Refused by the receiver's security groups.
    SgIngress,
    /// No room for one more session.
    SessionTable,
    /// The receiver's NIC is down or its namespace is gone.
    LinkDown,
    /// The receiver's NIC did not take the frame.
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
    /// By ENI, for those plugged now; an ENI starts at zero when it is plugged.
    pub enis: BTreeMap<String, EniCounters>,
}

/// Counters of one ENI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EniCounters {
    /// Name of its NIC in the instance; none for members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// Whether a TAP stands for it (or for its trunk) at this moment.
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
