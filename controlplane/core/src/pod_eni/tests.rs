//! Single decisions about a PodENI; its life as a whole is in tests/life.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::names::finalizer;
use terway_crds::{Allocation, AttachTo, Creation, NetworkInterface, Phase, PodEni};

use super::*;
use crate::cloud::ErrorClass;
use crate::degradation::Degradation;
use crate::intent::{Evidence, Limits, Refused, Reply};
use crate::node::NodeFacts;
use crate::testing::cloud_eni;

mod status;
mod table;
mod words;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn record() -> PodEni {
    let mut record = PodEni::default();
    record.metadata.uid = Some("uid".into());
    record.metadata.finalizers = Some(vec![finalizer::POD_ENI.into()]);
    let creation = Creation {
        attempt: 1,
        started_at: Some(Time(NOW)),
        ..Creation::default()
    };
    record.spec.allocations = vec![Allocation {
        creation: Some(creation),
        ..Allocation::default()
    }];
    record
}

fn node() -> NodeFacts {
    NodeFacts {
        instance_id: "i-1".into(),
        trunk_on: Some("trunk".into()),
        ..NodeFacts::default()
    }
}

struct Given {
    record: PodEni,
    interfaces: Vec<Option<Arc<NetworkInterface>>>,
    pod: PodState,
    started: bool,
    node: Option<NodeFacts>,
    evidence: Evidence,
    degradation: Degradation,
}

impl Given {
    fn new(record: PodEni) -> Self {
        Self {
            record,
            interfaces: vec![None],
            pod: PodState::Living,
            started: false,
            node: Some(node()),
            evidence: Evidence::fresh(1),
            degradation: Degradation::None,
        }
    }

    fn plan(&self) -> Plan {
        plan(&Observed {
            record: &self.record,
            interfaces: &self.interfaces,
            pod: self.pod,
            started: self.started,
            node: self.node.as_ref(),
            evidence: std::slice::from_ref(&self.evidence),
            quiet_since: NOW,
            now: NOW,
            limits: &Limits::default(),
            degradation: self.degradation,
        })
    }
}

fn target() -> AttachTo {
    AttachTo {
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
        ..AttachTo::default()
    }
}

#[test]
fn nothing_is_made_that_could_not_be_attached() {
    let mut given = Given::new(record());
    given.node = Some(NodeFacts {
        trunk_on: None,
        ..node()
    });
    assert_eq!(
        given.plan(),
        Plan {
            steps: vec![],
            wait: Wait::NoTrunk
        }
    );
    given.node = None;
    assert_eq!(given.plan().wait, Wait::NoNode);
    given.node = Some(node());
    assert_eq!(given.plan().steps, [Step::Create { index: 0 }]);
}

#[test]
fn nothing_is_made_for_a_pod_that_is_leaving() {
    for pod in [PodState::Leaving, PodState::Gone] {
        let given = Given {
            pod,
            ..Given::new(record())
        };
        assert_eq!(
            given.plan(),
            Plan {
                steps: vec![],
                wait: Wait::Pod
            }
        );
    }
}

#[test]
fn a_whole_eni_is_not_silently_made_a_member() {
    let mut given = Given::new(record());
    given.record.spec.allocations[0].eni.attachment_options.trunk = Some(false);
    assert_eq!(given.plan().wait, Wait::NotServed);
}

#[test]
fn a_made_eni_is_recorded_with_its_target() {
    let mut given = Given::new(record());
    given.evidence.sending();
    given
        .evidence
        .replied(Reply::Created(Box::new(cloud_eni("eni-1"))), NOW, None);
    let eni = Box::new(cloud_eni("eni-1"));
    assert_eq!(
        given.plan().steps,
        [Step::Record {
            index: 0,
            eni,
            attach_to: Some(target())
        }]
    );
}

