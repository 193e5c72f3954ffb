//! The admission webhook: `/mutating` writes networks into pods and defaults into PodNetworkings, `/validate` refuses
//! PodNetworkings that could not work.
//!
//! Every replica serves the webhook from its own caches. If a read fails, the object is refused with a sentence,
//! because otherwise a pod could get another network than its author requested.

mod decision;
mod namespaces;
mod podnetworkings;
mod pods;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use kube::Client;
use terway_core::eni_config::{ConfigProblem, EniConfig};
use terway_core::webhook::{PodNetworkingRules, PodSettings};
use terway_crds::names::object;

use crate::config::Settings;
use crate::objects::Caches;
use crate::runtime::Key;

pub use server::{ServeError, bind, serve};

/// The parts that a review needs.
pub struct Webhook {
    client: Client,
    caches: Caches,
    pods: PodSettings,
    rules: PodNetworkingRules,
    /// Whether the times of reviews are noted for traces.
    traced: bool,
}

impl Webhook {
    /// A webhook that reads from these caches.
    pub fn new(client: Client, caches: Caches, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            client,
            caches,
            pods: PodSettings {
                enable_trunk: settings.enable_trunk,
                inject_resources: settings.enable_webhook_inject_resource,
                every_pod: settings.every_pod_has_eni,
                stateful_kinds: settings.custom_stateful_workload_kinds.clone(),
            },
            rules: PodNetworkingRules {
                min_release_after: settings.min_release_after,
                inject_resources: settings.enable_webhook_inject_resource,
            },
            traced: settings.enable_trace,
        })
    }

    /// The cluster's eni-config; `None` if there is none.
    fn defaults(&self) -> Result<Option<EniConfig>, ConfigProblem> {
        let key = Key::namespaced(object::NAMESPACE, object::ENI_CONFIG);
        let config = self.caches.eni_config.get(&key);
        let text = config
            .as_ref()
            .and_then(|config| config.data.as_ref()?.get(object::ENI_CONFIG_KEY));
        text.map(|text| EniConfig::parse(text, None)).transpose()
    }
}
