//! Attempts to make the ENI of an allocation: what the next one asks for, and when it is not worth a call.

use terway_core::intent::Refused;
use terway_core::pod::allocation;
use terway_core::pod_eni::{corrected, create_refused, next_attempt, replaced};
use terway_crds::Allocation;

use super::PodEniController;
use super::apply::{interface, tell, write_allocation};
use super::observe::ObservedPodEni;
use crate::error::{NetworksError, ReconcileError};
use crate::runtime::Slot;

/// What a new pod would get now for one network.
struct Today {
    allocation: Allocation,
    /// The vSwitches among which it was chosen.
    options: Vec<String>,
}

/// Begins the attempt after one that made nothing.
pub async fn next(
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
    // Where today's request cannot be told, the recorded one is tried again.
    let today = today(controller, seen, index, slot).await.ok().flatten();
    let today = today.as_ref().map(|today| &today.allocation);
    let allocation = next_attempt(allocation, today, refused, seen.now);
    write(controller, seen, index, allocation).await?;
    if let Some(refused) = refused {
        tell(controller, seen, create_refused(refused));
    }
    Ok(())
}

/// Corrects refused attempts that wait for their repetition, if settings or networks were corrected meanwhile. Returns
/// whether there were any.
pub async fn correct(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    slot: &mut Slot,
) -> Result<bool, ReconcileError> {
    for (index, allocation) in seen.record.spec.allocations.iter().enumerate() {
        let Some(creation) = allocation
            .creation
            .as_ref()
            .filter(|_| allocation.eni.id.is_empty())
        else {
            continue;
        };
        if creation.last_error.is_none() {
            continue;
        }
        let Ok(Some(today)) = today(controller, seen, index, slot).await else {
            continue;
        };
        let removed = !today.options.contains(&creation.parameters.vswitch_id);
        let sent = may_have_been_sent(seen, index);
        let corrected = corrected(allocation, Some(&today.allocation), removed, sent, seen.now);
        if let Some(corrected) = corrected {
            write(controller, seen, index, corrected).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks for a vSwitch with room before an attempt is sent that would be refused. Returns whether the attempt has
/// another vSwitch now.
///
/// # Errors
/// When none of the vSwitches has room. The attempt waits, and no call is sent meanwhile.
pub async fn find_room(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    slot: &mut Slot,
) -> Result<bool, ReconcileError> {
    let Some(allocation) = seen.record.spec.allocations.get(index) else {
        return Ok(false);
    };
    let vswitch = &allocation.eni.vswitch_id;
    // An attempt that was sent before may have made its ENI, so it is sent again as it is.
    if may_have_been_sent(seen, index) || !controller.vswitches.is_full(vswitch) {
        return Ok(false);
    }
    let Some(today) = today(controller, seen, index, slot).await? else {
        return Ok(false);
    };
    if today.allocation.eni.vswitch_id == *vswitch {
        return Ok(false);
    }
    let other = next_attempt(allocation, Some(&today.allocation), None, seen.now);
    write(controller, seen, index, other).await?;
    Ok(true)
}

/// Forgets an ENI that is gone, and begins an attempt to make another.
pub async fn replace(
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
    write(controller, seen, index, replaced(allocation, seen.now)).await
}

fn may_have_been_sent(seen: &ObservedPodEni, index: usize) -> bool {
    let evidence = seen.evidence.get(index);
    evidence.is_none_or(|evidence| evidence.may_have_been_sent)
}

/// Chooses by the pod's networks and the settings as they are now. `None` where there is no pod that asks.
async fn today(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    slot: &mut Slot,
) -> Result<Option<Today>, ReconcileError> {
    let (Some(pod), Some(node)) = (&seen.pod, &seen.node) else {
        return Ok(None);
    };
    let networks = controller.caches.networks_of(pod).map_err(NetworksError::from)?;
    let Some(network) = networks.get(index) else {
        return Ok(None);
    };
    let choice = controller.vswitches.choose_for(network, &node.zone, &pod.uid);
    let vswitch = slot.released_while(choice).await?;
    let settings = &controller.settings;
    let allocation =
        allocation(index, node, network, &vswitch, settings, seen.now).map_err(NetworksError::from)?;
    Ok(Some(Today {
        allocation,
        options: network.vswitch_options.clone(),
    }))
}

async fn write(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    index: usize,
    allocation: Allocation,
) -> Result<(), ReconcileError> {
    let attempt = allocation
        .creation
        .as_ref()
        .map_or(0, |creation| creation.attempt);
    write_allocation(controller, seen, index, allocation).await?;
    controller
        .attempts
        .written(seen.uid(), &index.to_string(), attempt);
    Ok(())
}

#[cfg(test)]
mod tests;
