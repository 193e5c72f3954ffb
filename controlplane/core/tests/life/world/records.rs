//! The PodENI controller's part: does what its plan says.

use super::*;

impl World {
    pub(super) fn run_pod_enis(&mut self) {
        let Some(record) = self.record.clone() else { return };
        let uid = record.metadata.uid.clone().expect("a uid");
        let interfaces: Vec<_> = record
            .spec
            .allocations
            .iter()
            .map(|a| self.interfaces.get(&a.eni.id).cloned().map(Arc::new))
            .collect();
        let evidence: Vec<_> = record
            .spec
            .allocations
            .iter()
            .enumerate()
            .map(|(index, allocation)| {
                let attempt = allocation.creation.as_ref().map_or(0, |c| c.attempt);
                let known = self.evidence.get(&(uid.clone(), index.to_string()));
                known
                    .filter(|e| e.attempt == attempt)
                    .cloned()
                    .unwrap_or(Evidence::inherited(attempt))
            })
            .collect();
        let node = self.node(pe::node_name(&record));
        let observed = pe::Observed {
            record: &record,
            interfaces: &interfaces,
            pod: self.pod_state(&record),
            started: self.used_by.values().any(|uid| uid == pe::pod_uid(&record)),
            node: node.as_ref(),
            evidence: &evidence,
            quiet_since: self.term_since,
            now: self.now,
            limits: &Limits::default(),
            degradation: terway_core::degradation::Degradation::None,
        };
        let plan = pe::plan(&observed);
        match plan.steps.into_iter().next() {
            Some(step) => self.do_record_step(record, &uid, &evidence, step),
            None => {
                if let Some(status) = pe::waiting(&record, &plan.wait, self.now) {
                    self.record.as_mut().expect("the record").status = Some(status);
                }
            }
        }
    }

    fn do_record_step(&mut self, mut record: PodEni, uid: &str, evidence: &[Evidence], step: pe::Step) {
        let key = |index: usize| (uid.to_owned(), index.to_string());
        match step {
            pe::Step::Create { index } => {
                let mut evidence = evidence[index].clone();
                evidence.sending();
                let id = pe::intent_id(&record, index).expect("an intent");
                let eni = self.create(&id.client_token(), key(index));
                let lost = std::mem::take(&mut self.lose_reply);
                let reply = match lost {
                    true => Reply::Unknown,
                    false => Reply::Created(Box::new(eni)),
                };
                evidence.replied(reply, self.now, None);
                self.evidence.insert(key(index), evidence);
                return;
            }
            pe::Step::LookUpByTag { index } | pe::Step::LookUpById { index, .. } => {
                let id = pe::intent_id(&record, index).expect("an intent");
                let found = self
                    .tokens
                    .get(&id.client_token())
                    .and_then(|id| self.cloud.get(id));
                let mut evidence = evidence[index].clone();
                evidence.lookups.push(Lookup {
                    at: self.now,
                    found: found.cloned().map(Box::new),
                });
                self.evidence.insert(key(index), evidence);
                return;
            }
            pe::Step::Record {
                index,
                eni,
                attach_to,
            } => {
                let allocation = pe::with_eni(&record.spec.allocations[index], &eni, None);
                self.make_interface(ni::build(&record, &allocation, attach_to));
                if std::mem::take(&mut self.delete_in_recording) {
                    delete(&mut self.record, self.now);
                    return;
                }
                record.spec.allocations[index] = allocation;
            }
            pe::Step::MakeInterface { index, attach_to } => {
                self.make_interface(ni::build(&record, &record.spec.allocations[index], attach_to));
            }
            pe::Step::NextAttempt { index, refused } => {
                let next =
                    pe::next_attempt(&record.spec.allocations[index], None, refused.as_ref(), self.now);
                let attempt = next.creation.as_ref().map_or(0, |c| c.attempt);
                record.spec.allocations[index] = next;
                self.evidence.insert(key(index), Evidence::fresh(attempt));
            }
            pe::Step::Replace { index } => {
                let lost = record.spec.allocations[index].eni.id.clone();
                record.spec.allocations[index] = pe::replaced(&record.spec.allocations[index], self.now);
                if let Some(interface) = self.interfaces.get_mut(&lost) {
                    interface
                        .metadata
                        .deletion_timestamp
                        .get_or_insert(Time(self.now));
                }
            }
            pe::Step::SetTarget { index, attach_to } => {
                let id = &record.spec.allocations[index].eni.id;
                self.interfaces.get_mut(id).expect("an interface").spec.attach_to = attach_to;
            }
            pe::Step::DeleteInterface { index } => {
                let id = &record.spec.allocations[index].eni.id;
                let interface = self.interfaces.get_mut(id).expect("an interface");
                interface
                    .metadata
                    .deletion_timestamp
                    .get_or_insert(Time(self.now));
            }
            pe::Step::SetStatus(status) => record.status = Some(*status),
            pe::Step::DeleteRecord => record.metadata.deletion_timestamp = Some(Time(self.now)),
            pe::Step::DropFinalizers => {
                self.record = None;
                return;
            }
        }
        self.record = Some(record);
    }

    fn make_interface(&mut self, mut interface: NetworkInterface) {
        interface.metadata.generation = Some(1);
        let id = interface.metadata.name.clone().expect("a name");
        if !self.interfaces.contains_key(&id) {
            self.made_here.insert(id.clone());
            self.interfaces.insert(id, interface);
        }
    }
}
