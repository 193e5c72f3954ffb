//! Decides which network a pod gets, from the objects of the API server alone.
//!
//! [`decide`] returns the network, or the reason of a wait, or the reason why the pod gets none.

mod interface;
mod reason;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;
use terway_crds::Phase;
use terway_node_core::{carrier::Carrier, ownership::FIRST_INTERFACE};

use crate::cluster::{
    AllocationView, AttachedEni, ClusterView, NodeView, PodEniView, PodKey, PodView, SharedAddress, Unusable,
};

pub use interface::{cidr, interfaces, network};
pub use reason::{Refusal, Wait};

/// A pod's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The pod's interfaces. The runtime names the first of them.
    pub interfaces: Vec<BoundInterface>,
    /// Whether a plugin of the chain may limit the rate at which the pod sends.
    pub shaped: bool,
}

/// One interface of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundInterface {
    /// Name in the pod; `None` for the interface that the runtime names.
    pub name: Option<String>,
    /// The pod's address.
    pub ip: IpAddr,
    /// What carries the address.
    pub carrier: Carrier<AttachedEni>,
    /// Whether the pod's default route leaves by this interface. Exactly one interface of a pod has it.
    pub default_route: bool,
    /// Further destinations that the pod reaches through this interface.
    pub extra_routes: Vec<IpNet>,
}

/// The decision about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pod has this network. The ADD makes it.
    Ready(Binding),
    /// The pod has no network yet, for this reason.
    Wait(Wait),
    /// The pod, as it is now, never gets a network.
    Refuse(Refusal),
}

/// Decides about a pod. `pod` is the pod of the sandbox, with its exact UID. `pod_eni` is the PodENI of the same name;
/// that PodENI may be for another pod.
pub fn decide(pod: &PodView, pod_eni: Option<&PodEniView>, node: Option<&NodeView>) -> Decision {
    if let Some(pod_eni) = pod_eni.filter(|pod_eni| pod_eni.pod_uid == pod.uid) {
        // A PodENI for this pod counts even if the pod has no annotation. On a node with exclusive ENIs the control
        // plane makes PodENIs for all pods. It also counts while it is being deleted: the control plane keeps it, and
        // its ENIs, until the pod is gone.
        return bound(pod_eni, node, pod.shaped);
    }
    if pod.ignored {
        return Decision::Refuse(Refusal::Ignored { pod: pod.key.clone() });
    }
    if !pod.wants_eni {
        return shared(pod, node);
    }
    if pod.deleting {
        // The control plane makes no PodENI for a pod that is being deleted.
        return Decision::Refuse(Refusal::PodDeleting { pod: pod.key.clone() });
    }
    Decision::Wait(match pod_eni {
        None => Wait::NoPodEni { pod: pod.key.clone() },
        Some(other) if other.deleting => Wait::Deleting {
            pod: pod.key.clone(),
            message: other.message.clone(),
        },
        Some(other) => Wait::OtherUid {
            pod: pod.key.clone(),
            uid: other.pod_uid.clone(),
            phase: other.phase.clone(),
            message: other.message.clone(),
        },
    })
}

/// The network that a PodENI has given to a running sandbox, for its repair. Unlike [`decide`], this function ignores
/// the phase and the deletion of the PodENI: a running sandbox keeps its network until its end.
fn existing(pod_eni: &PodEniView, node: Option<&NodeView>, shaped: bool) -> Option<Binding> {
    match realisable(pod_eni, node, shaped) {
        Decision::Ready(binding) => Some(binding),
        Decision::Wait(_) | Decision::Refuse(_) => None,
    }
}

/// The network of the running pod with this UID, and the pod's name; `None` while no object describes the network.
pub fn of_running(uid: &str, state: &ClusterView) -> Option<(PodKey, Binding)> {
    let shaped = state.pod_with_uid(uid).is_some_and(|pod| pod.shaped);
    if let Some(pod_eni) = state.pod_eni_for(uid) {
        return Some((pod_eni.key.clone(), existing(pod_eni, state.node(), shaped)?));
    }
    let shared = state.node()?.shared.get(uid)?;
    let (namespace, name) = shared.pod_id.split_once('/')?;
    let address = shared.address.as_ref().ok()?;
    Some((PodKey::new(namespace, name), of_shared(address, shaped)))
}

/// The network of a pod with a shared address.
fn of_shared(address: &SharedAddress, shaped: bool) -> Binding {
    Binding {
        interfaces: vec![BoundInterface {
            name: None,
            ip: address.ip,
            carrier: Carrier::Shared {
                nic: address.eni.clone(),
            },
            default_route: true,
            extra_routes: Vec::new(),
        }],
        shaped,
    }
}

