//! PodNetworking: what a user writes to give pods ENIs of their own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::is_default;
use crate::shared::{AllocationType, EniOptions, VSwitchSelectOptions};

/// Which pods get an ENI of their own, and what kind of ENI.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "network.alibabacloud.com",
    version = "v1beta1",
    kind = "PodNetworking",
    plural = "podnetworkings",
    singular = "podnetworking",
    shortname = "pn",
    category = "terway",
    status = "PodNetworkingStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "PodNetworking gives the pods it selects an ENI of their own: from these vSwitches, in these security groups, and, if wanted, with addresses that stay.",
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.status",
        description = "Ready, or Fail with the reason in status.message"
    ),
    printcolumn(
        name = "ENI-Type",
        type_ = "string",
        json_path = ".spec.eniOptions.eniType",
        description = "Kind of ENI"
    ),
    printcolumn(
        name = "IP-Type",
        type_ = "string",
        json_path = ".spec.allocationType.type",
        description = "Elastic or Fixed"
    ),
    printcolumn(
        name = "Zones",
        type_ = "string",
        json_path = ".status.summary.zones",
        description = "Zones of the vSwitches"
    ),
    printcolumn(
        name = "vSwitches",
        type_ = "string",
        json_path = ".status.summary.vSwitchIDs",
        description = "vSwitches the cloud knows"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Release",
        type_ = "string",
        json_path = ".spec.allocationType.releaseStrategy",
        priority = 1,
        description = "When a Fixed allocation ends"
    ),
    printcolumn(
        name = "After",
        type_ = "string",
        json_path = ".spec.allocationType.releaseAfter",
        priority = 1,
        description = "How long a Fixed allocation outlives its pod"
    ),
    printcolumn(
        name = "Security-Groups",
        type_ = "string",
        json_path = ".status.summary.securityGroupIDs",
        priority = 1,
        description = "Security groups of the ENIs"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        priority = 1,
        description = "Why it is not Ready"
    )
)]
pub struct PodNetworkingSpec {
    /// Kind of ENI.
    #[serde(default, rename = "eniOptions")]
    pub eni_options: EniOptions,
    /// How long the allocations live.
    #[serde(default, rename = "allocationType")]
    #[x_kube(
        validation = Rule::new("self.type != 'Fixed' || has(self.releaseStrategy)")
            .message("a Fixed allocationType needs releaseStrategy: set it to TTL (with releaseAfter) or to Never")
            .field_path(".releaseStrategy"),
        validation = Rule::new("self.type != 'Fixed' || !has(self.releaseStrategy) || self.releaseStrategy != 'TTL' || (has(self.releaseAfter) && self.releaseAfter.matches('^[+]?(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$'))")
            .message("releaseStrategy TTL needs releaseAfter: set it to a duration such as 10m or 1h30m")
            .field_path(".releaseAfter"),
        validation = Rule::new("!has(self.releaseStrategy) || self.releaseStrategy != 'Never' || !has(self.releaseAfter) || self.releaseAfter == ''")
            .message("releaseStrategy Never keeps the ENI until its PodENI is deleted: remove releaseAfter, or set releaseStrategy to TTL")
            .field_path(".releaseAfter")
    )]
    pub allocation_type: AllocationType,
    /// Which pods. Both selectors must match when both are given; without any, the PodNetworking is
    /// used only by pods that name it in the annotation k8s.aliyun.com/pod-networks-request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub selector: Selector,
    /// Security groups of the ENIs, at most 10. Empty: filled from eni-config when the object is created.
    #[serde(default, rename = "securityGroupIDs", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(
        validation = Rule::new("self.size() <= 10")
            .message("an ENI can be in at most 10 security groups: shorten securityGroupIDs")
    )]
    pub security_group_ids: Vec<String>,
    /// vSwitches to choose from; they may be in several zones. Empty: filled from eni-config when the
    /// object is created.
    #[serde(default, rename = "vSwitchOptions", skip_serializing_if = "Vec::is_empty")]
    pub vswitch_options: Vec<String>,
    /// How a vSwitch of the node's zone is chosen.
    #[serde(default, rename = "vSwitchSelectOptions")]
    pub vswitch_select_options: VSwitchSelectOptions,
}

/// Which pods a PodNetworking is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Selector {
    /// Labels of the pods.
    #[serde(rename = "podSelector", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::label_selector")]
    pub pod_selector: Option<LabelSelector>,
    /// Labels of their namespaces.
    #[serde(rename = "namespaceSelector", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
}

impl Selector {
    /// True when no pod is selected: the PodNetworking is used by name only.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pod_selector.is_none() && self.namespace_selector.is_none()
    }
}

text_enum! {
    /// Whether a PodNetworking can be used.
    open PodNetworkingState {
        /// Not looked at yet.
        Unknown = "",
        /// Every vSwitch is known to the cloud.
        Ready = "Ready",
        /// The message says why not.
        Fail = "Fail",
    }
}

/// What became of a PodNetworking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodNetworkingStatus {
    /// Ready, Fail or empty.
    #[serde(skip_serializing_if = "is_default")]
    pub status: PodNetworkingState,
    /// The vSwitches with their zones.
    #[serde(rename = "vSwitches", skip_serializing_if = "Vec::is_empty")]
    pub vswitches: Vec<ResolvedVSwitch>,
    /// When the vSwitches were last looked up.
    #[serde(rename = "updateAt", skip_serializing_if = "Option::is_none")]
    pub update_at: Option<Time>,
    /// Why it is not Ready, in the cloud's own words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The lists above on one line each, for people.
    #[serde(skip_serializing_if = "is_default")]
    pub summary: PodNetworkingSummary,
    /// What holds now, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Generation this status speaks of.
    #[serde(rename = "observedGeneration", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A vSwitch and the zone the cloud says it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResolvedVSwitch {
    /// vSwitch id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Zone id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// A printer column shows the first match of its path only, so lists are joined here with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodNetworkingSummary {
    /// vSwitch ids.
    #[serde(rename = "vSwitchIDs", skip_serializing_if = "String::is_empty")]
    pub vswitch_ids: String,
    /// Zones, each once.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zones: String,
    /// Security group ids.
    #[serde(rename = "securityGroupIDs", skip_serializing_if = "String::is_empty")]
    pub security_group_ids: String,
}
