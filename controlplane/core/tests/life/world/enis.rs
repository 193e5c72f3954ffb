//! The NetworkInterface controller's part, and the cloud's.

use super::*;

impl World {
    pub(super) fn run_interfaces(&mut self) {
        for id in self.interfaces.keys().cloned().collect::<Vec<_>>() {
            let interface = self.interfaces[&id].clone();
            let mut memory = self.memory.get(&id).cloned().unwrap_or(History {
                made_here: self.made_here.contains(&id),
                ..History::default()
            });
            let seen = self.watched.contains(&id).then(|| {
                let eni = self.cloud.get(&id).cloned();
                eni.map_or(EniObservation::Absent, |eni| {
                    EniObservation::Present(Box::new(eni))
                })
            });
            match seen {
                Some(EniObservation::Absent) => {
                    memory.absent_since.get_or_insert(self.now);
                }
                _ => memory.absent_since = None,
            }
            self.memory.insert(id.clone(), memory.clone());
            let owner = self
                .record
                .as_ref()
                .filter(|record| ni::is_of(&interface, record));
            let living = owner.is_some_and(|record| self.pod_state(record) != PodState::Gone);
            let observed = ni::Observed {
                interface: &interface,
                holder: if living { Holder::Living } else { Holder::Gone },
                history: &memory,
                seen: seen.as_ref().map(|seen| (seen, self.now)),
                ours: self.made_here.contains(&id),
                cluster_id: "c",
                term: &self.term.to_string(),
                quiet_since: self.term_since,
                now: self.now,
                limits: &Limits::default(),
                degradation: terway_core::degradation::Degradation::None,
            };
            match ni::plan(&observed) {
                Ok(step) => self.do_interface_step(&id, interface, memory, step),
                Err(ni::Wait::Done) => self.settle_interface(&id),
                Err(ni::Wait::NotFound) => {
                    self.settle_interface(&id);
                    let not_found = true;
                    let history = History {
                        not_found,
                        ..History::default()
                    };
                    self.memory.insert(id.clone(), history);
                    if let Some(status) = ni::waiting(&interface, &ni::Wait::NotFound, self.now) {
                        self.interfaces.get_mut(&id).expect("it").status = Some(status);
                    }
                }
                Err(wait) => {
                    if let Some(status) = ni::waiting(&interface, &wait, self.now) {
                        self.interfaces.get_mut(&id).expect("it").status = Some(status);
                    }
                }
            }
        }
    }

    fn settle_interface(&mut self, id: &str) {
        self.memory.remove(id);
        self.made_here.remove(id);
        self.watched.remove(id);
    }

    fn do_interface_step(
        &mut self,
        id: &str,
        mut interface: NetworkInterface,
        mut memory: History,
        step: ni::Step,
    ) {
        match step {
            ni::Step::AdoptTarget(target) => interface.spec.attach_to = Some(target),
            ni::Step::Watch | ni::Step::LookAgain => {
                self.watched.insert(id.to_owned());
            }
            ni::Step::WriteTerm => interface.status = Some(ni::with_term(&interface, &self.term.to_string())),
            ni::Step::Attach(target) => {
                self.calls.push("Attach");
                if let Some(eni) = self.cloud.get_mut(id) {
                    assert_eq!(eni.status, EniStatus::Available, "attach of what is not free");
                    eni.status = EniStatus::Attaching;
                    eni.instance_id = Some(target.instance_id);
                    eni.trunk_eni_id = Some(target.trunk_eni_id);
                }
                memory.attach_sent = Some(self.now);
                self.watched.insert(id.to_owned());
            }
            ni::Step::Detach { instance_id, .. } => {
                self.calls.push("Detach");
                self.check_unused(id);
                match self.cloud.get_mut(id) {
                    Some(eni) if eni.status == EniStatus::InUse => {
                        assert_eq!(eni.instance_id.as_ref(), Some(&instance_id));
                        eni.status = EniStatus::Detaching;
                    }
                    // The cloud refuses. The ENI is looked at anew.
                    Some(_) if self.taken.contains(id) => {
                        self.watched.insert(id.to_owned());
                        self.memory.insert(id.to_owned(), History::default());
                        return;
                    }
                    Some(eni) => assert_eq!(eni.status, EniStatus::InUse, "detach of what is not attached"),
                    None => memory.not_found = true,
                }
                memory.detach_sent = Some(self.now);
                memory.attach_sent = None;
                self.watched.insert(id.to_owned());
            }
            ni::Step::Delete => {
                self.calls.push("Delete");
                self.check_unused(id);
                match self.cloud.get_mut(id) {
                    Some(eni) => {
                        assert_eq!(eni.status, EniStatus::Available, "delete of what is attached");
                        eni.status = EniStatus::Deleting;
                    }
                    None => memory.not_found = true,
                }
                memory.delete_sent = Some(self.now);
                self.watched.insert(id.to_owned());
            }
            ni::Step::WriteAttached(eni) => {
                let target = interface.spec.attach_to.clone().expect("a target");
                interface.status = Some(ni::attached(&interface, &target, &eni, self.now));
                self.interfaces.insert(id.to_owned(), interface);
                return self.settle_interface(id);
            }
            ni::Step::WriteDetached => {
                interface.status = Some(ni::detached(&interface, self.now));
                self.interfaces.insert(id.to_owned(), interface);
                return self.settle_interface(id);
            }
            ni::Step::WriteTornOff => interface.status = Some(ni::torn_off(&interface, self.now)),
            ni::Step::WriteLost => {
                interface.status = Some(ni::lost(&interface, self.now));
                self.watched.remove(id);
                memory = History {
                    not_found: true,
                    ..History::default()
                };
            }
            ni::Step::DropFinalizer => {
                assert!(
                    !self.cloud.contains_key(id),
                    "{id} was forgotten before it was gone"
                );
                self.interfaces.remove(id);
                return self.settle_interface(id);
            }
        }
        self.interfaces.insert(id.to_owned(), interface);
        self.memory.insert(id.to_owned(), memory);
    }

