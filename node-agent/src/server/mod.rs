//! The CNI server: one file for each verb, over one shared [`Agent`].

mod add;
mod check;
mod connection;
mod del;
mod find_pod;
mod flight;
mod gc;
pub mod listen;
mod realise;
mod status;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use terway_cni_protocol::{Attachment, Failure, code};
use terway_process::error_chain;
use tokio::sync::{Notify, SetOnce};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, PodKey};
use crate::datapath::{PodInterface, Sandbox};
use crate::events::Announcer;
use crate::kernel::{Kernel, KernelError};
use crate::metrics::Metrics;
use crate::settings::Settings;

pub use del::teardown;
pub use find_pod::{ApiPods, PodReader};
pub use flight::Flights;

/// What all parts of the agent share.
pub struct Agent {
    /// The datapath.
    pub kernel: Arc<dyn Kernel>,
    /// What the watches say.
    pub cluster: Cluster,
    /// For a pod that the watch does not have (yet, or any more).
    pub pods: Arc<dyn PodReader>,
    /// What pods get beside their address.
    pub settings: Settings,
    /// ADDs in flight.
    pub flights: Flights,
    /// What each sandbox was last asked to be, by [`key`]. Only a help: for a sandbox whose PodENI
    /// does not describe it any more.
    pub made: Mutex<BTreeMap<SandboxKey, PodInterface>>,
    /// Pods whose sandbox was removed since the last report, by UID: one that came and went between two
    /// reports is reported too.
    pub ended: Mutex<BTreeMap<String, PodKey>>,
    /// Notified when a sandbox was made or removed.
    pub changed: Notify,
    /// Notified when something may be left to clean up.
    pub untidy: Notify,
    /// Why the last rounds of the reconciler failed, when they did: pods may have limited connectivity.
    pub limited: Mutex<Option<String>>,
    /// Events.
    pub events: Announcer,
    /// Metrics.
    pub metrics: Metrics,
    /// Set when the kernel has been compared once: only then are the checks of pods that run already
    /// sure to be in place, and new ones are let in.
    pub in_order: SetOnce<()>,
    /// Cancelled when the process is to end.
    pub stopping: CancellationToken,
}

impl Agent {
    /// An agent that has done nothing yet.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        pods: Arc<dyn PodReader>,
        settings: Settings,
        events: Announcer,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Self {
        Agent {
            kernel,
            cluster: Cluster::default(),
            pods,
            settings,
            flights: Flights::default(),
            made: Mutex::default(),
            ended: Mutex::default(),
            changed: Notify::new(),
            untidy: Notify::new(),
            limited: Mutex::default(),
            events,
            metrics,
            in_order: SetOnce::new(),
            stopping,
        }
    }
}

/// Container id and interface name.
pub type SandboxKey = (String, String);

/// The key of a sandbox in [`Agent::made`].
pub fn key(sandbox: &Sandbox) -> SandboxKey {
    (sandbox.container_id.clone(), sandbox.ifname.clone())
}

/// Whether a sandbox was made by the ADD of this attachment.
fn belongs(sandbox: &Sandbox, attachment: &Attachment) -> bool {
    sandbox.container_id == attachment.container_id && sandbox.attachment == attachment.ifname
}

/// The failure for an act on the kernel that went wrong: it may go right the next time. The kubelet
/// shows the message only, so the causes are in it.
fn kernel_failure(act: &str, error: &KernelError) -> Failure {
    Failure::new(
        code::TRY_AGAIN_LATER,
        format!("{act} failed: {}", error_chain(error.as_ref())),
    )
}

/// The chain of causes below an error.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map(error_chain).unwrap_or_default()
}
