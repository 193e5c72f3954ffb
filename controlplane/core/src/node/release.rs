//! The release of a deleted Node object: what it waits for, and the ENIs that it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use terway_crds::{NodeRuntime, TerwayNode, TerwayNodeStatus};

use super::NodeFacts;
use crate::binding;
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

/// Whether a Node object that is to go has to stay for now: while nothing may be given back, and while pods of a node
/// that is still there use its ENIs.
pub fn held_back(leaving: &Leaving<'_>) -> Option<HeldBack> {
    if leaving.degradation.keeps_everything() {
        return Some(HeldBack {
            reason: "Degraded",
            message: "nothing is given back until degradation in ctrl-config.yaml is lifted".to_owned(),
            wake: None,
        });
    }
    // A node of the same name with another UID is another node.
    let owners = leaving.record.metadata.owner_references.iter().flatten();
    let uid = &leaving.node?.uid;
    owners.into_iter().find(|owner| owner.uid == *uid)?;
    let (users, wake) = users(leaving);
    if users.is_empty() {
        return None;
    }
    let named: Vec<String> = users.into_iter().take(NAMED).collect();
    let message = format!(
        "asked to go while pods use the node's ENIs: it goes when the node is gone, or these pods and their sandboxes \
         are; new pods wait until then: {}",
        named.join(", ")
    );
    Some(HeldBack {
        reason: "PodsStillRun",
        message,
        wake,
    })
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
