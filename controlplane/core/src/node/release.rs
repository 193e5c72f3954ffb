//! The release of a deleted Node object: what it waits for, and the ENIs that it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::names::condition;
use terway_crds::{NodeRuntime, TerwayNode, TerwayNodeStatus};

use super::NodeFacts;
use crate::binding;
use crate::conditions::{Statement, failing_reason};
use crate::degradation::Degradation;
use crate::intent::{Evidence, IntentId, Limits, Resolution, resolve};
use crate::pod::PodFacts;
use crate::pool::{creates, index, intent};

/// Pods that are named in the words of a condition, at most.
const NAMED: usize = 5;

/// A Node object that is to go, and the world that may need it.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    pub record: &'a TerwayNode,
    /// The Kubernetes node of this name, if there is one.
    pub node: Option<&'a NodeFacts>,
    /// Every pod of the node.
    pub pods: &'a [&'a PodFacts],
    /// `None` when no agent ever reported.
    pub runtime: Option<&'a NodeRuntime>,
    pub degradation: Degradation,
    pub now: Timestamp,
}

/// Why a Node object has to stay for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    pub reason: &'static str,
    pub message: String,
    /// Look again after this time, beside every change.
    pub wake: Option<Duration>,
}

/// Whether a Node object is about the instance that its node names now. A node that is registered again under its name
/// is the same node if it is on the same instance, whatever its UID: the instance, its ENIs and its pods are the same.
pub fn is_on_instance_of(record: &TerwayNode, node: &NodeFacts) -> bool {
    let recorded = &record.spec.node_metadata.instance_id;
    recorded.is_empty() || node.instance_id.is_empty() || *recorded == node.instance_id
}

/// Whether a Node object that is to go has to stay for now: while nothing may be given back, and while pods use the
/// ENIs of the instance.
pub fn held_back(leaving: &Leaving<'_>) -> Option<HeldBack> {
    if leaving.degradation.keeps_everything() {
        return Some(HeldBack {
            reason: "Degraded",
            message: "nothing is given back until degradation in ctrl-config.yaml is lifted".to_owned(),
            wake: None,
        });
    }
    let (reason, words, (users, wake)) = match leaving.node {
        // Kubernetes knows the node's pods on the new instance only.
        Some(node) if !is_on_instance_of(leaving.record, node) => return None,
        Some(_) => {
            let words = "asked to go while pods use the node's ENIs: the object serves the node until these pods and \
                         their sandboxes are gone";
            ("PodsStillRun", words, users(leaving))
        }
        // Nobody reports the end of sandboxes. A node that comes back finds its ENIs and pods as they were.
        None => {
            let words = "the Kubernetes node is gone and pods of it are not: the ENIs are kept until these pods are \
                         gone, or the node is back";
            ("NodeGone", words, (living_users(leaving), None))
        }
    };
    if users.is_empty() {
        return None;
    }
    let named: Vec<String> = users.into_iter().take(NAMED).collect();
    Some(HeldBack {
        reason,
        message: format!("{words}: {}", named.join(", ")),
        wake,
    })
}

/// The statement that takes back what was said while the Node object was to go; `None` if nothing was said.
pub fn ready_again(record: &TerwayNode) -> Option<Statement<'static>> {
    let conditions = record.status.as_ref().map(|status| status.conditions.as_slice());
    failing_reason(conditions.unwrap_or_default(), condition::READY)?;
    record.metadata.deletion_timestamp.is_none().then(|| Statement {
        kind: condition::READY,
        holds: true,
        reason: "NodeServed",
        message: "the object serves its node".to_owned(),
    })
}

