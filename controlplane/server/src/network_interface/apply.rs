//! Applies one step for an ENI.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{AttachEni, CloudError, DeleteEni, DetachEni, Expect};
use terway_core::cloud::{CloudEni, EniObservation};
use terway_core::intent::elapsed;
use terway_core::network_interface::{Awaited, Call, Step, attached, detached, lost, torn_off, with_term};
use terway_crds::AttachTo;
use terway_crds::names::finalizer;

use super::NetworkInterfaceController;
use super::answer::after_call;
use super::observe::ObservedEni;
use crate::context::Grant;
use crate::error::ReconcileError;
use crate::runtime::Next;

/// An ENI that the poller watches is planned again after this time at the latest, in case the poller's news is lost.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Applies the step. `None`: plan again at once.
pub async fn apply(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    step: Step,
    grant: Option<Grant>,
) -> Result<Option<Next>, ReconcileError> {
    let interface = &observed.interface;
    let id = observed.id();
    match (step, grant) {
        (Step::AdoptTarget(target), _) => {
            controller.write.write_target(interface, Some(&target)).await?;
        }
        (Step::Watch, _) => {
            controller.cloud.watch().look(id, awaited(controller, observed));
            return Ok(Some(Next::After(LOOK_AGAIN)));
        }
        (Step::LookAgain, _) => {
            controller.cloud.watch().forget(id);
            controller.cloud.watch().look(id, awaited(controller, observed));
            return Ok(Some(Next::After(LOOK_AGAIN)));
        }
        (Step::WriteTerm, _) => {
            let status = with_term(interface, &controller.term.id);
            controller
                .write
                .write_interface_status(interface, &status)
                .await?;
        }
        (Step::Attach(target), Some(grant)) => return attach(controller, observed, &target, grant).await,
        (
            Step::Detach {
                instance_id,
                trunk_eni_id,
            },
            Some(grant),
        ) => {
            let request = DetachEni {
                eni_id: id.to_owned(),
                instance_id,
                trunk_eni_id: Some(trunk_eni_id).filter(|trunk| !trunk.is_empty()),
            };
            let cloud = &controller.cloud;
            let answer = cloud.detach_network_interface(grant.permit, &request).await;
            return after_call(controller, observed, Call::Detach, answer, Timestamp::now());
        }
        (Step::Delete, Some(grant)) => {
            let request = DeleteEni {
                eni_id: id.to_owned(),
            };
            let cloud = &controller.cloud;
            let answer = cloud.delete_network_interface(grant.permit, &request).await;
            if let (Ok(()), Some((EniObservation::Present(eni), _))) = (&answer, &observed.observation) {
                let count = i64::try_from(eni.private_ips.len()).unwrap_or(0);
                controller.vswitches.used(&eni.vswitch_id, -count);
            }
            return after_call(controller, observed, Call::Delete, answer, Timestamp::now());
        }
        (Step::WriteAttached(eni), _) => write_attached(controller, observed, &eni).await?,
        (Step::WriteDetached, _) => {
            let status = detached(interface, observed.now);
            controller
                .write
                .write_interface_status(interface, &status)
                .await?;
            controller.forget(id);
        }
        (Step::WriteTornOff, _) => {
            let status = torn_off(interface, observed.now);
            controller
                .write
                .write_interface_status(interface, &status)
                .await?;
        }
        (Step::WriteLost, _) => {
            let status = lost(interface, observed.now);
            controller
                .write
                .write_interface_status(interface, &status)
                .await?;
            controller.forget_lost(id);
        }
        (Step::DropFinalizer, _) => {
            let ours = [finalizer::ENI];
            controller.write.release_interface(interface, &ours).await?;
            controller.forget(id);
            return Ok(Some(Next::OnChange));
        }
        // A call without a permit is never sent. The caller gets a permit first.
        (Step::Attach(_) | Step::Detach { .. } | Step::Delete, None) => {}
    }
    Ok(None)
}

fn awaited(controller: &NetworkInterfaceController, observed: &ObservedEni) -> Expect {
    match observed.view(controller).awaited() {
        Awaited::Attached => Expect::Attached,
        Awaited::Free => Expect::Free,
        Awaited::Gone => Expect::Gone,
    }
}

async fn attach(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    target: &AttachTo,
    grant: Grant,
) -> Result<Option<Next>, ReconcileError> {
    let request = AttachEni {
        eni_id: observed.id().to_owned(),
        instance_id: target.instance_id.clone(),
        trunk_eni_id: Some(target.trunk_eni_id.clone()).filter(|trunk| !trunk.is_empty()),
        network_card_index: target.network_card_index,
    };
    // The duration of an attach counts from the call.
    let sent = Timestamp::now();
    let cloud = &controller.cloud;
    let answer: Result<(), CloudError> = cloud.attach_network_interface(grant.permit, &request).await;
    after_call(controller, observed, Call::Attach, answer, sent)
}

async fn write_attached(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    eni: &CloudEni,
) -> Result<(), ReconcileError> {
    let interface = &observed.interface;
    let Some(target) = &interface.spec.attach_to else {
        return Ok(());
    };
    let status = attached(interface, target, eni, observed.now);
    controller
        .write
        .write_interface_status(interface, &status)
        .await?;
    if let Some(sent) = observed.history.attach_sent {
        let took = elapsed(sent, observed.now).as_secs_f64();
        controller.metrics.attached(!target.trunk_eni_id.is_empty(), took);
    }
    controller.forget(observed.id());
    Ok(())
}
