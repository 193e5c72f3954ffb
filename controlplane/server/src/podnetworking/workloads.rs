//! Workloads that a Fixed PodNetworking selects and cannot serve, because their pods do not keep
//! their names.
//!
//! The cache of pods holds no labels (a cluster has a hundred thousand pods), so the API server is
//! asked for the metadata of the selected ones, from its own cache, and only for such PodNetworkings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, Client, ResourceExt};
use terway_core::pod::PodFacts;
use terway_crds::PodNetworking;

use crate::error::{ReconcileError, status_code};
use crate::runtime::{Cache, Key};

/// A workload by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    pub kind: String,
    pub api_version: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Workload {
    /// A reference for an event.
    pub(super) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        }
    }
}

/// Whether a PodNetworking can pass workloads over.
pub(super) fn counts_workloads(networking: &PodNetworking) -> bool {
    networking.spec.allocation_type.is_fixed() && !networking.spec.selector.is_empty()
}

/// Whether a pod is one that a Fixed PodNetworking would pass over.
pub(super) fn may_be_passed_over(pod: &PodFacts) -> bool {
    !pod.fixed_name && !pod.wants_pod_eni && !pod.host_network && !pod.ignored && !pod.exited && !pod.deleting
}

/// The workloads that are passed over, each once, in order.
pub(super) async fn passed_over(
    client: &Client,
    pods: &Arc<Cache<PodFacts>>,
    networking: &PodNetworking,
) -> Result<Vec<Workload>, ReconcileError> {
    let selector = &networking.spec.selector;
    let label_text = |selector: &Option<_>| match selector.clone().map(Selector::try_from) {
        None => Some(String::new()),
        Some(Ok(selector)) => Some(selector.to_string()),
        // The admission review of pods says that it cannot be read.
        Some(Err(_)) => None,
    };
    let (Some(pod_labels), Some(namespace_labels)) = (
        label_text(&selector.pod_selector),
        label_text(&selector.namespace_selector),
    ) else {
        return Ok(Vec::new());
    };
    let apis: Vec<Api<Pod>> = match selector.namespace_selector {
        None => vec![Api::all(client.clone())],
        Some(_) => {
            let namespaces: Api<Namespace> = Api::all(client.clone());
            let params = ListParams::default().match_any().labels(&namespace_labels);
            let found = namespaces
                .list_metadata(&params)
                .await
                .map_err(listing("Namespaces of", networking))?;
            found
                .items
                .iter()
                .map(|namespace| Api::namespaced(client.clone(), &namespace.name_any()))
                .collect()
        }
    };
    let mut owners: BTreeMap<(String, String), (OwnerReference, String)> = BTreeMap::new();
    let params = ListParams::default().match_any().labels(&pod_labels);
    for api in apis {
        let found = api
            .list_metadata(&params)
            .await
            .map_err(listing("Pods of", networking))?;
        for pod in found.items {
            let namespace = pod.namespace().unwrap_or_default();
            let facts = pods.get(&Key::namespaced(&namespace, &pod.name_any()));
            if !facts.is_some_and(|facts| may_be_passed_over(&facts)) {
                continue;
            }
            if let Some(owner) = controller(&pod.metadata) {
                owners.insert((namespace.clone(), owner.uid.clone()), (owner, namespace));
            }
        }
    }
    let mut workloads = Vec::new();
    for (owner, namespace) in owners.into_values() {
        workloads.push(workload(client, owner, namespace, networking).await?);
    }
    workloads.sort();
    workloads.dedup();
    Ok(workloads)
}

fn controller(metadata: &ObjectMeta) -> Option<OwnerReference> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .or(owners.first())
        .cloned()
}

/// The workload a person knows: the Deployment behind a ReplicaSet, any other owner itself.
async fn workload(
    client: &Client,
    owner: OwnerReference,
    namespace: String,
    networking: &PodNetworking,
) -> Result<Workload, ReconcileError> {
    let mut owner = owner;
    if owner.kind == "ReplicaSet" {
        let api: Api<ReplicaSet> = Api::namespaced(client.clone(), &namespace);
        match api.get_metadata_opt(&owner.name).await {
            Ok(found) => owner = found.and_then(|set| controller(&set.metadata)).unwrap_or(owner),
            // Without the right to read ReplicaSets, the ReplicaSet itself is told of.
            Err(error) if status_code(&error) == Some(403) => {}
            Err(error) => return Err(listing("ReplicaSet of", networking)(error)),
        }
    }
    let OwnerReference {
        kind,
        api_version,
        name,
        uid,
        ..
    } = owner;
    Ok(Workload {
        kind,
        api_version,
        namespace,
        name,
        uid,
    })
}

fn listing(kind: &'static str, networking: &PodNetworking) -> impl Fn(kube::Error) -> ReconcileError {
    let key = Key::cluster(&networking.name_any());
    move |source| ReconcileError::Api {
        act: "listing",
        kind,
        key: key.clone(),
        source,
    }
}
