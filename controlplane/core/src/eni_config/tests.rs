//! eni-config: what is read, what is refused and in which words, and what a node gets of it.

use serde_json::{Value, json};
use terway_crds::node::{NodeCap, Pool};
use terway_crds::{EniKind, TerwayNodeSpec, TrafficMode, VSwitchSelectionPolicy};

use super::*;
use crate::cloud::VSwitch;

fn base() -> Value {
    json!({"version": "1", "vswitches": {"h": ["vsw-1", "vsw-2"], "i": ["vsw-3"]},
        "security_groups": ["sg-a", "sg-b"], "max_pool_size": 5, "min_pool_size": 2})
}

fn parse(changes: Value) -> Result<EniConfig, ConfigProblem> {
    EniConfig::parse(&base().to_string(), Some(&changes.to_string()))
}

fn refused(changes: Value) -> String {
    parse(changes).expect_err("it is refused").to_string()
}

fn vswitch(id: &str, zone: &str, cidr: &str) -> VSwitch {
    VSwitch {
        id: id.into(),
        zone_id: zone.into(),
        vpc_id: "vpc".into(),
        cidrs: [cidr.parse().unwrap()].into_iter().collect(),
        available_ips: 100,
    }
}

fn cap() -> NodeCap {
    NodeCap {
        adapters: 4,
        total_adapters: 18,
        ipv4_per_adapter: 15,
        member_adapter_limit: 14,
        eri_quantity: 1,
        ..NodeCap::default()
    }
}

fn profile<'a>(cap: &'a NodeCap, vswitches: &'a [VSwitch]) -> NodeProfile<'a> {
    NodeProfile {
        zone: "h",
        cap,
        eni_only: false,
        enable_trunk: true,
        cluster_id: "c",
        vswitches,
    }
}

fn resolved(changes: Value, vswitches: &[VSwitch]) -> Result<Wanted, ConfigProblem> {
    resolve(&parse(changes)?, &profile(&cap(), vswitches))
}

fn both() -> [VSwitch; 2] {
    [
        vswitch("vsw-1", "h", "10.0.0.0/24"),
        vswitch("vsw-2", "h", "10.0.1.0/24"),
    ]
}

#[test]
fn every_key_is_read() {
    let config = parse(json!({
        "security_group": "sg-b", "vswitch_selection_policy": "most", "resource_group_id": "rg",
        "eni_tags": {"team": "a"}, "eni_tag_filter": {"pool": "x"},
        "eni_tag_block_list": [{"key": "owner", "value": "b"}], "ip_warm_up_size": 12,
        "idle_ip_reclaim_after": "30m", "idle_ip_reclaim_batch_size": 3,
        "idle_ip_reclaim_interval": "5m", "idle_ip_reclaim_jitter_factor": 0.2,
        "enable_eni_trunking": false, "enable_erdma": true, "enable_patch_pod_ips": true,
        "ip_pool_sync_period": "90s", "ip_stack": "ipv4", "eni_cap_ratio": 1, "backoff_override": {},
    }))
    .unwrap();
    assert_eq!(config.security_groups, ["sg-a", "sg-b"]);
    assert_eq!(config.vswitch_policy, VSwitchSelectionPolicy::Most);
    assert_eq!(
        (config.max_pool_size, config.min_pool_size, config.warm_up_size),
        (5, 2, 12)
    );
    assert_eq!(config.tag_block_list.len(), 3);
    let reclaim = config.reclaim.unwrap();
    assert_eq!(
        (
            reclaim.after.as_str(),
            reclaim.batch_size,
            reclaim.jitter_factor.as_str()
        ),
        ("30m", 3, "0.2")
    );
    assert_eq!((config.trunking, config.patch_pod_ips), (Some(false), true));
    assert_eq!(config.not_served, ["enable_erdma: no ENI for RDMA is made"]);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = parse(json!({"max_pool_size": null, "min_pool_size": null})).unwrap();
    assert_eq!(config.vswitch_policy, VSwitchSelectionPolicy::Random);
    assert_eq!(
        (config.max_pool_size, config.reclaim, config.patch_pod_ips),
        (0, None, false)
    );
}

