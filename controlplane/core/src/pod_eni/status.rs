//! The status of a PodENI in each of its states.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::names::condition;
use terway_crds::{BindStatus, EniInfo, NetworkInterface, Phase, PodEni, PodEniStatus, PodEniSummary};

use super::Wait;
use crate::carrier::NotServed;
use crate::conditions::{Statement, state};
use crate::network_interface::{ELSEWHERE, ENI_NOT_FOUND, FOREIGN};
use crate::pod::is_fixed;

/// Reason and sentence of a record that was deleted while its pod lives.
const STILL_RUNS: (&str, &str) = (
    "PodStillRuns",
    "asked to go while the pod lives: the ENI is detached when the pod is gone",
);

fn base(record: &PodEni) -> PodEniStatus {
    record.status.clone().unwrap_or_default()
}

/// Every allocation is attached.
pub fn bound(record: &PodEni, interfaces: &[Option<Arc<NetworkInterface>>], now: Timestamp) -> PodEniStatus {
    let mut status = base(record);
    let was_bound = status.phase == Phase::Bind;
    status.phase = Phase::Bind;
    status.msg.clear();
    status.eni_infos = infos(interfaces);
    if let Some(attached) = interfaces
        .iter()
        .flatten()
        .find_map(|interface| interface.status.as_ref())
    {
        status.instance_id = attached.instance_id.clone();
        status.trunk_eni_id = attached.trunk_eni_id.clone();
    }
    if is_fixed(record) && !was_bound {
        status.pod_last_seen = Some(Time(now));
    }
    status.summary = summary(record, &status.eni_infos);
    if record.metadata.deletion_timestamp.is_some() {
        // The wait for the end of the pod has the same words, so the two never replace each other.
        let (reason, message) = STILL_RUNS;
        status.msg = message.to_owned();
        ready(&mut status, record, false, reason, message.to_owned(), now);
        return status;
    }
    ready(
        &mut status,
        record,
        true,
        "Bound",
        "every interface is attached to the pod's node".into(),
        now,
    );
    status
}

/// Every allocation is detached and kept.
pub fn unbound(
    record: &PodEni,
    interfaces: &[Option<Arc<NetworkInterface>>],
    now: Timestamp,
) -> PodEniStatus {
    let mut status = base(record);
    status.phase = Phase::Unbind;
    status.instance_id.clear();
    status.trunk_eni_id.clear();
    status.msg.clear();
    status.eni_infos = infos(interfaces);
    status.summary = summary(record, &status.eni_infos);
    ready(
        &mut status,
        record,
        false,
        "Detached",
        "kept for the next pod of this name".into(),
        now,
    );
    status
}

/// Another phase, all else as it is. `seen` is the time to note for a pod that was seen until now.
pub fn phase_only(record: &PodEni, phase: Phase, seen: Option<Timestamp>) -> PodEniStatus {
    let mut status = base(record);
    status.phase = phase;
    if let Some(seen) = seen.filter(|_| is_fixed(record)) {
        status.pod_last_seen = Some(Time(seen));
    }
    status
}

/// A reason to wait that a person should know of; `None` when it is an ordinary one, or is said
/// already.
pub fn waiting(record: &PodEni, wait: &Wait, now: Timestamp) -> Option<PodEniStatus> {
    let (reason, message) = match wait {
        Wait::Done | Wait::Interfaces | Wait::Later(_) | Wait::Pod => return None,
        Wait::Unattached { reason, message, .. } => (reason.as_str(), message.clone()),
        Wait::Refused { code, message, .. } => (
            "CreateRefused",
            format!("the cloud refused to create the ENI: {code}: {message}"),
        ),
        Wait::NoTrunk => (
            "NoTrunk",
            "the pod's node has no trunk ENI yet; see the conditions of its Node object".to_owned(),
        ),
        Wait::NoNode => (
            "NoNode",
            "the pod's node is not known, or does not name its instance".to_owned(),
        ),
        Wait::NotServed => ("NotServed", NotServed::RecordedWholeEni.to_string()),
        Wait::Malformed => (
            "Malformed",
            "an allocation has neither an ENI nor a recorded request: delete this PodENI".to_owned(),
        ),
        Wait::Degraded => (
            "Degraded",
            "no ENI is made until degradation in ctrl-config.yaml is lifted".to_owned(),
        ),
        Wait::PodLives => (STILL_RUNS.0, STILL_RUNS.1.to_owned()),
    };
    let mut status = base(record);
    status.msg.clone_from(&message);
    let changed = ready(&mut status, record, false, reason, message, now);
    changed.then_some(status)
}

