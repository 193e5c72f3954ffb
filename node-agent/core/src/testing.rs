//! Values for the tests of the decisions.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    carrier::{Carrier, NicLink, VlanId},
    interface::{PodInterface, Sandbox},
    link::{Link, LinkKind, Links},
    ownership,
};

pub const TRUNK_MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];
pub const TRUNK: u32 = 3;
const NIC: NicLink = NicLink {
    mac: TRUNK_MAC,
    gateway: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 253)),
};

/// The same pod with another gateway of its NIC's vSwitch.
pub fn moved(pod: PodInterface) -> PodInterface {
    let gateway = IpAddr::from([10, 0, 0, 125]);
    PodInterface {
        carrier: pod.carrier.clone().map(|nic| NicLink { gateway, ..nic }),
        ..pod
    }
}

/// Pod `number`: address 10.0.16.`number`, VLAN 100 + `number`, host veth 10 + `number`.
pub fn member(number: u8) -> PodInterface {
    PodInterface {
        sandbox: Sandbox {
            container_id: format!("container{number}"),
            pod_uid: format!("uid{number}"),
            ifname: "eth0".into(),
            attachment: "eth0".into(),
        },
        namespace: "default".into(),
        pod_name: format!("web-{number}"),
        ip: IpAddr::from([10, 0, 16, number]),
        carrier: Carrier::Member {
            trunk: NIC,
            vlan: VlanId::new(100 + u16::from(number)).unwrap(),
        },
        mtu: 1500,
        default_route: true,
        extra_routes: Vec::new(),
        host_stack_cidrs: Vec::new(),
        shaped: false,
    }
}

/// The same pod with one of the NIC's own addresses.
pub fn shared(number: u8) -> PodInterface {
    PodInterface {
        carrier: Carrier::Shared { nic: NIC },
        ..member(number)
    }
}

pub fn trunk() -> Link {
    Link {
        index: TRUNK,
        name: "eth1".into(),
        mac: Some(TRUNK_MAC),
        kind: LinkKind::Device,
        up: true,
        loopback: false,
        mtu: 1500,
        alias: None,
        peer: None,
        peer_elsewhere: false,
        group: 0,
    }
}

pub fn veth(member: &PodInterface) -> Link {
    let IpAddr::V4(ip) = member.ip else {
        panic!("pods of these tests have IPv4 addresses");
    };
    let number = ip.octets()[3];
    Link {
        index: 10 + u32::from(number),
        name: ownership::host_ifname(&member.namespace, &member.pod_name, &member.sandbox.ifname),
        mac: Some(ownership::host_mac(&member.sandbox)),
        kind: LinkKind::Veth,
        alias: Some(ownership::alias(&member.sandbox)),
        mtu: member.mtu,
        peer: Some(2),
        peer_elsewhere: true,
        ..trunk()
    }
}

/// The trunk and the host veths of these members.
pub fn links(members: &[PodInterface]) -> Links {
    Links(std::iter::once(trunk()).chain(members.iter().map(veth)).collect())
}
