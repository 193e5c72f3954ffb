//! Does one step for an ENI.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{AttachEni, CloudError, DeleteEni, DetachEni, ErrorClass, Expect};
use terway_core::cloud::CloudEni;
use terway_core::intent::elapsed;
use terway_core::network_interface::{Memory, Step, attached, detached, with_term};
use terway_crds::AttachTo;
use terway_crds::names::{action, event, finalizer};

use super::NetworkInterfaceController;
use super::observe::Seen;
use crate::context::Grant;
use crate::error::{ReconcileError, chain};
use crate::events::{News, Severity, reference};
use crate::pod_eni::names_missing_eni;
use crate::runtime::Next;

/// A call whose outcome shows in the state is looked at again at the latest after this time, in
/// case the poller's word is lost.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Does the step. `None` means: plan again at once.
pub async fn apply(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    step: Step,
    grant: Option<Grant>,
) -> Result<Option<Next>, ReconcileError> {
    let context = &controller.context;
    let interface = &seen.interface;
    let id = seen.id();
    match (step, grant) {
        (Step::AdoptTarget(target), _) => {
            context.write.write_target(interface, Some(&target)).await?;
        }
        (Step::Watch, _) => {
            context.watch(id, awaited(seen));
            return Ok(Some(Next::After(LOOK_AGAIN)));
        }
        (Step::WriteTerm, _) => {
            let status = with_term(interface, &context.term.id);
            context.write.write_interface_status(interface, &status).await?;
        }
        (Step::Attach(target), Some(grant)) => return attach(controller, seen, &target, grant).await,
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
            let answer = context
                .cloud
                .detach_network_interface(grant.permit, &request)
                .await;
            return detach_answered(controller, seen, answer);
        }
        (Step::Delete, Some(grant)) => {
            let request = DeleteEni {
                eni_id: id.to_owned(),
            };
            let answer = context
                .cloud
                .delete_network_interface(grant.permit, &request)
                .await;
            return delete_answered(controller, seen, answer);
        }
        (Step::WriteAttached(eni), _) => write_attached(controller, seen, &eni).await?,
        (Step::WriteDetached, _) => {
            context
                .write
                .write_interface_status(interface, &detached(interface, seen.now))
                .await?;
            controller.settle(id);
        }
        (Step::DropFinalizer, _) => {
            context
                .write
                .release_interface(interface, &[finalizer::ENI])
                .await?;
            controller.settle(id);
            return Ok(Some(Next::OnChange));
        }
        // A call without its permit is never sent; the caller gets one first.
        (Step::Attach(_) | Step::Detach { .. } | Step::Delete, None) => {}
    }
    Ok(None)
}

/// What the poller is to wait for, from what is wanted.
fn awaited(seen: &Seen) -> Expect {
    if seen.memory.delete_sent.is_some() {
        return Expect::Gone;
    }
    let leaving = seen.interface.metadata.deletion_timestamp.is_some();
    if leaving || seen.interface.spec.attach_to.is_none() {
        Expect::Free
    } else {
        Expect::Attached
    }
}

async fn attach(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    target: &AttachTo,
    grant: Grant,
) -> Result<Option<Next>, ReconcileError> {
    let context = &controller.context;
    let request = AttachEni {
        eni_id: seen.id().to_owned(),
        instance_id: target.instance_id.clone(),
        trunk_eni_id: Some(target.trunk_eni_id.clone()).filter(|trunk| !trunk.is_empty()),
        network_card_index: target.network_card_index,
    };
    let sent = Timestamp::now();
    let answer = context
        .cloud
        .attach_network_interface(grant.permit, &request)
        .await;
    match answer {
        Ok(()) => {}
        Err(error) => match error.class {
            // It may have been done: the state tells.
            ErrorClass::Unknown => {}
            // Something is going on with it, or it does not show yet: look before trying again.
            ErrorClass::Conflict | ErrorClass::NotFound => {
                controller.remember(
                    seen.id(),
                    Memory {
                        made_here: false,
                        ..seen.memory.clone()
                    },
                );
                context.watch(seen.id(), Expect::Attached);
                tell(
                    controller,
                    seen,
                    event::ATTACH_ENI_FAILED,
                    action::ATTACH_ENI,
                    &error,
                );
                return Err(error.into());
            }
            _ => {
                tell(
                    controller,
                    seen,
                    event::ATTACH_ENI_FAILED,
                    action::ATTACH_ENI,
                    &error,
                );
                return Err(error.into());
            }
        },
    }
    let memory = Memory {
        attach_sent: Some(sent),
        detach_sent: None,
        ..seen.memory.clone()
    };
    controller.remember(seen.id(), memory);
    context.backlog.leave(seen.id());
    context.watch(seen.id(), Expect::Attached);
    Ok(Some(Next::After(LOOK_AGAIN)))
}

