//! NetworkInterface: one ENI in the cloud. Its name is the ENI's id.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{is_default, is_false};
use crate::shared::{Eni, EniInfo, Phase};

/// One ENI and where it is to be attached.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.alibabacloud.com",
    version = "v1beta1",
    kind = "NetworkInterface",
    plural = "networkinterfaces",
    singular = "networkinterface",
    shortname = "eni",
    category = "terway",
    status = "NetworkInterfaceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "NetworkInterface is an ENI that the control plane made, named by its id. It goes only when the cloud has confirmed that the ENI is gone.",
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "State of the ENI"
    ),
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".status.eniInfo.type",
        description = "Kind of the ENI"
    ),
    printcolumn(
        name = "IP",
        type_ = "string",
        json_path = ".spec.ipv4",
        description = "IPv4 address"
    ),
    printcolumn(
        name = "InstanceID",
        type_ = "string",
        json_path = ".status.instanceID",
        description = "Instance it is attached to"
    ),
    printcolumn(
        name = "TrunkENIID",
        type_ = "string",
        json_path = ".status.trunkENIID",
        description = "Trunk it is a member of"
    ),
    printcolumn(
        name = "NodeName",
        type_ = "string",
        json_path = ".status.nodeName",
        description = "Node it is attached to"
    ),
    printcolumn(
        name = "PodNamespace",
        type_ = "string",
        json_path = ".spec.podENIRef.namespace",
        description = "Namespace of the owner"
    ),
    printcolumn(
        name = "PodName",
        type_ = "string",
        json_path = ".spec.podENIRef.name",
        description = "Name of the owner"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "vSwitch",
        type_ = "string",
        json_path = ".spec.eni.vSwitchID",
        priority = 1,
        description = "vSwitch of the ENI"
    ),
    printcolumn(
        name = "VLAN",
        type_ = "integer",
        json_path = ".status.eniInfo.vid",
        priority = 1,
        description = "VLAN id on the trunk"
    ),
    printcolumn(
        name = "MAC",
        type_ = "string",
        json_path = ".spec.eni.mac",
        priority = 1,
        description = "MAC address"
    ),
    printcolumn(
        name = "Security-Groups",
        type_ = "string",
        json_path = ".spec.eni.securityGroupIDs",
        priority = 1,
        description = "Security groups of the ENI"
    )
)]
#[serde(default)]
pub struct NetworkInterfaceSpec {
    /// Identity in the cloud.
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
    /// Free settings.
    #[serde(rename = "extraConfig", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_config: BTreeMap<String, String>,
    /// How far the control plane may go with this ENI.
    #[serde(rename = "managePolicy", skip_serializing_if = "is_default")]
    pub manage_policy: ManagePolicy,
    /// The allocation this ENI belongs to.
    #[serde(rename = "podENIRef", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_reference")]
    pub pod_eni_ref: Option<ObjectReference>,
    /// Where the ENI is to be attached; absent when it is to be attached nowhere.
    #[serde(rename = "attachTo", skip_serializing_if = "Option::is_none")]
    pub attach_to: Option<AttachTo>,
}

/// The place an ENI is to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttachTo {
    /// Instance.
    #[serde(rename = "instanceID", skip_serializing_if = "String::is_empty")]
    pub instance_id: String,
    /// Trunk ENI of the instance, for a member.
    #[serde(rename = "trunkENIID", skip_serializing_if = "String::is_empty")]
    pub trunk_eni_id: String,
    /// Node that the instance is.
    #[serde(rename = "nodeName", skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Network card of the instance.
    #[serde(rename = "networkCardIndex", skip_serializing_if = "Option::is_none")]
    pub network_card_index: Option<i32>,
}

/// Limits on what the control plane does with an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ManagePolicy {
    /// Keep the ENI attached and existing when its allocation ends; only the reference is cleared.
    #[serde(skip_serializing_if = "is_false")]
    pub cache: bool,
    /// Never detach or delete the ENI.
    #[serde(rename = "unManaged", skip_serializing_if = "is_false")]
    pub unmanaged: bool,
}

impl ManagePolicy {
    /// Whether the control plane neither detaches nor deletes the ENI.
    pub fn hands_off(&self) -> bool {
        self.cache || self.unmanaged
    }
}

/// What was observed of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetworkInterfaceStatus {
    /// Empty, Binding, Bind, Detaching, Unbind or Deleting.
    pub phase: Phase,
    /// The ENI as it was last described.
    #[serde(rename = "eniInfo")]
    pub eni_info: EniInfo,
    /// Instance it is attached to, or being attached to.
    #[serde(rename = "instanceID", skip_serializing_if = "String::is_empty")]
    pub instance_id: String,
    /// Trunk it is a member of.
    #[serde(rename = "trunkENIID", skip_serializing_if = "String::is_empty")]
    pub trunk_eni_id: String,
    /// Node it is attached to.
    #[serde(rename = "nodeName", skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Network card it is attached to.
    #[serde(rename = "networkCardIndex", skip_serializing_if = "Option::is_none")]
    pub network_card_index: Option<i32>,
    /// What holds now, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Generation this status speaks of.
    #[serde(rename = "observedGeneration", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Term of leadership that last decided to detach or delete the ENI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub term: String,
}
