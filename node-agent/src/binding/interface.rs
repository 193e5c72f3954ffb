//! Translates a binding into the interfaces for the datapath, and the made interfaces into the runtime's result.

use ipnet::IpNet;
use terway_cni_protocol::{Address, Attachment, Cidr, Interface, Network, Route};

use terway_address::{Family, full_prefix, vswitch_gateway};
use terway_node_core::{
    carrier::NicLink,
    interface::{PodInterface, Realised, Sandbox},
};

use super::{Binding, BoundInterface};
use crate::cluster::PodKey;
use crate::settings::Settings;

/// The interfaces of a sandbox for the datapath. The interface that the runtime names is the first.
pub fn interfaces(
    binding: &Binding,
    pod: &PodKey,
    uid: &str,
    attachment: &Attachment,
    settings: &Settings,
) -> Vec<PodInterface> {
    let want = |interface: &BoundInterface| {
        let mut extra_routes = interface.extra_routes.clone();
        if interface.name.is_none() {
            extra_routes.extend(&settings.extra_routes);
        }
        PodInterface {
            sandbox: Sandbox {
                container_id: attachment.container_id.clone(),
                pod_uid: uid.to_owned(),
                ifname: interface
                    .name
                    .clone()
                    .unwrap_or_else(|| attachment.ifname.clone()),
                attachment: attachment.ifname.clone(),
            },
            namespace: pod.namespace.clone(),
            pod_name: pod.name.clone(),
            ip: interface.ip,
            carrier: interface.carrier.clone().map(|eni| NicLink {
                mac: eni.mac,
                gateway: vswitch_gateway(eni.cidr),
            }),
            mtu: settings.mtu,
            default_route: interface.default_route,
            extra_routes,
            host_stack_cidrs: settings.host_stack_cidrs.clone(),
            shaped: binding.shaped,
        }
    };
    binding.interfaces.iter().map(want).collect()
}

/// The runtime's result for the interfaces that were made.
pub fn network(made: &[(PodInterface, Realised)]) -> Network {
    let mut network = Network::default();
    for (want, realised) in made {
        let family = Family::of(want.ip);
        let gateway = Some(family.pod_gateway());
        let interface = |name: &str, mac: [u8; 6], in_sandbox| Interface {
            name: name.to_owned(),
            mac: mac_text(mac),
            mtu: realised.mtu,
            in_sandbox,
        };
        network
            .interfaces
            .push(interface(&realised.host_ifname, realised.host_mac, false));
        network
            .interfaces
            .push(interface(&want.sandbox.ifname, realised.pod_mac, true));
        network.addresses.push(Address {
            address: cidr(full_prefix(want.ip)),
            gateway,
            interface: network.interfaces.len() - 1,
        });
        let default = want.default_route.then(|| family.anywhere());
        let destinations = default.iter().chain(&want.extra_routes);
        network.routes.extend(destinations.map(|destination| Route {
            dst: cidr(*destination),
            gateway,
        }));
    }
    network
}

/// A network as the runtime is told of it.
pub fn cidr(net: IpNet) -> Cidr {
    Cidr {
        address: net.addr(),
        prefix: net.prefix_len(),
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
