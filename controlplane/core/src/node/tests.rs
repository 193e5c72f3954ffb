//! Nodes: limits, what is published, and a trunk from nothing to use, whatever is lost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use proptest::prelude::*;
use serde_json::json;
use terway_crds::node::NodeCap;
use terway_crds::{OperationKind, TerwayNode, TerwayNodeStatus};

use super::*;
use crate::cloud::{CloudEni, EniKind, EniObservation, EniStatus, InstanceTypeLimits};
use crate::intent::{Answer, Evidence, Limits};
use crate::testing::cloud_eni;

fn limits() -> InstanceTypeLimits {
    InstanceTypeLimits {
        instance_type: "ecs.g7.2xlarge".into(),
        eni_quantity: 4,
        eni_total_quantity: 18,
        private_ips_per_eni: 15,
        ipv6_per_eni: 15,
        trunk_supported: true,
        eri_quantity: 0,
        network_cards: 1,
    }
}

fn facts() -> NodeFacts {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "node1", "uid": "u", "resourceVersion": "7", "labels": {
            "topology.kubernetes.io/region": "cn-hangzhou",
            "topology.kubernetes.io/zone": "cn-hangzhou-h",
            "node.kubernetes.io/instance-type": "ecs.g7.2xlarge",
        }},
        "spec": {"providerID": "cn-hangzhou.i-1"},
    }))
    .unwrap();
    NodeFacts::from_node(&node, &Default::default())
}

fn record() -> TerwayNode {
    let mut record = TerwayNode::default();
    record.spec.node_metadata.instance_id = "i-1".into();
    record.spec.node_cap = node_cap(&limits());
    record
}

fn trunk(status: EniStatus) -> CloudEni {
    CloudEni {
        status,
        kind: EniKind::Trunk,
        instance_id: Some("i-1".into()),
        ..cloud_eni("trunk-1")
    }
}

#[test]
fn a_node_says_who_it_is() {
    let facts = facts();
    assert_eq!(
        (facts.instance_id.as_str(), facts.zone.as_str(), facts.version),
        ("i-1", "cn-hangzhou-h", 7)
    );
    assert!(facts.is_managed(&Default::default()));
    let white_list = [("pool".to_owned(), "a".to_owned())].into();
    assert!(!facts.is_managed(&white_list));
    assert!(
        !NodeFacts {
            ignored: true,
            ..facts
        }
        .is_managed(&Default::default())
    );
}

#[test]
fn capacities_follow_from_the_instance_type() {
    let cap = node_cap(&limits());
    assert_eq!(
        (
            cap.adapters,
            cap.member_adapter_limit,
            cap.max_member_adapter_limit
        ),
        (4, 14, 16)
    );
    let without = InstanceTypeLimits {
        trunk_supported: false,
        ..limits()
    };
    assert_eq!(node_cap(&without).member_adapter_limit, 0);
}

#[test]
fn the_spec_is_written_once() {
    let mut record = TerwayNode::default();
    assert_eq!(
        plan_spec(&facts(), &record, None),
        NodeSpecPlan::NeedsLimits("ecs.g7.2xlarge".into())
    );
    let NodeSpecPlan::Write(spec) = plan_spec(&facts(), &record, Some(&limits())) else {
        panic!("no write")
    };
    record.spec = *spec;
    assert_eq!(
        plan_spec(&facts(), &record, Some(&limits())),
        NodeSpecPlan::Unchanged
    );
}

