//! Recorded intents: a request to the cloud, written into a custom resource before the control plane sends it.
//!
//! The control plane builds the request from the record alone. A changed configuration or a newer version of the
//! program therefore never sends a known token with other parameters.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::is_false;

/// Every parameter of a request that makes something in the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RequestParameters {
    /// vSwitch the ENI is made in.
    #[serde(rename = "vSwitchID", skip_serializing_if = "String::is_empty")]
    pub vswitch_id: String,
    /// Security groups of the ENI.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// Resource group of the ENI.
    #[serde(rename = "resourceGroupID", skip_serializing_if = "String::is_empty")]
    pub resource_group_id: String,
    /// Traffic mode; empty is the cloud's default.
    #[serde(rename = "trafficMode", skip_serializing_if = "String::is_empty")]
    pub traffic_mode: String,
    /// Number of IPv4 addresses, the primary included; 0 and 1 are the primary alone.
    #[serde(rename = "ipv4Count", skip_serializing_if = "crate::fields::is_default")]
    pub ipv4_count: i32,
    /// Number of IPv6 addresses.
    #[serde(rename = "ipv6Count", skip_serializing_if = "crate::fields::is_default")]
    pub ipv6_count: i32,
    /// Whether the cloud deletes the ENI together with the instance it is attached to.
    #[serde(rename = "deleteOnRelease", skip_serializing_if = "is_false")]
    pub delete_on_release: bool,
    /// Tags of the ENI.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Description of the ENI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What the cloud answered when it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CloudFailure {
    /// The cloud's error code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The cloud's own words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Request id, for a question to the cloud's support.
    #[serde(rename = "requestID", skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// When the answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// The intent to create the ENI of one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Creation {
    /// Counts the requests that may differ from each other; the same attempt is always the same request.
    pub attempt: i32,
    /// When this attempt began.
    #[serde(rename = "startedAt", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The request.
    pub parameters: RequestParameters,
    /// Why the attempt before this one came to nothing.
    #[serde(rename = "lastError", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<CloudFailure>,
}

text_enum! {
    /// What an operation on a node does.
    open OperationKind {
        /// Create the node's trunk ENI.
        CreateTrunk = "CreateTrunk",
        /// Attach the node's trunk ENI.
        AttachTrunk = "AttachTrunk",
        /// Create a shared ENI of the node.
        CreateEni = "CreateENI",
        /// Attach a shared ENI of the node.
        AttachEni = "AttachENI",
        /// Give an ENI more addresses.
        AssignIps = "AssignIPs",
        /// Give addresses of an ENI back.
        UnassignIps = "UnassignIPs",
    }
}

/// An intent on a node: an ENI or addresses that are being made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Operation {
    /// Names the operation among those of the node; never used again. Together with the attempt it
    /// makes the request's token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What is being done.
    pub kind: OperationKind,
    /// ENI it is done to, once known.
    #[serde(rename = "eniID", skip_serializing_if = "String::is_empty")]
    pub eni_id: String,
    /// vSwitch involved.
    #[serde(rename = "vSwitchID", skip_serializing_if = "String::is_empty")]
    pub vswitch_id: String,
    /// How many addresses or prefixes.
    #[serde(skip_serializing_if = "crate::fields::is_default")]
    pub count: i32,
    /// The addresses that are given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Term of leadership that last decided to take something away: only its holder sends the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub term: String,
    /// Counts the requests that may differ from each other.
    pub attempt: i32,
    /// When this attempt began.
    #[serde(rename = "startedAt", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<RequestParameters>,
    /// Why the attempt before this one came to nothing.
    #[serde(rename = "lastError", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<CloudFailure>,
}
