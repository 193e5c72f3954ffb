//! The ENIs of one node: observe, plan, write the record, start calls.
//!
//! A round never waits for the cloud. Calls run beside the round and wake the node with their replies. So pods get the
//! addresses that exist even while the cloud does not answer.

mod annotate;
mod calls;
mod memory;
mod observe;

use std::sync::Arc;
use std::time::Duration;

use terway_core::conditions::{Statement, state};
use terway_core::node::NodeFacts;
use terway_core::pool::{Plan, attaches, note_written};
use terway_core::room::is_sufficient;
use terway_crds::TerwayNodeStatus;

pub use self::memory::Pools;
use self::observe::Look;
use super::NodeController;
use super::apply::publish;
use crate::error::ReconcileError;
use crate::events::{node_reference, planned, pod_reference};
use crate::objects::{NodeRecord, Turn};
use crate::runtime::{Key, Next};

/// More passes than one round needs; each write takes two.
const MAX_ROUNDS: usize = 16;
/// Time after which a node with waiting pods is planned again in any case, because a vSwitch may have free addresses
/// again and nothing tells so.
const WAITING: Duration = Duration::from_secs(30);

/// Time between two writes that give addresses to pods of one node. Pods come in groups: the first pod gets its address
/// at once, and the others share a write. The cost of a write grows with the number of addresses of the node.
const PACE: Duration = Duration::from_millis(50);

/// Brings a node's ENIs and bindings as far as possible now. `statements` are written with the status.
pub async fn reconcile(
    controller: &NodeController,
    key: &Key,
    statements: &[Statement<'static>],
) -> Result<Next, ReconcileError> {
    let mut turn = None;
    for _ in 0..MAX_ROUNDS {
        let (Some(node), Some(record)) = (
            controller.caches.nodes.get(key),
            controller.caches.node_records.get(key),
        ) else {
            return Ok(Next::OnChange);
        };
        let look = Look::take(controller, key, &record);
        let mut plan = look.plan(&record);
        let compared = plan.status.last_sync_openapi_time.is_some();
        // A true statement is not worth a write of its own. The write after the first comparison with the cloud takes
        // it along.
        for statement in statements.iter().filter(|it| compared || !it.holds) {
            let generation = record.metadata.generation;
            state(
                &mut plan.status.conditions,
                statement.clone(),
                generation,
                look.now,
            );
        }
        if plan.status != record.status.clone().unwrap_or_default() {
            if let Some(left) = look.pause(&plan) {
                return Ok(Next::After(left));
            }
            match turn.take() {
                Some(turn) => write(controller, key, turn, (&node, &record), (&look, &plan)).await?,
                // More pods may come during the wait for a turn. The next pass plans again and serves them too.
                None => turn = Some(controller.write.turn().await),
            }
            continue;
        }
        drop(turn);
        forget_settled(controller, key, &plan.status);
        let urgent = !plan.waiting.is_empty();
        // A write that the API server refuses keeps no call, no other write and no heartbeat back.
        let mut failed = None;
        for call in plan.calls {
            let begun = calls::set_off(controller, key, &record, call, urgent).await;
            failed = failed.or(begun.err());
        }
        let sufficient = look
            .knows_vswitches()
            .then(|| is_sufficient(&record, &look.vswitches.candidates));
        let heartbeat = publish(controller, &node, &record, sufficient).await?;
        if plan.adjusted {
            controller
                .pools
                .change(key, |memory| memory.adjusted = Some(look.now));
        }
        if controller.notes_addresses(&node) {
            let noted = annotate::note_addresses(&controller.write, &look.pods, &plan.status).await;
            failed = failed.or(noted.err());
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let waiting = urgent.then_some(WAITING);
        let wake = [plan.wake, waiting, heartbeat].into_iter().flatten().min();
        return Ok(wake.map_or(Next::OnChange, Next::After));
    }
    Ok(Next::After(Duration::from_millis(200)))
}

/// One write holds all results of the round: ENIs, addresses, bindings and operations.
async fn write(
    controller: &NodeController,
    key: &Key,
    turn: Turn,
    (node, record): (&NodeFacts, &Arc<NodeRecord>),
    (look, plan): (&Look, &Plan),
) -> Result<(), ReconcileError> {
    controller
        .write
        .write_node_status_in(turn, record, &plan.status)
        .await?;
    let before = record.status.as_ref().map(|status| status.operations.as_slice());
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    controller.attempts.change_owned(uid, |known| {
        note_written(known, before.unwrap_or_default(), &plan.status.operations);
    });
    let compared = controller.pools.change(key, |memory| {
        if plan.compared {
            let asked = look.asked();
            memory
                .inventory
                .take_if(|inventory| Some(inventory.asked) == asked);
            memory.compared = asked;
        }
        if plan.adjusted {
            memory.adjusted = Some(jiff::Timestamp::now());
        }
        if !plan.bound.is_empty() {
            memory.bound = Some(jiff::Timestamp::now());
        }
        memory
            .handed
            .retain(|id| plan.status.network_interfaces.contains_key(id));
        memory.compared.filter(|_| plan.compared)
    });
    if let Some(asked) = compared {
        controller.suspects.compared(key, asked);
    }
    for lost in &plan.lost {
        if let Some(pod) = look.pods.iter().find(|pod| pod.uid == lost.pod_uid) {
            let (pod, node) = (pod_reference(pod), node_reference(node));
            controller
                .events
                .tell(pod, Some(node), planned(lost.news.clone()));
        }
    }
    for news in &plan.news {
        controller
            .events
            .tell(node_reference(node), None, planned(news.clone()));
    }
    Ok(())
}

/// The poller stops observing ENIs that are attached or gone.
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
        controller.attaching.lock().remove(&id);
        controller.cloud.watch().forget(&id);
    }
}
