//! Calls about the addresses of an ENI.

use crate::action::Action;
use crate::answers::{self, AssignedIps};
use crate::client::Cloud;
use crate::error::CloudError;
use crate::limits::Permit;
use crate::lists::unreadable;
use crate::requests::{AssignIps, UnassignIps};

impl Cloud {
    /// Gives an ENI secondary private IPv4 addresses; they are there when this returns, though a Describe
    /// may show them later.
    pub async fn assign_private_ip_addresses(
        &self,
        permit: Permit,
        request: &AssignIps,
    ) -> Result<AssignedIps, CloudError> {
        let action = Action::AssignPrivateIpAddresses;
        let object = format!("ENI {}", request.eni_id);
        let body = self
            .transport
            .call(action, &object, permit, request.params())
            .await?;
        answers::assigned_ips(&body).map_err(|error| unreadable(action, &object, &body, error))
    }

    /// Takes secondary private IPv4 addresses from an ENI. An error of class `NotFound` says that they, or
    /// the ENI, are gone already.
    pub async fn unassign_private_ip_addresses(
        &self,
        permit: Permit,
        request: &UnassignIps,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {}", request.eni_id);
        self.transport
            .call(
                Action::UnassignPrivateIpAddresses,
                &object,
                permit,
                request.params(),
            )
            .await?;
        Ok(())
    }
}
