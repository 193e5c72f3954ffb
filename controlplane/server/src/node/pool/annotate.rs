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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Retry;
    use crate::objects::Caches;
    use crate::testing::ApiServer;

    #[tokio::test]
    async fn a_pod_that_cannot_be_annotated_keeps_no_other_from_its_annotation() {
        let api = ApiServer::default();
        let names = ["a", "b", "c"];
        let mut status = TerwayNodeStatus::default();
        let nic = status.network_interfaces.entry("eni-1".into()).or_default();
        let mut pods = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let (uid, address) = (format!("uid-{name}"), format!("10.0.0.{number}"));
            let path = format!("/api/v1/namespaces/shop/pods/{name}");
            api.put_at(
                &path,
                json!({ "metadata": { "namespace": "shop", "name": name, "uid": uid } }),
            );
            let ip = json!({ "ip": address, "status": "Valid", "podUID": uid });
            nic.ipv4.insert(address, serde_json::from_value(ip).unwrap());
            pods.push(Arc::new(PodFacts {
                namespace: "shop".into(),
                name: name.into(),
                uid,
                ..PodFacts::default()
            }));
        }
        // An admission policy does not like the first pod.
        api.refuse("PATCH", "/pods/a", 403, usize::MAX);
        let write = Writer::new(api.client(), Caches::default());
        let error = note_addresses(&write, &pods, &status).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Slow, "{error}");
        for (name, address) in [("b", "10.0.0.1"), ("c", "10.0.0.2")] {
            let pod = api.object(&format!("namespaces/shop/pods/{name}")).unwrap();
            assert_eq!(pod["metadata"]["annotations"]["k8s.aliyun.com/pod-ips"], address);
        }
    }
}
