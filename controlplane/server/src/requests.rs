//! Requests to the cloud, rebuilt from recorded intents.

use terway_cloud::{Addresses, CreateEni};
use terway_core::intent::IntentId;
use terway_crds::RequestParameters;
use terway_crds::names::tag;

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
        // The primary address comes by itself.
        secondary_ips: u32::try_from(parameters.ipv4_count - 1)
            .ok()
            .filter(|count| *count > 0)
            .map(Addresses::Count),
        ipv6_count: u32::try_from(parameters.ipv6_count).unwrap_or(0),
        delete_on_release: Some(parameters.delete_on_release),
        tags,
        client_token: id.client_token(),
    }
}
