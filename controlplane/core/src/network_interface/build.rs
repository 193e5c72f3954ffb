//! Builds the NetworkInterface of a new ENI.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use terway_crds::names::{API_VERSION, finalizer, label};
use terway_crds::{Allocation, AttachTo, Eni, NetworkInterface, NetworkInterfaceSpec, PodEni};

use crate::cloud::CloudEni;

/// The kind in our references to the owner. Upstream writes `Pod`, with the same namespace and name.
const OWNER_KIND: &str = "PodENI";

/// The object for the ENI of an allocation that has its id, owned by `record`.
pub fn build(record: &PodEni, allocation: &Allocation, attach_to: Option<AttachTo>) -> NetworkInterface {
    let node = attach_to
        .as_ref()
        .map(|to| to.node_name.clone())
        .filter(|name| !name.is_empty());
    NetworkInterface {
        metadata: ObjectMeta {
            name: Some(allocation.eni.id.clone()),
            labels: node.map(|node| BTreeMap::from([(label::NODE.to_owned(), node)])),
            finalizers: Some(vec![finalizer::ENI.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: NetworkInterfaceSpec {
            eni: allocation.eni.clone(),
            ipv4: allocation.ipv4.clone(),
            ipv6: allocation.ipv6.clone(),
            ipv4_cidr: allocation.ipv4_cidr.clone(),
            ipv6_cidr: allocation.ipv6_cidr.clone(),
            extra_config: allocation.extra_config.clone(),
            pod_eni_ref: Some(ObjectReference {
                api_version: Some(API_VERSION.into()),
                kind: Some(OWNER_KIND.into()),
                namespace: record.metadata.namespace.clone(),
                name: record.metadata.name.clone(),
                uid: record.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            attach_to,
            ..NetworkInterfaceSpec::default()
        },
        status: None,
    }
}

/// The object of an ENI without an owner. It is made to be deleted, so that only its controller detaches and deletes
/// ENIs.
pub fn for_release(id: &str, eni: Option<&CloudEni>) -> NetworkInterface {
    let identity = eni.map_or_else(Eni::default, |eni| Eni {
        mac: eni.mac.clone(),
        zone: eni.zone_id.clone(),
        vpc_id: eni.vpc_id.clone(),
        vswitch_id: eni.vswitch_id.clone(),
        security_group_ids: eni.security_group_ids.clone(),
        resource_group_id: eni.resource_group_id.clone(),
        ..Eni::default()
    });
    let mut spec = NetworkInterfaceSpec {
        eni: Eni {
            id: id.to_owned(),
            ..identity
        },
        ..NetworkInterfaceSpec::default()
    };
    let address = eni.and_then(|eni| eni.primary_ip);
    address.into_iter().for_each(|address| spec.set_address(address));
    NetworkInterface {
        metadata: ObjectMeta {
            name: Some(id.to_owned()),
            finalizers: Some(vec![finalizer::ENI.to_owned()]),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// Namespace and name of the PodENI that owns an object.
pub fn owner(interface: &NetworkInterface) -> Option<(&str, &str)> {
    let reference = interface.spec.pod_eni_ref.as_ref()?;
    Some((reference.namespace.as_deref()?, reference.name.as_deref()?))
}

/// Whether this product wrote the reference to the owner. Only then the reference's UID counts; references by upstream
/// name the pod.
pub fn has_our_reference(interface: &NetworkInterface) -> bool {
    let reference = interface.spec.pod_eni_ref.as_ref();
    reference.and_then(|reference| reference.kind.as_deref()) == Some(OWNER_KIND)
}

/// Whether an object belongs to exactly this PodENI. A reference by upstream has another UID or none, and counts by
/// name.
pub fn is_of(interface: &NetworkInterface, record: &PodEni) -> bool {
    let Some(reference) = interface.spec.pod_eni_ref.as_ref() else {
        return false;
    };
    let same_name =
        reference.namespace == record.metadata.namespace && reference.name == record.metadata.name;
    same_name && (!has_our_reference(interface) || reference.uid == record.metadata.uid)
}

#[cfg(test)]
mod tests;
