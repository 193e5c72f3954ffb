//! What the status of a NetworkInterface says in each of its states, and what of it stays.

use jiff::SignedDuration;

use super::*;
use crate::testing::cloud_eni;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn interface() -> NetworkInterface {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-1".into());
    interface.metadata.generation = Some(4);
    interface
}

fn target(trunk: &str) -> AttachTo {
    AttachTo {
        instance_id: "i-1".into(),
        trunk_eni_id: trunk.into(),
        node_name: "node1".into(),
        network_card_index: Some(1),
    }
}

fn member() -> CloudEni {
    CloudEni {
        kind: CloudKind::Member,
        device_index: Some(7),
        network_card_index: Some(1),
        ..cloud_eni("eni-1")
    }
}

fn bound() -> NetworkInterface {
    let mut bound = interface();
    bound.status = Some(attached(&bound, &target("trunk"), &member(), at(1)));
    bound
}

/// Whether Ready holds, its reason, and since when.
fn readiness(status: &NetworkInterfaceStatus) -> (&str, &str, Timestamp) {
    let ready = &status.conditions[0];
    assert_eq!(
        (status.conditions.len(), ready.type_.as_str()),
        (1, condition::READY)
    );
    (&ready.status, &ready.reason, ready.last_transition_time.0)
}

#[test]
fn an_attached_eni_says_where_it_is_and_forgets_the_term_that_moved_it() {
    let mut before = interface();
    before.status = Some(with_term(&before, "other/1"));
    let status = attached(&before, &target("trunk"), &member(), at(1));
    let expected = NetworkInterfaceStatus {
        phase: Phase::Bind,
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
        node_name: "node1".into(),
        network_card_index: Some(1),
        observed_generation: Some(4),
        eni_info: EniInfo {
            id: "eni-1".into(),
            kind: Some(EniKind::Member),
            vid: Some(7),
            status: BindStatus::Bind,
            network_card_index: Some(1),
            vf_id: None,
        },
        conditions: status.conditions.clone(),
        ..NetworkInterfaceStatus::default()
    };
    assert_eq!(status, expected);
    assert_eq!(readiness(&status), ("True", "Attached", at(1)));
}

#[test]
fn what_is_on_a_trunk_is_a_member_whatever_the_endpoint_calls_it() {
    for (kind, trunk, expected) in [
        (CloudKind::Primary, "", EniKind::Primary),
        (CloudKind::Trunk, "", EniKind::Trunk),
        (CloudKind::Member, "trunk", EniKind::Member),
        (CloudKind::Secondary, "trunk", EniKind::Member),
        (CloudKind::Other("New".into()), "trunk", EniKind::Member),
        (CloudKind::Secondary, "", EniKind::Secondary),
        (CloudKind::Other("New".into()), "", EniKind::Secondary),
    ] {
        let eni = CloudEni {
            kind: kind.clone(),
            ..member()
        };
        let status = attached(&interface(), &target(trunk), &eni, at(1));
        assert_eq!(status.eni_info.kind, Some(expected), "{kind:?} on {trunk:?}");
    }
}

#[test]
fn a_detached_eni_is_nowhere_and_keeps_its_id_and_kind() {
    let status = detached(&bound(), at(5));
    let expected = NetworkInterfaceStatus {
        phase: Phase::Unbind,
        observed_generation: Some(4),
        eni_info: EniInfo {
            id: "eni-1".into(),
            kind: Some(EniKind::Member),
            status: BindStatus::Unbind,
            ..EniInfo::default()
        },
        conditions: status.conditions.clone(),
        ..NetworkInterfaceStatus::default()
    };
    assert_eq!(status, expected);
    assert_eq!(readiness(&status), ("False", "Detached", at(5)));
    // An object that was never attached has its id all the same.
    assert_eq!(detached(&interface(), at(5)).eni_info.id, "eni-1");
}

#[test]
fn an_eni_that_others_detached_is_on_its_way_back_to_the_same_place() {
    let status = torn_off(&bound(), at(5));
    assert_eq!(
        (status.phase.clone(), status.instance_id.as_str()),
        (Phase::Binding, "i-1")
    );
    assert_eq!(
        (status.eni_info.status.clone(), status.eni_info.vid),
        (BindStatus::Unbind, None)
    );
    assert_eq!(readiness(&status), ("False", "DetachedByOthers", at(5)));
}

#[test]
fn a_term_is_written_without_a_word_about_anything_else() {
    let bound = bound();
    let expected = NetworkInterfaceStatus {
        term: "me/1".into(),
        ..bound.status.clone().unwrap()
    };
    assert_eq!(with_term(&bound, "me/1"), expected);
}