async fn write_attached(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    eni: &CloudEni,
) -> Result<(), ReconcileError> {
    let context = &controller.context;
    let Some(target) = &seen.interface.spec.attach_to else {
        return Ok(());
    };
    let status = attached(&seen.interface, target, eni, seen.now);
    context
        .write
        .write_interface_status(&seen.interface, &status)
        .await?;
    if let Some(sent) = seen.memory.attach_sent {
        let took = elapsed(sent, seen.now).as_secs_f64();
        context.metrics.attached(!target.trunk_eni_id.is_empty(), took);
    }
    controller.settle(seen.id());
    Ok(())
}

fn detach_answered(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    answer: Result<(), CloudError>,
) -> Result<Option<Next>, ReconcileError> {
    let mut memory = Memory {
        made_here: false,
        attach_sent: None,
        ..seen.memory.clone()
    };
    let error = match answer {
        Ok(()) => None,
        Err(error) if names_missing_eni(&error) => {
            memory.not_found = true;
            controller.remember(seen.id(), memory);
            return Ok(None);
        }
        Err(error) => Some(error),
    };
    let done = error
        .as_ref()
        .is_none_or(|error| error.class == ErrorClass::Unknown);
    if done {
        memory.detach_sent = Some(Timestamp::now());
    }
    // Refused, it may be that it is detached already, or that its instance is gone: the state tells.
    let refused = error.filter(|_| !done);
    if refused.as_ref().is_none_or(|error| shows_in_state(error.class)) {
        controller.remember(seen.id(), memory);
        controller.context.watch(seen.id(), Expect::Free);
    }
    match refused {
        None => Ok(Some(Next::After(LOOK_AGAIN))),
        Some(error) => {
            tell(
                controller,
                seen,
                event::DETACH_ENI_FAILED,
                action::DETACH_ENI,
                &error,
            );
            Err(error.into())
        }
    }
}

fn delete_answered(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    answer: Result<(), CloudError>,
) -> Result<Option<Next>, ReconcileError> {
    let mut memory = seen.memory.clone();
    let error = match answer {
        Ok(()) => None,
        Err(error) if names_missing_eni(&error) => {
            memory.not_found = true;
            controller.remember(seen.id(), memory);
            return Ok(None);
        }
        Err(error) => Some(error),
    };
    let done = error
        .as_ref()
        .is_none_or(|error| error.class == ErrorClass::Unknown);
    if done {
        memory.delete_sent = Some(Timestamp::now());
        controller.remember(seen.id(), memory);
        controller.context.watch(seen.id(), Expect::Gone);
    }
    match error.filter(|_| !done) {
        None => Ok(Some(Next::After(LOOK_AGAIN))),
        Some(error) => {
            if shows_in_state(error.class) {
                // Look anew: what was seen led to a call that was refused.
                controller.remember(
                    seen.id(),
                    Memory {
                        made_here: false,
                        ..Memory::default()
                    },
                );
                controller.context.cloud.watch().forget(seen.id());
                controller.context.watch(seen.id(), Expect::Free);
            }
            tell(
                controller,
                seen,
                event::DELETE_ENI_FAILED,
                action::DELETE_ENI,
                &error,
            );
            Err(error.into())
        }
    }
}

fn shows_in_state(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Conflict | ErrorClass::NotFound | ErrorClass::Invalid
    )
}

/// Told on the record, which people find by the pod's name; on the ENI's object without one.
fn tell(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    reason: &'static str,
    action: &'static str,
    error: &CloudError,
) {
    if matches!(error.class, ErrorClass::Fenced | ErrorClass::Throttled) {
        return;
    }
    // Without the request id, which makes every repetition look like news.
    let note = format!("{}: {}: {}", error.action, error.code, error.message);
    let note = if error.code.is_empty() { chain(error) } else { note };
    let news = News {
        severity: Severity::Warning,
        reason,
        action,
        note,
    };
    let events = &controller.context.events;
    match &seen.owner {
        Some(record) => events.tell(reference(&**record), Some(reference(&*seen.interface)), news),
        None => events.tell(reference(&*seen.interface), None, news),
    }
}
