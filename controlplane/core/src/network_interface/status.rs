//! The status of a NetworkInterface in each of its states.

use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::condition;
use terway_crds::{AttachTo, BindStatus, EniInfo, EniKind, NetworkInterface, NetworkInterfaceStatus, Phase};

use super::step::{DETACHED, ELSEWHERE, ENI_NOT_FOUND, FOREIGN, Wait};
use crate::cloud::{CloudEni, EniKind as CloudKind};
use crate::conditions::{Statement, state};

/// The sentence about an ENI that does not exist, or no longer exists.
const NOT_FOUND: &str = "the cloud does not know this ENI: somebody deleted it, or its id is wrong";

fn base(interface: &NetworkInterface) -> NetworkInterfaceStatus {
    let mut status = interface.status.clone().unwrap_or_default();
    if status.eni_info.id.is_empty() {
        status.eni_info.id = interface.metadata.name.clone().unwrap_or_default();
    }
    status
}

/// Attached at `target`.
pub fn attached(
    interface: &NetworkInterface,
    target: &AttachTo,
    eni: &CloudEni,
    now: Timestamp,
) -> NetworkInterfaceStatus {
    let mut status = base(interface);
    status.phase = Phase::Bind;
    status.instance_id = target.instance_id.clone();
    status.trunk_eni_id = target.trunk_eni_id.clone();
    status.node_name = target.node_name.clone();
    status.network_card_index = target.network_card_index;
    status.observed_generation = interface.metadata.generation;
    // What an earlier term decided is over.
    status.term.clear();
    status.eni_info = EniInfo {
        id: eni.id.clone(),
        kind: Some(kind_of(&eni.kind, target)),
        vid: eni.device_index.map(i32::from),
        status: BindStatus::Bind,
        network_card_index: eni.network_card_index,
        vf_id: None,
    };
    let ready = Statement {
        kind: condition::READY,
        holds: true,
        reason: "Attached",
        message: format!("attached to instance {}", target.instance_id),
    };
    state(&mut status.conditions, ready, interface.metadata.generation, now);
    status
}

fn kind_of(kind: &CloudKind, target: &AttachTo) -> EniKind {
    match kind {
        CloudKind::Primary => EniKind::Primary,
        CloudKind::Trunk => EniKind::Trunk,
        CloudKind::Member => EniKind::Member,
        // A member is listed as secondary by some endpoints; being on a trunk is what makes one.
        CloudKind::Secondary | CloudKind::Other(_) if !target.trunk_eni_id.is_empty() => EniKind::Member,
        CloudKind::Secondary | CloudKind::Other(_) => EniKind::Secondary,
    }
}

/// Attached nowhere, and kept.
pub fn detached(interface: &NetworkInterface, now: Timestamp) -> NetworkInterfaceStatus {
    let mut status = base(interface);
    status.phase = Phase::Unbind;
    status.instance_id.clear();
    status.trunk_eni_id.clear();
    status.node_name.clear();
    status.network_card_index = None;
    status.observed_generation = interface.metadata.generation;
    status.eni_info.status = BindStatus::Unbind;
    status.eni_info.vid = None;
    status.eni_info.vf_id = None;
    status.eni_info.network_card_index = None;
    let ready = Statement {
        kind: condition::READY,
        holds: false,
        reason: DETACHED,
        message: "attached to no instance; kept for the next pod".into(),
    };
    state(&mut status.conditions, ready, interface.metadata.generation, now);
    status
}

/// Detached by somebody else, and to be attached again.
pub fn torn_off(interface: &NetworkInterface, now: Timestamp) -> NetworkInterfaceStatus {
    let mut status = base(interface);
    status.phase = Phase::Binding;
    status.eni_info.status = BindStatus::Unbind;
    status.eni_info.vid = None;
    let ready = Statement {
        kind: condition::READY,
        holds: false,
        reason: "DetachedByOthers",
        message: format!(
            "somebody detached the ENI from instance {}: it is attached again",
            status.instance_id
        ),
    };
    state(&mut status.conditions, ready, interface.metadata.generation, now);
    status
}

/// Attached, until somebody deleted the ENI in the cloud.
pub fn lost(interface: &NetworkInterface, now: Timestamp) -> NetworkInterfaceStatus {
    let mut status = detached(interface, now);
    let ready = Statement {
        kind: condition::READY,
        holds: false,
        reason: ENI_NOT_FOUND,
        message: NOT_FOUND.to_owned(),
    };
    state(&mut status.conditions, ready, interface.metadata.generation, now);
    status
}

/// The state as it is, with the term that is about to detach or delete.
pub fn with_term(interface: &NetworkInterface, term: &str) -> NetworkInterfaceStatus {
    let mut status = base(interface);
    status.term = term.to_owned();
    status
}

/// The state as it is, with the reason of a wait that a person should know of; `None` when the object says so already,
/// or when there is nothing to say.
pub fn waiting(interface: &NetworkInterface, wait: &Wait, now: Timestamp) -> Option<NetworkInterfaceStatus> {
    let (reason, message) = words(wait)?;
    let mut status = base(interface);
    let ready = Statement {
        kind: condition::READY,
        holds: false,
        reason,
        message,
    };
    state(&mut status.conditions, ready, interface.metadata.generation, now).then_some(status)
}

/// Reason and sentence of a wait that a person should know of.
fn words(wait: &Wait) -> Option<(&'static str, String)> {
    match wait {
        Wait::HolderLives => Some((
            "PodStillRuns",
            "asked to go while the pod lives: the ENI is detached when the pod is gone".to_owned(),
        )),
        Wait::Elsewhere { instance_id } => Some((
            ELSEWHERE,
            format!("the ENI is attached to instance {instance_id} by somebody else: detach it there"),
        )),
        Wait::Degraded => Some((
            "Degraded",
            "held back until degradation in ctrl-config.yaml is lifted".to_owned(),
        )),
        Wait::Foreign(why) => Some((FOREIGN, why.to_string())),
        Wait::NotFound => Some((ENI_NOT_FOUND, NOT_FOUND.to_owned())),
        Wait::Done | Wait::Cloud | Wait::Later(_) => None,
    }
}

impl Wait {
    /// Time until the next look; `None` when a change or the poller tells.
    pub fn look_again(&self) -> Option<Duration> {
        match self {
            Self::Later(time) => Some(*time),
            // No watch and no poll reports that somebody else detached or tagged the ENI, so the time is fixed.
            Self::Elsewhere { .. } | Self::Foreign(_) => Some(Duration::from_secs(30)),
            Self::Done | Self::Cloud | Self::HolderLives | Self::NotFound | Self::Degraded => None,
        }
    }
}

#[cfg(test)]
mod tests;
