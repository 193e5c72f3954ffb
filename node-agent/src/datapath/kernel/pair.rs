//! The veth pair of a sandbox: finding it, replacing a stale one, making a new one.

use std::os::fd::{AsFd as _, OwnedFd};

use netlink_packet_route::link::LinkAttribute;
use terway_node_core::{
    interface::PodInterface,
    link::{Link, Links},
    ownership,
};

use super::{
    error::PairError,
    link,
    netlink::{Netlink, NetlinkError},
    netns::{self, NetnsError},
    repeat::absent,
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
    let Some(host) = links.of(&want.sandbox) else {
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

/// Makes the pair, after removing what is left of an older one. The links that are gone then are taken out of `links`,
/// and the host's end is put in.
pub fn make(
    netlink: &mut Netlink,
    links: &mut Links,
    want: &PodInterface,
    netns: &OwnedFd,
) -> Result<Pair, PairError> {
    let stale = links.stale(&want.sandbox);
    let name = links
        .free_name(want, &stale)
        .map_err(|name| PairError::NameTaken { name })?;
    for (index, _) in &stale {
        absent(link::delete(netlink, *index))?;
    }
    links
        .0
        .retain(|link| !stale.iter().any(|(index, _)| *index == link.index));
    let mut pod = netns::netlink_in(netns.as_fd())?;
    let ifname = &want.sandbox.ifname;
    if link::read_one(&mut pod, ifname)?.is_some() {
        return Err(PairError::InterfaceTaken {
            ifname: ifname.clone(),
        });
    }
    link::create_veth(netlink, &want.sandbox, netns.as_fd(), want.mtu)?;
    match put_in_place(netlink, &mut pod, want, &name) {
        Ok((host, pod_ifindex)) => {
            links.0.push(host.clone());
            Ok(Pair {
                host,
                pod_ifindex,
                pod,
                new: true,
            })
        }
        Err(error) => {
            undo(netlink, want)?;
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
) -> Result<(Link, u32), PairError> {
    let temporary = ownership::temporary_ifname(&want.sandbox);
    let missing = || PairError::PodInterfaceMissing {
        ifname: want.sandbox.ifname.clone(),
    };
    let inside = link::read_one(pod, &want.sandbox.ifname)?.ok_or_else(missing)?;
    let gone = || PairError::HostInterfaceMissing {
        container_id: want.sandbox.container_id.clone(),
    };
    let index = link::read_one(netlink, &temporary)?.ok_or_else(gone)?.index;
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

/// Removes a pod's end that has no host end of ours, if upstream's agent made it. `host` has the links of the node.
pub fn clear(netns: &OwnedFd, ifname: &str, host: &Links) -> Result<(), PairError> {
    if netns::is_own(netns)? {
        return Ok(());
    }
    let mut pod = match netns::netlink_in(netns.as_fd()) {
        // The namespace has gone, and its mount with it: the path is a plain file then.
        Err(NetnsError::NotOne) => return Ok(()),
        opened => opened?,
    };
    let inside = link::read(&mut pod)?;
    let made = inside.named(ifname).filter(|l| l.is_upstreams_pod_end(host));
    if let Some(link) = made {
        absent(link::delete(&mut pod, link.index))?;
    }
    Ok(())
}

/// Removes a half-made pair.
fn undo(netlink: &mut Netlink, want: &PodInterface) -> Result<(), NetlinkError> {
    for (index, _) in link::read(netlink)?.stale(&want.sandbox) {
        absent(link::delete(netlink, index))?;
    }
    Ok(())
}

fn is_other_end(pod: &Link, host: &Link, want: &PodInterface) -> bool {
    pod.is_veth()
        && pod.peer == Some(host.index)
        && host.peer == Some(pod.index)
        && pod.mac == Some(ownership::pod_mac(&want.sandbox))
}
