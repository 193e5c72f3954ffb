//! The networks of a pod, as its annotations say.

use terway_core::pod::PodFacts;
use terway_crds::names::annotation;
use terway_crds::{PodNetwork, PodNetworking, PodNetworks};

use crate::error::NetworksError;
use crate::objects::Caches;
use crate::runtime::Key;

/// The networks in full where the pod carries them, those of its PodNetworking otherwise.
///
/// # Errors
/// When the annotations name nothing that can be used.
pub fn networks_of(pod: &PodFacts, caches: &Caches) -> Result<Vec<PodNetwork>, NetworksError> {
    let written = match &pod.networks {
        Some(text) => {
            let networks: PodNetworks =
                serde_json::from_str(text).map_err(|source| NetworksError::Annotation {
                    annotation: annotation::POD_NETWORKS,
                    source,
                })?;
            networks.pod_networks
        }
        None => Vec::new(),
    };
    if !written.is_empty() {
        return Ok(written);
    }
    let name = pod.pod_networking.as_deref().ok_or(NetworksError::Missing)?;
    let networking =
        caches
            .networkings
            .get(&Key::cluster(name))
            .ok_or_else(|| NetworksError::UnknownNetworking {
                name: name.to_owned(),
            })?;
    Ok(vec![network_of(&networking)])
}

fn network_of(networking: &PodNetworking) -> PodNetwork {
    let spec = &networking.spec;
    PodNetwork {
        vswitch_options: spec.vswitch_options.clone(),
        security_group_ids: spec.security_group_ids.clone(),
        interface: "eth0".to_owned(),
        eni_options: spec.eni_options.clone(),
        vswitch_select_options: spec.vswitch_select_options.clone(),
        allocation_type: Some(spec.allocation_type.clone()),
        ..PodNetwork::default()
    }
}
