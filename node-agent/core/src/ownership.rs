//! Which kernel objects are ours. Objects are made with the names, numbers and marks below and recognised by the same
//! ones. An object that does not match belongs to somebody else and is never changed or removed.

use sha1::{Digest as _, Sha1};

use crate::{interface::Sandbox, object::Rule, program::Program};

/// Route protocol number of our routes and rules (`ip route` and `ip rule` show it).
pub const PROTOCOL: u8 = 84;
/// Rule priority: traffic to a pod of this node looks into the main table.
pub const RULE_TO_POD: u32 = 512;
/// Rule priority: traffic from a pod looks into its ENI's table.
pub const RULE_FROM_POD: u32 = 2048;
/// The kernel's main routing table.
pub const MAIN_TABLE: u32 = 254;
/// Handle of our filters. Handle and priority name the slot whose program an upgrade replaces.
pub const FILTER_HANDLE: u32 = 0x007e_77a1;

/// The routing table of an ENI is this number plus the interface's number.
pub const FIRST_ENI_TABLE: u32 = 1000;
/// The table of a pod whose ENI is not on the node. No link has the number 0.
pub const NOWHERE_TABLE: u32 = FIRST_ENI_TABLE;
/// Group of the links that are deleted together.
pub const GROUP_OF_THE_LEAVING: u32 = 0x007e_77a1;
/// Name that a pod's first interface has in the pod, and an allocation without a name means.
pub const FIRST_INTERFACE: &str = "eth0";
/// Hosts' ends of pods' veths begin like this. So do those of upstream's agent.
pub const HOST_PREFIX: &str = "cali";
const TEMPORARY_PREFIX: &str = "twt";
const ALIAS_MARK: &str = "terway";

/// Priority of the filters that upstream's IPvlan datapath puts on an ENI's egress.
pub const UPSTREAM_IPVLAN_PRIORITY: u16 = 40000;

const UPSTREAM_IPVLAN_PREFIX: &str = "ipvl_";

/// Whether an IPvlan of this name is the host's own end of an ENI in upstream's IPvlan datapath.
pub fn is_upstreams_slave(name: &str) -> bool {
    name.strip_prefix(UPSTREAM_IPVLAN_PREFIX)
        .is_some_and(|parent| !parent.is_empty() && parent.bytes().all(|b| b.is_ascii_digit()))
}

/// The direction of the packets that a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Ingress,
    Egress,
}

/// The routing table of an ENI.
pub fn table_of(ifindex: u32) -> u32 {
    FIRST_ENI_TABLE + ifindex
}

/// Filter priority and direction of a program. Pop runs before every other filter of the ENI, and push after all others
/// and after the host's NAT: all other filters see frames without tags.
pub fn filter_place(program: Program) -> (u16, Direction) {
    match program {
        Program::MemberPop => (20000, Direction::Ingress),
        Program::MemberPush => (50001, Direction::Egress),
        Program::PodSource => (20000, Direction::Ingress),
    }
}

/// Whether a rule with this protocol number is ours. Rules of pods have fixed priorities. The rule of symmetric routing
/// has a mark; its priority is configured.
pub fn owns_rule(protocol: u8, rule: &Rule) -> bool {
    let of_a_pod = rule.priority == RULE_TO_POD || rule.priority == RULE_FROM_POD;
    protocol == PROTOCOL && (of_a_pod || rule.mark.is_some())
}

/// Whether a route with this protocol number is ours.
pub fn owns_route(protocol: u8) -> bool {
    protocol == PROTOCOL
}

/// Name of the host end of a pod's veth: `cali` and 11 hex digits. The pod's first
/// interface is named after the pod alone, others after the interface too. The name is for people; the alias tells
/// whose the link is.
pub fn host_ifname(namespace: &str, pod: &str, ifname: &str) -> String {
    let mut identity = format!("{namespace}.{pod}");
    if ifname != FIRST_INTERFACE {
        identity.push_str(ifname);
    }
    format!("{HOST_PREFIX}{}", hex(&Sha1::digest(identity.as_bytes()), 11))
}

/// Name of the host's end where another link has the pod's name. Names are short, so two pods can have one, and other
/// programs name their links in the same way. The container id is the runtime's: nobody else chooses this name.
pub fn second_host_ifname(sandbox: &Sandbox) -> String {
    format!("{HOST_PREFIX}{}", hex(&identity_digest(sandbox, "name"), 11))
}

