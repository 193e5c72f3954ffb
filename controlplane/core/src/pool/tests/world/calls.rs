//! What becomes of the calls that a plan makes: the cloud acts, and the process learns what it answers.

use terway_crds::{Operation, OperationKind};

use super::{Fate, World};
use crate::binding;
use crate::cloud::{CloudEni, ErrorClass};
use crate::intent::{Lookup, Refused, Reply};
use crate::pool::*;

impl World {
    fn operation(&self, name: &str) -> Operation {
        let status = self.status();
        let found = status
            .operations
            .iter()
            .find(|operation| index(operation) == name);
        found.cloned().expect("a call is made for a recorded operation")
    }

    pub(super) fn call(&mut self, call: Call) {
        match call {
            Call::Watch(id) => {
                self.watched.insert(id);
            }
            Call::HandOver(id) => {
                let nic = &self.status().network_interfaces[&id];
                assert_eq!(binding::bound_count(nic), 0, "an ENI with pods is given back");
                self.handed.insert(id.clone());
                self.made.remove(&id);
                self.leaving.insert(id);
            }
            Call::ListEnis => {
                self.lists += 1;
                let here = |eni: &&CloudEni| eni.instance_id.is_some();
                let enis = self.cloud.enis.values().filter(here).cloned().collect();
                self.inventory = Some(Inventory {
                    asked: self.now,
                    enis,
                });
            }
            Call::LookUpByTag(name) => {
                let tag = intent(&self.record, &self.operation(&name)).client_token();
                let found = self
                    .cloud
                    .made
                    .get(&tag)
                    .and_then(|id| self.cloud.enis.get(id))
                    .cloned();
                self.looked(&name, found);
            }
            Call::LookUp { operation, eni } => {
                let found = self.cloud.enis.get(&eni).cloned();
                self.looked(&operation, found);
            }
            Call::Create(name) | Call::Attach(name) | Call::Assign(name) | Call::Unassign(name) => {
                self.mutate(&name);
            }
        }
    }

    fn looked(&mut self, name: &str, found: Option<CloudEni>) {
        let attempt = self.operation(name).attempt;
        let known = self
            .known
            .entry(name.to_owned())
            .or_insert_with(|| Evidence::inherited(attempt));
        known.looked_up(Lookup {
            at: self.now,
            found: found.map(Box::new),
        });
    }

    fn mutate(&mut self, name: &str) {
        let operation = self.operation(name);
        let fate = self.fates.pop_front().unwrap_or(Fate::Done);
        self.quiet_since = self.now;
        let record = self.record.clone();
        let known = self
            .known
            .entry(name.to_owned())
            .or_insert_with(|| Evidence::inherited(operation.attempt));
        known.sending();
        let refused = |class| {
            Reply::Refused(Refused {
                class,
                code: "Code".into(),
                message: "words".into(),
                request_id: String::new(),
            })
        };
        let reply = match fate {
            Fate::Lost => Reply::Unknown,
            Fate::Throttled => Reply::Busy,
            Fate::Refused => refused(ErrorClass::Invalid),
            Fate::Done | Fate::DoneLost => {
                let token = intent(&record, &operation).client_token();
                match self.cloud.act(&operation, &token) {
                    Ok(_) if fate == Fate::DoneLost => Reply::Unknown,
                    Ok(addresses) if operation.kind == OperationKind::AssignIps => Reply::Assigned(addresses),
                    Ok(_) => Reply::Accepted,
                    Err(class) => refused(class),
                }
            }
        };
        let made = self.cloud.made.get(&intent(&record, &operation).client_token());
        let reply = match (reply, made) {
            (Reply::Accepted, Some(made)) if creates(&operation) => {
                Reply::Created(Box::new(self.cloud.enis[made].clone()))
            }
            (reply, _) => reply,
        };
        known.replied(reply, self.now, None);
        if attaches(&operation) {
            self.watched.insert(operation.eni_id);
        }
        self.look();
    }
}
