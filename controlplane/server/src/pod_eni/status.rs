//! Tells why a PodENI does not get further, where a person should know.

use terway_core::pod_eni::{Wait, waiting};
use terway_crds::names::{action, event};

use super::apply::tell;
use super::observe::Seen;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::events::Severity;
use crate::runtime::Next;

/// Writes the reason when it is new, and says when to look again.
pub async fn wait(context: &Context, seen: &Seen, wait: Wait) -> Result<Next, ReconcileError> {
    if let Some(status) = waiting(&seen.record, &wait, seen.now) {
        let note = status.msg.clone();
        context.write.write_pod_eni_status(&seen.record, &status).await?;
        if matters_to_pod(&wait) {
            tell(
                context,
                seen,
                Severity::Warning,
                event::ATTACH_ENI_FAILED,
                action::ATTACH_ENI,
                note,
            );
        }
    }
    Ok(match wait {
        Wait::Later(time) | Wait::Refused { delay: time, .. } => Next::After(time),
        Wait::Done
        | Wait::Interfaces
        | Wait::NoTrunk
        | Wait::NoNode
        | Wait::NotServed
        | Wait::Malformed
        | Wait::Pod
        | Wait::PodLives
        | Wait::Degraded => Next::OnChange,
    })
}

/// Reasons that keep a pod from starting. A refused create was told when it was refused.
fn matters_to_pod(wait: &Wait) -> bool {
    matches!(
        wait,
        Wait::NoTrunk | Wait::NoNode | Wait::NotServed | Wait::Malformed | Wait::Degraded
    )
}
