//! The annotation with a pod's address, which the key `enable_patch_pod_ips` of eni-config switches on.

use std::collections::BTreeMap;
use std::sync::Arc;

use terway_core::pod::PodFacts;
use terway_crds::TerwayNodeStatus;

use crate::error::ReconcileError;
use crate::objects::Writer;
use crate::runtime::Key;

/// Annotates the pods whose annotation does not name their address. A pod that cannot be annotated keeps no other pod
/// from its annotation.
///
/// # Errors
/// The first failed write.
pub async fn note_addresses(
    write: &Writer,
    pods: &[Arc<PodFacts>],
    status: &TerwayNodeStatus,
) -> Result<(), ReconcileError> {
    let ips = status
        .network_interfaces
        .values()
        .flat_map(|nic| nic.all_addresses().map(|(_, ip)| ip));
    let addresses: BTreeMap<&str, &str> = ips
        .filter(|ip| !ip.pod_uid.is_empty())
        .map(|ip| (ip.pod_uid.as_str(), ip.ip.as_str()))
        .collect();
    let mut failed = None;
    for pod in pods {
        let Some(address) = addresses.get(pod.uid.as_str()) else {
            continue;
        };
        if pod.noted_addresses.as_deref() != Some(address) && !pod.exited {
            let key = Key::namespaced(&pod.namespace, &pod.name);
            let written = write.annotate_pod(&key, &pod.uid, address).await;
            failed = failed.or(written.err());
        }
    }
    failed.map_or(Ok(()), Err)
}