    /// Somebody takes an attached ENI away. The sweep finds the contradiction and has the poller look.
    pub(super) fn take_away(&mut self, deleted: bool) {
        let attached = |eni: &&mut CloudEni| eni.status == EniStatus::InUse;
        let Some(eni) = self.cloud.values_mut().find(attached) else {
            return;
        };
        let id = eni.id.clone();
        eni.status = EniStatus::Available;
        (eni.instance_id, eni.trunk_eni_id, eni.device_index) = (None, None, None);
        if deleted {
            self.cloud.remove(&id);
        }
        self.taken.insert(id.clone());
        self.watched.insert(id);
    }

    /// The sandbox that used the ENI last must be gone.
    fn check_unused(&self, id: &str) {
        let user = self.used_by.get(id);
        let lives = self
            .pod
            .as_ref()
            .is_some_and(|pod| !pod.exited && Some(&pod.uid) == user);
        assert!(!lives, "{id} is taken from a living pod");
    }

    pub(super) fn create(&mut self, token: &str, intent: (String, String)) -> CloudEni {
        self.calls.push("Create");
        let id = match self.tokens.get(token) {
            Some(id) => id.clone(),
            None => {
                let id = format!("eni-{}", self.tokens.len() + 1);
                self.tokens.insert(token.to_owned(), id.clone());
                self.made_for.insert(id.clone(), intent);
                self.cloud.insert(id.clone(), eni(&id));
                id
            }
        };
        // What the token made may be gone; the answer names it all the same.
        self.cloud.get(&id).cloned().unwrap_or_else(|| eni(&id))
    }

    pub(super) fn complete(&mut self) {
        let user = self.pod.as_ref().map(|pod| pod.uid.clone());
        let mut gone = Vec::new();
        for (id, eni) in &mut self.cloud {
            match eni.status {
                EniStatus::Attaching => {
                    eni.status = EniStatus::InUse;
                    eni.kind = EniKind::Member;
                    eni.device_index = Some(1);
                    // The pod for which it was attached may use it from now on.
                    let owner = self
                        .record
                        .as_ref()
                        .filter(|r| r.spec.allocations.iter().any(|a| a.eni.id == *id));
                    let user = user
                        .clone()
                        .filter(|uid| owner.is_some_and(|r| pe::pod_uid(r) == uid));
                    user.map(|uid| self.used_by.insert(id.clone(), uid));
                }
                EniStatus::Detaching => {
                    eni.status = EniStatus::Available;
                    (eni.instance_id, eni.trunk_eni_id, eni.device_index) = (None, None, None);
                    eni.kind = EniKind::Secondary;
                }
                EniStatus::Deleting => gone.push(id.clone()),
                _ => {}
            }
        }
        for id in gone {
            self.cloud.remove(&id);
        }
    }
}
