//! The fence: a stalled process that lost its lease must not change the cloud any more.

use std::time::Duration;

/// Tells how long this process may still change the cloud.
pub trait Fence: Send + Sync {
    /// Time left on the leader's lease; zero when it is not held. A mutating call is sent only while this
    /// exceeds the call's deadline, so that the answer arrives before anybody else may act.
    fn remaining(&self) -> Duration;
}

/// The fence of a process that has no rival: tests, and a control plane without leader election.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unfenced;

impl Fence for Unfenced {
    fn remaining(&self) -> Duration {
        Duration::MAX
    }
}
