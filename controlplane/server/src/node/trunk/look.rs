//! What a trunk's plan is made from.

use jiff::Timestamp;
use terway_core::cloud::EniObservation;
use terway_core::intent::Evidence;
use terway_core::node::{EniSettings, NodeFacts, Observed, TRUNK_INDEX};
use terway_crds::{Operation, OperationKind};

use crate::node::{Memory, NodeController, observe};
use crate::objects::NodeRecord;
use crate::runtime::Key;

/// Everything the plan is made from, beside the record.
pub struct Look {
    pub memory: Memory,
    settings: Result<EniSettings, String>,
    pub operation: Option<Operation>,
    pub evidence: Evidence,
    seen: Option<(EniObservation, Timestamp)>,
    now: Timestamp,
}

impl Look {
    /// Reads it.
    pub fn take(controller: &NodeController, key: &Key, node: &NodeFacts, record: &NodeRecord) -> Self {
        let context = &controller.context;
        let operations = record
            .status
            .as_ref()
            .map(|status| status.operations.as_slice())
            .unwrap_or_default();
        let operation = operations
            .iter()
            .find(|o| matches!(o.kind, OperationKind::CreateTrunk | OperationKind::AttachTrunk))
            .cloned();
        let attempt = operation.as_ref().map_or(0, |operation| operation.attempt);
        let uid = record.metadata.uid.as_deref().unwrap_or_default();
        let eni = operation
            .as_ref()
            .map(|operation| operation.eni_id.as_str())
            .filter(|id| !id.is_empty());
        Self {
            memory: controller.memory_of(key),
            settings: observe::eni_settings(context, &node.zone),
            evidence: context.intents.of(uid, TRUNK_INDEX, attempt),
            seen: eni.and_then(|id| context.seen(id)),
            operation,
            now: Timestamp::now(),
        }
    }

    /// For the planner.
    pub fn view<'a>(&'a self, controller: &'a NodeController, record: &'a NodeRecord) -> Observed<'a> {
        Observed {
            record,
            trunks_of_instance: self.memory.trunks.as_deref(),
            settings: &self.settings,
            evidence: &self.evidence,
            attach_sent: self.memory.attach_sent,
            seen: self.seen.as_ref().map(|(observation, at)| (observation, *at)),
            now: self.now,
            limits: &controller.context.limits,
        }
    }
}
