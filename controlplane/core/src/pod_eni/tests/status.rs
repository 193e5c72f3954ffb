//! The status of a PodENI in its phases, and the plan for a record that is being deleted.

use terway_crds::{AllocationType, AllocationTypeKind, BindStatus, EniInfo, EniKind, NetworkInterfaceStatus};

use super::*;
use crate::intent::Lookup;

/// A record with two ENIs, as [`interfaces`] attaches them.
fn with_two_enis() -> PodEni {
    let mut record = record();
    let allocation = |id: &str, address: &str| {
        let mut allocation = record.spec.allocations[0].clone();
        allocation.eni.id = id.into();
        allocation.eni.vswitch_id = "vsw-1".into();
        allocation.eni.security_group_ids = vec!["sg-1".into(), "sg-2".into()];
        allocation.ipv4 = address.into();
        allocation
    };
    record.spec.allocations = vec![allocation("eni-1", "10.0.0.1"), allocation("eni-2", "10.0.0.2")];
    record
}

fn interfaces(kind: &EniKind) -> Vec<Option<Arc<NetworkInterface>>> {
    let interface = |id: &str, vid: i32| {
        let mut interface = NetworkInterface::default();
        interface.metadata.name = Some(id.into());
        interface.status = Some(NetworkInterfaceStatus {
            phase: Phase::Bind,
            instance_id: "i-1".into(),
            trunk_eni_id: "trunk".into(),
            eni_info: EniInfo {
                kind: Some(kind.clone()),
                vid: Some(vid),
                status: BindStatus::Bind,
                ..EniInfo::default()
            },
            ..NetworkInterfaceStatus::default()
        });
        Some(Arc::new(interface))
    };
    vec![interface("eni-1", 7), interface("eni-2", 9)]
}

#[test]
fn a_bound_record_shows_where_its_enis_are() {
    let status = bound(&with_two_enis(), &interfaces(&EniKind::Member), NOW);
    assert_eq!(status.phase, Phase::Bind);
    assert_eq!(
        (status.instance_id.as_str(), status.trunk_eni_id.as_str()),
        ("i-1", "trunk")
    );
    let summary = &status.summary;
    assert_eq!(
        (summary.ips.as_str(), summary.eni_ids.as_str()),
        ("10.0.0.1,10.0.0.2", "eni-1,eni-2")
    );
    assert_eq!(summary.vlans, "7,9");
    // Each word once, in the order of its first mention.
    assert_eq!(summary.vswitch_ids, "vsw-1");
    assert_eq!(summary.security_group_ids, "sg-1,sg-2");
    assert_eq!(summary.kind, "Elastic/Member");
    assert_eq!(status.eni_infos["eni-2"].id, "eni-2");
    let whole = bound(&with_two_enis(), &interfaces(&EniKind::Secondary), NOW);
    assert_eq!(whole.summary.kind, "Elastic/ENI");
}

#[test]
fn the_time_of_a_ttl_runs_from_the_last_time_that_a_fixed_pod_was_seen() {
    let later = NOW + Duration::from_secs(60);
    for (kind, seen) in [
        (AllocationTypeKind::Elastic, None),
        (AllocationTypeKind::Fixed, Some(Time(NOW))),
    ] {
        let mut record = with_two_enis();
        record.spec.allocations[0].allocation_type = AllocationType {
            kind: kind.clone(),
            ..AllocationType::default()
        };
        let status = bound(&record, &interfaces(&EniKind::Member), NOW);
        assert_eq!(status.pod_last_seen, seen, "{kind:?}");
        record.status = Some(status);
        let again = bound(&record, &interfaces(&EniKind::Member), later);
        assert_eq!(again.pod_last_seen, seen, "it is bound already");
        let detaching = phase_only(&record, Phase::Detaching, Some(later));
        assert_eq!(detaching.pod_last_seen, seen.map(|_| Time(later)));
    }
}

#[test]
fn a_detached_record_forgets_its_instance_and_keeps_its_addresses() {
    let mut record = with_two_enis();
    record.status = Some(bound(&record, &interfaces(&EniKind::Member), NOW));
    let status = unbound(&record, &[None, None], NOW);
    assert_eq!(status.phase, Phase::Unbind);
    assert!(status.instance_id.is_empty() && status.trunk_eni_id.is_empty());
    assert!(status.eni_infos.is_empty());
    assert_eq!(status.summary.ips, "10.0.0.1,10.0.0.2");
}

#[test]
fn an_interface_that_says_nothing_counts_as_detached() {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-1".into());
    let status = unbound(&with_two_enis(), &[Some(Arc::new(interface)), None], NOW);
    assert_eq!(status.eni_infos["eni-1"].status, BindStatus::Unbind);
}

