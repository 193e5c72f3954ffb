//! eni-config: how the shared ENIs and the trunk of a node are made, as the ConfigMap says it.
//!
//! The default comes from the ConfigMap eni-config; a node may name another ConfigMap whose value is
//! merged over it (RFC 7396). What is read becomes part of the node's Node object, so that a change
//! takes effect without restarting anything, and a value that cannot be served leaves the node as it is.

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
pub use resolve::{Place, Wanted, resolve};

/// Most tags of one ENI that a user can choose: three are the product's own.
pub const MAX_USER_TAGS: usize = MAX_TAGS - 3;

/// How addresses that stay idle are given back; off without `after`.
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

/// The keys of `eni_conf` that have a meaning here, each of its proper form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EniConfig {
    /// vSwitches by zone.
    pub vswitches: BTreeMap<String, Vec<String>>,
    /// Each once, in the order given.
    pub security_groups: Vec<String>,
    pub vswitch_policy: VSwitchSelectionPolicy,
    pub resource_group_id: String,
    pub tags: BTreeMap<String, String>,
    pub tag_filter: BTreeMap<String, String>,
    /// ENIs with any of these are left alone; the built-in ones are among them.
    pub tag_block_list: Vec<Tag>,
    pub max_pool_size: i32,
    pub min_pool_size: i32,
    pub warm_up_size: i32,
    /// A Go duration; empty is the default.
    pub pool_sync_period: String,
    pub reclaim: Option<IdleReclaim>,
    /// `None`: as the control plane's own setting says.
    pub trunking: Option<bool>,
    /// Write the annotation with a pod's addresses.
    pub patch_pod_ips: bool,
    /// Keys with a value that this version reads and does not serve; each with a sentence.
    pub not_served: Vec<&'static str>,
}

impl EniConfig {
    /// Reads the value of the key `eni_conf`, with the value of the node's own ConfigMap over it.
    ///
    /// # Errors
    /// When a value has a wrong form, or contradicts another.
    pub fn parse(default: &str, node: Option<&str>) -> Result<Self, ConfigProblem> {
        keys::read(&merged(default, node)?)
    }

    /// Every vSwitch, zone by zone.
    pub fn all_vswitches(&self) -> Vec<String> {
        self.vswitches.values().flatten().cloned().collect()
    }
}
