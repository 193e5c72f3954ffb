//! What carries the traffic of a pod's interface, and which carriers are served.
//!
//! This file decides for admission, for the records of pods, for their binding and for what a node publishes. A
//! carrier that the node's agent cannot serve is refused here, before an ENI is made that the user pays for.

use terway_crds::names::label;
use terway_crds::{Allocation, EniType};

use crate::node::NodeFacts;

/// What carries the traffic of a pod's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// An address of an ENI that the pods of a node share.
    SharedNic,
    /// An ENI of the pod's own, attached as a member of the node's trunk.
    TrunkMember,
    /// An ENI of the pod's own, attached to the instance itself.
    WholeNic,
}

/// Why a pod cannot have the carrier it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    #[error("eniType ENI asks for a whole ENI, which is not served yet: set eniType to Trunk or Default")]
    WholeEni,
    #[error(
        "the control plane's setting enableTrunk is false, and whole ENIs are not served yet: set enableTrunk to true"
    )]
    TrunkOff,
    #[error(
        "node {node} has the label {}={}, and whole ENIs are not served yet: remove the label from the node",
        label::EXCLUSIVE_MODE,
        label::EXCLUSIVE_ENI_ONLY
    )]
    NodeOfWholeEnis { node: String },
    #[error(
        "the allocation is a whole ENI, which is not served yet: set eniType to Trunk or Default, remove the label {} from the node, and delete the pod",
        label::EXCLUSIVE_MODE
    )]
    RecordedWholeEni,
}

impl Carrier {
    /// The carrier of a network whose pod has no node yet. `enable_trunk` is the control plane's setting.
    ///
    /// # Errors
    /// When no node serves what the network asks for.
    pub fn asked(kind: &EniType, enable_trunk: bool) -> Result<Carrier, NotServed> {
        match kind {
            EniType::Eni => Err(NotServed::WholeEni),
            EniType::Trunk | EniType::Default | EniType::Other(_) if !enable_trunk => {
                Err(NotServed::TrunkOff)
            }
            EniType::Trunk | EniType::Default | EniType::Other(_) => Ok(Carrier::TrunkMember),
        }
    }

    /// The carrier of a network on the pod's node.
    ///
    /// # Errors
    /// When the node does not serve what the network asks for. (Upstream attaches another kind of ENI without a
    /// word, and the pod's bandwidth and limits are not those that its author asked for.)
    pub fn on_node(kind: &EniType, node: &NodeFacts, enable_trunk: bool) -> Result<Carrier, NotServed> {
        check_node(node)?;
        Carrier::asked(kind, enable_trunk)
    }

    /// The carrier that a record says. Records of old versions leave the choice to the node's mode.
    pub fn recorded(allocation: &Allocation, node: &NodeFacts) -> Carrier {
        match allocation.eni.attachment_options.trunk {
            Some(true) => Carrier::TrunkMember,
            None if !node.eni_only => Carrier::TrunkMember,
            Some(false) | None => Carrier::WholeNic,
        }
    }

    /// Whether the agents of nodes can serve pods by this carrier.
    pub fn is_served(self) -> bool {
        match self {
            Carrier::SharedNic | Carrier::TrunkMember => true,
            Carrier::WholeNic => false,
        }
    }
}

/// Checks that pods of the node can be served by some carrier.
///
/// # Errors
/// When the node is for whole ENIs only.
pub fn check_node(node: &NodeFacts) -> Result<(), NotServed> {
    if node.eni_only && !Carrier::WholeNic.is_served() {
        return Err(NotServed::NodeOfWholeEnis {
            node: node.name.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(eni_only: bool) -> NodeFacts {
        NodeFacts {
            name: "node1".into(),
            eni_only,
            ..NodeFacts::default()
        }
    }

    #[test]
    fn what_is_not_served_is_refused_with_the_cure() {
        for (kind, eni_only, enable_trunk, cure) in [
            (EniType::Eni, false, true, "set eniType to Trunk or Default"),
            (EniType::Eni, false, false, "set eniType to Trunk or Default"),
            (EniType::Default, false, false, "set enableTrunk to true"),
            (EniType::Trunk, false, false, "set enableTrunk to true"),
            (EniType::Default, true, true, "remove the label"),
            (EniType::Trunk, true, true, "remove the label"),
            (EniType::Eni, true, true, "remove the label"),
        ] {
            let refused = Carrier::on_node(&kind, &node(eni_only), enable_trunk).unwrap_err();
            assert!(refused.to_string().contains(cure), "{kind}: {refused}");
        }
        for kind in [EniType::Default, EniType::Trunk] {
            assert_eq!(
                Carrier::on_node(&kind, &node(false), true),
                Ok(Carrier::TrunkMember)
            );
        }
    }

    #[test]
    fn a_record_without_a_choice_follows_its_node() {
        let recorded = |trunk, eni_only| {
            let mut allocation = Allocation::default();
            allocation.eni.attachment_options.trunk = trunk;
            Carrier::recorded(&allocation, &node(eni_only))
        };
        for eni_only in [false, true] {
            assert_eq!(recorded(Some(true), eni_only), Carrier::TrunkMember);
            assert_eq!(recorded(Some(false), eni_only), Carrier::WholeNic);
        }
        assert_eq!(recorded(None, false), Carrier::TrunkMember);
        assert_eq!(recorded(None, true), Carrier::WholeNic);
    }
}
