//! The shared ENIs of one node: looks, plans, writes, and sets off the calls.
//!
//! A round never waits for the cloud: calls run beside it and wake the node with their answers, so that
//! pods are served from what is there whatever the cloud does.

mod answer;
mod calls;
mod memory;
mod observe;
mod told;

use std::sync::Arc;
use std::time::Duration;

use terway_core::conditions::{Statement, state};
use terway_core::node::NodeFacts;
use terway_core::pool::{Plan, attaches, is_sufficient, remember};
use terway_crds::TerwayNodeStatus;

pub use self::memory::Pools;
use self::observe::Look;
use super::NodeController;
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next};

/// More writes in a row than one round needs.
const MAX_ROUNDS: usize = 8;
/// Time after which pods that wait are looked at again, whatever happens: a vSwitch may have recovered.
const WAITING: Duration = Duration::from_secs(30);

/// Brings a node's ENIs and bindings as far as they get now. `statements` are written along.
pub async fn reconcile(
    controller: &NodeController,
    key: &Key,
    statements: &[Statement<'static>],
) -> Result<Next, ReconcileError> {
    let context = &controller.context;
    for _ in 0..MAX_ROUNDS {
        let (Some(node), Some(record)) = (
            context.caches.nodes.get(key),
            context.caches.node_records.get(key),
        ) else {
            return Ok(Next::OnChange);
        };
        if record.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let look = Look::take(controller, key, &record);
        let mut plan = look.plan(&record);
        for statement in statements {
            let generation = record.metadata.generation;
            state(
                &mut plan.status.conditions,
                statement.clone(),
                generation,
                look.now,
            );
        }
        if plan.status != record.status.clone().unwrap_or_default() {
            write(controller, key, &node, &record, &plan).await?;
            continue;
        }
        forget_settled(controller, key, &plan.status);
        let mut heartbeat = None;
        if look.knows_vswitches() {
            let holds = is_sufficient(&record, &look.vswitches.candidates);
            heartbeat = told::tell_sufficiency(context, &node, holds).await?;
        }
        if controller.notes_addresses(&node) {
            told::note_addresses(context, &look.pods, &plan.status).await?;
        }
        let urgent = !plan.waiting.is_empty();
        for call in plan.calls {
            calls::set_off(controller, key, &record, call, urgent).await?;
        }
        if plan.adjusted {
            controller
                .pools
                .change(key, |memory| memory.adjusted = Some(look.now));
        }
        let waiting = urgent.then_some(WAITING);
        let wake = [plan.wake, waiting, heartbeat].into_iter().flatten().min();
        return Ok(wake.map_or(Next::OnChange, Next::After));
    }
    Ok(Next::After(Duration::from_millis(200)))
}

/// One write holds everything that this round found out: ENIs, addresses, bindings, operations.
async fn write(
    controller: &NodeController,
    key: &Key,
    node: &NodeFacts,
    record: &Arc<NodeRecord>,
    plan: &Plan,
) -> Result<(), ReconcileError> {
    let context = &controller.context;
    context.write.write_node_status(record, &plan.status).await?;
    let before = record.status.as_ref().map(|status| status.operations.as_slice());
    controller.pools.change(key, |memory| {
        remember(
            &mut memory.known,
            before.unwrap_or_default(),
            &plan.status.operations,
        );
        if plan.adjusted {
            memory.adjusted = Some(jiff::Timestamp::now());
        }
        memory
            .handed
            .retain(|id| plan.status.network_interfaces.contains_key(id));
    });
    for news in &plan.news {
        told::tell(context, node, news);
    }
    Ok(())
}

/// The poller need not look any more at what is attached, or gone.
fn forget_settled(controller: &NodeController, key: &Key, status: &TerwayNodeStatus) {
    let attaching = |id: &String| status.operations.iter().any(|o| attaches(o) && o.eni_id == *id);
    let settled: std::collections::BTreeSet<String> = controller.pools.change(key, |memory| {
        let (watched, settled) = std::mem::take(&mut memory.watched)
            .into_iter()
            .partition(attaching);
        memory.watched = watched;
        settled
    });
    for id in settled {
        controller.context.trunks.lock().remove(&id);
        controller.context.cloud.watch().forget(&id);
    }
}
