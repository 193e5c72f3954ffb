//! The events about a PodENI, on its pod.

use terway_crds::names::{action, event};
use terway_crds::{Phase, PodEni, PodEniStatus};

use super::step::Wait;
use crate::cloud::CloudEni;
use crate::intent::Refused;
use crate::news::News;

/// An ENI was made for the pod.
pub fn created(eni: &CloudEni) -> News {
    let address = eni.primary_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let note = format!(
        "created ENI {} with address {address} in vSwitch {}",
        eni.id, eni.vswitch_id
    );
    News::good(event::CREATE_ENI_SUCCEED, action::CREATE_ENI, note)
}

/// The cloud made no ENI.
pub fn create_refused(refused: &Refused) -> News {
    let note = format!(
        "the cloud refused to create the ENI: {}: {}",
        refused.code, refused.message
    );
    News::bad(event::CREATE_ENI_FAILED, action::CREATE_ENI, note)
}

/// The pod's ENI is not requested yet, because other ENIs of the node or the cluster have to be attached first.
pub fn waits_for_room(node: &str) -> News {
    let note = format!(
        "the ENI is not created yet: ENIs that were created before wait to be attached; see the NetworkInterfaces of \
         node {node} and the setting eniMaxConcurrent"
    );
    News::bad(event::CREATE_ENI_FAILED, action::CREATE_ENI, note)
}

/// The event for a phase that the record reaches with the write of `after`; `None` if the record is in this phase
/// already, or if the phase is no news.
pub fn phase_reached(record: &PodEni, after: &PodEniStatus) -> Option<News> {
    let before = record.status.as_ref().map(|status| &status.phase);
    if before == Some(&after.phase) {
        return None;
    }
    let enis = &after.summary.eni_ids;
    match after.phase {
        Phase::Bind => {
            let (ips, instance) = (&after.summary.ips, &after.instance_id);
            let note = format!("attached ENI {enis} with address {ips} to instance {instance}");
            Some(News::good(event::ATTACH_ENI_SUCCEED, action::ATTACH_ENI, note))
        }
        Phase::Unbind => {
            let note = format!("detached ENI {enis}; it is kept for the next pod of this name");
            Some(News::good(event::DETACH_ENI_SUCCEED, action::DETACH_ENI, note))
        }
        _ => None,
    }
}

/// The event for a wait that keeps a pod from starting. `note` is the reason. A refused create has its own event.
pub fn held_up(wait: &Wait, note: &str) -> Option<News> {
    let matters = match wait {
        Wait::NoTrunk | Wait::NoNode | Wait::NotServed | Wait::Malformed | Wait::Degraded => true,
        Wait::Unattached { needs_help, .. } => *needs_help,
        Wait::Done
        | Wait::Interfaces
        | Wait::Later(_)
        | Wait::Refused { .. }
        | Wait::Pod
        | Wait::PodLives => false,
    };
    matters.then(|| News::bad(event::ATTACH_ENI_FAILED, action::ATTACH_ENI, note))
}
