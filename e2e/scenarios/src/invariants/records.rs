//! Rules over pods, records and the cloud.

use std::collections::BTreeMap;

use super::{Binding, Fault, Picture, RunningPod};

/// Two pods with one address.
pub(super) fn pods_with_one_address(picture: &Picture) -> Vec<Fault> {
    let mut holders: BTreeMap<_, Vec<&RunningPod>> = BTreeMap::new();
    for pod in &picture.pods {
        if let Some(address) = pod.address {
            holders.entry(address).or_default().push(pod);
        }
    }
    let doubled = holders.into_iter().filter(|(_, pods)| pods.len() > 1);
    doubled
        .map(|(address, pods)| Fault::OneAddress {
            address,
            pods: pods.iter().map(|pod| pod.name.clone()).collect(),
        })
        .collect()
}

/// Records that give one address away twice.
pub(super) fn addresses_bound_twice(picture: &Picture) -> Vec<Fault> {
    let mut by_address: BTreeMap<_, Vec<&Binding>> = BTreeMap::new();
    for binding in &picture.bindings {
        by_address.entry(binding.address).or_default().push(binding);
    }
    let doubled = by_address.into_iter().filter(|(_, bindings)| bindings.len() > 1);
    doubled
        .map(|(address, bindings)| Fault::BoundTwice {
            address,
            pods: bindings.iter().map(|binding| binding.pod.clone()).collect(),
        })
        .collect()
}

/// Pods with two addresses.
pub(super) fn pods_bound_twice(picture: &Picture) -> Vec<Fault> {
    let mut by_pod: BTreeMap<&str, Vec<&Binding>> = BTreeMap::new();
    for binding in &picture.bindings {
        by_pod.entry(&binding.pod_uid).or_default().push(binding);
    }
    let doubled = by_pod.into_values().filter(|bindings| bindings.len() > 1);
    doubled
        .map(|bindings| Fault::TwoAddresses {
            pod: bindings[0].pod.clone(),
            addresses: bindings.iter().map(|binding| binding.address).collect(),
        })
        .collect()
}

/// Pods whose address no record gives them on their node.
pub(super) fn pods_without_their_address(picture: &Picture) -> Vec<Fault> {
    let recorded = |pod: &RunningPod| {
        picture.bindings.iter().any(|binding| {
            binding.pod_uid == pod.uid && Some(binding.address) == pod.address && binding.node == pod.node
        })
    };
    let without = picture.pods.iter().filter(|pod| !recorded(pod));
    without
        .map(|pod| Fault::NotRecorded {
            pod: pod.name.clone(),
            node: pod.node.clone(),
            address: pod.address,
        })
        .collect()
}

/// Addresses kept for pods that are gone. A Fixed one is meant to be.
pub(super) fn bindings_of_nobody(picture: &Picture) -> Vec<Fault> {
    let lives = |binding: &Binding| picture.pods.iter().any(|pod| pod.uid == binding.pod_uid);
    let kept = |binding: &Binding| binding.member.as_ref().is_some_and(|member| member.fixed);
    let left = picture
        .bindings
        .iter()
        .filter(|binding| !lives(binding) && !kept(binding));
    left.map(|binding| Fault::BoundToNobody {
        address: binding.address,
        node: binding.node.clone(),
        pod: binding.pod.clone(),
    })
    .collect()
}

/// ENIs whose addresses the record and the cloud tell differently.
pub(super) fn addresses_unlike_the_cloud(picture: &Picture) -> Vec<Fault> {
    let unlike = picture.enis.iter().filter(|eni| eni.recorded != eni.cloud);
    unlike
        .map(|eni| Fault::UnlikeTheCloud {
            eni: eni.eni.clone(),
            recorded_only: eni.recorded.difference(&eni.cloud).copied().collect(),
            cloud_only: eni.cloud.difference(&eni.recorded).copied().collect(),
        })
        .collect()
}
