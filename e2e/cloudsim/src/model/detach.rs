//! DetachNetworkInterface and DeleteNetworkInterface. The calls are accepted at once and complete later.

use jiff::Timestamp;

use super::attach::{not_found, wrong_state};
use super::error::{self, ApiError};
use super::{Cloud, Completion, EniKind, EniStatus};

/// Parameters of DetachNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetachEni {
    pub eni_id: String,
    pub instance_id: String,
    pub trunk_eni_id: Option<String>,
}

/// Parameters of DeleteNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteEni {
    pub eni_id: String,
}

impl Cloud {
    /// Accepts a detach, or refuses it.
    pub fn detach_network_interface(
        &mut self,
        request: &DetachEni,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let eni = self.known_eni(&request.eni_id)?;
        self.known_instance(&request.instance_id)?;
        if eni.kind == EniKind::Primary {
            return Err(error::DETACH_PRIMARY.because("A primary ENI cannot be detached."));
        }
        let here = eni
            .instance()
            .is_some_and(|holder| **holder == *request.instance_id);
        let on_trunk = request
            .trunk_eni_id
            .as_ref()
            .is_none_or(|trunk| eni.trunk().is_some_and(|holder| **holder == **trunk));
        let carries_members = self.enis.of_trunk(&eni.id).next().is_some();
        if eni.status != EniStatus::InUse || !here || !on_trunk || carries_members {
            return Err(wrong_state(eni));
        }
        self.begin(&request.eni_id, EniStatus::Detaching, completion, now)
    }

    /// Accepts a delete, or refuses it.
    pub fn delete_network_interface(
        &mut self,
        request: &DeleteEni,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let eni = self.known_eni(&request.eni_id)?;
        if eni.status != EniStatus::Available {
            return Err(wrong_state(eni));
        }
        self.begin(&request.eni_id, EniStatus::Deleting, completion, now)
    }

    fn begin(
        &mut self,
        id: &str,
        status: EniStatus,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let id = self
            .enis
            .update(id, |eni| {
                eni.status = status;
                eni.id.clone()
            })
            .ok_or_else(|| not_found(id))?;
        self.complete_later(id, completion, now);
        Ok(())
    }
}
