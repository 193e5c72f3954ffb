//! The sweep: a slow comparison of cloud and cluster, as a second line of defence.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{Cloud, CloudError, EniFilter, Expect};
use terway_core::cloud::{CloudEni, EniKind, EniStatus};
use terway_core::gc::{Ownership, References, is_orphan, leaked, ownership};
use terway_core::pod::Settings;
use terway_crds::names::tag;
use terway_crds::{NetworkInterface, Phase};
use tracing::{info, warn};

use crate::context::Context;
use crate::degradation::DegradationSwitch;
use crate::error::ReconcileError;
use crate::metrics::Metrics;
use crate::network_interface::hand_over;
use crate::objects::{Caches, Writer};
use crate::runtime::Key;

/// Delay of the first sweep. A new leader has other work first.
const FIRST: Duration = Duration::from_secs(60);

/// The sweep of one term.
pub struct Sweep {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    /// Has the names by which the cloud knows this cluster.
    settings: Settings,
    degradation: DegradationSwitch,
    metrics: Metrics,
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
    let enis = candidates(parts).await?;
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

/// The free ENIs of this cluster, and its members in use, that have no object.
async fn candidates(parts: &Sweep) -> Result<Vec<CloudEni>, CloudError> {
    let tags = [
        (tag::CLUSTER, parts.settings.cluster_id.as_str()),
        (tag::CREATOR, tag::CREATOR_CONTROLLER),
    ];
    let list = |kind: Option<EniKind>, status: EniStatus| EniFilter {
        kind,
        status: Some(status),
        vpc_id: Some(parts.settings.vpc_id.clone()),
        ..EniFilter::tags(tags)
    };
    // Nearly all ENIs have an object. Only those without one are kept in memory.
    let interfaces = &parts.caches.interfaces;
    let unknown = |eni: &CloudEni| interfaces.get(&Key::cluster(&eni.id)).is_none();
    let free = |eni: &CloudEni| match interfaces.get(&Key::cluster(&eni.id)) {
        // The ENI is free and recorded as attached. Its controller looks at it and attaches it again.
        Some(interface) if is_recorded_attached(&interface) => {
            parts.cloud.watch().look(&eni.id, Expect::Attached);
            false
        }
        Some(_) => false,
        None => true,
    };
    let cloud = &parts.cloud;
    let mut found = cloud
        .select_network_interfaces(&list(None, EniStatus::Available), free)
        .await?;
    found.extend(
        cloud
            .select_network_interfaces(&list(Some(EniKind::Member), EniStatus::InUse), unknown)
            .await?,
    );
    Ok(found)
}

fn is_recorded_attached(interface: &NetworkInterface) -> bool {
    let bound = interface
        .status
        .as_ref()
        .is_some_and(|status| status.phase == Phase::Bind);
    bound && interface.spec.attach_to.is_some() && interface.metadata.deletion_timestamp.is_none()
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
