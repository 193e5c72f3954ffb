//! Does one step for an ENI.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{AttachEni, CloudError, DeleteEni, DetachEni, ErrorClass, Expect};
use terway_core::cloud::CloudEni;
use terway_core::intent::elapsed;
use terway_core::network_interface::{Memory, Step, attached, detached, torn_off, with_term};
use terway_crds::AttachTo;
use terway_crds::names::{action, event, finalizer};

use super::NetworkInterfaceController;
use super::observe::Seen;
use crate::context::{Context, Grant};
use crate::error::{ReconcileError, chain};
use crate::events::{News, Severity, reference};
use crate::pod_eni::names_missing_eni;
use crate::runtime::Next;

/// What the poller looks at is planned again at the latest after this time, in case its word is lost.
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
            context.look(id, awaited(seen));
            return Ok(Some(Next::After(LOOK_AGAIN)));
        }
        (Step::LookAgain, _) => {
            context.cloud.watch().forget(id);
            context.look(id, awaited(seen));
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
            return released(controller, seen, Release::Detach, answer);
        }
        (Step::Delete, Some(grant)) => {
            let request = DeleteEni {
                eni_id: id.to_owned(),
            };
            let answer = context
                .cloud
                .delete_network_interface(grant.permit, &request)
                .await;
            return released(controller, seen, Release::Delete, answer);
        }
        (Step::WriteAttached(eni), _) => write_attached(controller, seen, &eni).await?,
        (Step::WriteDetached, _) => {
            context
                .write
                .write_interface_status(interface, &detached(interface, seen.now))
                .await?;
            controller.settle(id);
        }
        (Step::WriteTornOff, _) => {
            let status = torn_off(interface, seen.now);
            context.write.write_interface_status(interface, &status).await?;
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
                context.look(seen.id(), Expect::Attached);
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
    context.expect(seen.id(), Expect::Attached);
    Ok(Some(when_due(context)))
}

/// When a call that was sent is planned for again. Its outcome shows in the state, but that nothing has
/// changed is no news which the poller would tell: a call that was lost is only noticed by the time.
fn when_due(context: &Context) -> Next {
    Next::After(context.limits.grace)
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

/// The two calls that give an ENI back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    Detach,
    Delete,
}

impl Release {
    /// What the poller is to wait for once it was sent, and what a refusal is told as.
    fn words(self) -> (Expect, &'static str, &'static str) {
        match self {
            Release::Detach => (Expect::Free, event::DETACH_ENI_FAILED, action::DETACH_ENI),
            Release::Delete => (Expect::Gone, event::DELETE_ENI_FAILED, action::DELETE_ENI),
        }
    }

    /// What is known once it was sent, whatever the answer: an attach before it is over.
    fn known(self, before: &Memory) -> Memory {
        match self {
            Release::Detach => Memory {
                made_here: false,
                attach_sent: None,
                ..before.clone()
            },
            Release::Delete => before.clone(),
        }
    }

    /// What is known once it may have been done.
    fn sent(self, known: Memory) -> Memory {
        let now = Some(Timestamp::now());
        match self {
            Release::Detach => Memory {
                detach_sent: now,
                ..known
            },
            Release::Delete => Memory {
                delete_sent: now,
                ..known
            },
        }
    }
}

fn released(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    release: Release,
    answer: Result<(), CloudError>,
) -> Result<Option<Next>, ReconcileError> {
    let context = &controller.context;
    let (awaited, reason, action) = release.words();
    let known = release.known(&seen.memory);
    match answer {
        Err(error) if names_missing_eni(&error) => {
            // Nobody needs to wait: the cloud does not know the ENI.
            let not_found = true;
            controller.remember(seen.id(), Memory { not_found, ..known });
            Ok(None)
        }
        Err(error) if error.class != ErrorClass::Unknown => {
            if shows_in_state(error.class) {
                // What was seen led to a call that was refused: it may be that it is detached already, or that its
                // instance is gone. Look anew.
                controller.remember(seen.id(), Memory::default());
                context.cloud.watch().forget(seen.id());
                context.look(seen.id(), Expect::Free);
            }
            tell(controller, seen, reason, action, &error);
            Err(error.into())
        }
        // Accepted, or perhaps accepted: the state will tell.
        Ok(()) | Err(_) => {
            controller.remember(seen.id(), release.sent(known));
            context.expect(seen.id(), awaited);
            Ok(Some(when_due(context)))
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
    // What was held back is told of once, for all.
    if error.was_not_sent() || error.class == ErrorClass::Throttled {
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
