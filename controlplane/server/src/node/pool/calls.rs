//! Calls for the operations of a node. Each runs beside the workers: first the token, then another look
//! whether it is still wanted, then the call, then its answer into the memory.

use std::sync::Arc;

use jiff::Timestamp;
use terway_cloud::{
    Action, Addresses, AssignIps, AttachEni, CloudError, EniFilter, Expect, Priority, UnassignIps,
};
use terway_core::cloud::CloudEni;
use terway_core::intent::{Answer, Lookup};
use terway_core::pool::{Call, Inventory, Known, Reply, attaches, creates, index, intent};
use terway_crds::address::parse_any_address;
use terway_crds::names::tag;
use terway_crds::{Family, Operation, OperationKind};
use tracing::warn;

use super::answer::{not_sent, pause, reply_to};
use super::memory::Pools;
use crate::context::{Context, Grant, answer};
use crate::error::ReconcileError;
use crate::node::NodeController;
use crate::node::release::hand_over;
use crate::objects::NodeRecord;
use crate::runtime::Key;

/// Sets a call off. `urgent`: pods wait for what it brings.
pub async fn set_off(
    controller: &NodeController,
    key: &Key,
    record: &NodeRecord,
    call: Call,
    urgent: bool,
) -> Result<(), ReconcileError> {
    let context = &controller.context;
    let place = Place {
        context: context.clone(),
        pools: controller.pools.clone(),
        key: key.clone(),
    };
    let filling = if urgent { Priority::Create } else { Priority::Fill };
    match call {
        Call::Create(name) => place.send(name, Action::CreateNetworkInterface, filling),
        Call::Assign(name) => place.send(name, Action::AssignPrivateIpAddresses, filling),
        Call::Attach(name) => place.send(name, Action::AttachNetworkInterface, Priority::Attach),
        Call::Unassign(name) => place.send(name, Action::UnassignPrivateIpAddresses, Priority::Release),
        Call::LookUpByTag(name) => {
            let operations = record.status.iter().flat_map(|status| &status.operations);
            let operation = operations.into_iter().find(|operation| index(operation) == name);
            if let Some(operation) = operation {
                let value = intent(record, operation).tag_value();
                place.look_up(name, EniFilter::tags([(tag::INTENT, value)]));
            }
        }
        Call::LookUp { operation, eni } => place.look_up(operation, EniFilter::ids([eni])),
        Call::Watch(id) => place.watch(&id),
        Call::HandOver(id) => {
            hand_over(context, &id, Some(key.name())).await?;
            controller.pools.change(key, |memory| memory.handed.insert(id));
        }
        Call::ListEnis => place.list(record.spec.node_metadata.instance_id.clone()),
    }
    Ok(())
}

/// What a call needs of the process, and whose it is.
struct Place {
    context: Arc<Context>,
    pools: Arc<Pools>,
    key: Key,
}

impl Place {
    /// Marks the operation as under way; false if it is already.
    fn take(&self, name: &str) -> bool {
        self.pools
            .change(&self.key, |memory| match memory.known.get_mut(name) {
                Some(known) if known.in_flight => false,
                Some(known) => {
                    known.in_flight = true;
                    true
                }
                None => {
                    let attempt = self.operation(name).map_or(0, |(_, operation)| operation.attempt);
                    let mut known = Known::inherited(attempt);
                    known.in_flight = true;
                    memory.known.insert(name.to_owned(), known);
                    true
                }
            })
    }

    /// The operation as it is recorded now.
    fn operation(&self, name: &str) -> Option<(Arc<NodeRecord>, Operation)> {
        let record = self.context.caches.node_records.get(&self.key)?;
        if record.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let operations = &record.status.as_ref()?.operations;
        let operation = operations
            .iter()
            .find(|operation| index(operation) == name)?
            .clone();
        Some((record, operation))
    }

    fn landed(&self, name: &str, change: impl FnOnce(&mut Known)) {
        self.pools.change(&self.key, |memory| {
            if let Some(known) = memory.known.get_mut(name) {
                known.in_flight = false;
                change(known);
            }
        });
        self.context.queues.nodes.add(self.key.clone());
    }

