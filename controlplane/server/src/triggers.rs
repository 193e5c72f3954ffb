//! Triggers: which change wakes which controller. Listeners run in the watches, also on standbys. The queues of a
//! standby therefore contain every key once, and a new leader looks at everything.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use terway_core::network_interface::owner;
use terway_core::pod::{PodFacts, node_name, pod_uid};
use terway_core::podnetworking::{counts_workloads, may_be_passed_over};
use terway_crds::names::{label, object};
use terway_crds::{NetworkInterface, Phase, PodEni};

use crate::context::{Context, Queues};
use crate::objects::Caches;
use crate::runtime::Key;

/// New pods that a Fixed PodNetworking may pass over are counted together, because a rollout makes many.
const GATHER: Duration = Duration::from_secs(5);

/// Connects the caches with the queues. Call it before the watches start.
pub fn connect(caches: &Caches, queues: &Queues) {
    pods(caches, queues);
    pod_enis(caches, queues);
    interfaces(caches, queues);
    nodes(caches, queues);
    networkings(caches, queues);
}

fn pods(caches: &Caches, queues: &Queues) {
    let (all, to) = (caches.clone(), queues.clone());
    caches.pods.on_change(move |key, before, after| {
        let node_of = |pod: Option<&Arc<PodFacts>>| pod.map_or(String::new(), |pod| pod.node.clone());
        let (was_on, is_on) = (node_of(before), node_of(after));
        all.pods_of.moved(key, &was_on, &is_on);
        if !matters(before, after) {
            return;
        }
        // The node controller gives and takes addresses of shared ENIs.
        for node in [was_on, is_on].iter().filter(|node| !node.is_empty()) {
            to.nodes.add(Key::cluster(node));
        }
        to.pods.add(key.clone());
        // The record and its ENIs may wait for the end of the pod.
        if let Some(record) = all.pod_enis.get(key) {
            to.pod_enis.add(key.clone());
            enis_of(&record, &to);
        }
    });
}

/// Whether a change of a pod matters. Most changes are of containers and conditions, which no controller reads.
fn matters(before: Option<&Arc<PodFacts>>, after: Option<&Arc<PodFacts>>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return true;
    };
    let same = PodFacts {
        version: after.version,
        waits_for_ip: after.waits_for_ip,
        address: after.address,
        noted_addresses: after.noted_addresses.clone(),
        ..(**before).clone()
    };
    same != **after
}

fn pod_enis(caches: &Caches, queues: &Queues) {
    let to = queues.clone();
    caches.pod_enis.on_change(move |key, before, after| {
        to.pod_enis.add(key.clone());
        let turn = |record: Option<&Arc<PodEni>>| {
            record.map(|r| {
                let phase = r
                    .status
                    .as_ref()
                    .map_or(Phase::Initial, |status| status.phase.clone());
                let holder = (pod_uid(r).to_owned(), node_name(r).to_owned());
                (phase, holder, r.metadata.deletion_timestamp.is_some())
            })
        };
        // The pod controller acts at the ends of phases, and when a record has a new pod.
        if turn(before) != turn(after) || after.is_none() {
            to.pods.add(key.clone());
            if let Some(record) = before.or(after).filter(|_| before.is_some()) {
                enis_of(record, &to);
            }
        }
    });
}

fn enis_of(record: &PodEni, queues: &Queues) {
    for allocation in record
        .spec
        .allocations
        .iter()
        .filter(|allocation| !allocation.eni.id.is_empty())
    {
        queues.interfaces.add(Key::cluster(&allocation.eni.id));
    }
}

fn interfaces(caches: &Caches, queues: &Queues) {
    let to = queues.clone();
    caches.interfaces.on_change(move |key, before, after| {
        to.interfaces.add(key.clone());
        let owner_of = |interface: Option<&Arc<NetworkInterface>>| {
            let (namespace, name) = owner(interface?)?;
            Some(Key::namespaced(namespace, name))
        };
        if let Some(record) = owner_of(after).or_else(|| owner_of(before)) {
            to.pod_enis.add(record);
        } else if let Some(node) = before
            .filter(|_| after.is_none())
            .and_then(|gone| node_of_shared(gone))
        {
            // A shared ENI is gone, so its place on the instance is free.
            to.nodes.add(node);
        }
    });
}

