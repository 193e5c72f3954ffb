//! NodeRuntime: what the agent of a node says about its sandboxes. Its name is the node's.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing is wanted of a NodeRuntime; it only reports.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.alibabacloud.com",
    version = "v1beta1",
    kind = "NodeRuntime",
    plural = "noderuntimes",
    singular = "noderuntime",
    shortname = "nrt",
    category = "terway",
    status = "NodeRuntimeStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "NodeRuntime is the report of a node's agent: which pod sandboxes exist and which are really gone.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(default)]
pub struct NodeRuntimeSpec {}

/// The sandboxes of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeRuntimeStatus {
    /// Sandboxes by pod UID.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<String, RuntimePod>,
}

/// One sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RuntimePod {
    /// Namespace and name of the pod, joined by a slash.
    #[serde(rename = "podID")]
    pub pod_id: String,
    /// When the sandbox was last seen to begin (`initial`) and to be gone (`deleted`).
    pub status: BTreeMap<String, RuntimePodStatus>,
}

/// When a state of a sandbox was last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RuntimePodStatus {
    /// Time of the last observation.
    #[serde(rename = "lastUpdateTime", skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
}

/// Key of [`RuntimePod::status`]: the sandbox was set up.
pub const RUNTIME_INITIAL: &str = "initial";
/// Key of [`RuntimePod::status`]: the sandbox is really gone.
pub const RUNTIME_DELETED: &str = "deleted";