    fn send(self, name: String, action: Action, priority: Priority) {
        if !self.take(&name) {
            return;
        }
        let tracker = self.context.background.clone();
        tracker.spawn(async move {
            let grant = self.context.grant(action, priority, self.key.name()).await;
            let wanted = self
                .operation(&name)
                .filter(|(_, operation)| action_of(operation) == Some(action));
            match wanted {
                Some((record, operation)) => self.call(&name, &record, &operation, grant).await,
                None => self.landed(&name, |_| {}),
            }
        });
    }

    async fn call(&self, name: &str, record: &NodeRecord, operation: &Operation, grant: Grant) {
        let before = self.pools.change(&self.key, |memory| {
            let known = memory
                .known
                .entry(name.to_owned())
                .or_insert_with(|| Known::inherited(operation.attempt));
            let before = known.clone();
            known.sending();
            before
        });
        if creates(operation) {
            self.create(name, record, operation, grant, &before).await;
        } else {
            let result = self.mutate(record, operation, grant).await;
            self.replied(name, operation, result, &before);
        }
        self.pools
            .change(&self.key, |memory| memory.changed = Some(Timestamp::now()));
    }

    async fn create(
        &self,
        name: &str,
        record: &NodeRecord,
        operation: &Operation,
        grant: Grant,
        before: &Known,
    ) {
        let Some(parameters) = &operation.parameters else {
            self.landed(name, |_| {});
            return;
        };
        let trunk = operation.kind == OperationKind::CreateTrunk;
        let request = crate::requests::create(parameters, &intent(record, operation), trunk);
        let result = self
            .context
            .cloud
            .create_network_interface(grant.permit, &request)
            .await;
        match answer(result) {
            Ok((answer, error)) => {
                self.account(&operation.vswitch_id, &answer);
                self.landed(name, |known| {
                    known.evidence.answered(answer);
                    known.not_before = error.as_ref().and_then(pause);
                });
            }
            Err(error) => self.landed(name, |known| *known = not_sent(before, &error)),
        }
    }

    fn account(&self, vswitch: &str, answer: &Answer) {
        match answer {
            Answer::Created(eni) => {
                let count = i64::try_from(eni.private_ips.len()).unwrap_or(1);
                self.context.vswitches.used(vswitch, count);
            }
            Answer::Refused(refusal) if refusal.vswitch_exhausted => {
                self.context.vswitches.exhausted(vswitch)
            }
            Answer::Refused(_) | Answer::Unknown | Answer::Throttled | Answer::TokenReused => {}
        }
    }

    async fn mutate(
        &self,
        record: &NodeRecord,
        operation: &Operation,
        grant: Grant,
    ) -> Result<Reply, CloudError> {
        let cloud = &self.context.cloud;
        let eni_id = operation.eni_id.clone();
        match operation.kind {
            OperationKind::AssignIps => {
                let request = AssignIps {
                    eni_id,
                    addresses: Addresses::count(Family::V4, u32::try_from(operation.count).unwrap_or(0)),
                    client_token: intent(record, operation).client_token(),
                };
                let assigned = cloud.assign_addresses(grant.permit, &request).await?;
                Ok(Reply::Assigned(assigned.addresses))
            }
            OperationKind::UnassignIps => {
                let addresses = operation.addresses.iter();
                let addresses = addresses.filter_map(|ip| parse_any_address("addresses", ip).ok());
                let request = UnassignIps {
                    eni_id,
                    addresses: Addresses::listed(Family::V4, addresses),
                };
                cloud.unassign_addresses(grant.permit, &request).await?;
                Ok(Reply::Accepted)
            }
            _ => {
                let request = AttachEni {
                    eni_id,
                    instance_id: record.spec.node_metadata.instance_id.clone(),
                    ..AttachEni::default()
                };
                cloud.attach_network_interface(grant.permit, &request).await?;
                Ok(Reply::Accepted)
            }
        }
    }

