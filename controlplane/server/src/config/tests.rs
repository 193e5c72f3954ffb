//! Settings that are read, and those that end the start with a name.

use std::path::Path;
use std::time::Duration;

use super::file::File;
use super::*;

fn settings(text: &str) -> Result<(Settings, Vec<String>), String> {
    let text = format!("clusterID: c1\nvpcID: vpc-1\n{text}");
    let mut warnings = Vec::new();
    File::parse(Path::new("ctrl-config.yaml"), &text, &Settings::known())
        .and_then(|file| Settings::from_file(&file, &mut warnings))
        .map(|settings| (settings, warnings))
        .map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_upstreams() {
    let (settings, warnings) = settings("").unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(settings.controller_name, "terway-controlplane");
    assert_eq!(settings.healthz_bind_address.unwrap().to_string(), "0.0.0.0:80");
    assert_eq!(settings.metrics_bind_address, None);
    assert_eq!((settings.webhook_port, settings.eni_max_concurrent), (4443, 300));
    assert_eq!(settings.min_release_after, Duration::from_secs(300));
    assert!(settings.enable_trunk && settings.enable_webhook_inject_resource && !settings.leader_election);
}

#[test]
fn keys_are_matched_without_regard_to_case_and_values_leniently() {
    let (settings, _) = settings(
        "LEADERELECTION: \"true\"\npodenimaxconcurrent: \"7\"\nleaseDuration: 1m\nminReleaseAfter: 5s\n\
         metricsBindAddress: :9090\ncontrollers: \"pod, -node\"\nrateLimit: {AttachNetworkInterface: 60}\n\
         ipStack: IPv4\nregionID:\nvSwitchCacheTTL: 60000000000\n",
    )
    .unwrap();
    assert!(settings.leader_election);
    assert_eq!(settings.pod_eni_max_concurrent, 7);
    assert_eq!(settings.lease.duration, Duration::from_secs(60));
    assert_eq!(settings.min_release_after, Duration::from_secs(5));
    assert_eq!(settings.metrics_bind_address.unwrap().port(), 9090);
    assert_eq!(settings.rate_limit["AttachNetworkInterface"], 60);
    assert_eq!(settings.region_id, None);
    assert_eq!(settings.vswitch_cache_ttl, Duration::from_secs(60));
    assert!(!settings.controllers.enabled("node") && settings.controllers.enabled("eni"));
}

#[test]
fn the_first_entry_that_speaks_of_a_controller_counts() {
    let switch = |list: &str| settings(&format!("controllers: {list}")).unwrap().0.controllers;
    assert!(!switch("[-pod, pod]").enabled("pod"));
    assert!(switch("['*', -pod]").enabled("multi-ip-pod"));
    assert!(!switch("['*', -pod]").enabled("pod"));
    assert!(!switch("[]").enabled("multi-ip-pod"));
}

#[test]
fn every_complaint_names_the_key() {
    for (text, words) in [
        ("podMaxConcurent: 5", "\"podMaxConcurent\" is not known"),
        ("podMaxConcurrent: 5\nPODMAXCONCURRENT: 6", "given twice"),
        ("webhookPort: https", "\"webhookPort\" has the value \"https\""),
        ("webhookPort: 70000", "\"webhookPort\""),
        ("leaderElection: maybe", "true or false"),
        ("leaseDuration: 15", "\"leaseDuration\""),
        ("renewDeadline: 20s", "shorter than leaseDuration"),
        ("minReleaseAfter: -5m", "\"minReleaseAfter\""),
        ("cloudCallTimeout: 0s", "\"cloudCallTimeout\""),
        (
            "leaderElection: true\ncloudCallTimeout: 15s",
            "\"cloudCallTimeout\"",
        ),
        ("cloudTokenLife: never", "\"cloudTokenLife\""),
        ("ipStack: ipv6", "\"ipStack\" has the value \"ipv6\": write ipv4"),
        ("ipStack: dual", "\"ipStack\" has the value \"dual\": write ipv4"),
        ("controllers: [pods]", "\"pods\""),
        ("healthzBindAddress: localhost", "\"healthzBindAddress\""),
        ("rateLimit: {CreateNetworkInterface: many}", "\"rateLimit\""),
        (
            "customStatefulWorkloadKinds: [[]]",
            "\"customStatefulWorkloadKinds\"",
        ),
    ] {
        let error = settings(text).unwrap_err();
        assert!(
            error.contains(words) && error.contains("ctrl-config.yaml"),
            "{error:?} does not say {words:?}"
        );
    }
}

#[test]
fn a_call_may_take_as_long_as_the_lease_allows() {
    let timeout = |text: &str| settings(text).unwrap().0.cloud_times.call_timeout;
    assert_eq!(timeout("leaderElection: true"), Duration::from_secs(10));
    let short = "leaderElection: true\nleaseDuration: 6s\nrenewDeadline: 4s\nretryPeriod: 1s";
    assert_eq!(timeout(short), Duration::from_secs(4));
    assert_eq!(
        timeout("leaseDuration: 6s\nrenewDeadline: 4s"),
        Duration::from_secs(10)
    );
}

#[test]
fn what_must_be_given_is_named() {
    let file = File::parse(Path::new("f"), "clusterID: c1", &Settings::known()).unwrap();
    assert!(
        Settings::from_file(&file, &mut Vec::new())
            .unwrap_err()
            .to_string()
            .contains("\"vpcID\" is missing")
    );
}

#[test]
fn the_control_plane_decides_every_address_or_does_not_start() {
    let (by_default, _) = settings("").unwrap();
    let (by_word, _) = settings("centralizedIPAM: true").unwrap();
    assert_eq!(by_default.shared, by_word.shared);
    let refusal = settings("centralizedIPAM: false").unwrap_err();
    for words in [
        "ctrl-config.yaml",
        "\"centralizedIPAM\"",
        "set it to true or remove it",
    ] {
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn keys_without_an_effect_are_told() {
    let (_, warnings) = settings("leaseLockName: x\nbackoffOverride: {eni_create: {steps: 3}}\n").unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("leaseLockName") && warnings[1].contains("backoffOverride"));
}

#[test]
fn credentials_are_read_and_never_printed() {
    let read = |text: &str| {
        let keys = [
            "accessKey",
            "accessSecret",
            "credentialPath",
            "otelEndpoint",
            "otelToken",
        ];
        let file = File::parse(Path::new("ctrl-secret.yaml"), text, &keys)?;
        Credential::from_file(&file)
    };
    let pair = read("accessKey: lab-ak\naccessSecret: very-secret\n").unwrap();
    assert_eq!(pair.access_secret, "very-secret");
    let printed = format!("{pair:?}");
    assert!(
        !printed.contains("very-secret") && !printed.contains("lab-ak"),
        "{printed}"
    );
    assert!(
        read("accessKey: lab-ak")
            .unwrap_err()
            .to_string()
            .contains("accessSecret")
    );
    assert!(
        read("acessKey: lab-ak")
            .unwrap_err()
            .to_string()
            .contains("acessKey")
    );
}

#[test]
fn a_complaint_about_a_secret_does_not_repeat_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ctrl-secret.yaml");
    std::fs::write(&path, "accessKey: a\naccessSecret: [hunter2]\n").unwrap();
    let error = Credential::read(&path, &mut Vec::new()).unwrap_err().to_string();
    assert!(
        error.contains("accessSecret") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(["-config".to_owned(), "/nonexistent/ctrl-config.yaml".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ctrl-config.yaml"));
}

#[test]
fn the_identity_is_the_pods() {
    let pod = Identity::from_lookup(|name| Some(format!("value of {name}")));
    assert_eq!(
        (pod.pod_name.as_str(), pod.pod_uid.as_str()),
        ("value of POD_NAME", "value of POD_UID")
    );
    assert!(!Identity::from_lookup(|_| None).pod_name.is_empty());
}