#[test]
fn an_attempt_that_begins_later_is_waited_for_with_the_clouds_words() {
    let refused = Refused {
        class: ErrorClass::Invalid,
        code: "Nope".into(),
        message: "no".into(),
        request_id: "r".into(),
    };
    let mut given = Given::new(record());
    given.record.spec.allocations[0] =
        next_attempt(&given.record.spec.allocations[0], None, Some(&refused), NOW);
    given.evidence = Evidence::fresh(2);
    let delay = Duration::from_secs(1);
    let wait = Wait::Refused {
        delay,
        code: "Nope".into(),
        message: "no".into(),
    };
    assert_eq!(
        given.plan(),
        Plan {
            steps: vec![],
            wait: wait.clone()
        }
    );
    let status = waiting(&given.record, &wait, NOW).unwrap();
    assert!(status.msg.contains("Nope: no"));
    given.record.status = Some(status);
    assert_eq!(waiting(&given.record, &wait, NOW), None);
}

#[test]
fn another_vswitch_is_tried_without_delay_and_with_a_new_token() {
    let refused = Refused {
        class: ErrorClass::Exhausted,
        code: "InvalidVSwitchId.IpNotEnough".into(),
        message: String::new(),
        request_id: String::new(),
    };
    let mut before = record();
    let first = intent_id(&before, 0).unwrap().client_token();
    let mut today = before.spec.allocations[0].clone();
    today.ipv4_cidr = "10.1.0.0/24".into();
    today.creation.get_or_insert_default().parameters.vswitch_id = "other".into();
    before.spec.allocations[0] = next_attempt(&before.spec.allocations[0], Some(&today), Some(&refused), NOW);
    let creation = before.spec.allocations[0].creation.clone().unwrap();
    assert_eq!(creation.started_at, Some(Time(NOW)));
    assert_eq!(creation.parameters.vswitch_id, "other");
    assert_eq!(before.spec.allocations[0].ipv4_cidr, "10.1.0.0/24");
    assert_ne!(intent_id(&before, 0).unwrap().client_token(), first);
}

#[test]
fn a_record_goes_only_when_its_intent_is_resolved() {
    let mut given = Given::new(record());
    given.pod = PodState::Gone;
    given.record.metadata.deletion_timestamp = Some(Time(NOW));
    assert_eq!(given.plan().steps, [Step::DropFinalizers]);
    given.evidence = Evidence::inherited(1);
    assert_eq!(
        given.plan(),
        Plan {
            steps: vec![],
            wait: Wait::Later(Duration::from_secs(5))
        }
    );
}

#[test]
fn a_record_with_an_eni_that_nobody_owns_gives_it_an_owner_first() {
    let mut given = Given::new(record());
    given.pod = PodState::Gone;
    given.record.metadata.deletion_timestamp = Some(Time(NOW));
    given.record.spec.allocations[0].eni.id = "eni-1".into();
    assert_eq!(
        given.plan().steps[0],
        Step::MakeInterface {
            index: 0,
            attach_to: None
        }
    );
    let mut interface = NetworkInterface::default();
    given.interfaces = vec![Some(Arc::new(interface.clone()))];
    assert_eq!(given.plan().steps[0], Step::DeleteInterface { index: 0 });
    interface.metadata.deletion_timestamp = Some(Time(NOW));
    given.interfaces = vec![Some(Arc::new(interface))];
    assert_eq!(given.plan().steps, [Step::DropFinalizers]);
}

#[test]
fn a_bound_record_without_its_interface_gets_it_back() {
    let mut given = Given::new(record());
    given.record.spec.allocations[0].eni.id = "eni-1".into();
    let mut status = phase_only(&given.record, Phase::Bind, None);
    status.instance_id = "i-1".into();
    given.record.status = Some(status);
    assert_eq!(
        given.plan().steps,
        [Step::MakeInterface {
            index: 0,
            attach_to: Some(target())
        }]
    );
}

#[test]
fn in_degradation_l0_no_eni_is_made_and_what_was_made_is_recorded() {
    let mut given = Given::new(record());
    given.degradation = Degradation::L1;
    assert_eq!(given.plan().steps, [Step::Create { index: 0 }]);
    given.degradation = Degradation::L0;
    let held = given.plan();
    assert_eq!((held.steps, held.wait), (vec![], Wait::Degraded));
    given.evidence.sending();
    given
        .evidence
        .replied(Reply::Created(Box::new(cloud_eni("eni-1"))), NOW, None);
    assert!(matches!(&given.plan().steps[..], [Step::Record { .. }]));
}
