//! The observation from which a PodENI is planned.

use std::sync::Arc;

use jiff::Timestamp;
use terway_core::intent::Evidence;
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_core::pod_eni::{Observed, PodState, intent_id, node_name};
use terway_crds::{NetworkInterface, PodEni};

use super::PodEniController;
use crate::fresh_enis::intent_name;
use crate::runtime::Key;

/// A record, and everything its plan depends on.
pub struct ObservedPodEni {
    pub record: Arc<PodEni>,
    pub interfaces: Vec<Option<Arc<NetworkInterface>>>,
    pub pod: Option<Arc<PodFacts>>,
    pub state: PodState,
    pub node: Option<Arc<NodeFacts>>,
    pub evidence: Vec<Evidence>,
    pub now: Timestamp,
}

/// Reads the caches; `None` when the record is gone.
pub fn observe(controller: &PodEniController, key: &Key) -> Option<ObservedPodEni> {
    let caches = &controller.caches;
    let record = caches.pod_enis.get(key)?;
    let allocations = &record.spec.allocations;
    let interface = |id: &str| caches.interfaces.get(&Key::cluster(id));
    let interfaces = allocations
        .iter()
        .map(|a| (!a.eni.id.is_empty()).then(|| interface(&a.eni.id)).flatten())
        .collect();
    let evidence = (0..allocations.len()).map(|index| {
        let id = intent_id(&record, index);
        id.map_or_else(|| Evidence::inherited(0), |id| controller.attempts.of(&id))
    });
    let node = caches.nodes.get(&Key::cluster(node_name(&record)));
    let (state, pod) = caches.pod_of(&record);
    Some(ObservedPodEni {
        interfaces,
        evidence: evidence.collect(),
        node,
        pod,
        state,
        now: Timestamp::now(),
        record,
    })
}

impl ObservedPodEni {
    /// The observation as the planner takes it.
    pub fn view<'a>(&'a self, controller: &'a PodEniController) -> Observed<'a> {
        Observed {
            record: &self.record,
            interfaces: &self.interfaces,
            pod: self.state,
            started: self.pod.as_ref().is_some_and(|pod| pod.address.is_some()),
            node: self.node.as_deref(),
            evidence: &self.evidence,
            quiet_since: controller.term.since,
            now: self.now,
            limits: &controller.limits,
            degradation: controller.degradation.now(),
        }
    }

    /// UID of the record.
    pub fn uid(&self) -> &str {
        self.record.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Name of an allocation's intent.
    pub fn intent_name(&self, index: usize) -> String {
        intent_name(self.uid(), index)
    }
}
