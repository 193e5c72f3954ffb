//! Secondary addresses of ENIs over HTTP: Assign and Unassign, by number and by name, within the limits of ENI,
//! instance and vSwitch.

use std::collections::BTreeSet;

use crate::bench::{Bench, Signer, quick_world};
use cloudsim::World;
use serde_json::{Value, json};

const ASSIGN: &str = "AssignPrivateIpAddresses";
const UNASSIGN: &str = "UnassignPrivateIpAddresses";

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item.as_str().expect("a text").to_owned())
        .collect()
}

/// The addresses that Describe shows, the primary one first.
async fn shown(bench: &Bench, eni: &str) -> Vec<String> {
    let described = bench.describe(eni).await;
    let sets = described["PrivateIpSets"]["PrivateIpSet"]
        .as_array()
        .expect("sets");
    for (index, set) in sets.iter().enumerate() {
        assert_eq!(set["Primary"], json!(index == 0), "{described}");
    }
    sets.iter()
        .map(|set| set["PrivateIpAddress"].as_str().expect("an address").to_owned())
        .collect()
}

async fn assign(bench: &Bench, eni: &str, more: &[(&str, &str)]) -> Value {
    let mut parameters = vec![("NetworkInterfaceId", eni)];
    parameters.extend_from_slice(more);
    let (status, answer) = bench.call(ASSIGN, &parameters).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["AssignedPrivateIpAddressesSet"]["NetworkInterfaceId"], eni);
    answer["AssignedPrivateIpAddressesSet"].clone()
}

async fn attach(bench: &Bench, eni: &str) {
    let parameters = [("NetworkInterfaceId", eni), ("InstanceId", "i-node1")];
    let (status, answer) = bench.call("AttachNetworkInterface", &parameters).await;
    assert_eq!(status, 200, "{answer}");
}

fn crowded(free: u32) -> World {
    let mut world = quick_world();
    let pods = world.v_switches.iter_mut().find(|v| v.id == "vsw-pod-h");
    // The vSwitch has 16 addresses, and the system keeps six of them.
    let pods = pods.expect("it is there");
    pods.cidr = "10.0.16.0/28".parse().expect("a cidr");
    pods.withheld = 10 - free;
    world
}

#[tokio::test]
async fn addresses_are_given_by_number_and_by_name_and_taken_back() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[("SecondaryPrivateIpAddressCount", "2")]).await;
    assert_eq!(shown(&bench, &eni).await.len(), 3);
    attach(&bench, &eni).await;

    let by_number = assign(&bench, &eni, &[("SecondaryPrivateIpAddressCount", "3")]).await;
    let by_number = texts(&by_number["PrivateIpSet"]["PrivateIpAddress"]);
    let named = [
        ("PrivateIpAddress.1", "10.0.16.200"),
        ("PrivateIpAddress.2", "10.0.16.100"),
    ];
    let by_name = assign(&bench, &eni, &named).await;
    assert_eq!(
        by_name["PrivateIpSet"]["PrivateIpAddress"],
        json!(["10.0.16.200", "10.0.16.100"])
    );
    assert_eq!(by_name["Ipv4PrefixSet"], json!({"Ipv4Prefixes": []}));
    let all = shown(&bench, &eni).await;
    assert_eq!(all.len(), 8);
    assert_eq!(all[3..6], by_number);
    assert_eq!(all[6..], ["10.0.16.200", "10.0.16.100"]);

    // A listing finds the ENI by any of them.
    let (_, answer) = bench
        .call(
            "DescribeNetworkInterfaces",
            &[("PrivateIpAddress.1", "10.0.16.100")],
        )
        .await;
    let found = &answer["NetworkInterfaceSets"]["NetworkInterfaceSet"];
    assert_eq!(found[0]["NetworkInterfaceId"], json!(eni));

    let back = [
        ("NetworkInterfaceId", eni.as_str()),
        ("PrivateIpAddress.1", "10.0.16.200"),
        ("PrivateIpAddress.2", by_number[0].as_str()),
    ];
    assert_eq!(bench.call(UNASSIGN, &back).await.0, 200);
    let left = shown(&bench, &eni).await;
    assert_eq!(left.len(), 6);
    assert!(!left.contains(&"10.0.16.200".to_owned()) && !left.contains(&by_number[0]));
    // Another ENI can have an address that was given back.
    let other = bench.create(&[("PrimaryIpAddress", "10.0.16.200")]).await;
    assert_eq!(shown(&bench, &other).await, ["10.0.16.200"]);
    bench
        .refused(UNASSIGN, &back, 403, "InvalidIp.IpUnassigned")
        .await;
}

