//! The control plane's client against the simulator. Both were written from the same documents, and must agree, with
//! and without faults.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cloudsim::simulator::Running;
use cloudsim::{Fault, Options, Point, Simulator, World};
use futures::{FutureExt, StreamExt};
use terway_cloud::{
    Action, AttachEni, Cloud, CloudConfig, CloudError, CreateEni, CredentialSource, DeleteEni, DetachEni,
    EniFilter, ErrorClass, Expect, Priority,
};
use terway_core::cloud::{CloudEni, EniKind, EniObservation, EniStatus};

use super::{config_with, connect};

/// Time limit, long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn simulator() -> Running {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("worlds/small.yaml");
    Simulator::start(World::from_file(&world).unwrap(), Options::default())
        .await
        .unwrap()
}

async fn lab() -> (Running, Cloud) {
    let simulator = simulator().await;
    let config = CloudConfig {
        call_deadline: Duration::from_secs(2),
        ..config_with("lab-ak")
    };
    let cloud = connect(&simulator, config).await;
    (simulator, cloud)
}

fn request(token: &str) -> CreateEni {
    CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        description: "a pod's ENI".into(),
        delete_on_release: Some(true),
        tags: BTreeMap::from([
            ("creator".into(), "terway-controller".into()),
            ("n".into(), token.into()),
        ]),
        client_token: token.into(),
        ..Default::default()
    }
}

async fn create(cloud: &Cloud, request: &CreateEni) -> Result<CloudEni, CloudError> {
    let permit = cloud
        .permit(Action::CreateNetworkInterface, Priority::Create)
        .await;
    cloud.create_network_interface(permit, request).await
}

async fn attach(cloud: &Cloud, eni: &str, trunk: Option<&str>) -> Result<(), CloudError> {
    let permit = cloud
        .permit(Action::AttachNetworkInterface, Priority::Attach)
        .await;
    let request = AttachEni {
        eni_id: eni.into(),
        instance_id: "i-node1".into(),
        trunk_eni_id: trunk.map(Into::into),
        network_card_index: None,
    };
    cloud.attach_network_interface(permit, &request).await
}

