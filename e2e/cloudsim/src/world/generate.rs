//! Large worlds for scale tests: any number of instances, and free ENIs that carry the
//! tags of a cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::clock::ClockSetting;

use super::{
    Credential, FabricRules, GroupKind, Instance, InstanceType, PresetEni, Quotas, Rules, SecurityGroup,
    Staleness, VSwitch, Vpc, World,
};
use crate::world::security_group::Policy;

/// Size of a generated world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub nodes: u32,
    /// Free ENIs that exist from the start.
    pub enis: u32,
}

const ZONE: &str = "cn-hangzhou-h";
/// Number of usable addresses of a /16 vSwitch.
const PER_VSWITCH: u32 = 65_536 - 6;

/// A world with `size.nodes` instances `i-node1`, … of type ecs.g7.2xlarge, and vSwitches `vsw-node-1`, …, `vsw-pod-1`,
/// … with room for twice the requested ENIs. It has no latencies and no quotas.
pub fn generate(size: Size) -> World {
    let node_vswitches = size.nodes.div_ceil(PER_VSWITCH).max(1);
    let pod_vswitches = (size.enis.saturating_mul(2)).div_ceil(PER_VSWITCH).max(1);
    let mut blocks = (0u32..).map(|n| ipv4_block(n * 65_536));
    let mut v_switches = Vec::new();
    for (kind, count) in [("node", node_vswitches), ("pod", pod_vswitches)] {
        for (index, cidr) in (1..=count).zip(&mut blocks) {
            v_switches.push(VSwitch {
                id: format!("vsw-{kind}-{index}"),
                vpc: "vpc-lab".into(),
                zone: ZONE.into(),
                cidr,
                withheld: 0,
                ipv6_cidr: None,
                reserved_cidrs: Vec::new(),
            });
        }
    }
    World {
        region: "cn-hangzhou".into(),
        account_id: "1234567890123456".into(),
        credentials: vec![Credential {
            access_key_id: "lab-ak".into(),
            access_key_secret: "lab-sk".into(),
        }],
        ram_roles: Vec::new(),
        vpcs: vec![Vpc {
            id: "vpc-lab".into(),
            cidr: ipv4_vpc(),
        }],
        v_switches,
        security_groups: ["sg-node", "sg-web"].map(open_group).into(),
        instance_types: vec![g7_2xlarge()],
        instances: (1..=size.nodes)
            .map(|n| node(n, (n - 1) / PER_VSWITCH + 1))
            .collect(),
        network_interfaces: presets(size.enis, pod_vswitches),
        hosts: Vec::new(),
        latency: BTreeMap::new(),
        staleness: Staleness::default(),
        clock: ClockSetting::default(),
        quotas: Quotas::default(),
        rules: Rules::default(),
        fabric: FabricRules::default(),
        faults: Vec::new(),
    }
}

fn ipv4_block(offset: u32) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + offset), 16)
}

fn ipv4_vpc() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)
}

fn open_group(id: &str) -> SecurityGroup {
    SecurityGroup {
        id: id.into(),
        vpc: "vpc-lab".into(),
        kind: GroupKind::Basic,
        inner_access_policy: Policy::Accept,
        ingress: Vec::new(),
        egress: Vec::new(),
        max_addresses: None,
    }
}

fn g7_2xlarge() -> InstanceType {
    InstanceType {
        id: "ecs.g7.2xlarge".into(),
        eni_quantity: 4,
        eni_total_quantity: 18,
        private_ips_per_eni: 15,
        ipv6_per_eni: 15,
        trunk_supported: true,
        eri_quantity: 0,
        network_cards: 1,
        cpu: 8,
        memory_gib: 32,
    }
}

fn node(number: u32, vswitch: u32) -> Instance {
    Instance {
        id: format!("i-node{number}"),
        instance_type: "ecs.g7.2xlarge".into(),
        v_switch: format!("vsw-node-{vswitch}"),
        address: None,
        primary_eni: Some(format!("eni-node{number}")),
        security_groups: vec!["sg-node".into()],
        ram_role: None,
        metadata_token_required: false,
        tags: BTreeMap::new(),
    }
}

fn presets(enis: u32, vswitches: u32) -> Vec<PresetEni> {
    (0..vswitches)
        .map(|index| {
            let count = enis / vswitches + u32::from(index < enis % vswitches);
            PresetEni {
                count,
                v_switch: format!("vsw-pod-{}", index + 1),
                security_groups: vec!["sg-web".into()],
                tags: BTreeMap::from([("creator".into(), "terway-controller".into())]),
            }
        })
        .filter(|preset| preset.count > 0)
        .collect()
}