#[test]
fn nothing_is_published_before_the_trunk_is_in_use_and_zeroes_are_repaired() {
    let mut record = record();
    assert!(plan_publication(&facts(), &record, false).is_empty());
    let nic = terway_crds::node::Nic {
        id: "trunk-1".into(),
        kind: Some(terway_crds::EniKind::Trunk),
        status: terway_crds::node::NicStatus::InUse,
        ..Default::default()
    };
    let mut status = TerwayNodeStatus::default();
    status.network_interfaces.insert("trunk-1".into(), nic);
    record.status = Some(status);
    let wanted = plan_publication(&facts(), &record, false);
    assert_eq!(wanted.annotations["k8s.aliyun.com/trunk-on"], "trunk-1");
    assert_eq!(wanted.annotations["k8s.aliyun.com/max-member-eni-ip"], "14");
    assert_eq!(wanted.resources["aliyun/member-eni"], "14");
    let mut node = NodeFacts {
        trunk_on: Some("trunk-1".into()),
        max_member_annotation: Some("14".into()),
        member_capacity: Some("14".into()),
        member_allocatable: Some("14".into()),
        ..facts()
    };
    assert!(plan_publication(&node, &record, false).is_empty());
    node.member_allocatable = Some("0".into());
    let repair = plan_publication(&node, &record, false);
    assert_eq!(repair.resources["aliyun/member-eni"], "14");
    assert!(repair.annotations.is_empty());
    assert_eq!(release(&record), ["trunk-1"]);
}

#[test]
fn what_pods_can_have_follows_from_the_flavors_and_small_types_are_named() {
    let flavor = |kind, count| terway_crds::node::Flavor {
        kind,
        traffic_mode: terway_crds::TrafficMode::Standard,
        count,
    };
    let mut record = record();
    record.spec.node_metadata.instance_type = "ecs.tiny".into();
    record.spec.eni = Some(terway_crds::node::NodeEni::default());
    record.spec.flavor = vec![
        flavor(terway_crds::EniKind::Trunk, 1),
        flavor(terway_crds::EniKind::Secondary, 2),
    ];
    let wanted = plan_publication(&facts(), &record, true);
    assert_eq!(wanted.annotations["k8s.aliyun.com/max-available-ip"], "45");
    let mut whole = NodeFacts {
        eni_only: true,
        ..facts()
    };
    let told = |node: &NodeFacts| {
        plan_publication(node, &record, true)
            .resources
            .get("aliyun/eni")
            .cloned()
    };
    assert_eq!(told(&whole), None, "no agent serves whole ENIs");
    whole.eni_capacity = Some("3".into());
    assert_eq!(
        told(&whole).as_deref(),
        Some("0"),
        "what another version advertised is taken back"
    );

    let metadata = &record.spec.node_metadata;
    let cap = |adapters, ipv4_per_adapter| NodeCap {
        adapters,
        ipv4_per_adapter,
        ..NodeCap::default()
    };
    assert_eq!(too_small(metadata, &cap(3, 6)), None);
    let words = too_small(metadata, &cap(2, 11)).unwrap();
    assert!(
        words.contains("ecs.tiny") && words.contains("11 addresses"),
        "{words}"
    );
}

/// A node, its cloud, and a process that may lose its memory.
struct World {
    record: TerwayNode,
    settings: Result<EniSettings, String>,
    found: Option<Vec<CloudEni>>,
    made: Vec<CloudEni>,
    tokens: std::collections::BTreeMap<i32, String>,
    evidence: Evidence,
    attach_sent: Option<Timestamp>,
    watched: bool,
    now: Timestamp,
    lose_reply: bool,
    attaches: usize,
}

