//! The two JSON annotations of a pod that speak of its networks.

use serde::{Deserialize, Serialize};

use crate::fields::{is_default, is_false, null_as_default};
use crate::shared::{AllocationType, EniOptions, Route, VSwitchSelectOptions};

/// Value of the annotation `k8s.aliyun.com/pod-networks`: the networks of a pod in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetworks {
    /// One entry for each interface of the pod.
    #[serde(rename = "podNetworks", default, deserialize_with = "null_as_default")]
    pub pod_networks: Vec<PodNetwork>,
}

/// One interface of a pod, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodNetwork {
    /// vSwitches to choose from.
    #[serde(
        rename = "vSwitchOptions",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub vswitch_options: Vec<String>,
    /// Security groups of the ENI.
    #[serde(
        rename = "securityGroupIDs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub security_group_ids: Vec<String>,
    /// Name of the interface inside the pod.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub interface: String,
    /// Further destinations reached through this interface.
    #[serde(
        rename = "extraRoutes",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub extra_routes: Vec<Route>,
    /// Which kind of ENI.
    #[serde(
        rename = "eniOptions",
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub eni_options: EniOptions,
    /// How a vSwitch is chosen.
    #[serde(
        rename = "vSwitchSelectOptions",
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub vswitch_select_options: VSwitchSelectOptions,
    /// Resource group of the ENI.
    #[serde(
        rename = "resourceGroupID",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub resource_group_id: String,
    /// Traffic mode of the ENI; empty is the cloud's default.
    #[serde(
        rename = "networkInterfaceTrafficMode",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub traffic_mode: String,
    /// Whether the pod's default route leaves by this interface.
    #[serde(
        rename = "defaultRoute",
        skip_serializing_if = "is_false",
        deserialize_with = "null_as_default"
    )]
    pub default_route: bool,
    /// How long the allocation lives; Elastic when absent.
    #[serde(rename = "allocationType", skip_serializing_if = "Option::is_none")]
    pub allocation_type: Option<AllocationType>,
}

/// One entry of the annotation `k8s.aliyun.com/pod-networks-request`: an interface that takes its
/// settings from a PodNetworking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRequest {
    /// Name of the interface inside the pod.
    #[serde(
        rename = "interfaceName",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub interface_name: String,
    /// Name of the PodNetworking.
    #[serde(deserialize_with = "null_as_default")]
    pub network: String,
    /// Whether the pod's default route leaves by this interface.
    #[serde(
        rename = "defaultRoute",
        skip_serializing_if = "is_false",
        deserialize_with = "null_as_default"
    )]
    pub default_route: bool,
    /// Further destinations reached through this interface.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub routes: Vec<Route>,
}
