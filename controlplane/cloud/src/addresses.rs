//! Calls about the addresses of an ENI.

use crate::action::Action;
use crate::answers::{self, AssignedIps};
use crate::client::Cloud;
use crate::error::CloudError;
use crate::limits::Permit;
use crate::lists::unreadable;
use crate::requests::{AssignIps, UnassignIps};

impl Cloud {
    /// Gives an ENI secondary private addresses of one family. The ENI has them when this returns; a Describe
    /// may show them later.
    pub async fn assign_addresses(
        &self,
        permit: Permit,
        request: &AssignIps,
    ) -> Result<AssignedIps, CloudError> {
        let family = request.addresses.family;
        let action = Action::assign(family);
        let object = format!("ENI {}", request.eni_id);
        let body = self
            .transport
            .call(action, &object, permit, request.params())
            .await?;
        answers::assigned_ips(family, &body).map_err(|error| unreadable(action, &object, &body, error))
    }

    /// Takes secondary private addresses of one family from an ENI. An error of class `NotFound` says that the
    /// addresses or the ENI are gone already.
    pub async fn unassign_addresses(&self, permit: Permit, request: &UnassignIps) -> Result<(), CloudError> {
        let object = format!("ENI {}", request.eni_id);
        let action = Action::unassign(request.addresses.family);
        self.transport
            .call(action, &object, permit, request.params())
            .await?;
        Ok(())
    }
}