#[test]
fn what_is_wrong_is_named_with_key_and_value() {
    let eleven: Vec<String> = (0..11).map(|n| format!("sg-{n}")).collect();
    for (changes, words) in [
        (
            json!({"min_pool_size": 6}),
            vec!["min_pool_size is 6", "max_pool_size is 5"],
        ),
        (json!({"max_pool_size": "5"}), vec!["max_pool_size", "\"5\""]),
        (json!({"max_pool_size": -1}), vec!["max_pool_size", "-1"]),
        (json!({"security_groups": eleven}), vec!["11 groups", "sg-10"]),
        (json!({"security_groups": []}), vec!["security_groups is empty"]),
        (
            json!({"vswitches": {"i": ["vsw-1"]}}),
            vec!["vsw-1 twice", "for h and for i"],
        ),
        (json!({"vswitches": {"h": "vsw-1"}}), vec!["vswitches[\"h\"]"]),
        (
            json!({"idle_ip_reclaim_after": "soon"}),
            vec!["idle_ip_reclaim_after", "soon"],
        ),
        (
            json!({"idle_ip_reclaim_jitter_factor": "2"}),
            vec!["jitter_factor", "\"2\""],
        ),
        (
            json!({"vswitch_selection_policy": "best"}),
            vec!["vswitch_selection_policy", "best"],
        ),
        (json!({"ip_stack": "ipv6"}), vec!["ip_stack", "\"ipv6\"", "ipv4"]),
        (json!({"ip_stack": "dual"}), vec!["ip_stack", "\"dual\"", "ipv4"]),
        (json!({"eni_tags": {"creator": "me"}}), vec!["creator", "me"]),
        (
            json!({"eni_tag_block_list": [{"key": "a"}]}),
            vec!["eni_tag_block_list", "\"key\""],
        ),
    ] {
        let sentence = refused(changes);
        for word in words {
            assert!(sentence.contains(word), "{word}: {sentence}");
        }
    }
}

#[test]
fn a_node_gets_the_vswitches_of_its_zone_the_pool_and_the_flavors() {
    let wanted = resolved(json!({}), &both()).unwrap();
    assert_eq!(wanted.eni.vswitch_options, ["vsw-1", "vsw-2"]);
    assert!(wanted.eni.enable_ipv4 && wanted.eni.enable_trunk && !wanted.eni.enable_erdma);
    assert_eq!(wanted.eni.tag["ack.aliyun.com"], "c");
    let counts: Vec<(EniKind, i32)> = wanted
        .flavor
        .iter()
        .map(|flavor| (flavor.kind.clone(), flavor.count))
        .collect();
    assert_eq!(counts, [(EniKind::Trunk, 1), (EniKind::Secondary, 2)]);
    assert_eq!((wanted.pool.min_pool_size, wanted.pool.max_pool_size), (2, 5));
    let old = TerwayNodeSpec {
        node_cap: cap(),
        ..TerwayNodeSpec::default()
    };
    let spec = wanted.clone().into_spec(&old);
    assert_eq!((spec.node_cap, spec.eni), (cap(), Some(wanted.eni)));
}

#[test]
fn rdma_takes_no_place_and_a_node_of_whole_enis_has_no_pool() {
    let config = parse(json!({"enable_erdma": true, "enable_eni_trunking": false})).unwrap();
    let (cap, vswitches) = (cap(), both());
    let mut profile = profile(&cap, &vswitches);
    let wanted = resolve(&config, &profile).unwrap();
    let modes: Vec<(TrafficMode, i32)> = wanted
        .flavor
        .iter()
        .map(|flavor| (flavor.traffic_mode.clone(), flavor.count))
        .collect();
    assert_eq!(modes, [(TrafficMode::Standard, 3)]);
    profile.eni_only = true;
    assert_eq!(resolve(&config, &profile).unwrap().pool, Pool::default());
}

#[test]
fn vswitches_that_cannot_serve_the_node_are_named() {
    let unknown = resolved(json!({}), &both()[..1]).unwrap_err().to_string();
    assert!(
        unknown.contains("vswitches[\"h\"]") && unknown.contains("vsw-2"),
        "{unknown}"
    );
    let moved = [both()[0].clone(), vswitch("vsw-2", "i", "10.0.1.0/24")];
    let moved = resolved(json!({}), &moved).unwrap_err().to_string();
    assert!(moved.contains("vsw-2") && moved.contains("zone i"), "{moved}");
    let overlap = [both()[0].clone(), vswitch("vsw-2", "h", "10.0.0.128/25")];
    let overlap = resolved(json!({}), &overlap).unwrap_err().to_string();
    assert!(
        overlap.contains("vsw-1") && overlap.contains("10.0.0.128/25"),
        "{overlap}"
    );
    let none = resolved(json!({"vswitches": {"h": null}}), &both())
        .unwrap_err()
        .to_string();
    assert!(none.contains("zone h"), "{none}");
}

#[test]
fn the_vswitches_of_all_zones_are_given_zone_by_zone() {
    let conf = r#"{"security_group": "sg-b", "security_groups": ["sg-a", "sg-b"],
        "vswitches": {"zone-b": ["vsw-3"], "zone-a": ["vsw-1", "vsw-2"]}}"#;
    let config = EniConfig::parse(conf, None).unwrap();
    assert_eq!(config.all_vswitches(), ["vsw-1", "vsw-2", "vsw-3"]);
    assert_eq!(config.security_groups, ["sg-a", "sg-b"]);
}
