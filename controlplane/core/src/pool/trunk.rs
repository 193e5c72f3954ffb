//! The trunk of a node. An instance has one trunk. It carries member ENIs of pods, and pods share its own addresses.

use terway_crds::node::{Nic, NicStatus};
use terway_crds::{EniKind, OperationKind};

use super::draft::Draft;
use super::{adopt, demand, gone};
use crate::conditions::{Statement, state};

/// Condition of a Node object: whether its trunk is in use, and why not.
pub const TRUNK_READY: &str = "TrunkReady";

/// Whether a trunk has to be made: the node should have one, has none, and has a place for it.
pub(super) fn is_missing(draft: &Draft<'_>) -> bool {
    let eni = draft.observed.record.spec.eni.as_ref();
    let wanted = eni.is_some_and(|eni| eni.enable_trunk);
    let mut nics = draft.status.network_interfaces.values();
    // A trunk that is being given back may still be on the instance, and an instance has one trunk only.
    let there = nics.any(|nic| nic.kind == Some(EniKind::Trunk) && !gone::is_gone(nic));
    let coming = draft
        .status
        .operations
        .iter()
        .any(|o| matches!(o.kind, OperationKind::CreateTrunk | OperationKind::AttachTrunk));
    wanted && !there && !coming && draft.places_taken() < draft.capacity().enis()
}

/// Begins a trunk with up to `missing` addresses and returns their number. `None`: the node must be compared with the
/// cloud first, and nothing else may begin before.
pub(super) fn begin(draft: &mut Draft<'_>, missing: usize) -> Option<usize> {
    if adopt::is_fresh(draft) {
        return Some(demand::begin_create(
            draft,
            OperationKind::CreateTrunk,
            missing.max(1),
        ));
    }
    if draft.observed.settings.degradation.keeps_everything() {
        // No comparison is possible now. The trunk waits, and other ENIs go on.
        return Some(0);
    }
    // The instance may have a trunk that the record does not show.
    draft.status.next_sync_openapi_time = None;
    None
}

/// States whether the trunk is in use. The reason for a missing trunk is stated only if a pod waits for it, or if
/// degradation holds it back.
pub(super) fn tell(draft: &mut Draft<'_>) {
    let spec = &draft.observed.record.spec;
    let in_use = |nic: &&Nic| nic.kind == Some(EniKind::Trunk) && nic.status == NicStatus::InUse;
    let trunk = draft.status.network_interfaces.values().find(in_use);
    let pods = draft.observed.pods;
    let pod_waits = pods.iter().any(|pod| pod.wants_pod_eni && !pod.exited);
    let held_back = draft.observed.settings.degradation.begins_nothing();
    let (holds, reason, message) = if let Some(trunk) = trunk {
        (
            true,
            "TrunkAttached",
            format!("trunk ENI {} is attached", trunk.id),
        )
    } else if spec.node_cap.member_adapter_limit <= 0 && pod_waits {
        let words = format!("instance type {} has no trunk", spec.node_metadata.instance_type);
        (false, "NoTrunk", words)
    } else if is_missing(draft) && held_back {
        let words = "no trunk is made until degradation in ctrl-config.yaml is lifted";
        (false, "Degraded", words.to_owned())
    } else if draft.status.conditions.iter().any(|c| c.type_ == TRUNK_READY) {
        // What was said of an earlier trunk is not true any more.
        let words = "no trunk ENI is attached to the instance";
        (false, "NoTrunkAttached", words.to_owned())
    } else {
        return;
    };
    let statement = Statement {
        kind: TRUNK_READY,
        holds,
        reason,
        message,
    };
    let generation = draft.observed.record.metadata.generation;
    state(
        &mut draft.status.conditions,
        statement,
        generation,
        draft.observed.now,
    );
}
