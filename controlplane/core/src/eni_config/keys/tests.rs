//! Each key of `eni_conf`: which forms of it are refused, and what its absence means.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ConfigProblem, EniConfig};
use super::*;

/// Every key, with values that are none of its form.
fn wrong_values() -> Vec<(&'static str, Vec<Value>)> {
    let no_text = || vec![json!(7), json!(true), json!(["a"]), json!({"a": "b"})];
    let no_flag = || vec![json!("true"), json!(1), json!([true])];
    let no_count = || {
        vec![
            json!(-1),
            json!(1.5),
            json!(3_000_000_000_u64),
            json!("5"),
            json!(true),
            json!([5]),
        ]
    };
    let no_duration = || vec![json!("soon"), json!("-5m"), json!(30), json!(["5m"])];
    let no_pairs = || vec![json!("a=b"), json!(["a"]), json!({"a": 1}), json!({"a": null})];
    vec![
        (
            "vswitches",
            vec![
                json!("vsw-1"),
                json!(["vsw-1"]),
                json!({"h": "vsw-1"}),
                json!({"h": [""]}),
                json!({"h": [1]}),
            ],
        ),
        (
            "security_groups",
            vec![json!("sg-1"), json!({"a": "sg-1"}), json!([""]), json!([1])],
        ),
        ("security_group", no_text()),
        (
            "vswitch_selection_policy",
            [no_text(), vec![json!("best")]].concat(),
        ),
        ("resource_group_id", no_text()),
        ("eni_tags", no_pairs()),
        ("eni_tag_filter", no_pairs()),
        (
            "eni_tag_block_list",
            vec![
                json!({"key": "a", "value": "b"}),
                json!(["a"]),
                json!([{"key": "a"}]),
                json!([{"key": "", "value": "b"}]),
            ],
        ),
        ("max_pool_size", no_count()),
        ("min_pool_size", no_count()),
        ("ip_warm_up_size", no_count()),
        ("idle_ip_reclaim_batch_size", no_count()),
        ("ipv4_prefix_count", no_count()),
        ("ipv6_prefix_count", no_count()),
        ("ip_pool_sync_period", no_duration()),
        ("idle_ip_reclaim_after", no_duration()),
        ("idle_ip_reclaim_interval", no_duration()),
        (
            "idle_ip_reclaim_jitter_factor",
            vec![json!(-0.1), json!(1.1), json!("often"), json!(true)],
        ),
        ("enable_eni_trunking", no_flag()),
        ("enable_erdma", no_flag()),
        ("enable_patch_pod_ips", no_flag()),
        ("enable_ip_prefix", no_flag()),
        (
            "ip_stack",
            [no_text(), vec![json!("dual"), json!("ipv6")]].concat(),
        ),
    ]
}

fn parse(key: &str, value: Value) -> Result<EniConfig, ConfigProblem> {
    let mut conf = json!({"security_groups": ["sg-a"], "max_pool_size": 2_000_000_000});
    conf[key] = value;
    if key == "security_groups" {
        conf["security_group"] = json!("sg-a");
    }
    EniConfig::parse(&conf.to_string(), None)
}

#[test]
fn a_value_of_another_form_is_refused_by_the_name_of_its_key() {
    for (key, values) in wrong_values() {
        for value in values {
            let problem = parse(key, value.clone()).expect_err(&format!("{key}: {value}"));
            assert!(problem.to_string().contains(key), "{key}: {value}: {problem}");
        }
    }
}

#[test]
fn a_key_that_is_null_is_absent() {
    let absent = parse("unknown to us", Value::Null).unwrap();
    for (key, _) in wrong_values() {
        let null = parse(key, Value::Null).unwrap();
        let of_pool = |config: &EniConfig| config.max_pool_size;
        if key == "max_pool_size" {
            assert_eq!(of_pool(&null), 0);
        } else {
            assert_eq!(null, absent, "{key}");
        }
    }
}

