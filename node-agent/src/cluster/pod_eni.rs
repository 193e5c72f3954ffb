//! The agent's view of a PodENI, with its texts parsed.

use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use terway_address::Family;
use terway_crds::names::annotation;
use terway_crds::{Allocation, EniKind, Phase, PodEni, PodEniStatus, Route};
use terway_node_core::carrier::{Carrier, VlanId};

use super::PodKey;
use super::unusable::{Unusable, served_on};

/// A PodENI whose label names this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEniView {
    /// Namespace and name: those of the pod.
    pub key: PodKey,
    /// UID of the pod that the allocation is for now.
    pub pod_uid: String,
    /// The phase.
    pub phase: Phase,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// The message of the control plane, and the last refusal of the cloud.
    pub message: String,
    /// One entry for each interface, or the reason why the object cannot be used.
    pub allocations: Result<Vec<AllocationView>, Unusable>,
}

/// One interface of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocationView {
    /// Name in the pod; empty for the interface that the runtime names.
    pub interface: String,
    /// ENI id; empty until the cloud has made it.
    pub eni_id: String,
    /// The pod's address; `None` until the cloud has given one.
    pub ip: Option<IpAddr>,
    /// CIDR of the vSwitch; `None` until the control plane has written it.
    pub cidr: Option<IpNet>,
    /// What carries the address, by the ENI's id; none while the ENI is a member without a VLAN id yet.
    pub carrier: Option<Carrier<String>>,
    /// Whether the pod's default route leaves by this interface.
    pub default_route: bool,
    /// Further destinations that the pod reaches through this interface.
    pub extra_routes: Vec<IpNet>,
}

impl PodEniView {
    /// Makes the view of an object.
    pub fn new(object: &PodEni) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let allocations = object
            .spec
            .allocations
            .iter()
            .map(|allocation| view(allocation, &status))
            .collect();
        PodEniView {
            key: PodKey::of(object),
            pod_uid: object
                .annotations()
                .get(annotation::POD_UID)
                .cloned()
                .unwrap_or_default(),
            message: message(&object.spec.allocations, &status),
            phase: status.phase,
            deleting: object.metadata.deletion_timestamp.is_some(),
            allocations,
        }
    }

    /// The view of a PodENI that cannot be decoded. The view stays in the table, so that the pod's error tells the
    /// reason of the wait.
    pub fn unreadable(invalid: &InvalidObject) -> Self {
        let meta = &invalid.metadata;
        let uid = meta
            .annotations
            .as_ref()
            .and_then(|map| map.get(annotation::POD_UID));
        PodEniView {
            key: PodKey::new(
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            ),
            pod_uid: uid.cloned().unwrap_or_default(),
            allocations: Err(Unusable::Undecodable {
                error: invalid.error.clone(),
            }),
            ..Default::default()
        }
    }
}

impl Default for PodEniView {
    fn default() -> Self {
        PodEniView {
            key: PodKey::default(),
            pod_uid: String::new(),
            phase: Phase::default(),
            deleting: false,
            message: String::new(),
            allocations: Ok(Vec::new()),
        }
    }
}

fn view(allocation: &Allocation, status: &PodEniStatus) -> Result<AllocationView, Unusable> {
    let eni = &allocation.eni.id;
    // Upstream records a second address beside the IPv4 address of a dual-stack pod. The pod gets the first.
    let ip = allocation.addresses()?.first().copied();
    let cidr = ip
        .map(|ip| allocation.cidr(Family::of(ip)))
        .transpose()?
        .flatten();
    Ok(AllocationView {
        interface: allocation.interface.clone(),
        eni_id: eni.clone(),
        ip: ip.map(|ip| served_on(eni, ip)).transpose()?,
        cidr,
        carrier: carrier(eni, status)?,
        default_route: allocation.default_route,
        extra_routes: allocation
            .extra_routes
            .iter()
            .map(route)
            .collect::<Result<_, _>>()?,
    })
}

fn route(route: &Route) -> Result<IpNet, Unusable> {
    route.dst.parse().map_err(|_| Unusable::Route {
        text: route.dst.clone(),
    })
}

fn carrier(eni: &str, status: &PodEniStatus) -> Result<Option<Carrier<String>>, Unusable> {
    if status.trunk_eni_id.is_empty() {
        return Ok(Some(Carrier::Whole { nic: eni.to_owned() }));
    }
    let info = status.eni_infos.get(eni);
    let member = info.filter(|info| info.kind == Some(EniKind::Member));
    let Some(vid) = member.and_then(|info| info.vid) else {
        return Ok(None);
    };
    let vlan = u16::try_from(vid).ok().and_then(VlanId::new);
    let vlan = vlan.ok_or_else(|| Unusable::NoVlanId {
        eni: eni.to_owned(),
        vid: vid.into(),
    })?;
    let trunk = status.trunk_eni_id.clone();
    Ok(Some(Carrier::Member { trunk, vlan }))
}

/// The message of the control plane about the wait, and the last refusal of the cloud.
fn message(allocations: &[Allocation], status: &PodEniStatus) -> String {
    let refusals = allocations.iter().filter_map(|allocation| {
        let failure = allocation.creation.as_ref()?.last_error.as_ref()?;
        // A refusal of an ENI that exists now is out of date.
        allocation.eni.id.is_empty().then(|| {
            format!(
                "the cloud said {}: {} (request {})",
                failure.code, failure.message, failure.request_id
            )
        })
    });
    let own = Some(status.msg.clone()).filter(|text| !text.is_empty());
    own.into_iter().chain(refusals).collect::<Vec<_>>().join("; ")
}
