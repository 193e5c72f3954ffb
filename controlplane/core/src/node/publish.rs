//! What a Kubernetes node is told about its trunk: annotations and the extended resource.

use terway_crds::TerwayNode;

use super::{NodeFacts, trunk_nic};

/// Differences between what a node says and what it should say; `None` where it is right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Annotations to write: the trunk's id, and how many members pods can have.
    pub annotations: Option<(String, String)>,
    /// Quantity of the extended resource in capacity and allocatable. The kubelet sets extended
    /// resources to zero when it registers anew, so this is a repair as often as a first write.
    pub member_eni: Option<String>,
}

impl Publication {
    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares a node with its Node object. Before the trunk is in use nothing is published, so that
/// no pod is scheduled to a node that cannot serve it.
pub fn plan_publication(node: &NodeFacts, record: &TerwayNode) -> Publication {
    let Some(trunk) = trunk_nic(record) else {
        return Publication::default();
    };
    let members = record.spec.node_cap.member_adapter_limit.to_string();
    let annotated = node.trunk_on.as_deref() == Some(&trunk.id)
        && node.max_member_annotation.as_deref() == Some(&members);
    let advertised = node.member_capacity.as_deref() == Some(&members)
        && node.member_allocatable.as_deref() == Some(&members);
    Publication {
        annotations: (!annotated).then(|| (trunk.id.clone(), members.clone())),
        member_eni: (!advertised).then_some(members),
    }
}
