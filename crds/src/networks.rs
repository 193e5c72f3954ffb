//! The two JSON annotations of a pod that describe its networks.
//!
//! No API server prunes the content of an annotation. A `null` in it therefore means the default, as for Go.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::{is_default, is_false};
use crate::shared::{AllocationType, EniOptions, Route, VSwitchSelectOptions};

/// Value of the annotation `k8s.aliyun.com/pod-networks`: the networks of a pod in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetworks {
    /// One entry for each interface of the pod.
    #[serde(rename = "podNetworks", default)]
    pub pod_networks: Vec<PodNetwork>,
}

impl PodNetworks {
    /// Reads the annotation.
    pub fn from_annotation(text: &str) -> Result<Self, serde_json::Error> {
        without_nulls(text)
    }
}

/// One interface of a pod, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodNetwork {
    /// vSwitches to choose from.
    #[serde(rename = "vSwitchOptions", skip_serializing_if = "Vec::is_empty")]
    pub vswitch_options: Vec<String>,
    /// Security groups of the ENI.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// Name of the interface inside the pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Further destinations reached through this interface.
    #[serde(rename = "extraRoutes", skip_serializing_if = "Vec::is_empty")]
    pub extra_routes: Vec<Route>,
    /// Which kind of ENI.
    #[serde(rename = "eniOptions", skip_serializing_if = "is_default")]
    pub eni_options: EniOptions,
    /// How a vSwitch is chosen.
    #[serde(rename = "vSwitchSelectOptions", skip_serializing_if = "is_default")]
    pub vswitch_select_options: VSwitchSelectOptions,
    /// Resource group of the ENI.
    #[serde(rename = "resourceGroupID", skip_serializing_if = "String::is_empty")]
    pub resource_group_id: String,
    /// Traffic mode of the ENI; empty is the cloud's default.
    #[serde(
        rename = "networkInterfaceTrafficMode",
        skip_serializing_if = "String::is_empty"
    )]
    pub traffic_mode: String,
    /// Whether the pod's default route leaves by this interface.
    #[serde(rename = "defaultRoute", skip_serializing_if = "is_false")]
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
    #[serde(rename = "interfaceName", skip_serializing_if = "String::is_empty")]
    pub interface_name: String,
    /// Name of the PodNetworking.
    pub network: String,
    /// Whether the pod's default route leaves by this interface.
    #[serde(rename = "defaultRoute", skip_serializing_if = "is_false")]
    pub default_route: bool,
    /// Further destinations reached through this interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl NetworkRequest {
    /// Reads the annotation.
    pub fn from_annotation(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        without_nulls(text)
    }
}

/// Reads JSON in which a field that is `null` counts as absent.
fn without_nulls<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_str(text)?;
    strip_nulls(&mut value);
    serde_json::from_value(value)
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
