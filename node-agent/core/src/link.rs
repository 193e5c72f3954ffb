//! Links as the kernel shows them, and how the datapath tells them apart.

use crate::{
    interface::{PodInterface, Sandbox},
    ownership,
    plan::DoomedLink,
};

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
    /// The kernel takes any bytes; those that are no UTF-8 are shown as U+FFFD.
    pub name: String,
    pub mac: Option<[u8; 6]>,
    pub kind: LinkKind,
    pub up: bool,
    pub loopback: bool,
    /// Bytes.
    pub mtu: u32,
    pub alias: Option<String>,
    /// The other end of a veth, by its index in its own namespace; the parent of an IPvlan.
    pub peer: Option<u32>,
    /// Whether `peer` is in another namespace.
    pub peer_elsewhere: bool,
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

    /// Whether the name is known as it is, so that the link can be addressed by it.
    pub fn has_plain_name(&self) -> bool {
        !self.name.contains(char::REPLACEMENT_CHARACTER)
    }

    pub fn is_veth(&self) -> bool {
        self.kind == LinkKind::Veth
    }

    /// Whether this link is the host's own end of an ENI in upstream's IPvlan datapath.
    pub fn is_upstreams_slave(&self) -> bool {
        self.kind == LinkKind::IpVlan && ownership::is_upstreams_slave(&self.name)
    }

    /// Whether this link, found in a pod's namespace, is the pod's end of what upstream's agent made: of a veth whose
    /// other end has a name of upstream's on the host, or of an ENI whose IPvlan upstream's agent has on the host too.
    pub fn is_upstreams_pod_end(&self, host: &Links) -> bool {
        let Some(peer) = self.peer.filter(|_| self.peer_elsewhere) else {
            return false;
        };
        match self.kind {
            LinkKind::Veth => host.indexed(peer).is_some_and(|other| {
                let theirs = other.name.starts_with(ownership::HOST_PREFIX) && other.owner().is_none();
                theirs && other.is_veth() && other.peer_elsewhere && other.peer == Some(self.index)
            }),
            LinkKind::IpVlan => host
                .0
                .iter()
                .any(|slave| slave.is_upstreams_slave() && slave.peer == Some(peer)),
            LinkKind::Device | LinkKind::Stacked => false,
        }
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

    /// Host ends that an ADD removes before it makes a pair: those of earlier sandboxes of the same pod, and what an
    /// ADD of this sandbox left that was cut short. A link of another pod or of another program stays, whatever its
    /// name.
    pub fn stale(&self, sandbox: &Sandbox) -> Vec<DoomedLink> {
        let temporary = ownership::temporary_ifname(sandbox);
        let stale = self.0.iter().filter(|link| match link.owner() {
            Some(owner) => owner.same_as(sandbox) || owner.precedes(sandbox),
            None => link.is_veth() && link.name == temporary,
        });
        stale.map(|link| (link.index, link.name.clone())).collect()
    }

    /// The name of the host's end of a new pair, when the `stale` links have gone: the pod's or, where another link
    /// has that, the sandbox's own. `Err` has the name that is in the way when both are taken.
    pub fn free_name(&self, want: &PodInterface, stale: &[DoomedLink]) -> Result<String, String> {
        let taken = |name: &String| {
            let mut others = self.0.iter().filter(|l| l.name == *name);
            others.any(|l| !stale.iter().any(|(index, _)| *index == l.index))
        };
        let first = want.host_ifname();
        if !taken(&first) {
            return Ok(first);
        }
        let second = ownership::second_host_ifname(&want.sandbox);
        if taken(&second) { Err(second) } else { Ok(second) }
    }

    /// Our host veths with their sandboxes.
    pub fn owned(&self) -> impl Iterator<Item = (&Link, Sandbox)> {
        self.0.iter().filter_map(|l| Some((l, l.owner()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TRUNK, links, member, trunk, veth};

    /// The next sandbox of the same pod.
    fn next(of: &PodInterface) -> PodInterface {
        let mut next = of.clone();
        next.sandbox.container_id = "later".into();
        next
    }

    fn named(mut link: Link, name: String) -> Link {
        link.name = name;
        link
    }

    #[test]
    fn an_earlier_sandbox_of_the_pod_makes_room_and_nothing_else_does() {
        let (old, new) = (member(1), next(&member(1)));
        let mut half = veth(&member(3));
        (half.name, half.alias) = (ownership::temporary_ifname(&new.sandbox), None);
        let mut all = links(&[old.clone(), member(2)]);
        all.0.push(half);
        let stale = all.stale(&new.sandbox);
        assert_eq!(
            stale.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            [11, 13]
        );
        assert_eq!(all.free_name(&new, &stale), Ok(old.host_ifname()));
    }

    #[test]
    fn a_name_that_another_pod_or_program_has_is_not_taken_from_it() {
        let mine = member(1);
        let mut strangers = veth(&member(3));
        strangers.alias = Some("another plugin".into());
        for other in [veth(&member(2)), strangers] {
            let all = Links(vec![trunk(), named(other.clone(), mine.host_ifname())]);
            assert_eq!(all.stale(&mine.sandbox), []);
            let second = ownership::second_host_ifname(&mine.sandbox);
            assert_eq!(all.free_name(&mine, &[]), Ok(second.clone()));
            let both = Links(vec![all.0[1].clone(), named(other, second.clone())]);
            assert_eq!(both.free_name(&mine, &[]), Err(second));
        }
    }

    #[test]
    fn sandboxes_without_a_uid_are_no_ones_predecessors() {
        let (mut old, mut new) = (member(1), next(&member(1)));
        (old.sandbox.pod_uid, new.sandbox.pod_uid) = (String::new(), String::new());
        assert_eq!(Links(vec![veth(&old)]).stale(&new.sandbox), []);
    }

    #[test]
    fn only_what_upstreams_agent_made_in_a_pod_is_known_as_its_own() {
        let mut host_end = veth(&member(1));
        let inside = Link {
            index: 2,
            peer: Some(host_end.index),
            alias: None,
            ..named(host_end.clone(), "eth0".into())
        };
        let known = |inside: &Link, host: &Link| inside.is_upstreams_pod_end(&Links(vec![host.clone()]));
        assert!(!known(&inside, &host_end), "one of ours");
        host_end.alias = None;
        assert!(known(&inside, &host_end));
        assert!(
            !known(&inside, &named(host_end.clone(), "veth123".into())),
            "ptp's"
        );
        let local = Link {
            peer_elsewhere: false,
            ..inside.clone()
        };
        assert!(!known(&local, &host_end), "both ends are in the pod");

        let ipvlan = Link {
            kind: LinkKind::IpVlan,
            peer: Some(TRUNK),
            ..inside
        };
        let slave = Link {
            kind: LinkKind::IpVlan,
            peer: Some(TRUNK),
            ..named(trunk(), format!("ipvl_{TRUNK}"))
        };
        assert!(known(&ipvlan, &slave));
        assert!(!known(&ipvlan, &trunk()), "another plugin's IPvlan");
    }
}
