//! Whether the caller of a held call is still connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Knows whether the caller of a call still waits for the answer.
#[derive(Debug, Clone, Default)]
pub struct Caller(Arc<AtomicBool>);

/// The connection keeps this while it waits for the answer. When it is dropped, the caller is gone.
#[derive(Debug)]
pub struct Presence(Caller);

impl Caller {
    /// Whether the connection was closed.
    pub fn gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The guard that the connection keeps.
    pub fn presence(&self) -> Presence {
        Presence(self.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
