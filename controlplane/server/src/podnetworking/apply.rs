//! Writing the status, and telling of what changed.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use terway_crds::PodNetworking;
use terway_crds::names::{action, event};
use terway_crds::pod_networking::PodNetworkingStatus;

use super::PodNetworkings;
use super::plan::{Findings, Plan, Transition};
use crate::error::ReconcileError;
use crate::events::{News, Severity, reference};
use crate::runtime::Key;

impl PodNetworkings {
    /// Writes first and tells then: an event about a state that was not recorded would be told again.
    pub(super) async fn apply(
        &self,
        networking: &PodNetworking,
        findings: &Findings,
        plan: &Plan,
    ) -> Result<(), ReconcileError> {
        if let Ok(status) = &plan.status {
            self.write(networking, status).await?;
        }
        if let Some(transition) = &plan.transition {
            self.context
                .events
                .tell(reference(networking), None, news(transition));
        }
        for workload in &findings.passed_over {
            let note = format!(
                "PodNetworking {} selects this workload and is passed over: it keeps IPs by pod name (allocationType Fixed), and these pods do not keep their names. Use a StatefulSet, or narrow the selector",
                networking.name_any()
            );
            let news = News {
                severity: Severity::Warning,
                reason: event::CONFIG_ERROR,
                action: action::CONFIG,
                note,
            };
            self.context
                .events
                .tell(workload.reference(), Some(reference(networking)), news);
        }
        Ok(())
    }

    async fn write(
        &self,
        networking: &PodNetworking,
        status: &PodNetworkingStatus,
    ) -> Result<(), ReconcileError> {
        let api: Api<PodNetworking> = Api::all(self.client.clone());
        let name = networking.name_any();
        let body = json!({
            "metadata": { "resourceVersion": networking.resource_version(), "uid": networking.uid() },
            "status": with_nulls(status),
        });
        let written = api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&body))
            .await;
        let mut written = written.map_err(|source| ReconcileError::Api {
            act: "writing the status of",
            kind: "PodNetworking",
            key: Key::cluster(&name),
            source,
        })?;
        written.metadata.managed_fields = None;
        self.context.caches.networkings.apply(written, true);
        Ok(())
    }
}

/// The whole status as a merge patch: what it does not have is removed.
fn with_nulls(status: &PodNetworkingStatus) -> Value {
    let mut body = json!({
        "status": null, "message": null, "vSwitches": null, "updateAt": null, "summary": null,
        "conditions": null, "observedGeneration": null,
    });
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), json!(status)) {
        body.extend(fields);
    }
    body
}

fn news(transition: &Transition) -> News {
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
    News {
        severity,
        reason,
        action: action::SYNC_POD_NETWORKING,
        note,
    }
}
