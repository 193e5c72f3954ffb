//! Writes of PodENIs.

use std::sync::Arc;

use serde_json::json;
use terway_crds::names::{annotation, label};
use terway_crds::{Allocation, PodEni, PodEniStatus};

use super::{Created, Writer, api};
use crate::error::ReconcileError;
use crate::objects::kinds::Kind;
use crate::objects::merge::diff;
use crate::runtime::Key;

impl Writer {
    /// Creates a PodENI.
    pub async fn create_pod_eni(&self, record: &PodEni) -> Result<Created<PodEni>, ReconcileError> {
        self.create(record).await
    }

    /// Writes the allocations of a PodENI.
    pub async fn write_allocations(
        &self,
        read: &PodEni,
        allocations: &[Allocation],
    ) -> Result<Arc<PodEni>, ReconcileError> {
        let body = json!({ "spec": { "allocations": allocations } });
        self.patch(read, "writing the allocations of", body, false).await
    }

    /// Writes the pod's UID and node of a PodENI.
    pub async fn rebind_pod_eni(&self, read: &PodEni, uid: &str, node: &str) -> Result<(), ReconcileError> {
        let body = json!({ "metadata": {
            "labels": { label::NODE: node },
            "annotations": { annotation::POD_UID: uid },
        }});
        self.patch(read, "rebinding", body, false).await.map(drop)
    }

    /// Writes the status of a PodENI.
    pub async fn write_pod_eni_status(
        &self,
        read: &PodEni,
        status: &PodEniStatus,
    ) -> Result<Arc<PodEni>, ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch(read, "writing the status of", body, true).await
    }

    /// Deletes the PodENI that was read.
    pub async fn delete_pod_eni(&self, read: &PodEni) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Removes finalizers of a PodENI.
    pub async fn release_pod_eni(&self, read: &PodEni, finalizers: &[&str]) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }

    /// The UID of the PodENI of this name, read from the API server.
    pub async fn live_pod_eni_uid(&self, key: &Key) -> Result<Option<String>, ReconcileError> {
        let found = api::<PodEni>(self.turns.for_reading(), key)
            .get_metadata_opt(key.name())
            .await;
        let found = found.map_err(|source| ReconcileError::Api {
            act: "reading",
            kind: PodEni::NAME,
            key: key.clone(),
            source,
        })?;
        Ok(found.and_then(|record| record.metadata.uid))
    }
}
