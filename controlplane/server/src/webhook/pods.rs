//! The review of a new pod, and the reads for it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use terway_core::webhook::{Denial, PassedOver, PatchOperation, PodReview, PodVerdict, Reason, review};
use terway_crds::PodNetworking;
use terway_crds::names::annotation;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::Webhook;
use super::decision::Decision;
use crate::error::chain;
use crate::runtime::Key;
use crate::trace::Admission;

/// How long a pod waits for a new PodNetworking to be checked. `kubectl apply` of one file creates a PodNetworking and
/// its pods in the same second. The time is shorter than the API server's timeout of 3 s (the chart's
/// webhookTimeoutSeconds).
const PATIENCE: Duration = Duration::from_secs(2);
/// A pod does not wait for an unchecked PodNetworking that is older than this.
const YOUNG: SignedDuration = SignedDuration::from_secs(30);

impl Webhook {
    /// Reviews a pod that is being created in a namespace.
    pub(super) async fn review_pod(&self, namespace: &str, pod: &Pod) -> Decision {
        let begin = Timestamp::now();
        let mut decision = self.decide_pod(namespace, pod).await;
        // Only pods that get networks have annotations of the webhook, and a trace.
        if self.traced && !decision.patch.is_empty() {
            let end = Timestamp::now();
            let note = Admission { begin, end }.note();
            decision
                .patch
                .push(PatchOperation::annotate(annotation::ADMITTED, note));
        }
        decision
    }

    async fn decide_pod(&self, namespace: &str, pod: &Pod) -> Decision {
        let deadline = Instant::now() + PATIENCE;
        let mut changes = self.caches.networkings.changes();
        let mut networkings = self.caches.networkings.all();
        let mut asked_again = false;
        loop {
            let verdict = match self.verdict(namespace, pod, &networkings).await {
                Ok(verdict) => verdict,
                Err(refusal) => return Decision::deny(refusal),
            };
            let unknown = matches!(verdict, PodVerdict::Denied(Denial::UnknownNetwork { .. }));
            if unknown && !asked_again {
                // The cache may lag behind, so the API server is asked before a name counts as unknown.
                asked_again = true;
                match self.listed().await {
                    Ok(listed) => networkings = listed,
                    Err(error) => return Decision::deny(could_not("list PodNetworkings", &error)),
                }
                continue;
            }
            if !waits_for(&verdict, &networkings) || timeout_at(deadline, changes.changed()).await.is_err() {
                return decision(namespace, pod, verdict);
            }
            networkings = self.caches.networkings.all();
        }
    }

    async fn verdict(
        &self,
        namespace: &str,
        pod: &Pod,
        networkings: &[Arc<PodNetworking>],
    ) -> Result<PodVerdict, String> {
        let by_namespace = networkings
            .iter()
            .any(|n| n.spec.selector.namespace_selector.is_some());
        let namespace_labels = match by_namespace {
            true => self
                .namespace_labels(namespace)
                .await
                .map_err(|error| could_not("read the namespace", &error))?,
            false => Default::default(),
        };
        // A pod without a name (generateName) has no record of an earlier pod.
        let name = pod.metadata.name.as_deref().filter(|name| !name.is_empty());
        let previous = name.and_then(|name| self.caches.pod_enis.get(&Key::namespaced(namespace, name)));
        let defaults = self.defaults();
        Ok(review(&PodReview {
            pod,
            namespace_labels: &namespace_labels,
            networkings,
            previous: previous.as_deref(),
            defaults: defaults.as_ref().map(Option::as_ref),
            settings: &self.pods,
        }))
    }

    async fn listed(&self) -> Result<Vec<Arc<PodNetworking>>, kube::Error> {
        let api: Api<PodNetworking> = Api::all(self.client.clone());
        Ok(api
            .list(&ListParams::default())
            .await?
            .items
            .into_iter()
            .map(Arc::new)
            .collect())
    }
}

fn could_not(act: &str, error: &kube::Error) -> String {
    format!("could not {act} just now, try again: {}", chain(error))
}

/// Whether the verdict may change soon, because a new PodNetworking is being checked.
fn waits_for(verdict: &PodVerdict, networkings: &[Arc<PodNetworking>]) -> bool {
    let young = |name: &str| {
        let found = networkings
            .iter()
            .find(|networking| networking.name_any() == name);
        let made = found.and_then(|networking| networking.metadata.creation_timestamp.as_ref());
        made.is_some_and(|made| Timestamp::now().duration_since(made.0) < YOUNG)
    };
    let passed_over = |list: &[PassedOver]| {
        list.iter()
            .any(|one| one.reason == Reason::NotLookedAt && young(&one.name))
    };
    match verdict {
        PodVerdict::Denied(Denial::NetworkNotReady {
            network,
            reason: Reason::NotLookedAt,
        }) => young(network),
        PodVerdict::Untouched {
            passed_over: list, ..
        } => passed_over(list),
        PodVerdict::Mutated(mutation) => passed_over(&mutation.passed_over),
        PodVerdict::Denied(_) => false,
    }
}

fn decision(namespace: &str, pod: &Pod, verdict: PodVerdict) -> Decision {
    let warnings = |list: &[PassedOver]| list.iter().map(ToString::to_string).collect();
    match verdict {
        PodVerdict::Untouched { passed_over, .. } => Decision {
            warnings: warnings(&passed_over),
            ..Decision::pass()
        },
        PodVerdict::Mutated(mutation) => Decision {
            warnings: warnings(&mutation.passed_over),
            patch: mutation.patch,
            denial: None,
        },
        PodVerdict::Denied(refusal) => {
            let generated = pod.metadata.generate_name.as_deref();
            let name = pod.metadata.name.as_deref().or(generated).unwrap_or_default();
            info!(namespace, name, reason = %refusal, "refused a pod");
            Decision::deny(refusal)
        }
    }
}
