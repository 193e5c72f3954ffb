//! The simulated cloud of the benchmarks.

use std::collections::BTreeMap;

use cloudsim::World;
use cloudsim::world::generate::{Size, generate};
use cloudsim::world::{ActionTiming, Latency, Quotas as WorldQuotas, Span};

use crate::args::Quotas;

/// Names in the generated world.
pub const REGION: &str = "cn-hangzhou";
pub const ZONE: &str = "cn-hangzhou-h";
pub const VPC: &str = "vpc-lab";
pub const NODE_VSWITCH: &str = "vsw-node-1";
pub const POD_VSWITCH: &str = "vsw-pod-1";
pub const NODE_GROUP: &str = "sg-node";
pub const POD_GROUP: &str = "sg-web";
pub const INSTANCE_TYPE: &str = "ecs.g7.2xlarge";
/// Whole ENIs an instance can have, its primary one included.
const ENI_QUANTITY: u32 = 8;

/// A cloud with the latencies that upstream was measured with. Each of its `nodes` has room for `members` pods with
/// ENIs of their own.
pub fn world(nodes: usize, members: usize, quotas: Quotas) -> World {
    let mut world = generate(Size {
        nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
        enis: 0,
    });
    for limits in &mut world.instance_types {
        limits.eni_quantity = ENI_QUANTITY;
        limits.eni_total_quantity = ENI_QUANTITY + u32::try_from(members).unwrap_or(u32::MAX / 2);
    }
    let answer = |ms| Latency::Fixed(Span::millis(ms));
    let timing = |ms, done| ActionTiming {
        answer: answer(ms),
        done: answer(done),
    };
    world.latency = BTreeMap::from([
        ("default".to_owned(), timing(60, 0)),
        ("CreateNetworkInterface".to_owned(), timing(250, 0)),
        ("AttachNetworkInterface".to_owned(), timing(200, 1_500)),
        ("DetachNetworkInterface".to_owned(), timing(200, 1_000)),
        ("DeleteNetworkInterface".to_owned(), timing(150, 0)),
        ("AssignPrivateIpAddresses".to_owned(), timing(250, 0)),
        ("UnassignPrivateIpAddresses".to_owned(), timing(250, 0)),
    ]);
    if quotas == Quotas::Default {
        world.quotas = WorldQuotas {
            default_per_minute: Some(500),
            per_minute: terway_cloud::Action::ALL
                .into_iter()
                .map(|action| (action.name().to_owned(), action.default_per_minute()))
                .collect(),
            network_interfaces: None,
        };
    }
    world
}

/// Instance of a node, counted from 1.
pub fn instance(number: usize) -> String {
    format!("i-node{number}")
}
