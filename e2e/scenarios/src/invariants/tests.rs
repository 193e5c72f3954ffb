//! Each rule finds what was broken on purpose, and is content with what is right.

use crash::checker::{Attached, EniInCloud, Snapshot, Violation};

use super::*;

const SHARED_NIC: &str = "00:16:3e:00:00:01";
const TRUNK: &str = "00:16:3e:00:00:02";

fn pod(uid: &str, last: u8) -> RunningPod {
    RunningPod {
        uid: uid.into(),
        name: format!("default/{uid}"),
        node: "node1".into(),
        address: Some([10, 0, 0, last].into()),
    }
}

fn shared(uid: &str, last: u8) -> Binding {
    Binding {
        pod_uid: uid.into(),
        pod: format!("default/{uid}"),
        node: "node1".into(),
        address: [10, 0, 0, last].into(),
        nic: SHARED_NIC.into(),
        member: None,
    }
}

fn member(uid: &str, last: u8, fixed: bool) -> Binding {
    Binding {
        nic: TRUNK.into(),
        member: Some(Member { vlan: 7, fixed }),
        ..shared(uid, last)
    }
}

fn veth(ifindex: u32, uid: &str) -> HostVeth {
    HostVeth {
        ifindex,
        pod_uid: uid.into(),
        container: format!("box-{uid}"),
    }
}

/// One pod with a shared address, one with an ENI of its own.
fn good() -> Picture {
    let (one, two) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let (vlan, nic) = (7, 3);
    let objects = [
        Object::Route {
            address: one,
            veth: 10,
        },
        Object::ToPod { address: one },
        Object::FromPod {
            address: one,
            table: 1002,
        },
        Object::Source {
            veth: 10,
            address: one,
        },
        Object::Route {
            address: two,
            veth: 11,
        },
        Object::ToPod { address: two },
        Object::FromPod {
            address: two,
            table: 1003,
        },
        Object::Source {
            veth: 11,
            address: two,
        },
        Object::Pop {
            nic,
            vlan,
            address: two,
            veth: 11,
        },
        Object::Push {
            nic,
            vlan,
            address: two,
            veth: 11,
        },
        Object::ToHost {
            address: two,
            to: "169.254.20.10".into(),
        },
    ];
    let kernel = Kernel {
        nics: [(SHARED_NIC.into(), 2), (TRUNK.into(), 3)].into(),
        veths: vec![veth(10, "one"), veth(11, "two")],
        objects: objects.into(),
    };
    Picture {
        pods: vec![pod("one", 1), pod("two", 2)],
        bindings: vec![shared("one", 1), member("two", 2, false)],
        enis: vec![EniAddresses {
            eni: "eni-shared".into(),
            recorded: [one].into(),
            cloud: [one].into(),
        }],
        cloud: Snapshot::default(),
        kernels: [("node1".to_owned(), kernel)].into(),
    }
}

fn kernel(picture: &mut Picture) -> &mut Kernel {
    picture.kernels.get_mut("node1").unwrap()
}

/// Faults other than those that follow from the first.
fn found(picture: &Picture, rule: impl Fn(&Fault) -> bool) -> usize {
    check(picture).iter().filter(|fault| rule(fault)).count()
}

#[test]
fn a_good_picture_breaks_no_rule() {
    assert_eq!(check(&good()), []);
}

#[test]
fn pods_with_one_address_are_found() {
    let mut picture = good();
    picture.pods[1].address = picture.pods[0].address;
    assert_eq!(
        found(
            &picture,
            |f| matches!(f, Fault::OneAddress { pods, .. } if pods.len() == 2)
        ),
        1
    );
}

#[test]
fn an_address_of_two_records_is_found() {
    let mut picture = good();
    picture.bindings.push(shared("three", 1));
    assert_eq!(found(&picture, |f| matches!(f, Fault::BoundTwice { .. })), 1);
}

#[test]
fn a_pod_with_two_addresses_is_found() {
    let mut picture = good();
    picture.bindings.push(shared("two", 9));
    assert_eq!(
        found(
            &picture,
            |f| matches!(f, Fault::TwoAddresses { pod, .. } if pod == "default/two")
        ),
        1
    );
}

#[test]
fn a_pod_that_no_record_knows_on_its_node_is_found() {
    for spoil in [
        |picture: &mut Picture| picture.pods[0].uid = "other".into(),
        |picture: &mut Picture| picture.pods[0].address = Some([10, 0, 0, 9].into()),
        |picture: &mut Picture| picture.pods[0].address = None,
        |picture: &mut Picture| picture.pods[0].node = "node2".into(),
    ] {
        let mut picture = good();
        spoil(&mut picture);
        assert_eq!(found(&picture, |f| matches!(f, Fault::NotRecorded { .. })), 1);
    }
}

