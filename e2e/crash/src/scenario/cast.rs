//! Who plays: nodes and pods of every kind that the control plane serves, in two plays, and a node whose machine is
//! replaced in a third.

use std::time::Duration;

use serde_json::json;

use super::pod::{elastic, fixed, for_ever, usual};
use super::{Act, Actor, Ending, Farewell, NodeActor, PodActor, PoolActor, SharedPods, network};
use crate::settings::{PLAIN, POOLED};
use crate::world;

/// What is played in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    /// Pods with ENIs of their own; the pools of their nodes rest.
    Members,
    /// Ordinary pods on shared ENIs, and a trunk that has both kinds.
    Shared,
    /// A node of both kinds of pods that is lost and comes back under its name, on another instance.
    Replaced,
}

impl Play {
    /// Those whose every call is killed.
    pub const ALL: [Play; 2] = [Play::Members, Play::Shared];

    /// What names of runs begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Play::Members => "",
            Play::Shared => "shared:",
            Play::Replaced => "replaced:",
        }
    }

    /// How long an actor waits for one thing. A pool that found every vSwitch full is looked at again after half a
    /// minute.
    pub fn patience(self) -> Duration {
        match self {
            Play::Members => Duration::from_secs(30),
            Play::Shared | Play::Replaced => Duration::from_secs(60),
        }
    }

    /// The actions of its calls that change the cloud.
    pub fn mutating(self) -> &'static [&'static str] {
        match self {
            Play::Members => &MUTATING[..4],
            Play::Shared | Play::Replaced => &MUTATING,
        }
    }

    /// Who plays.
    pub fn cast(self) -> Vec<Box<dyn Actor>> {
        match self {
            Play::Members => members(),
            Play::Shared => shared(),
            Play::Replaced => replaced(),
        }
    }
}

const MUTATING: [&str; 6] = [
    "CreateNetworkInterface",
    "AttachNetworkInterface",
    "DetachNetworkInterface",
    "DeleteNetworkInterface",
    "AssignPrivateIpAddresses",
    "UnassignPrivateIpAddresses",
];

fn members() -> Vec<Box<dyn Actor>> {
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    for (name, joins, leaves) in [
        ("node1", Act::Join, Act::Leave),
        ("node2", Act::Join, Act::Close),
        ("node3", Act::Change, Act::Close),
    ] {
        actors.push(Box::new(NodeActor::usual(name, joins, leaves)));
    }
    for pod in pods() {
        actors.push(Box::new(pod));
    }
    actors
}

fn pod(name: &'static str) -> PodActor {
    PodActor {
        name,
        networks: usual(&elastic()),
        fixed: false,
        for_ever: false,
        early: None,
        places: &[],
        goes: Act::Go,
        farewell: Farewell::AtOnce,
    }
}

fn pods() -> Vec<PodActor> {
    let pair = json!([
        network("eth0", world::POD_VSWITCH, "sg-web", &elastic()),
        network("eth1", world::DB_VSWITCH, "sg-db", &elastic()),
    ]);
    vec![
        PodActor {
            places: &[(Act::Come, "node1")],
            goes: Act::Change,
            farewell: Farewell::Gracefully,
            ..pod("web-0")
        },
        PodActor {
            networks: pair,
            places: &[(Act::Come, "node2")],
            farewell: Farewell::ByItself,
            ..pod("pair-0")
        },
        // This pod moves with its address. In the end its time to live runs out.
        PodActor {
            networks: usual(&fixed()),
            fixed: true,
            places: &[(Act::Come, "node1"), (Act::Change, "node2")],
            ..pod("db-0")
        },
        // This pod comes back on its node, and on another node when that one leaves.
        PodActor {
            networks: usual(&for_ever()),
            fixed: true,
            for_ever: true,
            places: &[
                (Act::Come, "node1"),
                (Act::Change, "node1"),
                (Act::Leave, "node3"),
            ],
            farewell: Farewell::Gracefully,
            ..pod("keep-0")
        },
        // An earlier pod of this name goes while the ENI is being attached.
        PodActor {
            networks: usual(&fixed()),
            fixed: true,
            early: Some("node1"),
            places: &[(Act::Come, "node2")],
            ..pod("hasty-0")
        },
        // The next pod of an Elastic name gets another ENI.
        PodActor {
            places: &[(Act::Come, "node2"), (Act::Change, "node2")],
            ..pod("again-0")
        },
    ]
}

/// pool1 has a trunk that serves both kinds of pods; its pool grows and shrinks. pool2 has no trunk. Its vSwitch
/// becomes full, and the node is lost with its pods before anybody reports their end.
fn shared() -> Vec<Box<dyn Actor>> {
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    for (name, leaves, config) in [("pool1", Act::Close, POOLED), ("pool2", Act::Leave, PLAIN)] {
        let node = NodeActor {
            instance_type: world::SMALL_TYPE,
            members: (config != PLAIN).then_some(world::SMALL_MEMBERS),
            config: Some(config),
            ..NodeActor::usual(name, Act::Join, leaves)
        };
        actors.push(Box::new(node));
        actors.push(Box::new(PoolActor { node: name, leaves }));
    }
    actors.push(Box::new(PodActor {
        places: &[(Act::Come, "pool1")],
        ..pod("web-0")
    }));
    for pods in [
        // The pool has four idle addresses and keeps two: one more is assigned.
        SharedPods {
            ending: Ending::ByItself,
            renewed: Some(Act::Change),
            ..group("steady", "pool1", 3, Act::Come, Act::Go)
        },
        // More than the trunk has room for: the rest comes with a new ENI.
        group("burst", "pool1", 6, Act::Change, Act::Leave),
        // These pods come while the addresses of the burst wait for reports and cooldown.
        group("next", "pool1", 2, Act::Leave, Act::Go),
        SharedPods {
            ending: Ending::Unreported,
            ..group("lost", "pool2", 2, Act::Come, Act::Leave)
        },
        SharedPods {
            ending: Ending::Unreported,
            drought: Some(world::DB_VSWITCH),
            ..group("dry", "pool2", 3, Act::Change, Act::Leave)
        },
    ] {
        actors.push(Box::new(pods));
    }
    actors
}

fn group(name: &'static str, node: &'static str, count: usize, comes: Act, goes: Act) -> SharedPods {
    SharedPods {
        name,
        node,
        count,
        comes,
        goes,
        ending: Ending::Reported,
        renewed: None,
        drought: None,
    }
}

/// The machine of pool1 is lost with all its pods. Their names come back on the next machine, one of them with the ENI
/// that was kept.
fn replaced() -> Vec<Box<dyn Actor>> {
    let places: &[(Act, &str)] = &[(Act::Come, "pool1"), (Act::Leave, "pool1")];
    vec![
        Box::new(NodeActor {
            instance_type: world::SMALL_TYPE,
            members: Some(world::SMALL_MEMBERS),
            config: Some(POOLED),
            replaced: Some((Act::Change, "i-pool2")),
            ..NodeActor::usual("pool1", Act::Join, Act::Close)
        }),
        Box::new(PoolActor {
            node: "pool1",
            leaves: Act::Close,
        }),
        Box::new(PodActor {
            places,
            ..pod("web-0")
        }),
        Box::new(PodActor {
            networks: usual(&for_ever()),
            fixed: true,
            for_ever: true,
            places,
            ..pod("keep-0")
        }),
        Box::new(SharedPods {
            ending: Ending::WithTheirNode,
            ..group("lost", "pool1", 3, Act::Come, Act::Change)
        }),
        Box::new(group("next", "pool1", 3, Act::Leave, Act::Go)),
    ]
}
