//! Steps in the cloud, and the record of their results.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use cloudsim::World;
use cloudsim::model::{
    AssignAddresses, AttachEni, Change, Cloud, Completion, CreateEni, DeleteEni, DetachEni, EniKind, Family,
    Held, Idempotency, ModifyEni, NewEniKind, NewReservation, ReservationBlock, ReservationFilter,
    UnassignAddresses, Wanted,
};
use ipnet::IpNet;
use jiff::Timestamp;
use proptest::prelude::*;

#[derive(Debug, Clone)]
pub enum Step {
    Create {
        vswitch: usize,
        trunk: bool,
        secondary: u32,
        prefixes: u32,
        token: Option<u8>,
    },
    Attach {
        eni: usize,
        node: usize,
        trunk: Option<usize>,
    },
    Detach {
        eni: usize,
    },
    Delete {
        eni: usize,
    },
    TearOff {
        eni: usize,
    },
    Assign {
        eni: usize,
        what: Kind,
        count: u32,
        token: Option<u8>,
    },
    Unassign {
        eni: usize,
        what: Kind,
        which: usize,
    },
    Reserve {
        vswitch: usize,
        length: u8,
        /// Number of the block of this length; a free block when absent.
        at: Option<u32>,
    },
    Unreserve {
        which: usize,
    },
    Regroup {
        eni: usize,
        groups: usize,
    },
    Wait {
        ms: u64,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Ipv4,
    /// The address with this number in the vSwitch.
    Ipv4Named(u32),
    Ipv4Prefix,
    Ipv6,
    Ipv6Prefix,
}

pub const VSWITCHES: [&str; 3] = ["vsw-pod-h", "vsw-db-h", "vsw-pod-i"];
pub const NODES: [&str; 2] = ["i-node1", "i-node2"];
/// Number of addresses that sg-web takes.
pub const WEB_LIMIT: usize = 40;
const GROUPS: [&[&str]; 3] = [&["sg-web"], &["sg-db"], &["sg-web", "sg-db"]];

pub fn step() -> impl Strategy<Value = Step> {
    let eni = || 0..64usize;
    let token = || proptest::option::of(0..6u8);
    let kind = || {
        prop_oneof![
            4 => Just(Kind::Ipv4),
            3 => (0..128u32).prop_map(Kind::Ipv4Named),
            2 => Just(Kind::Ipv4Prefix),
            1 => Just(Kind::Ipv6),
            1 => Just(Kind::Ipv6Prefix),
        ]
    };
    prop_oneof![
        5 => (0..3usize, any::<bool>(), 0..3u32, 0..2u32, token()).prop_map(
            |(vswitch, trunk, secondary, prefixes, token)| {
                // Addresses and prefixes exclude each other in one call.
                let prefixes = if secondary == 0 { prefixes } else { 0 };
                Step::Create { vswitch, trunk, secondary, prefixes, token }
            }
        ),
        6 => (eni(), 0..2usize, proptest::option::of(eni()))
            .prop_map(|(eni, node, trunk)| Step::Attach { eni, node, trunk }),
        2 => eni().prop_map(|eni| Step::Detach { eni }),
        1 => eni().prop_map(|eni| Step::Delete { eni }),
        1 => eni().prop_map(|eni| Step::TearOff { eni }),
        6 => (eni(), kind(), 1..4u32, token())
            .prop_map(|(eni, what, count, token)| Step::Assign { eni, what, count, token }),
        4 => (eni(), kind(), 0..8usize).prop_map(|(eni, what, which)| Step::Unassign { eni, what, which }),
        2 => (0..3usize, 26..30u8, proptest::option::of(0..8u32))
            .prop_map(|(vswitch, length, at)| Step::Reserve { vswitch, length, at }),
        1 => (0..8usize).prop_map(|which| Step::Unreserve { which }),
        1 => (eni(), 0..3usize).prop_map(|(eni, groups)| Step::Regroup { eni, groups }),
        2 => (0..400u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A world so small that addresses, prefixes and slots run out.
pub fn tight_world() -> World {
    let mut world = World::small();
    for vswitch in &mut world.v_switches {
        let Some(index) = VSWITCHES.iter().position(|id| *id == vswitch.id) else {
            continue;
        };
        // The first vSwitch has room for blocks, and one block from the start.
        let length = if index == 0 { 25 } else { 28 };
        vswitch.cidr = format!("{}/{length}", vswitch.cidr.network())
            .parse()
            .expect("a cidr");
        vswitch.ipv6_cidr = Some(format!("2001:db8:0:{index}::/64").parse().expect("a cidr"));
        if index == 0 {
            vswitch.reserved_cidrs = ["10.0.16.32/27", "2001:db8:0:0:4::/78"]
                .map(|cidr| cidr.parse().expect("a cidr"))
                .into();
        }
    }
    for kind in &mut world.instance_types {
        kind.eni_total_quantity = kind.eni_quantity + 4;
        kind.private_ips_per_eni = 5;
        kind.ipv6_per_eni = 3;
    }
    for group in world
        .security_groups
        .iter_mut()
        .filter(|group| group.id == "sg-web")
    {
        group.max_addresses = Some(WEB_LIMIT as u32);
    }
    world.rules.free_eni_ipv4 = 6;
    world.rules.free_eni_ipv6 = 4;
    world
}

/// The first request and the first answer of each token.
type Memory = BTreeMap<String, (String, String)>;

pub struct Play {
    pub cloud: Cloud,
    pub world: World,
    /// The addresses of each plugged ENI, as a fabric learns them from the changes.
    pub fabric: BTreeMap<Arc<str>, BTreeSet<Ipv4Addr>>,
    now: Timestamp,
    tokens: Memory,
}

impl Play {
    pub fn new(seed: u64) -> Play {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let world = tight_world();
        let cloud = Cloud::new(&world, seed, true, now).expect("a cloud");
        let fabric = cloud
            .enis()
            .map(|eni| (eni.id.clone(), eni.routed_addresses().collect()))
            .collect();
        Play {
            cloud,
            world,
            fabric,
            now,
            tokens: Memory::new(),
        }
    }

    fn pick(&self, index: usize) -> String {
        let ids: Vec<String> = self.cloud.enis().map(|eni| eni.id.to_string()).collect();
        ids[index % ids.len()].clone()
    }

    /// Takes a step. The cloud refuses most steps; the invariants hold in any case.
    pub fn take(&mut self, step: &Step) {
        let soon = Completion::After(Duration::from_millis(100));
        match *step {
            Step::Create {
                vswitch,
                trunk,
                secondary,
                prefixes,
                token,
            } => self.create(VSWITCHES[vswitch], trunk, (secondary, prefixes), token),
            Step::Attach { eni, node, trunk } => {
                let request = AttachEni {
                    eni_id: self.pick(eni),
                    instance_id: NODES[node].into(),
                    trunk_eni_id: trunk.map(|index| self.pick(index)),
                    network_card_index: 0,
                };
                let _ = self.cloud.attach_network_interface(&request, soon, self.now);
            }
            Step::Detach { eni } => self.detach(eni, soon),
            Step::Delete { eni } => {
                let eni_id = self.pick(eni);
                let _ = self
                    .cloud
                    .delete_network_interface(&DeleteEni { eni_id }, soon, self.now);
            }
            Step::TearOff { eni } => {
                let id = self.pick(eni);
                let mine = self.cloud.eni(&id).expect("it was picked");
                if mine.kind != EniKind::Primary {
                    self.cloud.tear_off(&id).expect("it is there");
                }
            }
            Step::Assign {
                eni,
                what,
                count,
                token,
            } => self.assign_some(eni, what, count, token),
            Step::Unassign { eni, what, which } => self.unassign_some(eni, what, which),
            Step::Reserve { vswitch, length, at } => {
                let base = self.cloud.vswitch(VSWITCHES[vswitch]).expect("it is there");
                let base = u32::from(base.spec.cidr.network());
                let block = match at.map(|at| Ipv4Addr::from(base + (at << (32 - length)))) {
                    // An ENI may have an address of the block.
                    Some(first) => ReservationBlock::Cidr(IpNet::new(first.into(), length).expect("a cidr")),
                    None => ReservationBlock::Ipv4Length(length),
                };
                let request = NewReservation {
                    vswitch_id: VSWITCHES[vswitch].into(),
                    block,
                    name: String::new(),
                    description: String::new(),
                    once: Idempotency::default(),
                };
                let _ = self.cloud.create_cidr_reservation(&request, soon, self.now);
            }
            Step::Unreserve { which } => {
                let held = self.cloud.cidr_reservations(&ReservationFilter::default());
                if let Some(id) = held.get(which).map(|one| one.id.clone()) {
                    let once = Idempotency::default();
                    let _ = self.cloud.delete_cidr_reservation(&id, &once, soon, self.now);
                }
            }
            Step::Regroup { eni, groups } => {
                let request = ModifyEni {
                    eni_id: self.pick(eni),
                    security_group_ids: GROUPS[groups].iter().map(|id| (*id).to_owned()).collect(),
                    ..ModifyEni::default()
                };
                let _ = self.cloud.modify_network_interface(&request);
            }
            Step::Wait { ms } => {
                self.now += Duration::from_millis(ms);
                self.cloud.advance(self.now);
            }
        }
        self.follow();
    }

    fn detach(&mut self, eni: usize, soon: Completion) {
        let eni_id = self.pick(eni);
        let held = self.cloud.eni(&eni_id).and_then(|eni| eni.instance().cloned());
        let request = DetachEni {
            eni_id,
            instance_id: held.as_deref().unwrap_or("i-node1").to_owned(),
            trunk_eni_id: None,
        };
        let _ = self.cloud.detach_network_interface(&request, soon, self.now);
    }

    fn create(&mut self, vswitch: &str, trunk: bool, (secondary, prefixes): (u32, u32), token: Option<u8>) {
        let once = once(
            "create",
            token,
            &format!("{vswitch}/{trunk}/{secondary}/{prefixes}"),
        );
        let request = CreateEni {
            vswitch_id: vswitch.into(),
            security_group_ids: vec!["sg-web".into()],
            kind: if trunk {
                NewEniKind::Trunk
            } else {
                NewEniKind::Secondary
            },
            ipv4: Wanted {
                prefix_count: prefixes,
                ..Wanted::some(secondary)
            },
            ipv6: Wanted::some(secondary),
            once: once.clone(),
            ..CreateEni::default()
        };
        let before = self.shape();
        let outcome = self.cloud.create_network_interface(&request, self.now);
        let told = outcome.map_or_else(|refusal| refusal.code.to_string(), |eni| eni.id.to_string());
        self.remember(&once, told, &before);
    }

    fn assign_some(&mut self, eni: usize, what: Kind, count: u32, token: Option<u8>) {
        match what {
            Kind::Ipv4 => self.assign::<Ipv4Addr>(eni, Wanted::some(count), token),
            Kind::Ipv4Named(place) => {
                let id = self.pick(eni);
                let vswitch_id = &self.cloud.eni(&id).expect("it was picked").vswitch_id;
                let cidr = self.cloud.vswitch(vswitch_id).expect("its vSwitch").spec.cidr;
                let wanted = Wanted {
                    listed: vec![Ipv4Addr::from(u32::from(cidr.network()) + place)],
                    ..Wanted::default()
                };
                self.assign(eni, wanted, token);
            }
            Kind::Ipv6 => self.assign::<Ipv6Addr>(eni, Wanted::some(count), token),
            Kind::Ipv4Prefix => self.assign::<Ipv4Addr>(eni, some_prefixes(count), token),
            Kind::Ipv6Prefix => self.assign::<Ipv6Addr>(eni, some_prefixes(count), token),
        }
    }

    fn assign<A: Family>(&mut self, eni: usize, wanted: Wanted<A>, token: Option<u8>) {
        let eni_id = self.pick(eni);
        let once = once(A::FAMILY, token, &format!("{eni_id}/{wanted:?}"));
        let (count, prefix_count) = (wanted.addresses(), wanted.prefix_count as usize);
        let request = AssignAddresses {
            eni_id,
            wanted,
            once: once.clone(),
        };
        let before = self.shape();
        let outcome: Result<Held<A>, _> = self.cloud.assign_addresses(&request, self.now);
        if let Ok(held) = &outcome {
            assert_eq!(
                (held.addresses.len(), held.prefixes.len()),
                (count, prefix_count),
                "all or nothing"
            );
        } else {
            assert_eq!(self.shape(), before, "a refusal changes nothing");
        }
        let told = outcome.map_or_else(|refusal| refusal.code.to_string(), |held| format!("{held:?}"));
        self.remember(&once, told, &before);
    }

    fn unassign_some(&mut self, eni: usize, what: Kind, which: usize) {
        let id = self.pick(eni);
        match what {
            Kind::Ipv4 | Kind::Ipv4Named(_) => self.unassign::<Ipv4Addr>(&id, which, true),
            Kind::Ipv6 => self.unassign::<Ipv6Addr>(&id, which, true),
            Kind::Ipv4Prefix => self.unassign::<Ipv4Addr>(&id, which, false),
            Kind::Ipv6Prefix => self.unassign::<Ipv6Addr>(&id, which, false),
        }
    }

    fn unassign<A: Family>(&mut self, id: &str, which: usize, address: bool) {
        let (addresses, prefixes) = A::held(self.cloud.eni(id).expect("it was picked"));
        let mut request = UnassignAddresses {
            eni_id: id.to_owned(),
            addresses: Vec::new(),
            prefixes: Vec::new(),
        };
        if address {
            request.addresses.extend(addresses.get(which));
        } else {
            request.prefixes.extend(prefixes.get(which));
        }
        let _ = self.cloud.unassign_addresses(&request);
    }

    /// Checks that a repeated token changes nothing and gets the first answer.
    fn remember(&mut self, once: &Idempotency, told: String, before: &str) {
        let Some(token) = &once.client_token else { return };
        let Some((fingerprint, first)) = self.tokens.get(token) else {
            self.tokens
                .insert(token.clone(), (once.fingerprint.clone(), told));
            return;
        };
        assert_eq!(self.shape(), before, "a used token changes nothing");
        if *fingerprint == once.fingerprint {
            assert_eq!(told, *first, "a token answers what it answered first");
        } else {
            assert_eq!(told, "IdempotentParameterMismatch");
        }
    }

    fn shape(&self) -> String {
        let enis = self.cloud.enis().map(|eni| {
            format!(
                "{}:{:?}:{:?}:{:?}:{:?}",
                eni.id, eni.secondary_ips, eni.ipv4_prefixes, eni.ipv6_addresses, eni.ipv6_prefixes
            )
        });
        enis.collect::<Vec<_>>().join("\n")
    }

    /// Applies the changes as a fabric does.
    fn follow(&mut self) {
        for change in self.cloud.take_changes() {
            match change {
                Change::Attached(eni) => {
                    let there = self
                        .fabric
                        .insert(eni.id.clone(), eni.routed_addresses().collect());
                    assert!(there.is_none(), "{} is plugged twice", eni.id);
                }
                Change::Detached { eni_id, .. } => {
                    self.fabric.remove(&eni_id);
                }
                Change::Altered(eni) => {
                    let held = self
                        .fabric
                        .get_mut(&eni.id)
                        .expect("only plugged ENIs are altered");
                    *held = eni.routed_addresses().collect();
                }
            }
        }
    }
}

fn some_prefixes<A>(count: u32) -> Wanted<A> {
    Wanted {
        prefix_count: count,
        ..Wanted::default()
    }
}

fn once(action: &str, token: Option<u8>, fingerprint: &str) -> Idempotency {
    Idempotency {
        client_token: token.map(|number| format!("{action}-{number}")),
        fingerprint: fingerprint.to_owned(),
    }
}
