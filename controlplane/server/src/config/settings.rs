//! ctrl-config.yaml.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use terway_core::degradation::Degradation;
use terway_process::address::listen_address;

use super::ConfigError;
use super::cloud_times::{self, CloudTimes};
use super::controllers::ControllerSwitch;
use super::file::File;
use super::lease::{self, Lease};

/// Settings of shared ENIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Nodes worked on at once.
    pub workers: usize,
    /// Time between two comparisons of a node with the cloud, at least.
    pub sync_period: Duration,
    /// Time between two looks at a node's idle addresses.
    pub pool_period: Duration,
    /// Time between the end of a sandbox and the next use of its address. Our own key.
    pub cooldown: Duration,
}

/// The settings of the control plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub leader_election: bool,
    pub lease: Lease,
    /// Namespace of the Lease and of the certificate.
    pub controller_namespace: String,
    /// Name of the Lease, of the Service and of the webhook configurations.
    pub controller_name: String,
    /// `None`: no health endpoints.
    pub healthz_bind_address: Option<SocketAddr>,
    /// `None`: no metrics endpoint.
    pub metrics_bind_address: Option<SocketAddr>,
    pub cluster_domain: String,
    pub disable_webhook: bool,
    pub webhook_port: u16,
    pub pod_max_concurrent: usize,
    pub pod_eni_max_concurrent: usize,
    pub eni_max_concurrent: usize,
    /// Only nodes with all of these labels are handled.
    pub node_label_white_list: BTreeMap<String, String>,
    pub controllers: ControllerSwitch,
    /// `None`: asked of the metadata service.
    pub region_id: Option<String>,
    pub cluster_id: String,
    pub vpc_id: String,
    pub enable_trunk: bool,
    /// Write the extended resources into pods.
    pub enable_webhook_inject_resource: bool,
    pub vswitch_cache_ttl: Duration,
    /// Send spans of pods and cloud calls to the credential file's `otelEndpoint`.
    pub enable_trace: bool,
    /// Owner kinds, beside StatefulSet, whose pods keep their names.
    pub custom_stateful_workload_kinds: Vec<String>,
    /// The deprecated mode (`ipamType: crd`) in which every pod has an ENI of its own.
    pub every_pod_has_eni: bool,
    /// Calls a minute by name of the API.
    pub rate_limit: BTreeMap<String, u32>,
    /// Shared ENIs of nodes.
    pub shared: Shared,
    /// What is left undone for the time being. Followed while the process runs.
    pub degradation: Degradation,
    /// Shortest `releaseAfter` of a Fixed PodNetworking. Our own key.
    pub min_release_after: Duration,
    /// What is assumed of the cloud's timing. Our own keys.
    pub cloud_times: CloudTimes,
}

/// Keys that this program follows.
const KEYS: &[&str] = &[
    "leaderElection",
    "controllerNamespace",
    "controllerName",
    "healthzBindAddress",
    "metricsBindAddress",
    "clusterDomain",
    "disableWebhook",
    "webhookPort",
    "podMaxConcurrent",
    "podENIMaxConcurrent",
    "eniMaxConcurrent",
    "nodeLabelWhiteList",
    "controllers",
    "regionID",
    "clusterID",
    "vpcID",
    "enableTrunk",
    "ipStack",
    "enableWebhookInjectResource",
    "vSwitchCacheTTL",
    "enableTrace",
    "customStatefulWorkloadKinds",
    "ipamType",
    "rateLimit",
    "minReleaseAfter",
    "centralizedIPAM",
    "degradation",
    "multiIPNodeMaxConcurrent",
    "multiIPNodeSyncPeriod",
    "multiIPGCPeriod",
    "ipReuseCooldown",
];

/// Keys of upstream without an effect here, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("leaseLockName", "the Lease is named by controllerName"),
    ("leaseLockNamespace", "the Lease is in controllerNamespace"),
    ("certDir", "certificates are kept in memory"),
    (
        "enableDevicePlugin",
        "resources are published by the control plane",
    ),
    ("vSwitchPoolSize", "the cache holds every vSwitch in use"),
    (
        "kubeClientQPS",
        "writes to the API server are limited to 16 at once, not by a rate",
    ),
    (
        "kubeClientBurst",
        "writes to the API server are limited to 16 at once, not by a rate",
    ),
    ("backoffOverride", "nothing here waits by a fixed table"),
    (
        "nodeMaxConcurrent",
        "nodes are worked on by multiIPNodeMaxConcurrent workers",
    ),
    (
        "multiIPPodMaxConcurrent",
        "pods wake their node, and need no workers of their own",
    ),
    (
        "multiIPMinSyncPeriodOnFailure",
        "each kind of failure has a pace of its own",
    ),
    (
        "multiIPMaxSyncPeriodOnFailure",
        "each kind of failure has a pace of its own",
    ),
];

