//! Errors of eni-config. Every sentence names the key, its value and the remedy.

use super::MAX_USER_TAGS;
use crate::cloud::MAX_SECURITY_GROUPS;

/// Why eni-config is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    #[error("eni_conf of {place} is no JSON object ({problem}): correct it")]
    NotJson { place: &'static str, problem: String },
    #[error("{key} has the value {value}, which is not {expected}: correct it")]
    WrongForm {
        key: String,
        value: String,
        expected: &'static str,
    },
    #[error(
        "min_pool_size is {min} and max_pool_size is {max}: make min_pool_size the smaller, or raise max_pool_size"
    )]
    MinAboveMax { min: i32, max: i32 },
    #[error(
        "security_groups names {count} groups ({groups}), and an ENI can have {MAX_SECURITY_GROUPS}: remove some"
    )]
    TooManySecurityGroups { count: usize, groups: String },
    #[error("security_groups is empty: name at least one security group")]
    NoSecurityGroup,
    #[error("eni_tags has {count} tags, and there is room for {MAX_USER_TAGS} beside our own: remove some")]
    TooManyTags { count: usize },
    #[error("eni_tags sets {key} to {value:?}, which is the product's own tag: remove it")]
    OwnTag { key: String, value: String },
    #[error("vswitches has no entry for zone {zone} of this node: add vswitches[{zone:?}]")]
    ZoneWithoutVSwitch { zone: String },
    #[error("vswitches names {vswitch} twice, for {first} and for {second}: remove one of them")]
    VSwitchTwice {
        vswitch: String,
        first: String,
        second: String,
    },
    #[error("vswitches[{zone:?}] names {vswitch}, which the cloud does not know: correct or remove it")]
    UnknownVSwitch { zone: String, vswitch: String },
    #[error("vswitches[{zone:?}] names {vswitch}, which is in zone {actual}: move it there")]
    VSwitchOfOtherZone {
        zone: String,
        vswitch: String,
        actual: String,
    },
    #[error(
        "vswitches[{zone:?}] names {first} ({first_cidr}) and {second} ({second_cidr}), which overlap: remove one of them"
    )]
    Overlap {
        zone: String,
        first: String,
        first_cidr: String,
        second: String,
        second_cidr: String,
    },
}
