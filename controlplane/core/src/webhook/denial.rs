//! Why a pod is refused, in sentences that say what to change.

use terway_crds::names::annotation;

use super::allocation::AllocationProblem;
use super::matching::Reason;
use crate::carrier::NotServed;
use crate::cloud::MAX_SECURITY_GROUPS;
use crate::eni_config::ConfigProblem;

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("the annotations {} exclude each other: keep one of them", .0.join(" and "))]
    ConflictingAnnotations(Vec<&'static str>),
    #[error("annotation {annotation} cannot be read ({problem}): correct its JSON")]
    BadAnnotation {
        annotation: &'static str,
        problem: String,
    },
    #[error("annotation {0} names no network: add one, or remove the annotation")]
    NoNetwork(&'static str),
    #[error(
        "annotation {} names PodNetworking {network:?}, which does not exist: create it, or correct the name",
        annotation::POD_NETWORKS_REQUEST
    )]
    UnknownNetwork { network: String },
    #[error("PodNetworking {network} cannot be used: {reason}")]
    NetworkNotReady { network: String, reason: Reason },
    #[error(
        "PodNetworking {network} has a selector and cannot be named in annotation {}: name one without a selector, or remove the annotation and let the selector choose the pod",
        annotation::POD_NETWORKS_REQUEST
    )]
    NetworkHasSelector { network: String },
    #[error(
        "the PodNetworkings {} are of different eniTypes: name PodNetworkings of one eniType for a pod",
        .networks.join(", ")
    )]
    MixedEniTypes { networks: Vec<String> },
    #[error(
        "the PodNetworkings {} have no zone in common, and a pod is in one zone: give them vSwitches in a common zone",
        .networks.join(", ")
    )]
    NoCommonZone { networks: Vec<String> },
    #[error("interface name {name:?} cannot be used: give it 1 to 5 letters or digits, for example eth0")]
    InterfaceName { name: String },
    #[error("interface {name} is asked for twice: give each network an interface name of its own")]
    DuplicateInterface { name: String },
    #[error(
        "interface {interface}: an ENI can be in at most {MAX_SECURITY_GROUPS} security groups, and {count} are named: shorten securityGroupIDs"
    )]
    TooManySecurityGroups { interface: String, count: usize },
    #[error(
        "interface {interface} has no vSwitch: name one in vSwitchOptions, or set vswitches in the ConfigMap eni-config"
    )]
    NoVSwitch { interface: String },
    #[error(
        "interface {interface} has no security group: name one in securityGroupIDs, or set security_groups in the ConfigMap eni-config"
    )]
    NoSecurityGroup { interface: String },
    #[error(
        "interface {interface} names no vSwitch or no security group, and those of the ConfigMap eni-config cannot be read: {problem}"
    )]
    NoDefaults {
        interface: String,
        // Boxed: larger than all other refusals, and rare.
        problem: Box<ConfigProblem>,
    },
    #[error("interface {interface}: {problem}")]
    NotServed { interface: String, problem: NotServed },
    #[error("interface {interface}: {problem}")]
    Allocation {
        interface: String,
        problem: AllocationProblem,
    },
    #[error(
        "interface {interface} asks for a Fixed IP, but the pod belongs to a {owner}, whose pods do not keep their names: use a StatefulSet, or set allocationType.type to Elastic"
    )]
    NameNotKept { interface: String, owner: String },
    #[error("interface {interface}: {field} {word:?} is not known: use one of {}", .known.join(", "))]
    UnknownWord {
        interface: String,
        field: &'static str,
        word: String,
        known: &'static [&'static str],
    },
    #[error(
        "interface {interface}: route {dst:?} is no destination: write it as a CIDR, for example 10.1.0.0/16"
    )]
    BadRoute { interface: String, dst: String },
    #[error("interfaces {} both take the default route: set defaultRoute on one of them", .interfaces.join(" and "))]
    TwoDefaultRoutes { interfaces: Vec<String> },
}