#[tokio::test]
async fn what_cannot_be_assigned_is_refused_with_the_api_s_own_codes() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let own = shown(&bench, &eni).await.remove(0);
    let id = ("NetworkInterfaceId", eni.as_str());
    for (more, status, code) in [
        (vec![], 400, "MissingParameter"),
        (
            vec![("SecondaryPrivateIpAddressCount", "0")],
            400,
            "InvalidParameter",
        ),
        (
            vec![("SecondaryPrivateIpAddressCount", "50")],
            400,
            "InvalidParameter",
        ),
        (
            vec![("SecondaryPrivateIpAddressCount", "many")],
            400,
            "InvalidParameter",
        ),
        (
            vec![
                ("SecondaryPrivateIpAddressCount", "1"),
                ("PrivateIpAddress.1", "10.0.16.9"),
            ],
            400,
            "InvalidParameter",
        ),
        (vec![("PrivateIpAddress.1", "10.0.16")], 400, "InvalidParameter"),
        (
            vec![("PrivateIpAddress.1", "10.0.99.9")],
            403,
            "InvalidVSwitchId.IpInvalid",
        ),
        (
            vec![("PrivateIpAddress.1", "10.0.19.253")],
            403,
            "InvalidVSwitchId.IpInvalid",
        ),
        (
            vec![("PrivateIpAddress.1", own.as_str())],
            403,
            "InvalidIp.IpAssigned",
        ),
        (
            vec![
                ("PrivateIpAddress.1", "10.0.16.9"),
                ("PrivateIpAddress.2", "10.0.16.9"),
            ],
            400,
            "InvalidPrivateIpAddress.Duplicated",
        ),
        (
            vec![("Ipv4PrefixCount", "1")],
            403,
            "InvalidVSwitchId.IpNotEnough",
        ),
        (
            vec![("Ipv4Prefix.1", "10.0.16.16/28")],
            403,
            "InvalidVSwitchId.IpInvalid",
        ),
        (vec![("Ipv4Prefix.1", "10.0.16.16/29")], 400, "InvalidParameter"),
    ] {
        let mut parameters = vec![id];
        parameters.extend(more);
        bench.refused(ASSIGN, &parameters, status, code).await;
    }
    let one = ("SecondaryPrivateIpAddressCount", "1");
    bench
        .refused(ASSIGN, &[one], 400, "MissingNetworkInterfaceId")
        .await;
    let nobody = ("NetworkInterfaceId", "eni-none");
    bench
        .refused(ASSIGN, &[nobody, one], 404, "InvalidEniId.NotFound")
        .await;
    let odd = ("NetworkInterfaceId", "nic-1");
    bench
        .refused(ASSIGN, &[odd, one], 400, "InvalidParams.EniId")
        .await;
}

/// The primary address stays. A list is unassigned completely or not at all.
#[tokio::test]
async fn what_cannot_be_taken_back_is_refused_and_changes_nothing() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let own = shown(&bench, &eni).await.remove(0);
    let id = ("NetworkInterfaceId", eni.as_str());
    for (more, code) in [
        (
            vec![("PrivateIpAddress.1", own.as_str())],
            "InvalidIp.IpUnassigned",
        ),
        (
            vec![
                ("PrivateIpAddress.1", "10.0.16.9"),
                ("PrivateIpAddress.2", "10.0.16.9"),
            ],
            "InvalidIp.IpRepeated",
        ),
    ] {
        let mut parameters = vec![id];
        parameters.extend(more);
        bench.refused(UNASSIGN, &parameters, 403, code).await;
    }
    bench.refused(UNASSIGN, &[id], 400, "MissingParameter").await;
    assert_eq!(shown(&bench, &eni).await, std::slice::from_ref(&own));
    assign(&bench, &eni, &[("PrivateIpAddress.1", "10.0.16.9")]).await;
    let half = [
        id,
        ("PrivateIpAddress.1", "10.0.16.9"),
        ("PrivateIpAddress.2", "10.0.16.10"),
    ];
    bench
        .refused(UNASSIGN, &half, 403, "InvalidIp.IpUnassigned")
        .await;
    assert_eq!(shown(&bench, &eni).await, [own, "10.0.16.9".to_owned()]);
}

