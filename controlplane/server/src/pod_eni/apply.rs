//! Applies one step of the plan for a PodENI.

use std::sync::Arc;

use terway_cloud::EniFilter;
use terway_core::cloud::CloudEni;
use terway_core::intent::Refused;
use terway_core::network_interface;
use terway_core::news::News;
use terway_core::pod_eni::{
    Choice, Step, create_refused, created, intent_id, next_attempt, phase_reached, replaced, with_eni,
};
use terway_crds::names::{finalizer, tag};
use terway_crds::{Allocation, AttachTo, NetworkInterface};

use super::PodEniController;
use super::observe::ObservedPodEni;
use crate::context::Grant;
use crate::error::ReconcileError;
use crate::events::{planned, pod_reference, reference};
use crate::intents::Request;
use crate::objects::Created;
use crate::runtime::{Next, Slot};

/// Applies the step. `None`: plan again at once.
pub async fn apply(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    step: Step,
    grant: &mut Option<Grant>,
    slot: &mut Slot,
) -> Result<Option<Next>, ReconcileError> {
    let record = &seen.record;
    match step {
        Step::Create { index } => {
            if let Some(grant) = grant.take() {
                create(controller, seen, index, grant).await?;
            }
        }
        Step::LookUpByTag { index } => {
            let id = intent_id(record, index)
                .map(|id| id.tag_value())
                .unwrap_or_default();
            let filter = EniFilter::tags([(tag::INTENT, id)]);
            look_up(controller, seen, index, filter, slot).await?;
        }
        Step::LookUpById { index, id } => {
            look_up(controller, seen, index, EniFilter::ids([id]), slot).await?
        }
        Step::Record {
            index,
            eni,
            attach_to,
        } => {
            record_eni(controller, seen, index, &eni, attach_to, slot).await?;
        }
        Step::NextAttempt { index, refused } => {
            next(controller, seen, index, refused.as_ref(), slot).await?;
        }
        Step::Replace { index } => replace(controller, seen, index).await?,
        Step::MakeInterface { index, attach_to } => {
            if let Some(allocation) = record.spec.allocations.get(index) {
                make_interface(controller, seen, allocation, attach_to).await?;
            }
        }
        Step::SetTarget { index, attach_to } => {
            if let Some(interface) = interface(seen, index) {
                controller
                    .write
                    .write_target(interface, attach_to.as_ref())
                    .await?;
            }
        }
        Step::DeleteInterface { index } => {
            if let Some(interface) = interface(seen, index) {
                controller.write.delete_interface(interface).await?;
            }
        }
        Step::SetStatus(status) => {
            controller.write.write_pod_eni_status(record, &status).await?;
            if let Some(news) = phase_reached(record, &status) {
                tell(controller, seen, news);
            }
        }
        Step::DeleteRecord => controller.write.delete_pod_eni(record).await?,
        Step::DropFinalizers => {
            controller
                .write
                .release_pod_eni(record, &[finalizer::POD_ENI, finalizer::POD_ENI_OLD])
                .await?;
            controller.attempts.forget_all(seen.uid());
            return Ok(Some(Next::OnChange));
        }
    }
    Ok(None)
}

fn interface(seen: &ObservedPodEni, index: usize) -> Option<&Arc<NetworkInterface>> {
    seen.interfaces.get(index)?.as_ref()
}

async fn create(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    grant: Grant,
) -> Result<(), ReconcileError> {
    let creation = seen
        .record
        .spec
        .allocations
        .get(index)
        .and_then(|a| a.creation.as_ref());
    let (Some(creation), Some(id)) = (creation, intent_id(&seen.record, index)) else {
        return Ok(());
    };
    let request = Request::create(&creation.parameters, &id, false);
    let sent = controller
        .attempts
        .send(&controller.cloud, &id, &request, grant, |_| {})
        .await;
    sent.again.map_or(Ok(()), |error| Err(error.into()))
}

async fn look_up(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    filter: EniFilter,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    if let Some(id) = intent_id(&seen.record, index) {
        let looked = controller.attempts.look_up(&controller.cloud, &id, &filter);
        slot.released_while(looked).await?;
    }
    Ok(())
}

