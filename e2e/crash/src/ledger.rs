//! What the scenario itself did to pods and ENIs. The rules compare everything else with this.

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::checker::{PodLife, Removed};

/// Pods that came and went, and ENIs that somebody else took away.
#[derive(Debug, Default)]
pub struct Ledger {
    pods: Mutex<Vec<PodLife>>,
    removed: Mutex<Vec<Removed>>,
}

impl Ledger {
    /// A pod exists.
    pub fn born(&self, uid: &str, name: &str, node: &str, fixed: bool) {
        self.pods.lock().push(PodLife {
            uid: uid.to_owned(),
            name: name.to_owned(),
            node: node.to_owned(),
            fixed,
            born: Timestamp::now(),
            gone: None,
            let_go: None,
        });
    }

    /// The sandbox of a pod is given up. To be called before the API server is told, because the control plane may know
    /// from then on.
    pub fn gone(&self, uid: &str) {
        let mut pods = self.pods.lock();
        if let Some(pod) = pods.iter_mut().find(|pod| pod.uid == uid && pod.gone.is_none()) {
            pod.gone = Some(Timestamp::now());
        }
    }

    /// The node of a pod reports that its sandbox ended at this time. To be called before the report.
    pub fn let_go(&self, uid: &str, at: Timestamp) {
        let mut pods = self.pods.lock();
        if let Some(pod) = pods.iter_mut().find(|pod| pod.uid == uid) {
            pod.let_go = Some(at);
        }
    }

    /// A node is given up, with all sandboxes whose end nobody reported. To be called before the API server is told.
    pub fn node_gone(&self, node: &str) {
        let mut pods = self.pods.lock();
        for pod in pods
            .iter_mut()
            .filter(|pod| pod.node == node && pod.let_go.is_none())
        {
            pod.let_go = Some(Timestamp::now());
        }
    }

    /// Somebody else takes an ENI away. To be called before the act.
    pub fn removed(&self, eni: &str, deleted: bool) {
        self.removed.lock().push(Removed {
            eni: eni.to_owned(),
            at: Timestamp::now(),
            deleted,
        });
    }

    /// All pods so far.
    pub fn pods(&self) -> Vec<PodLife> {
        self.pods.lock().clone()
    }

    /// All removals so far.
    pub fn removals(&self) -> Vec<Removed> {
        self.removed.lock().clone()
    }

    /// UID of the living pod of this name.
    pub fn living(&self, name: &str) -> Option<String> {
        let pods = self.pods.lock();
        let pod = pods
            .iter()
            .rev()
            .find(|pod| pod.name == name && pod.gone.is_none())?;
        Some(pod.uid.clone())
    }

    /// A new run begins.
    pub fn clear(&self) {
        self.pods.lock().clear();
        self.removed.lock().clear();
    }
}
