//! Bindings: which address of a node's shared ENIs belongs to which pod.
//!
//! A binding is an address in the node's status that carries a pod's UID. It ends when the pod is gone (or has exited),
//! the agent has reported the end of its sandbox, and a cooldown has passed since then. Until then the address keeps
//! the UID, so that a restart of the control plane loses nothing. A node without an agent keeps its bindings until the
//! node itself is gone.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::node::{Ip, IpStatus, Nic, NicStatus};
use terway_crds::node_runtime::{RUNTIME_DELETED, RUNTIME_INITIAL, RuntimePod};
use terway_crds::{EniKind, Family, NodeRuntime, TerwayNodeStatus, TrafficMode};

use crate::intent::elapsed;
use crate::pod::PodFacts;

/// Condition of an ENI that takes no new pods, because it will be replaced.
pub const DRAINING: &str = "Draining";

/// The inputs of a decision about bindings, in addition to the node's status.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Every pod of the node.
    pub pods: &'a [&'a PodFacts],
    /// The report of the node's agent; `None` if the node has no agent.
    pub runtime: Option<&'a NodeRuntime>,
    /// Time between the end of a sandbox and the next use of its address.
    pub cooldown: Duration,
    pub now: Timestamp,
}

/// The result of a decision about bindings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Pods that need an address and have none, as `namespace/name`.
    pub waiting: Vec<String>,
    /// Pods that got an address, by UID.
    pub bound: BTreeMap<String, IpAddr>,
    /// When a cooldown ends next.
    pub wake: Option<Duration>,
}

/// Frees bindings that are over, records addresses that pods already use, and gives addresses to pods that wait.
pub fn bind(status: &mut TerwayNodeStatus, around: &Around<'_>) -> Bindings {
    let mut bindings = Bindings::default();
    let living: BTreeMap<&str, &PodFacts> = around
        .pods
        .iter()
        .filter(|pod| !pod.exited)
        .map(|pod| (pod.uid.as_str(), *pod))
        .collect();
    for nic in status.network_interfaces.values_mut() {
        free(nic, &living, around, &mut bindings);
    }
    let mut served: BTreeSet<String> = bound_uids(status);
    let mut pods: Vec<&PodFacts> = around
        .pods
        .iter()
        .copied()
        .filter(|pod| pod.needs_shared_address())
        .collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    // Pods that run with an address come first, so that no other pod gets their address.
    for pod in &pods {
        if let Some(address) = pod.address.filter(|_| !served.contains(&pod.uid))
            && take(status, address, pod)
        {
            served.insert(pod.uid.clone());
            bindings.bound.insert(pod.uid.clone(), address);
        }
    }
    // A pod with an address from elsewhere does not wait. A pod that is being deleted gets no address.
    pods.retain(|pod| !served.contains(&pod.uid) && pod.address.is_none() && !pod.deleting);
    let mut free = free_addresses(status).into_iter();
    for pod in pods {
        match free.next() {
            Some(address) if take(status, address, pod) => {
                bindings.bound.insert(pod.uid.clone(), address);
            }
            _ => bindings.waiting.push(id_of(pod)),
        }
    }
    bindings
}

/// Addresses that a pod can get now, in the order in which they are given. ENIs with many pods come first, so that
/// other ENIs become empty and can be given back.
pub fn free_addresses(status: &TerwayNodeStatus) -> Vec<IpAddr> {
    let mut nics: Vec<&Nic> = status
        .network_interfaces
        .values()
        .filter(|nic| serves(nic))
        .collect();
    nics.sort_by_key(|nic| (Reverse(bound_count(nic)), nic.id.clone()));
    nics.into_iter()
        .flat_map(|nic| {
            let mut free: Vec<IpAddr> = nic
                .all_addresses()
                .filter(|(family, ip)| Family::SERVED.contains(family) && is_free(ip))
                .filter_map(|(family, ip)| ip.address(family).ok())
                .collect();
            free.sort_unstable();
            free
        })
        .collect()
}

/// Whether new pods may get addresses of an ENI.
pub fn serves(nic: &Nic) -> bool {
    nic.status == NicStatus::InUse && is_shared(nic) && !nic.conditions.contains_key(DRAINING)
}

/// Whether pods share an ENI: it is not left alone, and it is not for RDMA.
pub fn is_shared(nic: &Nic) -> bool {
    let kind = matches!(nic.kind, Some(EniKind::Secondary | EniKind::Trunk));
    kind && !nic.unschedulable && nic.traffic_mode != Some(TrafficMode::HighPerformance)
}

/// Whether an address belongs to no pod and can be given.
pub fn is_free(ip: &Ip) -> bool {
    ip.status == IpStatus::Valid && !is_bound(ip)
}

