//! The one place that writes into a PodNetworking's status.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::PodNetworking;
use terway_crds::names::condition;
use terway_crds::pod_networking::{
    PodNetworkingState, PodNetworkingStatus, PodNetworkingSummary, ResolvedVSwitch,
};

use super::workloads::Workload;
use crate::cloud::VSwitch;
use crate::conditions::{Statement, state};

/// Number of workloads or pods that a condition names. There may be thousands.
const NAMED: usize = 5;

/// Every vSwitch is known.
pub(super) fn ready(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    found: &[VSwitch],
    now: Timestamp,
) {
    let zones: BTreeSet<&str> = found.iter().map(|vswitch| vswitch.zone_id.as_str()).collect();
    let ids: Vec<&str> = found.iter().map(|vswitch| vswitch.id.as_str()).collect();
    let resolved = |vswitch: &VSwitch| ResolvedVSwitch {
        id: vswitch.id.clone(),
        zone: vswitch.zone_id.clone(),
    };
    status.vswitches = found.iter().map(resolved).collect();
    status.summary = PodNetworkingSummary {
        vswitch_ids: ids.join(","),
        zones: zones.into_iter().collect::<Vec<_>>().join(","),
        security_group_ids: networking.spec.security_group_ids.join(","),
    };
    status.status = PodNetworkingState::Ready;
    status.message.clear();
    status.update_at = Some(Time(now));
    let message = format!("vSwitches in {}", status.summary.zones);
    say(status, networking, true, "Resolved", message, now);
}

/// The PodNetworking cannot be used. vSwitches that were found earlier stay in the status.
pub(super) fn failed(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    reason: &'static str,
    message: String,
    now: Timestamp,
) {
    status.status = PodNetworkingState::Fail;
    status.message.clone_from(&message);
    status.update_at = Some(Time(now));
    say(status, networking, false, reason, message, now);
}

/// The cloud could not be asked about a change of a PodNetworking that was ready. The status stays one of the former
/// generation, so the change is looked at again.
pub(super) fn unchecked(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    problem: &str,
    now: Timestamp,
) {
    let message = format!("the newest change is used, and is not checked yet: {problem}");
    if status.message != message {
        status.update_at = Some(Time(now));
    }
    status.message.clone_from(&message);
    let statement = Statement {
        kind: condition::READY,
        holds: true,
        reason: "ChangeNotChecked",
        message,
    };
    state(
        &mut status.conditions,
        statement,
        networking.metadata.generation,
        now,
    );
}

fn say(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    holds: bool,
    reason: &'static str,
    message: String,
    now: Timestamp,
) {
    let generation = networking.metadata.generation;
    status.observed_generation = generation;
    let statement = Statement {
        kind: condition::READY,
        holds,
        reason,
        message,
    };
    state(&mut status.conditions, statement, generation, now);
}

/// States which workloads are passed over. There is no statement before the first such workload.
pub(super) fn workloads(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    passed_over: &[Workload],
    now: Timestamp,
) {
    let (reason, message) = match passed_over {
        [] => ("NoneSelected", String::new()),
        _ => (
            "NameNotKept",
            format!(
                "{} selected, but their pods do not keep their names and cannot have a Fixed IP: \
                 use a StatefulSet, or narrow the selector",
                names(passed_over)
            ),
        ),
    };
    let statement = Statement {
        kind: condition::PASSED_OVER,
        holds: !passed_over.is_empty(),
        reason,
        message,
    };
    state_if_ever(status, networking, statement, now);
}

/// States which living pods are selected and have no networks. There is no statement before the first such pod.
pub(super) fn unserved(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    pods: &[String],
    now: Timestamp,
) {
    let (reason, message) = match pods {
        [] => ("AllServed", String::new()),
        _ => (
            "CreatedWithoutNetwork",
            format!(
                "{} selected, but no webhook gave them this network when they were created, \
                 so they have shared addresses and the node's security groups: delete \
                 them, so that their successors get it",
                names(pods)
            ),
        ),
    };
    let statement = Statement {
        kind: condition::UNSERVED,
        holds: !pods.is_empty(),
        reason,
        message,
    };
    state_if_ever(status, networking, statement, now);
}

/// The first names, and the number of the others.
fn names(all: &[impl ToString]) -> String {
    let names: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// States something that is worth a condition only once it has been true.
fn state_if_ever(
    status: &mut PodNetworkingStatus,
    networking: &PodNetworking,
    statement: Statement<'static>,
    now: Timestamp,
) {
    let said = status
        .conditions
        .iter()
        .any(|known| known.type_ == statement.kind);
    if statement.holds || said {
        state(
            &mut status.conditions,
            statement,
            networking.metadata.generation,
            now,
        );
    }
}

/// Whether the status has to be written. A new time of the last look alone is no reason.
pub(super) fn differs(before: &PodNetworkingStatus, after: &PodNetworkingStatus) -> bool {
    let mut comparable = after.clone();
    comparable.update_at.clone_from(&before.update_at);
    comparable != *before
}
