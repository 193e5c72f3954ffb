//! Labels of namespaces, which PodNetworkings select by.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::Webhook;
use crate::objects::NamespaceLabels;
use crate::runtime::Key;

impl Webhook {
    /// Labels of a namespace. The API server is asked for a namespace that the cache does not hold: the namespace may
    /// have been made a moment ago, and must not be taken for one without labels.
    pub(super) async fn namespace_labels(&self, name: &str) -> Result<BTreeMap<String, String>, kube::Error> {
        if let Some(known) = self.caches.namespaces.get(&Key::cluster(name)) {
            return Ok(known.labels.clone());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = NamespaceLabels::from(api.get(name).await?);
        Ok(self.caches.namespaces.apply(found, true).labels.clone())
    }
}