/// Whether an address belongs to a pod.
pub fn is_bound(ip: &Ip) -> bool {
    !ip.pod_uid.is_empty() || !ip.pod_id.is_empty()
}

/// Number of addresses of an ENI that belong to pods.
pub fn bound_count(nic: &Nic) -> usize {
    nic.all_addresses().filter(|(_, ip)| is_bound(ip)).count()
}

fn bound_uids(status: &TerwayNodeStatus) -> BTreeSet<String> {
    status
        .network_interfaces
        .values()
        .flat_map(|nic| nic.all_addresses())
        .filter(|(_, ip)| !ip.pod_uid.is_empty())
        .map(|(_, ip)| ip.pod_uid.clone())
        .collect()
}

fn id_of(pod: &PodFacts) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Gives an address to a pod, if the address is free. Returns whether it did.
fn take(status: &mut TerwayNodeStatus, address: IpAddr, pod: &PodFacts) -> bool {
    let found = status
        .network_interfaces
        .values_mut()
        .find_map(|nic| nic.find_mut(address));
    match found {
        Some(ip) if is_free(ip) => {
            ip.pod_uid.clone_from(&pod.uid);
            ip.pod_id = id_of(pod);
            true
        }
        _ => false,
    }
}

fn free(nic: &mut Nic, living: &BTreeMap<&str, &PodFacts>, around: &Around<'_>, bindings: &mut Bindings) {
    for family in Family::ALL {
        free_family(family, nic.addresses_mut(family), living, around, bindings);
    }
}

fn free_family(
    family: Family,
    addresses: &mut BTreeMap<String, Ip>,
    living: &BTreeMap<&str, &PodFacts>,
    around: &Around<'_>,
    bindings: &mut Bindings,
) {
    let mut lost = Vec::new();
    for (key, ip) in addresses.iter_mut() {
        if !is_bound(ip) {
            continue;
        }
        if ip.pod_uid.is_empty() {
            // An old version wrote this binding without a UID. It belongs to the living pod of the recorded name.
            if let Some(pod) = living.values().find(|pod| id_of(pod) == ip.pod_id) {
                ip.pod_uid.clone_from(&pod.uid);
                let address = ip.address(family).ok();
                bindings
                    .bound
                    .extend(address.map(|address| (pod.uid.clone(), address)));
            }
        }
        if let Some(pod) = living.get(ip.pod_uid.as_str()) {
            // The cloud took the address away before the pod began to use it. The pod gets another one.
            if ip.status == IpStatus::Invalid
                && pod.address.is_none()
                && !has_sandbox(around.runtime, &pod.uid)
            {
                lost.push(key.clone());
            }
            continue;
        }
        let Some(ended) = around.runtime.and_then(|runtime| sandbox_ended(runtime, ip)) else {
            continue;
        };
        let left = around.cooldown.saturating_sub(elapsed(ended, around.now));
        if !left.is_zero() {
            bindings.wake = Some(bindings.wake.map_or(left, |known| known.min(left)));
            continue;
        }
        ip.pod_uid.clear();
        ip.pod_id.clear();
        // The cloud does not have this address any more, so there is no reuse to wait for.
        if ip.status == IpStatus::Invalid {
            lost.push(key.clone());
        }
    }
    for key in lost {
        addresses.remove(&key);
    }
}

/// Whether the agent has reported a sandbox of the pod that has not ended.
fn has_sandbox(runtime: Option<&NodeRuntime>, uid: &str) -> bool {
    let pods = runtime.and_then(|runtime| Some(&runtime.status.as_ref()?.pods));
    let pod = pods.and_then(|pods| pods.get(uid));
    pod.is_some_and(|pod| pod.status.contains_key(RUNTIME_INITIAL) && ended(pod).is_none())
}

/// When the sandbox of an address's pod ended, if it has certainly ended.
fn sandbox_ended(runtime: &NodeRuntime, ip: &Ip) -> Option<Timestamp> {
    let pods = &runtime.status.as_ref()?.pods;
    if !ip.pod_uid.is_empty() {
        return ended(pods.get(&ip.pod_uid)?);
    }
    // If only the pod's name is known, every sandbox of this name must have ended.
    let of_name: Vec<&RuntimePod> = pods.values().filter(|pod| pod.pod_id == ip.pod_id).collect();
    let times: Option<Vec<Timestamp>> = of_name.into_iter().map(ended).collect();
    times?.into_iter().max()
}

fn ended(pod: &RuntimePod) -> Option<Timestamp> {
    let time = |state: &str| Some(pod.status.get(state)?.last_update_time.as_ref()?.0);
    let deleted = time(RUNTIME_DELETED)?;
    match time(RUNTIME_INITIAL) {
        Some(initial) if initial >= deleted => None,
        _ => Some(deleted),
    }
}
