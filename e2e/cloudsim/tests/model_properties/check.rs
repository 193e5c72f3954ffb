//! The invariants after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use cloudsim::model::{Eni, EniKind, EniStatus, ReservationFilter};
use ipnet::IpNet;

use crate::play::{NODES, Play, VSWITCHES, WEB_LIMIT};

impl Play {
    pub fn check(&self) {
        self.check_ipv4();
        self.check_ipv6();
        self.check_limits();
        self.check_attachments();
        self.check_fabric();
    }

    /// Every address has one owner, is in an allowed place, and is counted.
    fn check_ipv4(&self) {
        let mut owned: BTreeMap<&str, BTreeSet<Ipv4Addr>> = BTreeMap::new();
        for eni in self.cloud.enis() {
            let vswitch = self.cloud.vswitch(&eni.vswitch_id).expect("its vSwitch");
            let cidr = vswitch.spec.cidr;
            let held = owned.entry(&vswitch.spec.id).or_default();
            for address in eni.routed_addresses() {
                assert!(held.insert(address), "{} doubles {address}", eni.id);
                let offset = u32::from(address) - u32::from(cidr.network());
                let last = u32::from(cidr.broadcast()) - u32::from(address);
                assert!(
                    cidr.contains(&address) && offset >= 3 && last >= 3,
                    "{address} is the system's"
                );
            }
        }
        let blocks = self.cloud.cidr_reservations(&ReservationFilter::default());
        for id in VSWITCHES {
            let vswitch = self.cloud.vswitch(id).expect("it is there");
            let held = owned.remove(id).unwrap_or_default();
            let mine: Vec<_> = blocks.iter().filter(|block| block.vswitch_id == id).collect();
            let reserved = |address: &Ipv4Addr| {
                let address = std::net::IpAddr::V4(*address);
                mine.iter().any(|block| block.cidr.contains(&address))
            };
            let size = 1usize << (32 - vswitch.spec.cidr.prefix_len());
            let all = (0..size as u32).map(|n| Ipv4Addr::from(u32::from(vswitch.spec.cidr.network()) + n));
            let usable = all.skip(3).take(size - 6);
            let free = usable.filter(|address| !held.contains(address) && !reserved(address));
            assert_eq!(
                vswitch.space.available() as usize,
                free.count(),
                "{id} miscounts its free addresses"
            );
            for block in mine {
                let IpNet::V4(net) = block.cidr else { continue };
                let used = self.cloud.reservation_use(block);
                let prefixes = self.cloud.enis().flat_map(|eni| &eni.ipv4_prefixes);
                let given = prefixes.filter(|prefix| net.contains(&prefix.first)).count();
                let units = net.subnets(28).expect("a block is a /28 at the smallest");
                let empty = units.filter(|unit| held.iter().all(|address| !unit.contains(address)));
                assert_eq!(
                    (used.given as usize, used.available as usize),
                    (given, empty.count())
                );
            }
        }
    }

    fn check_ipv6(&self) {
        let mut addresses: BTreeSet<Ipv6Addr> = BTreeSet::new();
        let mut prefixes = BTreeSet::new();
        for eni in self.cloud.enis() {
            let vswitch = self.cloud.vswitch(&eni.vswitch_id).expect("its vSwitch");
            for address in &eni.ipv6_addresses {
                assert!(addresses.insert(*address), "{} doubles {address}", eni.id);
                assert!(vswitch.spec.ipv6_cidr.expect("IPv6 is on").contains(address));
            }
            for prefix in &eni.ipv6_prefixes {
                assert!(prefixes.insert(*prefix), "{} doubles {prefix}", eni.id);
            }
        }
        for prefix in prefixes {
            let span = prefix.span();
            assert!(
                addresses
                    .range(Ipv6Addr::from(span.first)..=Ipv6Addr::from(span.last))
                    .next()
                    .is_none(),
                "{prefix} holds somebody's address"
            );
        }
    }

    fn check_limits(&self) {
        let (rules, kind) = (&self.world.rules, &self.world.instance_types[0]);
        for eni in self.cloud.enis() {
            let ipv4 = eni.secondary_ips.len() + eni.ipv4_prefixes.len();
            let ipv6 = eni.ipv6_addresses.len() + eni.ipv6_prefixes.len();
            let (most_ipv4, most_ipv6) = match eni.attachment {
                Some(_) => (kind.private_ips_per_eni - 1, kind.ipv6_per_eni),
                None => (rules.free_eni_ipv4, rules.free_eni_ipv6),
            };
            assert!(
                ipv4 <= most_ipv4 as usize && ipv6 <= most_ipv6 as usize,
                "{eni:?} has too many"
            );
        }
        let in_web = |eni: &&Eni| eni.security_group_ids.iter().any(|id| &**id == "sg-web");
        let held: usize = self
            .cloud
            .enis()
            .filter(in_web)
            .map(|eni| eni.addresses().count())
            .sum();
        assert!(held <= WEB_LIMIT, "sg-web holds {held} addresses");
        for node in NODES {
            let by_index: BTreeSet<_> = self.cloud.enis_of(node).map(|eni| eni.serial).collect();
            let mine = |eni: &&Eni| eni.instance().is_some_and(|id| **id == *node);
            let by_scan: BTreeSet<_> = self.cloud.enis().filter(mine).map(|eni| eni.serial).collect();
            assert_eq!(by_index, by_scan);
            let members = self.cloud.enis_of(node).filter(|eni| eni.trunk().is_some());
            let nics = by_index.len() - members.count();
            let trunks = self.cloud.enis_of(node).filter(|eni| eni.kind == EniKind::Trunk);
            assert!(nics <= 4 && trunks.count() <= 1, "too many NICs on {node}");
        }
    }

    fn check_attachments(&self) {
        let (mut macs, mut vlans) = (BTreeSet::new(), BTreeSet::new());
        for eni in self.cloud.enis() {
            assert!(macs.insert(eni.mac), "{} doubles a MAC", eni.id);
            assert_eq!(
                eni.attachment.is_none(),
                matches!(eni.status, EniStatus::Available | EniStatus::Deleting),
                "{eni:?}"
            );
            assert_eq!(eni.kind == EniKind::Member, eni.trunk().is_some(), "{eni:?}");
            if let Some(attachment) = &eni.attachment
                && let Some(trunk) = &attachment.trunk_eni_id
            {
                assert!((1..=4094).contains(&attachment.device_index));
                assert!(
                    vlans.insert((trunk.clone(), attachment.device_index)),
                    "a VLAN id is doubled"
                );
                let trunk = self.cloud.eni(trunk).expect("the trunk of a member is there");
                assert_eq!(trunk.instance(), eni.instance());
            }
        }
    }

    /// A fabric that applies all changes has the addresses of all plugged ENIs.
    fn check_fabric(&self) {
        let plugged = |eni: &&Eni| matches!(eni.status, EniStatus::InUse | EniStatus::Detaching);
        let there: BTreeMap<_, BTreeSet<_>> = self
            .cloud
            .enis()
            .filter(plugged)
            .map(|eni| (eni.id.clone(), eni.routed_addresses().collect()))
            .collect();
        assert_eq!(self.fabric, there, "the fabric does not know everything");
    }
}
