//! What the chart ships, as tests and benchmarks get it.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

use lab::chart::{self, ChartError};
use serde_json::{Value, json};

fn values() -> Value {
    json!({
        "terway": {"vSwitchIDs": {"cn-hangzhou-h": ["vsw-a"]}, "securityGroupIDs": ["sg-a"], "minPoolSize": 3},
        "terwayControlplane": {"clusterID": "c", "vpcID": "vpc-1", "extraConfig": {"ipReuseCooldown": "1s"}},
    })
}

#[test]
fn values_reach_the_settings_of_the_control_plane_and_the_rest_is_what_the_chart_says() {
    let settings = chart::settings(&values()).expect("the chart renders");
    let config: Value = serde_saphyr::from_str(&settings.ctrl_config).expect("YAML");
    for (key, value) in [
        ("clusterID", json!("c")),
        ("ipReuseCooldown", json!("1s")),
        ("centralizedIPAM", json!(true)),
        ("enableTrunk", json!(true)),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    for (key, value) in [
        ("vswitches", json!({"cn-hangzhou-h": ["vsw-a"]})),
        ("security_groups", json!(["sg-a"])),
        ("min_pool_size", json!(3)),
        ("max_pool_size", json!(5)),
    ] {
        assert_eq!(settings.eni_conf[key], value, "{key}");
    }
}

#[test]
fn what_a_user_cannot_install_no_test_can_run() {
    let mut other_mode = values();
    other_mode["centralizedIPAM"] = json!(false);
    let mut unknown = values();
    unknown["terwayControlplane"]["centralizedIPAM"] = json!(false);
    for refused in [other_mode, unknown] {
        let outcome = chart::settings(&refused);
        let Err(ChartError::Refused { said, .. }) = outcome else {
            panic!("{refused} rendered: {outcome:?}");
        };
        assert!(said.contains("centralizedIPAM"), "{said}");
    }
}