#[test]
fn the_two_keys_of_groups_add_up_without_doubles() {
    let groups = |list: Value, one: Value| {
        let conf = json!({"security_groups": list, "security_group": one});
        EniConfig::parse(&conf.to_string(), None).map(|config| config.security_groups)
    };
    assert_eq!(groups(json!(["a", "b"]), json!("c")).unwrap(), ["a", "b", "c"]);
    assert_eq!(groups(json!(["a", "b", "a"]), json!("b")).unwrap(), ["a", "b"]);
    assert_eq!(groups(json!(null), json!("c")).unwrap(), ["c"]);
    assert_eq!(groups(json!([]), json!("")), Err(ConfigProblem::NoSecurityGroup));
    let ten: Vec<String> = (0..10).map(|number| format!("sg-{number}")).collect();
    assert_eq!(groups(json!(ten), json!("sg-3")).unwrap().len(), 10);
    assert!(groups(json!(ten), json!("sg-10")).is_err());
}

#[test]
fn tags_that_we_write_ourselves_may_not_be_given_but_the_clusters() {
    assert!(parse("eni_tags", json!({tag::CREATOR: "me"})).is_err());
    assert!(parse("eni_tags", json!({tag::INTENT: "me"})).is_err());
    assert!(parse("eni_tags", json!({tag::CLUSTER: "c1"})).is_ok());
    let tags = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("t{n}"), json!("v")))
            .collect::<Map<_, _>>()
            .into()
    };
    assert!(parse("eni_tags", tags(MAX_USER_TAGS)).is_ok());
    assert!(parse("eni_tags", tags(MAX_USER_TAGS + 1)).is_err());
}

#[test]
fn tags_of_others_are_blocked_whatever_the_list_says() {
    let blocked = |list: Value| -> Vec<String> {
        let list = parse("eni_tag_block_list", list).unwrap().tag_block_list;
        list.into_iter()
            .map(|tag| format!("{}={}", tag.key, tag.value))
            .collect()
    };
    let always = [
        "creator=alibabacloud-erdma-controller",
        "terway.alibabacloud.com/excluded=true",
    ];
    assert_eq!(blocked(json!([])), always);
    let again =
        json!([{"key": "terway.alibabacloud.com/excluded", "value": "true"}, {"key": "a", "value": "b"}]);
    assert_eq!(blocked(again), [always[0], always[1], "a=b"]);
}

#[test]
fn idle_addresses_are_given_back_only_when_a_time_is_set() {
    assert_eq!(
        parse("idle_ip_reclaim_interval", json!("1m")).unwrap().reclaim,
        None
    );
    let reclaim = parse("idle_ip_reclaim_after", json!("30m"))
        .unwrap()
        .reclaim
        .unwrap();
    let expected = IdleReclaim {
        after: "30m".into(),
        interval: "10m".into(),
        batch_size: 5,
        jitter_factor: "0.1".into(),
    };
    assert_eq!(reclaim, expected);
}

#[test]
fn what_is_read_and_not_served_is_named() {
    for (key, value, word) in [
        ("ip_stack", json!("ipv4"), None),
        ("enable_erdma", json!(true), Some("enable_erdma")),
        ("enable_erdma", json!(false), None),
        ("enable_ip_prefix", json!(true), Some("enable_ip_prefix")),
        ("enable_ip_prefix", json!(false), None),
    ] {
        let notes = parse(key, value.clone()).unwrap().not_served;
        assert_eq!(
            notes.len(),
            usize::from(word.is_some()),
            "{key}: {value}: {notes:?}"
        );
        assert!(
            notes
                .iter()
                .all(|note| word.is_some_and(|word| note.contains(word)))
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever stands behind a key, it is followed or refused by the key's name.
    #[test]
    fn any_value_is_followed_or_named(number in 0..23usize, value in any_json()) {
        let (key, _) = &wrong_values()[number];
        if let Err(problem) = parse(key, value.clone()) {
            let sentence = problem.to_string();
            prop_assert!(sentence.contains(key) || sentence.contains("security_group"), "{}: {}: {}", key, value, sentence);
        }
    }
}