    fn replied(&self, name: &str, operation: &Operation, result: Result<Reply, CloudError>, before: &Known) {
        let vswitches = &self.context.vswitches;
        let count = |addresses: usize| i64::try_from(addresses).unwrap_or(0);
        let (reply, again) = match result {
            Ok(reply) => (reply, None),
            Err(error) if error.was_not_sent() => {
                self.landed(name, |known| *known = not_sent(before, &error));
                return;
            }
            Err(error) => (reply_to(&error), pause(&error)),
        };
        match &reply {
            Reply::Assigned(addresses) => vswitches.used(&operation.vswitch_id, count(addresses.len())),
            Reply::Accepted if operation.kind == OperationKind::UnassignIps => {
                vswitches.used(&operation.vswitch_id, -count(operation.addresses.len()));
            }
            Reply::Refused(refused) if refused.refusal.vswitch_exhausted => {
                vswitches.exhausted(&operation.vswitch_id);
            }
            _ => {}
        }
        if attaches(operation) && matches!(reply, Reply::Accepted | Reply::Unknown) {
            // The change begins now: the poller asks when such a change has usually happened.
            self.note_watch(&operation.eni_id);
            self.context.expect(&operation.eni_id, Expect::Attached);
        }
        self.landed(name, |known| {
            known.replied(reply, Timestamp::now());
            known.not_before = again;
        });
    }

    fn note_watch(&self, id: &str) -> bool {
        self.context.trunks.lock().insert(id.to_owned(), self.key.clone());
        self.pools
            .change(&self.key, |memory| memory.watched.insert(id.to_owned()))
    }

    /// An ENI of which nobody knows how far it is: the poller asks at once.
    fn watch(&self, id: &str) {
        if self.note_watch(id) {
            self.context.look(id, Expect::Attached);
        }
    }

    fn look_up(self, name: String, filter: EniFilter) {
        if !self.take(&name) {
            return;
        }
        let tracker = self.context.background.clone();
        tracker.spawn(async move {
            match self.context.cloud.describe_network_interfaces(&filter).await {
                Ok(found) => {
                    let found: Option<CloudEni> = found.into_iter().next();
                    let lookup = Lookup {
                        at: Timestamp::now(),
                        found: found.map(Box::new),
                    };
                    self.landed(&name, |known| known.evidence.lookups.push(lookup));
                }
                Err(error) => {
                    warn!(node = %self.key, error = &error as &dyn std::error::Error, "an ENI was not looked up");
                    let again = Timestamp::now() + error.retry().pace().first;
                    self.landed(&name, |known| known.not_before = Some(again));
                }
            }
        });
    }

    fn list(self, instance_id: String) {
        let began = self
            .pools
            .change(&self.key, |memory| !std::mem::replace(&mut memory.listing, true));
        if !began {
            return;
        }
        let tracker = self.context.background.clone();
        tracker.spawn(async move {
            let filter = EniFilter {
                instance_id: Some(instance_id),
                ..EniFilter::default()
            };
            let asked = Timestamp::now();
            let found = self.context.cloud.describe_network_interfaces(&filter).await;
            let again = self.pools.change(&self.key, |memory| {
                memory.listing = false;
                match found {
                    Ok(enis) => {
                        memory.inventory = Some(Inventory { asked, enis });
                        None
                    }
                    Err(error) => Some(error),
                }
            });
            match again {
                None => self.context.queues.nodes.add(self.key.clone()),
                Some(error) => {
                    warn!(node = %self.key, error = &error as &dyn std::error::Error, "the node's ENIs were not listed");
                    let delay = error.retry().pace().first;
                    self.context.queues.nodes.add_after(self.key.clone(), delay);
                }
            }
        });
    }
}

/// The action that an operation is done by.
fn action_of(operation: &Operation) -> Option<Action> {
    match operation.kind {
        OperationKind::CreateEni | OperationKind::CreateTrunk => Some(Action::CreateNetworkInterface),
        OperationKind::AttachEni | OperationKind::AttachTrunk => Some(Action::AttachNetworkInterface),
        OperationKind::AssignIps => Some(Action::AssignPrivateIpAddresses),
        OperationKind::UnassignIps => Some(Action::UnassignPrivateIpAddresses),
        OperationKind::Other(_) => None,
    }
}
