//! The part of a PodENI that matters here, with its texts parsed once.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use terway_crds::names::annotation;
use terway_crds::{Allocation, EniKind, Phase, PodEni, PodEniStatus};

use super::PodKey;

/// A PodENI.
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
    /// Id of the trunk that the ENIs are members of; empty when they are attached directly.
    pub trunk: String,
    /// The control plane's words, and the cloud's last refusal.
    pub message: String,
    /// One entry for each interface, or what is wrong with the object.
    pub allocations: Result<Vec<AllocationView>, String>,
}

/// One interface of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocationView {
    /// Name in the pod; empty for the one that the runtime names.
    pub interface: String,
    /// ENI id; empty until the cloud has made it.
    pub eni_id: String,
    /// The address, once known.
    pub ipv4: Option<Ipv4Addr>,
    /// The vSwitch's CIDR, once known.
    pub cidr: Option<Ipv4Net>,
    /// VLAN id on the trunk, once attached as a member.
    pub vlan: Option<u16>,
    /// Whether the pod's default route leaves by it.
    pub default_route: bool,
    /// Further destinations reached through it.
    pub extra_routes: Vec<Ipv4Net>,
}

impl PodEniView {
    /// The view of an object.
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
            trunk: status.trunk_eni_id,
            allocations,
        }
    }

    /// The view of an object that cannot be decoded. It keeps its place, so that the pod's error says
    /// why it waits.
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
            allocations: Err(format!("the object cannot be decoded: {}", invalid.error)),
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
            trunk: String::new(),
            message: String::new(),
            allocations: Ok(Vec::new()),
        }
    }
}

fn view(allocation: &Allocation, status: &PodEniStatus) -> Result<AllocationView, String> {
    let info = status
        .eni_infos
        .get(&allocation.eni.id)
        .filter(|info| info.kind == Some(EniKind::Member));
    let vlan = info
        .and_then(|info| info.vid)
        .map(|vid| match u16::try_from(vid) {
            Ok(vlan @ 1..=4094) => Ok(vlan),
            _ => Err(format!("vid {vid} of {} is no VLAN id", allocation.eni.id)),
        })
        .transpose()?;
    let routes = allocation
        .extra_routes
        .iter()
        .map(|route| parse::<Ipv4Net>("extraRoutes", &route.dst));
    Ok(AllocationView {
        interface: allocation.interface.clone(),
        eni_id: allocation.eni.id.clone(),
        ipv4: optional("ipv4", &allocation.ipv4)?,
        cidr: optional("ipv4CIDR", &allocation.ipv4_cidr)?,
        vlan,
        default_route: allocation.default_route,
        extra_routes: routes.collect::<Result<_, _>>()?,
    })
}

fn optional<T: std::str::FromStr>(key: &str, text: &str) -> Result<Option<T>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(key, text).map(Some)
    }
}

fn parse<T: std::str::FromStr>(key: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{key} {text:?} cannot be parsed"))
}

/// What the control plane says about the wait, and what the cloud said last.
fn message(allocations: &[Allocation], status: &PodEniStatus) -> String {
    let refusals = allocations.iter().filter_map(|allocation| {
        let failure = allocation.creation.as_ref()?.last_error.as_ref()?;
        // An ENI that exists is past its refusals.
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
