//! Writes the status, and the event about a transition.

use kube::ResourceExt;
use terway_core::podnetworking::{Findings, Plan, Transition};
use terway_crds::PodNetworking;
use terway_crds::names::{action, event};

use super::PodNetworkingController;
use crate::error::ReconcileError;
use crate::events::{EventContent, Severity, pod_reference, reference};
use crate::runtime::Key;

/// Number of pods that are told that they have no network. A PodNetworking that is made for pods that run already may
/// select thousands; its condition has their number.
const TOLD: usize = 100;

impl PodNetworkingController {
    /// Writes the status first and the event afterwards. An event before a failed write would be repeated.
    pub(super) async fn apply(
        &self,
        networking: &PodNetworking,
        findings: &Findings,
        plan: &Plan,
    ) -> Result<(), ReconcileError> {
        if let Ok(status) = &plan.status {
            self.write.write_networking_status(networking, status).await?;
        }
        if let Some(transition) = &plan.transition {
            self.events.tell(reference(networking), None, news(transition));
        }
        for name in findings.unserved.iter().take(TOLD) {
            let pod = name.split_once('/').and_then(|(namespace, name)| {
                let key = Key::namespaced(namespace, name);
                self.caches.pods.get(&key)
            });
            if let Some(pod) = pod {
                let note = format!(
                    "PodNetworking {} selects this pod, but no webhook gave the pod its network when the \
                     pod was created. The pod has a shared address and the node's security groups: delete \
                     it, so that its successor gets the network",
                    networking.name_any()
                );
                let news = EventContent {
                    severity: Severity::Warning,
                    reason: event::NETWORK_MISSING,
                    action: action::CREATE_POD,
                    note,
                };
                self.events
                    .tell(pod_reference(&pod), Some(reference(networking)), news);
            }
        }
        for workload in &findings.passed_over {
            let note = format!(
                "PodNetworking {} selects this workload and is passed over: it keeps IPs by pod name (allocationType Fixed), and these pods do not keep their names. Use a StatefulSet, or narrow the selector",
                networking.name_any()
            );
            let news = EventContent {
                severity: Severity::Warning,
                reason: event::CONFIG_ERROR,
                action: action::CONFIG,
                note,
            };
            self.events
                .tell(workload.reference(), Some(reference(networking)), news);
        }
        Ok(())
    }
}

fn news(transition: &Transition) -> EventContent {
    let (severity, reason, note) = match transition {
        Transition::BecameReady { zones } => (
            Severity::Normal,
            event::SYNC_POD_NETWORKING_SUCCEED,
            format!("vSwitches found in {zones}"),
        ),
        Transition::Failed { message } => (
            Severity::Warning,
            event::SYNC_POD_NETWORKING_FAILED,
            message.clone(),
        ),
    };
    EventContent {
        severity,
        reason,
        action: action::SYNC_POD_NETWORKING,
        note,
    }
}
