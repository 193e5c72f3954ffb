//! Reads the machines and their networks from the simulator's world file.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::Value;

/// The default world of the lab: the simulator's documented example.
pub const SMALL: &str = include_str!("../../cloudsim/worlds/small.yaml");

/// The instance that carries the Kubernetes control plane.
pub const CONTROL_INSTANCE: &str = "i-control";

/// Why a world file cannot be used for a lab.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("the world file is not YAML of a world")]
    Parse(#[source] Box<serde_saphyr::Error>),
    #[error("the world file has no world's form")]
    Form(#[from] serde_json::Error),
    #[error("the world cannot be written as YAML")]
    Write(#[from] serde_saphyr::SerializeError),
    #[error("the world file has no instance '{id}'; a lab needs it")]
    NoInstance { id: String },
    #[error("the instance '{instance}' of the world file is in the unknown vSwitch '{v_switch}'")]
    NoVSwitch { instance: String, v_switch: String },
    #[error("the vSwitch of '{like}' has no address left for the node '{name}'; ask for fewer nodes")]
    NoAddress { name: String, like: String },
    #[error("'{name}' cannot be a node's name; use lower-case letters, digits and dashes, but not 'control'")]
    NodeName { name: String },
    #[error("a lab has at least one node")]
    NoNodes,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct World {
    region: String,
    v_switches: Vec<VSwitch>,
    instances: Vec<Instance>,
    #[serde(default)]
    hosts: Vec<Host>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct VSwitch {
    id: String,
    zone: String,
    cidr: Ipv4Net,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    id: String,
    #[serde(rename = "type")]
    instance_type: String,
    v_switch: String,
    address: Ipv4Addr,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Host {
    name: String,
    address: Ipv4Addr,
}

/// One machine of the lab, as an ECS instance of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `control`, or the name of the Kubernetes node.
    pub name: String,
    pub instance: String,
    pub instance_type: String,
    pub region: String,
    pub zone: String,
    /// Its own address with the prefix length of its vSwitch.
    pub address: Ipv4Net,
    /// The gateway: the third-last address of the vSwitch (VPC user guide, vSwitches).
    pub gateway: Ipv4Addr,
}

/// The machines of a lab, and the world that contains them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    pub control: Machine,
    pub nodes: Vec<Machine>,
    /// Other hosts of the VPC by name, e.g. the OpenAPI endpoint.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// The world file for the simulator, with added instances.
    pub world: String,
}

impl Fleet {
    /// Finds the control machine and one instance `i-NAME` for each node. A node that the world does not have is added
    /// as a copy of the first node with the next free address.
    pub fn plan(world: &str, nodes: &[String]) -> Result<Self, WorldError> {
        let first = nodes.first().ok_or(WorldError::NoNodes)?;
        let mut value: Value =
            serde_saphyr::from_str(world).map_err(|error| WorldError::Parse(Box::new(error)))?;
        for name in nodes {
            check_name(name)?;
            let parsed: World = serde_json::from_value(value.clone())?;
            if find(&parsed, &format!("i-{name}")).is_err() {
                add_like(&mut value, &parsed, name, &format!("i-{first}"))?;
            }
        }
        let parsed: World = serde_json::from_value(value.clone())?;
        Ok(Self {
            control: machine(&parsed, "control", CONTROL_INSTANCE)?,
            nodes: nodes
                .iter()
                .map(|name| machine(&parsed, name, &format!("i-{name}")))
                .collect::<Result<_, _>>()?,
            hosts: parsed
                .hosts
                .iter()
                .map(|host| (host.name.clone(), host.address))
                .collect(),
            world: serde_saphyr::to_string(&value)?,
        })
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        std::iter::once(&self.control).chain(&self.nodes)
    }
}

/// The gateway of a vSwitch: its third-last address.
pub fn gateway(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(cidr.broadcast().to_bits().saturating_sub(2))
}

fn check_name(name: &str) -> Result<(), WorldError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // A name of up to 40 characters fits into a host name with a suffix.
    if name.is_empty() || name.len() > 40 || name == "control" || !name.chars().all(good) {
        return Err(WorldError::NodeName {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Instance, WorldError> {
    let found = world.instances.iter().find(|instance| instance.id == id);
    found.ok_or_else(|| WorldError::NoInstance { id: id.to_owned() })
}

fn v_switch_of<'a>(world: &'a World, instance: &Instance) -> Result<&'a VSwitch, WorldError> {
    let found = world
        .v_switches
        .iter()
        .find(|v_switch| v_switch.id == instance.v_switch);
    found.ok_or_else(|| WorldError::NoVSwitch {
        instance: instance.id.clone(),
        v_switch: instance.v_switch.clone(),
    })
}

fn machine(world: &World, name: &str, id: &str) -> Result<Machine, WorldError> {
    let instance = find(world, id)?;
    let v_switch = v_switch_of(world, instance)?;
    // The prefix length is valid, because it comes from a parsed CIDR.
    let address = Ipv4Net::new_assert(instance.address, v_switch.cidr.prefix_len());
    Ok(Machine {
        name: name.to_owned(),
        instance: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        region: world.region.clone(),
        zone: v_switch.zone.clone(),
        address,
        gateway: gateway(v_switch.cidr),
    })
}

fn add_like(value: &mut Value, world: &World, name: &str, like: &str) -> Result<(), WorldError> {
    let model = find(world, like)?;
    let v_switch = v_switch_of(world, model)?;
    let taken = |address: Ipv4Addr| {
        let instances = world.instances.iter().map(|instance| instance.address);
        instances
            .chain(world.hosts.iter().map(|host| host.address))
            .any(|used| used == address)
    };
    let gateway = gateway(v_switch.cidr);
    let address = v_switch
        .cidr
        .hosts()
        .skip_while(|address| *address <= model.address)
        .take_while(|address| *address < gateway)
        .find(|address| !taken(*address))
        .ok_or_else(|| WorldError::NoAddress {
            name: name.to_owned(),
            like: like.to_owned(),
        })?;
    let no_instance = || WorldError::NoInstance { id: like.to_owned() };
    let list = value
        .get_mut("instances")
        .and_then(Value::as_array_mut)
        .ok_or_else(no_instance)?;
    let mut copy = list
        .iter()
        .find(|entry| entry.get("id").and_then(Value::as_str) == Some(like))
        .cloned()
        .ok_or_else(no_instance)?;
    let fields = copy.as_object_mut().ok_or_else(no_instance)?;
    fields.insert("id".into(), format!("i-{name}").into());
    fields.insert("address".into(), address.to_string().into());
    fields.insert("primaryEni".into(), format!("eni-{name}").into());
    list.push(copy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_small_world_has_the_machines_of_the_book() {
        let fleet = Fleet::plan(SMALL, &names(&["node1", "node2"])).unwrap();
        assert_eq!(fleet.control.address.to_string(), "10.0.0.10/24");
        assert_eq!(fleet.nodes[0].address.to_string(), "10.0.0.11/24");
        assert_eq!(fleet.nodes[1].instance, "i-node2");
        assert_eq!(fleet.nodes[1].gateway.to_string(), "10.0.0.253");
        assert_eq!(fleet.nodes[0].zone, "cn-hangzhou-h");
        assert_eq!(fleet.nodes[0].instance_type, "ecs.g7.2xlarge");
        assert!(
            fleet
                .hosts
                .contains(&("openapi".to_owned(), Ipv4Addr::new(10, 0, 0, 5)))
        );
    }

    #[test]
    fn a_node_beyond_the_world_is_added_at_the_next_free_address() {
        let fleet = Fleet::plan(SMALL, &names(&["node1", "node2", "node3"])).unwrap();
        let added = &fleet.nodes[2];
        assert_eq!(
            (added.instance.as_str(), added.address.to_string().as_str()),
            ("i-node3", "10.0.0.13/24")
        );
        // The simulator must read the same from the file that it gets.
        let again = Fleet::plan(&fleet.world, &names(&["node1", "node2", "node3"])).unwrap();
        assert_eq!(again.nodes, fleet.nodes);
        assert!(fleet.world.contains("eni-node3"));
    }

    #[test]
    fn names_that_cannot_be_nodes_are_refused() {
        for name in ["control", "", "Node1", "a/b"] {
            let refused = Fleet::plan(SMALL, &names(&[name]));
            assert!(
                matches!(refused, Err(WorldError::NodeName { .. })),
                "{name:?}: {refused:?}"
            );
        }
        assert!(matches!(Fleet::plan(SMALL, &[]), Err(WorldError::NoNodes)));
    }
}
