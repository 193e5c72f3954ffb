//! Does one step for a PodENI.

use std::sync::Arc;

use terway_cloud::{CloudError, CreateEni, EniFilter, ErrorClass};
use terway_core::cloud::CloudEni;
use terway_core::intent::{Answer, Evidence, Lookup, Refusal};
use terway_core::network_interface;
use terway_core::pod_eni::{Choice, Step, intent_id, next_attempt, replaced, with_eni};
use terway_core::vswitch::choose;
use terway_crds::names::{action, event, finalizer, tag};
use terway_crds::{Allocation, AttachTo, NetworkInterface, Phase, PodEniStatus};

use super::observe::Seen;
use crate::context::{Context, Grant, answer};
use crate::error::ReconcileError;
use crate::events::{News, Severity, pod_reference, reference};
use crate::objects::Created;
use crate::pod::{candidates, networks_of, seed};
use crate::runtime::{Next, Slot};

/// Does the step. `None` means: plan again at once.
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
        Step::NextAttempt { index, refusal } => {
            next(context, seen, index, refusal.as_ref(), slot).await?;
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
            tell_phase(context, seen, &status);
        }
        Step::DeleteRecord => context.write.delete_pod_eni(record).await?,
        Step::DropFinalizers => {
            context
                .write
                .release_pod_eni(record, &[finalizer::POD_ENI, finalizer::POD_ENI_OLD])
                .await?;
            context.intents.forget_all(seen.uid());
            for index in 0..record.spec.allocations.len() {
                context.backlog.leave(&seen.intent_name(index));
            }
            return Ok(Some(Next::OnChange));
        }
    }
    Ok(None)
}

fn interface(seen: &Seen, index: usize) -> Option<&Arc<NetworkInterface>> {
    seen.interfaces.get(index)?.as_ref()
}

