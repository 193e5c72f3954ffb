//! Writes of NetworkInterfaces.

use serde_json::json;
use terway_crds::names::label;
use terway_crds::{AttachTo, NetworkInterface, NetworkInterfaceStatus};

use super::{Created, Writer};
use crate::error::ReconcileError;
use crate::objects::merge::diff;

impl Writer {
    /// Creates a NetworkInterface.
    pub async fn create_interface(
        &self,
        interface: &NetworkInterface,
    ) -> Result<Created<NetworkInterface>, ReconcileError> {
        self.create(interface).await
    }

    /// Writes the target of an ENI, and the label with the target's node.
    pub async fn write_target(
        &self,
        read: &NetworkInterface,
        target: Option<&AttachTo>,
    ) -> Result<(), ReconcileError> {
        let node = target
            .map(|target| target.node_name.as_str())
            .filter(|name| !name.is_empty());
        let body = json!({
            "metadata": { "labels": { label::NODE: node } },
            "spec": { "attachTo": diff(&json!(read.spec.attach_to), &json!(target)) },
        });
        self.patch(read, "writing the target of", body, false)
            .await
            .map(drop)
    }

    /// Writes the status of a NetworkInterface.
    pub async fn write_interface_status(
        &self,
        read: &NetworkInterface,
        status: &NetworkInterfaceStatus,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch(read, "writing the status of", body, true)
            .await
            .map(drop)
    }

    /// Deletes the NetworkInterface that was read. Its finalizer keeps it until the cloud has confirmed the deletion.
    pub async fn delete_interface(&self, read: &NetworkInterface) -> Result<(), ReconcileError> {
        self.delete(read).await
    }

    /// Removes the finalizer of a NetworkInterface.
    pub async fn release_interface(
        &self,
        read: &NetworkInterface,
        finalizers: &[&str],
    ) -> Result<(), ReconcileError> {
        self.drop_finalizers(read, finalizers).await
    }
}
