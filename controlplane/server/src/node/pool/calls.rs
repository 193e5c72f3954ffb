//! Calls for the operations of a node. A call runs beside the workers: it waits for its token, reads again whether the
//! operation is still recorded, sends the request, and wakes the node with the reply.

use jiff::Timestamp;
use terway_cloud::{Action, EniFilter, Expect, Priority};
use terway_core::intent::{IntentId, Reply};
use terway_core::pool::{Call, Inventory, attaches, index, intent};
use terway_crds::names::tag;
use terway_crds::{Operation, OperationKind};
use tracing::warn;

use crate::context::Grant;
use crate::error::ReconcileError;
use crate::intents::Request;
use crate::network_interface::hand_over;
use crate::node::NodeController;
use crate::objects::NodeRecord;
use crate::runtime::{Key, growing};

/// Starts a call. `urgent`: pods wait for its result.
pub async fn set_off(
    controller: &NodeController,
    key: &Key,
    record: &NodeRecord,
    call: Call,
    urgent: bool,
) -> Result<(), ReconcileError> {
    let caller = Caller {
        controller: controller.clone(),
        key: key.clone(),
    };
    let operation_of = |name: &str| {
        let mut operations = record.status.iter().flat_map(|status| &status.operations);
        let found = operations.find(|operation| index(operation) == name);
        found.map(|operation| intent(record, operation))
    };
    let filling = if urgent { Priority::Create } else { Priority::Fill };
    let (name, send) = match call {
        Call::Create(name) => (name, (Action::CreateNetworkInterface, filling)),
        Call::Assign(name) => (name, (Action::AssignPrivateIpAddresses, filling)),
        Call::Attach(name) => (name, (Action::AttachNetworkInterface, Priority::Attach)),
        Call::Unassign(name) => (name, (Action::UnassignPrivateIpAddresses, Priority::Release)),
        Call::LookUpByTag(name) => {
            if let Some(id) = operation_of(&name) {
                let filter = EniFilter::tags([(tag::INTENT, id.tag_value())]);
                caller.look_up(id, filter);
            }
            return Ok(());
        }
        Call::LookUp { operation, eni } => {
            if let Some(id) = operation_of(&operation) {
                caller.look_up(id, EniFilter::ids([eni]));
            }
            return Ok(());
        }
        Call::Watch(id) => {
            caller.watch(&id);
            return Ok(());
        }
        Call::HandOver(id) => {
            hand_over(&controller.caches, &controller.write, &id, Some(key.name())).await?;
            controller.pools.change(key, |memory| memory.handed.insert(id));
            return Ok(());
        }
        Call::ListEnis => {
            caller.list(record.spec.node_metadata.instance_id.clone());
            return Ok(());
        }
    };
    if let Some(id) = operation_of(&name) {
        let (action, priority) = send;
        caller.send(id, action, priority);
    }
    Ok(())
}

/// What a call needs of the process, and the node that the call is for.
struct Caller {
    controller: NodeController,
    key: Key,
}

impl Caller {
    fn send(self, id: IntentId, action: Action, priority: Priority) {
        if !self.controller.attempts.take(&id) {
            return;
        }
        let tracker = self.controller.background.clone();
        tracker.spawn(async move {
            let grant = self
                .controller
                .calls
                .grant(action, priority, self.key.name())
                .await;
            match self.wanted(&id) {
                Some((operation, request)) if request.action() == action => {
                    self.call(&id, &operation, &request, grant).await;
                }
                _ => self.controller.attempts.give_back(&id),
            }
            self.controller.queue.add(self.key.clone());
        });
    }

    /// The operation as the cache shows it now, and its request.
    fn wanted(&self, id: &IntentId) -> Option<(Operation, Request)> {
        let record = self.controller.caches.node_records.get(&self.key)?;
        let mut operations = record.status.as_ref()?.operations.iter();
        let operation = operations.find(|operation| intent(&record, operation) == *id)?;
        Some((operation.clone(), Request::of_operation(&record, operation)?))
    }

