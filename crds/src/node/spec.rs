//! Facts about a node, and what it is to have.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TerwayNodeStatus;
use crate::fields::{is_default, is_false};
use crate::shared::{EniKind, TrafficMode, VSwitchSelectionPolicy};

/// Facts about a node, and what it is to have.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "network.alibabacloud.com",
    version = "v1beta1",
    kind = "Node",
    root = "TerwayNode",
    plural = "nodes",
    singular = "node",
    shortname = "tnode",
    category = "terway",
    status = "TerwayNodeStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Node describes the networking of the Kubernetes node of the same name: its limits, its ENIs, and which pod has which of their addresses.",
    printcolumn(
        name = "Instance",
        type_ = "string",
        json_path = ".spec.nodeMetadata.instanceID",
        description = "Instance the node is"
    ),
    printcolumn(
        name = "Instance-Type",
        type_ = "string",
        json_path = ".spec.nodeMetadata.instanceType",
        description = "Type of the instance"
    ),
    printcolumn(
        name = "Zone",
        type_ = "string",
        json_path = ".spec.nodeMetadata.zoneID",
        description = "Zone of the instance"
    ),
    printcolumn(
        name = "ENIs",
        type_ = "integer",
        json_path = ".spec.nodeCap.adapters",
        description = "ENIs the instance can have, the primary included"
    ),
    printcolumn(
        name = "Members",
        type_ = "integer",
        json_path = ".spec.nodeCap.memberAdapterLimit",
        description = "Trunk members the instance can have"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Synced",
        type_ = "date",
        json_path = ".status.lastSyncOpenAPITime",
        priority = 1,
        description = "When the cloud was last asked"
    )
)]
#[serde(default)]
pub struct TerwayNodeSpec {
    /// Who the node is.
    #[serde(rename = "nodeMetadata", skip_serializing_if = "is_default")]
    pub node_metadata: NodeMetadata,
    /// What its instance type allows.
    #[serde(rename = "nodeCap", skip_serializing_if = "is_default")]
    pub node_cap: NodeCap,
    /// The datapath its agent runs.
    #[serde(skip_serializing_if = "is_default")]
    pub datapath: Datapath,
    /// How its ENIs are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni: Option<NodeEni>,
    /// How many idle addresses are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// How many ENIs of each kind it may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flavor: Vec<Flavor>,
}

/// Who a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeMetadata {
    /// Region id.
    #[serde(rename = "regionID")]
    pub region_id: String,
    /// Instance type.
    #[serde(rename = "instanceType")]
    pub instance_type: String,
    /// Instance id.
    #[serde(rename = "instanceID")]
    pub instance_id: String,
    /// Zone id.
    #[serde(rename = "zoneID")]
    pub zone_id: String,
}

/// Limits of an instance type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeCap {
    /// ENIs, the primary included.
    #[serde(skip_serializing_if = "is_default")]
    pub adapters: i32,
    /// ENIs, trunk members included.
    #[serde(rename = "totalAdapters", skip_serializing_if = "is_default")]
    pub total_adapters: i32,
    /// ENIs that can do RDMA.
    #[serde(rename = "eriQuantity", skip_serializing_if = "is_default")]
    pub eri_quantity: i32,
    /// IPv4 addresses of one ENI.
    #[serde(rename = "ipv4PerAdapter", skip_serializing_if = "is_default")]
    pub ipv4_per_adapter: i32,
    /// IPv6 addresses of one ENI.
    #[serde(rename = "ipv6PerAdapter", skip_serializing_if = "is_default")]
    pub ipv6_per_adapter: i32,
    /// Trunk members beside a full set of ENIs.
    #[serde(rename = "memberAdapterLimit", skip_serializing_if = "is_default")]
    pub member_adapter_limit: i32,
    /// Trunk members beside the primary ENI and the trunk.
    #[serde(rename = "maxMemberAdapterLimit", skip_serializing_if = "is_default")]
    pub max_member_adapter_limit: i32,
    /// Inbound bandwidth in kbit/s.
    #[serde(rename = "instanceBandwidthRx", skip_serializing_if = "is_default")]
    pub instance_bandwidth_rx: i64,
    /// Outbound bandwidth in kbit/s.
    #[serde(rename = "instanceBandwidthTx", skip_serializing_if = "is_default")]
    pub instance_bandwidth_tx: i64,
    /// Network cards of the instance.
    #[serde(rename = "networkCards", skip_serializing_if = "Vec::is_empty")]
    pub network_cards: Vec<NetworkCard>,
    /// Number of network cards.
    #[serde(rename = "networkCardsCount", skip_serializing_if = "Option::is_none")]
    pub network_cards_count: Option<i32>,
}

