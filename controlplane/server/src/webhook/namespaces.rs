//! Labels of namespaces, which PodNetworkings select by.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use crate::runtime::feed::{feed, version_of};
use crate::runtime::{Cache, Cached, Key};

/// A namespace, trimmed.
struct Labelled {
    name: String,
    version: u64,
    labels: BTreeMap<String, String>,
}

impl Cached for Labelled {
    fn key(&self) -> Key {
        Key::cluster(&self.name)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl From<Namespace> for Labelled {
    fn from(namespace: Namespace) -> Self {
        let (name, version) = (namespace.name_any(), version_of(&namespace));
        Self {
            name,
            version,
            labels: namespace.metadata.labels.unwrap_or_default(),
        }
    }
}

/// The namespaces of the cluster.
pub(super) struct Namespaces {
    client: Client,
    cache: Arc<Cache<Labelled>>,
}

impl Namespaces {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            cache: Arc::default(),
        }
    }

    pub(super) fn feed(&self) -> impl Future<Output = ()> + Send + 'static {
        let trim = |namespace: Namespace| Some(Labelled::from(namespace));
        feed(
            Api::all(self.client.clone()),
            watcher::Config::default(),
            self.cache.clone(),
            trim,
        )
    }

    pub(super) fn is_synced(&self) -> bool {
        self.cache.is_synced()
    }

    /// Labels of a namespace. One that was made a moment ago is asked for, not taken for unlabelled.
    pub(super) async fn labels(&self, name: &str) -> Result<BTreeMap<String, String>, kube::Error> {
        if let Some(known) = self.cache.get(&Key::cluster(name)) {
            return Ok(known.labels.clone());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        Ok(self
            .cache
            .apply(Labelled::from(api.get(name).await?), true)
            .labels
            .clone())
    }
}
