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
    if wait == Wait::Done {
        controller.forget(observed.id());
    }
    if let Some(status) = waiting(&observed.interface, &wait, observed.now) {
        let write = &controller.write;
        write.write_interface_status(&observed.interface, &status).await?;
    }
    Ok(wait.look_again().map_or(Next::OnChange, Next::After))
}
