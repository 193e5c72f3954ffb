//! Makes the kernel match the pods of this node: veth pairs, addresses, routes, rules, filters and map entries.
//!
//! Desired and observed state are one type ([`terway_node_core::state::State`]); a plan is their difference, and
//! [`kernel::apply`] makes its steps. One thread ([`worker`]) owns the netlink socket and the programs and does one
//! thing at a time, so no two plans cross.

mod departures;
mod engine;
mod error;
mod kernel;
mod worker;

use std::{net::IpAddr, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use kernel::{disturbance::Disturbances, netlink::NetlinkError};
use terway_ebpf_abi::Counter;

pub use error::DatapathError;
pub use kernel::error::{PairError, StepError};
#[cfg(feature = "parsers")]
pub use kernel::parsers;
pub use terway_node_core::{
    carrier::{Carrier, NicLink, VlanId},
    census::Census,
    interface::{Changed, PodInterface, Realised, Sandbox, Waiting},
    ownership,
    plan::Step,
    symmetric::Symmetric,
};

/// Where the pins are unless configured otherwise.
pub const PIN_DIRECTORY: &str = "/sys/fs/bpf/terway";

/// Where the kernel's network settings are unless configured otherwise.
pub const SYSCTL_NET: &str = "/proc/sys/net";

/// A step by which a check has repaired something.
pub type Repair = Step;

/// The result of a reconciliation.
#[derive(Debug, Default)]
pub struct Report {
    pub done: Vec<Step>,
    pub failed: Vec<(Step, StepError)>,
    pub waiting: Vec<Waiting>,
}

/// Configuration of the datapath.
#[derive(Debug)]
pub struct DatapathConfig {
    /// The node's own address. Each ENI gets it too, as the source of what the host itself sends by the ENI.
    pub node_ip: Option<IpAddr>,
    /// Folder below a BPF file system for programs and maps.
    pub pin_directory: PathBuf,
    /// Where the node's /proc/sys/net is mounted writable.
    pub sysctl_net: PathBuf,
    /// How connections that enter by the node's own interface are answered. With `None` they are answered like all
    /// others.
    pub symmetric: Option<Symmetric>,
    /// The node's network namespace; `None` for the namespace of this process.
    pub host_netns: Option<OwnedFd>,
    /// How long an ADD waits for its NIC to appear.
    pub nic_deadline: Duration,
}

impl Default for DatapathConfig {
    fn default() -> Self {
        Self {
            node_ip: None,
            pin_directory: PIN_DIRECTORY.into(),
            sysctl_net: SYSCTL_NET.into(),
            symmetric: None,
            host_netns: None,
            nic_deadline: Duration::from_secs(10),
        }
    }
}

/// Time between two looks for a NIC that is not there yet.
const NIC_POLL: Duration = Duration::from_millis(100);

/// Time between two looks at the marks of symmetric routing: the kernel sends no notice when they go.
const MARKS_LOOK: Duration = Duration::from_secs(3);

/// Handle of the datapath; clones share one thread. The thread ends with the last clone. What the thread has made in
/// the kernel stays.
#[derive(Clone, Debug)]
pub struct Datapath {
    worker: worker::Worker,
    departures: departures::Departures,
    disturbances: Arc<Disturbances>,
    nic_deadline: Duration,
    tcx: bool,
}

impl Datapath {
    /// Loads the programs, takes up the pinned maps and sets the host's sysctls. Existing pods are left as they are.
    ///
    /// Reconcile before the first ADD. An ADD attaches the new programs to the trunk, and after a loss of the pins
    /// their maps are empty until the first reconciliation.
    pub async fn start(config: DatapathConfig) -> Result<Self, DatapathError> {
        let nic_deadline = config.nic_deadline;
        let (worker, disturbances) = worker::Worker::start(config).await?;
        let tcx = worker.run(|engine| engine.has_tcx()).await?;
        Ok(Self {
            worker,
            departures: departures::Departures::default(),
            disturbances: Arc::new(disturbances),
            nic_deadline,
            tcx,
        })
    }

    /// Whether the kernel attaches programs to an interface itself (TCX, Linux 6.6 and later). Without it the check of
    /// sources takes the place where the plugin `bandwidth` wants its ingress qdisc.
    #[must_use]
    pub fn has_tcx(&self) -> bool {
        self.tcx
    }

    /// Makes the interface, or completes an interface that is there already. Waits for the NIC; other requests go on
    /// meanwhile.
    pub async fn add(&self, want: PodInterface, netns: OwnedFd) -> Result<Realised, DatapathError> {
        let deadline = tokio::time::Instant::now() + self.nic_deadline;
        let (want, netns) = (Arc::new(want), Arc::new(netns));
        loop {
            let (want, netns) = (want.clone(), netns.clone());
            let added = self.worker.run(move |engine| engine.add(&want, &netns)).await?;
            match added {
                Err(DatapathError::NicMissing { mac, .. }) if tokio::time::Instant::now() >= deadline => {
                    let waited = self.nic_deadline;
                    return Err(DatapathError::NicMissing { mac, waited });
                }
                Err(DatapathError::NicMissing { .. }) => tokio::time::sleep(NIC_POLL).await,
                added => return added,
            }
        }
    }

    /// Checks the interface and repairs what can be repaired without making a new one.
    pub async fn check(&self, want: PodInterface, netns: OwnedFd) -> Result<Vec<Repair>, DatapathError> {
        self.worker.run(move |engine| engine.check(&want, netns)).await?
    }

    /// Removes the interface with all that belongs to it. Succeeds when the interface is gone already, and leaves a
    /// newer sandbox of the same pod alone. The pod's end of the veth goes with the host's end. The namespace is
    /// opened only to remove an interface that upstream's agent has made there.
    pub async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), DatapathError> {
        let departure = (sandbox.clone(), netns);
        self.departures.delete(&self.worker, departure).await
    }

    /// The sandboxes that have a host veth, including those that an earlier process has made.
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>, DatapathError> {
        self.worker.run(|engine| engine.sandboxes()).await?
    }

    /// Makes the host's side match the census: puts what is missing, and removes what is ours and serves no pod. The
    /// census may be older than the last ADD or DEL: an interface that was added or deleted since the last
    /// reconciliation counts as it is now.
    pub async fn reconcile(&self, census: impl Into<Census>) -> Result<Report, DatapathError> {
        let census = census.into();
        self.worker.run(move |engine| engine.reconcile(census)).await?
    }

    /// Completes when another program may have changed our objects. Cancel-safe.
    pub async fn disturbed(&self) -> Result<(), DatapathError> {
        loop {
            tokio::select! {
                told = self.disturbances.next() => return Ok(told.map_err(NetlinkError::Open)?),
                () = tokio::time::sleep(MARKS_LOOK) => {}
            }
            if !self.worker.run(|engine| engine.marks_answers()).await?? {
                return Ok(());
            }
        }
    }

    /// Completes when the thread has ended before its last handle was dropped: a panic. Cancel-safe.
    pub async fn ended(&self) {
        self.worker.ended().await;
    }

    /// Packets per outcome, summed over the node.
    pub async fn counters(&self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        self.worker.run(|engine| engine.counters()).await?
    }
}
