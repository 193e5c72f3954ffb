//! Finds the workloads that a Fixed PodNetworking selects and cannot serve.
//!
//! The cache of pods holds no labels, because a cluster has a hundred thousand pods. The API server is asked for the
//! metadata of the selected pods instead, from its own cache, and only for PodNetworkings that can pass workloads over.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, Client, ResourceExt};
use terway_core::meta::controlling_owner;
use terway_core::pod::PodFacts;
use terway_core::podnetworking::{Workload, may_be_passed_over};
use terway_crds::PodNetworking;

use crate::error::{ReconcileError, status_code};
use crate::runtime::{Cache, Key};

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
        // The admission review of pods reports an unreadable selector.
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
            if let Some(owner) = controlling_owner(&pod.metadata) {
                owners.insert((namespace.clone(), owner.uid.clone()), (owner.clone(), namespace));
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

/// The workload that a person knows: the Deployment of a ReplicaSet, or any other owner itself.
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
            Ok(found) => {
                owner = found
                    .and_then(|set| controlling_owner(&set.metadata).cloned())
                    .unwrap_or(owner)
            }
            // Without the right to read ReplicaSets, the event names the ReplicaSet itself.
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
