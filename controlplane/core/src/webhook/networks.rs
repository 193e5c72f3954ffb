//! The networks of a pod: their sources and the checks of them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use kube_core::ResourceExt;
use terway_crds::names::annotation;
use terway_crds::{EniType, NetworkRequest, PodNetwork, PodNetworking, PodNetworks, VSwitchSelectionPolicy};

use super::{Denial, allocation, matching};
use crate::carrier::Carrier;
use crate::cloud::MAX_SECURITY_GROUPS;
use crate::eni_config::{ConfigProblem, EniConfig};
use crate::podnetworking::{FIRST_INTERFACE, network_of};

/// Longest name of an interface, as in upstream's daemon.
const MAX_INTERFACE_NAME: usize = 5;

/// Networks, and the zones in which they have vSwitches (empty: anywhere).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Asked {
    pub networks: Vec<PodNetwork>,
    pub zones: BTreeSet<String>,
}

/// Networks that the pod's author wrote in full.
pub(super) fn written(text: &str) -> Result<Asked, Denial> {
    let parsed = PodNetworks::from_annotation(text).map_err(|error| Denial::BadAnnotation {
        annotation: annotation::POD_NETWORKS,
        problem: error.to_string(),
    })?;
    if parsed.pod_networks.is_empty() {
        return Err(Denial::NoNetwork(annotation::POD_NETWORKS));
    }
    Ok(Asked {
        networks: parsed.pod_networks,
        zones: BTreeSet::new(),
    })
}

/// Networks that the pod's author requested by name.
pub(super) fn requested<N: Borrow<PodNetworking>>(text: &str, known: &[N]) -> Result<Asked, Denial> {
    let requests = NetworkRequest::from_annotation(text).map_err(|error| Denial::BadAnnotation {
        annotation: annotation::POD_NETWORKS_REQUEST,
        problem: error.to_string(),
    })?;
    if requests.is_empty() {
        return Err(Denial::NoNetwork(annotation::POD_NETWORKS_REQUEST));
    }
    let found = requests
        .iter()
        .map(|request| usable(&request.network, known))
        .collect::<Result<Vec<&PodNetworking>, _>>()?;
    let names = || requests.iter().map(|request| request.network.clone()).collect();
    let kinds: BTreeSet<&EniType> = found.iter().map(|n| &n.spec.eni_options.eni_type).collect();
    if kinds.len() > 1 {
        return Err(Denial::MixedEniTypes { networks: names() });
    }
    let zones = common_zones(&found).ok_or_else(|| Denial::NoCommonZone { networks: names() })?;
    let networks = requests
        .into_iter()
        .zip(found)
        .map(|(request, networking)| PodNetwork {
            default_route: request.default_route,
            extra_routes: request.routes,
            ..network_of(networking, named_or_first(&request.interface_name))
        })
        .collect();
    Ok(Asked { networks, zones })
}

fn usable<'a, N: Borrow<PodNetworking>>(name: &str, known: &'a [N]) -> Result<&'a PodNetworking, Denial> {
    let networking = known
        .iter()
        .map(Borrow::borrow)
        .find(|networking| networking.name_any() == name)
        .ok_or_else(|| Denial::UnknownNetwork {
            network: name.to_owned(),
        })?;
    if !networking.spec.selector.is_empty() {
        return Err(Denial::NetworkHasSelector {
            network: name.to_owned(),
        });
    }
    matching::readiness(networking).map_err(|reason| Denial::NetworkNotReady {
        network: name.to_owned(),
        reason,
    })?;
    Ok(networking)
}

/// The zones that all PodNetworkings serve. `None` if they have zones and no zone in common.
fn common_zones(networkings: &[&PodNetworking]) -> Option<BTreeSet<String>> {
    let mut common: Option<BTreeSet<String>> = None;
    for zones in networkings
        .iter()
        .map(|n| zones_of(n))
        .filter(|zones| !zones.is_empty())
    {
        common = Some(match common {
            None => zones,
            Some(before) => before.intersection(&zones).cloned().collect(),
        });
    }
    match common {
        Some(zones) if zones.is_empty() => None,
        other => Some(other.unwrap_or_default()),
    }
}

/// The zones of the vSwitches that the PodNetworking names now.
fn zones_of(networking: &PodNetworking) -> BTreeSet<String> {
    let resolved = networking.status.iter().flat_map(|status| &status.vswitches);
    resolved
        .filter(|vswitch| networking.spec.vswitch_options.contains(&vswitch.id) && !vswitch.zone.is_empty())
        .map(|vswitch| vswitch.zone.clone())
        .collect()
}

/// The one network of a pod that a PodNetworking selects.
pub(super) fn selected(networking: &PodNetworking) -> Asked {
    Asked {
        networks: vec![network_of(networking, FIRST_INTERFACE)],
        zones: zones_of(networking),
    }
}

/// The one network of a pod that only asks for an ENI.
pub(super) fn plain() -> Asked {
    let network = PodNetwork {
        interface: FIRST_INTERFACE.to_owned(),
        ..PodNetwork::default()
    };
    Asked {
        networks: vec![network],
        zones: BTreeSet::new(),
    }
}

