//! The cloud of the crash tests: three instances, two small ones for pools, short latencies, no quotas, and foreign
//! ENIs.

use std::collections::BTreeMap;

use cloudsim::World;
use cloudsim::world::{ActionTiming, Instance, InstanceType, Latency, PresetEni, Quotas, Span};

/// The place of all instances and vSwitches.
pub const REGION: &str = "cn-hangzhou";
pub const ZONE: &str = "cn-hangzhou-h";
pub const VPC: &str = "vpc-lab";
/// Instance type of the usual nodes, and how many trunk members one of them can have.
pub const INSTANCE_TYPE: &str = "ecs.g7.2xlarge";
pub const MEMBERS: &str = "14";
/// Instance type of the nodes whose pools grow and shrink, and how many trunk members one of them can have. The type is
/// small, so that few pods fill an ENI.
pub const SMALL_TYPE: &str = "ecs.crash.small";
pub const SMALL_MEMBERS: &str = "4";
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

/// Builds the cloud.
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

/// How many ENIs an instance can have beside its primary one, and how many addresses each ENI. Zero for an instance
/// that the cloud does not have.
pub fn room(instance: &str) -> [usize; 2] {
    let world = world();
    let is_type = |known: &&InstanceType| {
        let mut instances = world.instances.iter();
        instances.any(|it| it.id == instance && it.instance_type == known.id)
    };
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let found = world.instance_types.iter().find(is_type);
    found.map_or([0, 0], |limits| {
        [size(limits.eni_quantity) - 1, size(limits.private_ips_per_eni)]
    })
}

/// A free ENI in the vSwitch of the pods that the control plane did not make.
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