#[test]
fn an_eni_that_the_cloud_lost_is_replaced_only_for_an_elastic_pod() {
    let mut lost = NetworkInterface::default();
    lost.spec.attach_to = Some(target());
    let mut status = NetworkInterfaceStatus::default();
    let statement = crate::conditions::Statement {
        kind: terway_crds::names::condition::READY,
        holds: false,
        reason: crate::network_interface::ENI_NOT_FOUND,
        message: String::new(),
    };
    crate::conditions::state(&mut status.conditions, statement, None, NOW);
    lost.status = Some(status);
    let lost = Some(Arc::new(lost));
    for (kind, replaces) in [
        (AllocationTypeKind::Elastic, true),
        (AllocationTypeKind::Fixed, false),
    ] {
        let mut given = Given::new(record());
        given.record.spec.allocations[0].eni.id = "eni-1".into();
        given.record.spec.allocations[0].allocation_type.kind = kind.clone();
        given.interfaces = vec![lost.clone()];
        let steps = given.plan().steps;
        assert_eq!(
            steps == [Step::Replace { index: 0 }],
            replaces,
            "{kind:?}: {steps:?}"
        );
    }
    let mut given = Given::new(record());
    given.record.spec.allocations[0].eni.id = "eni-1".into();
    given.record.spec.allocations[0].creation = None;
    given.interfaces = vec![lost];
    assert_eq!(given.plan().steps, [], "nobody recorded how to make another");
}

/// A bound record whose only ENI has this NetworkInterface.
fn bound_with(interface: NetworkInterface) -> Given {
    let mut given = Given::new(record());
    given.record.spec.allocations[0].eni.id = "eni-1".into();
    let mut status = phase_only(&given.record, Phase::Bind, None);
    status.instance_id = "i-1".into();
    given.record.status = Some(status);
    given.interfaces = vec![Some(Arc::new(interface))];
    given
}

/// An ENI that is attached at [`target`].
fn attached_one() -> NetworkInterface {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-1".into());
    interface.spec.attach_to = Some(target());
    interface.status = Some(NetworkInterfaceStatus {
        phase: Phase::Bind,
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
        ..NetworkInterfaceStatus::default()
    });
    interface
}

#[test]
fn the_eni_of_a_living_pod_follows_its_node_to_another_trunk_or_instance() {
    for (instance, trunk) in [("i-1", "trunk-2"), ("i-2", "trunk-3")] {
        let mut given = bound_with(attached_one());
        given.node = Some(NodeFacts {
            instance_id: instance.into(),
            trunk_on: Some(trunk.into()),
            ..node()
        });
        let attach_to = Some(AttachTo {
            instance_id: instance.into(),
            trunk_eni_id: trunk.into(),
            ..AttachTo::default()
        });
        assert_eq!(given.plan().steps, [Step::SetTarget { index: 0, attach_to }]);
        given.pod = PodState::Leaving;
        assert!(!matches!(given.plan().steps[..], [Step::SetTarget { .. }]));
    }
    let mut given = bound_with(attached_one());
    given.node = Some(NodeFacts {
        trunk_on: None,
        ..node()
    });
    assert!(
        matches!(given.plan().steps[..], [Step::SetStatus(_)]),
        "there is nowhere to go yet"
    );
}

#[test]
fn a_bound_record_is_not_ready_while_its_eni_is_on_the_way() {
    let mut interface = attached_one();
    interface.spec.attach_to = Some(AttachTo {
        trunk_eni_id: "trunk-2".into(),
        ..target()
    });
    let mut given = bound_with(interface);
    given.node = Some(NodeFacts {
        trunk_on: Some("trunk-2".into()),
        ..node()
    });
    let plan = given.plan();
    assert_eq!(plan.steps, []);
    let status = waiting(&given.record, &plan.wait, NOW).unwrap();
    assert!(status.msg.contains("being attached"), "{}", status.msg);
}

#[test]
fn an_eni_that_is_gone_is_replaced_only_before_its_pod_has_begun() {
    let statement = crate::conditions::Statement {
        kind: terway_crds::names::condition::READY,
        holds: false,
        reason: crate::network_interface::ENI_NOT_FOUND,
        message: "gone".into(),
    };
    let mut interface = attached_one();
    let status = interface.status.get_or_insert_default();
    status.phase = Phase::Unbind;
    crate::conditions::state(&mut status.conditions, statement, None, NOW);
    let mut given = bound_with(interface);
    let [Step::SetStatus(status)] = &given.plan().steps[..] else {
        panic!("{:?}", given.plan())
    };
    assert_eq!(status.phase, Phase::Binding);
    given.record.status = Some((**status).clone());
    assert_eq!(given.plan().steps, [Step::Replace { index: 0 }]);

    given.record.status.as_mut().unwrap().phase = Phase::Bind;
    given.started = true;
    let plan = given.plan();
    assert_eq!(plan.steps, []);
    assert!(
        matches!(&plan.wait, Wait::Unattached { needs_help: true, message, .. } if message.contains("delete the pod")),
        "{plan:?}"
    );
}

