//! The networks of a pod, from its annotations or from its PodNetworking.

use std::sync::Arc;

use terway_crds::names::annotation;
use terway_crds::{PodNetwork, PodNetworking, PodNetworks};

use crate::pod::PodFacts;

/// The interface that every pod has, and that a network without a name is for.
pub const FIRST_INTERFACE: &str = "eth0";

/// Why the networks of a pod are not known.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    #[error("the annotation {annotation} is no list of networks: correct its JSON")]
    Annotation {
        annotation: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the pod has the annotation k8s.aliyun.com/pod-eni but no network: name a PodNetworking")]
    Missing,
    #[error("PodNetworking {name} does not exist: create it, or delete the pod")]
    UnknownNetworking { name: String },
}

/// The network that a PodNetworking gives to one interface of a pod.
pub fn network_of(networking: &PodNetworking, interface: &str) -> PodNetwork {
    let spec = &networking.spec;
    PodNetwork {
        vswitch_options: spec.vswitch_options.clone(),
        security_group_ids: spec.security_group_ids.clone(),
        interface: interface.to_owned(),
        eni_options: spec.eni_options.clone(),
        vswitch_select_options: spec.vswitch_select_options.clone(),
        allocation_type: Some(spec.allocation_type.clone()),
        ..PodNetwork::default()
    }
}

/// The networks of a pod: those that the pod carries in full, or the one of the PodNetworking that the pod names.
/// `find` looks a PodNetworking up by name.
///
/// The webhook writes the networks into the pod when the pod is created. vSwitches and security groups are those that
/// the PodNetworking names now: a pod may wait until somebody corrects them.
///
/// # Errors
/// When the annotations name no network, or a PodNetworking that does not exist.
pub fn networks_of(
    pod: &PodFacts,
    find: impl FnOnce(&str) -> Option<Arc<PodNetworking>>,
) -> Result<Vec<PodNetwork>, NetworksError> {
    let mut carried = carried(pod)?;
    if !carried.is_empty() {
        if let (Some(networking), [network]) =
            (pod.pod_networking.as_deref().and_then(find), &mut carried[..])
        {
            take_choices(network, &networking);
        }
        return Ok(carried);
    }
    let name = pod.pod_networking.as_deref().ok_or(NetworksError::Missing)?;
    let networking = find(name).ok_or_else(|| NetworksError::UnknownNetworking {
        name: name.to_owned(),
    })?;
    Ok(vec![network_of(&networking, FIRST_INTERFACE)])
}

/// Takes over what may be corrected while a pod waits.
fn take_choices(network: &mut PodNetwork, networking: &PodNetworking) {
    let spec = &networking.spec;
    for (known, now) in [
        (&mut network.vswitch_options, &spec.vswitch_options),
        (&mut network.security_group_ids, &spec.security_group_ids),
    ] {
        if !now.is_empty() {
            known.clone_from(now);
        }
    }
    network.vswitch_select_options = spec.vswitch_select_options.clone();
}

fn carried(pod: &PodFacts) -> Result<Vec<PodNetwork>, NetworksError> {
    let Some(text) = &pod.networks else {
        return Ok(Vec::new());
    };
    let networks = PodNetworks::from_annotation(text).map_err(|source| NetworksError::Annotation {
        annotation: annotation::POD_NETWORKS,
        source,
    })?;
    Ok(networks.pod_networks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(networks: Option<&str>, networking: Option<&str>) -> PodFacts {
        PodFacts {
            networks: networks.map(str::to_owned),
            pod_networking: networking.map(str::to_owned),
            ..PodFacts::default()
        }
    }

    fn db() -> Arc<PodNetworking> {
        let networking = serde_json::from_value(json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking",
            "metadata": { "name": "db" },
            "spec": {
                "vSwitchOptions": ["vsw-1"], "securityGroupIDs": ["sg-1"],
                "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "20m" },
            },
        }));
        Arc::new(networking.unwrap())
    }

    fn find(name: &str) -> Option<Arc<PodNetworking>> {
        (name == "db").then(db)
    }

    #[test]
    fn networks_that_a_pod_carries_come_before_its_podnetworking() {
        let text =
            r#"{"podNetworks":[{"interface":"eth0","vSwitchOptions":["vsw-9"]},{"interface":"eth1"}]}"#;
        for named in [None, Some("db"), Some("gone")] {
            let networks = networks_of(&pod(Some(text), named), find).unwrap();
            assert_eq!(networks.len(), 2);
            assert_eq!(networks[0].vswitch_options, ["vsw-9"]);
        }
    }

    #[test]
    fn a_corrected_podnetworking_reaches_a_pod_that_waits() {
        let text = r#"{"podNetworks":[{"interface":"eth0","vSwitchOptions":["vsw-full"],"securityGroupIDs":["sg-gone"],
            "allocationType":{"type":"Elastic"}}]}"#;
        let networks = networks_of(&pod(Some(text), Some("db")), find).unwrap();
        assert_eq!(networks[0].vswitch_options, ["vsw-1"]);
        assert_eq!(networks[0].security_group_ids, ["sg-1"]);
        // What the pod was admitted with stays: a pod without a name of its own has nothing that could be kept for it.
        assert_eq!(networks[0].allocation_type, Some(Default::default()));
        // A PodNetworking that is gone, or that takes its choices from eni-config, leaves the pod's own.
        let empty = |_: &str| {
            let mut networking = PodNetworking::clone(&db());
            networking.spec.vswitch_options.clear();
            networking.spec.security_group_ids.clear();
            Some(Arc::new(networking))
        };
        for found in [
            networks_of(&pod(Some(text), Some("gone")), find),
            networks_of(&pod(Some(text), Some("db")), empty),
        ] {
            let network = &found.unwrap()[0];
            assert_eq!(network.vswitch_options, ["vsw-full"]);
            assert_eq!(network.security_group_ids, ["sg-gone"]);
        }
    }

    #[test]
    fn a_podnetworking_gives_its_whole_spec_to_the_first_interface() {
        for none in [None, Some(r#"{"podNetworks":[]}"#)] {
            let networks = networks_of(&pod(none, Some("db")), find).unwrap();
            let [network] = networks.as_slice() else {
                panic!("{networks:?}")
            };
            assert_eq!(network.interface, "eth0");
            assert_eq!(network.vswitch_options, ["vsw-1"]);
            assert_eq!(network.security_group_ids, ["sg-1"]);
            assert_eq!(network.allocation_type, Some(db().spec.allocation_type.clone()));
        }
    }

    #[test]
    fn a_pod_without_a_network_that_can_be_used_is_told_what_to_correct() {
        let words = |pod| networks_of(&pod, find).unwrap_err().to_string();
        assert!(words(pod(None, None)).contains("name a PodNetworking"));
        assert!(words(pod(None, Some("web"))).contains("PodNetworking web does not exist"));
        assert!(words(pod(Some("{"), Some("db"))).contains("k8s.aliyun.com/pod-networks"));
    }
}
