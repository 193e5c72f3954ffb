//! The kernel of a node has the objects that the records of its pods ask for, and no others of the product.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use terway_agent::datapath::ownership;

use super::{Binding, Fault, HostVeth, Kernel, Picture};

/// A kernel object of the product that belongs to one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// Route to a pod's address by its host veth.
    Route { address: Ipv4Addr, veth: u32 },
    /// Rule: to the pod, look into the main table.
    ToPod { address: Ipv4Addr },
    /// Rule: from the pod to something the host serves, look into the main table.
    ToHost { address: Ipv4Addr, to: String },
    /// Rule: from the pod, look into its NIC's table.
    FromPod { address: Ipv4Addr, table: u32 },
    /// Entry of the check of sources.
    Source { veth: u32, address: Ipv4Addr },
    /// Entry that takes a tag off.
    Pop {
        nic: u32,
        vlan: u16,
        address: Ipv4Addr,
        veth: u32,
    },
    /// Entry that puts a tag on.
    Push {
        nic: u32,
        vlan: u16,
        address: Ipv4Addr,
        veth: u32,
    },
    /// A link of an ADD that was cut short.
    HalfMade { name: String },
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Route { address, veth } => write!(f, "route to {address} by link {veth}"),
            Object::ToPod { address } => write!(f, "rule to {address}"),
            Object::ToHost { address, to } => write!(f, "rule from {address} to {to}"),
            Object::FromPod { address, table } => write!(f, "rule from {address} to table {table}"),
            Object::Source { veth, address } => write!(f, "source {address} of link {veth}"),
            Object::Pop {
                nic,
                vlan,
                address,
                veth,
            } => write!(f, "pop of VLAN {vlan} for {address}, NIC {nic} to link {veth}"),
            Object::Push {
                nic,
                vlan,
                address,
                veth,
            } => write!(f, "push of VLAN {vlan} for {address}, link {veth} to NIC {nic}"),
            Object::HalfMade { name } => write!(f, "half-made link {name}"),
        }
    }
}

/// The objects that a node lacks, and those that no record asks for.
pub(super) fn unlike_the_records(node: &str, kernel: &Kernel, picture: &Picture) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut wanted = BTreeSet::new();
    let mut claimed = BTreeSet::new();
    for binding in living(node, picture) {
        let veths: Vec<&HostVeth> = of(kernel, binding);
        claimed.extend(veths.iter().map(|veth| veth.ifindex));
        match (&veths[..], kernel.nics.get(&binding.nic)) {
            ([veth], Some(nic)) => wanted.extend(objects_of(binding, veth.ifindex, *nic, kernel)),
            (_, None) => found.push(Fault::Missing {
                node: node.to_owned(),
                what: format!("NIC {} of {}", binding.nic, binding.pod),
            }),
            ([], _) => found.push(Fault::Missing {
                node: node.to_owned(),
                what: format!("sandbox of {}", binding.pod),
            }),
            (several, _) => found.push(Fault::LeftInKernel {
                node: node.to_owned(),
                what: format!("{} sandboxes of {}", several.len(), binding.pod),
            }),
        }
    }
    let leaked = kernel
        .veths
        .iter()
        .filter(|veth| !claimed.contains(&veth.ifindex));
    found.extend(leaked.map(|veth| Fault::LeftInKernel {
        node: node.to_owned(),
        what: format!(
            "veth {} of pod {} ({})",
            veth.ifindex, veth.pod_uid, veth.container
        ),
    }));
    found.extend(wanted.difference(&kernel.objects).map(|object| Fault::Missing {
        node: node.to_owned(),
        what: object.to_string(),
    }));
    found.extend(
        kernel
            .objects
            .difference(&wanted)
            .map(|object| Fault::LeftInKernel {
                node: node.to_owned(),
                what: object.to_string(),
            }),
    );
    found
}

/// Bindings of pods that have a sandbox on the node.
fn living<'a>(node: &'a str, picture: &'a Picture) -> impl Iterator<Item = &'a Binding> {
    picture.bindings.iter().filter(move |binding| {
        let pod = picture.pods.iter().find(|pod| pod.uid == binding.pod_uid);
        pod.is_some_and(|pod| pod.node == node && pod.address.is_some()) && binding.node == node
    })
}

fn of<'a>(kernel: &'a Kernel, binding: &Binding) -> Vec<&'a HostVeth> {
    let same = |veth: &&HostVeth| veth.pod_uid == binding.pod_uid;
    kernel.veths.iter().filter(same).collect()
}

fn objects_of(binding: &Binding, veth: u32, nic: u32, kernel: &Kernel) -> Vec<Object> {
    let address = binding.address;
    let mut objects = vec![
        Object::Route { address, veth },
        Object::ToPod { address },
        Object::FromPod {
            address,
            table: ownership::table_of(nic),
        },
        Object::Source { veth, address },
    ];
    if let Some(member) = &binding.member {
        let vlan = member.vlan;
        objects.push(Object::Pop {
            nic,
            vlan,
            address,
            veth,
        });
        objects.push(Object::Push {
            nic,
            vlan,
            address,
            veth,
        });
    }
    // A setting says which destinations these are. The rule is that they belong to a living pod.
    let to_host = |object: &&Object| matches!(object, Object::ToHost { address: its, .. } if *its == address);
    objects.extend(kernel.objects.iter().filter(to_host).cloned());
    objects
}
