//! PodENI: what a pod was given. Its name and namespace are the pod's.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{is_default, is_false};
use crate::intent::Creation;
use crate::shared::{AllocationType, Eni, EniInfo, Phase, Route};

/// The allocations of one pod.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.alibabacloud.com",
    version = "v1beta1",
    kind = "PodENI",
    root = "PodEni",
    plural = "podenis",
    singular = "podeni",
    shortname = "pe",
    category = "terway",
    namespaced,
    status = "PodEniStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "PodENI records the ENIs and IPs given to the pod of the same name. It is written by the control plane; do not edit it. Deleting it ends a Fixed allocation.",
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "State of the allocation"
    ),
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".status.summary.type",
        description = "Elastic or Fixed, and the kind of ENI"
    ),
    printcolumn(
        name = "IPs",
        type_ = "string",
        json_path = ".status.summary.ips",
        description = "Addresses of the pod"
    ),
    printcolumn(
        name = "vSwitch",
        type_ = "string",
        json_path = ".status.summary.vSwitchIDs",
        description = "vSwitch the addresses come from"
    ),
    printcolumn(
        name = "ENI",
        type_ = "string",
        json_path = ".status.summary.eniIDs",
        description = "ENI ids"
    ),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = r".metadata.labels.k8s\.aliyun\.com/node",
        description = "Node of the pod"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Instance",
        type_ = "string",
        json_path = ".status.instanceID",
        priority = 1,
        description = "Instance the ENIs are attached to"
    ),
    printcolumn(
        name = "Trunk",
        type_ = "string",
        json_path = ".status.trunkENIID",
        priority = 1,
        description = "Trunk ENI of the instance"
    ),
    printcolumn(
        name = "VLAN",
        type_ = "string",
        json_path = ".status.summary.vlans",
        priority = 1,
        description = "VLAN ids on the trunk"
    ),
    printcolumn(
        name = "Security-Groups",
        type_ = "string",
        json_path = ".status.summary.securityGroupIDs",
        priority = 1,
        description = "Security groups of the ENIs"
    )
)]
#[serde(default)]
pub struct PodEniSpec {
    /// One entry for each interface of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Allocation>,
    /// Zone of the node the pod first ran on; a Fixed pod is scheduled there again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// One interface of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Allocation {
    /// The ENI.
    #[serde(skip_serializing_if = "is_default")]
    pub eni: Eni,
    /// IPv4 address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// IPv6 address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// IPv4 CIDR of the vSwitch.
    #[serde(rename = "ipv4CIDR", skip_serializing_if = "String::is_empty")]
    pub ipv4_cidr: String,
    /// IPv6 CIDR of the vSwitch.
    #[serde(rename = "ipv6CIDR", skip_serializing_if = "String::is_empty")]
    pub ipv6_cidr: String,
    /// Name of the interface inside the pod; empty means eth0.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Whether the pod's default route leaves by this interface.
    #[serde(rename = "defaultRoute", skip_serializing_if = "is_false")]
    pub default_route: bool,
    /// Further destinations reached through this interface.
    #[serde(rename = "extraRoutes", skip_serializing_if = "Vec::is_empty")]
    pub extra_routes: Vec<Route>,
    /// How long the allocation lives.
    #[serde(rename = "allocationType")]
    pub allocation_type: AllocationType,
    /// Free settings.
    #[serde(rename = "extraConfig", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_config: BTreeMap<String, String>,
    /// The request that makes the ENI, recorded before it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
}

/// What became of the allocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodEniStatus {
    /// Empty, Binding, Bind, Detaching, Unbind or Deleting.
    #[serde(skip_serializing_if = "is_default")]
    pub phase: Phase,
    /// Instance the ENIs are attached to.
    #[serde(rename = "instanceID", skip_serializing_if = "String::is_empty")]
    pub instance_id: String,
    /// Trunk ENI they are members of.
    #[serde(rename = "trunkENIID", skip_serializing_if = "String::is_empty")]
    pub trunk_eni_id: String,
    /// What is being waited for, or what went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub msg: String,
    /// When the pod was last seen; the time of a TTL runs from here.
    #[serde(rename = "podLastSeen", skip_serializing_if = "Option::is_none")]
    pub pod_last_seen: Option<Time>,
    /// Observed ENIs by id.
    #[serde(rename = "eniInfos", skip_serializing_if = "BTreeMap::is_empty")]
    pub eni_infos: BTreeMap<String, EniInfo>,
    /// The allocations on one line each, for people.
    #[serde(skip_serializing_if = "is_default")]
    pub summary: PodEniSummary,
    /// What holds now, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Generation this status speaks of.
    #[serde(rename = "observedGeneration", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A printer column shows the first match of its path only, so lists are joined here with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodEniSummary {
    /// Addresses.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ips: String,
    /// ENI ids.
    #[serde(rename = "eniIDs", skip_serializing_if = "String::is_empty")]
    pub eni_ids: String,
    /// VLAN ids.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vlans: String,
    /// vSwitch ids.
    #[serde(rename = "vSwitchIDs", skip_serializing_if = "String::is_empty")]
    pub vswitch_ids: String,
    /// Security group ids.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "String::is_empty")]
    pub security_group_ids: String,
    /// How long the allocation lives, and the kind of ENI.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}
