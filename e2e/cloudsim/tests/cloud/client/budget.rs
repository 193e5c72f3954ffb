//! Budgets of cloud calls of the control plane's client, counted in the simulator's call log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cloudsim::simulator::Running;
use cloudsim::{Fault, Options, Simulator, World};
use futures::StreamExt;
use terway_cloud::{
    Action, AttachEni, Cloud, CloudConfig, CreateEni, EniFilter, Expect, Priority, TroubleCause,
};

use super::{config_with, connect};

/// Time limit, long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// ENIs that attach at once.
const MANY: usize = 1_000;

/// The small world with a machine that takes a thousand ENIs, and without quotas.
fn wide_world() -> World {
    let mut world = World::small();
    world.quotas.default_per_minute = None;
    world.quotas.per_minute.clear();
    for kind in &mut world.instance_types {
        kind.eni_quantity = 2 * MANY as u32;
        kind.eni_total_quantity = 2 * MANY as u32;
    }
    world
}

/// A client whose own budgets are no limit.
async fn unlimited(simulator: &Running, access_key: &str) -> Cloud {
    let config = CloudConfig {
        rate_limit: Action::ALL
            .into_iter()
            .map(|action| (action.name().to_owned(), 1_000_000))
            .collect(),
        call_deadline: Duration::from_secs(30),
        ..config_with(access_key)
    };
    connect(simulator, config).await
}

async fn make(cloud: &Cloud, number: usize) -> String {
    let permit = cloud
        .permit(Action::CreateNetworkInterface, Priority::Create)
        .await;
    let request = CreateEni {
        vswitch_id: if number.is_multiple_of(2) {
            "vsw-pod-h"
        } else {
            "vsw-pod-i"
        }
        .into(),
        security_group_ids: vec!["sg-web".into()],
        tags: BTreeMap::from([("n".into(), number.to_string())]),
        client_token: format!("budget-{number}"),
        ..CreateEni::default()
    };
    cloud.create_network_interface(permit, &request).await.unwrap().id
}

async fn attach(cloud: &Cloud, eni_id: String) {
    let permit = cloud
        .permit(Action::AttachNetworkInterface, Priority::Attach)
        .await;
    let request = AttachEni {
        eni_id,
        instance_id: "i-node1".into(),
        ..AttachEni::default()
    };
    cloud.attach_network_interface(permit, &request).await.unwrap();
    cloud.watch().expect(&request.eni_id, Expect::Attached);
}

fn calls(simulator: &Running, since: u64, action: &str) -> Vec<BTreeMap<String, String>> {
    let calls = simulator.calls_since(since).into_iter();
    let calls = calls.filter(|call| call.action == action);
    calls.map(|call| call.parameters).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_attachments_at_once_cost_forty_describe_calls_at_most() {
    let mut world = wide_world();
    // Only one of the zones has the machine.
    for vswitch in &mut world.v_switches {
        vswitch.zone = "cn-hangzhou-h".to_owned();
    }
    let simulator = Simulator::start(world, Options::default()).await.unwrap();
    let cloud = unlimited(&simulator, "lab-ak").await;
    let enis: Vec<String> = futures::stream::iter(0..MANY)
        .map(|number| make(&cloud, number))
        .buffer_unordered(128)
        .collect()
        .await;

    let before = simulator.call_count();
    let mut changed = cloud.watch().changed();
    let begun = Instant::now();
    let attaching = futures::stream::iter(enis).for_each_concurrent(128, |eni| attach(&cloud, eni));
    attaching.await;
    let start = Instant::now();
    while cloud.watch().waiting() > 0 {
        assert!(
            start.elapsed() < PATIENCE,
            "{} still wait",
            cloud.watch().waiting()
        );
        let _ = tokio::time::timeout(PATIENCE, changed.next()).await.unwrap();
    }

    assert_eq!(calls(&simulator, before, "CreateNetworkInterface").len(), 0);
    assert_eq!(calls(&simulator, before, "AttachNetworkInterface").len(), MANY);
    let describes = calls(&simulator, before, "DescribeNetworkInterfaces");
    // The test takes six seconds. If it takes longer, the poller may send one more call a second.
    let late = begun.elapsed().as_secs().saturating_sub(10) as usize;
    assert!(
        describes.len() <= 40 + late,
        "{} Describe calls for {MANY}",
        describes.len()
    );
    for parameters in &describes {
        let ids = parameters
            .keys()
            .filter(|key| key.starts_with("NetworkInterfaceId."))
            .count();
        let page: usize = parameters["MaxResults"].parse().unwrap();
        assert!(
            (1..=100).contains(&ids) && page >= ids,
            "{ids} ids in a page of {page}"
        );
    }
}

#[tokio::test]
async fn wrong_keys_cost_a_handful_of_calls_however_many_want_something() {
    let simulator = Simulator::start(wide_world(), Options::default()).await.unwrap();
    let cloud = unlimited(&simulator, "lab-ak-of-another").await;
    let mut troubles = cloud.troubles();
    let waiting = futures::stream::iter(0..500).for_each_concurrent(500, |_| async {
        let ids = EniFilter::ids(["eni-node1"]);
        // Controllers repeat calls like this. The pace would be hundreds of calls a second.
        while cloud.describe_network_interfaces(&ids).await.is_err() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
    let told = async {
        let lasting = |troubles: &Vec<terway_cloud::Trouble>| troubles.iter().any(|trouble| trouble.lasting);
        let found = troubles.wait_for(lasting).await.unwrap();
        assert_eq!(found[0].cause, TroubleCause::Credentials);
        assert!(found[0].sentence.contains("InvalidAccessKeyId"), "{found:?}");
    };
    tokio::select! {
        () = waiting => panic!("nobody can get through"),
        told = tokio::time::timeout(PATIENCE, told) => told.unwrap(),
    }
    // The calls that were sent before the first answer, one call after 1 s, and one after 2 s more.
    let sent = simulator.call_count();
    assert!(sent <= 500 + 2, "{sent} calls");
}

#[tokio::test]
async fn an_act_that_is_forbidden_is_tried_from_time_to_time_and_goes_on_when_it_is_allowed() {
    let simulator = Simulator::start(wide_world(), Options::default()).await.unwrap();
    let cloud = unlimited(&simulator, "lab-ak").await;
    simulator.inject(Fault {
        action: Some("CreateNetworkInterface".into()),
        code: Some("Forbidden.RAM".into()),
        ..Fault::default()
    });
    let mut troubles = cloud.troubles();
    let lasting = async {
        for number in 0.. {
            let permit = cloud
                .permit(Action::CreateNetworkInterface, Priority::Create)
                .await;
            let request = CreateEni {
                vswitch_id: "vsw-pod-h".into(),
                client_token: format!("forbidden-{number}"),
                ..CreateEni::default()
            };
            let _ = cloud
                .create_network_interface(permit, &request)
                .await
                .unwrap_err();
            if troubles.borrow_and_update().iter().any(|trouble| trouble.lasting) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, lasting).await.unwrap();
    assert_eq!(calls(&simulator, 0, "CreateNetworkInterface").len(), 3 + 2);
    // Other actions work as before.
    let node = cloud
        .describe_network_interfaces(&EniFilter::ids(["eni-node1"]))
        .await;
    assert_eq!(node.unwrap().len(), 1);

    simulator.clear_faults();
    let made = tokio::time::timeout(PATIENCE, make(&cloud, 0)).await.unwrap();
    assert!(made.starts_with("eni-"));
    assert_eq!(*cloud.troubles().borrow(), []);
}
