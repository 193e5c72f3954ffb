//! Applies the plan for a pod.

use jiff::Timestamp;
use terway_core::pod::{Action, Idle, Plan, PodFacts, build};
use terway_core::pod_eni::phase_only;
use terway_crds::Phase;
use terway_crds::names::{action, event};

use super::PodController;
use super::observe::ObservedPod;
use crate::error::{NetworksError, ReconcileError, chain};
use crate::events::{EventContent, Severity, pod_reference};
use crate::objects::Created;
use crate::runtime::{Key, Next, Slot};
use crate::trace::Admission;

/// Applies the plan. Returns when to look again.
pub async fn apply(
    controller: &PodController,
    observed: &ObservedPod,
    plan: Plan,
    slot: &mut Slot,
) -> Result<Next, ReconcileError> {
    let write = &controller.write;
    match (plan.action, observed.record.as_deref(), observed.pod.as_deref()) {
        (Action::Nothing(idle), _, pod) => tell_wait(controller, pod, idle),
        (Action::Create, _, Some(pod)) => create(controller, pod, observed, slot).await?,
        (Action::Rebind, Some(record), Some(pod)) => {
            write.rebind_pod_eni(record, &pod.uid, &pod.node).await?;
        }
        (Action::SetPhase(phase), Some(record), _) => {
            // The pod existed until now, so the TTL begins now.
            let last_seen = (phase == Phase::Detaching).then(Timestamp::now);
            let status = phase_only(record, phase, last_seen);
            write.write_pod_eni_status(record, &status).await?;
        }
        (Action::Delete, Some(record), _) => write.delete_pod_eni(record).await?,
        (Action::Expire, Some(record), _) => {
            write.delete_pod_eni(record).await?;
            controller.metrics.collected.inc();
        }
        (Action::KeepAlive(idle), Some(record), pod) => {
            tell_wait(controller, pod, idle);
            let status = phase_only(record, Phase::Unbind, Some(Timestamp::now()));
            write.write_pod_eni_status(record, &status).await?;
        }
        // These actions are planned only for an existing pod or record.
        (Action::Create | Action::Rebind, _, None) => {}
        (
            Action::Rebind | Action::SetPhase(_) | Action::Delete | Action::Expire | Action::KeepAlive(_),
            None,
            _,
        ) => {}
    }
    Ok(plan.look_again.map_or(Next::OnChange, Next::After))
}

/// Writes an event about the wait on the pod, if a person has to act.
fn tell_wait(controller: &PodController, pod: Option<&PodFacts>, idle: Idle) {
    if let (Some(pod), Some(note)) = (pod, idle.note()) {
        tell_failure(controller, pod, note);
    }
}

/// Creates the record. An event tells why a pod cannot have one.
async fn create(
    controller: &PodController,
    pod: &PodFacts,
    observed: &ObservedPod,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let Some(node) = &observed.node else { return Ok(()) };
    let created = try_create(controller, pod, node, slot).await;
    if let Err(error @ (ReconcileError::Networks(_) | ReconcileError::Cloud(_))) = &created {
        tell_failure(controller, pod, &chain(error));
    }
    created
}

async fn try_create(
    controller: &PodController,
    pod: &PodFacts,
    node: &terway_core::node::NodeFacts,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let networks = controller.caches.networks_of(pod).map_err(NetworksError::from)?;
    let mut chosen = Vec::with_capacity(networks.len());
    for network in &networks {
        let choice = controller.vswitches.choose_for(network, &node.zone, &pod.uid);
        chosen.push(slot.released_while(choice).await?);
    }
    let record = build(
        pod,
        node,
        &networks,
        &chosen,
        &controller.settings,
        Timestamp::now(),
    )
    .map_err(NetworksError::from)?;
    let creating = controller.attempts.creating(Key::of(&record));
    match controller.write.create_pod_eni(&record).await? {
        Created::New(record) => {
            for vswitch in &chosen {
                controller.vswitches.used(&vswitch.id, 1);
            }
            let uid = record.metadata.uid.as_deref().unwrap_or_default();
            for index in 0..record.spec.allocations.len() {
                controller.attempts.written(uid, &index.to_string(), 1);
            }
            if let Some(admission) = pod.admitted.as_deref().and_then(Admission::read) {
                admission.send(&pod.namespace, &pod.name, &pod.uid);
            }
        }
        // There is another record of this name, which the watch will bring.
        Created::Exists => {}
    }
    drop(creating);
    controller.records.add(Key::of(&record));
    Ok(())
}

fn tell_failure(controller: &PodController, pod: &PodFacts, note: &str) {
    let news = EventContent {
        severity: Severity::Warning,
        reason: event::POD_CREATE_FAILED,
        action: action::CREATE_POD,
        note: note.to_owned(),
    };
    controller.events.tell(pod_reference(pod), None, news);
}
