//! The object of an ENI: what it takes over, and whose it is.

use super::*;
use crate::testing::cloud_eni;

fn record() -> PodEni {
    let mut record = PodEni::default();
    record.metadata.namespace = Some("shop".into());
    record.metadata.name = Some("db-0".into());
    record.metadata.uid = Some("uid-1".into());
    record
}

fn allocation() -> Allocation {
    Allocation {
        eni: Eni {
            id: "eni-1".into(),
            mac: "00:16:3e:00:00:01".into(),
            ..Eni::default()
        },
        ipv4: "10.0.0.5".into(),
        ipv6: "fd00::5".into(),
        ipv4_cidr: "10.0.0.0/24".into(),
        ipv6_cidr: "fd00::/64".into(),
        extra_config: [("a".to_owned(), "b".to_owned())].into(),
        ..Allocation::default()
    }
}

fn target(node: &str) -> AttachTo {
    AttachTo {
        instance_id: "i-1".into(),
        node_name: node.into(),
        ..AttachTo::default()
    }
}

#[test]
fn the_object_of_an_allocation_carries_all_of_it_and_its_target() {
    let interface = build(&record(), &allocation(), Some(target("node1")));
    let spec = &interface.spec;
    let of_allocation = Allocation {
        eni: spec.eni.clone(),
        ipv4: spec.ipv4.clone(),
        ipv6: spec.ipv6.clone(),
        ipv4_cidr: spec.ipv4_cidr.clone(),
        ipv6_cidr: spec.ipv6_cidr.clone(),
        extra_config: spec.extra_config.clone(),
        ..Allocation::default()
    };
    assert_eq!(of_allocation, allocation());
    assert_eq!(spec.attach_to, Some(target("node1")));
    assert_eq!(interface.metadata.name.as_deref(), Some("eni-1"));
    assert_eq!(
        interface.metadata.finalizers,
        Some(vec![finalizer::ENI.to_owned()])
    );
    assert_eq!(owner(&interface), Some(("shop", "db-0")));
    let label = |interface: NetworkInterface| interface.metadata.labels?.remove(label::NODE);
    assert_eq!(label(interface).as_deref(), Some("node1"));
    for nowhere in [None, Some(target(""))] {
        assert_eq!(label(build(&record(), &allocation(), nowhere)), None);
    }
}

#[test]
fn an_eni_that_is_given_back_has_an_object_without_owner_and_target() {
    let interface = for_release("eni-1", Some(&cloud_eni("eni-1")));
    assert_eq!(owner(&interface), None);
    assert!(!is_of(&interface, &record()));
    assert_eq!(interface.spec.attach_to, None);
    assert_eq!(
        interface.metadata.finalizers,
        Some(vec![finalizer::ENI.to_owned()])
    );
    let eni = &interface.spec.eni;
    assert_eq!(
        [&*eni.id, &*eni.vswitch_id, &*eni.zone, &*interface.spec.ipv4],
        ["eni-1", "vsw-pod-h", "cn-hangzhou-h", "10.0.16.5"]
    );
    // Of an ENI that was not looked at, the id is enough.
    let unseen = for_release("eni-2", None);
    assert_eq!(
        (unseen.spec.eni.id.as_str(), unseen.spec.ipv4.as_str()),
        ("eni-2", "")
    );
}

#[test]
fn our_objects_belong_to_one_record_by_uid_and_upstreams_by_name() {
    let ours = build(&record(), &allocation(), None);
    let mut upstreams = ours.clone();
    let reference = upstreams.spec.pod_eni_ref.as_mut().unwrap();
    (reference.kind, reference.uid) = (Some("Pod".into()), Some("uid of the pod".into()));
    let mut successor = record();
    successor.metadata.uid = Some("uid-2".into());
    let mut namesake = record();
    namesake.metadata.namespace = Some("other".into());
    for (interface, record, belongs) in [
        (&ours, record(), true),
        (&ours, successor.clone(), false),
        (&ours, namesake.clone(), false),
        (&upstreams, record(), true),
        (&upstreams, successor, true),
        (&upstreams, namesake, false),
    ] {
        assert_eq!(is_of(interface, &record), belongs, "{record:?}");
    }
}
