//! The interface between the decisions of this crate and the kernel.
//!
//! [`Kernel`] is the part of the datapath that the server and the reconciler use. Tests implement the trait with a
//! script, because a real kernel needs a namespace and a NIC for every case.

use std::error::Error;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use terway_process::error_chain;

use crate::datapath::{Census, Datapath, DatapathError, PodInterface, Realised, Report, Sandbox, Waiting};
use crate::trouble::Trouble;

/// The error of a failed act on the kernel.
pub type KernelError = Box<dyn Error + Send + Sync>;

/// The datapath.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Makes an interface, or the missing parts of it.
    async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, KernelError>;

    /// Compares an interface with its desired state and repairs it. A sandbox that runs with another address than its
    /// record says is left as it is.
    async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Checked, KernelError>;

    /// Removes an interface. Succeeds when the interface is gone already.
    async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), KernelError>;

    /// The interfaces that exist.
    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError>;

    /// Repairs the objects of these interfaces, and removes our objects that belong to none of them. An interface that
    /// was added or removed since the last reconciliation counts as it is now, so the census may be a little old.
    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError>;

    /// Completes when another program may have changed our objects. Cancel-safe.
    async fn disturbed(&self) -> Result<(), KernelError>;

    /// Completes when the datapath has ended and will serve nothing more. Cancel-safe.
    async fn ended(&self);

    /// Whether the check of sources leaves a place for a plugin that limits the rate at which a pod sends.
    fn has_room_for_shaper(&self) -> bool;

    /// Packets by outcome since the programs' maps were made; each outcome has a short stable name.
    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError>;
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The repairs, one sentence each.
    pub repairs: Vec<String>,
    /// The addresses that the interface has.
    pub addresses: Vec<IpAddr>,
}

/// The result of a reconciliation, one sentence per step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Steps that were made.
    pub done: Vec<String>,
    /// Steps that failed, with their reasons.
    pub failed: Vec<String>,
    /// What keeps pods from their network.
    pub troubles: Vec<Trouble>,
    /// Sandboxes that were left as they are, because their records say another address than they have.
    pub apart: Vec<Sandbox>,
}

impl From<Report> for Reconciled {
    fn from(report: Report) -> Self {
        let failed = report
            .failed
            .iter()
            .map(|(step, error)| format!("{step}: {}", error_chain(error)));
        Reconciled {
            done: report.done.iter().map(ToString::to_string).collect(),
            failed: failed.collect(),
            troubles: report.waiting.iter().map(Trouble::from).collect(),
            apart: report.waiting.iter().filter_map(apart).cloned().collect(),
        }
    }
}

fn apart(waiting: &Waiting) -> Option<&Sandbox> {
    match waiting {
        Waiting::Changed(changed) => Some(&changed.sandbox),
        _ => None,
    }
}

#[async_trait]
impl Kernel for Datapath {
    async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, KernelError> {
        Ok(Datapath::add(self, want, netns).await?)
    }

    async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Checked, KernelError> {
        let addresses = vec![want.ip];
        match Datapath::check(self, want, netns).await {
            // The reconciler tells it. The runtime compares what the sandbox has with what the ADD answered.
            Err(DatapathError::AddressChanged(changed)) => Ok(Checked {
                repairs: Vec::new(),
                addresses: changed.has,
            }),
            repairs => Ok(Checked {
                repairs: repairs?.iter().map(ToString::to_string).collect(),
                addresses,
            }),
        }
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

    async fn ended(&self) {
        Datapath::ended(self).await;
    }

    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError> {
        Ok(Datapath::reconcile(self, census).await?.into())
    }

    fn has_room_for_shaper(&self) -> bool {
        self.has_tcx()
    }

    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        let counters = self.counters().await?;
        Ok(counters
            .into_iter()
            .map(|(counter, count)| (counter.name(), count))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use terway_address::Family;
    use terway_node_core::object::{Listed as _, Rule};

    use super::*;
    use crate::datapath::{Step, StepError};
    use crate::testing::sandbox;

    #[test]
    fn a_report_becomes_sentences_that_name_step_cause_and_pod() {
        let rule = Step::Remove(Rule::new(Family::V4, 512, 254).key());
        let refused = StepError::Sysctl {
            path: "/proc/sys/net/ipv4/conf/eth1/rp_filter".into(),
            source: std::io::ErrorKind::ReadOnlyFilesystem.into(),
        };
        let told = Reconciled::from(Report {
            done: vec![rule.clone()],
            failed: vec![(rule, refused)],
            waiting: vec![
                Waiting::HostLink(sandbox("c1", "u-1")),
                Waiting::Nic(sandbox("c2", "u-2")),
            ],
        });
        assert_eq!(told.done, ["remove rule 512 lookup 254"]);
        let [failed] = &told.failed[..] else {
            panic!("{told:?}");
        };
        for word in ["remove rule 512", "eth1/rp_filter", "read-only filesystem"] {
            assert!(failed.contains(word), "{word} is not in: {failed}");
        }
        let [lost, missing] = &told.troubles[..] else {
            panic!("{told:?}");
        };
        assert!(lost.text.contains("c1") && lost.text.contains("u-1"), "{lost:?}");
        assert!(
            missing.text.contains("c2") && missing.text.contains("NIC"),
            "{missing:?}"
        );
        assert_ne!(lost.reason, missing.reason);
    }
}
