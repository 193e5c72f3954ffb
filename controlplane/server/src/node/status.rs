//! Conditions of a Node object, and the events that go with them.

use jiff::Timestamp;
use terway_core::conditions::{Statement, state};
use terway_core::node::NodeFacts;
use terway_crds::names::{action, condition, event};

use crate::context::Context;
use crate::error::ReconcileError;
use crate::events::{News, Severity, node_reference};
use crate::objects::NodeRecord;

/// Says what is wrong, once.
pub async fn trouble(
    context: &Context,
    node: &NodeFacts,
    record: &NodeRecord,
    reason: &str,
    message: String,
) -> Result<(), ReconcileError> {
    let note = message.clone();
    if say(context, record, false, reason, message).await? {
        let news = News {
            severity: Severity::Warning,
            reason: event::CONFIG_ERROR,
            action: action::CONFIG,
            note,
        };
        context.events.tell(node_reference(node), None, news);
    }
    Ok(())
}

/// Says that the node serves pods. Returns whether that is news.
pub async fn say(
    context: &Context,
    record: &NodeRecord,
    holds: bool,
    reason: &str,
    message: String,
) -> Result<bool, ReconcileError> {
    let mut status = record.status.clone().unwrap_or_default();
    let ready = Statement {
        kind: condition::READY,
        holds,
        reason,
        message,
    };
    let changed = state(
        &mut status.conditions,
        ready,
        record.metadata.generation,
        Timestamp::now(),
    );
    if changed {
        context.write.write_node_status(record, &status).await?;
    }
    Ok(changed)
}
