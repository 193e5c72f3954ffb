//! Writes of PodNetworkings.

use serde_json::json;
use terway_crds::PodNetworking;
use terway_crds::pod_networking::PodNetworkingStatus;

use super::Writer;
use crate::error::ReconcileError;
use crate::objects::merge::diff;

impl Writer {
    /// Writes the status of a PodNetworking.
    pub async fn write_networking_status(
        &self,
        read: &PodNetworking,
        status: &PodNetworkingStatus,
    ) -> Result<(), ReconcileError> {
        let body = json!({ "status": diff(&json!(read.status), &json!(status)) });
        self.patch(read, "writing the status of", body, true)
            .await
            .map(drop)
    }
}
