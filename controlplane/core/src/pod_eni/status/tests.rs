//! What the status of a PodENI says in each of its states, and what of it stays.

use jiff::SignedDuration;
use terway_crds::{Allocation, AllocationType, AllocationTypeKind, Eni, EniKind, NetworkInterfaceStatus};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// A record with two ENIs in one vSwitch.
fn record(kind: AllocationTypeKind) -> PodEni {
    let allocation = |id: &str, address: &str| Allocation {
        eni: Eni {
            id: id.into(),
            vswitch_id: "vsw".into(),
            security_group_ids: vec!["sg-1".into(), "sg-2".into()],
            ..Eni::default()
        },
        ipv4: address.into(),
        allocation_type: AllocationType {
            kind: kind.clone(),
            ..AllocationType::default()
        },
        ..Allocation::default()
    };
    let mut record = PodEni::default();
    record.metadata.generation = Some(3);
    record.spec.allocations = vec![allocation("eni-1", "10.0.0.1"), allocation("eni-2", "10.0.0.2")];
    record
}

fn elastic() -> PodEni {
    record(AllocationTypeKind::Elastic)
}

fn fixed() -> PodEni {
    record(AllocationTypeKind::Fixed)
}

/// The object of a member in this VLAN.
fn member(id: &str, vid: i32) -> Option<Arc<NetworkInterface>> {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some(id.into());
    interface.status = Some(NetworkInterfaceStatus {
        instance_id: "i-1".into(),
        trunk_eni_id: "trunk".into(),
        eni_info: EniInfo {
            kind: Some(EniKind::Member),
            vid: Some(vid),
            status: BindStatus::Bind,
            ..EniInfo::default()
        },
        ..NetworkInterfaceStatus::default()
    });
    Some(Arc::new(interface))
}

fn members() -> [Option<Arc<NetworkInterface>>; 2] {
    [member("eni-1", 7), member("eni-2", 9)]
}

/// Whether Ready holds, and its reason.
fn readiness(status: &PodEniStatus) -> (&str, &str) {
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY);
    ready.map_or(("", ""), |ready| (&ready.status, &ready.reason))
}

#[test]
fn a_bound_record_says_where_its_enis_are_and_sums_them_up() {
    let mut record = elastic();
    record.status = Some(PodEniStatus {
        msg: "waits for something".into(),
        ..phase_only(&record, Phase::Binding, None)
    });
    let status = bound(&record, &members(), at(5));
    assert_eq!((status.phase.clone(), status.msg.as_str()), (Phase::Bind, ""));
    assert_eq!(
        (status.instance_id.as_str(), status.trunk_eni_id.as_str()),
        ("i-1", "trunk")
    );
    let vlans: Vec<_> = status
        .eni_infos
        .iter()
        .map(|(id, info)| (id.as_str(), &*info.id, info.vid))
        .collect();
    assert_eq!(vlans, [("eni-1", "eni-1", Some(7)), ("eni-2", "eni-2", Some(9))]);
    assert_eq!(
        status.summary,
        PodEniSummary {
            ips: "10.0.0.1,10.0.0.2".into(),
            eni_ids: "eni-1,eni-2".into(),
            vlans: "7,9".into(),
            vswitch_ids: "vsw".into(),
            security_group_ids: "sg-1,sg-2".into(),
            kind: "Elastic/Member".into(),
        }
    );
    assert_eq!(readiness(&status), ("True", "Bound"));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn the_life_of_a_kept_record_is_counted_from_when_its_pod_was_bound() {
    let seen = |record: &PodEni, now| {
        bound(record, &members(), at(now))
            .pod_last_seen
            .map(|time| time.0)
    };
    assert_eq!(seen(&elastic(), 5), None, "an Elastic record is not kept");
    let mut record = fixed();
    assert_eq!(seen(&record, 5), Some(at(5)));
    // A repair of a bound record tells nothing new of its pod.
    record.status = Some(bound(&record, &members(), at(5)));
    assert_eq!(seen(&record, 60), Some(at(5)));
}

#[test]
fn a_kept_record_is_attached_nowhere_and_keeps_its_addresses() {
    let mut record = fixed();
    record.status = Some(bound(&record, &members(), at(5)));
    let mut unattached = NetworkInterface::default();
    unattached.metadata.name = Some("eni-1".into());
    let status = unbound(&record, &[Some(Arc::new(unattached)), None], at(9));
    assert_eq!(status.phase, Phase::Unbind);
    assert_eq!(
        (status.instance_id.as_str(), status.trunk_eni_id.as_str()),
        ("", "")
    );
    assert_eq!(status.eni_infos.len(), 1, "an object that is gone tells nothing");
    assert_eq!(status.eni_infos["eni-1"].status, BindStatus::Unbind);
    assert_eq!(status.summary.ips, "10.0.0.1,10.0.0.2");
    assert_eq!(
        (status.summary.vlans.as_str(), status.summary.kind.as_str()),
        ("", "Fixed/ENI")
    );
    assert_eq!(readiness(&status), ("False", "Detached"));
    assert_eq!(status.pod_last_seen, Some(Time(at(5))));
}

#[test]
fn another_phase_changes_nothing_else_but_when_the_pod_was_seen() {
    for (record, seen, noted) in [
        (fixed(), Some(at(9)), Some(at(9))),
        (fixed(), None, Some(at(5))),
        (elastic(), Some(at(9)), None),
    ] {
        let mut record = record;
        record.status = Some(bound(&record, &members(), at(5)));
        let before = record.status.clone().unwrap();
        let status = phase_only(&record, Phase::Detaching, seen);
        let expected = PodEniStatus {
            phase: Phase::Detaching,
            pod_last_seen: noted.map(Time),
            ..before
        };
        assert_eq!(status, expected);
    }
}

#[test]
fn what_is_said_again_keeps_the_time_since_when_it_holds() {
    let mut record = elastic();
    record.status = waiting(&record, &Wait::NoTrunk, at(1));
    let status = waiting(&record, &Wait::NoNode, at(8)).unwrap();
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.conditions[0].last_transition_time, Time(at(1)));
    record.status = Some(status);
    let status = bound(&record, &members(), at(9));
    assert_eq!(status.conditions[0].last_transition_time, Time(at(9)));
}
