//! The control plane's config file, tuned as upstream's was when it was measured.

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::Quotas;
use crate::world;

/// Cluster id that ENIs are tagged with.
pub const CLUSTER_ID: &str = "bench";
/// More than anybody can ask for in a minute.
const LIFTED: u32 = 1_000_000;

/// Settings of the control plane to be measured.
#[derive(Debug, Clone)]
pub struct Settings(Value);

impl Settings {
    /// With these controllers and quotas, without shared ENIs.
    pub fn new(controllers: &[&str], quotas: Quotas) -> Self {
        let mut config = json!({
            "leaseLockName": "terway-controller-lock",
            "leaseLockNamespace": "kube-system",
            "leaderElection": true,
            "controllerNamespace": "kube-system",
            "controllerName": "terway-controlplane",
            "healthzBindAddress": "0",
            "metricsBindAddress": "0",
            "clusterDomain": "cluster.local",
            "disableWebhook": true,
            "controllers": controllers,
            "regionID": world::REGION,
            "clusterID": CLUSTER_ID,
            "vpcID": world::VPC,
            "enableTrunk": true,
            "ipStack": "ipv4",
            "kubeClientQPS": 1000,
            "kubeClientBurst": 2000,
            "podMaxConcurrent": 200,
            "podENIMaxConcurrent": 200,
            "eniMaxConcurrent": 500,
        });
        if quotas == Quotas::Lifted {
            let lifted = terway_cloud::Action::ALL
                .into_iter()
                .map(|action| (action.name().to_owned(), LIFTED.into()));
            config["rateLimit"] = Value::Object(lifted.collect());
        }
        Settings(config)
    }

    /// The same with shared ENIs.
    pub fn shared(quotas: Quotas) -> Self {
        let mut settings = Self::new(&["pod", "pod-eni", "eni", "node"], quotas);
        settings.0["centralizedIPAM"] = true.into();
        settings
    }

    /// As the file has it.
    pub fn yaml(&self) -> anyhow::Result<String> {
        serde_saphyr::to_string(&self.0).context("writing the control plane's config")
    }
}
