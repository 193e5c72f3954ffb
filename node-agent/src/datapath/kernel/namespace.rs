//! A network namespace with everything that its objects are read and changed by.

use netlink_packet_route::{AddressFamily, link::LinkAttribute};
use terway_address::Family;
use terway_node_core::{
    link::Link,
    object::Handles,
    ownership,
    plan::{DoomedLink, LinkDeleter},
};

use super::{
    error::{ObserveError, StepError},
    link,
    marks::Marking,
    netlink::{Netlink, NetlinkError},
    repeat::absent,
    sysctl::Sysctls,
};
use crate::ebpf::Programs;

/// The node's network namespace, or a pod's.
pub struct Namespace<'a> {
    pub netlink: &'a mut Netlink,
    pub programs: &'a mut Programs,
    pub sysctls: &'a Sysctls,
    pub marking: &'a mut Marking,
}

impl Handles for Namespace<'_> {
    type ReadError = ObserveError;
    type ChangeError = StepError;
}

impl LinkDeleter for Namespace<'_> {
    /// Several links are deleted as a group that is made of them. The kernel waits once for each act until nobody uses
    /// what goes.
    fn delete_links(&mut self, links: &[DoomedLink]) -> Result<(), StepError> {
        match links {
            [(index, _)] => absent(link::delete(self.netlink, *index))?,
            several => delete_together(self.netlink, several)?,
        }
        Ok(())
    }
}

fn delete_together(netlink: &mut Netlink, links: &[DoomedLink]) -> Result<(), NetlinkError> {
    let group = ownership::GROUP_OF_THE_LEAVING;
    for (index, _) in links {
        let join = LinkAttribute::Group(group);
        absent(link::set(netlink, "group links to be deleted", *index, join))?;
    }
    let is_a_strangers = |link: &Link| link.group == group && !links.iter().any(|(i, _)| *i == link.index);
    if link::read(netlink)?.0.iter().any(is_a_strangers) {
        // Somebody uses the number too. Their links stay.
        return links
            .iter()
            .try_for_each(|(index, _)| absent(link::delete(netlink, *index)));
    }
    absent(link::delete_group(netlink, group))
}

/// The family as netlink numbers it.
pub fn family_number(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
