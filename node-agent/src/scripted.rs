//! A kernel that is played by a test: it remembers sandboxes, and does what the test tells it to.
//!
//! The unit tests of this crate use it. Tests elsewhere switch the feature `scripted` on.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::datapath::{Census, PodInterface, Realised, Sandbox};
use crate::kernel::{Checked, Kernel, KernelError, Reconciled};
use crate::trouble::Trouble;

/// The kernel. Every field but `arrived` may be set and read at any time.
#[derive(Default)]
pub struct ScriptedKernel {
    /// The sandboxes that exist. They stay over a restart of the agent.
    pub sandboxes: Mutex<Vec<Sandbox>>,
    /// The interfaces that the reconciler asked for, round by round.
    pub desired: Mutex<Vec<Vec<PodInterface>>>,
    /// Names of interfaces whose making fails.
    pub refuses: Mutex<Vec<String>>,
    /// Listing the sandboxes fails.
    pub blind: Mutex<bool>,
    /// Repairs that a check reports.
    pub repairs: Mutex<Vec<String>>,
    /// Steps that a reconciliation fails to make.
    pub failing: Mutex<Vec<String>>,
    /// What a reconciliation repairs.
    pub repaired: Mutex<Vec<String>>,
    /// Trouble that a reconciliation finds.
    pub troubles: Mutex<Vec<Trouble>>,
    /// Sandboxes that a reconciliation leaves as they are.
    pub apart: Mutex<Vec<Sandbox>>,
    /// How long the making of an interface takes.
    pub slow: Mutex<Duration>,
    /// When set, the making of an interface waits for a permit.
    pub hold: Mutex<Option<Arc<Semaphore>>>,
    /// The check of sources leaves no place for a shaper, as on kernels without TCX.
    pub without_tcx: Mutex<bool>,
    /// Notified when the making of an interface begins.
    pub arrived: Notify,
    /// Cancel it to end the datapath.
    pub ended: CancellationToken,
    /// How often the packets were counted.
    pub counted: AtomicUsize,
    /// How often the sandboxes were listed.
    pub listed: AtomicUsize,
}

impl ScriptedKernel {
    /// Container ids of the sandboxes that exist, in the order of their making.
    pub fn containers(&self) -> Vec<String> {
        let sandboxes = self.sandboxes.lock();
        sandboxes
            .iter()
            .map(|sandbox| sandbox.container_id.clone())
            .collect()
    }
}

#[async_trait]
impl Kernel for ScriptedKernel {
    async fn add(&self, want: PodInterface, _netns: OwnedFd) -> Result<Realised, KernelError> {
        self.arrived.notify_one();
        let (slow, hold) = (*self.slow.lock(), self.hold.lock().clone());
        tokio::time::sleep(slow).await;
        if let Some(hold) = hold {
            hold.acquire().await?.forget();
        }
        if self.refuses.lock().contains(&want.sandbox.ifname) {
            return Err("the kernel said no".into());
        }
        let mut sandboxes = self.sandboxes.lock();
        sandboxes.retain(|sandbox| !sandbox.same_as(&want.sandbox));
        sandboxes.push(want.sandbox.clone());
        Ok(Realised {
            host_ifname: "cali1".into(),
            host_mac: [2; 6],
            pod_mac: [4; 6],
            mtu: want.mtu,
        })
    }

    async fn check(&self, want: PodInterface, _netns: OwnedFd) -> Result<Checked, KernelError> {
        Ok(Checked {
            repairs: self.repairs.lock().clone(),
            addresses: vec![want.ip],
        })
    }

    async fn delete(&self, sandbox: &Sandbox, _netns: Option<OwnedFd>) -> Result<(), KernelError> {
        self.sandboxes.lock().retain(|other| !other.same_as(sandbox));
        Ok(())
    }

    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        if *self.blind.lock() {
            return Err("the dump was cut short".into());
        }
        Ok(self.sandboxes.lock().clone())
    }

    fn has_room_for_shaper(&self) -> bool {
        !*self.without_tcx.lock()
    }

    async fn packets(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        Ok(vec![("popped", 3)])
    }

    async fn ended(&self) {
        self.ended.cancelled().await;
    }

    async fn disturbed(&self) -> Result<(), KernelError> {
        std::future::pending().await
    }

    async fn reconcile(&self, census: Census) -> Result<Reconciled, KernelError> {
        self.desired.lock().push(census.interfaces);
        Ok(Reconciled {
            done: self.repaired.lock().clone(),
            failed: self.failing.lock().clone(),
            troubles: self.troubles.lock().clone(),
            apart: self.apart.lock().clone(),
        })
    }
}
