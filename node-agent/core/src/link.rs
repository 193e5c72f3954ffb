//! Links as the kernel shows them, and how the datapath tells them apart.

use crate::{interface::Sandbox, ownership};

/// What kind of link it is, as far as the datapath needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A real device, or a virtual device that stands on no other. An ENI is one of these.
    Device,
    Veth,
    IpVlan,
    /// A link that stands on another link and can have its MAC: VLAN, MACVLAN, IPvtap, bridge.
    Stacked,
}

/// A link as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mac: Option<[u8; 6]>,
    pub kind: LinkKind,
    pub up: bool,
    pub loopback: bool,
    /// Bytes.
    pub mtu: u32,
    pub alias: Option<String>,
    /// The other end of a veth, by its index in its own namespace.
    pub peer: Option<u32>,
    /// Number of the link's group; 0 is the kernel's default.
    pub group: u32,
}

impl Link {
    /// The sandbox whose host end this link is; `None` for a link that is not ours.
    pub fn owner(&self) -> Option<Sandbox> {
        if !self.is_veth() {
            return None;
        }
        ownership::owner_of(&self.name, self.alias.as_deref())
    }

    pub fn is_veth(&self) -> bool {
        self.kind == LinkKind::Veth
    }

    /// Whether this link is the host's own end of an ENI in upstream's IPvlan datapath.
    pub fn is_upstreams_slave(&self) -> bool {
        self.kind == LinkKind::IpVlan && ownership::is_upstreams_slave(&self.name)
    }

    /// Whether this link can be an ENI. Links that are stacked on an ENI have its MAC too.
    pub fn can_be_nic(&self) -> bool {
        !self.loopback && self.kind == LinkKind::Device
    }
}

/// All links of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub Vec<Link>);

impl Links {
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.0.iter().find(|l| l.name == name)
    }

    pub fn indexed(&self, index: u32) -> Option<&Link> {
        self.0.iter().find(|l| l.index == index)
    }

    /// The NIC with this MAC.
    pub fn nic(&self, mac: [u8; 6]) -> Option<&Link> {
        self.0.iter().find(|l| l.can_be_nic() && l.mac == Some(mac))
    }

    /// The host veth of a sandbox. Container and interface identify the sandbox, because a DEL does not always tell the
    /// pod's UID.
    pub fn of(&self, sandbox: &Sandbox) -> Option<&Link> {
        self.0
            .iter()
            .find(|l| l.owner().is_some_and(|o| o.same_as(sandbox)))
    }

    /// Our host veths with their sandboxes.
    pub fn owned(&self) -> impl Iterator<Item = (&Link, Sandbox)> {
        self.0.iter().filter_map(|l| Some((l, l.owner()?)))
    }
}
