//! The one setting that is followed while the process runs: what is left undone while the cloud or the
//! cluster is in trouble. Whoever is in trouble must not have to restart the control plane.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use terway_core::degradation::Degradation;
use tracing::{info, warn};

use crate::config::{self, Flags};

/// Time between two looks at the file. A mounted ConfigMap takes a minute itself.
const PERIOD: Duration = Duration::from_secs(10);

/// The setting as it is now; clones share it.
#[derive(Clone, Default)]
pub struct DegradationSwitch(Arc<Mutex<Degradation>>);

impl DegradationSwitch {
    /// A switch in this position.
    pub fn new(first: Degradation) -> Self {
        Self(Arc::new(Mutex::new(first)))
    }

    /// Its position now.
    pub fn now(&self) -> Degradation {
        *self.0.lock()
    }

    /// Follows the file for ever. What cannot be read changes nothing. Calls `changed` when it moved.
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