/// A physical network card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetworkCard {
    /// Index of the card.
    pub index: i32,
}

text_enum! {
    /// The datapath of a node.
    closed DatapathType {
        Veth = "veth",
        Ipvlan = "ipvlan",
        DatapathV2 = "datapathv2",
    }
}

/// The datapath of a node, as its agent reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Datapath {
    /// Kind of datapath.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<DatapathType>,
}

/// How the ENIs of a node are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeEni {
    /// Tags of new ENIs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tag: BTreeMap<String, String>,
    /// Only ENIs with all of these tags are managed.
    #[serde(rename = "tagFilter", skip_serializing_if = "BTreeMap::is_empty")]
    pub tag_filter: BTreeMap<String, String>,
    /// ENIs with any of these tags are left alone.
    #[serde(rename = "tagBlockList", skip_serializing_if = "Vec::is_empty")]
    pub tag_block_list: Vec<Tag>,
    /// vSwitches to choose from.
    #[serde(rename = "vSwitchOptions")]
    pub vswitch_options: Vec<String>,
    /// Security groups of new ENIs.
    #[serde(rename = "securityGroupIDs")]
    pub security_group_ids: Vec<String>,
    /// How a vSwitch is chosen.
    #[serde(rename = "vSwitchSelectPolicy")]
    pub vswitch_select_policy: VSwitchSelectionPolicy,
    /// Resource group of new ENIs.
    #[serde(rename = "resourceGroupID", skip_serializing_if = "String::is_empty")]
    pub resource_group_id: String,
    /// Give pods IPv4 addresses.
    #[serde(rename = "enableIPv4", skip_serializing_if = "is_false")]
    pub enable_ipv4: bool,
    /// Give pods IPv6 addresses.
    #[serde(rename = "enableIPv6", skip_serializing_if = "is_false")]
    pub enable_ipv6: bool,
    /// Use RDMA.
    #[serde(rename = "enableERDMA", skip_serializing_if = "is_false")]
    pub enable_erdma: bool,
    /// Make a trunk.
    #[serde(rename = "enableTrunk", skip_serializing_if = "is_false")]
    pub enable_trunk: bool,
    /// Take whole prefixes instead of single addresses. Cannot be changed later.
    #[serde(rename = "enableIPPrefix", skip_serializing_if = "is_false")]
    pub enable_ip_prefix: bool,
    /// IPv4 prefixes (/28) over all ENIs.
    #[serde(rename = "ipv4PrefixCount", skip_serializing_if = "is_default")]
    pub ipv4_prefix_count: i32,
    /// IPv6 prefixes over all ENIs.
    #[serde(rename = "ipv6PrefixCount", skip_serializing_if = "is_default")]
    pub ipv6_prefix_count: i32,
}

/// A tag of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tag {
    /// Key of the tag.
    pub key: String,
    /// Value of the tag.
    pub value: String,
}

/// How many idle addresses a node keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pool {
    /// Above this many idle addresses, some are given back.
    #[serde(rename = "maxPoolSize", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub max_pool_size: i32,
    /// Below this many idle addresses, more are taken.
    #[serde(rename = "minPoolSize", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub min_pool_size: i32,
    /// Addresses taken once, when the node joins.
    #[serde(rename = "warmUpSize", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub warm_up_size: i32,
    /// How often idle addresses are counted, as a Go duration.
    #[serde(rename = "poolSyncPeriod", skip_serializing_if = "String::is_empty")]
    pub pool_sync_period: String,
    /// How addresses that stay idle are given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reclaim: Option<Reclaim>,
}

/// How addresses that stay idle are given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reclaim {
    /// Idle time before an address is given back, as a Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// Time between two rounds, as a Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// Most addresses given back in one round.
    #[serde(rename = "batchSize", skip_serializing_if = "is_default")]
    pub batch_size: i32,
    /// Share of the interval that is random, as a decimal fraction.
    #[serde(rename = "jitterFactor", skip_serializing_if = "String::is_empty")]
    pub jitter_factor: String,
}

/// How many ENIs of one kind a node may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Flavor {
    /// Kind of ENI.
    #[serde(rename = "networkInterfaceType")]
    pub kind: EniKind,
    /// Traffic mode of the ENI.
    #[serde(rename = "networkInterfaceTrafficMode")]
    pub traffic_mode: TrafficMode,
    /// How many.
    #[schemars(range(min = 0))]
    pub count: i32,
}
