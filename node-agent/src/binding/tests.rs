//! Tests of the decision, named by what a pod gets.

use terway_cni_protocol::Attachment;
use terway_crds::Phase;
use terway_crds::node::NicStatus;
use terway_node_core::carrier::{Carrier, VlanId};

use super::{Decision, Refusal, Wait, decide, existing, interfaces, network};
use crate::cluster::{AllocationView, AttachedEni, NoTrunk, NodeView, PodEniView, PodKey, PodView, Unusable};
use crate::datapath::Realised;
use crate::settings::Settings;
use crate::testing::{member, sharing};

fn pod() -> PodView {
    PodView {
        key: PodKey::new("shop", "db-0"),
        uid: "u-1".into(),
        wants_eni: true,
        ..Default::default()
    }
}

fn allocation() -> AllocationView {
    AllocationView {
        eni_id: "eni-9".into(),
        ip: Some("10.0.16.7".parse().unwrap()),
        cidr: Some("10.0.16.0/22".parse().unwrap()),
        carrier: Some(member("eni-t", 7)),
        ..Default::default()
    }
}

fn pod_eni() -> PodEniView {
    PodEniView {
        key: PodKey::new("shop", "db-0"),
        pod_uid: "u-1".into(),
        phase: Phase::Bind,
        allocations: Ok(vec![allocation()]),
        ..Default::default()
    }
}

/// The same with its ENI carried in another way.
fn carried_by(carrier: Carrier<String>) -> PodEniView {
    let allocation = AllocationView {
        carrier: Some(carrier),
        ..allocation()
    };
    PodEniView {
        allocations: Ok(vec![allocation]),
        ..pod_eni()
    }
}

fn node() -> NodeView {
    let trunk = AttachedEni {
        eni_id: "eni-t".into(),
        mac: [2, 0, 0, 0, 0, 1],
        cidr: "10.0.0.0/24".parse().unwrap(),
    };
    NodeView {
        trunk: Ok(trunk),
        ..Default::default()
    }
}

