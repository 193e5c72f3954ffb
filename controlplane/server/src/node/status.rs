//! Conditions of a Node object, and the events about what became wrong.

use jiff::Timestamp;
use terway_core::conditions::{Statement, newly_wrong, state};
use terway_core::node::NodeFacts;
use terway_crds::names::{action, event};

use super::NodeController;
use crate::error::ReconcileError;
use crate::events::{node_reference, planned};
use crate::objects::NodeRecord;

/// Writes the statements that differ from the conditions of the Node object.
pub async fn say(
    controller: &NodeController,
    record: &NodeRecord,
    statements: &[Statement<'static>],
) -> Result<(), ReconcileError> {
    let mut status = record.status.clone().unwrap_or_default();
    let (generation, now) = (record.metadata.generation, Timestamp::now());
    let mut changed = false;
    for statement in statements {
        changed |= state(&mut status.conditions, statement.clone(), generation, now);
    }
    if changed {
        controller.write.write_node_status(record, &status).await?;
    }
    Ok(())
}

/// Writes an event for each statement that became false. The event writer drops repetitions.
pub fn tell(
    controller: &NodeController,
    node: &NodeFacts,
    record: &NodeRecord,
    statements: &[Statement<'static>],
) {
    let conditions = record.status.as_ref().map(|status| status.conditions.as_slice());
    for statement in newly_wrong(conditions.unwrap_or_default(), statements) {
        let news =
            terway_core::news::News::bad(event::CONFIG_ERROR, action::CONFIG, statement.message.clone());
        controller.events.tell(node_reference(node), None, planned(news));
    }
}
