//! From a binding to what the datapath is asked for, and to what the runtime is told.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use terway_cni_protocol::{Address, Attachment, Cidr, Interface, Network, Route};

use super::{Binding, BoundInterface};
use crate::datapath::{PodInterface, Realised, Sandbox};
use crate::settings::Settings;
use crate::world::PodKey;

/// The next hop inside every pod: answered by the host's end of the veth.
const LINK_LOCAL_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The interfaces of a sandbox, as the datapath is asked for them, the runtime's first.
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
            vlan: interface.vlan,
            nic_mac: binding.nic.mac,
            nic_gateway: gateway(binding.nic.cidr),
            mtu: settings.mtu,
            default_route: interface.default_route,
            extra_routes,
            host_stack_cidrs: settings.host_stack_cidrs.clone(),
            shaped: binding.shaped,
        }
    };
    binding.interfaces.iter().map(want).collect()
}

/// The gateway of a vSwitch: the third-last address of its CIDR, by the cloud's rule.
fn gateway(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.broadcast()).saturating_sub(2))
}

/// What the runtime is told about the interfaces that were made.
pub fn network(made: &[(PodInterface, Realised)]) -> Network {
    let mut network = Network::default();
    let gateway = Some(IpAddr::V4(LINK_LOCAL_GATEWAY));
    for (want, realised) in made {
        let interface = |name: &str, mac: [u8; 6], in_sandbox| Interface {
            name: name.to_owned(),
            mac: mac_text(mac),
            mtu: want.mtu,
            in_sandbox,
        };
        network
            .interfaces
            .push(interface(&realised.host_ifname, realised.host_mac, false));
        network
            .interfaces
            .push(interface(&want.sandbox.ifname, realised.pod_mac, true));
        network.addresses.push(Address {
            address: Cidr {
                address: want.ip.into(),
                prefix: 32,
            },
            gateway,
            interface: network.interfaces.len() - 1,
        });
        let default = want.default_route.then(Ipv4Net::default);
        network
            .routes
            .extend(default.iter().chain(&want.extra_routes).map(|dst| Route {
                dst: Cidr {
                    address: dst.addr().into(),
                    prefix: dst.prefix_len(),
                },
                gateway,
            }));
    }
    network
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
