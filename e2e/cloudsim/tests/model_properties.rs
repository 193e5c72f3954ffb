//! Properties of the model under any sequence of calls: addresses and VLAN ids are never
//! doubled, limits hold, tokens are idempotent, and the same seed gives the same cloud.

#![allow(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudsim::World;
use cloudsim::model::{
    AttachEni, Cloud, Completion, CreateEni, DeleteEni, DetachEni, EniKind, EniStatus, NewEniKind,
};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Create {
        vswitch: usize,
        trunk: bool,
        secondary: u32,
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
    Wait {
        ms: u64,
    },
}

const VSWITCHES: [&str; 3] = ["vsw-pod-h", "vsw-db-h", "vsw-pod-i"];
const NODES: [&str; 2] = ["i-node1", "i-node2"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, any::<bool>(), 0..3u32, proptest::option::of(0..6u8))
            .prop_map(|(vswitch, trunk, secondary, token)| Step::Create { vswitch, trunk, secondary, token }),
        6 => (0..64usize, 0..2usize, proptest::option::of(0..64usize))
            .prop_map(|(eni, node, trunk)| Step::Attach { eni, node, trunk }),
        2 => (0..64usize).prop_map(|eni| Step::Detach { eni }),
        1 => (0..64usize).prop_map(|eni| Step::Delete { eni }),
        1 => (0..64usize).prop_map(|eni| Step::TearOff { eni }),
        2 => (0..400u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A world so small that addresses and slots run out.
fn tight_world() -> World {
    let mut world = World::small();
    for vswitch in world
        .v_switches
        .iter_mut()
        .filter(|v| VSWITCHES.contains(&v.id.as_str()))
    {
        vswitch.cidr = format!("{}/28", vswitch.cidr.network()).parse().expect("a cidr");
    }
    for kind in &mut world.instance_types {
        kind.eni_total_quantity = kind.eni_quantity + 4;
    }
    world
}

struct Play {
    cloud: Cloud,
    now: Timestamp,
    /// What each token first stood for, and the ENI it made.
    tokens: BTreeMap<String, (String, Option<String>)>,
}

impl Play {
    fn new(seed: u64) -> Play {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cloud = Cloud::new(&tight_world(), seed, true, now).expect("a cloud");
        Play {
            cloud,
            now,
            tokens: BTreeMap::new(),
        }
    }

    fn pick(&self, index: usize) -> String {
        let ids: Vec<String> = self.cloud.enis().map(|eni| eni.id.to_string()).collect();
        ids[index % ids.len()].clone()
    }

    fn take(&mut self, step: &Step) {
        let soon = Completion::After(Duration::from_millis(100));
        match step {
            Step::Create {
                vswitch,
                trunk,
                secondary,
                token,
            } => {
                self.create(VSWITCHES[*vswitch], *trunk, *secondary, *token);
            }
            Step::Attach { eni, node, trunk } => {
                let request = AttachEni {
                    eni_id: self.pick(*eni),
                    instance_id: NODES[*node].into(),
                    trunk_eni_id: trunk.map(|index| self.pick(index)),
                    network_card_index: 0,
                };
                // Most are refused; the invariants hold either way.
                let _ = self.cloud.attach_network_interface(&request, soon, self.now);
            }
            Step::Detach { eni } => {
                let eni_id = self.pick(*eni);
                let held = self.cloud.eni(&eni_id).and_then(|eni| eni.instance().cloned());
                let instance_id = held.as_deref().unwrap_or("i-node1").to_owned();
                let request = DetachEni {
                    eni_id,
                    instance_id,
                    trunk_eni_id: None,
                };
                let _ = self.cloud.detach_network_interface(&request, soon, self.now);
            }
            Step::Delete { eni } => {
                let request = DeleteEni {
                    eni_id: self.pick(*eni),
                };
                let _ = self.cloud.delete_network_interface(&request, soon, self.now);
            }
            Step::TearOff { eni } => {
                let id = self.pick(*eni);
                if self
                    .cloud
                    .eni(&id)
                    .is_some_and(|eni| eni.kind != EniKind::Primary)
                {
                    self.cloud.tear_off(&id).expect("it is there");
                }
            }
            Step::Wait { ms } => {
                self.now += Duration::from_millis(*ms);
                self.cloud.advance(self.now);
            }
        }
    }

    fn create(&mut self, vswitch: &str, trunk: bool, secondary: u32, token: Option<u8>) {
        let token = token.map(|number| format!("token-{number}"));
        let request = CreateEni {
            vswitch_id: vswitch.into(),
            security_group_ids: vec!["sg-web".into()],
            kind: if trunk {
                NewEniKind::Trunk
            } else {
                NewEniKind::Secondary
            },
            secondary_count: secondary,
            client_token: token.clone(),
            fingerprint: format!("{vswitch}/{trunk}/{secondary}"),
            ..CreateEni::default()
        };
        let before = self.cloud.eni_count();
        let outcome = self.cloud.create_network_interface(&request, self.now);
        let Some(token) = token else { return };
        let made = outcome.as_ref().ok().map(|eni| eni.id.to_string());
        match self.tokens.get(&token) {
            None => {
                self.tokens.insert(token, (request.fingerprint, made));
            }
            Some((fingerprint, first)) => {
                assert_eq!(self.cloud.eni_count(), before, "a used token makes nothing");
                if *fingerprint == request.fingerprint {
                    assert_eq!(made, *first, "a token answers what it answered first");
                } else {
                    assert_eq!(outcome.expect_err("refused").code, "IdempotentParameterMismatch");
                }
            }
        }
    }

    fn check(&self) {
        let (mut addresses, mut macs) = (BTreeSet::new(), BTreeSet::new());
        let mut vlans = BTreeSet::new();
        let mut held: BTreeMap<&str, u32> = BTreeMap::new();
        for eni in self.cloud.enis() {
            assert!(macs.insert(eni.mac), "{} doubles a MAC", eni.id);
            let cidr = self
                .cloud
                .vswitch(&eni.vswitch_id)
                .expect("its vSwitch")
                .spec
                .cidr;
            for address in eni.addresses() {
                assert!(addresses.insert(address), "{} doubles {address}", eni.id);
                let offset = u32::from(address) - u32::from(cidr.network());
                let last = u32::from(cidr.broadcast()) - u32::from(address);
                assert!(
                    cidr.contains(&address) && offset >= 3 && last >= 3,
                    "{address} is reserved"
                );
                *held.entry(&eni.vswitch_id).or_default() += 1;
            }
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
        for state in self
            .cloud
            .vswitches()
            .filter(|state| VSWITCHES.contains(&state.spec.id.as_str()))
        {
            let used = held.get(state.spec.id.as_str()).copied().unwrap_or(0);
            assert_eq!(
                state.space.available(),
                16 - 6 - used,
                "{} miscounts",
                state.spec.id
            );
        }
        for node in NODES {
            let by_index: BTreeSet<_> = self.cloud.enis_of(node).map(|eni| eni.serial).collect();
            let mine = |eni: &&cloudsim::model::Eni| eni.instance().is_some_and(|id| **id == *node);
            let by_scan: BTreeSet<_> = self.cloud.enis().filter(mine).map(|eni| eni.serial).collect();
            assert_eq!(by_index, by_scan);
            let members = self
                .cloud
                .enis_of(node)
                .filter(|eni| eni.trunk().is_some())
                .count();
            assert!(by_index.len() - members <= 4, "too many NICs on {node}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_calls_breaks_the_cloud(steps in vec(step(), 1..120)) {
        let mut play = Play::new(7);
        for step in &steps {
            play.take(step);
            play.check();
        }
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_cloud(seed in any::<u64>(), steps in vec(step(), 1..40)) {
        let (mut first, mut second) = (Play::new(seed), Play::new(seed));
        for step in &steps {
            first.take(step);
            second.take(step);
        }
        let enis = |play: &Play| play.cloud.enis().cloned().collect::<Vec<_>>();
        prop_assert_eq!(enis(&first), enis(&second));
    }
}

#[test]
fn a_token_is_forgotten_when_its_life_is_over() {
    let mut world = World::small();
    world.rules.client_token_life = cloudsim::world::Span::secs(60);
    world.rules.client_token_reuse = cloudsim::world::ClientTokenReuse::IdempotentFailed;
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut cloud = Cloud::new(&world, 1, false, start).expect("a cloud");
    let mut request = CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        client_token: Some("t".into()),
        fingerprint: "a".into(),
        ..CreateEni::default()
    };
    let first = cloud.create_network_interface(&request, start).expect("created");
    let later = start + Duration::from_secs(59);
    // Also after the ENI has gone, and not longer than the token lives.
    cloud
        .delete_network_interface(
            &DeleteEni {
                eni_id: first.id.to_string(),
            },
            Completion::After(Duration::ZERO),
            later,
        )
        .expect("deleted");
    assert_eq!(cloud.create_network_interface(&request, later), Ok(first.clone()));
    request.fingerprint = "b".into();
    let refusal = cloud
        .create_network_interface(&request, later)
        .expect_err("refused");
    assert_eq!(refusal.code, "IdempotentFailed");
    let after = start + Duration::from_secs(61);
    assert_ne!(
        cloud
            .create_network_interface(&request, after)
            .expect("created")
            .id,
        first.id
    );
}

#[test]
fn a_refusal_is_remembered_by_its_token() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut cloud = Cloud::new(&World::small(), 1, false, start).expect("a cloud");
    let request = CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        client_token: Some("t".into()),
        ..CreateEni::default()
    };
    assert!(cloud.withhold("vsw-pod-h", u32::MAX));
    let refusal = cloud
        .create_network_interface(&request, start)
        .expect_err("no address");
    assert_eq!(refusal.code, "InvalidVSwitchId.IpNotEnough");
    assert!(cloud.withhold("vsw-pod-h", 0));
    assert_eq!(cloud.create_network_interface(&request, start), Err(refusal));
    let fresh = CreateEni {
        client_token: Some("u".into()),
        ..request
    };
    cloud
        .create_network_interface(&fresh, start)
        .expect("a new token works");
}
