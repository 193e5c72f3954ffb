//! The pod, the node and the vSwitches that most tests play with.

use serde_json::{Value, json};
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;

/// The living pod `shop/db-0` on node `n1`, which wants ENIs of its own.
pub(crate) fn pod() -> PodFacts {
    PodFacts {
        namespace: "shop".into(),
        name: "db-0".into(),
        uid: "uid-pod".into(),
        version: 1,
        node: "n1".into(),
        wants_pod_eni: true,
        ..PodFacts::default()
    }
}

/// The node `n1` in zone `h`, with a trunk.
pub(crate) fn node() -> NodeFacts {
    NodeFacts {
        name: "n1".into(),
        version: 1,
        zone: "h".into(),
        instance_id: "i-1".into(),
        trunk_on: Some("eni-trunk".into()),
        ..NodeFacts::default()
    }
}

/// A vSwitch as DescribeVSwitches tells it.
pub(crate) fn vswitch(id: &str, zone: &str, available: i64) -> Value {
    json!({
        "VSwitchId": id, "ZoneId": zone, "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24",
        "AvailableIpAddressCount": available,
    })
}
