//! Makes the kernel match the members of this node: veth pairs, addresses, routes, rules,
//! filters and map entries.
//!
//! Desired and observed state are one type ([`state::NetState`]); a plan is their
//! difference, and [`apply`] makes its steps. One thread ([`worker`]) owns the netlink
//! socket and the programs and does one thing at a time, so no two plans cross.

mod apply;
mod desired;
mod engine;
mod error;
mod link;
mod message;
mod netlink;
mod netns;
mod observe;
pub mod ownership;
mod pair;
mod plan;
mod scope;
mod state;
#[cfg(test)]
mod testing;
mod worker;

use std::{net::Ipv4Addr, os::fd::OwnedFd, path::PathBuf, time::Duration};

use ipnet::Ipv4Net;
use terway_ebpf_abi::Counter;

pub use apply::StepError;
pub use error::DatapathError;
pub use plan::Step;
pub use state::set_sysctl_net;

/// Where the pins are unless configured otherwise.
pub const PIN_DIRECTORY: &str = "/sys/fs/bpf/terway";

/// One interface of one pod sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sandbox {
    pub container_id: String,
    pub pod_uid: String,
    /// Name inside the pod.
    pub ifname: String,
}

impl Sandbox {
    /// Whether both mean the same interface. The pod's UID is not asked: the runtime does
    /// not always tell it, and container ids are unique.
    pub fn same_as(&self, other: &Sandbox) -> bool {
        self.container_id == other.container_id && self.ifname == other.ifname
    }
}

/// A pod interface backed by a member ENI of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInterface {
    pub sandbox: Sandbox,
    pub namespace: String,
    pub pod_name: String,
    pub ip: Ipv4Addr,
    /// CIDR of the member's vSwitch.
    pub vswitch_cidr: Ipv4Net,
    /// VLAN id of the member on its trunk, 1 to 4094.
    pub vlan: u16,
    pub trunk_mac: [u8; 6],
    /// Gateway of the trunk's vSwitch.
    pub trunk_gateway: Ipv4Addr,
    /// Bytes.
    pub mtu: u32,
    /// Whether the pod's default route goes by this interface.
    pub default_route: bool,
    pub extra_routes: Vec<Ipv4Net>,
    /// Destinations the host's own routing decides about, not the ENI's table.
    pub host_stack_cidrs: Vec<Ipv4Net>,
}

/// What an ADD has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realised {
    pub host_ifname: String,
    pub host_mac: [u8; 6],
    pub pod_mac: [u8; 6],
}

/// A sandbox that has a host veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub sandbox: Sandbox,
    pub host_ifname: String,
    /// Addresses routed to it.
    pub addresses: Vec<Ipv4Addr>,
}

/// Something a check found wrong and put right.
pub type Repair = Step;

/// Why a member is not, or not wholly, realised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It has no host veth; only an ADD, which brings the pod's namespace, can make one.
    HostLink(Sandbox),
    /// Its trunk is not on this node.
    Trunk(Sandbox),
}

/// What a reconciliation did.
#[derive(Debug, Default)]
pub struct Report {
    pub done: Vec<Step>,
    pub failed: Vec<(Step, StepError)>,
    pub waiting: Vec<Waiting>,
}

/// Where and how the datapath works.
#[derive(Debug)]
pub struct DatapathConfig {
    /// The node's own address, put on each ENI as the source of what the host sends by it.
    pub node_ip: Option<Ipv4Addr>,
    /// Folder below a BPF file system for programs and maps.
    pub pin_directory: PathBuf,
    /// The node's network namespace; `None` is the one this process is in.
    pub host_netns: Option<OwnedFd>,
    /// How long an ADD waits for the trunk's NIC to appear.
    pub nic_deadline: Duration,
}

impl Default for DatapathConfig {
    fn default() -> Self {
        Self {
            node_ip: None,
            pin_directory: PIN_DIRECTORY.into(),
            host_netns: None,
            nic_deadline: Duration::from_secs(10),
        }
    }
}

/// Between two looks for a NIC that is not there yet.
const NIC_POLL: Duration = Duration::from_millis(100);

/// Handle of the datapath; clones share it. The thread behind it ends with the last one,
/// and what it has made in the kernel stays.
#[derive(Clone, Debug)]
pub struct Datapath {
    worker: worker::Worker,
    nic_deadline: Duration,
}

impl Datapath {
    /// Loads the programs, takes up the pinned maps and sets the host's sysctls. Existing
    /// pods are left as they are; reconcile before the first ADD, which attaches the new
    /// programs to the trunk: if the pins were lost, their maps are empty until then.
    pub async fn start(config: DatapathConfig) -> Result<Self, DatapathError> {
        let nic_deadline = config.nic_deadline;
        Ok(Self {
            worker: worker::Worker::start(config).await?,
            nic_deadline,
        })
    }

    /// Makes the interface, or completes it when it is there already. Waits for the
    /// trunk's NIC; meanwhile other requests go on.
    pub async fn add(&self, want: MemberInterface, netns: OwnedFd) -> Result<Realised, DatapathError> {
        self.wait_for_nic(want.trunk_mac).await?;
        self.worker.run(move |engine| engine.add(want, netns)).await?
    }

    /// Checks the interface and repairs what can be repaired without making a new one.
    pub async fn check(&self, want: MemberInterface, netns: OwnedFd) -> Result<Vec<Repair>, DatapathError> {
        self.worker.run(move |engine| engine.check(&want, netns)).await?
    }

    /// Removes the interface with all that belongs to it. Succeeds when it is gone, and
    /// leaves a newer sandbox of the same pod alone. The pod's end goes with the host's, so
    /// the namespace is not needed; dropping it here lets the kernel free it.
    pub async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), DatapathError> {
        drop(netns);
        let sandbox = sandbox.clone();
        self.worker.run(move |engine| engine.delete(&sandbox)).await?
    }

    /// The sandboxes that have a host veth, whoever made it and when.
    pub async fn sandboxes(&self) -> Result<Vec<Present>, DatapathError> {
        self.worker.run(|engine| engine.sandboxes()).await?
    }

    /// Makes the host side match `desired`: repairs what is ours and missing, removes what
    /// is ours and nobody's. An interface added or deleted since the last reconciliation
    /// counts as what it is now, whatever an older `desired` says.
    pub async fn reconcile(&self, desired: Vec<MemberInterface>) -> Result<Report, DatapathError> {
        self.worker.run(move |engine| engine.reconcile(desired)).await?
    }

    /// Packets per outcome, summed over the node.
    pub async fn counters(&self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        self.worker.run(|engine| engine.counters()).await?
    }

    async fn wait_for_nic(&self, mac: [u8; 6]) -> Result<(), DatapathError> {
        let deadline = tokio::time::Instant::now() + self.nic_deadline;
        while !self.worker.run(move |engine| engine.has_nic(mac)).await?? {
            if tokio::time::Instant::now() >= deadline {
                return Err(DatapathError::NicMissing {
                    mac,
                    waited: self.nic_deadline,
                });
            }
            tokio::time::sleep(NIC_POLL).await;
        }
        Ok(())
    }
}
