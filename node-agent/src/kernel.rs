//! The seam between the decisions of this crate and the kernel.
//!
//! [`Kernel`] is what the server and the reconciler need of the datapath. Tests play it with a
//! script, because a real one needs a namespace and a NIC for every case.

use std::error::Error;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use terway_process::error_chain;

use crate::datapath::{Census, Datapath, PodInterface, Realised, Sandbox, Waiting};

/// What a failed act on the kernel says.
pub type KernelError = Box<dyn Error + Send + Sync>;

/// The datapath.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Make an interface, or what is missing of it.
    async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, KernelError>;

    /// Compare an interface with what it should be and repair it; returns the repairs, one sentence each.
    async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Vec<String>, KernelError>;

    /// Remove an interface; succeeds when it is already gone.
    async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), KernelError>;

    /// The interfaces that exist.
    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError>;

    /// Repair what belongs to these interfaces and remove what is ours and belongs to none of them.
    /// What was added or removed since the last reconciliation counts as it is now, so the census may
    /// be a little old.
    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError>;

    /// Completes when somebody else may have spoiled something. Can be dropped at any point.
    async fn disturbed(&self) -> Result<(), KernelError>;

    /// Packets by outcome since the programs' maps were made; each outcome has a short stable name.
    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError>;
}

/// What a reconciliation did, one sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Steps that were made.
    pub done: Vec<String>,
    /// Steps that failed, with their reasons.
    pub failed: Vec<String>,
    /// What an interface waits for.
    pub waiting: Vec<String>,
}

#[async_trait]
impl Kernel for Datapath {
    async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, KernelError> {
        Ok(Datapath::add(self, want, netns).await?)
    }

    async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Vec<String>, KernelError> {
        let repairs = Datapath::check(self, want, netns).await?;
        Ok(repairs.iter().map(ToString::to_string).collect())
    }

    async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), KernelError> {
        Ok(Datapath::delete(self, sandbox, netns).await?)
    }

    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError> {
        Ok(Datapath::sandboxes(self).await?)
    }

    async fn disturbed(&self) -> Result<(), KernelError> {
        Ok(Datapath::disturbed(self).await?)
    }

    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError> {
        let report = Datapath::reconcile(self, census).await?;
        let failed = report
            .failed
            .iter()
            .map(|(step, error)| format!("{step}: {}", error_chain(error)));
        let waiting = report.waiting.iter().map(|waiting| match waiting {
            Waiting::HostLink(sandbox) => {
                format!("sandbox {} has lost its host interface", sandbox.container_id)
            }
            Waiting::Nic(sandbox) => format!("sandbox {} waits for the NIC of its ENI", sandbox.container_id),
            Waiting::Uplink(name) => {
                format!(
                    "symmetric routing waits for a default route by {name} (see symmetric_routing_config)"
                )
            }
        });
        Ok(Reconciled {
            done: report.done.iter().map(ToString::to_string).collect(),
            failed: failed.collect(),
            waiting: waiting.collect(),
        })
    }

    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        let counters = self.counters().await?;
        Ok(counters
            .into_iter()
            .map(|(counter, count)| (counter.name(), count))
            .collect())
    }
}