/// Living pods that have an address or an ENI of the node, by `namespace/name`.
fn living_users(leaving: &Leaving<'_>) -> BTreeSet<String> {
    let status = leaving.record.status.as_ref();
    let nics = status
        .iter()
        .flat_map(|status| status.network_interfaces.values());
    let bound: BTreeSet<&str> = nics
        .flat_map(|nic| nic.all_addresses())
        .map(|(_, ip)| ip.pod_uid.as_str())
        .filter(|uid| !uid.is_empty())
        .collect();
    let uses = |pod: &&&PodFacts| !pod.exited && (pod.wants_pod_eni || bound.contains(pod.uid.as_str()));
    let users = leaving.pods.iter().filter(uses);
    users
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .collect()
}

/// Pods that use the ENIs of a node, by `namespace/name`, and when the next address becomes free by itself.
fn users(leaving: &Leaving<'_>) -> (BTreeSet<String>, Option<Duration>) {
    let mut status = leaving.record.status.clone().unwrap_or_default();
    let bound = |status: &TerwayNodeStatus| -> Vec<(String, String)> {
        let nics = status.network_interfaces.values();
        let ips = nics.flat_map(|nic| nic.all_addresses());
        ips.filter(|(_, ip)| binding::is_bound(ip))
            .map(|(_, ip)| (ip.pod_id.clone(), ip.pod_uid.clone()))
            .collect()
    };
    let before = bound(&status);
    // No pod gets an address here. Only pods that have an address count.
    let has_one = |pod: &&&PodFacts| before.iter().any(|(_, uid)| *uid == pod.uid);
    let holders: Vec<&PodFacts> = leaving.pods.iter().filter(has_one).copied().collect();
    let bindings = binding::bind(
        &mut status,
        &binding::Around {
            pods: &holders,
            runtime: leaving.runtime,
            cooldown: Duration::ZERO,
            now: leaving.now,
        },
    );
    let mut names: BTreeSet<String> = bound(&status).into_iter().map(|(name, _)| name).collect();
    let own = leaving.pods.iter().filter(|pod| pod.wants_pod_eni && !pod.exited);
    names.extend(own.map(|pod| format!("{}/{}", pod.namespace, pod.name)));
    (names, bindings.wake)
}

/// The next step before a Node object can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Search for the ENI of this attempt by its tag.
    LookUpByTag(IntentId),
    /// Look again after this time.
    Wait(Duration),
    /// Hand these ENIs to NetworkInterfaces that are being deleted. Afterwards the object can go.
    HandOver(Vec<String>),
}

/// Plans the release of the node's ENIs: recorded ENIs of ours, in use or under way, and ENIs that intents may have
/// left behind. ENIs that the configuration leaves alone stay with their instance.
///
/// `known` is the evidence of this process about operations, by [`index`]. `quiet_since` is the last moment at which a
/// request of the node can have been sent.
pub fn plan_release(
    record: &TerwayNode,
    known: &BTreeMap<String, Evidence>,
    quiet_since: Timestamp,
    now: Timestamp,
    limits: &Limits,
) -> Release {
    let Some(status) = &record.status else {
        return Release::HandOver(Vec::new());
    };
    let ours = status
        .network_interfaces
        .values()
        .filter(|nic| !nic.unschedulable);
    let mut enis: BTreeSet<String> = ours.map(|nic| nic.id.clone()).collect();
    for operation in &status.operations {
        if !operation.eni_id.is_empty() {
            enis.insert(operation.eni_id.clone());
        }
        if !creates(operation) {
            continue;
        }
        let evidence = known
            .get(index(operation))
            .filter(|evidence| evidence.attempt == operation.attempt)
            .cloned()
            .unwrap_or_else(|| Evidence::inherited(operation.attempt));
        match resolve(&evidence, quiet_since, now, limits) {
            Resolution::Nothing => {}
            Resolution::Eni(eni) => {
                enis.insert(eni.id.clone());
            }
            Resolution::LookUpByTag => return Release::LookUpByTag(intent(record, operation)),
            Resolution::Wait(time) => return Release::Wait(time),
        }
    }
    Release::HandOver(enis.into_iter().collect())
}