impl Settings {
    pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        Self::from_file(&File::read(path, &Self::known())?, warnings)
    }

    /// Every key that may be given.
    pub(super) fn known() -> Vec<&'static str> {
        KEYS.iter()
            .chain(lease::KEYS)
            .chain(cloud_times::KEYS)
            .copied()
            .chain(WITHOUT_EFFECT.iter().map(|(key, _)| *key))
            .collect()
    }

    pub(super) fn from_file(file: &File, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        for (key, why) in WITHOUT_EFFECT {
            if !file.given([*key]).is_empty() {
                warnings.push(format!("key {key} has no effect: {why}"));
            }
        }
        let (elects, lease) = (file.flag("leaderElection", false)?, Lease::read(file)?);
        // Pods get IPv4 addresses alone; another value must not start a control plane that serves it by half.
        file.word("ipStack", "ipv4, the only family that pods get", &["ipv4"])?;
        Ok(Self {
            leader_election: elects,
            cloud_times: cloud_times::read(file, elects.then_some(&lease))?,
            lease,
            controller_namespace: file.text("controllerNamespace", "kube-system")?,
            controller_name: file.text("controllerName", "terway-controlplane")?,
            healthz_bind_address: address(file, "healthzBindAddress", "0.0.0.0:80")?,
            metrics_bind_address: address(file, "metricsBindAddress", "0")?,
            cluster_domain: file.text("clusterDomain", "cluster.local")?,
            disable_webhook: file.flag("disableWebhook", false)?,
            webhook_port: file.number("webhookPort", 4443, "a port number", |port| *port > 0)?,
            pod_max_concurrent: workers(file, "podMaxConcurrent", 10)?,
            pod_eni_max_concurrent: workers(file, "podENIMaxConcurrent", 10)?,
            eni_max_concurrent: workers(file, "eniMaxConcurrent", 300)?,
            node_label_white_list: file.map("nodeLabelWhiteList", "a map of label to value")?,
            controllers: ControllerSwitch::new(file.list("controllers")?).map_err(|entry| {
                file.bad(
                    "controllers",
                    format!("{entry:?}"),
                    "names of controllers, -name or *",
                )
            })?,
            region_id: Some(file.text("regionID", "")?).filter(|id| !id.is_empty()),
            cluster_id: file.required("clusterID", "the id of the cluster; ENIs are tagged with it")?,
            vpc_id: file.required("vpcID", "the id of the cluster's VPC")?,
            enable_trunk: file.flag("enableTrunk", true)?,
            enable_webhook_inject_resource: file.flag("enableWebhookInjectResource", true)?,
            enable_trace: file.flag("enableTrace", false)?,
            vswitch_cache_ttl: file.duration("vSwitchCacheTTL", Duration::from_secs(20 * 60))?,
            custom_stateful_workload_kinds: file.list("customStatefulWorkloadKinds")?,
            every_pod_has_eni: file.word("ipamType", "crd, or leave it empty", &["", "crd"])? == "crd",
            rate_limit: file.map("rateLimit", "a map of API to calls a minute")?,
            shared: shared(file)?,
            degradation: match file.word("degradation", "l0 or l1, or leave it empty", &["", "l0", "l1"])? {
                "l0" => Degradation::L0,
                "l1" => Degradation::L1,
                _ => Degradation::None,
            },
            min_release_after: file.duration("minReleaseAfter", Duration::from_secs(5 * 60))?,
        })
    }
}

fn shared(file: &File) -> Result<Shared, ConfigError> {
    if !file.flag("centralizedIPAM", true)? {
        return Err(file.not_centralized());
    }
    let shared = Shared {
        workers: workers(file, "multiIPNodeMaxConcurrent", 500)?,
        sync_period: file.duration("multiIPNodeSyncPeriod", Duration::from_secs(12 * 3600))?,
        pool_period: file.duration("multiIPGCPeriod", Duration::from_secs(120))?,
        cooldown: file.duration("ipReuseCooldown", Duration::from_secs(30))?,
    };
    if shared.sync_period.is_zero() {
        let expected = "a time above 0, such as 12h";
        return Err(file.bad("multiIPNodeSyncPeriod", "0".to_owned(), expected));
    }
    Ok(shared)
}

fn workers(file: &File, key: &'static str, default: usize) -> Result<usize, ConfigError> {
    file.number(key, default, "a number of workers from 1 to 10000", |count| {
        (1..=10_000).contains(count)
    })
}

/// An address to listen on; `0` for none.
fn address(file: &File, key: &'static str, default: &str) -> Result<Option<SocketAddr>, ConfigError> {
    let text = file.text(key, default)?;
    let expected = "an address such as 0.0.0.0:8080, or 0 for none";
    listen_address(&text).map_err(|_| file.bad(key, format!("{text:?}"), expected))
}