impl World {
    fn new() -> Self {
        let settings = EniSettings {
            vswitch_id: "vsw".into(),
            security_group_ids: vec!["sg".into()],
            ..EniSettings::default()
        };
        Self {
            record: record(),
            settings: Ok(settings),
            found: None,
            made: Vec::new(),
            tokens: Default::default(),
            evidence: Evidence::inherited(0),
            attach_sent: None,
            watched: false,
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000),
            lose_reply: false,
            attaches: 0,
        }
    }

    fn restart(&mut self) {
        (self.found, self.attach_sent, self.watched) = (None, None, false);
        self.evidence = Evidence::inherited(self.evidence.attempt);
    }

    fn plan(&self) -> Result<Step, Wait> {
        let id = self
            .record
            .status
            .as_ref()
            .and_then(|s| s.operations.first())
            .map(|o| o.eni_id.clone());
        let seen = id.filter(|_| self.watched).map(|id| {
            let eni = self.made.iter().find(|eni| eni.id == id).cloned();
            eni.map_or(EniObservation::Absent, |eni| {
                EniObservation::Present(Box::new(eni))
            })
        });
        plan_trunk(&Observed {
            record: &self.record,
            trunks_of_instance: self.found.as_deref(),
            settings: &self.settings,
            evidence: &self.evidence,
            attach_sent: self.attach_sent,
            seen: seen.as_ref().map(|seen| (seen, self.now)),
            now: self.now,
            limits: &Limits::default(),
        })
    }

    fn step(&mut self) -> Option<Wait> {
        let step = match self.plan() {
            Ok(step) => step,
            Err(wait) => return Some(wait),
        };
        match step {
            Step::FindTrunks => {
                let attached = |eni: &&CloudEni| is_trunk_of(eni, "i-1");
                self.found = Some(self.made.iter().filter(attached).cloned().collect());
            }
            Step::WriteOperation(operation) => {
                if operation.kind == OperationKind::CreateTrunk {
                    self.evidence = Evidence::fresh(operation.attempt);
                }
                self.record.status.get_or_insert_default().operations = vec![*operation];
            }
            Step::Create => self.create(),
            Step::LookUpByTag | Step::LookUpById(_) => {
                let found = self.tokens.get(&self.evidence.attempt);
                let found = found
                    .and_then(|id| self.made.iter().find(|eni| eni.id == *id))
                    .cloned();
                self.evidence.lookups.push(crate::intent::Lookup {
                    at: self.now,
                    found: found.map(Box::new),
                });
            }
            Step::Watch(_) => self.watched = true,
            Step::Attach(id) => {
                self.attaches += 1;
                self.attach_sent = Some(self.now);
                let eni = self.made.iter_mut().find(|eni| eni.id == id).expect("it exists");
                assert_eq!(eni.status, EniStatus::Available, "attached twice");
                (eni.status, eni.instance_id) = (EniStatus::Attaching, Some("i-1".into()));
                self.watched = true;
            }
            Step::WriteNic(nic) => {
                let status = self.record.status.get_or_insert_default();
                status.operations.clear();
                status.network_interfaces.insert(nic.id.clone(), *nic);
            }
        }
        None
    }

    fn create(&mut self) {
        let attempt = self.evidence.attempt;
        self.evidence.sending();
        let id = self
            .tokens
            .entry(attempt)
            .or_insert_with(|| format!("trunk-{attempt}"))
            .clone();
        if !self.made.iter().any(|eni| eni.id == id) {
            let eni = CloudEni {
                instance_id: None,
                id: id.clone(),
                ..trunk(EniStatus::Available)
            };
            self.made.push(eni);
        }
        let eni = self
            .made
            .iter()
            .find(|eni| eni.id == id)
            .cloned()
            .expect("it was made");
        let lost = std::mem::take(&mut self.lose_reply);
        self.evidence.answered(if lost {
            Answer::Unknown
        } else {
            Answer::Created(Box::new(eni))
        });
    }

    fn complete(&mut self) {
        for eni in self
            .made
            .iter_mut()
            .filter(|eni| eni.status == EniStatus::Attaching)
        {
            eni.status = EniStatus::InUse;
        }
    }
}

#[test]
fn a_trunk_that_is_there_is_taken_over() {
    let mut world = World::new();
    world.made.push(trunk(EniStatus::InUse));
    while world.step().is_none() {}
    assert_eq!(world.plan(), Err(Wait::Done));
    assert_eq!((world.made.len(), world.attaches), (1, 0));
}

#[test]
fn an_attach_of_which_nothing_shows_is_sent_again_after_a_time() {
    let mut world = World::new();
    while world.attaches == 0 {
        world.step();
    }
    // The call was lost on its way: the trunk is as free as before.
    (world.made[0].status, world.made[0].instance_id) = (EniStatus::Available, None);
    world.now += Duration::from_secs(5);
    assert_eq!(world.plan(), Err(Wait::Later(Duration::from_secs(10))));
    world.now += Duration::from_secs(10);
    assert_eq!(world.plan(), Ok(Step::Attach(world.made[0].id.clone())));
}

