//! What the agent remembers of the sandboxes of its node. Everything is lost with the process; the kernel and the
//! records of the control plane tell the rest.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cluster::PodKey;
use crate::datapath::{PodInterface, Sandbox};

/// Container id and interface name.
pub type SandboxKey = (String, String);

/// The key of a sandbox in [`Memory::made`].
pub fn key(sandbox: &Sandbox) -> SandboxKey {
    (sandbox.container_id.clone(), sandbox.ifname.clone())
}

/// Sandboxes that were made, and those that ended.
#[derive(Default)]
pub struct Memory {
    made: Mutex<BTreeMap<SandboxKey, PodInterface>>,
    ended: Mutex<BTreeMap<String, PodKey>>,
    changed: Notify,
}

impl Memory {
    /// The interface that each sandbox was last given, by [`key`]. Used for a sandbox that no record of the control
    /// plane describes any more. Empty after a restart.
    pub fn made(&self) -> BTreeMap<SandboxKey, PodInterface> {
        self.made.lock().clone()
    }

    /// The interface that a sandbox was last given.
    pub fn of(&self, sandbox: &Sandbox) -> Option<PodInterface> {
        self.made.lock().get(&key(sandbox)).cloned()
    }

    /// Remembers what sandboxes were given.
    pub fn remember(&self, wants: impl IntoIterator<Item = PodInterface>) {
        let wants = wants.into_iter().map(|want| (key(&want.sandbox), want));
        self.made.lock().extend(wants);
    }

    /// Forgets a sandbox whose pod goes on in another one, or that was never used.
    pub fn forget(&self, sandbox: &Sandbox) {
        self.made.lock().remove(&key(sandbox));
    }

    /// Forgets sandboxes that the kernel does not have.
    pub fn forget_all(&self, gone: &[SandboxKey]) {
        let mut made = self.made.lock();
        for key in gone {
            made.remove(key);
        }
    }

    /// A sandbox was removed. The next report tells it, also when the sandbox was made since the last one.
    pub fn end(&self, sandbox: &Sandbox) {
        if let Some(made) = self.made.lock().remove(&key(sandbox)) {
            let pod = PodKey::new(&made.namespace, &made.pod_name);
            self.ended.lock().insert(sandbox.pod_uid.clone(), pod);
        }
    }

    /// Pods whose sandbox was removed since the last report, by UID.
    pub fn ended(&self) -> BTreeMap<String, PodKey> {
        self.ended.lock().clone()
    }

    /// The end of these pods' sandboxes is reported.
    pub fn reported(&self, told: &BTreeMap<String, PodKey>) {
        self.ended.lock().retain(|uid, _| !told.contains_key(uid));
    }

    /// A sandbox was made or removed.
    pub fn has_changed(&self) {
        self.changed.notify_one();
    }

    /// Completes when a sandbox was made or removed since the last call. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
