//! Prefixes and IPv6 over HTTP: reserved blocks of a vSwitch, prefixes out of them, and the
//! IPv6 addresses of ENIs.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Signer, quick_world};
use cloudsim::World;
use cloudsim::world::{ActionTiming, Latency, Span};
use serde_json::{Value, json};

const ASSIGN: &str = "AssignPrivateIpAddresses";
const UNASSIGN: &str = "UnassignPrivateIpAddresses";
const ASSIGN6: &str = "AssignIpv6Addresses";
const RESERVE: &str = "CreateVSwitchCidrReservation";
const LIST: &str = "ListVSwitchCidrReservations";
const RELEASE: &str = "DeleteVSwitchCidrReservation";

fn vpc() -> Signer {
    Signer {
        version: "2016-04-28",
        ..Signer::default()
    }
}

/// The pod vSwitch 10.0.16.0/24 with IPv6.
fn world() -> World {
    let mut world = quick_world();
    let pods = world.v_switches.iter_mut().find(|v| v.id == "vsw-pod-h");
    let pods = pods.expect("it is there");
    pods.cidr = "10.0.16.0/24".parse().expect("a cidr");
    pods.ipv6_cidr = Some("2001:db8:0:16::/64".parse().expect("a cidr"));
    world
}

async fn vpc_call(bench: &Bench, action: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    bench.call_as(&vpc(), action, parameters).await
}

