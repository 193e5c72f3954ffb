//! Time: virtual clocks, reads that lag behind, and the same run for the same seed.

use std::time::{Duration, Instant};

use crate::bench::{Bench, admin, quick_world};
use cloudsim::clock::ClockMode;
use cloudsim::world::{ActionTiming, Latency, Span, Staleness};
use cloudsim::{Fault, Gate, Point, Then, World};
use reqwest::Method;
use serde_json::json;

const CREATE: &str = "CreateNetworkInterface";
const ATTACH: &str = "AttachNetworkInterface";
const LIST: &str = "DescribeNetworkInterfaces";

/// A world in which everything takes hours, under a clock of this kind.
fn slow_world(mode: ClockMode) -> World {
    let mut world = quick_world();
    let hour = Latency::Fixed(Span::secs(3600));
    world.latency.insert(
        "default".into(),
        ActionTiming {
            answer: hour,
            done: hour,
        },
    );
    world.clock.mode = mode;
    world
}

async fn attach(bench: &Bench, eni: &str) {
    let there = [("NetworkInterfaceId", eni), ("InstanceId", "i-node1")];
    let (status, answer) = bench.call(ATTACH, &there).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn waiting_costs_nothing_in_virtual_time() {
    let bench = Bench::start(slow_world(ClockMode::Virtual)).await;
    let (begun, start) = (Instant::now(), bench.running.clock().now());
    let eni = bench.create(&[]).await;
    attach(&bench, &eni).await;
    // The call has ended, and the attachment has completed.
    assert_eq!(bench.describe(&eni).await["Status"], "InUse");
    let passed = bench.running.clock().now().duration_since(start);
    assert_eq!(passed.as_hours(), 4, "three answers and an attach");
    assert!(begun.elapsed() < Duration::from_secs(30));
    let (_, clock) = admin(&bench, Method::GET, "/v1/clock", None).await;
    assert_eq!(
        (&clock["mode"], &clock["skew"]),
        (&json!("virtual"), &json!("PT0S"))
    );
}

#[tokio::test]
async fn calls_that_wait_together_act_in_the_order_of_their_times() {
    let mut world = slow_world(ClockMode::Virtual);
    world.latency.clear();
    for (action, seconds) in [
        ("DescribeVpcs", 30),
        ("DescribeVSwitches", 20),
        ("DescribeInstances", 10),
    ] {
        let answer = Latency::Fixed(Span::secs(seconds));
        world.latency.insert(
            action.into(),
            ActionTiming {
                answer,
                ..Default::default()
            },
        );
    }
    let bench = Bench::start(world).await;
    // A held call does not delay other calls, and time does not wait for it.
    let gate = Gate {
        call: None,
        action: Some("DescribeInstanceTypes".into()),
        mutating: false,
        nth: None,
        at: Point::Before,
    };
    let gate = bench.running.hold(gate).expect("a gate");
    let held = bench.call("DescribeInstanceTypes", &[]);
    let others = async {
        let reached = bench.running.gate(gate, Duration::from_secs(10)).await;
        assert!(reached.is_some_and(|gate| gate.reached));
        tokio::join!(
            bench.call("DescribeVpcs", &[]),
            bench.call("DescribeVSwitches", &[]),
            bench.call("DescribeInstances", &[]),
        );
        assert!(bench.running.open_gate(gate, Then::Go));
    };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(held, others) })
        .await
        .expect("time goes on");
    assert_eq!(answer.0, 200);
    let calls = bench.running.calls_since(0);
    assert!(
        calls.windows(2).all(|pair| pair[0].time <= pair[1].time),
        "{calls:#?}"
    );
}

#[tokio::test]
async fn stepped_time_leaves_pending_what_is_pending() {
    let mut world = slow_world(ClockMode::Stepped);
    let done = Latency::Fixed(Span::secs(7200));
    let answer = Latency::Fixed(Span::millis(100));
    world
        .latency
        .insert("default".into(), ActionTiming { answer, done });
    let bench = Bench::start(world).await;
    let eni = bench.create(&[]).await;
    attach(&bench, &eni).await;
    assert_eq!(bench.describe(&eni).await["Status"], "Attaching");
    let advance = |by: &str| json!({"by": by});
    let path = "/v1/clock/advance";
    assert_eq!(
        admin(&bench, Method::POST, path, Some(advance("1h"))).await.0,
        204
    );
    assert_eq!(bench.describe(&eni).await["Status"], "Attaching");
    assert_eq!(
        admin(&bench, Method::POST, path, Some(advance("1h"))).await.0,
        204
    );
    assert_eq!(bench.describe(&eni).await["Status"], "InUse");
}

#[tokio::test]
async fn a_token_s_life_ends_when_the_clock_is_advanced() {
    let bench = Bench::start(quick_world()).await;
    let first = bench.create(&[("ClientToken", "once")]).await;
    assert_eq!(bench.create(&[("ClientToken", "once")]).await, first);
    bench.running.advance(Duration::from_secs(25 * 3600));
    assert_ne!(bench.create(&[("ClientToken", "once")]).await, first);
}

