//! Types that more than one kind uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::is_default;

text_enum! {
    /// What a pod's ENI and its IPs are tied to.
    closed AllocationTypeKind {
        /// ENI and IPs go with the pod.
        Elastic = "Elastic",
        /// ENI and IPs stay for the next pod of the same name.
        Fixed = "Fixed",
    }
}

text_enum! {
    /// When a Fixed allocation ends.
    closed ReleaseStrategy {
        /// `releaseAfter` after the pod was last seen.
        Ttl = "TTL",
        /// Only when somebody deletes the PodENI.
        Never = "Never",
    }
}

text_enum! {
    /// State of an allocation: of a PodENI, and of a single NetworkInterface.
    open Phase {
        /// Created, not yet attached.
        Initial = "",
        /// An attach is wanted.
        Binding = "Binding",
        /// Attached to the instance of the pod's node.
        Bind = "Bind",
        /// A detach is wanted, the allocation is kept.
        Detaching = "Detaching",
        /// Kept, attached nowhere.
        Unbind = "Unbind",
        /// On its way out.
        Deleting = "Deleting",
    }
}

text_enum! {
    /// Kind of an ENI, as the cloud names it.
    closed EniKind {
        Primary = "Primary",
        Secondary = "Secondary",
        Trunk = "Trunk",
        Member = "Member",
    }
}

text_enum! {
    /// Whether an ENI is attached.
    open BindStatus {
        Unknown = "",
        Bind = "Bind",
        Unbind = "Unbind",
        Deleted = "Deleted",
    }
}

text_enum! {
    /// Which kind of ENI a pod asks for.
    closed EniType {
        /// A trunk member where the cluster and the node allow it, a whole ENI otherwise.
        Default = "Default",
        /// A whole secondary ENI.
        Eni = "ENI",
        /// A member of the node's trunk.
        Trunk = "Trunk",
    }
}

text_enum! {
    /// How to choose among the vSwitches of the node's zone.
    closed VSwitchSelectionPolicy {
        /// The first that has addresses left.
        Ordered = "ordered",
        /// Any that has addresses left.
        Random = "random",
        /// The one with most addresses left.
        Most = "most",
    }
}

text_enum! {
    /// How an ENI passes its traffic on to the instance.
    closed TrafficMode {
        Standard = "Standard",
        HighPerformance = "HighPerformance",
    }
}

/// How long an allocation lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AllocationType {
    /// Elastic: ENI and IPs are given back with the pod. Fixed: they are kept for the next pod
    /// of the same name.
    #[serde(rename = "type")]
    pub kind: AllocationTypeKind,
    /// When a Fixed allocation ends. TTL: `releaseAfter` after its pod was last seen. Never: only
    /// when the PodENI is deleted.
    #[serde(rename = "releaseStrategy", skip_serializing_if = "Option::is_none")]
    pub release_strategy: Option<ReleaseStrategy>,
    /// How long a Fixed allocation with strategy TTL outlives its pod, as a Go duration: `10m`, `1h30m`.
    #[serde(rename = "releaseAfter", skip_serializing_if = "String::is_empty")]
    pub release_after: String,
}

impl AllocationType {
    /// True when ENI and IPs must survive the pod.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.kind == AllocationTypeKind::Fixed
    }
}

/// How an ENI is to be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttachmentOptions {
    /// True: as a member of the node's trunk. False: as an ENI of its own. Unset: as the cluster's default says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<bool>,
}

/// Identity of an ENI in the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Eni {
    /// ENI id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// VPC id.
    #[serde(rename = "vpcID", skip_serializing_if = "String::is_empty")]
    pub vpc_id: String,
    /// MAC address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Zone id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// vSwitch the addresses come from.
    #[serde(rename = "vSwitchID", skip_serializing_if = "String::is_empty")]
    pub vswitch_id: String,
    /// Resource group.
    #[serde(rename = "resourceGroupID", skip_serializing_if = "String::is_empty")]
    pub resource_group_id: String,
    /// Security groups.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// How the ENI is to be attached.
    #[serde(rename = "attachmentOptions", skip_serializing_if = "is_default")]
    pub attachment_options: AttachmentOptions,
}

/// What was observed of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EniInfo {
    /// ENI id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Kind of the ENI.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<EniKind>,
    /// VLAN id of a trunk member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vid: Option<i32>,
    /// Whether the ENI is attached.
    #[serde(skip_serializing_if = "is_default")]
    pub status: BindStatus,
    /// Network card of the instance that the ENI is attached to.
    #[serde(rename = "networkCardIndex", skip_serializing_if = "Option::is_none")]
    pub network_card_index: Option<i32>,
    /// Virtual function id, on instances that use them.
    #[serde(rename = "vfID", skip_serializing_if = "Option::is_none")]
    pub vf_id: Option<u32>,
}

/// A destination reached through an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Route {
    /// Destination in CIDR notation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dst: String,
}

/// Which kind of ENI pods get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EniOptions {
    /// Trunk: a member of the node's trunk. ENI: a whole ENI. Default: a trunk member where the
    /// cluster and the node allow it, a whole ENI otherwise.
    #[serde(rename = "eniType")]
    pub eni_type: EniType,
}

/// How a vSwitch is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VSwitchSelectOptions {
    /// ordered: the first with addresses left. random: any of them. most: the one with most addresses left.
    #[serde(rename = "vSwitchSelectionPolicy", skip_serializing_if = "is_default")]
    pub policy: VSwitchSelectionPolicy,
}