async fn reserve(bench: &Bench, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![("VSwitchId", "vsw-pod-h")];
    parameters.extend_from_slice(more);
    let (status, answer) = vpc_call(bench, RESERVE, &parameters).await;
    assert_eq!(status, 200, "{answer}");
    answer["VSwitchCidrReservationId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn refused(bench: &Bench, action: &str, parameters: &[(&str, &str)], status: u16, code: &str) {
    let (got, answer) = vpc_call(bench, action, parameters).await;
    assert_eq!((got, answer["Code"].as_str()), (status, Some(code)), "{answer}");
}

async fn listed(bench: &Bench, id: &str, version: &str) -> Value {
    let parameters = [("VSwitchCidrReservationIds.1", id), ("IpVersion", version)];
    let (status, answer) = vpc_call(bench, LIST, &parameters).await;
    assert_eq!(status, 200, "{answer}");
    answer["VSwitchCidrReservations"][0].clone()
}

async fn available(bench: &Bench) -> u64 {
    let (_, answer) = vpc_call(bench, "DescribeVSwitchAttributes", &[("VSwitchId", "vsw-pod-h")]).await;
    answer["AvailableIpAddressCount"].as_u64().expect("a number")
}

#[tokio::test]
async fn prefixes_come_from_reserved_blocks_alone_and_go_back_to_them() {
    let bench = Bench::start(world()).await;
    assert_eq!(available(&bench).await, 250);
    let block = reserve(&bench, &[("VSwitchCidrReservationCidr", "10.0.16.64/27")]).await;
    // Nobody gets a single address of a reserved block.
    assert_eq!(available(&bench).await, 218);
    let create = [
        ("VSwitchId", "vsw-pod-h"),
        ("SecurityGroupIds.1", "sg-web"),
        ("PrimaryIpAddress", "10.0.16.70"),
    ];
    bench
        .refused(
            "CreateNetworkInterface",
            &create,
            403,
            "InvalidVSwitchId.IpInvalid",
        )
        .await;

    let eni = bench.create(&[("Ipv4PrefixCount", "1")]).await;
    let described = bench.describe(&eni).await;
    assert_eq!(
        described["Ipv4PrefixSets"]["Ipv4PrefixSet"],
        json!([{"Ipv4Prefix": "10.0.16.64/28"}])
    );
    assert_eq!(available(&bench).await, 217);
    let id = ("NetworkInterfaceId", eni.as_str());
    let taken = ("Ipv4Prefix.1", "10.0.16.64/28");
    bench
        .refused(ASSIGN, &[id, taken], 403, "InvalidIp.IpAssigned")
        .await;
    let (status, answer) = bench.call(ASSIGN, &[id, ("Ipv4Prefix.1", "10.0.16.80/28")]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["AssignedPrivateIpAddressesSet"]["Ipv4PrefixSet"],
        json!({"Ipv4Prefixes": ["10.0.16.80/28"]})
    );
    let used = |seen: &Value| {
        let count = |name: &str| seen[name].as_u64().expect("a number");
        (count("AssignedCidrCount"), count("AvailableCidrCount"))
    };
    assert_eq!(used(&listed(&bench, &block, "IPv4").await), (2, 0));
    let one = ("Ipv4PrefixCount", "1");
    bench
        .refused(ASSIGN, &[id, one], 403, "InvalidVSwitchId.IpNotEnough")
        .await;
    let both = ("SecondaryPrivateIpAddressCount", "1");
    bench
        .refused(ASSIGN, &[id, one, both], 400, "InvalidParameter")
        .await;

    refused(
        &bench,
        RELEASE,
        &[("VSwitchCidrReservationId", &block)],
        400,
        "DependencyViolation.NetworkInterface",
    )
    .await;
    assert_eq!(bench.call(UNASSIGN, &[id, taken]).await.0, 200);
    bench
        .refused(UNASSIGN, &[id, taken], 403, "InvalidIp.IpUnassigned")
        .await;
    assert_eq!(used(&listed(&bench, &block, "IPv4").await), (1, 1));
    assert_eq!(bench.call("DeleteNetworkInterface", &[id]).await.0, 200);
    let (status, _) = vpc_call(&bench, RELEASE, &[("VSwitchCidrReservationId", &block)]).await;
    assert_eq!(status, 200);
    assert_eq!(available(&bench).await, 250);
    assert_eq!(listed(&bench, &block, "IPv4").await, Value::Null);
}

#[tokio::test]
async fn a_prefix_takes_one_place_of_its_eni() {
    let mut world = world();
    for kind in &mut world.instance_types {
        kind.private_ips_per_eni = 3;
    }
    let bench = Bench::start(world).await;
    reserve(&bench, &[("VSwitchCidrReservationCidr", "10.0.16.64/26")]).await;
    let eni = bench.create(&[("SecondaryPrivateIpAddressCount", "1")]).await;
    let id = ("NetworkInterfaceId", eni.as_str());
    let attach = [id, ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    let prefixes = |count| [id, ("Ipv4PrefixCount", count)];
    let exceeded = "InvalidOperation.Ipv4CountExceeded";
    bench.refused(ASSIGN, &prefixes("2"), 403, exceeded).await;
    assert_eq!(bench.call(ASSIGN, &prefixes("1")).await.0, 200);
    bench.refused(ASSIGN, &prefixes("1"), 403, exceeded).await;
}

#[tokio::test]
async fn a_reservation_takes_time_and_only_then_gives_prefixes() {
    let mut world = world();
    let slow = ActionTiming {
        done: Latency::Fixed(Span::millis(200)),
        ..ActionTiming::default()
    };
    world.latency.insert(RESERVE.into(), slow);
    world.latency.insert(RELEASE.into(), slow);
    let bench = Bench::start(world).await;
    let cidr = ("VSwitchCidrReservationCidr", "10.0.16.64/26");
    let token = ("ClientToken", "r-1");
    let block = reserve(&bench, &[cidr, token]).await;
    assert_eq!(
        reserve(&bench, &[cidr, token]).await,
        block,
        "the same token, the same block"
    );
    assert_eq!(listed(&bench, &block, "IPv4").await["Status"], "Assigning");
    let eni = bench.create(&[]).await;
    let one = [("NetworkInterfaceId", eni.as_str()), ("Ipv4PrefixCount", "1")];
    bench
        .refused(ASSIGN, &one, 403, "InvalidVSwitchId.IpNotEnough")
        .await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while listed(&bench, &block, "IPv4").await["Status"] != "Assigned" {
        assert!(Instant::now() < deadline, "the block was never assigned");
    }
    assert_eq!(bench.call(ASSIGN, &one).await.0, 200);
}

#[tokio::test]
async fn blocks_that_do_not_fit_are_refused_and_a_length_finds_a_free_one() {
    let bench = Bench::start(world()).await;
    let cidr = |cidr| [("VSwitchId", "vsw-pod-h"), ("VSwitchCidrReservationCidr", cidr)];
    let bad = "InvalidParameter.VSwitchCidrReservationCidr";
    for (block, code) in [
        ("10.0.16.0/24", bad),
        ("10.0.16.0/28", bad),
        ("10.0.16.240/28", bad),
        ("10.0.17.0/28", bad),
        ("10.0.16.64/29", bad),
        ("10.0.16.65/28", bad),
        ("10.0.16.64", "InvalidParameter"),
        ("2001:db8:0:16:1::/80", "InvalidParameter"),
    ] {
        refused(&bench, RESERVE, &cidr(block), 400, code).await;
    }
    refused(
        &bench,
        RESERVE,
        &[("VSwitchId", "vsw-pod-h")],
        400,
        "MissingVSwitchCidrReservationCidr",
    )
    .await;
    let nowhere = [("VSwitchId", "vsw-none"), ("VSwitchCidrReservationMask", "28")];
    refused(&bench, RESERVE, &nowhere, 404, "InvalidVSwitchId.NotFound").await;
    let unknown = [("VSwitchCidrReservationId", "vcr-none")];
    refused(
        &bench,
        RELEASE,
        &unknown,
        404,
        "InvalidVSwitchCidrReservationId.NotFound",
    )
    .await;

    reserve(&bench, &[("VSwitchCidrReservationCidr", "10.0.16.64/27")]).await;
    refused(
        &bench,
        RESERVE,
        &cidr("10.0.16.80/28"),
        400,
        "OperationFailed.CidrConflict",
    )
    .await;
    let by_length = reserve(&bench, &[("VSwitchCidrReservationMask", "27")]).await;
    let seen = listed(&bench, &by_length, "IPv4").await;
    assert_eq!(seen["VSwitchCidrReservationCidr"], "10.0.16.32/27");
    for _ in 2..10 {
        reserve(&bench, &[("VSwitchCidrReservationMask", "28")]).await;
    }
    let more = [("VSwitchId", "vsw-pod-h"), ("VSwitchCidrReservationMask", "28")];
    refused(
        &bench,
        RESERVE,
        &more,
        400,
        "QuotaExceeded.VSwitchCidrReservation",
    )
    .await;

    // Ten blocks in pages of four.
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let parameters = [
            ("VSwitchId", "vsw-pod-h"),
            ("MaxResults", "4"),
            ("NextToken", token.as_str()),
        ];
        let (_, answer) = vpc_call(&bench, LIST, &parameters).await;
        assert_eq!(answer["TotalCount"], 10);
        let page = answer["VSwitchCidrReservations"].as_array().expect("a list");
        seen.extend(page.iter().map(|one| one["VSwitchCidrReservationId"].to_string()));
        token = answer["NextToken"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

#[tokio::test]
async fn ipv6_addresses_and_prefixes_are_given_where_ipv6_is_on() {
    let bench = Bench::start(world()).await;
    let (_, answer) = vpc_call(&bench, "DescribeVSwitches", &[("VSwitchId", "vsw-pod-h")]).await;
    assert_eq!(
        answer["VSwitches"]["VSwitch"][0]["Ipv6CidrBlock"],
        "2001:db8:0:16::/64"
    );
    let eni = bench.create(&[("Ipv6AddressCount", "1")]).await;
    let id = ("NetworkInterfaceId", eni.as_str());
    let named = ("Ipv6Address.1", "2001:db8:0:16::abcd");
    let (status, answer) = bench.call(ASSIGN6, &[id, named]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["Ipv6Sets"],
        json!({"Ipv6Address": ["2001:db8:0:16::abcd"]})
    );
    let described = bench.describe(&eni).await;
    let sets = described["Ipv6Sets"]["Ipv6Set"].as_array().expect("sets");
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[1]["Ipv6Address"], "2001:db8:0:16::abcd");
    let (_, found) = bench.call("DescribeNetworkInterfaces", &[named]).await;
    let found = &found["NetworkInterfaceSets"]["NetworkInterfaceSet"];
    assert_eq!(
        (found.as_array().map(Vec::len), &found[0]["NetworkInterfaceId"]),
        (Some(1), &json!(eni))
    );

    for (more, code) in [
        (
            ("Ipv6Address.1", "2001:db8:0:99::1"),
            "InvalidVSwitchId.IpInvalid",
        ),
        (("Ipv6Address.1", "2001:db8:0:16::"), "InvalidVSwitchId.IpInvalid"),
        (named, "InvalidIp.IpAssigned"),
        (("Ipv6Address.1", "10.0.0.1"), "InvalidIp.Address"),
        (("Ipv6AddressCount", "9"), "InvalidOperation.Ipv6CountExceeded"),
        (("Ipv6PrefixCount", "1"), "InvalidVSwitchId.IpNotEnough"),
    ] {
        bench.refused(ASSIGN6, &[id, more], 403, code).await;
    }
    bench
        .refused(
            ASSIGN6,
            &[id, ("Ipv6AddressCount", "11")],
            400,
            "InvalidParameter",
        )
        .await;

    let cidr = ("VSwitchCidrReservationCidr", "2001:db8:0:16:8000::/79");
    let block = reserve(&bench, &[cidr, ("IpVersion", "IPv6")]).await;
    let (status, answer) = bench.call(ASSIGN6, &[id, ("Ipv6PrefixCount", "2")]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["Ipv6PrefixSets"],
        json!({"Ipv6Prefix": ["2001:db8:0:16:8000::/80", "2001:db8:0:16:8001::/80"]})
    );
    assert_eq!(listed(&bench, &block, "IPv6").await["AvailableCidrCount"], 0);
    let back = [id, named, ("Ipv6Prefix.1", "2001:db8:0:16:8000::/80")];
    assert_eq!(bench.call("UnassignIpv6Addresses", &back).await.0, 200);
    bench
        .refused("UnassignIpv6Addresses", &back, 403, "InvalidIp.IpUnassigned")
        .await;

    let create = [("VSwitchId", "vsw-db-h"), ("SecurityGroupIds.1", "sg-web")];
    let off = [create[0], create[1], ("Ipv6AddressCount", "1")];
    let before = bench.running.enis().len();
    bench
        .refused(
            "CreateNetworkInterface",
            &off,
            403,
            "InvalidVSwitch.Ipv6NotTurnOn",
        )
        .await;
    assert_eq!(bench.running.enis().len(), before);
}

#[tokio::test]
async fn metadata_tells_the_machine_its_secondary_and_ipv6_addresses() {
    let mut world = world();
    let nodes = world.v_switches.iter_mut().find(|v| v.id == "vsw-node-h");
    nodes.expect("it is there").ipv6_cidr = Some("2001:db8::/64".parse().expect("a cidr"));
    let bench = Bench::start(world).await;
    let metadata = bench.running.serve_metadata("i-node1").await.expect("metadata");
    let get = async |path: &str| {
        let answer = bench
            .http
            .get(format!("{metadata}/latest/meta-data/{path}"))
            .send()
            .await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let mac = get("mac").await.1;
    let nic = |field: &str| format!("network/interfaces/macs/{mac}/{field}");
    assert_eq!(get(&nic("ipv6s")).await.0, 404);
    let id = ("NetworkInterfaceId", "eni-node1");
    for (action, address) in [
        (ASSIGN, ("PrivateIpAddress.1", "10.0.0.77")),
        (ASSIGN6, ("Ipv6Address.1", "2001:db8::a")),
        (ASSIGN6, ("Ipv6Address.1", "2001:db8::b")),
    ] {
        assert_eq!(bench.call(action, &[id, address]).await.0, 200);
    }
    assert_eq!(get(&nic("private-ipv4s")).await.1, r#"["10.0.0.11","10.0.0.77"]"#);
    assert_eq!(get(&nic("ipv6s")).await.1, "[2001:db8::a, 2001:db8::b]");
    assert_eq!(get(&nic("vswitch-ipv6-cidr-block")).await.1, "2001:db8::/64");
    assert_eq!(get(&nic("ipv6-gateway")).await.1, "2001:db8::ffff:ffff:ffff:fff7");
}
