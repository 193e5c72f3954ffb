//! The world file: the initial state of the simulated cloud. An unknown key is refused by name, so that a typing
//! mistake never becomes a silent default.

mod account;
pub mod generate;
mod inventory;
mod read;
mod rules;
pub mod security_group;
pub mod timing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::ClockSetting;
use crate::fault::Fault;
pub use account::{Credential, OidcTrust, RamRole};
pub use inventory::{Host, Instance, InstanceType, PresetEni, VSwitch, Vpc};
pub use read::WorldError;
pub use rules::{ClientTokenReuse, FabricRules, MemberMac, Quotas, Rules};
pub use security_group::{GroupKind, PortRange, Protocol, Rule, SecurityGroup};
pub use timing::{ActionTiming, Latency, Span, Staleness};

/// A whole simulated region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    pub region: String,
    /// Id of the account, which ARNs name.
    #[serde(default = "account_id")]
    pub account_id: String,
    /// Access keys that may sign requests.
    pub credentials: Vec<Credential>,
    /// RAM roles of instances and of callers of STS.
    #[serde(default)]
    pub ram_roles: Vec<RamRole>,
    pub vpcs: Vec<Vpc>,
    pub v_switches: Vec<VSwitch>,
    #[serde(default)]
    pub security_groups: Vec<SecurityGroup>,
    #[serde(default)]
    pub instance_types: Vec<InstanceType>,
    #[serde(default)]
    pub instances: Vec<Instance>,
    /// Free ENIs that exist from the start. `world generate` writes them.
    #[serde(default)]
    pub network_interfaces: Vec<PresetEni>,
    /// Hosts of the VPC that are not instances, such as the OpenAPI endpoint.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Latencies by action; `default` is for all other actions.
    #[serde(default)]
    pub latency: BTreeMap<String, ActionTiming>,
    /// How far reads lag behind.
    #[serde(default)]
    pub staleness: Staleness,
    #[serde(default)]
    pub clock: ClockSetting,
    #[serde(default)]
    pub quotas: Quotas,
    #[serde(default)]
    pub rules: Rules,
    #[serde(default)]
    pub fabric: FabricRules,
    /// Faults in force from the start. The admin API can add more.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

fn account_id() -> String {
    "1234567890123456".to_owned()
}
