//! Scale: a world of a hundred thousand ENIs, and thousands of calls.

#![allow(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::sync::Arc;
use std::time::Instant;

use cloudsim::World;
use cloudsim::world::generate::{Size, generate};
use support::{Bench, quick_world};

const LIST: &str = "DescribeNetworkInterfaces";

/// Generous, for a busy machine: what must not happen is work that grows with the world.
const PATIENCE_SECS: u64 = 90;

#[tokio::test]
async fn a_hundred_thousand_enis_are_paged_quickly() {
    let text = serde_yaml_ng::to_string(&generate(Size {
        nodes: 3000,
        enis: 100_000,
    }))
    .expect("YAML");
    let bench = Bench::start(World::from_yaml(&text).expect("a generated world is valid")).await;
    let tag = [
        ("Tag.1.Key", "creator"),
        ("Tag.1.Value", "terway-controller"),
        ("MaxResults", "500"),
    ];
    let (mut total, mut pages, mut token, begun) = (0, 0, String::new(), Instant::now());
    loop {
        let mut parameters = tag.to_vec();
        parameters.push(("NextToken", &token));
        let (_, answer) = bench.call(LIST, &parameters).await;
        total += answer["NetworkInterfaceSets"]["NetworkInterfaceSet"]
            .as_array()
            .map_or(0, Vec::len);
        pages += 1;
        token = answer["NextToken"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    let took = begun.elapsed();
    println!("{pages} pages of 500 ENIs in {took:?}, {:?} each", took / pages);
    assert_eq!((total, pages), (100_000, 200));
    assert!(took.as_secs() < PATIENCE_SECS, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_enis_are_created_attached_and_deleted_at_once() {
    const ENIS: usize = 800;
    let mut world = quick_world();
    world
        .instance_types
        .iter_mut()
        .for_each(|kind| kind.eni_total_quantity = 1000);
    let bench = Arc::new(Bench::start(world).await);
    let trunk = bench.create(&[("InstanceType", "Trunk")]).await;
    let attach = [("NetworkInterfaceId", trunk.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    let begun = Instant::now();
    let lives = (0..ENIS).map(|_| {
        let (bench, trunk) = (bench.clone(), trunk.clone());
        tokio::spawn(async move {
            let eni = bench.create(&[]).await;
            let there = [
                ("NetworkInterfaceId", eni.as_str()),
                ("InstanceId", "i-node1"),
                ("TrunkNetworkInstanceId", &trunk),
            ];
            for action in ["AttachNetworkInterface", "DetachNetworkInterface"] {
                let (status, answer) = bench.call(action, &there).await;
                assert_eq!(status, 200, "{answer}");
            }
            let (status, answer) = bench.call("DeleteNetworkInterface", &there[..1]).await;
            assert_eq!(status, 200, "{answer}");
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.expect("no refusal");
    }
    let took = begun.elapsed();
    println!(
        "{:.0} calls a second, the client's share included",
        (4 * ENIS) as f64 / took.as_secs_f64()
    );
    assert_eq!(bench.running.enis().len(), 4);
    assert!(took.as_secs() < PATIENCE_SECS, "{took:?}");
}