/// Name of the host's end until the veth is marked and in place. A link that still has it belongs to an ADD that was
/// cut short.
pub fn temporary_ifname(sandbox: &Sandbox) -> String {
    format!("{TEMPORARY_PREFIX}{}", hex(&identity_digest(sandbox, "link"), 12))
}

/// Whether a link of this name is left from an ADD that was interrupted.
pub fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY_PREFIX)
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The alias of the host's end, which tells whose it is. At most 255 bytes (`IFALIASZ`, linux/if.h).
pub fn alias(sandbox: &Sandbox) -> String {
    format!(
        "{ALIAS_MARK}/{}/{}/{}/{}",
        sandbox.pod_uid, sandbox.container_id, sandbox.ifname, sandbox.attachment
    )
}

/// The sandbox that a link belongs to, if name and alias are ours.
pub fn owner_of(name: &str, alias: Option<&str>) -> Option<Sandbox> {
    if !name.starts_with(HOST_PREFIX) {
        return None;
    }
    let mut parts = alias?.split('/');
    let (mark, uid, container, ifname) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let attachment = parts.next()?;
    (mark == ALIAS_MARK && parts.next().is_none()).then(|| Sandbox {
        container_id: container.to_owned(),
        pod_uid: uid.to_owned(),
        ifname: ifname.to_owned(),
        attachment: attachment.to_owned(),
    })
}

/// MAC of the host's end. It is computed, because a device manager on the host may change a random MAC after the pod
/// has learnt it.
pub fn host_mac(sandbox: &Sandbox) -> [u8; 6] {
    local_mac(&identity_digest(sandbox, "host"))
}

/// MAC of the pod's end. The check of sources compares the pod's frames with it.
pub fn pod_mac(sandbox: &Sandbox) -> [u8; 6] {
    local_mac(&identity_digest(sandbox, "pod"))
}

fn identity_digest(sandbox: &Sandbox, what: &str) -> Vec<u8> {
    Sha1::digest(format!("{what}/{}/{}", sandbox.container_id, sandbox.ifname).as_bytes()).to_vec()
}

/// A unicast, locally administered MAC from the first bytes of a digest.
fn local_mac(digest: &[u8]) -> [u8; 6] {
    let mut mac = [0; 6];
    mac.copy_from_slice(&digest[..6]);
    mac[0] = mac[0] & 0xfc | 0x02;
    mac
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let mut text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> Sandbox {
        Sandbox {
            container_id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
            pod_uid: "9f0c4f5e-2d0a-4d0e-8a55-1b1a55a1a2c3".into(),
            ifname: "eth0".into(),
            attachment: "eth0".into(),
        }
    }

    #[test]
    fn host_names_are_stable_and_fit_the_kernel() {
        // sha1("default.web-0"), as users know it from `ip link`
        let name = host_ifname("default", "web-0", "eth0");
        assert_eq!(name.len(), 15);
        assert!(name.starts_with("cali"));
        assert_eq!(name, host_ifname("default", "web-0", "eth0"));
        assert_ne!(name, host_ifname("default", "web-0", "eth1"));
    }

    #[test]
    fn an_alias_names_its_sandbox_and_fits_the_kernel() {
        let text = alias(&sandbox());
        assert!(text.len() < 256);
        assert_eq!(owner_of("cali00000000000", Some(&text)), Some(sandbox()));
    }

    #[test]
    fn foreign_links_have_no_owner() {
        let ours = alias(&sandbox());
        assert_eq!(owner_of("eth0", Some(&ours)), None);
        assert_eq!(owner_of("cali00000000000", None), None);
        assert_eq!(owner_of("cali00000000000", Some("a pod of another plugin")), None);
        assert_eq!(owner_of("cali00000000000", Some("terway/a/b/c/d/e")), None);
    }

    #[test]
    fn macs_are_local_unicast_and_differ_per_end() {
        let (host, pod) = (host_mac(&sandbox()), pod_mac(&sandbox()));
        assert_ne!(host, pod);
        assert_eq!((host[0] & 3, pod[0] & 3), (2, 2));
    }

    #[test]
    fn temporary_names_are_recognised() {
        assert!(is_temporary(&temporary_ifname(&sandbox())));
        assert!(!is_temporary("twtmp0"));
        assert!(!is_temporary("eth0"));
    }
}
