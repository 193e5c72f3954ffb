//! The CNI server: one file for each verb, over one shared [`Agent`].

mod add;
mod bandwidth;
mod check;
mod connection;
mod del;
mod find_pod;
mod flight;
mod gc;
pub mod listen;
mod memory;
mod realise;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use terway_cni_protocol::{Attachment, Failure, code};
use terway_process::error_chain;
use tokio::sync::{Notify, SetOnce};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::datapath::Sandbox;
use crate::events::Announcer;
use crate::kernel::{Kernel, KernelError};
use crate::metrics::Metrics;
use crate::notes::Notes;
use crate::settings::Settings;

pub use del::teardown;
pub use find_pod::{ApiPods, PodReader};
pub use flight::Flights;
pub use memory::{Memory, SandboxKey, key};

/// The state that all parts of the agent share.
pub struct Agent {
    /// The datapath.
    pub kernel: Arc<dyn Kernel>,
    /// The objects of the API server, as the watches show them.
    pub cluster: Cluster,
    /// Reads a pod that the watch does not have yet or does not have any more.
    pub pods: Arc<dyn PodReader>,
    /// Configuration of the pods' network.
    pub settings: Settings,
    /// ADDs in flight.
    pub flights: Flights,
    /// What the sandboxes were given, and which have ended.
    pub memory: Memory,
    /// Notified when a sandbox may have left something on the host.
    pub untidy: Notify,
    /// Why the last rounds of the reconciler could not compare the kernel, if so. An ADD fails then too.
    pub limited: Mutex<Option<String>>,
    /// Events.
    pub events: Announcer,
    /// What is wrong on this node and does not stop it.
    pub notes: Notes,
    /// Metrics.
    pub metrics: Metrics,
    /// Set after the first comparison with the kernel. From then on the filters of running pods are surely in place,
    /// and new pods are let in.
    pub in_order: SetOnce<()>,
    /// Cancelled when the process is to end.
    pub stopping: CancellationToken,
}

impl Agent {
    /// Makes an agent that has done nothing yet.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        pods: Arc<dyn PodReader>,
        settings: Settings,
        events: Announcer,
        notes: Notes,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Self {
        Agent {
            kernel,
            cluster: Cluster::default(),
            pods,
            settings,
            flights: Flights::default(),
            memory: Memory::default(),
            untidy: Notify::new(),
            limited: Mutex::default(),
            events,
            notes,
            metrics,
            in_order: SetOnce::new(),
            stopping,
        }
    }
}

/// Whether a sandbox was made by the ADD of this attachment.
fn belongs(sandbox: &Sandbox, attachment: &Attachment) -> bool {
    sandbox.container_id == attachment.container_id && sandbox.attachment == attachment.ifname
}

/// The failure of an act on the kernel. The same act may succeed later, so the code is "try again later". The kubelet
/// shows the message only, so the message contains the causes.
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