/// Why an ENI that should be attached is not, in the words of its NetworkInterface, and what the user can do.
pub fn unattached(record: &PodEni, interface: &NetworkInterface) -> Wait {
    let eni = interface.metadata.name.as_deref().unwrap_or_default();
    let conditions = interface.status.iter().flat_map(|status| &status.conditions);
    let mut failing = conditions.filter(|c| c.type_ == condition::READY && c.status == "False");
    let Some(known) = failing.next() else {
        return Wait::Unattached {
            reason: "NotAttached".to_owned(),
            message: format!("ENI {eni} is being attached to the pod's node"),
            needs_help: false,
        };
    };
    let lost = known.reason == ENI_NOT_FOUND;
    let cure = match lost {
        false => "",
        true if is_fixed(record) => {
            "; its fixed address cannot be made again: delete this PodENI and the pod, and the next pod gets another \
             address"
        }
        true => "; the pod has no network: delete the pod, and the next one gets another ENI",
    };
    Wait::Unattached {
        reason: known.reason.clone(),
        message: format!("ENI {eni}: {}{cure}", known.message),
        needs_help: lost || [FOREIGN, ELSEWHERE].contains(&known.reason.as_str()),
    }
}

fn ready(
    status: &mut PodEniStatus,
    record: &PodEni,
    holds: bool,
    reason: &str,
    message: String,
    now: Timestamp,
) -> bool {
    let statement = Statement {
        kind: condition::READY,
        holds,
        reason,
        message,
    };
    let changed = state(&mut status.conditions, statement, record.metadata.generation, now);
    if changed {
        status.observed_generation = record.metadata.generation;
    }
    changed
}

fn infos(interfaces: &[Option<Arc<NetworkInterface>>]) -> BTreeMap<String, EniInfo> {
    interfaces
        .iter()
        .flatten()
        .map(|interface| {
            let id = interface.metadata.name.clone().unwrap_or_default();
            let mut info = interface
                .status
                .as_ref()
                .map(|s| s.eni_info.clone())
                .unwrap_or_default();
            info.id.clone_from(&id);
            if info.status == BindStatus::Unknown {
                info.status = BindStatus::Unbind;
            }
            (id, info)
        })
        .collect()
}

fn summary(record: &PodEni, infos: &BTreeMap<String, EniInfo>) -> PodEniSummary {
    let allocations = &record.spec.allocations;
    let addresses = allocations
        .iter()
        .flat_map(|a| [a.ipv4.as_str(), a.ipv6.as_str()]);
    let members = infos
        .values()
        .any(|info| info.kind == Some(terway_crds::EniKind::Member));
    let lifetime = if is_fixed(record) { "Fixed" } else { "Elastic" };
    let vlans = allocations
        .iter()
        .filter_map(|a| infos.get(&a.eni.id)?.vid)
        .map(|vid| vid.to_string());
    PodEniSummary {
        ips: joined(addresses),
        eni_ids: joined(allocations.iter().map(|a| a.eni.id.as_str())),
        vlans: vlans.collect::<Vec<_>>().join(","),
        vswitch_ids: joined(allocations.iter().map(|a| a.eni.vswitch_id.as_str())),
        security_group_ids: joined(
            allocations
                .iter()
                .flat_map(|a| a.eni.security_group_ids.iter().map(String::as_str)),
        ),
        kind: format!("{lifetime}/{}", if members { "Member" } else { "ENI" }),
    }
}

/// Joined with commas, each once, in the order of their first mention.
fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen.join(",")
}

#[cfg(test)]
mod tests;
