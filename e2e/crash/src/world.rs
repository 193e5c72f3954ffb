//! The simulated cloud of the crash tests: three nodes, two small nodes for shared ENIs, short latencies, no quotas,
//! and ENIs that are not ours.

use std::collections::BTreeMap;

use cloudsim::World;
use cloudsim::world::{ActionTiming, Instance, InstanceType, Latency, PresetEni, Quotas, Span};

/// Where everything is.
pub const REGION: &str = "cn-hangzhou";
pub const ZONE: &str = "cn-hangzhou-h";
pub const VPC: &str = "vpc-lab";
/// Type of the nodes, and the trunk members that pods of one can have.
pub const INSTANCE_TYPE: &str = "ecs.g7.2xlarge";
pub const MEMBERS: &str = "14";
/// Type of the nodes with pools: small, so that few pods fill an ENI. Its members, its ENIs beside the primary one, and
/// addresses of each.
pub const SMALL_TYPE: &str = "ecs.crash.small";
pub const SMALL_MEMBERS: &str = "4";
pub const SMALL_ENIS: usize = 3;
pub const SMALL_ADDRESSES: usize = 6;
/// vSwitches of trunks and of pods.
pub const NODE_VSWITCH: &str = "vsw-node-h";
pub const POD_VSWITCH: &str = "vsw-pod-h";
pub const DB_VSWITCH: &str = "vsw-db-h";
/// Cluster id that our ENIs are tagged with.
pub const CLUSTER: &str = "crash";
/// Access key of the control plane.
pub const ACCESS_KEY: &str = "lab-ak";
pub const ACCESS_SECRET: &str = "lab-sk";
/// How long the cloud takes to attach or detach.
pub const CHANGE_TAKES: Span = Span::millis(60);

/// Builds it.
pub fn world() -> World {
    let mut world = World::small();
    let third = Instance {
        id: "i-node3".into(),
        address: Some([10, 0, 0, 13].into()),
        primary_eni: Some("eni-node3".into()),
        ..world
            .instances
            .iter()
            .find(|instance| instance.id == "i-node2")
            .cloned()
            .unwrap_or_else(|| unreachable!("the example world has i-node2"))
    };
    let small = |name: &str, last| Instance {
        id: format!("i-{name}"),
        instance_type: SMALL_TYPE.into(),
        address: Some([10, 0, 0, last].into()),
        primary_eni: Some(format!("eni-{name}")),
        ..third.clone()
    };
    let (pool1, pool2) = (small("pool1", 14), small("pool2", 15));
    world.instances.extend([third, pool1, pool2]);
    world.instance_types.push(InstanceType {
        id: SMALL_TYPE.into(),
        eni_quantity: 4,
        eni_total_quantity: 8,
        private_ips_per_eni: 6,
        ipv6_per_eni: 6,
        trunk_supported: true,
        eri_quantity: 0,
        network_cards: 1,
        cpu: 2,
        memory_gib: 8,
    });
    world.network_interfaces = vec![foreign(&[]), foreign(&[("ack.aliyun.com", "another-cluster")])];
    world.latency = latency();
    world.quotas = Quotas::default();
    world
}

/// A free ENI beside those of the pods that nobody of ours made.
fn foreign(tags: &[(&str, &str)]) -> PresetEni {
    PresetEni {
        count: 1,
        v_switch: POD_VSWITCH.into(),
        security_groups: vec!["sg-web".into()],
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn latency() -> BTreeMap<String, ActionTiming> {
    let timing = |answer, done| ActionTiming {
        answer: Latency::Fixed(Span::millis(answer)),
        done: Latency::Fixed(done),
    };
    BTreeMap::from([
        ("default".to_owned(), timing(5, Span::default())),
        ("CreateNetworkInterface".to_owned(), timing(20, Span::default())),
        ("AttachNetworkInterface".to_owned(), timing(10, CHANGE_TAKES)),
        ("DetachNetworkInterface".to_owned(), timing(10, CHANGE_TAKES)),
        ("DeleteNetworkInterface".to_owned(), timing(10, Span::millis(20))),
        ("AssignPrivateIpAddresses".to_owned(), timing(15, Span::default())),
        (
            "UnassignPrivateIpAddresses".to_owned(),
            timing(15, Span::default()),
        ),
    ])
}