    async fn call(&self, id: &IntentId, operation: &Operation, request: &Request, grant: Grant) {
        let changed = || {
            self.controller
                .pools
                .change(&self.key, |memory| memory.changed = Some(Timestamp::now()));
        };
        changed();
        let (attempts, cloud) = (&self.controller.attempts, &self.controller.cloud);
        let on_reply = |reply: &Reply| {
            self.account(operation, reply);
            if attaches(operation) && matches!(reply, Reply::Accepted | Reply::Unknown) {
                // The attach has begun. The poller asks for the ENI when attaches are usually done.
                self.note_watch(&operation.eni_id);
                self.controller
                    .cloud
                    .watch()
                    .expect(&operation.eni_id, Expect::Attached);
            }
            changed();
        };
        // The evidence says when the call may be repeated, and the next plan repeats it.
        attempts.send(cloud, id, request, grant, on_reply).await;
    }

    /// Counts the addresses that a reply takes from the vSwitch of an operation, or gives back to it.
    fn account(&self, operation: &Operation, reply: &Reply) {
        let vswitches = &self.controller.vswitches;
        let used = |count: usize| {
            let count = i64::try_from(count).unwrap_or(0);
            let count = if operation.kind == OperationKind::UnassignIps {
                -count
            } else {
                count
            };
            vswitches.used(&operation.vswitch_id, count);
        };
        match reply {
            Reply::Created(eni) => used(eni.private_ips.len()),
            Reply::Assigned(addresses) => used(addresses.len()),
            Reply::Accepted => used(operation.addresses.len()),
            Reply::Refused(refused) if refused.is_exhausted() => {
                vswitches.exhausted(&operation.vswitch_id);
            }
            Reply::Refused(_) | Reply::Unknown | Reply::Busy | Reply::TokenReused => {}
        }
    }

    fn note_watch(&self, id: &str) -> bool {
        let mut attaching = self.controller.attaching.lock();
        attaching.insert(id.to_owned(), self.key.clone());
        drop(attaching);
        self.controller
            .pools
            .change(&self.key, |memory| memory.watched.insert(id.to_owned()))
    }

    /// Lets the poller ask for an ENI at once, because its state is unknown.
    fn watch(&self, id: &str) {
        if self.note_watch(id) {
            self.controller.cloud.watch().look(id, Expect::Attached);
        }
    }

    fn look_up(self, id: IntentId, filter: EniFilter) {
        if !self.controller.attempts.take(&id) {
            return;
        }
        let tracker = self.controller.background.clone();
        tracker.spawn(async move {
            let (attempts, cloud) = (&self.controller.attempts, &self.controller.cloud);
            if let Err(error) = attempts.look_up(cloud, &id, &filter).await {
                let error = &error as &dyn std::error::Error;
                warn!(node = %self.key, error, "an ENI was not looked up");
            }
            self.controller.queue.add(self.key.clone());
        });
    }

    fn list(self, instance_id: String) {
        let began = self
            .controller
            .pools
            .change(&self.key, |memory| !std::mem::replace(&mut memory.listing, true));
        if !began {
            return;
        }
        let tracker = self.controller.background.clone();
        tracker.spawn(async move {
            let filter = EniFilter {
                instance_id: Some(instance_id),
                ..EniFilter::default()
            };
            let asked = Timestamp::now();
            let found = self.controller.cloud.describe_network_interfaces(&filter).await;
            let again = self.controller.pools.change(&self.key, |memory| {
                memory.listing = false;
                match found {
                    Ok(enis) => {
                        memory.inventory = Some(Inventory { asked, enis });
                        memory.unlisted = 0;
                        None
                    }
                    Err(error) => {
                        memory.unlisted = memory.unlisted.saturating_add(1);
                        Some((error, memory.unlisted))
                    }
                }
            });
            match again {
                None => self.controller.queue.add(self.key.clone()),
                Some((error, failures)) => {
                    warn!(node = %self.key, error = &error as &dyn std::error::Error, "the node's ENIs were not listed");
                    let pace = error.retry().pace();
                    let delay = growing(&self.key, failures, pace.first, pace.most);
                    self.controller.queue.add_after(self.key.clone(), delay);
                }
            }
        });
    }
}
