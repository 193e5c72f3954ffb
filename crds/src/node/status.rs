//! ENIs and addresses of a node, and who has them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{is_default, is_false};
use crate::intent::Operation;
use crate::shared::{EniKind, TrafficMode};

/// ENIs and addresses of a node, and who has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TerwayNodeStatus {
    /// ENIs by id.
    #[serde(rename = "networkInterfaces", skip_serializing_if = "BTreeMap::is_empty")]
    pub network_interfaces: BTreeMap<String, Nic>,
    /// When the cloud is to be asked next.
    #[serde(rename = "nextSyncOpenAPITime", skip_serializing_if = "Option::is_none")]
    pub next_sync_openapi_time: Option<Time>,
    /// When the cloud was last asked.
    #[serde(rename = "lastSyncOpenAPITime", skip_serializing_if = "Option::is_none")]
    pub last_sync_openapi_time: Option<Time>,
    /// When an ENI or address last changed.
    #[serde(rename = "lastModifiedTime", skip_serializing_if = "Option::is_none")]
    pub last_modified_time: Option<Time>,
    /// When idle addresses are given back next.
    #[serde(rename = "nextIdleIPReclaimTime", skip_serializing_if = "Option::is_none")]
    pub next_idle_ip_reclaim_time: Option<Time>,
    /// Addresses the warm-up is to take.
    #[serde(rename = "warmUpTarget", skip_serializing_if = "is_default")]
    pub warm_up_target: i32,
    /// Addresses the warm-up has taken.
    #[serde(rename = "warmUpAllocatedCount", skip_serializing_if = "is_default")]
    pub warm_up_allocated_count: i32,
    /// Whether the warm-up is over.
    #[serde(rename = "warmUpCompleted", skip_serializing_if = "is_false")]
    pub warm_up_completed: bool,
    /// What is being done in the cloud for this node, recorded before it is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// What holds now, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

text_enum! {
    /// State of an ENI as the cloud tells it.
    open NicStatus {
        Unknown = "",
        InUse = "InUse",
        Attaching = "Attaching",
        Detaching = "Detaching",
        Deleting = "Deleting",
        Available = "Available",
    }
}

/// One ENI of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Nic {
    /// ENI id.
    pub id: String,
    /// State of the ENI.
    pub status: NicStatus,
    /// MAC address.
    #[serde(rename = "macAddress", skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// vSwitch of the ENI.
    #[serde(rename = "vSwitchID", skip_serializing_if = "String::is_empty")]
    pub vswitch_id: String,
    /// Security groups of the ENI.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// Primary IPv4 address.
    #[serde(rename = "primaryIPAddress", skip_serializing_if = "String::is_empty")]
    pub primary_ip_address: String,
    /// Kind of the ENI.
    #[serde(rename = "networkInterfaceType", skip_serializing_if = "Option::is_none")]
    pub kind: Option<EniKind>,
    /// Traffic mode of the ENI.
    #[serde(
        rename = "networkInterfaceTrafficMode",
        skip_serializing_if = "Option::is_none"
    )]
    pub traffic_mode: Option<TrafficMode>,
    /// Whether no pod may be given an address of this ENI.
    #[serde(skip_serializing_if = "is_false")]
    pub unschedulable: bool,
    /// IPv4 addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipv4: BTreeMap<String, Ip>,
    /// IPv6 addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipv6: BTreeMap<String, Ip>,
    /// IPv4 prefixes.
    #[serde(rename = "ipv4Prefix", skip_serializing_if = "Vec::is_empty")]
    pub ipv4_prefix: Vec<Prefix>,
    /// IPv6 prefixes.
    #[serde(rename = "ipv6Prefix", skip_serializing_if = "Vec::is_empty")]
    pub ipv6_prefix: Vec<Prefix>,
    /// IPv4 CIDR of the vSwitch.
    #[serde(rename = "ipv4CIDR", skip_serializing_if = "String::is_empty")]
    pub ipv4_cidr: String,
    /// IPv6 CIDR of the vSwitch.
    #[serde(rename = "ipv6CIDR", skip_serializing_if = "String::is_empty")]
    pub ipv6_cidr: String,
    /// Trouble with this ENI by name: InsufficientIP, OperationErr.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, NicCondition>,
}

/// Trouble with an ENI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NicCondition {
    /// When it was seen.
    #[serde(rename = "observedTime", skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Time>,
    /// What it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

text_enum! {
    /// State of an address.
    closed IpStatus {
        Valid = "Valid",
        Invalid = "Invalid",
        Deleting = "Deleting",
    }
}

/// One address of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ip {
    /// The address.
    pub ip: String,
    /// Whether it is the primary address of the ENI.
    pub primary: bool,
    /// State of the address.
    pub status: IpStatus,
    /// Pod that has it: namespace and name, joined by a slash.
    #[serde(rename = "podID", skip_serializing_if = "String::is_empty")]
    pub pod_id: String,
    /// UID of the pod that has it.
    #[serde(rename = "podUID", skip_serializing_if = "String::is_empty")]
    pub pod_uid: String,
    /// Name of the address, where the cloud gives it one.
    #[serde(rename = "ipName", skip_serializing_if = "String::is_empty")]
    pub ip_name: String,
}

text_enum! {
    /// State of a prefix.
    closed PrefixStatus {
        Valid = "Valid",
        Frozen = "Frozen",
        Invalid = "Invalid",
        Deleting = "Deleting",
    }
}

/// One prefix of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Prefix {
    /// The prefix in CIDR notation.
    pub prefix: String,
    /// State of the prefix.
    pub status: PrefixStatus,
    /// When a Frozen prefix may be used again.
    #[serde(rename = "frozenExpireAt", skip_serializing_if = "Option::is_none")]
    pub frozen_expire_at: Option<Time>,
}
