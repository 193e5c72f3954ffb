//! The interface between the decisions of this crate and the kernel.
//!
//! [`Kernel`] is the part of the datapath that the server and the reconciler use. Tests implement the trait with a
//! script, because a real kernel needs a namespace and a NIC for every case.

use std::error::Error;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use terway_process::error_chain;

use crate::datapath::{Census, Datapath, PodInterface, Realised, Sandbox, Waiting};

/// The error of a failed act on the kernel.
pub type KernelError = Box<dyn Error + Send + Sync>;

/// The datapath.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Makes an interface, or the missing parts of it.
    async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, KernelError>;

    /// Compares an interface with its desired state and repairs it. Returns the repairs, one sentence each.
    async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Vec<String>, KernelError>;

    /// Removes an interface. Succeeds when the interface is gone already.
    async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), KernelError>;

    /// The interfaces that exist.
    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError>;

    /// Repairs the objects of these interfaces, and removes our objects that belong to none of them. An interface that
    /// was added or removed since the last reconciliation counts as it is now, so the census may be a little old.
    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError>;

    /// Completes when another program may have changed our objects. Cancel-safe.
    async fn disturbed(&self) -> Result<(), KernelError>;

    /// Packets by outcome since the programs' maps were made; each outcome has a short stable name.
    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError>;
}

/// The result of a reconciliation, one sentence per step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Steps that were made.
    pub done: Vec<String>,
    /// Steps that failed, with their reasons.
    pub failed: Vec<String>,
    /// The reasons why interfaces wait.
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
            Waiting::Taken { route, by } => {
                format!(
                    "{route} waits: another program has a route there ({by}); remove it, or give it another table"
                )
            }
            Waiting::Changed(changed) => changed.to_string(),
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
