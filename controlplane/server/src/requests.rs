//! Requests to the cloud, rebuilt from recorded intents.

use terway_cloud::{Addresses, CreateEni};
use terway_core::intent::IntentId;
use terway_crds::names::tag;
use terway_crds::{Family, RequestParameters};

/// The CreateNetworkInterface of one attempt: parameters as recorded, token and tag from the
/// attempt's identity. Nothing of the running configuration goes in.
pub fn create(parameters: &RequestParameters, id: &IntentId, trunk: bool) -> CreateEni {
    let mut tags = parameters.tags.clone();
    tags.insert(tag::INTENT.to_owned(), id.tag_value());
    CreateEni {
        vswitch_id: parameters.vswitch_id.clone(),
        security_group_ids: parameters.security_group_ids.clone(),
        trunk,
        traffic_mode: Some(parameters.traffic_mode.clone()).filter(|mode| !mode.is_empty()),
        resource_group_id: Some(parameters.resource_group_id.clone()).filter(|id| !id.is_empty()),
        description: parameters.description.clone(),
        addresses: Family::ALL
            .into_iter()
            .map(|family| Addresses::count(family, beside_primary(parameters, family)))
            .collect(),
        delete_on_release: Some(parameters.delete_on_release),
        tags,
        client_token: id.client_token(),
    }
}

/// Addresses to ask for. The cloud gives every ENI its primary IPv4 address unasked.
fn beside_primary(parameters: &RequestParameters, family: Family) -> u32 {
    let primary = family.choose(1, 0);
    u32::try_from(parameters.address_count(family).saturating_sub(primary)).unwrap_or(0)
}