/// A pod without ENIs of its own gets the shared address that the control plane has bound to its UID.
fn shared(pod: &PodView, node: Option<&NodeView>) -> Decision {
    let key = pod.key.clone();
    let bound = node.and_then(|node| node.shared.get(&pod.uid));
    match (bound, node) {
        (Some(bound), _) => match &bound.address {
            Ok(address) => Decision::Ready(of_shared(address, pod.shaped)),
            // The ENI may not be attached yet.
            Err(why) => Decision::Wait(Wait::NoAddress {
                pod: key,
                why: vec![why.to_string()],
            }),
        },
        (None, _) if pod.deleting => Decision::Refuse(Refusal::PodDeleting { pod: key }),
        (None, None) => Decision::Wait(Wait::NoNode),
        (
            None,
            Some(NodeView {
                no_shared: Some(why), ..
            }),
        ) => Decision::Refuse(Refusal::NoSharedEni {
            pod: key,
            why: why.clone(),
        }),
        (None, Some(node)) => Decision::Wait(Wait::NoAddress {
            pod: key,
            why: node.troubles.clone(),
        }),
    }
}

fn bound(pod_eni: &PodEniView, node: Option<&NodeView>, shaped: bool) -> Decision {
    if pod_eni.phase == Phase::Bind {
        return realisable(pod_eni, node, shaped);
    }
    let (phase, message) = (pod_eni.phase.clone(), pod_eni.message.clone());
    Decision::Wait(Wait::Phase {
        pod: pod_eni.key.clone(),
        phase,
        message,
    })
}

fn realisable(pod_eni: &PodEniView, node: Option<&NodeView>, shaped: bool) -> Decision {
    let pod = pod_eni.key.clone();
    let allocations = match &pod_eni.allocations {
        Ok(allocations) => allocations,
        // The control plane may still correct the object.
        Err(why) => {
            return Decision::Wait(Wait::Unusable {
                pod,
                why: why.clone(),
            });
        }
    };
    let trunk = match trunk_of(pod, allocations, node) {
        Ok(trunk) => trunk,
        Err(instead) => return instead,
    };
    let pod = pod_eni.key.clone();
    match of_members(allocations, trunk) {
        Ok(interfaces) => Decision::Ready(Binding { interfaces, shaped }),
        Err(why) => Decision::Wait(Wait::Unusable { pod, why }),
    }
}

/// This node's trunk, if it carries the allocations. A whole NIC is refused here, and nowhere else.
fn trunk_of<'a>(
    pod: PodKey,
    allocations: &[AllocationView],
    node: Option<&'a NodeView>,
) -> Result<&'a AttachedEni, Decision> {
    let carriers = || {
        allocations
            .iter()
            .filter_map(|allocation| allocation.carrier.as_ref())
    };
    if carriers().any(|carrier| matches!(carrier, Carrier::Whole { .. })) {
        return Err(Decision::Refuse(Refusal::WholeNic { pod }));
    }
    let node = node.ok_or(Decision::Wait(Wait::NoNode))?;
    let trunk = node.trunk.as_ref();
    let trunk = trunk.map_err(|why| Decision::Wait(Wait::NoTrunk { why: why.clone() }))?;
    match carriers().find(|carrier| *carrier.nic() != trunk.eni_id) {
        Some(other) => Err(Decision::Wait(Wait::OtherTrunk {
            pod,
            has: trunk.eni_id.clone(),
            wants: other.nic().clone(),
        })),
        None => Ok(trunk),
    }
}

fn of_members(allocations: &[AllocationView], trunk: &AttachedEni) -> Result<Vec<BoundInterface>, Unusable> {
    let interfaces = allocations.iter().map(|allocation| of_member(allocation, trunk));
    let mut interfaces = interfaces.collect::<Result<Vec<_>, _>>()?;
    let Some(first) = interfaces.iter().position(|interface| interface.name.is_none()) else {
        return Err(Unusable::NoFirstInterface {
            name: FIRST_INTERFACE,
        });
    };
    interfaces.swap(0, first);
    let names = interfaces.iter().map(|interface| interface.name.as_deref());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Unusable::SameInterface);
    }
    let default_routes = interfaces.iter().filter(|interface| interface.default_route);
    match default_routes.count() {
        0 => interfaces[0].default_route = true,
        1 => {}
        _ => return Err(Unusable::SeveralDefaultRoutes),
    }
    Ok(interfaces)
}

fn of_member(allocation: &AllocationView, trunk: &AttachedEni) -> Result<BoundInterface, Unusable> {
    let eni = || allocation.eni_id.clone();
    let missing = |what| Unusable::Incomplete { eni: eni(), what };
    let ip = allocation.ip.ok_or_else(|| missing("ipv4"))?;
    let cidr = allocation.cidr.ok_or_else(|| missing("ipv4CIDR"))?;
    if !cidr.contains(&ip) {
        return Err(Unusable::OutsideCidr { eni: eni(), ip, cidr });
    }
    let carrier = allocation.carrier.clone();
    let carrier = carrier.ok_or_else(|| missing("VLAN id in status.eniInfos"))?;
    let named = !matches!(allocation.interface.as_str(), "" | FIRST_INTERFACE);
    Ok(BoundInterface {
        name: named.then(|| allocation.interface.clone()),
        ip,
        carrier: carrier.map(|_| trunk.clone()),
        default_route: allocation.default_route,
        extra_routes: allocation.extra_routes.clone(),
    })
}
