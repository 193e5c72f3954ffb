//! eni-config: the settings of the shared ENIs and the trunk of a node, from a ConfigMap.
//!
//! The default comes from the ConfigMap eni-config. A node may name another ConfigMap, which is merged over the default
//! (RFC 7396). The settings become part of the Node object, so that a change takes effect without a restart. A wrong
//! value leaves the node as it is.

mod keys;
mod merge;
mod problem;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use terway_crds::VSwitchSelectionPolicy;
use terway_crds::node::Tag;

use crate::cloud::MAX_TAGS;

pub use merge::merged;
pub use problem::ConfigProblem;
pub use resolve::{NodeProfile, Wanted, resolve};

/// Most tags of one ENI that a user can choose: three are the product's own.
pub const MAX_USER_TAGS: usize = MAX_TAGS - 3;

/// The settings for giving back idle addresses. Without `after` nothing is given back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdleReclaim {
    /// A Go duration.
    pub after: String,
    /// A Go duration.
    pub interval: String,
    pub batch_size: i32,
    /// A decimal fraction.
    pub jitter_factor: String,
}

/// The keys of `eni_conf` that this product follows, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EniConfig {
    /// vSwitch ids by zone.
    pub vswitches: BTreeMap<String, Vec<String>>,
    /// Security group ids, each once, in the user's order.
    pub security_groups: Vec<String>,
    pub vswitch_policy: VSwitchSelectionPolicy,
    pub resource_group_id: String,
    pub tags: BTreeMap<String, String>,
    pub tag_filter: BTreeMap<String, String>,
    /// ENIs with one of these tags are left alone. The built-in tags are part of the list.
    pub tag_block_list: Vec<Tag>,
    pub max_pool_size: i32,
    pub min_pool_size: i32,
    pub warm_up_size: i32,
    /// Time between two checks of idle addresses, as a Go duration. Empty: the default.
    pub pool_sync_period: String,
    pub reclaim: Option<IdleReclaim>,
    /// Whether the node gets a trunk; `None`: as the setting `enableTrunk` says.
    pub trunking: Option<bool>,
    /// Whether the control plane writes the annotation with a pod's addresses.
    pub patch_pod_ips: bool,
    /// A sentence for each key whose value this version reads and does not serve.
    pub not_served: Vec<&'static str>,
}

impl EniConfig {
    /// Reads the value of the key `eni_conf`, with the value of the node's own ConfigMap over it.
    ///
    /// # Errors
    /// When a value has a wrong form or contradicts another value.
    pub fn parse(default: &str, node: Option<&str>) -> Result<Self, ConfigProblem> {
        keys::read(&merged(default, node)?)
    }

    /// Every vSwitch, zone by zone.
    pub fn all_vswitches(&self) -> Vec<String> {
        self.vswitches.values().flatten().cloned().collect()
    }
}
