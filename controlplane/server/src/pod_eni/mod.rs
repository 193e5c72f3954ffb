//! The PodENI controller: recorded intents become ENIs, ENIs get attached, records end.

mod apply;
mod observe;
mod status;

use std::sync::Arc;
use std::time::Duration;

use terway_cloud::{Action, Priority};
use terway_core::pod_eni::{PodState, Step, node_name, plan};

use crate::config::controllers;
use crate::context::{Context, Grant};
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};

/// A record has few allocations, and each needs few steps; more than this is a loop of ours.
const MAX_STEPS: usize = 40;

/// A create that has been answered is told at once; one that has failed is noticed after this time.
const UNTIL_ANSWERED: Duration = Duration::from_millis(100);

/// Reconciles PodENIs.
pub struct PodEniController {
    context: Arc<Context>,
}

impl PodEniController {
    /// A controller for this term.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Reconciler for PodEniController {
    const NAME: &'static str = controllers::POD_ENI;

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        if self.context.attempts.is_being_created(key) {
            return Ok(Next::After(UNTIL_ANSWERED));
        }
        let mut grant: Option<Grant> = None;
        for _ in 0..MAX_STEPS {
            let Some(seen) = observe::observe(&self.context, key) else {
                return Ok(Next::OnChange);
            };
            let plan = plan(&seen.view(&self.context));
            let Some(step) = plan.steps.into_iter().next() else {
                return status::wait(&self.context, &seen, plan.wait).await;
            };
            // First the token, then read and plan again, then send.
            if let (Step::Create { index }, None) = (&step, &grant) {
                grant = slot
                    .released_while(room_to_create(&self.context, &seen, *index))
                    .await;
                continue;
            }
            // Boxed: a record that waits for its token, of which there may be thousands, then holds
            // no room for what it does afterwards.
            let work = Box::pin(apply::apply(&self.context, &seen, step, &mut grant, slot));
            if let Some(next) = work.await? {
                return Ok(next);
            }
        }
        Ok(Next::After(Duration::from_secs(1)))
    }
}

/// Waits until an ENI made now could be attached soon, and for the right to make it; `None` when
/// the pod is not there any more, and the wait has lost its reason.
async fn room_to_create(context: &Context, seen: &observe::Seen, index: usize) -> Option<Grant> {
    let granted = async {
        let node = node_name(&seen.record);
        context.fresh.enter(&seen.intent_name(index), node).await;
        context
            .grant(Action::CreateNetworkInterface, Priority::Create, node)
            .await
    };
    // Cancel-safe: a permit that is not used goes back, and room that was taken is kept under the
    // record's name until the record is gone.
    tokio::select! {
        grant = granted => Some(grant),
        () = abandoned(context, seen) => None,
    }
}

/// Ends when the pod of a record is leaving or gone. It looks from time to time: thousands may
/// wait, and a look is cheaper than waking all of them at every change of any pod.
async fn abandoned(context: &Context, seen: &observe::Seen) {
    while context.caches.pod_of(&seen.record).0 == PodState::Living {
        tokio::time::sleep(LOOK_AT_POD).await;
    }
}

/// Time between two looks at the pod of a record that waits for a token.
const LOOK_AT_POD: Duration = Duration::from_secs(2);