#[tokio::test]
async fn a_free_eni_takes_49_and_one_in_use_what_its_instance_type_takes() {
    let bench = Bench::start(quick_world()).await;
    let free = bench.create(&[("SecondaryPrivateIpAddressCount", "49")]).await;
    let one = ("SecondaryPrivateIpAddressCount", "1");
    let too_many = "InvalidOperation.Ipv4CountExceeded";
    bench
        .refused(ASSIGN, &[("NetworkInterfaceId", &free), one], 403, too_many)
        .await;
    let full = [("NetworkInterfaceId", free.as_str()), ("InstanceId", "i-node1")];
    bench
        .refused("AttachNetworkInterface", &full, 403, too_many)
        .await;

    let eni = bench.create(&[]).await;
    attach(&bench, &eni).await;
    assign(&bench, &eni, &[("SecondaryPrivateIpAddressCount", "14")]).await;
    let parameters = [("NetworkInterfaceId", eni.as_str()), one];
    bench.refused(ASSIGN, &parameters, 403, too_many).await;
    // A primary ENI takes addresses too.
    assign(&bench, "eni-node1", &[one]).await;
}

#[tokio::test]
async fn an_eni_in_the_middle_of_something_takes_no_addresses() {
    let mut world = quick_world();
    let stuck = cloudsim::Fault {
        action: Some("AttachNetworkInterface".into()),
        stuck: true,
        ..cloudsim::Fault::default()
    };
    world.faults.push(stuck);
    let bench = Bench::start(world).await;
    let eni = bench.create(&[("PrivateIpAddress.1", "10.0.16.9")]).await;
    attach(&bench, &eni).await;
    let state = "InvalidOperation.InvalidEniState";
    let id = ("NetworkInterfaceId", eni.as_str());
    let one = ("SecondaryPrivateIpAddressCount", "1");
    bench.refused(ASSIGN, &[id, one], 400, state).await;
    let back = ("PrivateIpAddress.1", "10.0.16.9");
    bench.refused(UNASSIGN, &[id, back], 400, state).await;
}

#[tokio::test]
async fn a_vswitch_without_room_gives_all_or_nothing() {
    let bench = Bench::start(crowded(5)).await;
    let eni = bench.create(&[("SecondaryPrivateIpAddressCount", "2")]).await;
    let id = ("NetworkInterfaceId", eni.as_str());
    let three = ("SecondaryPrivateIpAddressCount", "3");
    let empty = "InvalidVSwitchId.IpNotEnough";
    bench.refused(ASSIGN, &[id, three], 403, empty).await;
    assert_eq!(shown(&bench, &eni).await.len(), 3);
    assign(&bench, &eni, &[("SecondaryPrivateIpAddressCount", "2")]).await;
    let create = [
        ("VSwitchId", "vsw-pod-h"),
        ("SecurityGroupIds.1", "sg-web"),
        ("SecondaryPrivateIpAddressCount", "1"),
    ];
    bench.refused("CreateNetworkInterface", &create, 403, empty).await;
    // With free addresses, the vSwitch gives addresses again.
    assert!(bench.running.with_cloud(|cloud| cloud.withhold("vsw-pod-h", 0)));
    assign(&bench, &eni, &[three]).await;
}

