//! The workloads of pods that a Fixed PodNetworking selects and cannot serve.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, ResourceExt};
use terway_core::meta::controlling_owner;
use terway_core::podnetworking::Workload;
use terway_crds::PodNetworking;

use crate::error::{ReconcileError, status_code};
use crate::runtime::Key;

/// The workloads of these owners of pods, each once, in order.
pub(super) async fn of(
    client: &Client,
    owners: Vec<(OwnerReference, String)>,
    networking: &PodNetworking,
) -> Result<Vec<Workload>, ReconcileError> {
    let mut workloads = Vec::new();
    for (owner, namespace) in owners {
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

pub(super) fn listing(
    kind: &'static str,
    networking: &PodNetworking,
) -> impl Fn(kube::Error) -> ReconcileError {
    let key = Key::cluster(&networking.name_any());
    move |source| ReconcileError::Api {
        act: "listing",
        kind,
        key: key.clone(),
        source,
    }
}
