//! The calls about whole ENIs.

use terway_core::cloud::CloudEni;

use crate::action::Action;
use crate::answers;
use crate::client::Cloud;
use crate::error::CloudError;
use crate::limits::{Permit, Priority};
use crate::lists::{Listing, unreadable};
use crate::requests::{AttachEni, CreateEni, DeleteEni, DetachEni, EniFilter, MAX_IDS_PER_DESCRIBE};
use crate::transport::Transport;

impl Cloud {
    /// Creates an ENI. The ENI exists when this returns (ECS API page CreateNetworkInterface: the call is synchronous).
    pub async fn create_network_interface(
        &self,
        permit: Permit,
        request: &CreateEni,
    ) -> Result<CloudEni, CloudError> {
        let action = Action::CreateNetworkInterface;
        let object = format!("vSwitch {}", request.vswitch_id);
        let body = self
            .transport
            .call(action, &object, permit, request.params())
            .await?;
        answers::created_eni(&body).map_err(|error| unreadable(action, &object, &body, error))
    }

    /// Requests an attachment. The poller tells when it is done.
    pub async fn attach_network_interface(
        &self,
        permit: Permit,
        request: &AttachEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {} to instance {}", request.eni_id, request.instance_id);
        self.transport
            .call(Action::AttachNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Requests a detachment. The poller tells when it is done.
    pub async fn detach_network_interface(
        &self,
        permit: Permit,
        request: &DetachEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {} from instance {}", request.eni_id, request.instance_id);
        self.transport
            .call(Action::DetachNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Requests a deletion. The poller tells when it is done.
    pub async fn delete_network_interface(
        &self,
        permit: Permit,
        request: &DeleteEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {}", request.eni_id);
        self.transport
            .call(Action::DeleteNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Lists every ENI that matches, over all pages. It takes its own permits.
    pub async fn describe_network_interfaces(&self, filter: &EniFilter) -> Result<Vec<CloudEni>, CloudError> {
        self.transport.describe_enis(filter, Priority::Read).await
    }

    /// As `describe_network_interfaces`, for a list that is too long for memory. Only the ENIs for which `keep` is true
    /// are kept after their page.
    pub async fn select_network_interfaces(
        &self,
        filter: &EniFilter,
        keep: impl Fn(&CloudEni) -> bool,
    ) -> Result<Vec<CloudEni>, CloudError> {
        self.transport.select_enis(filter, Priority::Read, keep).await
    }
}

impl Transport {
    /// Lists every ENI that matches.
    pub(crate) async fn describe_enis(
        &self,
        filter: &EniFilter,
        priority: Priority,
    ) -> Result<Vec<CloudEni>, CloudError> {
        self.select_enis(filter, priority, |_| true).await
    }

    /// Lists the matching ENIs for which `keep` is true. An error in one page is an error of the whole list.
    async fn select_enis(
        &self,
        filter: &EniFilter,
        priority: Priority,
        keep: impl Fn(&CloudEni) -> bool,
    ) -> Result<Vec<CloudEni>, CloudError> {
        let mut chunks: Vec<&[String]> = filter.ids.chunks(MAX_IDS_PER_DESCRIBE).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let mut kept = Vec::new();
        for ids in chunks {
            let object = match ids {
                [] => "ENIs".to_owned(),
                [id] => format!("ENI {id}"),
                _ => format!("{} ENIs", ids.len()),
            };
            let list = Listing {
                action: Action::DescribeNetworkInterfaces,
                object: &object,
                params: filter.params(ids, ""),
            };
            self.pages(list, priority, answers::enis, |page| {
                kept.extend(page.into_iter().filter(&keep));
            })
            .await?;
        }
        Ok(kept)
    }
}