fn wait(decision: Decision) -> Wait {
    match decision {
        Decision::Wait(wait) => wait,
        other => panic!("{other:?}"),
    }
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bound_pod_eni_is_realised() {
    let Decision::Ready(binding) = decide(&pod(), Some(&pod_eni()), Some(&node())) else {
        panic!()
    };
    assert_eq!(binding.interfaces.len(), 1);
    let interface = &binding.interfaces[0];
    assert_eq!(
        (
            interface.name.as_deref(),
            interface.carrier.vlan(),
            interface.default_route
        ),
        (None, VlanId::new(7), true)
    );

    let attachment = Attachment {
        container_id: "c".into(),
        ifname: "eth0".into(),
    };
    let wants = interfaces(&binding, &pod().key, "u-1", &attachment, &Settings::default());
    assert_eq!(wants[0].sandbox.ifname, "eth0");
    assert_eq!(
        wants[0].carrier.nic().gateway.to_string(),
        "10.0.0.253",
        "third-last of the trunk's vSwitch"
    );
    let made = Realised {
        host_ifname: "cali1".into(),
        host_mac: [2; 6],
        pod_mac: [4; 6],
        mtu: 1400,
    };
    let network = network(&[(wants[0].clone(), made)]);
    assert_eq!(network.addresses[0].address.to_string(), "10.0.16.7/32");
    assert_eq!(network.addresses[0].interface, 1);
    assert_eq!(network.interfaces[1].mac, "04:04:04:04:04:04");
    assert_eq!(
        network.interfaces[1].mtu, 1400,
        "that of the veth, not of the settings"
    );
    assert_eq!(network.routes[0].dst.to_string(), "0.0.0.0/0");
}

#[test]
fn another_pods_allocation_is_never_served() {
    let other = PodEniView {
        pod_uid: "u-0".into(),
        ..pod_eni()
    };
    assert!(matches!(
        wait(decide(&pod(), Some(&other), Some(&node()))),
        Wait::OtherUid { .. }
    ));
    let nobodys = PodEniView {
        pod_uid: String::new(),
        ..pod_eni()
    };
    assert!(matches!(
        wait(decide(&pod(), Some(&nobodys), Some(&node()))),
        Wait::OtherUid { .. }
    ));
}

#[test]
fn every_phase_but_bind_waits_and_is_named() {
    for phase in [
        Phase::Initial,
        Phase::Binding,
        Phase::Detaching,
        Phase::Unbind,
        Phase::Deleting,
    ] {
        let pod_eni = PodEniView {
            phase,
            message: "the cloud said no".into(),
            ..pod_eni()
        };
        let text = wait(decide(&pod(), Some(&pod_eni), Some(&node()))).to_string();
        assert!(
            text.contains("shop/db-0") && text.ends_with(": the cloud said no"),
            "{text}"
        );
    }
}

#[test]
fn a_pod_eni_that_is_being_deleted_serves_its_own_pod_and_no_other() {
    let deleting = PodEniView {
        deleting: true,
        ..pod_eni()
    };
    let served = decide(&pod(), Some(&deleting), Some(&node()));
    assert!(matches!(served, Decision::Ready(_)), "{served:?}");
    let next = PodView {
        uid: "u-2".into(),
        ..pod()
    };
    assert!(matches!(
        wait(decide(&next, Some(&deleting), Some(&node()))),
        Wait::Deleting { .. }
    ));
    assert!(existing(&deleting, Some(&node()), false).is_some());
    let detaching = PodEniView {
        phase: Phase::Detaching,
        ..pod_eni()
    };
    assert!(existing(&detaching, Some(&node()), false).is_some());
}

#[test]
fn the_trunk_must_be_this_nodes() {
    let elsewhere = carried_by(member("eni-other", 7));
    assert!(matches!(
        wait(decide(&pod(), Some(&elsewhere), Some(&node()))),
        Wait::OtherTrunk { .. }
    ));
    assert_eq!(wait(decide(&pod(), Some(&pod_eni()), None)), Wait::NoNode);
    let bare = NodeView {
        trunk: Err(NoTrunk::UnderWay(vec!["CreateTrunk is under way".into()])),
        ..node()
    };
    let text = wait(decide(&pod(), Some(&pod_eni()), Some(&bare))).to_string();
    assert!(text.contains("CreateTrunk is under way"), "{text}");
}

#[test]
fn a_pod_without_an_eni_of_its_own_gets_the_address_bound_to_its_uid() {
    let plain = PodView {
        wants_eni: false,
        ..pod()
    };
    let node = sharing("db-0", "u-1", "10.0.16.9");
    let Decision::Ready(binding) = decide(&plain, None, Some(&node)) else {
        panic!()
    };
    let attachment = Attachment {
        container_id: "c".into(),
        ifname: "eth0".into(),
    };
    let wants = interfaces(&binding, &plain.key, "u-1", &attachment, &Settings::default());
    assert_eq!(wants.len(), 1);
    assert_eq!(
        (wants[0].ip.to_string().as_str(), wants[0].carrier.vlan()),
        ("10.0.16.9", None)
    );
    assert_eq!(
        wants[0].carrier.nic().gateway.to_string(),
        "10.0.19.253",
        "of the shared ENI's vSwitch"
    );

    // The address of the pod's predecessor is not the pod's.
    let other = sharing("db-0", "u-0", "10.0.16.9");
    assert!(matches!(
        wait(decide(&plain, None, Some(&other))),
        Wait::NoAddress { .. }
    ));
    // Nor does a pod with an ENI of its own take one.
    assert!(matches!(
        wait(decide(&pod(), None, Some(&node))),
        Wait::NoPodEni { .. }
    ));
    // What is bound is served, though the pod is on its way out.
    let going = PodView {
        deleting: true,
        ..plain
    };
    assert!(matches!(decide(&going, None, Some(&node)), Decision::Ready(_)));
}

#[test]
fn a_wait_for_a_shared_address_says_what_keeps_it() {
    let plain = PodView {
        wants_eni: false,
        ..pod()
    };
    assert_eq!(wait(decide(&plain, None, None)), Wait::NoNode);
    let mut short = node();
    short.troubles = vec!["vsw-a has no address left".into()];
    let text = wait(decide(&plain, None, Some(&short))).to_string();
    assert!(
        text.contains("shop/db-0") && text.ends_with("vsw-a has no address left"),
        "{text}"
    );
    let mut attaching = sharing("db-0", "u-1", "10.0.16.9");
    attaching.shared.get_mut("u-1").unwrap().address = Err(Unusable::NotAttached {
        eni: "eni-s".into(),
        status: NicStatus::Attaching,
    });
    let text = wait(decide(&plain, None, Some(&attaching))).to_string();
    assert!(text.ends_with("ENI eni-s is Attaching"), "{text}");
}

#[test]
fn a_pod_without_a_network_to_come_is_refused_at_once() {
    let shared = PodView {
        wants_eni: false,
        ..pod()
    };
    let mut small = node();
    small.no_shared = Some("its instance type has no room".into());
    let text = refusal(decide(&shared, None, Some(&small))).to_string();
    assert!(
        text.contains("shop/db-0") && text.contains("its instance type has no room"),
        "{text}"
    );
    let ignored = PodView {
        ignored: true,
        ..pod()
    };
    assert!(matches!(
        refusal(decide(&ignored, None, Some(&node()))),
        Refusal::Ignored { .. }
    ));
    let going = PodView {
        deleting: true,
        ..pod()
    };
    assert!(matches!(
        refusal(decide(&going, None, Some(&node()))),
        Refusal::PodDeleting { .. }
    ));
    let whole = carried_by(Carrier::Whole { nic: "eni-9".into() });
    let text = refusal(decide(&pod(), Some(&whole), Some(&node()))).to_string();
    assert!(text.contains("exclusive ENIs are not available yet"), "{text}");
}

#[test]
fn a_pod_eni_for_this_pod_counts_without_the_annotation() {
    let unmarked = PodView {
        wants_eni: false,
        deleting: true,
        ..pod()
    };
    assert!(matches!(
        decide(&unmarked, Some(&pod_eni()), Some(&node())),
        Decision::Ready(_)
    ));
}

#[test]
fn a_pod_whose_pod_eni_is_to_come_waits() {
    assert!(matches!(
        wait(decide(&pod(), None, Some(&node()))),
        Wait::NoPodEni { .. }
    ));
}

#[test]
fn a_second_interface_keeps_its_name_and_the_first_the_default_route() {
    let second = AllocationView {
        interface: "eth1".into(),
        ..allocation()
    };
    let first = AllocationView {
        interface: "eth0".into(),
        ..allocation()
    };
    let both = PodEniView {
        allocations: Ok(vec![second, first]),
        ..pod_eni()
    };
    let Decision::Ready(binding) = decide(&pod(), Some(&both), Some(&node())) else {
        panic!()
    };
    let names: Vec<_> = binding
        .interfaces
        .iter()
        .map(|i| (i.name.as_deref(), i.default_route))
        .collect();
    assert_eq!(names, [(None, true), (Some("eth1"), false)]);
}

#[test]
fn contradictions_are_waited_out_with_their_reason() {
    let unusable = |allocations: Vec<AllocationView>| {
        let pod_eni = PodEniView {
            allocations: Ok(allocations),
            ..pod_eni()
        };
        wait(decide(&pod(), Some(&pod_eni), Some(&node()))).to_string()
    };
    let with = |change: fn(&mut AllocationView)| {
        let mut allocation = allocation();
        change(&mut allocation);
        allocation
    };
    assert!(unusable(vec![]).contains("no allocation is for eth0"));
    assert!(unusable(vec![with(|a| a.carrier = None)]).contains("VLAN id"));
    assert!(unusable(vec![with(|a| a.ip = None)]).contains("no ipv4"));
    assert!(
        unusable(vec![with(|a| a.ip = Some("10.9.9.9".parse().unwrap()))]).contains("not in 10.0.16.0/22")
    );
    assert!(unusable(vec![allocation(), allocation()]).contains("same interface"));
    let default = |name: &'static str| AllocationView {
        interface: name.into(),
        default_route: true,
        ..allocation()
    };
    assert!(unusable(vec![default("eth0"), default("eth1")]).contains("default route"));
    let unreadable = PodEniView {
        allocations: Err(Unusable::Route { text: "x".into() }),
        ..pod_eni()
    };
    assert!(
        wait(decide(&pod(), Some(&unreadable), Some(&node())))
            .to_string()
            .contains("cannot be parsed")
    );
}