async fn create(context: &Context, seen: &Seen, index: usize, grant: Grant) -> Result<(), ReconcileError> {
    let Some(request) = request(seen, index) else {
        return Ok(());
    };
    let Some(mut evidence) = seen.evidence.get(index).cloned() else {
        return Ok(());
    };
    evidence.sending();
    context
        .intents
        .note(seen.uid(), &index.to_string(), evidence.clone());
    let (answer, error) = match answer(
        context
            .cloud
            .create_network_interface(grant.permit, &request)
            .await,
    ) {
        Ok(known) => known,
        Err(not_sent) => {
            // Nothing left this process: what was known before still holds.
            let before = seen.evidence.get(index).cloned().unwrap_or(evidence);
            context.intents.note(seen.uid(), &index.to_string(), before);
            return Err(not_sent.into());
        }
    };
    let again = matches!(answer, Answer::Unknown | Answer::Throttled);
    evidence.answered(answer);
    context.intents.note(seen.uid(), &index.to_string(), evidence);
    match error.filter(|_| again) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The request of an intent, rebuilt from the record and nothing else.
fn request(seen: &Seen, index: usize) -> Option<CreateEni> {
    let creation = seen.record.spec.allocations.get(index)?.creation.as_ref()?;
    let id = intent_id(&seen.record, index)?;
    Some(crate::requests::create(&creation.parameters, &id, false))
}

async fn look_up(
    context: &Context,
    seen: &Seen,
    index: usize,
    filter: EniFilter,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let found = slot
        .released_while(context.cloud.describe_network_interfaces(&filter))
        .await?;
    let Some(mut evidence) = seen.evidence.get(index).cloned() else {
        return Ok(());
    };
    let found = found.into_iter().next().map(Box::new);
    evidence.lookups.push(Lookup {
        at: jiff::Timestamp::now(),
        found,
    });
    context.intents.note(seen.uid(), &index.to_string(), evidence);
    Ok(())
}

/// First the object that owns the ENI, then the record: whichever write is lost, somebody knows.
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
    context.backlog.rename(&seen.intent_name(index), &eni.id);
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
    context.intents.forget(seen.uid(), &index.to_string());
    if wanted {
        let ip = eni.primary_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let note = format!(
            "created ENI {} with address {ip} in vSwitch {}",
            eni.id, eni.vswitch_id
        );
        tell(
            context,
            seen,
            Severity::Normal,
            event::CREATE_ENI_SUCCEED,
            action::CREATE_ENI,
            note,
        );
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
    // Noted before the write: its answer wakes the controller that asks.
    let id = allocation.eni.id.clone();
    let fresh = allocation.creation.is_some() && seen.interfaces.iter().flatten().all(|i| !is_named(i, &id));
    if fresh && seen.record.metadata.deletion_timestamp.is_none() {
        context.made_here.lock().insert(id.clone());
    }
    if let Created::Exists = context.write.create_interface(&interface).await? {
        context.made_here.lock().remove(&id);
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
    refusal: Option<&Refusal>,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    if refusal.is_some_and(|refusal| refusal.vswitch_exhausted) {
        context.vswitches.exhausted(&allocation.eni.vswitch_id);
    }
    let choice = choose_again(context, seen, index, slot).await;
    let allocation = next_attempt(allocation, &choice, refusal, seen.now);
    write_attempt(context, seen, index, allocation).await?;
    if let Some(refusal) = refusal {
        let note = format!(
            "the cloud refused to create the ENI: {}: {}",
            refusal.code, refusal.message
        );
        tell(
            context,
            seen,
            Severity::Warning,
            event::CREATE_ENI_FAILED,
            action::CREATE_ENI,
            note,
        );
    }
    Ok(())
}

/// The networks of the pod as they are now; what cannot be found out stays as it was.
async fn choose_again(context: &Context, seen: &Seen, index: usize, slot: &mut Slot) -> Choice {
    let (Some(pod), Some(node)) = (&seen.pod, &seen.node) else {
        return Choice::default();
    };
    let Ok(networks) = networks_of(pod, &context.caches) else {
        return Choice::default();
    };
    let Some(network) = networks.get(index) else {
        return Choice::default();
    };
    let found = candidates(context, network, slot).await.unwrap_or_default();
    let policy = &network.vswitch_select_options.policy;
    let vswitch = choose(policy, &node.zone, &found, seed(&pod.uid)).ok().cloned();
    Choice {
        vswitch,
        security_group_ids: network.security_group_ids.clone(),
    }
}

async fn replace(context: &Context, seen: &Seen, index: usize) -> Result<(), ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(());
    };
    // The object of the lost ENI first, which finds out that it is gone, and goes: once the record names
    // another ENI, nobody would know of it. Should the second write be lost, this one is done again.
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
    context
        .intents
        .note(seen.uid(), &index.to_string(), Evidence::fresh(attempt));
    // An attempt that begins later must not keep the room of others.
    context.backlog.leave(&seen.intent_name(index));
    Ok(())
}

/// Tells of a record that reached its phase just now.
fn tell_phase(context: &Context, seen: &Seen, status: &PodEniStatus) {
    let before = seen.record.status.as_ref().map(|status| &status.phase);
    if before == Some(&status.phase) {
        return;
    }
    let enis = &status.summary.eni_ids;
    let (reason, action, note) = match status.phase {
        Phase::Bind => {
            let (ips, instance) = (&status.summary.ips, &status.instance_id);
            let note = format!("attached ENI {enis} with address {ips} to instance {instance}");
            (event::ATTACH_ENI_SUCCEED, action::ATTACH_ENI, note)
        }
        Phase::Unbind => {
            let note = format!("detached ENI {enis}; it is kept for the next pod of this name");
            (event::DETACH_ENI_SUCCEED, action::DETACH_ENI, note)
        }
        _ => return,
    };
    tell(context, seen, Severity::Normal, reason, action, note);
}

/// Told on the pod, where people look, with the record as the related object.
pub fn tell(
    context: &Context,
    seen: &Seen,
    severity: Severity,
    reason: &'static str,
    action: &'static str,
    note: String,
) {
    let record = reference(&*seen.record);
    let news = News {
        severity,
        reason,
        action,
        note,
    };
    match &seen.pod {
        Some(pod) => context.events.tell(pod_reference(pod), Some(record), news),
        None => context.events.tell(record, None, news),
    }
}

/// Whether an error of the cloud says that the ENI itself is not there.
pub fn names_missing_eni(error: &CloudError) -> bool {
    error.class == ErrorClass::NotFound && error.code.to_ascii_lowercase().contains("eni")
}
