//! The reasons why a PodENI waits, where a person should know them.

use terway_core::pod_eni::{Wait, held_up, waiting};

use super::PodEniController;
use super::apply::tell;
use super::observe::ObservedPodEni;
use crate::error::ReconcileError;
use crate::runtime::Next;

/// Writes a new reason into the status, and returns when to look again.
pub async fn wait(
    controller: &PodEniController,
    seen: &ObservedPodEni,
    wait: Wait,
) -> Result<Next, ReconcileError> {
    if let Some(status) = waiting(&seen.record, &wait, seen.now) {
        controller
            .write
            .write_pod_eni_status(&seen.record, &status)
            .await?;
        if let Some(news) = held_up(&wait, &status.msg) {
            tell(controller, seen, news);
        }
    }
    Ok(wait.again().map_or(Next::OnChange, Next::After))
}
