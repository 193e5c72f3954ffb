//! Completion of asynchronous actions.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Change, Cloud, Completion, EniKind, EniStatus};

impl Cloud {
    /// Completes all actions that are due at `now`.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.due.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let id = entry.remove();
            self.enis.now = at;
            self.settle(&id);
        }
        self.enis.now = now;
    }

    /// When the next action completes.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Completes the pending transition of an ENI or a reserved block, due or stuck. Returns whether there was one.
    pub fn settle(&mut self, id: &str) -> bool {
        if let Some(key) = self.pending.remove(id) {
            self.due.remove(&key);
        }
        match self.enis.get(id).map(|eni| eni.status) {
            Some(EniStatus::Attaching) => self.finish_attach(id),
            Some(EniStatus::Detaching) => self.finish_detach(id),
            Some(EniStatus::Deleting) => self.finish_delete(id),
            Some(EniStatus::Available | EniStatus::InUse) => false,
            None => self.settle_reservation(id),
        }
    }

    pub(super) fn complete_later(&mut self, id: Arc<str>, completion: Completion, now: Timestamp) {
        match completion {
            Completion::Never => {}
            Completion::After(span) if span.is_zero() => {
                self.settle(&id);
            }
            Completion::After(span) => {
                self.last_due += 1;
                let key = (now + span, self.last_due);
                self.pending.insert(id.clone(), key);
                self.due.insert(key, id);
            }
        }
    }

    fn finish_attach(&mut self, id: &str) -> bool {
        let attached = self.enis.update(id, |eni| {
            eni.status = EniStatus::InUse;
            eni.clone()
        });
        if let Some(eni) = attached {
            self.note(|| Change::Attached(eni));
        }
        true
    }

    /// Frees an ENI from its instance. A trunk takes its members along.
    pub(super) fn finish_detach(&mut self, id: &str) -> bool {
        let members: Vec<Arc<str>> = self.enis.of_trunk(id).map(|member| member.id.clone()).collect();
        for member in members {
            self.finish_detach(&member);
        }
        if let Some(key) = self.pending.remove(id) {
            self.due.remove(&key);
        }
        let left = self.enis.update(id, |eni| {
            eni.status = EniStatus::Available;
            if eni.kind == EniKind::Member {
                eni.kind = EniKind::Secondary;
            }
            eni.attachment
                .take()
                .map(|attachment| (eni.id.clone(), attachment.instance_id))
        });
        if let Some(Some((eni_id, instance_id))) = left {
            self.note(|| Change::Detached { eni_id, instance_id });
        }
        true
    }

    pub(super) fn finish_delete(&mut self, id: &str) -> bool {
        let Some(eni) = self.enis.remove(id) else {
            return false;
        };
        if let Some(key) = self.pending.remove(id) {
            self.due.remove(&key);
        }
        if let Some(vswitch) = self.vswitches.get_mut(&*eni.vswitch_id) {
            vswitch.space.release(eni.primary_ip);
            vswitch.space.give_back(&eni.secondary_ips, &eni.ipv4_prefixes);
            if let Some(ipv6) = &mut vswitch.ipv6 {
                ipv6.give_back(&eni.ipv6_addresses, &eni.ipv6_prefixes);
            }
        }
        if let Some(attachment) = eni.attachment {
            self.note(|| Change::Detached {
                eni_id: eni.id,
                instance_id: attachment.instance_id,
            });
        }
        true
    }
}
