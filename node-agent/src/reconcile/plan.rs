//! What a round is to do, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use terway_cni_protocol::Attachment;

use crate::binding;
use crate::cluster::ClusterView;
use crate::datapath::{Census, Changed, PodInterface, Sandbox};
use crate::server::{SandboxKey, key};
use crate::settings::Settings;

/// The plan of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The interfaces that the kernel should have.
    pub desired: Vec<PodInterface>,
    /// Sandboxes whose pods are missing in the watch. They are removed if the API server confirms that the pods are
    /// gone.
    pub gone: Vec<Sandbox>,
    /// Sandboxes that exist and that no object describes.
    pub undescribed: Vec<(Sandbox, &'static str)>,
    /// Addresses of this node's ENIs that no pod has.
    pub idle: BTreeSet<IpAddr>,
    /// Sandboxes that were given another address than their records say now.
    pub changed: Vec<Changed>,
    /// Sandboxes that are remembered and that the kernel does not have.
    pub forgotten: Vec<SandboxKey>,
}

impl Plan {
    /// Compares the sandboxes that exist with what the control plane says. `made` is what each sandbox was last asked
    /// to be.
    ///
    /// A sandbox stays in `desired` while its pod is only suspected to be gone.
    pub fn new(
        sandboxes: &[Sandbox],
        state: &ClusterView,
        made: &BTreeMap<SandboxKey, PodInterface>,
        settings: &Settings,
    ) -> Plan {
        let existing: BTreeSet<SandboxKey> = sandboxes.iter().map(key).collect();
        let forgotten = made.keys().filter(|made| !existing.contains(*made));
        let mut plan = Plan {
            forgotten: forgotten.cloned().collect(),
            idle: state.node().map(|node| node.idle.clone()).unwrap_or_default(),
            ..Plan::default()
        };
        for sandbox in sandboxes {
            let remembered = made.get(&key(sandbox));
            if state.pod_with_uid(&sandbox.pod_uid).is_none() {
                plan.gone.push(sandbox.clone());
            }
            // A running pod keeps its address: its own end of the veth has no other.
            let mut described = described(sandbox, state, settings);
            if let (Some(made), Some(want)) = (remembered, &described)
                && made.ip != want.ip
            {
                plan.changed.push(Changed {
                    sandbox: sandbox.clone(),
                    has: vec![made.ip],
                    recorded: want.ip,
                });
                described = None;
            }
            match described.or_else(|| remembered.cloned()) {
                Some(want) => plan.desired.push(want),
                None => plan.undescribed.push((sandbox.clone(), missing(sandbox, state))),
            }
        }
        plan
    }
}

impl Plan {
    /// The state that the kernel is compared with.
    pub fn census(&self) -> Census {
        let taken = self.desired.iter().map(|want| want.ip).collect();
        Census {
            interfaces: self.desired.clone(),
            unknown: self
                .undescribed
                .iter()
                .map(|(sandbox, _)| sandbox.clone())
                .collect(),
            // A pod whose binding was edited away in the Node object still has its address.
            idle: &self.idle - &taken,
        }
    }
}

/// The interface that a sandbox should have, by the records of the control plane.
fn described(sandbox: &Sandbox, state: &ClusterView, settings: &Settings) -> Option<PodInterface> {
    let (pod, binding) = binding::of_running(&sandbox.pod_uid, state)?;
    let attachment = Attachment {
        container_id: sandbox.container_id.clone(),
        ifname: sandbox.attachment.clone(),
    };
    let all = binding::interfaces(&binding, &pod, &sandbox.pod_uid, &attachment, settings);
    all.into_iter().find(|want| want.sandbox.ifname == sandbox.ifname)
}

fn missing(sandbox: &Sandbox, state: &ClusterView) -> &'static str {
    let shared = state.node().and_then(|node| node.shared.get(&sandbox.pod_uid));
    match (state.pod_eni_for(&sandbox.pod_uid), shared) {
        (None, None) => "neither a PodENI nor a shared address is its pod's",
        (None, Some(_)) => "the ENI of its shared address is not attached",
        (Some(_), _) => "its PodENI is incomplete, or this node has no trunk ENI",
    }
}
