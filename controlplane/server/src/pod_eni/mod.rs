//! The PodENI controller: recorded intents become ENIs, ENIs get attached, records end.

mod apply;
mod observe;
mod status;

use std::sync::Arc;

use terway_cloud::{Action, Permit, Priority};
use terway_core::pod_eni::{Step, plan};

pub use apply::names_missing_eni;
pub use observe::pod_of;

use crate::context::Context;
use crate::error::ReconcileError;
use crate::runtime::{Key, Next, Reconciler, Slot};

/// A record has few allocations, and each needs few steps; more than this is a loop of ours.
const MAX_STEPS: usize = 40;

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
    const NAME: &'static str = "pod-eni";

    async fn reconcile(&self, key: &Key, slot: &mut Slot) -> Result<Next, ReconcileError> {
        let mut permit: Option<Permit> = None;
        for _ in 0..MAX_STEPS {
            let Some(seen) = observe::observe(&self.context, key) else {
                return Ok(Next::OnChange);
            };
            let plan = plan(&seen.view(&self.context));
            let Some(step) = plan.steps.into_iter().next() else {
                return status::wait(&self.context, &seen, plan.wait).await;
            };
            // First the token, then read and plan again, then send.
            if let (Step::Create { index }, None) = (&step, &permit) {
                permit = Some(
                    slot.released_while(room_to_create(&self.context, &seen, *index))
                        .await,
                );
                continue;
            }
            if let Some(next) = apply::apply(&self.context, &seen, step, &mut permit, slot).await? {
                return Ok(next);
            }
        }
        Ok(Next::After(std::time::Duration::from_secs(1)))
    }
}

/// Waits until an ENI made now could be attached soon, and for the right to make it.
async fn room_to_create(context: &Context, seen: &observe::Seen, index: usize) -> Permit {
    context.backlog.enter(&seen.intent_name(index)).await;
    context
        .cloud
        .permit(Action::CreateNetworkInterface, Priority::Create)
        .await
}
