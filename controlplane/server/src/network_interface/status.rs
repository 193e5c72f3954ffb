//! Tells why an ENI does not get further, where a person should know.

use terway_core::network_interface::{ENI_NOT_FOUND, Wait, not_ready};

use super::NetworkInterfaceController;
use super::observe::Seen;
use crate::error::ReconcileError;
use crate::runtime::Next;

/// Writes the reason when it is new, and says when to look again.
pub async fn wait(
    controller: &NetworkInterfaceController,
    seen: &Seen,
    reason: Wait,
) -> Result<Next, ReconcileError> {
    let (name, message, next) = match reason {
        Wait::Done => {
            controller.settle(seen.id());
            return Ok(Next::OnChange);
        }
        Wait::Cloud => return Ok(Next::OnChange),
        Wait::Later(time) => return Ok(Next::After(time)),
        Wait::HolderLives => (
            "PodStillRuns",
            "asked to go while the pod lives: the ENI is detached when the pod is gone".to_owned(),
            Next::OnChange,
        ),
        Wait::Elsewhere { instance_id } => (
            "AttachedElsewhere",
            format!("the ENI is attached to instance {instance_id} by somebody else: detach it there"),
            Next::After(std::time::Duration::from_secs(30)),
        ),
        Wait::Degraded => (
            "Degraded",
            "held back until degradation in ctrl-config.yaml is lifted".to_owned(),
            Next::OnChange,
        ),
        Wait::NotFound => {
            controller.context.backlog.leave(seen.id());
            (
                ENI_NOT_FOUND,
                "the cloud does not know this ENI".to_owned(),
                Next::OnChange,
            )
        }
    };
    if let Some(status) = not_ready(&seen.interface, name, message, seen.now) {
        controller
            .context
            .write
            .write_interface_status(&seen.interface, &status)
            .await?;
    }
    Ok(next)
}
