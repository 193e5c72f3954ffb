//! Operations of a node: their names, their kinds, and the evidence about them after a write.

use std::collections::BTreeMap;

use terway_crds::{Operation, OperationKind, TerwayNode};

use crate::intent::{Evidence, IntentId};

/// Name of an operation without an id. An earlier version recorded the operations of trunks in this way.
const TRUNK_INDEX: &str = "trunk";

/// Name of an operation among the operations of its node. It is part of the ClientToken and of the tag.
pub fn index(operation: &Operation) -> &str {
    match operation.id.as_str() {
        "" => TRUNK_INDEX,
        id => id,
    }
}

/// Identity of the attempt of an operation.
pub fn intent(record: &TerwayNode, operation: &Operation) -> IntentId {
    IntentId {
        owner_uid: record.metadata.uid.clone().unwrap_or_default(),
        index: index(operation).to_owned(),
        attempt: operation.attempt,
    }
}

/// Whether an operation makes an ENI.
pub fn creates(operation: &Operation) -> bool {
    matches!(
        operation.kind,
        OperationKind::CreateEni | OperationKind::CreateTrunk
    )
}

/// Whether an operation attaches an ENI.
pub fn attaches(operation: &Operation) -> bool {
    matches!(
        operation.kind,
        OperationKind::AttachEni | OperationKind::AttachTrunk
    )
}

/// Call after operations were written. A new step of an operation has not been sent yet. Finished operations are
/// forgotten.
pub fn note_written(known: &mut BTreeMap<String, Evidence>, before: &[Operation], after: &[Operation]) {
    for operation in after {
        let same = |o: &Operation| {
            index(o) == index(operation) && o.attempt == operation.attempt && o.kind == operation.kind
        };
        if !before.iter().any(same) {
            known.insert(index(operation).to_owned(), Evidence::fresh(operation.attempt));
        }
    }
    known.retain(|name, _| after.iter().any(|operation| index(operation) == name));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(id: &str, kind: OperationKind, attempt: i32) -> Operation {
        Operation {
            id: id.into(),
            kind,
            attempt,
            ..Operation::default()
        }
    }

    #[test]
    fn an_operation_without_an_id_is_the_trunks() {
        let mut record = TerwayNode::default();
        record.metadata.uid = Some("node-uid".into());
        let unnamed = operation("", OperationKind::CreateTrunk, 2);
        assert_eq!(intent(&record, &unnamed).tag_value(), "node-uid/trunk/2");
        let named = operation("a-1", OperationKind::AssignIps, 1);
        assert_eq!(intent(&record, &named).tag_value(), "node-uid/a-1/1");
    }

    #[test]
    fn each_step_of_an_operation_is_known_to_be_unsent_and_finished_ones_are_forgotten() {
        let create = operation("a", OperationKind::CreateEni, 1);
        let attach = operation("a", OperationKind::AttachEni, 1);
        let assign = operation("b", OperationKind::AssignIps, 1);
        let again = operation("b", OperationKind::AssignIps, 2);
        let mut known = BTreeMap::new();
        note_written(&mut known, &[], &[create.clone(), assign.clone()]);
        assert_eq!(known["a"], Evidence::fresh(1));
        known.values_mut().for_each(Evidence::sending);
        let sent = known.clone();
        note_written(
            &mut known,
            &[create.clone(), assign.clone()],
            &[create.clone(), assign.clone()],
        );
        assert_eq!(known, sent, "the same write again tells nothing new");
        note_written(&mut known, &[create, assign], &[attach.clone(), again]);
        assert_eq!(
            (&known["a"], &known["b"]),
            (&Evidence::fresh(1), &Evidence::fresh(2))
        );
        note_written(&mut known, std::slice::from_ref(&attach), &[]);
        assert!(known.is_empty());
    }
}
