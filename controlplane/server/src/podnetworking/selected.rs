//! Finds the pods that a PodNetworking selects and that have no networks.
//!
//! The cache of pods holds no labels, because a cluster has a hundred thousand pods. When a PodNetworking becomes
//! Ready, the API server is asked for the metadata of the selected pods. Pods that come later are noted by the watch.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, ResourceExt};
use terway_core::meta::controlling_owner;
use terway_core::podnetworking::{concerned, is_excluded, lacks_networks};
use terway_crds::PodNetworking;

use super::PodNetworkingController;
use super::workloads::listing;
use crate::error::ReconcileError;
use crate::runtime::Key;

/// Number of pods of a page.
const PAGE: u32 = 500;

/// Pods that a PodNetworking selects and that have no networks.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Owners of the pods that are passed over, with the namespace, each once.
    pub passed_over: Vec<(OwnerReference, String)>,
    /// `namespace/name` of the pods that should have a network, sorted.
    pub unserved: Vec<String>,
}

impl PodNetworkingController {
    /// The pods of a PodNetworking. `serves`: pods that are created now get its network.
    pub(super) async fn selected(
        &self,
        networking: &PodNetworking,
        serves: bool,
    ) -> Result<Selected, ReconcileError> {
        let key = Key::of(networking);
        let fixed = networking.spec.allocation_type.is_fixed();
        if networking.spec.selector.is_empty() || !(serves || fixed) {
            self.caches.unserved.forget(&key);
            return Ok(Selected::default());
        }
        let generation = networking.metadata.generation.unwrap_or_default();
        // Owners are read anew, because the watch brings pods without their owners.
        let passes_over = fixed && self.living(&key).iter().any(|pod| !pod.fixed_name);
        let mut owners = BTreeMap::new();
        if passes_over || !self.caches.unserved.was_compared(&key, generation) {
            let pods = self.list(networking, &mut owners).await?;
            let compared = serves.then_some(generation);
            self.caches.unserved.found(&key, compared, pods);
        }
        let mut unserved = BTreeSet::new();
        for pod in self.living(&key) {
            if serves && (pod.fixed_name || !fixed) {
                unserved.insert(format!("{}/{}", pod.namespace, pod.name));
            }
        }
        Ok(Selected {
            passed_over: owners.into_values().collect(),
            unserved: unserved.into_iter().collect(),
        })
    }

    /// The noted pods that live and have no networks, on nodes that this product serves.
    fn living(&self, networking: &Key) -> Vec<std::sync::Arc<terway_core::pod::PodFacts>> {
        let noted = self.caches.unserved.of(networking);
        let pods = noted.iter().filter_map(|(key, uid)| {
            let pod = self.caches.pods.get(key)?;
            (pod.uid == *uid && lacks_networks(&pod)).then_some(pod)
        });
        let served = |node: &str| match self.caches.nodes.get(&Key::cluster(node)) {
            Some(node) => !node.ignored,
            // A pod without a node is told before it runs.
            None => true,
        };
        let reviewed = |namespace: &str| match self.caches.namespaces.get(&Key::cluster(namespace)) {
            Some(namespace) => !is_excluded(&namespace.labels),
            None => true,
        };
        pods.filter(|pod| served(&pod.node) && reviewed(&pod.namespace))
            .collect()
    }

    /// Lists the selected pods without networks, and the owners of those that are passed over.
    async fn list(
        &self,
        networking: &PodNetworking,
        owners: &mut BTreeMap<(String, String), (OwnerReference, String)>,
    ) -> Result<BTreeMap<Key, String>, ReconcileError> {
        let selector = networking.spec.selector.pod_selector.clone().unwrap_or_default();
        // The admission review of pods reports an unreadable selector.
        let Ok(selector) = Selector::try_from(selector) else {
            return Ok(BTreeMap::new());
        };
        let name = networking.name_any();
        let networkings = self.caches.networkings.all();
        let api: Api<Pod> = Api::all(self.client.clone());
        let mut params = ListParams::default().labels(&selector.to_string()).limit(PAGE);
        let mut pods = BTreeMap::new();
        loop {
            let page = api
                .list_metadata(&params)
                .await
                .map_err(listing("Pods of", networking))?;
            for pod in page.items {
                let namespace = pod.namespace().unwrap_or_default();
                let key = Key::namespaced(&namespace, &pod.name_any());
                let Some(facts) = self.caches.pods.get(&key).filter(|pod| lacks_networks(pod)) else {
                    continue;
                };
                let labels = self.caches.namespaces.get(&Key::cluster(&namespace));
                let labels = labels
                    .as_ref()
                    .map(|namespace| namespace.labels.clone())
                    .unwrap_or_default();
                if !concerned(&networkings, pod.labels(), &labels, facts.fixed_name).contains(&name) {
                    continue;
                }
                let passed_over = networking.spec.allocation_type.is_fixed() && !facts.fixed_name;
                if let Some(owner) = controlling_owner(&pod.metadata).filter(|_| passed_over) {
                    owners.insert((namespace.clone(), owner.uid.clone()), (owner.clone(), namespace));
                }
                pods.insert(key, facts.uid.clone());
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(pods),
            }
        }
    }
}
