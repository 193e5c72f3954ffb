//! The PodENI controller: it makes the recorded ENIs, has them attached, and lets records go.

mod apply;
mod attempt;
mod observe;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use terway_cloud::{Action, Cloud, Priority};
use terway_core::intent::Limits;
use terway_core::pod::Settings;
use terway_core::pod_eni::{PodState, Step, Wait, node_name, plan, pod_uid, waits_for_room};
use terway_process::TRACED;
use tracing::{Instrument, debug_span};

use crate::config::controllers;
use crate::context::{Calls, Context, Grant};
use crate::degradation::DegradationSwitch;
use crate::error::ReconcileError;
use crate::events::Events;
use crate::fresh_enis::FreshEnis;
use crate::intents::Attempts;
use crate::leadership::Term;
use crate::objects::{Caches, Writer};
use crate::runtime::{Key, Next, Reconciler, Slot};
use crate::trace;
use crate::vswitches::VSwitches;

/// A record has few allocations, and each needs few steps. More steps than this are an error of the planner.
const MAX_STEPS: usize = 40;

/// A create of a record that succeeds wakes this controller. One that fails is noticed after this time.
const UNTIL_ANSWERED: Duration = Duration::from_millis(100);

/// Reconciles PodENIs.
pub struct PodEniController {
    caches: Caches,
    write: Writer,
    cloud: Cloud,
    calls: Calls,
    vswitches: Arc<VSwitches>,
    attempts: Arc<Attempts>,
    fresh: Arc<FreshEnis>,
    events: Events,
    settings: Settings,
    term: Term,
    limits: Limits,
    degradation: DegradationSwitch,
}

impl PodEniController {
    /// A controller for this term.
    pub fn new(context: &Context) -> Self {
        Self {
            caches: context.caches.clone(),
            write: context.write.clone(),
            cloud: context.cloud.clone(),
            calls: context.calls.clone(),
            vswitches: context.vswitches.clone(),
            attempts: context.attempts.clone(),
            fresh: context.fresh.clone(),
            events: context.events.clone(),
            settings: context.settings.pods.clone(),
            term: context.term.clone(),
            limits: context.limits,
            degradation: context.degradation.clone(),
        }
    }
}

impl Reconciler for PodEniController {
    const NAME: &'static str = controllers::POD_ENI;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        if self.attempts.is_being_created(key) {
            return Ok(Next::After(UNTIL_ANSWERED));
        }
        let mut grant: Option<Grant> = None;
        let mut entered: Option<String> = None;
        for _ in 0..MAX_STEPS {
            let Some(seen) = observe::observe(self, key) else {
                // The record may have gone while its intent waited, and then nothing else gives the room back.
                entered.iter().for_each(|intent| self.fresh.given_up(intent));
                return Ok(Next::OnChange);
            };
            let plan = plan(&seen.view(self));
            let Some(step) = plan.steps.into_iter().next() else {
                if matches!(plan.wait, Wait::Refused { .. }) && attempt::correct(self, &seen, slot).await? {
                    continue;
                }
                return status::wait(self, &seen, plan.wait).await;
            };
            // The token first: the plan after it is made from what is known when the request is sent.
            if let (Step::Create { index }, None) = (&step, &grant) {
                if attempt::find_room(self, &seen, *index, slot).await? {
                    continue;
                }
                entered = Some(seen.intent_name(*index));
                grant = slot.released_while(room_to_create(self, &seen, *index)).await;
                continue;
            }
            let span = debug_span!(target: TRACED, "pod-eni", otel.name = step.name(), pod = %key);
            let span = trace::of_pod(span, pod_uid(&seen.record));
            // Boxed, because thousands of records may wait for a token, and the future of the work after it is large.
            let work = Box::pin(apply::apply(self, &seen, step, &mut grant, slot));
            if let Some(next) = work.instrument(span).await? {
                return Ok(next);
            }
        }
        Ok(Next::After(Duration::from_secs(1)))
    }
}

/// Waits for a place in the backlog and for the right to make an ENI; `None` when the pod is leaving or gone.
async fn room_to_create(
    controller: &PodEniController,
    seen: &observe::ObservedPodEni,
    index: usize,
) -> Option<Grant> {
    let granted = async {
        let node = node_name(&seen.record);
        let name = seen.intent_name(index);
        let mut entering = std::pin::pin!(controller.fresh.enter(&name, node));
        if tokio::time::timeout(SILENCE, &mut entering).await.is_err() {
            apply::tell(controller, seen, waits_for_room(node));
            entering.await;
        }
        controller
            .calls
            .grant(Action::CreateNetworkInterface, Priority::Create, node)
            .await
    };
    // Cancel-safe: an unused permit is given back, and a place in the backlog stays taken under the name of the intent
    // until the record is gone.
    tokio::select! {
        grant = granted => Some(grant),
        () = abandoned(controller, seen) => None,
    }
}

/// Ends when the pod of a record is leaving or gone. It polls, because thousands may wait, and waking all of them at
/// every change of a pod costs more.
async fn abandoned(controller: &PodEniController, seen: &observe::ObservedPodEni) {
    let key = Key::of(&*seen.record);
    while controller.caches.pod_of(&seen.record).0 == PodState::Living
        && controller.caches.pod_enis.get(&key).is_some()
    {
        tokio::time::sleep(LOOK_AT_POD).await;
    }
}

/// A wait for room that is longer than this is told to the pod.
const SILENCE: Duration = Duration::from_secs(30);

/// Time between two looks at the pod of a record that waits for a token.
const LOOK_AT_POD: Duration = Duration::from_secs(2);