fn nodes(caches: &Caches, queues: &Queues) {
    let (all, to) = (caches.clone(), queues.clone());
    caches.nodes.on_change(move |key, before, after| {
        to.nodes.add(key.clone());
        let place = |node: Option<&Arc<terway_core::node::NodeFacts>>| {
            node.map(|n| {
                (
                    n.trunk_on.clone(),
                    n.instance_id.clone(),
                    n.zone.clone(),
                    n.ignored,
                    n.eni_only,
                )
            })
        };
        if place(before) != place(after) {
            wake_pods_of(&all, &to, key.name());
        }
    });
    let to = queues.clone();
    caches
        .node_records
        .on_change(move |key, _, _| to.nodes.add(key.clone()));
    let (all, to) = (caches.clone(), queues.clone());
    caches.eni_config.on_change(move |key, before, after| {
        let text = |map: Option<&Arc<ConfigMap>>| map.and_then(|map| map.data.clone());
        if key.name() == object::ENI_CONFIG {
            wake_all_nodes(&all, &to);
        } else if text(before) != text(after) {
            for node in all.nodes.all() {
                if node.dynamic_config.as_deref() == Some(key.name()) {
                    to.nodes.add(Key::cluster(&node.name));
                }
            }
        }
    });
    let to = queues.clone();
    caches
        .runtimes
        .on_change(move |key, _, _| to.nodes.add(key.clone()));
}

fn networkings(caches: &Caches, queues: &Queues) {
    let (all, to) = (caches.clone(), queues.clone());
    caches.networkings.on_change(move |key, _, after| {
        if after.is_some() {
            to.networkings.add(key.clone());
        }
        let name = key.name();
        for pod in all.pods.all() {
            if pod.wants_pod_eni && pod.waits_for_ip && pod.pod_networking.as_deref() == Some(name) {
                to.pods.add(Key::namespaced(&pod.namespace, &pod.name));
            }
        }
    });
    let (all, to) = (caches.networkings.clone(), queues.networkings.clone());
    caches.pods.on_change(move |_, before, after| {
        let candidate = |pod: &Arc<PodFacts>| may_be_passed_over(pod);
        if before.is_some_and(candidate) != after.is_some_and(candidate) {
            for networking in all.all().iter().filter(|networking| counts_workloads(networking)) {
                to.add_after(Key::of(&**networking), GATHER);
            }
        }
    });
}

/// The node of a shared ENI.
fn node_of_shared(interface: &NetworkInterface) -> Option<Key> {
    let labels = interface.metadata.labels.as_ref()?;
    labels.get(label::NODE).map(|name| Key::cluster(name))
}

/// Wakes all nodes, after a change that concerns all of them.
pub fn wake_all_nodes(caches: &Caches, queues: &Queues) {
    for node in caches.nodes.all() {
        queues.nodes.add(Key::cluster(&node.name));
    }
}

/// Wakes everything that degradation may have held back, after a change of degradation.
pub fn wake_held_back(caches: &Caches, queues: &Queues) {
    wake_all_nodes(caches, queues);
    for record in caches.node_records.all() {
        queues.nodes.add(Key::of(&*record));
    }
    for interface in caches.interfaces.all() {
        let status = interface.status.as_ref();
        let bound = status.is_some_and(|status| status.phase == Phase::Bind);
        if !bound || interface.metadata.deletion_timestamp.is_some() || interface.spec.attach_to.is_none() {
            queues.interfaces.add(Key::of(&*interface));
        }
    }
    for record in caches.pod_enis.all() {
        let status = record.status.as_ref();
        if status.is_none_or(|status| status.phase != Phase::Bind) {
            queues.pod_enis.add(Key::of(&*record));
        }
    }
}

/// Wakes the pods and records of a node that appeared or got its trunk. This happens a few times in a node's life, so a
/// search through all records is cheap enough.
fn wake_pods_of(caches: &Caches, queues: &Queues, node: &str) {
    for pod in caches.pods.all() {
        if pod.wants_pod_eni && pod.node == node {
            queues.pods.add(Key::namespaced(&pod.namespace, &pod.name));
        }
    }
    for record in caches.pod_enis.all() {
        let bound = record
            .status
            .as_ref()
            .is_some_and(|status| status.phase == Phase::Bind);
        if !bound && node_name(&record) == node {
            queues.pod_enis.add(Key::of(&*record));
        }
    }
}

/// Wakes the objects that wait for an ENI when the poller has news of it, while this process leads.
pub async fn forward_cloud_news(context: Arc<Context>) {
    let mut news = std::pin::pin!(context.cloud.watch().changed());
    while let Some(id) = news.next().await {
        let node = context.attaching.lock().get(&id).cloned();
        if let Some(node) = node {
            context.queues.nodes.add(node);
        }
        let key = Key::cluster(&id);
        if context.caches.interfaces.get(&key).is_some() {
            context.queues.interfaces.add(key);
        }
    }
}

#[cfg(test)]
mod tests;
