//! The settings of a run: what the chart ships, with the times of a run and quotas that nobody reaches.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use lab::chart::{self, ChartError};
use serde_json::{Value, json};

use crate::world;

/// Times of the control plane in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Whole seconds, as a Lease counts them.
    pub lease: Duration,
    pub renew: Duration,
    pub retry: Duration,
    pub call: Duration,
    pub token_life: Duration,
    pub sweep: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            lease: Duration::from_secs(3),
            renew: Duration::from_millis(2_200),
            retry: Duration::from_millis(400),
            call: Duration::from_millis(1_200),
            token_life: Duration::from_secs(600),
            sweep: Duration::from_secs(600),
        }
    }
}

/// Time between the report that a sandbox is gone and the next use of its shared address.
pub const COOLDOWN: SignedDuration = SignedDuration::from_secs(1);
/// Least and most idle addresses of a node with [`POOLED`], and how many it takes when it joins.
pub const POOL: [usize; 2] = [2, 4];
const WARM_UP: usize = 4;

/// ConfigMap of nodes whose pools grow and shrink within seconds.
pub const POOLED: &str = "pooled";
/// The same without a trunk, with ENIs from another vSwitch.
pub const PLAIN: &str = "plain";

/// What the chart ships with these times.
///
/// # Errors
/// When the chart does not render.
pub fn shipped(times: &Times) -> Result<chart::Settings, ChartError> {
    let ms = |time: Duration| format!("{}ms", time.as_millis());
    chart::settings(&json!({
        "terway": {
            "vSwitchIDs": {world::ZONE: [world::NODE_VSWITCH, world::POD_VSWITCH]},
            "vSwitchSelectionPolicy": "ordered",
            "securityGroupIDs": ["sg-node"],
        },
        "terwayControlplane": {
            "clusterID": world::CLUSTER,
            "vpcID": world::VPC,
            "regionID": world::REGION,
            "leaseDuration": ms(times.lease),
            "renewDeadline": ms(times.renew),
            "retryPeriod": ms(times.retry),
            "healthzBindAddress": "127.0.0.1:0",
            "metricsBindAddress": "0",
            "extraConfig": {
                "ipReuseCooldown": format!("{}s", COOLDOWN.as_secs()),
                "cloudCallTimeout": ms(times.call),
                "cloudTokenLife": ms(times.token_life),
                "cloudSweepPeriod": ms(times.sweep),
                "cloudConsistency": "400ms",
                "cloudStateGrace": "1s",
                "vSwitchCacheTTL": "1s",
                "disableWebhook": true,
                "rateLimit": lifted(),
            },
        },
    }))
}

fn lifted() -> BTreeMap<&'static str, u32> {
    let actions = [
        "CreateNetworkInterface",
        "AttachNetworkInterface",
        "DetachNetworkInterface",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
        "DescribeNetworkInterfaces",
        "DescribeVSwitches",
        "DescribeInstanceTypes",
    ];
    actions.into_iter().map(|action| (action, 60_000)).collect()
}

/// The ConfigMaps of single nodes, by name: keys over those of the chart's eni-config.
pub fn of_nodes() -> [(&'static str, Value); 2] {
    let pooled = json!({
        "min_pool_size": POOL[0],
        "max_pool_size": POOL[1],
        "ip_warm_up_size": WARM_UP,
        "ip_pool_sync_period": "1s",
        "idle_ip_reclaim_after": "1s",
        "idle_ip_reclaim_interval": "500ms",
    });
    let mut plain = pooled.clone();
    plain["vswitches"] = json!({world::ZONE: [world::DB_VSWITCH, world::POD_VSWITCH]});
    plain["enable_eni_trunking"] = json!(false);
    [(POOLED, pooled), (PLAIN, plain)]
}
