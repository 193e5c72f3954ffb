//! Which network a pod is to have: decided from what the API server says, and nothing else.
//!
//! [`decide`] is the whole decision: the network, or what is waited for, or why there will be none.

mod interface;
mod reason;

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use terway_crds::Phase;

use crate::world::{AllocationView, Nic, NodeView, PodEniView, PodKey, PodView, SharedAddress, State};

pub use interface::{interfaces, network};
pub use reason::{Refusal, Wait};

/// Name of the interface that an allocation without one means.
const FIRST_INTERFACE: &str = "eth0";

/// A pod's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The ENI that carries it: the trunk of its members, or the shared ENI that its address is of.
    pub nic: Nic,
    /// Its interfaces; the first is the one that the runtime names.
    pub interfaces: Vec<BoundInterface>,
    /// Whether a plugin of the chain may limit what the pod sends.
    pub shaped: bool,
}

/// One interface of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundInterface {
    /// Name in the pod; none for the one that the runtime names.
    pub name: Option<String>,
    /// The address.
    pub ip: Ipv4Addr,
    /// VLAN id on the trunk; none for an address of the NIC itself.
    pub vlan: Option<u16>,
    /// Whether the pod's default route leaves by it. Exactly one interface has it.
    pub default_route: bool,
    /// Further destinations reached through it.
    pub extra_routes: Vec<Ipv4Net>,
}

/// What is to be done for a pod now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Realise this.
    Ready(Binding),
    /// Not yet.
    Wait(Wait),
    /// Never, for this pod as it is.
    Refuse(Refusal),
}

/// Decide for a pod. `pod` is the pod that the sandbox was made for, with its exact UID; `pod_eni` is
/// the PodENI of its name, whatever pod that one is for.
pub fn decide(pod: &PodView, pod_eni: Option<&PodEniView>, node: Option<&NodeView>) -> Decision {
    if let Some(pod_eni) = pod_eni.filter(|pod_eni| pod_eni.pod_uid == pod.uid && !pod_eni.deleting) {
        // A PodENI that is for this pod counts even where the annotation does not say so: the
        // control plane has its own reasons (nodes with exclusive ENIs).
        return bound(pod_eni, node, pod.shaped);
    }
    if pod.ignored {
        return Decision::Refuse(Refusal::Ignored { pod: pod.key.clone() });
    }
    if !pod.wants_eni {
        return shared(pod, node);
    }
    if pod.deleting {
        // The control plane makes nothing for a pod that is on its way out.
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

/// The network that a running sandbox was given by a PodENI, to repair it by. Unlike [`decide`] it asks
/// neither for the phase nor for a living PodENI: what runs keeps its network until its sandbox goes.
fn existing(pod_eni: &PodEniView, node: Option<&NodeView>, shaped: bool) -> Option<Binding> {
    match realisable(pod_eni, node, shaped) {
        Decision::Ready(binding) => Some(binding),
        Decision::Wait(_) | Decision::Refuse(_) => None,
    }
}

/// The network of the running pod with this UID, and the pod's name; none while nothing describes it.
pub fn of_running(uid: &str, state: &State) -> Option<(PodKey, Binding)> {
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
        nic: address.nic.clone(),
        interfaces: vec![BoundInterface {
            name: None,
            ip: address.ip,
            vlan: None,
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
            // It may only not be attached yet.
            Err(why) => Decision::Wait(Wait::NoAddress {
                pod: key,
                why: vec![why.clone()],
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
        // The control plane may still write it right.
        Err(why) => {
            return Decision::Wait(Wait::Unusable {
                pod,
                why: why.clone(),
            });
        }
    };
    if pod_eni.trunk.is_empty() {
        return Decision::Refuse(Refusal::NotAMember { pod });
    }
    let trunk = match node {
        None => return Decision::Wait(Wait::NoNode),
        Some(NodeView {
            trunk: None,
            trunk_missing,
            ..
        }) => {
            return Decision::Wait(Wait::NoTrunk {
                why: trunk_missing.clone(),
            });
        }
        Some(NodeView {
            trunk: Some(trunk), ..
        }) => trunk,
    };
    if trunk.eni_id != pod_eni.trunk {
        let (has, wants) = (trunk.eni_id.clone(), pod_eni.trunk.clone());
        return Decision::Wait(Wait::OtherTrunk { pod, has, wants });
    }
    match of_members(allocations) {
        Ok(interfaces) => Decision::Ready(Binding {
            nic: trunk.clone(),
            interfaces,
            shaped,
        }),
        Err(why) => Decision::Wait(Wait::Unusable { pod, why }),
    }
}

fn of_members(allocations: &[AllocationView]) -> Result<Vec<BoundInterface>, String> {
    let mut interfaces = allocations.iter().map(of_member).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = interfaces.iter().position(|interface| interface.name.is_none()) else {
        return Err(format!("no allocation is for {FIRST_INTERFACE}"));
    };
    interfaces.swap(0, first);
    let mut names: Vec<_> = interfaces
        .iter()
        .map(|interface| interface.name.as_deref())
        .collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("two allocations are for the same interface".to_owned());
    }
    match interfaces
        .iter()
        .filter(|interface| interface.default_route)
        .count()
    {
        0 => interfaces[0].default_route = true,
        1 => {}
        _ => return Err("more than one allocation has the default route".to_owned()),
    }
    Ok(interfaces)
}

fn of_member(allocation: &AllocationView) -> Result<BoundInterface, String> {
    let missing = |what: &str| format!("the allocation of ENI {:?} has no {what}", allocation.eni_id);
    let cidr = allocation.cidr.ok_or_else(|| missing("ipv4CIDR"))?;
    let ip = allocation.ipv4.ok_or_else(|| missing("ipv4"))?;
    if !cidr.contains(&ip) {
        return Err(format!(
            "the address {ip} of ENI {} is not in {cidr}",
            allocation.eni_id
        ));
    }
    let named = !matches!(allocation.interface.as_str(), "" | FIRST_INTERFACE);
    Ok(BoundInterface {
        name: named.then(|| allocation.interface.clone()),
        ip,
        vlan: Some(
            allocation
                .vlan
                .ok_or_else(|| missing("VLAN id in status.eniInfos"))?,
        ),
        default_route: allocation.default_route,
        extra_routes: allocation.extra_routes.clone(),
    })
}
