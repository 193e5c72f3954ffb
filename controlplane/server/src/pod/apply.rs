//! Does what was planned for a pod.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use terway_cloud::CloudError;
use terway_core::gc::{Expiry, expiry, seen_interval};
use terway_core::intent::elapsed;
use terway_core::pod::{Action, Idle, PodFacts, build};
use terway_core::pod_eni::phase_only;
use terway_core::vswitch::{Candidate, choose};
use terway_crds::names::{action, event};
use terway_crds::{Phase, PodEni, PodNetwork};

use super::networks::networks_of;
use super::observe::Seen;
use crate::context::Context;
use crate::error::{NetworksError, ReconcileError, chain};
use crate::events::{News, Severity, pod_reference};
use crate::objects::Created;
use crate::runtime::{Key, Next, Slot};

/// Does it. Which name comes after the action in the log is what was decided, and why.
pub async fn apply(
    context: &Context,
    seen: &Seen,
    action: Action,
    slot: &mut Slot,
) -> Result<Next, ReconcileError> {
    let record = seen.record.as_deref();
    match (action, record) {
        (Action::Nothing(idle), _) => idle_until(context, seen, idle).await,
        (Action::Create, _) => create(context, seen, slot).await,
        (Action::Rebind, Some(record)) => {
            let Some(pod) = &seen.pod else {
                return Ok(Next::OnChange);
            };
            context.write.rebind_pod_eni(record, &pod.uid, &pod.node).await?;
            Ok(Next::OnChange)
        }
        (Action::SetPhase(phase), Some(record)) => {
            // The pod was there until now: the time of a TTL runs from here.
            let last_seen = (phase == Phase::Detaching).then(Timestamp::now);
            let status = phase_only(record, phase, last_seen);
            context.write.write_pod_eni_status(record, &status).await?;
            Ok(Next::OnChange)
        }
        (Action::Delete, Some(record)) => {
            context.write.delete_pod_eni(record).await?;
            Ok(Next::OnChange)
        }
        // These actions are planned only for a record that is there.
        (Action::Rebind | Action::SetPhase(_) | Action::Delete, None) => Ok(Next::OnChange),
    }
}

async fn idle_until(context: &Context, seen: &Seen, idle: Idle) -> Result<Next, ReconcileError> {
    match (idle, &seen.record, &seen.pod) {
        (Idle::Kept, Some(record), _) => match expiry(record, Timestamp::now()) {
            Expiry::Now => {
                context.write.delete_pod_eni(record).await?;
                context.metrics.collected.inc();
                Ok(Next::OnChange)
            }
            Expiry::In(left) => Ok(Next::After(left)),
            Expiry::Never => Ok(Next::OnChange),
        },
        (Idle::NotScheduled | Idle::NodeUnknown | Idle::OtherZone, Some(record), Some(pod)) => {
            if idle == Idle::OtherZone {
                tell_failure(
                    context,
                    pod,
                    "the pod's node is in another zone than its kept ENI: move the pod",
                );
            }
            keep_alive(context, record).await
        }
        (Idle::NameNotFixed, _, Some(pod)) => {
            tell_failure(
                context,
                pod,
                "a Fixed PodENI of this name is kept for a pod whose name lasts; delete it to go on",
            );
            Ok(Next::OnChange)
        }
        _ => Ok(Next::OnChange),
    }
}

/// A pod waits for a node while its ENI is kept: the time of the TTL must not run out meanwhile.
async fn keep_alive(context: &Context, record: &PodEni) -> Result<Next, ReconcileError> {
    let kept = record
        .status
        .as_ref()
        .is_some_and(|status| status.phase == Phase::Unbind);
    let Some(interval) = seen_interval(record).filter(|_| kept) else {
        return Ok(Next::OnChange);
    };
    let now = Timestamp::now();
    let last = record
        .status
        .as_ref()
        .and_then(|status| status.pod_last_seen.as_ref());
    if last.is_none_or(|last| elapsed(last.0, now) >= interval) {
        let status = phase_only(record, Phase::Unbind, Some(now));
        context.write.write_pod_eni_status(record, &status).await?;
    }
    Ok(Next::After(interval))
}

async fn create(context: &Context, seen: &Seen, slot: &mut Slot) -> Result<Next, ReconcileError> {
    let (Some(pod), Some(node)) = (&seen.pod, &seen.node) else {
        return Ok(Next::OnChange);
    };
    match try_create(context, pod, node, slot).await {
        Ok(()) => Ok(Next::OnChange),
        Err(error) => {
            if matches!(error, ReconcileError::Networks(_) | ReconcileError::Cloud(_)) {
                tell_failure(context, pod, &chain(&error));
            }
            Err(error)
        }
    }
}

async fn try_create(
    context: &Context,
    pod: &PodFacts,
    node: &terway_core::node::NodeFacts,
    slot: &mut Slot,
) -> Result<(), ReconcileError> {
    let networks = networks_of(pod, &context.caches)?;
    let mut chosen = Vec::with_capacity(networks.len());
    for network in &networks {
        let candidates = candidates(context, network, slot).await?;
        let policy = &network.vswitch_select_options.policy;
        let vswitch = choose(policy, &node.zone, &candidates, seed(&pod.uid)).map_err(NetworksError::from)?;
        chosen.push(vswitch.clone());
    }
    let record = build(
        pod,
        node,
        &networks,
        &chosen,
        &context.settings.pods,
        Timestamp::now(),
    )
    .map_err(NetworksError::from)?;
    let creating = context.attempts.creating(Key::of(&record));
    match context.write.create_pod_eni(&record).await? {
        Created::New(record) => {
            for vswitch in &chosen {
                context.vswitches.taken(&vswitch.id);
            }
            let uid = record.metadata.uid.as_deref().unwrap_or_default();
            for index in 0..record.spec.allocations.len() {
                context.attempts.written(uid, &index.to_string(), 1);
            }
        }
        // Another record of this name: the watch brings it.
        Created::Exists => {}
    }
    drop(creating);
    context.queues.pod_enis.add(Key::of(&record));
    Ok(())
}

/// The vSwitches of a network, as the cloud describes them.
pub async fn candidates(
    context: &Context,
    network: &PodNetwork,
    slot: &mut Slot,
) -> Result<Vec<Candidate>, ReconcileError> {
    let ids = &network.vswitch_options;
    let found: Result<Vec<Candidate>, CloudError> =
        slot.released_while(context.vswitches.candidates(ids)).await;
    let found = found?;
    // With one that is known the pod can start; with none the first is named as the trouble.
    match (found.is_empty(), ids.first()) {
        (true, Some(id)) => Err(NetworksError::UnknownVSwitch { id: id.clone() }.into()),
        _ => Ok(found),
    }
}

/// The same pod always draws the same vSwitch.
pub fn seed(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

fn tell_failure(context: &Context, pod: &PodFacts, note: &str) {
    let news = News {
        severity: Severity::Warning,
        reason: event::POD_CREATE_FAILED,
        action: action::CREATE_POD,
        note: note.to_owned(),
    };
    context.events.tell(pod_reference(pod), None, news);
}
