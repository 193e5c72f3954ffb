//! Reads the observations of a pod.

use std::sync::Arc;

use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_crds::PodEni;

use crate::objects::Caches;
use crate::runtime::Key;

/// A pod, the record of its name, and its node.
pub struct ObservedPod {
    pub pod: Option<Arc<PodFacts>>,
    pub record: Option<Arc<PodEni>>,
    pub node: Option<Arc<NodeFacts>>,
}

/// Reads the caches. A pod that is missing there is gone: the caches were compared with a fresh list at the beginning
/// of this term, and a watch does not skip events.
pub fn observe(caches: &Caches, key: &Key) -> ObservedPod {
    let pod = caches.pods.get(key);
    let node = pod
        .as_ref()
        .filter(|pod| !pod.node.is_empty())
        .map(|pod| Key::cluster(&pod.node));
    ObservedPod {
        record: caches.pod_enis.get(key),
        node: node.and_then(|node| caches.nodes.get(&node)),
        pod,
    }
}
