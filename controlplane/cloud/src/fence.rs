//! The fence. A stalled process that has lost its lease must not change the cloud.

use std::time::Duration;

/// Tells how long this process may still change the cloud.
pub trait Fence: Send + Sync {
    /// Time left on the leader's lease; zero without the lease. A mutating call is sent only while this is longer than
    /// the call's deadline, so that the answer arrives before another replica may act.
    fn remaining(&self) -> Duration;
}

/// The fence of a process without other replicas: in tests, and in a control plane without leader election.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unfenced;

impl Fence for Unfenced {
    fn remaining(&self) -> Duration {
        Duration::MAX
    }
}
