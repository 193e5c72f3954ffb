//! Values for the tests of the decisions.

use netlink_packet_route::link::InfoKind;

use super::{
    MemberInterface, Sandbox,
    link::{Link, Links},
    ownership,
};

pub const TRUNK_MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];
pub const TRUNK: u32 = 3;

/// Pod `number`: address 10.0.16.`number`, VLAN 100 + `number`, host veth 10 + `number`.
pub fn member(number: u8) -> MemberInterface {
    MemberInterface {
        sandbox: Sandbox {
            container_id: format!("container{number}"),
            pod_uid: format!("uid{number}"),
            ifname: "eth0".into(),
        },
        namespace: "default".into(),
        pod_name: format!("web-{number}"),
        ip: [10, 0, 16, number].into(),
        vswitch_cidr: ipnet::Ipv4Net::new_assert([10, 0, 16, 0].into(), 22),
        vlan: 100 + u16::from(number),
        trunk_mac: TRUNK_MAC,
        trunk_gateway: [10, 0, 0, 253].into(),
        mtu: 1500,
        default_route: true,
        extra_routes: Vec::new(),
        host_stack_cidrs: Vec::new(),
    }
}

pub fn trunk() -> Link {
    Link {
        index: TRUNK,
        name: "eth1".into(),
        mac: Some(TRUNK_MAC),
        kind: None,
        up: true,
        loopback: false,
        mtu: 1500,
        alias: None,
        peer: None,
    }
}

pub fn veth(member: &MemberInterface) -> Link {
    let number = member.ip.octets()[3];
    Link {
        index: 10 + u32::from(number),
        name: ownership::host_ifname(&member.namespace, &member.pod_name, &member.sandbox.ifname),
        mac: Some(ownership::host_mac(&member.sandbox)),
        kind: Some(InfoKind::Veth),
        alias: Some(ownership::alias(&member.sandbox)),
        peer: Some(2),
        ..trunk()
    }
}

/// The trunk and the host veths of these members.
pub fn links(members: &[MemberInterface]) -> Links {
    Links(std::iter::once(trunk()).chain(members.iter().map(veth)).collect())
}
