//! The settings that are measured: what the chart ships, with the numbers of workers that upstream's control plane had
//! when it was measured.

use std::collections::BTreeMap;

use anyhow::Context;
use lab::chart;
use serde_json::{Value, json};

use crate::args::{Quotas, Trunks};
use crate::world;

/// Cluster id that ENIs are tagged with.
pub const CLUSTER_ID: &str = "bench";
/// More than anybody can ask for in a minute.
const LIFTED: u32 = 1_000_000;

/// How many idle addresses a node keeps.
#[derive(Debug, Clone, Copy)]
pub enum Pool {
    /// As many as the chart says.
    Chart,
    /// At least and at most so many.
    Between(usize, usize),
}

/// The settings of a control plane to be measured, and of its cluster.
///
/// # Errors
/// When the chart does not render.
pub fn shipped(quotas: Quotas, trunks: Trunks, pool: Pool) -> anyhow::Result<chart::Settings> {
    let mut terway = json!({
        "vSwitchIDs": {world::ZONE: [world::NODE_VSWITCH]},
        "securityGroupIDs": [world::NODE_GROUP],
    });
    if let Pool::Between(least, most) = pool {
        terway["minPoolSize"] = json!(least);
        terway["maxPoolSize"] = json!(most);
    }
    let mut controlplane = json!({
        "clusterID": CLUSTER_ID,
        "vpcID": world::VPC,
        "regionID": world::REGION,
        "healthzBindAddress": "127.0.0.1:0",
        "metricsBindAddress": "0",
        "extraConfig": extra(quotas),
    });
    if trunks == Trunks::Hand {
        controlplane["controllers"] = json!(["-node"]);
    }
    let values = json!({"terway": terway, "terwayControlplane": controlplane});
    chart::settings(&values).context("rendering the chart's settings")
}

fn extra(quotas: Quotas) -> Value {
    let mut extra = json!({
        "disableWebhook": true,
        "podMaxConcurrent": 200,
        "podENIMaxConcurrent": 200,
        "eniMaxConcurrent": 500,
        // These are upstream's alone, for the case that its program is measured.
        "leaseLockName": "terway-controller-lock",
        "leaseLockNamespace": "kube-system",
        "kubeClientQPS": 1000,
        "kubeClientBurst": 2000,
    });
    if quotas == Quotas::Lifted {
        let lifted: BTreeMap<&str, u32> = terway_cloud::Action::ALL
            .into_iter()
            .map(|action| (action.name(), LIFTED))
            .collect();
        extra["rateLimit"] = json!(lifted);
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_pool_and_lifted_quotas_reach_the_settings() {
        let of = |quotas, trunks, pool| shipped(quotas, trunks, pool).unwrap();
        let chart = of(Quotas::Default, Trunks::Controller, Pool::Chart);
        let other = of(Quotas::Lifted, Trunks::Hand, Pool::Between(7, 9));
        assert_eq!(chart.eni_conf["max_pool_size"], 5);
        assert_eq!(
            (&other.eni_conf["min_pool_size"], &other.eni_conf["max_pool_size"]),
            (&json!(7), &json!(9))
        );
        let has = |settings: &chart::Settings, text: &str| settings.ctrl_config.contains(text);
        for text in ["CreateNetworkInterface: 1000000", "- -node"] {
            assert!(has(&other, text) && !has(&chart, text), "{text}");
        }
    }
}
