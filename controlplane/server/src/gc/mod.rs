//! The sweep: a slow comparison of cloud and cluster, behind everything that is done in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{CloudError, EniFilter, Expect};
use terway_core::cloud::{CloudEni, EniKind, EniStatus};
use terway_core::gc::{Known, MIN_AGE, leaked};
use terway_core::intent::elapsed;
use terway_core::network_interface::owner;
use terway_core::pool::index;
use terway_crds::names::tag;
use terway_crds::{NetworkInterface, Phase};
use tracing::{info, warn};

use crate::context::Context;
use crate::error::ReconcileError;
use crate::node::release::hand_over;
use crate::objects::Caches;
use crate::runtime::Key;

/// The first one waits for the work that a new leader finds.
const FIRST: Duration = Duration::from_secs(60);

/// Sweeps for as long as this process leads.
pub async fn run(context: Arc<Context>) {
    let period = context.settings.sweep_period;
    tokio::time::sleep(FIRST.min(period)).await;
    loop {
        if let Err(error) = sweep(&context).await {
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
/// When a list could not be read: a failed read is not an empty one, and nothing is collected.
pub async fn sweep(context: &Context) -> Result<(), ReconcileError> {
    if context.degradation.now().keeps_everything() {
        return Ok(());
    }
    // The cloud first: what the cluster refers to may only have grown since.
    let enis = candidates(context).await?;
    let known = known(&context.caches);
    for eni in leaked(&enis, &known, &context.settings.pods.cluster_id, Timestamp::now()) {
        info!(
            eni = eni.id,
            "nothing refers to this ENI any more; it is collected"
        );
        hand_over(context, &eni.id, None).await?;
        context.metrics.collected.inc();
    }
    for interface in context.caches.interfaces.all() {
        if is_orphan(context, &interface).await? {
            info!(
                eni = interface.metadata.name,
                "the owner of this NetworkInterface is gone; it is collected"
            );
            context.write.delete_interface(&interface).await?;
            context.metrics.collected.inc();
        }
    }
    Ok(())
}

/// ENIs of this cluster that are free, and members in use, without an object that stands for them.
async fn candidates(context: &Context) -> Result<Vec<CloudEni>, CloudError> {
    let tags = [
        (tag::CLUSTER, context.settings.pods.cluster_id.as_str()),
        (tag::CREATOR, tag::CREATOR_CONTROLLER),
    ];
    let list = |kind: Option<EniKind>, status: EniStatus| EniFilter {
        kind,
        status: Some(status),
        vpc_id: Some(context.settings.pods.vpc_id.clone()),
        ..EniFilter::tags(tags)
    };
    // Nearly all have their object: of a hundred thousand ENIs, only those without are held.
    let interfaces = &context.caches.interfaces;
    let unknown = |eni: &CloudEni| interfaces.get(&Key::cluster(&eni.id)).is_none();
    let free = |eni: &CloudEni| match interfaces.get(&Key::cluster(&eni.id)) {
        // Free, and recorded as attached: its controller looks at it, and attaches it again.
        Some(interface) if is_recorded_attached(&interface) => {
            context.look(&eni.id, Expect::Attached);
            false
        }
        Some(_) => false,
        None => true,
    };
    let cloud = &context.cloud;
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

/// Everything the cluster refers to.
fn known(caches: &Caches) -> Known {
    let mut known = Known::default();
    known.eni_ids.extend(
        caches
            .interfaces
            .all()
            .iter()
            .filter_map(|i| i.metadata.name.clone()),
    );
    for record in caches.pod_enis.all() {
        let uid = record.metadata.uid.clone().unwrap_or_default();
        for (index, allocation) in record.spec.allocations.iter().enumerate() {
            match (&allocation.creation, allocation.eni.id.as_str()) {
                (Some(creation), "") => {
                    known
                        .open_intents
                        .insert((uid.clone(), index.to_string()), creation.attempt);
                }
                (_, id) => {
                    known.eni_ids.insert(id.to_owned());
                }
            }
        }
    }
    for record in caches.node_records.all() {
        let uid = record.metadata.uid.clone().unwrap_or_default();
        let Some(status) = &record.status else { continue };
        known.eni_ids.extend(status.network_interfaces.keys().cloned());
        for operation in &status.operations {
            known.eni_ids.insert(operation.eni_id.clone());
            known
                .open_intents
                .insert((uid.clone(), index(operation).to_owned()), operation.attempt);
        }
    }
    known
}

/// An object whose owner is gone, or one that was made to be deleted and was not. What upstream
/// keeps on purpose is left alone, and the cache is not believed where an ENI is at stake.
async fn is_orphan(context: &Context, interface: &NetworkInterface) -> Result<bool, ReconcileError> {
    let policy = &interface.spec.manage_policy;
    let young = interface
        .metadata
        .creation_timestamp
        .as_ref()
        .is_none_or(|created| elapsed(created.0, Timestamp::now()) < MIN_AGE);
    if interface.metadata.deletion_timestamp.is_some() || policy.cache || policy.unmanaged || young {
        return Ok(false);
    }
    let Some((namespace, name)) = owner(interface) else {
        return Ok(interface.spec.attach_to.is_none() && interface.status.is_none());
    };
    let key = Key::namespaced(namespace, name);
    if context
        .caches
        .pod_enis
        .get(&key)
        .is_some_and(|record| refers(&record, interface))
    {
        return Ok(false);
    }
    let Some(uid) = context.write.live_pod_eni_uid(&key).await? else {
        return Ok(true);
    };
    // A record of that name exists; it is another one only if our own reference says so.
    let reference = interface.spec.pod_eni_ref.as_ref();
    let ours = reference.is_some_and(|reference| reference.kind.as_deref() == Some("PodENI"));
    Ok(ours && reference.and_then(|reference| reference.uid.as_ref()) != Some(&uid))
}

fn refers(record: &terway_crds::PodEni, interface: &NetworkInterface) -> bool {
    terway_core::network_interface::is_of(interface, record)
}
