//! `degradation`, the one setting that is followed while the process runs. An operator in trouble must not have to
//! restart the control plane.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use terway_core::degradation::Degradation;
use tracing::{info, warn};

use crate::config::{self, Flags};

/// Time between two reads of the file. A change of a mounted ConfigMap takes about a minute itself (Kubernetes
/// documentation, ConfigMaps).
const PERIOD: Duration = Duration::from_secs(10);

/// The present value of the setting. Clones share it.
#[derive(Clone, Default)]
pub struct DegradationSwitch(Arc<Mutex<Degradation>>);

impl DegradationSwitch {
    /// A switch with this value.
    pub fn new(first: Degradation) -> Self {
        Self(Arc::new(Mutex::new(first)))
    }

    /// The present value.
    pub fn now(&self) -> Degradation {
        *self.0.lock()
    }

    /// Follows the file for ever. A file that cannot be read changes nothing. Calls `changed` after each change.
    pub async fn follow(self, flags: Flags, changed: impl Fn()) {
        loop {
            tokio::time::sleep(PERIOD).await;
            match config::degradation(&flags) {
                Ok(new) if new != self.now() => {
                    info!(degradation = ?new, "degradation changed");
                    *self.0.lock() = new;
                    changed();
                }
                Ok(_) => {}
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the settings cannot be read now; degradation stays as it is"
                ),
            }
        }
    }
}
