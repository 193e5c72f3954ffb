//! Writes of Node objects of our group.

use serde_json::json;
use terway_crds::{TerwayNodeSpec, TerwayNodeStatus};

use super::{Created, Turn, Writer};
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::objects::merge::diff;

impl Writer {
    /// Creates a Node object.
    pub async fn create_node_record(
        &self,
        record: &NodeRecord,
    ) -> Result<Created<NodeRecord>, ReconcileError> {
        self.create(record).await
    }

    /// Writes the spec of a Node object.
    pub async fn write_node_spec(
        &self,
        read: &NodeRecord,
        spec: &TerwayNodeSpec,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "spec": diff(&json!(read.spec), &json!(spec)) });
        self.patch(read, "writing the spec of", body, false)
            .await
            .map(drop)
    }

    /// Removes the owners of a Node object. Earlier versions made the Kubernetes node the owner.
    pub async fn disown_node_record(&self, read: &NodeRecord) -> Result<(), ReconcileError> {
        let body = json!({ "metadata": { "ownerReferences": null } });
        self.patch(read, "removing the owner of", body, false)
            .await
            .map(drop)
    }

    /// Writes the status of a Node object.
    pub async fn write_node_status(
        &self,
        read: &NodeRecord,
        status: &TerwayNodeStatus,
    ) -> Result<(), ReconcileError> {
        let turn = self.turn().await;
        self.write_node_status_in(turn, read, status).await
    }

    /// Writes the status of a Node object with a turn that the caller has.
    pub async fn write_node_status_in(
        &self,
        turn: Turn,
        read: &NodeRecord,
        status: &TerwayNodeStatus,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch_in(turn, read, "writing the status of", body, true)
            .await
            .map(drop)
    }

    /// Deletes the Node object that was read.
    pub async fn delete_node_record(&self, read: &NodeRecord) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Removes the finalizer of a Node object.
    pub async fn release_node_record(
        &self,
        read: &NodeRecord,
        finalizers: &[&str],
    ) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }
}