#[test]
fn a_trunk_that_an_old_look_did_not_show_is_not_given_up() {
    let mut world = World::new();
    while !world.watched {
        world.step();
    }
    let looked = world.now;
    world.now += Duration::from_secs(60);
    let absent = EniObservation::Absent;
    let plan = |at| {
        plan_trunk(&Observed {
            record: &world.record,
            trunks_of_instance: Some(&[]),
            settings: &world.settings,
            evidence: &world.evidence,
            attach_sent: None,
            seen: Some((&absent, at)),
            now: world.now,
            limits: &Limits::default(),
        })
    };
    assert_eq!(plan(looked), Err(Wait::Later(Duration::from_secs(15))));
    // The recorded time is a whole second, and may be nearly one too early.
    let soon = plan(looked + Duration::from_millis(15_500));
    assert!(matches!(soon, Err(Wait::Later(_))), "{soon:?}");
    assert!(matches!(plan(world.now), Ok(Step::WriteOperation(_))));
}

#[test]
fn missing_settings_are_named_and_an_instance_type_without_trunks_is_left_alone() {
    let mut world = World::new();
    world.settings = Err("no vSwitch".into());
    world.step();
    assert_eq!(world.step(), Some(Wait::Config("no vSwitch".into())));
    world.record.spec.node_cap = NodeCap::default();
    assert_eq!(world.step(), Some(Wait::Unsupported));
}

#[test]
fn attempts_after_a_refusal_come_later_and_later() {
    assert_eq!(super::backoff(2), Duration::from_secs(1));
    assert_eq!(super::backoff(5), Duration::from_secs(8));
    assert_eq!(super::backoff(40), Duration::from_secs(300));
}

proptest! {
    /// Whatever is lost, a node ends with one trunk, in use, recorded.
    #[test]
    fn one_node_makes_one_trunk(events in proptest::collection::vec(0..4u8, 0..40)) {
        let mut world = World::new();
        for event in events {
            match event {
                0 => { world.step(); }
                1 => world.complete(),
                2 => world.restart(),
                _ => world.lose_reply = true,
            }
            world.now += Duration::from_secs(1);
        }
        for _ in 0..200 {
            world.step();
            world.complete();
            world.now += Duration::from_secs(5);
        }
        prop_assert_eq!(world.plan(), Err(Wait::Done));
        prop_assert_eq!(world.made.len(), 1);
        let recorded = trunk_nic(&world.record).map(|nic| nic.id.clone());
        prop_assert_eq!(recorded.as_ref(), Some(&world.made[0].id));
    }
}

#[test]
fn the_condition_is_said_again_after_five_minutes_and_not_by_all_nodes_at_once() {
    let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000);
    let said = |ago: i64| {
        Some(SufficientIp {
            holds: true,
            heartbeat: Some(now - jiff::SignedDuration::from_secs(ago)),
        })
    };
    let due = |known, holds, seed| heartbeat_due(known, holds, now, seed).as_secs();
    assert_eq!(due(None, true, 0), 0);
    assert_eq!(due(said(1), false, 0), 0, "it says otherwise");
    assert_eq!(due(said(100), true, 0), 200);
    assert_eq!(due(said(299), true, 30_000), 31);
    assert_eq!(due(said(400), true, 59_999), 0);
}

#[test]
fn the_node_is_told_along_with_the_rest_whether_it_has_addresses() {
    let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000);
    let said = |known: Option<bool>, holds| {
        let mut publication = Publication::default();
        let heartbeat = Some(now);
        let node = NodeFacts {
            sufficient_ip: known.map(|holds| SufficientIp { holds, heartbeat }),
            ..facts()
        };
        let left = publication.say_sufficient(&node, holds, now, 0);
        (left.as_secs(), publication.sufficiency)
    };
    let turns = |holds| Some(Sufficiency { holds, turns: true });
    assert_eq!(said(None, true), (0, turns(true)));
    assert_eq!(said(Some(true), false), (0, turns(false)));
    assert_eq!(said(Some(true), true), (300, None));
}
