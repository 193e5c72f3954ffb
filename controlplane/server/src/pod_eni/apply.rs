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

use super::observe::Seen;
use crate::context::{Context, Grant};
use crate::error::ReconcileError;
use crate::events::{planned, pod_reference, reference};
use crate::intents::Request;
use crate::objects::Created;
use crate::runtime::{Next, Slot};

/// Applies the step. `None`: plan again at once.
pub async fn apply(
    context: &Context,
    seen: &Seen,
    step: Step,
    grant: &mut Option<Grant>,
    slot: &mut Slot,
) -> Result<Option<Next>, ReconcileError> {
    let record = &seen.record;
    match step {
        Step::Create { index } => {
            if let Some(grant) = grant.take() {
                create(context, seen, index, grant).await?;
            }
        }
        Step::LookUpByTag { index } => {
            let id = intent_id(record, index)
                .map(|id| id.tag_value())
                .unwrap_or_default();
            let filter = EniFilter::tags([(tag::INTENT, id)]);
            look_up(context, seen, index, filter, slot).await?;
        }
        Step::LookUpById { index, id } => look_up(context, seen, index, EniFilter::ids([id]), slot).await?,
        Step::Record {
            index,
            eni,
            attach_to,
        } => {
            record_eni(context, seen, index, &eni, attach_to, slot).await?;
        }
        Step::NextAttempt { index, refused } => {
            next(context, seen, index, refused.as_ref(), slot).await?;
        }
        Step::Replace { index } => replace(context, seen, index).await?,
        Step::MakeInterface { index, attach_to } => {
            if let Some(allocation) = record.spec.allocations.get(index) {
                make_interface(context, seen, allocation, attach_to).await?;
            }
        }
        Step::SetTarget { index, attach_to } => {
            if let Some(interface) = interface(seen, index) {
                context.write.write_target(interface, attach_to.as_ref()).await?;
            }
        }
        Step::DeleteInterface { index } => {
            if let Some(interface) = interface(seen, index) {
                context.write.delete_interface(interface).await?;
            }
        }
        Step::SetStatus(status) => {
            context.write.write_pod_eni_status(record, &status).await?;
            if let Some(news) = phase_reached(record, &status) {
                tell(context, seen, news);
            }
        }
        Step::DeleteRecord => context.write.delete_pod_eni(record).await?,
        Step::DropFinalizers => {
            context
                .write
                .release_pod_eni(record, &[finalizer::POD_ENI, finalizer::POD_ENI_OLD])
                .await?;
            context.attempts.forget_all(seen.uid());
            return Ok(Some(Next::OnChange));
        }
    }
    Ok(None)
}

fn interface(seen: &Seen, index: usize) -> Option<&Arc<NetworkInterface>> {
    seen.interfaces.get(index)?.as_ref()
}

async fn create(context: &Context, seen: &Seen, index: usize, grant: Grant) -> Result<(), ReconcileError> {
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
    let sent = context
        .attempts
        .send(&context.cloud, &id, &request, grant, |_| {})
        .await;
    sent.again.map_or(Ok(()), |error| Err(error.into()))
}

async fn look_up(
    context: &Context,
    seen: &Seen,
    index: usize,
    filter: EniFilter,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    if let Some(id) = intent_id(&seen.record, index) {
        let looked = context.attempts.look_up(&context.cloud, &id, &filter);
        slot.released_while(looked).await?;
    }
    Ok(())
}

/// Makes the NetworkInterface first, which owns the ENI, then writes the ENI into the record. If one of the writes is
/// lost, the other still names the ENI.
async fn record_eni(
    context: &Context,
    seen: &Seen,
    index: usize,
    eni: &CloudEni,
    attach_to: Option<AttachTo>,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    let ids = [eni.vswitch_id.clone()];
    let known = slot.released_while(context.vswitches.resolve(&ids)).await?;
    let cidrs = known.first().map(|vswitch| &vswitch.cidrs);
    let allocation = with_eni(allocation, eni, cidrs);
    context.fresh.made(&seen.intent_name(index), &eni.id);
    let wanted = attach_to.is_some();
    make_interface(context, seen, &allocation, attach_to).await?;
    let mut allocations = seen.record.spec.allocations.clone();
    if let Some(place) = allocations.get_mut(index) {
        *place = allocation;
    }
    context
        .write
        .write_allocations(&seen.record, &allocations)
        .await?;
    context.attempts.forget(seen.uid(), &index.to_string());
    if wanted {
        tell(context, seen, created(eni));
    }
    Ok(())
}

async fn make_interface(
    context: &Context,
    seen: &Seen,
    allocation: &Allocation,
    attach_to: Option<AttachTo>,
) -> Result<(), ReconcileError> {
    let interface = network_interface::build(&seen.record, allocation, attach_to);
    let id = allocation.eni.id.clone();
    let fresh = allocation.creation.is_some() && seen.interfaces.iter().flatten().all(|i| !is_named(i, &id));
    if fresh && seen.record.metadata.deletion_timestamp.is_none() {
        context.fresh.object_is_made(&id);
    }
    if let Created::Exists = context.write.create_interface(&interface).await? {
        context.fresh.object_was_there(&id);
    }
    Ok(())
}

fn is_named(interface: &NetworkInterface, id: &str) -> bool {
    interface.metadata.name.as_deref() == Some(id)
}

async fn next(
    context: &Context,
    seen: &Seen,
    index: usize,
    refused: Option<&Refused>,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    if refused.is_some_and(Refused::is_exhausted) {
        context.vswitches.exhausted(&allocation.eni.vswitch_id);
    }
    let choice = choose_again(context, seen, index, slot).await;
    let allocation = next_attempt(allocation, &choice, refused, seen.now);
    write_attempt(context, seen, index, allocation).await?;
    if let Some(refused) = refused {
        tell(context, seen, create_refused(refused));
    }
    Ok(())
}

/// Chooses by the pod's networks as they are now. Parts that cannot be read stay as recorded.
async fn choose_again(context: &Context, seen: &Seen, index: usize, slot: &mut Slot) -> Choice {
    let (Some(pod), Some(node)) = (&seen.pod, &seen.node) else {
        return Choice::default();
    };
    let Ok(networks) = context.caches.networks_of(pod) else {
        return Choice::default();
    };
    let Some(network) = networks.get(index) else {
        return Choice::default();
    };
    let choice = context.vswitches.choose_for(network, &node.zone, &pod.uid);
    let vswitch = slot.released_while(choice).await.ok();
    Choice {
        vswitch,
        security_group_ids: network.security_group_ids.clone(),
    }
}

async fn replace(context: &Context, seen: &Seen, index: usize) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    // The NetworkInterface of the lost ENI is deleted first: once the record names another ENI, nothing refers to the
    // lost one. If the second write is lost, the delete is repeated.
    if let Some(interface) = interface(seen, index) {
        context.write.delete_interface(interface).await?;
    }
    write_attempt(context, seen, index, replaced(allocation, seen.now)).await
}

async fn write_attempt(
    context: &Context,
    seen: &Seen,
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
    context
        .write
        .write_allocations(&seen.record, &allocations)
        .await?;
    context.attempts.written(seen.uid(), &index.to_string(), attempt);
    Ok(())
}

/// Writes an event about the pod, where people look, with the record as the related object.
pub fn tell(context: &Context, seen: &Seen, news: News) {
    let record = reference(&*seen.record);
    match &seen.pod {
        Some(pod) => context
            .events
            .tell(pod_reference(pod), Some(record), planned(news)),
        None => context.events.tell(record, None, planned(news)),
    }
}
