//! Room of ENIs and nodes, as tables.

use terway_crds::node::{Flavor, Ip, NodeEni};

use super::*;

const PER_ENI: i32 = 3;

fn spec(flavors: &[(EniKind, TrafficMode, i32)]) -> TerwayNodeSpec {
    let flavor = |(kind, traffic_mode, count): &(EniKind, TrafficMode, i32)| Flavor {
        kind: kind.clone(),
        traffic_mode: traffic_mode.clone(),
        count: *count,
    };
    TerwayNodeSpec {
        node_cap: NodeCap {
            adapters: 4,
            ipv4_per_adapter: PER_ENI,
            ..NodeCap::default()
        },
        flavor: flavors.iter().map(flavor).collect(),
        eni: Some(NodeEni {
            vswitch_options: vec!["vsw-a".into()],
            ..NodeEni::default()
        }),
        ..TerwayNodeSpec::default()
    }
}

/// An ENI with so many addresses, of which the first `bound` belong to pods.
fn nic(id: &str, addresses: u8, bound: u8) -> Nic {
    let ip = |number: u8| {
        let ip = Ip {
            ip: format!("10.0.0.{number}"),
            pod_uid: if number < bound {
                format!("u{number}")
            } else {
                String::new()
            },
            ..Ip::default()
        };
        (ip.ip.clone(), ip)
    };
    Nic {
        id: id.into(),
        status: NicStatus::InUse,
        vswitch_id: "vsw-a".into(),
        kind: Some(EniKind::Secondary),
        traffic_mode: Some(TrafficMode::Standard),
        ipv4: (0..addresses).map(ip).collect(),
        ..Nic::default()
    }
}

fn record(spec: TerwayNodeSpec, nics: Vec<Nic>) -> TerwayNode {
    let mut record = TerwayNode {
        spec,
        ..TerwayNode::default()
    };
    let status = record.status.get_or_insert_default();
    status.network_interfaces = nics.into_iter().map(|nic| (nic.id.clone(), nic)).collect();
    record
}

#[test]
fn an_eni_has_room_up_to_the_limit_of_its_instance_type() {
    let spec = spec(&[]);
    let capacity = Capacity::of(&spec, Family::V4);
    for (has, bound, left) in [(0, 0, 3), (1, 1, 2), (3, 2, 0), (5, 0, 0)] {
        let room = capacity.room(&nic("eni-1", has, bound));
        assert_eq!((room.used, room.bound), (has.into(), bound.into()));
        assert_eq!(room.left(), left, "{has} addresses");
    }
    assert_eq!(capacity.empty().with(2).left(), 1);
    assert_eq!(capacity.empty().with(usize::MAX).left(), 0);
}

#[test]
fn a_node_holds_what_its_flavors_say() {
    use EniKind::{Member, Secondary, Trunk};
    use TrafficMode::{HighPerformance, Standard};
    for (flavors, enis) in [
        (vec![], 0),
        (vec![(Secondary, Standard, 3)], 3),
        (vec![(Trunk, Standard, 1), (Secondary, Standard, 2)], 3),
        (vec![(Secondary, HighPerformance, 1), (Secondary, Standard, 2)], 2),
        (vec![(Member, Standard, 5), (Secondary, Standard, -1)], 0),
    ] {
        let spec = spec(&flavors);
        let capacity = Capacity::of(&spec, Family::V4);
        assert_eq!(capacity.shared_enis(), enis, "{flavors:?}");
        assert_eq!(capacity.addresses(), enis * 3);
    }
    assert_eq!(beside_primary(&NodeCap::default()), 0);
}

#[test]
fn a_node_is_short_of_addresses_when_every_place_is_taken_or_every_vswitch_exhausted() {
    let full = || nic("eni-1", 3, 3);
    let broken = |change: fn(&mut Nic)| {
        let mut nic = nic("eni-1", 1, 1);
        change(&mut nic);
        nic
    };
    let one = [(EniKind::Secondary, TrafficMode::Standard, 1)];
    let two = [(EniKind::Secondary, TrafficMode::Standard, 2)];
    let cases = [
        ("an address is free", &one, vec![nic("eni-1", 3, 2)], 0, true),
        ("an ENI has room", &one, vec![nic("eni-1", 2, 2)], 1, true),
        (
            "its vSwitch is exhausted",
            &one,
            vec![nic("eni-1", 2, 2)],
            0,
            false,
        ),
        ("every ENI is full", &one, vec![full()], 9, false),
        ("another ENI can be made", &two, vec![full()], 1, true),
        ("no vSwitch for another ENI", &two, vec![full()], 0, false),
        ("nothing is there yet", &one, vec![], 1, true),
        (
            "its one ENI is being detached",
            &one,
            vec![broken(|nic| nic.status = NicStatus::Detaching)],
            9,
            false,
        ),
        (
            "its one ENI is on its way",
            &one,
            vec![broken(|nic| nic.status = NicStatus::Attaching)],
            9,
            true,
        ),
        (
            "an ENI that is left alone takes no place of the flavors",
            &one,
            vec![broken(|nic| nic.unschedulable = true)],
            9,
            true,
        ),
    ];
    for (what, flavors, nics, available, sufficient) in cases {
        let vswitch = Candidate {
            id: "vsw-a".into(),
            zone: "h".into(),
            cidrs: Default::default(),
            available,
        };
        let record = record(spec(flavors), nics);
        assert_eq!(is_sufficient(&record, &[vswitch]), sufficient, "{what}");
    }
}
