//! The facts about a Kubernetes node that the controllers need.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use terway_crds::names::{annotation, condition, label, resource};

use crate::intent::elapsed;

/// A Kubernetes node, trimmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub name: String,
    pub uid: String,
    /// resourceVersion.
    pub version: u64,
    pub region: String,
    pub zone: String,
    pub instance_type: String,
    /// Id of the instance; empty if the node does not name it.
    pub instance_id: String,
    /// Whether the node is left alone: its label says so, or it is not a real machine.
    pub ignored: bool,
    /// Whether pods of the node get whole ENIs only.
    pub eni_only: bool,
    /// Whether the node is a Lingjun worker, which needs other APIs of the cloud.
    pub lingjun: bool,
    /// The annotation with the id of the trunk ENI.
    pub trunk_on: Option<String>,
    /// The annotation with the number of trunk members that pods can have.
    pub max_member_annotation: Option<String>,
    /// Extended resource for trunk members in `status.capacity` and `status.allocatable`.
    pub member_capacity: Option<String>,
    pub member_allocatable: Option<String>,
    /// Extended resource for whole ENIs in `status.capacity` and `status.allocatable`.
    pub eni_capacity: Option<String>,
    pub eni_allocatable: Option<String>,
    /// The annotation with the number of addresses that pods can have.
    pub max_ip_annotation: Option<String>,
    /// The condition SufficientIP, if the node has it.
    pub sufficient_ip: Option<SufficientIp>,
    /// Name of the ConfigMap that changes eni-config for this node.
    pub dynamic_config: Option<String>,
    pub labels: std::collections::BTreeMap<String, String>,
}

/// The condition SufficientIP of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SufficientIp {
    pub holds: bool,
    /// The time of its last heartbeat.
    pub heartbeat: Option<Timestamp>,
}

/// Shortest time between two heartbeats of the condition. A reader may take an old condition for dead.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// Time until the condition has to be written again: zero if it is wrong or too old. `seed` spreads the nodes, so that
/// nodes that joined together are not written together for ever.
pub fn heartbeat_due(known: Option<SufficientIp>, holds: bool, now: Timestamp, seed: u64) -> Duration {
    let Some(known) = known.filter(|known| known.holds == holds) else {
        return Duration::ZERO;
    };
    let period = HEARTBEAT + Duration::from_millis(seed % 60_000);
    known
        .heartbeat
        .map_or(Duration::ZERO, |said| period.saturating_sub(elapsed(said, now)))
}

impl NodeFacts {
    /// Trims a node. Only the labels in `keep` stay.
    pub fn from_node(node: &Node, keep: &std::collections::BTreeMap<String, String>) -> Self {
        let meta = &node.metadata;
        let labels = meta.labels.clone().unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let annotation = |name: &str| {
            meta.annotations
                .as_ref()
                .and_then(|a| a.get(name))
                .filter(|v| !v.is_empty())
                .cloned()
        };
        let zone = Some(label(label::ZONE)).filter(|zone| !zone.is_empty());
        let lingjun = label(label::LINGJUN_WORKER) == "true";
        let provider = node
            .spec
            .as_ref()
            .and_then(|spec| spec.provider_id.as_deref())
            .unwrap_or_default();
        let status = node.status.as_ref();
        let quantity = |list: Option<&std::collections::BTreeMap<String, _>>, name: &str| {
            list.and_then(|list| list.get(name))
                .map(|q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| q.0.clone())
        };
        let capacity = status.and_then(|s| s.capacity.as_ref());
        let allocatable = status.and_then(|s| s.allocatable.as_ref());
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            version: crate::meta::version(meta.resource_version.as_deref()),
            region: label(label::REGION),
            zone: zone.unwrap_or_else(|| label(label::ZONE_BETA)),
            instance_type: label(label::INSTANCE_TYPE),
            instance_id: instance_id(provider, lingjun),
            ignored: label(label::IGNORE) == "true"
                || label(label::NODE_TYPE) == label::NODE_TYPE_VIRTUAL_KUBELET,
            eni_only: label(label::EXCLUSIVE_MODE).eq_ignore_ascii_case(label::EXCLUSIVE_ENI_ONLY),
            lingjun,
            trunk_on: annotation(annotation::TRUNK_ON),
            max_member_annotation: annotation(annotation::MAX_MEMBER_ENI_IP),
            member_capacity: quantity(capacity, resource::MEMBER_ENI),
            member_allocatable: quantity(allocatable, resource::MEMBER_ENI),
            eni_capacity: quantity(capacity, resource::ENI),
            eni_allocatable: quantity(allocatable, resource::ENI),
            max_ip_annotation: annotation(annotation::MAX_AVAILABLE_IP),
            sufficient_ip: status
                .and_then(|s| {
                    s.conditions
                        .as_ref()?
                        .iter()
                        .find(|c| c.type_ == condition::SUFFICIENT_IP)
                })
                .map(|c| SufficientIp {
                    holds: c.status == "True",
                    heartbeat: c.last_heartbeat_time.as_ref().map(|time| time.0),
                }),
            dynamic_config: Some(label(label::DYNAMIC_CONFIG)).filter(|name| !name.is_empty()),
            labels: labels
                .into_iter()
                .filter(|(key, _)| keep.contains_key(key))
                .collect(),
        }
    }

    /// Whether the controllers manage this node: it names its instance, and nothing excludes it.
    pub fn is_managed(&self, white_list: &std::collections::BTreeMap<String, String>) -> bool {
        !self.is_left_alone(white_list) && self.lacks().is_none()
    }

    /// Whether the node is none of ours: a label or the settings exclude it.
    fn is_left_alone(&self, white_list: &std::collections::BTreeMap<String, String>) -> bool {
        let selected = white_list
            .iter()
            .all(|(key, value)| self.labels.get(key) == Some(value));
        self.ignored || self.lingjun || !selected
    }

    /// What the node does not say of itself, and the cure.
    fn lacks(&self) -> Option<String> {
        if self.instance_id.is_empty() {
            return Some(
                "its spec.providerID does not name its instance: let the cloud controller manager set it"
                    .into(),
            );
        }
        self.region.is_empty().then(|| {
            format!(
                "it has no label {}: add the label with the node's region",
                label::REGION
            )
        })
    }

    /// Why a node that should be managed is not, in a sentence for people.
    pub fn why_unmanaged(&self, white_list: &std::collections::BTreeMap<String, String>) -> Option<String> {
        if self.is_left_alone(white_list) {
            return None;
        }
        let lacks = self.lacks()?;
        Some(format!(
            "pods of node {} get no addresses, because {lacks}",
            self.name
        ))
    }
}

/// The instance id of a providerID `<region>.<instance id>`. For a Lingjun node it is the whole text.
fn instance_id(provider_id: &str, lingjun: bool) -> String {
    match provider_id.rsplit_once('.') {
        Some((_, id)) if !lingjun => id.into(),
        _ => provider_id.into(),
    }
}
