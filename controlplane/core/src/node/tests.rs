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
    assert!(plan_publication(&facts(), &record).is_empty());
    let nic = terway_crds::node::Nic {
        id: "trunk-1".into(),
        kind: Some(terway_crds::EniKind::Trunk),
        status: terway_crds::node::NicStatus::InUse,
        ..Default::default()
    };
    let mut status = TerwayNodeStatus::default();
    status.network_interfaces.insert("trunk-1".into(), nic);
    record.status = Some(status);
    let wanted = plan_publication(&facts(), &record);
    assert_eq!(wanted.annotations, Some(("trunk-1".into(), "14".into())));
    assert_eq!(wanted.member_eni.as_deref(), Some("14"));
    let mut node = NodeFacts {
        trunk_on: Some("trunk-1".into()),
        max_member_annotation: Some("14".into()),
        member_capacity: Some("14".into()),
        member_allocatable: Some("14".into()),
        ..facts()
    };
    assert!(plan_publication(&node, &record).is_empty());
    node.member_allocatable = Some("0".into());
    assert_eq!(plan_publication(&node, &record).member_eni.as_deref(), Some("14"));
    assert_eq!(release(&record), ["trunk-1"]);
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
