//! ModifyNetworkInterfaceAttribute. A change takes effect at once.

use super::attach::wrong_state;
use super::error::{self, ApiError};
use super::{Cloud, Eni, EniKind, EniStatus, InstanceStatus};

/// Parameters of ModifyNetworkInterfaceAttribute. An absent parameter changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModifyEni {
    pub eni_id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    /// The new groups, which replace all old ones. Empty: no change.
    pub security_group_ids: Vec<String>,
    pub delete_on_release: Option<bool>,
    pub source_dest_check: Option<bool>,
    pub queue_number: Option<u32>,
}

impl Cloud {
    /// Changes an ENI. A refusal changes nothing.
    pub fn modify_network_interface(&mut self, request: &ModifyEni) -> Result<(), ApiError> {
        let eni = self.known_eni(&request.eni_id)?;
        if eni.status == EniStatus::Deleting {
            return Err(wrong_state(eni));
        }
        if request.queue_number.is_some() && !self.may_change_queues(eni) {
            return Err(wrong_state(eni));
        }
        let groups = &request.security_group_ids;
        if !groups.is_empty() {
            if eni.kind == EniKind::Primary {
                return Err(error::ENI_TYPE.because(
                    "The security groups of a primary ENI are those of its instance and are changed there.",
                ));
            }
            let joined = |id: &str| match eni.security_group_ids.iter().any(|held| **held == *id) {
                true => 0,
                false => eni.addresses().count(),
            };
            self.check_groups(groups, &eni.vpc_id.clone(), joined)?;
        }
        self.alter(&request.eni_id, |eni| {
            if !groups.is_empty() {
                eni.security_group_ids = groups.iter().map(|id| id.as_str().into()).collect();
            }
            replace(&mut eni.name, &request.name);
            replace(&mut eni.description, &request.description);
            replace(&mut eni.delete_on_release, &request.delete_on_release);
            replace(&mut eni.source_dest_check, &request.source_dest_check);
            eni.queue_number = request.queue_number.or(eni.queue_number);
        })
    }

    /// Whether the number of queues may change: the ENI is free, or its instance is stopped.
    fn may_change_queues(&self, eni: &Eni) -> bool {
        let instance = eni.instance().and_then(|id| self.instances.get(&**id));
        match eni.status {
            EniStatus::Available => true,
            EniStatus::InUse => instance.is_some_and(|instance| instance.status == InstanceStatus::Stopped),
            EniStatus::Attaching | EniStatus::Detaching | EniStatus::Deleting => false,
        }
    }
}

fn replace<T: Clone>(field: &mut T, wanted: &Option<T>) {
    if let Some(wanted) = wanted {
        field.clone_from(wanted);
    }
}