/// Makes the NetworkInterface first, which owns the ENI, then writes the ENI into the record. If one of the writes is
/// lost, the other still names the ENI.
async fn record_eni(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    eni: &CloudEni,
    attach_to: Option<AttachTo>,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    let ids = [eni.vswitch_id.clone()];
    let known = slot.released_while(controller.vswitches.resolve(&ids)).await?;
    let cidrs = known.first().map(|vswitch| &vswitch.cidrs);
    let allocation = with_eni(allocation, eni, cidrs);
    controller.fresh.made(&seen.intent_name(index), &eni.id);
    let wanted = attach_to.is_some();
    make_interface(controller, seen, &allocation, attach_to).await?;
    let mut allocations = seen.record.spec.allocations.clone();
    if let Some(place) = allocations.get_mut(index) {
        *place = allocation;
    }
    controller
        .write
        .write_allocations(&seen.record, &allocations)
        .await?;
    controller.attempts.forget(seen.uid(), &index.to_string());
    if wanted {
        tell(controller, seen, created(eni));
    }
    Ok(())
}

async fn make_interface(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    allocation: &Allocation,
    attach_to: Option<AttachTo>,
) -> Result<(), ReconcileError> {
    let interface = network_interface::build(&seen.record, allocation, attach_to);
    let id = allocation.eni.id.clone();
    let fresh = allocation.creation.is_some() && seen.interfaces.iter().flatten().all(|i| !is_named(i, &id));
    if fresh && seen.record.metadata.deletion_timestamp.is_none() {
        controller.fresh.object_is_made(&id);
    }
    if let Created::Exists = controller.write.create_interface(&interface).await? {
        controller.fresh.object_was_there(&id);
    }
    Ok(())
}

fn is_named(interface: &NetworkInterface, id: &str) -> bool {
    interface.metadata.name.as_deref() == Some(id)
}

async fn next(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    refused: Option<&Refused>,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    if refused.is_some_and(Refused::is_exhausted) {
        controller.vswitches.exhausted(&allocation.eni.vswitch_id);
    }
    let choice = choose_again(controller, seen, index, slot).await;
    let allocation = next_attempt(allocation, &choice, refused, seen.now);
    write_attempt(controller, seen, index, allocation).await?;
    if let Some(refused) = refused {
        tell(controller, seen, create_refused(refused));
    }
    Ok(())
}

/// Chooses by the pod's networks as they are now. Parts that cannot be read stay as recorded.
async fn choose_again(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    slot: &mut Slot,
) -> Choice {
    let (Some(pod), Some(node)) = (&seen.pod, &seen.node) else {
        return Choice::default();
    };
    let Ok(networks) = controller.caches.networks_of(pod) else {
        return Choice::default();
    };
    let Some(network) = networks.get(index) else {
        return Choice::default();
    };
    let choice = controller.vswitches.choose_for(network, &node.zone, &pod.uid);
    let vswitch = slot.released_while(choice).await.ok();
    Choice {
        vswitch,
        security_group_ids: network.security_group_ids.clone(),
    }
}

async fn replace(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    // The NetworkInterface of the lost ENI is deleted first: once the record names another ENI, nothing refers to the
    // lost one. If the second write is lost, the delete is repeated.
    if let Some(interface) = interface(seen, index) {
        controller.write.delete_interface(interface).await?;
    }
    write_attempt(controller, seen, index, replaced(allocation, seen.now)).await
}

async fn write_attempt(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    allocation: Allocation,
) -> Result<(), ReconcileError> {
    let attempt = allocation
        .creation
        .as_ref()
        .map_or(0, |creation| creation.attempt);
    let mut allocations = seen.record.spec.allocations.clone();
    if let Some(place) = allocations.get_mut(index) {
        *place = allocation;
    }
    controller
        .write
        .write_allocations(&seen.record, &allocations)
        .await?;
    controller
        .attempts
        .written(seen.uid(), &index.to_string(), attempt);
    Ok(())
}

/// Writes an event about the pod, where people look, with the record as the related object.
pub fn tell(controller: &PodEniController, seen: &ObservedPodEni, news: News) {
    let record = reference(&*seen.record);
    match &seen.pod {
        Some(pod) => controller
            .events
            .tell(pod_reference(pod), Some(record), planned(news)),
        None => controller.events.tell(record, None, planned(news)),
    }
}