#[tokio::test]
async fn reads_lag_behind_as_long_as_the_world_says() {
    let mut world = quick_world();
    world.clock.mode = ClockMode::Stepped;
    world.staleness = Staleness {
        network_interfaces: Latency::Fixed(Span::secs(5)),
        available_addresses: Span::secs(20),
        metadata: Span::default(),
    };
    let bench = Bench::start(world).await;
    let available = async || {
        let (_, answer) = bench
            .call("DescribeVSwitches", &[("VSwitchId", "vsw-pod-h")])
            .await;
        answer["VSwitches"]["VSwitch"][0]["AvailableIpAddressCount"]
            .as_u64()
            .expect("a number")
    };
    let room = available().await;
    let eni = bench.create(&[]).await;
    assert!(bench.describe(&eni).await.is_null(), "it does not show yet");
    assert_eq!(available().await, room);
    bench.running.advance(Duration::from_secs(5));
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
    attach(&bench, &eni).await;
    assert_eq!(
        bench.describe(&eni).await["Status"],
        "Available",
        "an older truth"
    );
    bench.running.advance(Duration::from_secs(5));
    assert_eq!(bench.describe(&eni).await["Status"], "InUse");
    assert_eq!(available().await, room, "the room lags further behind");
    bench.running.advance(Duration::from_secs(10));
    assert_eq!(available().await, room - 1);

    // Filters use the past state too.
    let there = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("DetachNetworkInterface", &there).await.0, 200);
    assert_eq!(bench.call("DeleteNetworkInterface", &there[..1]).await.0, 200);
    let in_use = [
        ("InstanceId", "i-node1"),
        ("Status", "InUse"),
        ("Type", "Secondary"),
    ];
    let listed = |answer: serde_json::Value| {
        answer["NetworkInterfaceSets"]["NetworkInterfaceSet"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(listed(bench.call(LIST, &in_use).await.1), 1);
    bench.running.advance(Duration::from_secs(5));
    assert_eq!(listed(bench.call(LIST, &in_use).await.1), 0);
    assert!(bench.describe(&eni).await.is_null());
}

#[tokio::test]
async fn metadata_tells_of_addresses_and_nics_late() {
    let mut world = quick_world();
    world.clock.mode = ClockMode::Stepped;
    world.staleness.metadata = Span::secs(3);
    let bench = Bench::start(world).await;
    let base = bench.running.serve_metadata("i-node1").await.expect("metadata");
    let base = format!("{base}/latest/meta-data/network/interfaces/macs");
    let get = async |path: &str| {
        let answer = bench.http.get(format!("{base}{path}")).send().await;
        answer.expect("an answer").text().await.expect("text")
    };
    let eni = bench.create(&[]).await;
    attach(&bench, &eni).await;
    let assign = [
        ("NetworkInterfaceId", "eni-node1"),
        ("SecondaryPrivateIpAddressCount", "1"),
    ];
    assert_eq!(bench.call("AssignPrivateIpAddresses", &assign).await.0, 200);
    let macs = get("/").await;
    assert_eq!(macs.lines().count(), 1, "{macs}");
    let addresses = format!("/{}private-ipv4s", macs.trim());
    assert_eq!(get(&addresses).await, r#"["10.0.0.11"]"#);
    bench.running.advance(Duration::from_secs(3));
    assert_eq!(get("/").await.lines().count(), 2);
    assert!(get(&addresses).await.starts_with(r#"["10.0.0.11","#));
}

#[tokio::test]
async fn a_fault_makes_one_read_stale() {
    let mut world = quick_world();
    world.clock.mode = ClockMode::Stepped;
    let bench = Bench::start(world).await;
    bench.running.inject(Fault {
        action: Some(LIST.into()),
        nth: Some(2),
        stale: Some(Span::secs(60)),
        ..Fault::default()
    });
    let eni = bench.create(&[]).await;
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
    assert!(bench.describe(&eni).await.is_null());
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
}

/// The life of an ENI with latencies, faults and random draws.
async fn play(seed: u64) -> String {
    let mut world = quick_world();
    world.clock.mode = ClockMode::Virtual;
    world.clock.start = Some("2026-01-01T00:00:00Z".parse().expect("a time"));
    let drawn = Latency::LogNormal {
        median: Span::millis(300),
        sigma: 0.6,
    };
    world.latency.insert(
        "default".into(),
        ActionTiming {
            answer: drawn,
            done: drawn,
        },
    );
    world.faults.push(Fault {
        probability: Some(0.3),
        code: Some("Throttling.Api".into()),
        ..Fault::default()
    });
    let bench = Bench::start_with(world, seed).await;
    for round in 0..20 {
        let tag = round.to_string();
        let parameters = [
            ("VSwitchId", "vsw-pod-h"),
            ("SecurityGroupIds.1", "sg-web"),
            ("ClientToken", &tag),
        ];
        let (status, answer) = bench.call(CREATE, &parameters).await;
        if let (200, Some(eni)) = (status, answer["NetworkInterfaceId"].as_str()) {
            let there = [("NetworkInterfaceId", eni), ("InstanceId", "i-node1")];
            for action in [ATTACH, LIST, "DetachNetworkInterface", "DeleteNetworkInterface"] {
                bench.call(action, &there).await;
            }
        }
    }
    serde_json::to_string(&bench.running.calls_since(0)).expect("JSON")
}

#[tokio::test]
async fn the_same_seed_and_calls_give_the_same_call_log() {
    let (first, second, other) = (play(7).await, play(7).await, play(8).await);
    assert_eq!(first, second);
    assert_ne!(first, other);
    assert!(
        first.contains("Throttling.Api") && first.contains("eniId"),
        "{first}"
    );
}
