//! What the controllers need of a Kubernetes node.

use k8s_openapi::api::core::v1::Node;
use terway_crds::names::{annotation, label, resource};

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
    /// Id of the instance, empty when the node does not say.
    pub instance_id: String,
    /// Left alone: labelled so, or no real machine.
    pub ignored: bool,
    /// Pods get whole ENIs only.
    pub eni_only: bool,
    /// A Lingjun worker; served by other APIs of the cloud.
    pub lingjun: bool,
    /// Annotation: id of the trunk ENI.
    pub trunk_on: Option<String>,
    /// Annotation: trunk members that pods can have.
    pub max_member_annotation: Option<String>,
    /// Extended resource for trunk members in `status.capacity` and `status.allocatable`.
    pub member_capacity: Option<String>,
    pub member_allocatable: Option<String>,
    pub labels: std::collections::BTreeMap<String, String>,
}

impl NodeFacts {
    /// Trims a node. Of the labels only those in `keep` stay.
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
        let quantity = |list: Option<&std::collections::BTreeMap<String, _>>| {
            list.and_then(|list| list.get(resource::MEMBER_ENI))
                .map(|q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| q.0.clone())
        };
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta
                .resource_version
                .as_deref()
                .and_then(|v| v.parse().ok())
                .unwrap_or(0),
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
            member_capacity: quantity(status.and_then(|s| s.capacity.as_ref())),
            member_allocatable: quantity(status.and_then(|s| s.allocatable.as_ref())),
            labels: labels
                .into_iter()
                .filter(|(key, _)| keep.contains_key(key))
                .collect(),
        }
    }

    /// Whether the controllers look after this node: it says who it is, and nobody said not to.
    pub fn is_managed(&self, white_list: &std::collections::BTreeMap<String, String>) -> bool {
        !self.ignored
            && !self.lingjun
            && !self.region.is_empty()
            && !self.instance_id.is_empty()
            && white_list
                .iter()
                .all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// `<region>.<instance id>`; a Lingjun node's id is the whole.
fn instance_id(provider_id: &str, lingjun: bool) -> String {
    match provider_id.rsplit_once('.') {
        Some((_, id)) if !lingjun => id.into(),
        _ => provider_id.into(),
    }
}