#[test]
fn a_record_whose_eni_cannot_be_attached_repeats_the_words_of_its_interface() {
    for (reason, said, needs_help) in [
        ("Detached", false, false),
        ("DetachedByOthers", true, false),
        ("AttachedElsewhere", true, true),
        ("ForeignENI", true, true),
    ] {
        let statement = crate::conditions::Statement {
            kind: terway_crds::names::condition::READY,
            holds: false,
            reason,
            message: "why".into(),
        };
        let mut interface = attached_one();
        let status = interface.status.get_or_insert_default();
        status.phase = Phase::Binding;
        crate::conditions::state(&mut status.conditions, statement, None, NOW);
        let mut given = bound_with(interface);
        given.record.status.as_mut().unwrap().phase = Phase::Binding;
        let wait = given.plan().wait;
        match said {
            false => assert_eq!(wait, Wait::Interfaces, "{reason}"),
            true => {
                let status = waiting(&given.record, &wait, NOW).unwrap();
                assert!(status.msg.contains("eni-1: why"), "{reason}: {}", status.msg);
                assert_eq!(held_up(&wait, &status.msg).is_some(), needs_help, "{reason}");
            }
        }
    }
}

/// The record is being deleted, and its pod is gone.
fn leaving() -> Given {
    let mut given = Given::new(record());
    given.pod = PodState::Gone;
    given.record.metadata.deletion_timestamp = Some(Time(NOW));
    given
}

#[test]
fn a_record_stays_while_its_pod_may_run_and_goes_without_a_word_without_our_finalizer() {
    let given = Given {
        pod: PodState::Leaving,
        ..leaving()
    };
    let plan = given.plan();
    assert_eq!((plan.steps, plan.wait), (vec![], Wait::PodLives));
    for (finalizers, steps) in [
        (vec![], vec![]),
        (vec!["somebody.else/holds"], vec![]),
        (vec![finalizer::POD_ENI], vec![Step::DropFinalizers]),
        (vec![finalizer::POD_ENI_OLD], vec![Step::DropFinalizers]),
    ] {
        let mut given = leaving();
        let finalizers: Vec<String> = finalizers.into_iter().map(str::to_owned).collect();
        given.record.metadata.finalizers = Some(finalizers.clone());
        assert_eq!(given.plan().steps, steps, "{finalizers:?}");
    }
}

#[test]
fn a_bound_record_that_is_being_deleted_says_one_thing_only() {
    let mut record = with_two_enis();
    record.metadata.deletion_timestamp = Some(Time(NOW));
    let status = bound(&record, &interfaces(&EniKind::Member), NOW);
    assert_eq!(status.phase, Phase::Bind);
    assert!(status.msg.contains("while the pod lives"), "{}", status.msg);
    record.status = Some(status);
    assert_eq!(waiting(&record, &Wait::PodLives, NOW), None);
}

#[test]
fn what_an_open_intent_may_have_left_is_found_before_the_record_goes() {
    let eni = || Box::new(cloud_eni("eni-1"));
    let found = Step::Record {
        index: 0,
        eni: eni(),
        attach_to: None,
    };
    let mut created = Evidence::fresh(1);
    created.sending();
    created.replied(Reply::Created(eni()), NOW, None);
    let mut searched = Evidence::inherited(1);
    searched.looked_up(Lookup {
        at: NOW,
        found: Some(eni()),
    });
    let mut refused = Evidence::fresh(1);
    refused.sending();
    let words = Refused {
        class: ErrorClass::Invalid,
        code: "Nope".into(),
        message: String::new(),
        request_id: String::new(),
    };
    refused.replied(Reply::Refused(words), NOW, None);
    let quiet = NOW + Duration::from_secs(60);
    for (evidence, now, step) in [
        (Evidence::fresh(1), NOW, Some(Step::DropFinalizers)),
        (refused, NOW, Some(Step::DropFinalizers)),
        (created, NOW, Some(found.clone())),
        (Evidence::inherited(1), NOW, None),
        (
            Evidence::inherited(1),
            quiet,
            Some(Step::LookUpByTag { index: 0 }),
        ),
        (searched, quiet, Some(found)),
    ] {
        let given = leaving();
        let plan = plan(&Observed {
            record: &given.record,
            interfaces: &given.interfaces,
            pod: given.pod,
            started: false,
            node: None,
            evidence: std::slice::from_ref(&evidence),
            quiet_since: NOW,
            now,
            limits: &Limits::default(),
            degradation: Degradation::None,
        });
        assert_eq!(plan.steps.first(), step.as_ref(), "{evidence:?}");
        assert_eq!(
            plan.steps.is_empty(),
            matches!(plan.wait, Wait::Later(_)),
            "{evidence:?}"
        );
    }
}