async fn wait(cloud: &Cloud, eni: &str, what: Expect) -> EniObservation {
    let mut changed = cloud.watch().changed();
    cloud.watch().expect(eni, what);
    let seen = async {
        while let Some(id) = changed.next().await {
            let (observation, _) = cloud.watch().latest(&id).unwrap();
            let met = match (&observation, what) {
                (EniObservation::Present(eni), Expect::Attached) => eni.status == EniStatus::InUse,
                (EniObservation::Present(eni), Expect::Free) => eni.status == EniStatus::Available,
                (EniObservation::Absent, Expect::Gone) => true,
                _ => false,
            };
            if id == eni && met {
                return observation;
            }
        }
        panic!("the poller ended");
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap()
}

async fn trunk(cloud: &Cloud) -> CloudEni {
    let request = CreateEni {
        trunk: true,
        vswitch_id: "vsw-node-h".into(),
        ..request("trunk")
    };
    let trunk = create(cloud, &request).await.unwrap();
    attach(cloud, &trunk.id, None).await.unwrap();
    wait(cloud, &trunk.id, Expect::Attached).await;
    trunk
}

#[tokio::test]
async fn a_member_lives_its_whole_life() {
    let (_simulator, cloud) = lab().await;
    let trunk = trunk(&cloud).await;
    let made = create(&cloud, &request("one")).await.unwrap();
    assert_eq!(
        (&made.status, made.vswitch_id.as_str()),
        (&EniStatus::Available, "vsw-pod-h")
    );
    assert!(made.primary_ip.is_some() && !made.mac.is_empty());

    attach(&cloud, &made.id, Some(&trunk.id)).await.unwrap();
    let EniObservation::Present(member) = wait(&cloud, &made.id, Expect::Attached).await else {
        panic!()
    };
    assert_eq!(member.kind, EniKind::Member);
    assert_eq!(member.trunk_eni_id.as_deref(), Some(trunk.id.as_str()));
    assert_eq!(member.instance_id.as_deref(), Some("i-node1"));
    assert!(member.device_index.is_some());
    assert_eq!((member.primary_ip, &member.mac), (made.primary_ip, &made.mac));
    assert_eq!(member.tags["n"], "one");

    let permit = cloud
        .permit(Action::DetachNetworkInterface, Priority::Release)
        .await;
    let detach = DetachEni {
        eni_id: made.id.clone(),
        instance_id: "i-node1".into(),
        trunk_eni_id: Some(trunk.id.clone()),
    };
    cloud.detach_network_interface(permit, &detach).await.unwrap();
    wait(&cloud, &made.id, Expect::Free).await;
    let permit = cloud
        .permit(Action::DeleteNetworkInterface, Priority::Release)
        .await;
    cloud
        .delete_network_interface(
            permit,
            &DeleteEni {
                eni_id: made.id.clone(),
            },
        )
        .await
        .unwrap();
    assert_eq!(wait(&cloud, &made.id, Expect::Gone).await, EniObservation::Absent);
    assert_eq!(cloud.watch().waiting(), 0);
}

#[tokio::test]
async fn a_lost_reply_and_the_same_token_make_one_interface() {
    let (simulator, cloud) = lab().await;
    for (nth, fault) in [
        Fault {
            reset: Some(Point::After),
            ..Fault::default()
        },
        Fault {
            half_reply: true,
            ..Fault::default()
        },
        Fault {
            delay_reply: Some("4s".parse().unwrap()),
            ..Fault::default()
        },
    ]
    .into_iter()
    .enumerate()
    {
        simulator.inject(Fault {
            action: Some("CreateNetworkInterface".into()),
            times: Some(1),
            ..fault
        });
        let request = request(&format!("token-{nth}"));
        let lost = create(&cloud, &request).await.unwrap_err();
        assert_eq!(lost.class, ErrorClass::Unknown, "{lost}");
        let eni = create(&cloud, &request).await.unwrap();
        let tags = EniFilter::tags([("n", format!("token-{nth}"))]);
        let found = cloud.describe_network_interfaces(&tags).await.unwrap();
        assert_eq!(found.iter().map(|eni| &eni.id).collect::<Vec<_>>(), [&eni.id]);
    }
}

#[tokio::test]
async fn refusals_come_in_the_class_that_says_what_to_do() {
    let (simulator, cloud) = lab().await;
    let eni = create(&cloud, &request("reused")).await.unwrap();
    let other = CreateEni {
        description: "something else".into(),
        ..request("reused")
    };
    let refused = |result: Result<CloudEni, CloudError>| result.unwrap_err().class;
    assert_eq!(refused(create(&cloud, &other).await), ErrorClass::TokenReused);
    let nowhere = CreateEni {
        vswitch_id: "vsw-none".into(),
        ..request("a")
    };
    assert_eq!(refused(create(&cloud, &nowhere).await), ErrorClass::NotFound);
    let unknown_group = CreateEni {
        security_group_ids: vec!["sg-none".into()],
        ..request("b")
    };
    assert_eq!(
        refused(create(&cloud, &unknown_group).await),
        ErrorClass::NotFound
    );

    let missing = attach(&cloud, "eni-none", None).await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::NotFound);
    assert!(missing.request_id.is_some(), "{missing}");
    let free = cloud
        .describe_network_interfaces(&EniFilter::ids([&eni.id]))
        .await
        .unwrap();
    assert_eq!(free.len(), 1);

    simulator.inject(Fault {
        code: Some("Throttling.Api".into()),
        times: Some(1),
        ..Fault::default()
    });
    assert_eq!(
        refused(create(&cloud, &request("c")).await),
        ErrorClass::Throttled
    );
    simulator.inject(Fault {
        code: Some("InvalidVSwitchId.IpNotEnough".into()),
        times: Some(1),
        ..Fault::default()
    });
    assert_eq!(
        refused(create(&cloud, &request("c")).await),
        ErrorClass::Exhausted
    );
}

#[tokio::test]
async fn wrong_keys_are_forbidden_and_the_trouble_is_told() {
    let simulator = simulator().await;
    let config = CloudConfig {
        region_id: Some("cn-hangzhou".into()),
        ..CloudConfig::new(CredentialSource::choose("lab-ak", "wrong", ""))
    };
    let cloud = connect(&simulator, config).await;
    let error = cloud.describe_vswitches(&["vsw-pod-h".into()]).await.unwrap_err();
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::Forbidden, "SignatureDoesNotMatch")
    );
    let troubles = cloud.troubles().borrow().clone();
    assert!(
        troubles[0].sentence.contains("SignatureDoesNotMatch"),
        "{troubles:?}"
    );
}

#[tokio::test]
async fn a_role_of_the_instance_signs_as_well() {
    let simulator = simulator().await;
    let metadata = simulator.serve_metadata("i-node1").await.unwrap();
    let config = CloudConfig {
        metadata_base: Some(metadata),
        ..CloudConfig::new(CredentialSource::InstanceRole)
    };
    let cloud = connect(&simulator, config).await;
    assert_eq!(cloud.region_id(), "cn-hangzhou");
    assert_eq!(
        cloud.describe_vswitches(&["vsw-pod-h".into()]).await.unwrap()[0].cidrs,
        ["10.0.16.0/22".parse().unwrap()].into_iter().collect()
    );
}

