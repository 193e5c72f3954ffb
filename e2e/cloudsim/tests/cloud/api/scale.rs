//! Scale: a world of a hundred thousand ENIs, and thousands of calls.

use std::sync::Arc;
use std::time::Instant;

use crate::bench::{Bench, quick_world};
use cloudsim::World;
use cloudsim::world::generate::{Size, generate};

const LIST: &str = "DescribeNetworkInterfaces";

/// Time limit in seconds, long enough for a busy machine. Work that grows with the world would exceed it.
const PATIENCE_SECS: u64 = 90;

/// Memory limit: a few KiB for each ENI with its indexes, and the memory of other tests in this process.
const MOST_MIB: u64 = 500;

#[tokio::test]
async fn a_hundred_thousand_enis_are_paged_quickly() {
    let text = serde_saphyr::to_string(&generate(Size {
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
    let resident = resident_mib();
    println!("{resident} MiB resident with 3,000 instances and 100,000 ENIs, the client's share included");
    assert!(resident < MOST_MIB, "{resident} MiB");
}

/// Resident memory of this process.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse().ok())
        .expect("VmRSS in kB");
    kib / 1024
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
