//! The sweep: once a minute one list of all ENIs of the cluster is compared with all objects. It notices what somebody
//! took away in the cloud, and it is the second line of defence against leaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use terway_cloud::{Cloud, CloudError, EniFilter, Expect};
use terway_core::cloud::{CloudEni, EniKind, EniStatus};
use terway_core::gc::{
    Contradictions, Drift, Ownership, References, is_orphan, leaked, nodes_to_compare, ownership,
};
use terway_core::pod::Settings;
use terway_crds::NetworkInterface;
use terway_crds::names::tag;
use tracing::{info, warn};

use crate::context::Context;
use crate::degradation::DegradationSwitch;
use crate::error::ReconcileError;
use crate::metrics::Metrics;
use crate::network_interface::hand_over;
use crate::node::Suspects;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Queue};

/// Delay of the first sweep. A new leader has other work first.
const FIRST: Duration = Duration::from_secs(60);

/// Ids in one line of the log, at most.
const LOGGED: usize = 10;

/// The sweep of one term.
pub struct Sweep {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    /// Has the names by which the cloud knows this cluster.
    settings: Settings,
    degradation: DegradationSwitch,
    metrics: Metrics,
    /// Nodes whose record the list contradicts, and the queue of the node controller.
    suspects: Arc<Suspects>,
    nodes: Arc<Queue>,
    /// ENIs of nodes that the last list did not have, by node.
    missed: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Time between two sweeps.
    period: Duration,
}

impl Sweep {
    /// The sweep of this term.
    pub fn new(context: &Context) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            cloud: context.cloud.clone(),
            settings: context.settings.pods.clone(),
            degradation: context.degradation.clone(),
            metrics: context.metrics.clone(),
            suspects: context.suspects.clone(),
            nodes: context.queues.nodes.clone(),
            missed: Mutex::default(),
            period: context.settings.sweep_period,
        }
    }
}

/// Sweeps while this process leads.
pub async fn run(parts: Sweep) {
    let period = parts.period;
    tokio::time::sleep(FIRST.min(period)).await;
    loop {
        if let Err(error) = sweep(&parts).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the sweep did not finish; the next one begins anew"
            );
        }
        tokio::time::sleep(period).await;
    }
}

/// One sweep.
///
/// # Errors
/// When a list could not be read. A failed read is not an empty one, so nothing is removed.
pub async fn sweep(parts: &Sweep) -> Result<(), ReconcileError> {
    if parts.degradation.now().keeps_everything() {
        return Ok(());
    }
    // The cloud is read first, because afterwards the cluster can only refer to more ENIs.
    let (enis, contradictions) = list(parts).await?;
    look_at(parts, &contradictions);
    let caches = &parts.caches;
    let references = References::gather(
        &caches.interfaces.all(),
        &caches.pod_enis.all(),
        &caches.node_records.all(),
    );
    for eni in leaked(&enis, &references, &parts.settings.cluster_id, Timestamp::now()) {
        info!(
            eni = eni.id,
            "nothing refers to this ENI any more; it is collected"
        );
        hand_over(&parts.caches, &parts.write, &eni.id, None).await?;
        parts.metrics.collected.inc();
    }
    for interface in parts.caches.interfaces.all() {
        if lost_its_owner(parts, &interface).await? {
            info!(
                eni = interface.metadata.name,
                "the owner of this NetworkInterface is gone; it is collected"
            );
            parts.write.delete_interface(&interface).await?;
            parts.metrics.collected.inc();
        }
    }
    Ok(())
}

/// Lists the ENIs of this cluster. Returns those that have no object and may be leaked, and what the list contradicts.
async fn list(parts: &Sweep) -> Result<(Vec<CloudEni>, Contradictions), CloudError> {
    let filter = |kind| EniFilter {
        kind,
        vpc_id: Some(parts.settings.vpc_id.clone()),
        ..EniFilter::tags([(tag::CLUSTER, parts.settings.cluster_id.as_str())])
    };
    let (interfaces, records) = (parts.caches.interfaces.all(), parts.caches.node_records.all());
    let drift = Mutex::new(Drift::new(&interfaces, &records));
    let has_members = AtomicBool::new(false);
    // Nearly all ENIs have an object. Only those that may be leaked are kept in memory.
    let may_be_leaked = |eni: &CloudEni| {
        drift.lock().see(eni);
        let member = eni.kind == EniKind::Member || eni.trunk_eni_id.is_some();
        has_members.fetch_or(member, Ordering::Relaxed);
        let idle = member || eni.status == EniStatus::Available;
        idle && parts.caches.interfaces.get(&Key::cluster(&eni.id)).is_none()
    };
    let cloud = &parts.cloud;
    let mut found = cloud
        .select_network_interfaces(&filter(None), may_be_leaked)
        .await?;
    // It is unverified whether a list without a kind contains members.
    if !has_members.load(Ordering::Relaxed) {
        let members = filter(Some(EniKind::Member));
        found.extend(cloud.select_network_interfaces(&members, may_be_leaked).await?);
    }
    Ok((found, drift.into_inner().end()))
}

/// Looks at the ENIs and nodes that the list contradicts. Their controllers decide.
fn look_at(parts: &Sweep, contradictions: &Contradictions) {
    for id in &contradictions.enis {
        parts.cloud.watch().look(id, Expect::Attached);
    }
    let nodes = nodes_to_compare(contradictions, &mut parts.missed.lock());
    for node in &nodes {
        parts.suspects.note(&Key::cluster(node), &parts.nodes);
    }
    if !(contradictions.enis.is_empty() && nodes.is_empty()) {
        info!(
            enis = ?contradictions.enis.iter().take(LOGGED).collect::<Vec<_>>(),
            nodes = ?nodes.iter().take(LOGGED).collect::<Vec<_>>(),
            "the cloud's list contradicts the objects; these ENIs and nodes are looked at"
        );
    }
}

/// Whether an object has lost its owner. A deletion of an ENI is not decided by the cache alone.
async fn lost_its_owner(parts: &Sweep, interface: &NetworkInterface) -> Result<bool, ReconcileError> {
    let records = &parts.caches.pod_enis;
    let find = |namespace: &str, name: &str| records.get(&Key::namespaced(namespace, name));
    match ownership(interface, find, Timestamp::now()) {
        Ownership::Owned => Ok(false),
        Ownership::Orphan => Ok(true),
        Ownership::Ask { namespace, name } => {
            let key = Key::namespaced(&namespace, &name);
            let live = parts.write.live_pod_eni_uid(&key).await?;
            Ok(is_orphan(interface, live.as_deref()))
        }
    }
}

#[cfg(test)]
mod tests;
