//! Applies one step of the plan for a PodENI.

use std::sync::Arc;

use terway_cloud::EniFilter;
use terway_core::cloud::CloudEni;
use terway_core::network_interface;
use terway_core::news::News;
use terway_core::pod_eni::{Step, created, intent_id, phase_reached, with_eni};
use terway_crds::names::{finalizer, tag};
use terway_crds::{Allocation, AttachTo, NetworkInterface};

use super::PodEniController;
use super::attempt;
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
            attempt::next(controller, seen, index, refused.as_ref(), slot).await?;
        }
        Step::Replace { index } => attempt::replace(controller, seen, index).await?,
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

/// The NetworkInterface of an allocation, if there is one.
pub fn interface(seen: &ObservedPodEni, index: usize) -> Option<&Arc<NetworkInterface>> {
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
    // The ENI was just made. An ENI that is only named by the record may be attached, or may be somebody else's.
    if seen.record.metadata.deletion_timestamp.is_none() {
        controller.fresh.object_is_made(&eni.id);
    }
    make_interface(controller, seen, &allocation, attach_to).await?;
    write_allocation(controller, seen, index, allocation).await?;
    controller.attempts.forget(seen.uid(), &index.to_string());
    if wanted {
        tell(controller, seen, created(eni));
    }
    Ok(())
}

/// Writes one allocation into the record.
pub async fn write_allocation(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    allocation: Allocation,
) -> Result<(), ReconcileError> {
    let mut allocations = seen.record.spec.allocations.clone();
    if let Some(place) = allocations.get_mut(index) {
        *place = allocation;
    }
    controller
        .write
        .write_allocations(&seen.record, &allocations)
        .await?;
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
    if let Created::Exists = controller.write.create_interface(&interface).await? {
        controller.fresh.object_was_there(&id);
    }
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
