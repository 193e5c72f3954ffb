//! The veth pair of a sandbox: finding it, replacing a stale one, making a new one.

use std::os::fd::{AsFd as _, OwnedFd};

use netlink_packet_route::link::LinkAttribute;
use terway_node_core::{
    interface::PodInterface,
    link::{Link, LinkKind, Links},
    ownership,
};

use super::{
    error::PairError,
    link,
    netlink::{Netlink, NetlinkError},
    netns,
};

/// Both ends of a complete pair.
pub struct Pair {
    pub host: Link,
    /// Index of the pod's end in the pod's namespace.
    pub pod_ifindex: u32,
    /// A socket in the pod's namespace.
    pub pod: Netlink,
    /// Whether this call has made the pair.
    pub new: bool,
}

/// Finds the sandbox's pair, if both ends are as they were made.
pub fn find(links: &Links, want: &PodInterface, netns: &OwnedFd) -> Result<Option<Pair>, PairError> {
    let Some(host) = links.of(&want.sandbox).filter(|l| l.name == want.host_ifname()) else {
        return Ok(None);
    };
    let mut pod = netns::netlink_in(netns.as_fd())?;
    let inside = link::read(&mut pod)?;
    let end = inside
        .named(&want.sandbox.ifname)
        .filter(|l| is_other_end(l, host, want));
    Ok(end.map(|l| l.index).map(|pod_ifindex| Pair {
        host: host.clone(),
        pod_ifindex,
        pod,
        new: false,
    }))
}

/// Makes the pair, after removing what is left of an older one. The host's end is named after the pod: a link that has
/// the name now belongs to an earlier sandbox of the same pod.
pub fn make(
    netlink: &mut Netlink,
    links: &Links,
    want: &PodInterface,
    netns: &OwnedFd,
) -> Result<Pair, PairError> {
    let (name, temporary) = (want.host_ifname(), ownership::temporary_ifname(&want.sandbox));
    for stale in links.0.iter().filter(|l| l.name == name || l.name == temporary) {
        link::delete(netlink, stale.index)?;
    }
    let mut pod = netns::netlink_in(netns.as_fd())?;
    let ifname = &want.sandbox.ifname;
    if link::read_one(&mut pod, ifname)?.is_some() {
        return Err(PairError::InterfaceTaken {
            ifname: ifname.clone(),
        });
    }
    link::create_veth(netlink, &want.sandbox, netns.as_fd(), want.mtu)?;
    let made = put_in_place(netlink, &mut pod, want, &name, &temporary);
    match made {
        Ok((host, pod_ifindex)) => Ok(Pair {
            host,
            pod_ifindex,
            pod,
            new: true,
        }),
        Err(error) => {
            undo(netlink, &[&name, &temporary])?;
            Err(error)
        }
    }
}

/// Marks the host's end with the alias before it gets its name: a link with such a name and without the alias is never
/// ours.
fn put_in_place(
    netlink: &mut Netlink,
    pod: &mut Netlink,
    want: &PodInterface,
    name: &str,
    temporary: &str,
) -> Result<(Link, u32), PairError> {
    let missing = || PairError::PodInterfaceMissing {
        ifname: want.sandbox.ifname.clone(),
    };
    let inside = link::read_one(pod, &want.sandbox.ifname)?.ok_or_else(missing)?;
    let gone = || PairError::HostInterfaceMissing {
        container_id: want.sandbox.container_id.clone(),
    };
    let index = link::read_one(netlink, temporary)?.ok_or_else(gone)?.index;
    let alias = LinkAttribute::IfAlias(ownership::alias(&want.sandbox));
    link::set(netlink, "mark the host's end of a veth pair", index, alias)?;
    link::set(
        netlink,
        "name the host's end of a veth pair",
        index,
        LinkAttribute::IfName(name.to_owned()),
    )?;
    let host = link::read_one(netlink, name)?.ok_or_else(gone)?;
    Ok((host, inside.index))
}

/// Removes a pod's end that has no host end of ours: upstream's agent made it, as a veth or an IPvlan.
pub fn clear(netns: &OwnedFd, ifname: &str) -> Result<(), PairError> {
    if netns::is_own(netns)? {
        return Ok(());
    }
    let mut pod = netns::netlink_in(netns.as_fd())?;
    let inside = link::read(&mut pod)?;
    let made = inside
        .named(ifname)
        .filter(|l| l.is_veth() || l.kind == LinkKind::IpVlan);
    if let Some(link) = made {
        link::delete(&mut pod, link.index)?;
    }
    Ok(())
}

/// Removes a half-made pair.
pub fn undo(netlink: &mut Netlink, names: &[&str]) -> Result<(), NetlinkError> {
    for link in link::read(netlink)?
        .0
        .iter()
        .filter(|l| names.contains(&l.name.as_str()))
    {
        link::delete(netlink, link.index)?;
    }
    Ok(())
}

fn is_other_end(pod: &Link, host: &Link, want: &PodInterface) -> bool {
    pod.is_veth()
        && pod.peer == Some(host.index)
        && host.peer == Some(pod.index)
        && pod.mac == Some(ownership::pod_mac(&want.sandbox))
}
