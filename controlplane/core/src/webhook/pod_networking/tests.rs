//! PodNetworkings that are accepted, completed and refused.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::json;
use terway_crds::PodNetworking;

use super::*;

const RULES: PodNetworkingRules = PodNetworkingRules {
    min_release_after: Duration::from_secs(300),
    inject_resources: true,
};

fn networking(spec: serde_json::Value) -> PodNetworking {
    let mut whole = json!({ "vSwitchOptions": ["vsw-1"], "securityGroupIDs": ["sg-1"] });
    json_patch::merge(&mut whole, &spec);
    PodNetworking::new("db", serde_json::from_value(whole).unwrap())
}

fn sentences(new: &PodNetworking, old: Option<&PodNetworking>) -> String {
    validate(new, old, &RULES)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_complete_one_is_accepted() {
    let fixed =
        json!({ "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "5m0s" } });
    assert_eq!(sentences(&networking(json!({})), None), "");
    assert_eq!(sentences(&networking(fixed), None), "");
}

#[test]
fn each_fault_is_told_with_its_field() {
    let eleven: Vec<String> = (0..11).map(|n| format!("sg-{n}")).collect();
    for (spec, words) in [
        (json!({ "vSwitchOptions": [] }), "spec.vSwitchOptions is empty"),
        (
            json!({ "securityGroupIDs": [] }),
            "spec.securityGroupIDs is empty",
        ),
        (json!({ "securityGroupIDs": eleven }), "at most 10"),
        (json!({ "vSwitchOptions": [""] }), "has an empty entry"),
        (
            json!({ "allocationType": { "type": "Fixed" } }),
            "needs releaseStrategy",
        ),
        (
            json!({ "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "1m" } }),
            "minReleaseAfter",
        ),
    ] {
        let text = sentences(&networking(spec), None);
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let bad = networking(json!({ "vSwitchOptions": [], "allocationType": { "type": "Fixed" } }));
    assert_eq!(validate(&bad, None, &RULES).len(), 2);
}

#[test]
fn an_operator_that_does_not_exist_is_refused() {
    let mut bad = networking(json!({}));
    let requirement = LabelSelectorRequirement {
        key: "a".into(),
        operator: "Gt".into(),
        values: Some(vec!["1".into()]),
    };
    bad.spec.selector.pod_selector = Some(LabelSelector {
        match_expressions: Some(vec![requirement]),
        ..LabelSelector::default()
    });
    assert!(sentences(&bad, None).contains("In, NotIn"));
}

#[test]
fn an_old_fault_does_not_stop_an_update_and_a_new_one_does() {
    let stored = networking(
        json!({ "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "10s" } }),
    );
    let mut labelled = stored.clone();
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(sentences(&labelled, Some(&stored)), "");
    let mut shorter = stored.clone();
    shorter.spec.allocation_type.release_after = "5s".into();
    assert!(sentences(&shorter, Some(&stored)).contains("\"5s\""));
    let mut emptied = stored.clone();
    emptied.spec.vswitch_options.clear();
    assert!(sentences(&emptied, Some(&stored)).contains("vSwitchOptions is empty"));
}

#[test]
fn without_resource_injection_an_eni_type_needs_a_selector() {
    let rules = PodNetworkingRules {
        inject_resources: false,
        ..RULES
    };
    let trunk = networking(json!({ "eniOptions": { "eniType": "Trunk" } }));
    assert!(
        validate(&trunk, None, &rules)[0]
            .to_string()
            .contains("set eniType to Default")
    );
    let mut selecting = trunk.clone();
    selecting.spec.selector.pod_selector = Some(LabelSelector::default());
    assert_eq!(validate(&selecting, None, &rules), []);
    assert_eq!(validate(&trunk, None, &RULES), []);
}

#[test]
fn a_whole_eni_is_refused_and_a_stored_one_can_still_be_changed() {
    let whole = networking(json!({ "eniOptions": { "eniType": "ENI" } }));
    let problems = validate(&whole, None, &RULES);
    assert!(
        problems[0]
            .to_string()
            .contains("set eniType to Trunk or Default"),
        "{problems:?}"
    );
    assert_eq!(validate(&whole, Some(&whole), &RULES), []);
}

#[test]
fn only_what_is_missing_is_filled_in() {
    let defaults =
        EniConfig::parse(r#"{"vswitches":{"z":["vsw-9"]},"security_group":"sg-9"}"#, None).unwrap();
    let empty = networking(json!({ "vSwitchOptions": [], "securityGroupIDs": [] }));
    let paths: Vec<_> = fill(&empty, Some(&defaults))
        .iter()
        .map(|op| op.path().to_owned())
        .collect();
    assert_eq!(paths, ["/spec/vSwitchOptions", "/spec/securityGroupIDs"]);
    assert_eq!(fill(&networking(json!({})), Some(&defaults)), []);
    assert_eq!(fill(&empty, None), []);
}
