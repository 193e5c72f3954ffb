//! Triggers: which change wakes which controller. Listeners run in the watches, also on standbys. The queues of a
//! standby therefore contain every key once, and a new leader looks at everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use terway_core::network_interface::owner;
use terway_core::pod::{PodFacts, node_name, pod_uid};
use terway_core::podnetworking::{concerned, lacks_networks};
use terway_crds::names::{label, object};
use terway_crds::{NetworkInterface, Phase, PodEni};

use crate::context::{Context, Queues};
use crate::objects::Caches;
use crate::runtime::Key;

/// New pods that a PodNetworking selects, and that have no networks, are counted together: a rollout makes many.
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
        all.waiting_for.moved(key, awaited(before), awaited(after));
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

/// The PodNetworking whose network a pod waits for; empty for a pod that waits for none.
fn awaited(pod: Option<&Arc<PodFacts>>) -> &str {
    let waits = pod.filter(|pod| pod.wants_pod_eni && pod.waits_for_ip);
    waits
        .and_then(|pod| pod.pod_networking.as_deref())
        .unwrap_or_default()
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
        labels: after.labels.clone(),
        ..(**before).clone()
    };
    same != **after
}

fn pod_enis(caches: &Caches, queues: &Queues) {
    let (all, to) = (caches.clone(), queues.clone());
    caches.pod_enis.on_change(move |key, before, after| {
        all.unbound_of.moved(key, unbound_on(before), unbound_on(after));
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

/// The node of a record that is not bound; empty for another record.
fn unbound_on(record: Option<&Arc<PodEni>>) -> &str {
    let unbound = |record: &&Arc<PodEni>| {
        record
            .status
            .as_ref()
            .is_none_or(|status| status.phase != Phase::Bind)
    };
    record
        .filter(unbound)
        .map(|record| node_name(record))
        .unwrap_or_default()
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
    let (all, to) = (caches.clone(), queues.clone());
    caches.interfaces.on_change(move |key, before, after| {
        all.unattached_of
            .moved(key, unattached_on(before), unattached_on(after));
        to.interfaces.add(key.clone());
        if let Some(node) = freed_place(before, after) {
            // An attach that the full instance refused can be repeated now.
            for waiting in all.unattached_of.of(node) {
                to.interfaces.add(waiting);
            }
        }
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

/// The node to which an ENI is to be attached; empty for an ENI that is attached or leaves.
fn unattached_on(interface: Option<&Arc<NetworkInterface>>) -> &str {
    let waits = |interface: &&Arc<NetworkInterface>| {
        interface.metadata.deletion_timestamp.is_none() && phase_of(interface) != Phase::Bind
    };
    let target = interface
        .filter(waits)
        .and_then(|interface| interface.spec.attach_to.as_ref());
    target.map(|target| target.node_name.as_str()).unwrap_or_default()
}

/// The node on whose instance a place has become free with this change of an ENI.
fn freed_place<'a>(
    before: Option<&'a Arc<NetworkInterface>>,
    after: Option<&Arc<NetworkInterface>>,
) -> Option<&'a str> {
    let before = before?;
    let detached = |interface: &NetworkInterface| phase_of(interface) == Phase::Unbind;
    let freed = !detached(before) && after.is_none_or(|after| detached(after));
    let node = before.metadata.labels.as_ref()?.get(label::NODE)?;
    freed.then_some(node)
}

fn phase_of(interface: &NetworkInterface) -> Phase {
    let status = interface.status.as_ref();
    status.map_or(Phase::Initial, |status| status.phase.clone())
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
        // A pod that waits may have a record already, whose request is corrected.
        for pod in all.waiting_for.of(key.name()) {
            to.pods.add(pod.clone());
            to.pod_enis.add(pod);
        }
    });
    let (all, to) = (caches.clone(), queues.clone());
    caches.pods.on_change(move |key, before, after| {
        if before.is_some() && after.is_none_or(|pod| !lacks_networks(pod)) {
            for networking in all.unserved.remove(key) {
                to.networkings.add_after(networking, GATHER);
            }
        }
        // The labels stay the same as long as they are kept.
        let Some(pod) = after.filter(|_| before.is_none_or(|before| before.labels.is_none())) else {
            return;
        };
        let Some(labels) = pod.labels.as_ref().filter(|_| lacks_networks(pod)) else {
            return;
        };
        let of_namespace = all.namespaces.get(&Key::cluster(&pod.namespace));
        let none = BTreeMap::new();
        let of_namespace = of_namespace.as_ref().map_or(&none, |namespace| &namespace.labels);
        for networking in concerned(&all.networkings.all(), labels, of_namespace, pod.fixed_name) {
            let name = Key::cluster(&networking);
            all.unserved.add(&name, key, &pod.uid);
            to.networkings.add_after(name, GATHER);
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

/// Wakes the pods and records of a node that appeared, got a trunk or is on another instance. Also a bound record is
/// woken: its ENI may have to follow its node to another trunk.
fn wake_pods_of(caches: &Caches, queues: &Queues, node: &str) {
    for key in caches.pods_of.of(node) {
        if caches.pods.get(&key).is_some_and(|pod| pod.wants_pod_eni) {
            if caches.pod_enis.get(&key).is_some() {
                queues.pod_enis.add(key.clone());
            }
            queues.pods.add(key);
        }
    }
    for key in caches.unbound_of.of(node) {
        queues.pod_enis.add(key);
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
