//! Reports why an ENI waits, if a person should know.

use terway_core::network_interface::{Wait, waiting};

use super::NetworkInterfaceController;
use super::observe::ObservedEni;
use crate::error::ReconcileError;
use crate::runtime::Next;

/// Writes the reason of a wait if it is new. Returns when to look again.
pub async fn wait(
    controller: &NetworkInterfaceController,
    observed: &ObservedEni,
    wait: Wait,
) -> Result<Next, ReconcileError> {
    match wait {
        Wait::Done => controller.forget(observed.id()),
        Wait::NotFound => controller.forget_lost(observed.id()),
        // The poller has its answer and does not ask again by itself.
        Wait::Elsewhere { .. } | Wait::Foreign(_) => controller.cloud.watch().forget(observed.id()),
        Wait::Cloud | Wait::Later(_) | Wait::HolderLives | Wait::Degraded => {}
    }
    if let Some(status) = waiting(&observed.interface, &wait, observed.now) {
        let write = &controller.write;
        write.write_interface_status(&observed.interface, &status).await?;
    }
    Ok(wait.look_again().map_or(Next::OnChange, Next::After))
}