/// The interface of a request. A request without an interface is for the interface that every pod has.
fn named_or_first(name: &str) -> &str {
    if name.is_empty() { FIRST_INTERFACE } else { name }
}

/// Fills in the cluster's defaults and checks the networks.
pub(super) fn complete(
    networks: &mut [PodNetwork],
    defaults: Result<Option<&EniConfig>, &ConfigProblem>,
    owner_without_names: Option<&str>,
) -> Result<(), Denial> {
    for network in networks.iter_mut() {
        network.allocation_type.get_or_insert_default();
        let lacks = network.vswitch_options.is_empty() || network.security_group_ids.is_empty();
        if lacks && network.interface == FIRST_INTERFACE {
            take_defaults(network, defaults)?;
        }
        check(network, owner_without_names)?;
    }
    check_together(networks)
}

/// What carries the traffic of a pod's networks.
pub(super) fn carrier(networks: &[PodNetwork], enable_trunk: bool) -> Result<Carrier, Denial> {
    let mut carrier = Carrier::SharedNic;
    for network in networks {
        carrier = Carrier::asked(&network.eni_options.eni_type, enable_trunk).map_err(|problem| {
            Denial::NotServed {
                interface: network.interface.clone(),
                problem,
            }
        })?;
    }
    Ok(carrier)
}

fn take_defaults(
    network: &mut PodNetwork,
    defaults: Result<Option<&EniConfig>, &ConfigProblem>,
) -> Result<(), Denial> {
    let defaults = defaults.map_err(|problem| Denial::NoDefaults {
        interface: network.interface.clone(),
        problem: Box::new(problem.clone()),
    })?;
    let Some(defaults) = defaults else {
        return Ok(());
    };
    if network.vswitch_options.is_empty() {
        network.vswitch_options = defaults.all_vswitches();
    }
    if network.security_group_ids.is_empty() {
        network.security_group_ids.clone_from(&defaults.security_groups);
    }
    Ok(())
}

fn check(network: &PodNetwork, owner_without_names: Option<&str>) -> Result<(), Denial> {
    let name = network.interface.as_str();
    let interface = || name.to_owned();
    if name.is_empty() || name.len() > MAX_INTERFACE_NAME || !name.chars().all(|c| c.is_ascii_alphanumeric())
    {
        return Err(Denial::InterfaceName { name: interface() });
    }
    if network.vswitch_options.is_empty() {
        return Err(Denial::NoVSwitch {
            interface: interface(),
        });
    }
    if network.security_group_ids.is_empty() {
        return Err(Denial::NoSecurityGroup {
            interface: interface(),
        });
    }
    if network.security_group_ids.len() > MAX_SECURITY_GROUPS {
        let count = network.security_group_ids.len();
        return Err(Denial::TooManySecurityGroups {
            interface: interface(),
            count,
        });
    }
    if let EniType::Other(word) = &network.eni_options.eni_type {
        let (word, known) = (word.clone(), EniType::KNOWN);
        return Err(Denial::UnknownWord {
            interface: interface(),
            field: "eniType",
            word,
            known,
        });
    }
    if let VSwitchSelectionPolicy::Other(word) = &network.vswitch_select_options.policy {
        let (word, known) = (word.clone(), VSwitchSelectionPolicy::KNOWN);
        return Err(Denial::UnknownWord {
            interface: interface(),
            field: "vSwitchSelectionPolicy",
            word,
            known,
        });
    }
    let allocation = network.allocation_type.as_ref();
    if let (Some(owner), true) = (owner_without_names, allocation.is_some_and(|a| a.is_fixed())) {
        return Err(Denial::NameNotKept {
            interface: interface(),
            owner: owner.to_owned(),
        });
    }
    // The minimum applies to new PodNetworkings only. Pods of a workload that was written for a shorter time must still
    // be created.
    allocation
        .map_or(Ok(()), |allocation| allocation::check(allocation, Duration::ZERO))
        .map_err(|problem| Denial::Allocation {
            interface: interface(),
            problem,
        })?;
    match network
        .extra_routes
        .iter()
        .find(|route| route.dst.parse::<IpNet>().is_err())
    {
        Some(route) => Err(Denial::BadRoute {
            interface: interface(),
            dst: route.dst.clone(),
        }),
        None => Ok(()),
    }
}

fn check_together(networks: &[PodNetwork]) -> Result<(), Denial> {
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    for network in networks {
        if seen.insert(&network.interface, ()).is_some() {
            return Err(Denial::DuplicateInterface {
                name: network.interface.clone(),
            });
        }
    }
    let interfaces: Vec<String> = networks
        .iter()
        .filter(|n| n.default_route)
        .map(|n| n.interface.clone())
        .collect();
    if interfaces.len() > 1 {
        Err(Denial::TwoDefaultRoutes { interfaces })
    } else {
        Ok(())
    }
}
