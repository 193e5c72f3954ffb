//! What is known of a node.

use std::sync::Arc;

use terway_core::intent::own_tags;
use terway_core::node::{EniSettings, NodeFacts};
use terway_core::webhook::NetworkDefaults;
use terway_crds::names::object;

use crate::context::Context;
use crate::objects::NodeRecord;
use crate::runtime::Key;

/// A Kubernetes node and the Node object of its name.
pub struct Seen {
    pub node: Option<Arc<NodeFacts>>,
    pub record: Option<Arc<NodeRecord>>,
}

/// Reads the caches.
pub fn observe(context: &Context, key: &Key) -> Seen {
    Seen {
        node: context.caches.nodes.get(key),
        record: context.caches.node_records.get(key),
    }
}

/// Settings for a new trunk in `zone`, as eni-config says now; otherwise the sentence that names
/// what is missing.
pub fn eni_settings(context: &Context, zone: &str) -> Result<EniSettings, String> {
    let place = format!("ConfigMap {}/{}", object::NAMESPACE, object::ENI_CONFIG);
    let key = Key::namespaced(object::NAMESPACE, object::ENI_CONFIG);
    let map = context.caches.eni_config.get(&key).ok_or_else(|| {
        format!(
            "{place} does not exist: create it with vswitches and security_groups in {}",
            object::ENI_CONFIG_KEY
        )
    })?;
    let text = map
        .data
        .as_ref()
        .and_then(|data| data.get(object::ENI_CONFIG_KEY))
        .ok_or_else(|| format!("{place} has no key {}", object::ENI_CONFIG_KEY))?;
    let defaults = NetworkDefaults::parse(text).map_err(|error| crate::error::chain(&error))?;
    let vswitch_id = defaults
        .vswitches
        .get(zone)
        .and_then(|ids| ids.first())
        .cloned()
        .ok_or_else(|| {
            format!(
                "{place} names no vSwitch for zone {zone}: add one to vswitches in {}",
                object::ENI_CONFIG_KEY
            )
        })?;
    if defaults.security_groups.is_empty() {
        return Err(format!(
            "{place} names no security group: set security_groups in {}",
            object::ENI_CONFIG_KEY
        ));
    }
    Ok(EniSettings {
        vswitch_id,
        security_group_ids: defaults.security_groups,
        resource_group_id: String::new(),
        tags: own_tags(&context.settings.pods.cluster_id),
    })
}