#[tokio::test]
async fn a_token_assigns_once_and_keeps_its_answer_when_the_eni_is_gone() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let two = ("SecondaryPrivateIpAddressCount", "2");
    let token = ("ClientToken", "t-1");
    let first = assign(&bench, &eni, &[two, token]).await;
    assert_eq!(assign(&bench, &eni, &[two, token]).await, first);
    assert_eq!(shown(&bench, &eni).await.len(), 3);
    let id = ("NetworkInterfaceId", eni.as_str());
    let three = ("SecondaryPrivateIpAddressCount", "3");
    let mismatch = "IdempotentParameterMismatch";
    bench.refused(ASSIGN, &[id, three, token], 400, mismatch).await;
    // Two requests that differ only in the token are two requests.
    assign(&bench, &eni, &[two, ("ClientToken", "t-2")]).await;
    assert_eq!(shown(&bench, &eni).await.len(), 5);
    // A token of one action does not count for another action.
    bench.create(&[token]).await;

    // A token remembers a refusal. It does not remember an error of the cloud.
    let fourth = ("ClientToken", "t-4");
    let taken = ("PrivateIpAddress.1", "10.0.16.250");
    let other = bench.create(&[("PrimaryIpAddress", "10.0.16.250")]).await;
    let assigned = "InvalidIp.IpAssigned";
    bench.refused(ASSIGN, &[id, taken, fourth], 403, assigned).await;
    let delete = [("NetworkInterfaceId", other.as_str())];
    assert_eq!(bench.call("DeleteNetworkInterface", &delete).await.0, 200);
    bench.refused(ASSIGN, &[id, taken, fourth], 403, assigned).await;
    assign(&bench, &eni, &[taken, ("ClientToken", "t-5")]).await;
    let unavailable = cloudsim::Fault {
        action: Some(ASSIGN.into()),
        code: Some("ServiceUnavailable".into()),
        times: Some(1),
        ..cloudsim::Fault::default()
    };
    bench.running.inject(unavailable);
    let sixth = ("ClientToken", "t-6");
    let one = ("SecondaryPrivateIpAddressCount", "1");
    bench
        .refused(ASSIGN, &[id, one, sixth], 503, "ServiceUnavailable")
        .await;
    assign(&bench, &eni, &[one, sixth]).await;

    assert_eq!(bench.call("DeleteNetworkInterface", &[id]).await.0, 200);
    assert_eq!(assign(&bench, &eni, &[two, token]).await, first);
}

#[tokio::test]
async fn lists_are_read_in_every_encoding() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let array = ("PrivateIpAddress", r#"["10.0.16.20", "10.0.16.21"]"#);
    assign(&bench, &eni, &[array]).await;
    let gaps = [
        ("PrivateIpAddress.10", "10.0.16.23"),
        ("PrivateIpAddress.2", "10.0.16.22"),
    ];
    let answer = assign(&bench, &eni, &gaps).await;
    assert_eq!(
        answer["PrivateIpSet"]["PrivateIpAddress"],
        json!(["10.0.16.22", "10.0.16.23"])
    );
    let rpc = Signer {
        v3: false,
        ..Signer::default()
    };
    let parameters = [
        ("NetworkInterfaceId", eni.as_str()),
        ("PrivateIpAddress.1", "10.0.16.24"),
    ];
    assert_eq!(bench.call_as(&rpc, ASSIGN, &parameters).await.0, 200);
    let all: BTreeSet<_> = shown(&bench, &eni).await.into_iter().skip(1).collect();
    let expected = (20..=24).map(|n| format!("10.0.16.{n}"));
    assert_eq!(all, expected.collect());
    let broken = [("NetworkInterfaceId", eni.as_str()), ("PrivateIpAddress", "[1")];
    bench.refused(ASSIGN, &broken, 400, "InvalidParameter").await;
}

#[tokio::test]
async fn a_group_that_is_full_takes_no_more_addresses() {
    let mut world = quick_world();
    let web = world
        .security_groups
        .iter_mut()
        .find(|group| group.id == "sg-web");
    web.expect("it is there").max_addresses = Some(3);
    let bench = Bench::start(world).await;
    let eni = bench.create(&[("SecondaryPrivateIpAddressCount", "1")]).await;
    let id = ("NetworkInterfaceId", eni.as_str());
    let count = |number| ("SecondaryPrivateIpAddressCount", number);
    let full = "SecurityGroupInstanceLimitExceed";
    bench.refused(ASSIGN, &[id, count("2")], 403, full).await;
    assign(&bench, &eni, &[count("1")]).await;
}