#[test]
fn an_address_kept_for_nobody_is_found_unless_it_is_fixed() {
    let mut picture = good();
    picture.bindings.push(shared("gone", 9));
    assert_eq!(check(&picture).len(), 1);
    assert!(matches!(&check(&picture)[0], Fault::BoundToNobody { pod, .. } if pod == "default/gone"));
    picture.bindings[2] = member("gone", 9, false);
    assert_eq!(check(&picture).len(), 1);
    picture.bindings[2] = member("gone", 9, true);
    assert_eq!(check(&picture), []);
}

#[test]
fn addresses_that_record_and_cloud_tell_differently_are_found() {
    let mut picture = good();
    picture.enis[0].cloud.insert([10, 0, 0, 9].into());
    assert!(
        matches!(&check(&picture)[..], [Fault::UnlikeTheCloud { cloud_only, .. }] if cloud_only.len() == 1)
    );
    picture.enis[0].recorded.insert([10, 0, 0, 8].into());
    assert!(
        matches!(&check(&picture)[..], [Fault::UnlikeTheCloud { recorded_only, .. }] if recorded_only.len() == 1)
    );
}

#[test]
fn an_eni_that_nothing_refers_to_and_one_that_is_not_at_its_pod_are_found() {
    let mut picture = good();
    picture.cloud.enis.push(EniInCloud {
        id: "eni-lost".into(),
        status: "Available".into(),
        trunk: false,
        member: false,
        instance: None,
        addresses: ["10.0.0.9".to_owned()].into(),
        ours: true,
        intent: None,
    });
    picture.cloud.bound.push(Attached {
        pod: "default/two".into(),
        eni: "eni-two".into(),
        address: "10.0.0.2".into(),
        instance: "i-node1".into(),
    });
    let found = check(&picture);
    let [Fault::Cloud(first), Fault::Cloud(second)] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(matches!(**first, Violation::Leaked { .. }));
    assert!(matches!(**second, Violation::Lost { .. }));
}

#[test]
fn every_object_that_is_gone_is_missed() {
    let all = good().kernels["node1"].objects.clone();
    for object in all
        .iter()
        .filter(|object| !matches!(object, Object::ToHost { .. }))
    {
        let mut picture = good();
        kernel(&mut picture).objects.remove(object);
        let what = object.to_string();
        assert!(
            matches!(&check(&picture)[..], [Fault::Missing { what: its, .. }] if *its == what),
            "{what}"
        );
    }
}

#[test]
fn every_object_of_nobody_is_a_leak() {
    let address = [10, 0, 0, 9].into();
    let (veth, nic, vlan) = (10, 3, 8);
    for object in [
        Object::Route { address, veth },
        Object::ToPod { address },
        Object::ToHost {
            address,
            to: "169.254.20.10".into(),
        },
        Object::FromPod { address, table: 1002 },
        Object::Source { veth, address },
        Object::Pop {
            nic,
            vlan,
            address,
            veth,
        },
        Object::Push {
            nic,
            vlan,
            address,
            veth,
        },
        Object::HalfMade {
            name: "twt0123456789ab".into(),
        },
    ] {
        let mut picture = good();
        kernel(&mut picture).objects.insert(object.clone());
        let what = object.to_string();
        assert!(
            matches!(&check(&picture)[..], [Fault::LeftInKernel { what: its, .. }] if *its == what),
            "{what}"
        );
    }
}

#[test]
fn a_rule_that_leads_to_another_nic_is_found() {
    let mut picture = good();
    picture.bindings[0].nic = TRUNK.into();
    assert_eq!(check(&picture).len(), 2, "one is missing, one is too much");
}

#[test]
fn sandboxes_of_nobody_or_of_one_pod_twice_are_found() {
    let mut picture = good();
    kernel(&mut picture).veths.push(veth(12, "gone"));
    assert!(matches!(&check(&picture)[..], [Fault::LeftInKernel { .. }]));
    let mut picture = good();
    kernel(&mut picture).veths.push(veth(12, "one"));
    assert_eq!(
        found(
            &picture,
            |f| matches!(f, Fault::LeftInKernel { what, .. } if what.contains("2 sandboxes"))
        ),
        1
    );
}

#[test]
fn a_pod_without_its_sandbox_or_its_nic_is_found() {
    let mut picture = good();
    kernel(&mut picture).veths.remove(0);
    assert_eq!(
        found(
            &picture,
            |f| matches!(f, Fault::Missing { what, .. } if what.contains("sandbox"))
        ),
        1
    );
    let mut picture = good();
    kernel(&mut picture).nics.remove(TRUNK);
    assert_eq!(
        found(
            &picture,
            |f| matches!(f, Fault::Missing { what, .. } if what.contains("NIC"))
        ),
        1
    );
}