#[tokio::test]
async fn what_is_read_is_what_the_world_holds() {
    let (_simulator, cloud) = lab().await;
    let vswitches = cloud
        .describe_vswitches(&["vsw-pod-h".into(), "vsw-none".into()])
        .await
        .unwrap();
    assert_eq!(vswitches.len(), 1);
    assert_eq!(vswitches[0].zone_id, "cn-hangzhou-h");
    let limits = cloud
        .describe_instance_types(&["ecs.g7.2xlarge".into()])
        .await
        .unwrap();
    assert_eq!(
        (
            limits[0].eni_quantity,
            limits[0].eni_total_quantity,
            limits[0].trunk_supported
        ),
        (4, 18, true)
    );
    let instances = cloud
        .describe_instances(&["i-node1".into(), "i-none".into()])
        .await
        .unwrap();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].instance_type, "ecs.g7.2xlarge");
    let of_node = EniFilter {
        instance_id: Some("i-node1".into()),
        ..EniFilter::default()
    };
    assert_eq!(
        cloud.describe_network_interfaces(&of_node).await.unwrap()[0].id,
        "eni-node1"
    );
}

#[tokio::test]
async fn lists_longer_than_a_page_are_read_whole() {
    let (_simulator, cloud) = lab().await;
    let made = futures::future::join_all((0..230).map(|n| {
        let cloud = cloud.clone();
        async move { create(&cloud, &request(&format!("many-{n}"))).await.unwrap().id }
    }))
    .await;
    let by_id = cloud
        .describe_network_interfaces(&EniFilter::ids(made.clone()))
        .await
        .unwrap();
    assert_eq!(by_id.len(), 230);
    let tags = EniFilter {
        vswitch_id: Some("vsw-pod-h".into()),
        status: Some(EniStatus::Available),
        ..EniFilter::tags([("creator", "terway-controller")])
    };
    assert_eq!(cloud.describe_network_interfaces(&tags).await.unwrap().len(), 230);
}

/// The budget is one Describe call for each hundred ENIs, and a few calls that come too early.
#[tokio::test]
async fn many_attachments_at_once_cost_few_describe_calls() {
    let (simulator, cloud) = lab().await;
    let trunk = trunk(&cloud).await;
    // The trunk has fourteen member slots. The other ENIs wait in vain and are forgotten, which must not cost calls.
    let mut members = Vec::new();
    for n in 0..14 {
        members.push(create(&cloud, &request(&format!("burst-{n}"))).await.unwrap().id);
    }
    let before = simulator.call_count();
    let mut changed = cloud.watch().changed();
    let attaching = members.iter().map(|id| {
        let (cloud, trunk) = (cloud.clone(), trunk.id.clone());
        async move {
            attach(&cloud, id, Some(&trunk)).await.unwrap();
            cloud.watch().expect(id, Expect::Attached);
        }
    });
    futures::future::join_all(attaching).await;
    let start = Instant::now();
    while cloud.watch().waiting() > 0 {
        assert!(start.elapsed() < PATIENCE);
        let _ = tokio::time::timeout(PATIENCE, changed.next()).await.unwrap();
        while changed.next().now_or_never().is_some() {}
    }
    let describes = simulator
        .calls_since(before)
        .iter()
        .filter(|call| call.action == "DescribeNetworkInterfaces")
        .count();
    // On a slow machine the attachments spread, and the poller may send one more call a second.
    let budget = 6 + start.elapsed().as_secs() as usize;
    assert!(describes <= budget, "{describes} calls for 14 at once");
    cloud.watch().expect("eni-nowhere", Expect::Attached);
    cloud.watch().forget("eni-nowhere");
    assert_eq!(cloud.watch().waiting(), 0);
}

#[tokio::test]
async fn the_poller_outlives_a_cloud_that_fails() {
    let (simulator, cloud) = lab().await;
    let eni = create(&cloud, &request("later")).await.unwrap();
    for fault in [
        Fault {
            code: Some("ServiceUnavailable".into()),
            ..Fault::default()
        },
        Fault {
            half_reply: true,
            ..Fault::default()
        },
        Fault {
            code: Some("Throttling".into()),
            ..Fault::default()
        },
    ] {
        simulator.inject(Fault {
            action: Some("DescribeNetworkInterfaces".into()),
            times: Some(1),
            ..fault
        });
    }
    wait(&cloud, &eni.id, Expect::Free).await;
}
