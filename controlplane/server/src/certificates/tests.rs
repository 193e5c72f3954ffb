//! Certificates that hold, and those that are renewed.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use serde_json::json;

use super::CertificateSettings;
use super::bundle::repair;
use super::check::{RENEW_BEFORE, Unusable, first_of, usable};
use super::issue::issue;

fn names() -> Vec<String> {
    let settings = CertificateSettings {
        namespace: "kube-system".into(),
        name: "terway-controlplane".into(),
        cluster_domain: "cluster.local".into(),
    };
    assert!(
        settings
            .dns_names()
            .contains(&"terway-controlplane.kube-system.svc".to_owned())
    );
    settings.dns_names()
}

fn in_days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

#[test]
fn a_new_certificate_holds_for_every_name_and_past_the_time_of_renewal() {
    let made = issue(&names(), Timestamp::now(), None).unwrap();
    usable(&made, &names(), Timestamp::now()).unwrap();
    usable(&made, &names(), Timestamp::now() + RENEW_BEFORE).unwrap();
}

#[test]
fn it_is_renewed_well_before_it_expires() {
    let made = issue(&names(), in_days(-300), None).unwrap();
    usable(&made, &names(), Timestamp::now()).unwrap();
    assert!(matches!(
        usable(&made, &names(), Timestamp::now() + RENEW_BEFORE),
        Err(Unusable::Invalid { .. })
    ));
    assert!(matches!(
        usable(&made, &names(), in_days(70)),
        Err(Unusable::Invalid { .. })
    ));
}

#[test]
fn another_name_another_key_or_another_authority_make_it_unusable() {
    let now = Timestamp::now();
    let (one, other) = (
        issue(&names(), now, None).unwrap(),
        issue(&names(), now, None).unwrap(),
    );
    let renamed = [names(), vec!["other.kube-system.svc".to_owned()]].concat();
    assert!(
        matches!(usable(&one, &renamed, now), Err(Unusable::Invalid { name, .. }) if name.starts_with("other"))
    );
    let mut mixed = one.clone();
    mixed.key = other.key.clone();
    assert!(matches!(usable(&mixed, &names(), now), Err(Unusable::Key(_))));
    let mut mixed = one.clone();
    mixed.ca = other.ca;
    assert!(matches!(
        usable(&mixed, &names(), now),
        Err(Unusable::Invalid { .. })
    ));
    let mut empty = one;
    empty.certificate.clear();
    assert!(matches!(usable(&empty, &names(), now), Err(Unusable::Empty)));
}

#[test]
fn the_authority_before_stays_in_the_bundle_and_the_one_before_that_goes() {
    let now = Timestamp::now();
    let mut made = issue(&names(), now, None).unwrap();
    let mut authorities = vec![first_of(&made.ca).unwrap()];
    for _ in 0..3 {
        let previous = first_of(&made.ca);
        made = issue(&names(), now, previous.as_deref()).unwrap();
        usable(&made, &names(), now).unwrap();
        authorities.push(first_of(&made.ca).unwrap());
    }
    let wanted = [authorities[3].clone(), authorities[2].clone()].concat();
    let text = |pem: &[u8]| String::from_utf8_lossy(pem).replace(['\r', '\n'], "");
    assert_eq!(text(&made.ca), text(&wanted));
}

#[test]
fn only_wrong_bundles_are_repaired() {
    let hook = |name: &str, ca: &str| {
        json!({ "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "caBundle": ByteString(ca.into()) } })
    };
    let configuration: MutatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": { "name": "x", "resourceVersion": "7" }, "webhooks": [hook("a", "good"), hook("b", "bad"), hook("c", "")],
    }))
    .unwrap();
    let patch = serde_json::to_value(repair(&configuration, b"good").unwrap()).unwrap();
    let paths: Vec<_> = patch
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "/metadata/resourceVersion",
            "/webhooks/1/clientConfig/caBundle",
            "/webhooks/2/clientConfig/caBundle"
        ]
    );
    let right: ValidatingWebhookConfiguration =
        serde_json::from_value(json!({ "metadata": { "name": "x" }, "webhooks": [hook("a", "good")] }))
            .unwrap();
    assert!(repair(&right, b"good").is_none());
}
