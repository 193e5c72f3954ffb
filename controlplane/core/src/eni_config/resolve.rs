//! Computes the spec of one Node object from eni-config.

use ipnet::IpNet;
use terway_crds::node::{Flavor, NodeCap, NodeEni, Pool, Reclaim};
use terway_crds::{EniKind, Family, TerwayNodeSpec, TrafficMode};

use super::{ConfigProblem, EniConfig};
use crate::cloud::VSwitch;
use crate::intent::own_tags;

/// The node that a configuration is resolved for.
#[derive(Debug, Clone, Copy)]
pub struct NodeProfile<'a> {
    pub zone: &'a str,
    pub cap: &'a NodeCap,
    /// Whether pods of the node get whole ENIs only; such a node has no pool.
    pub eni_only: bool,
    /// The setting `enableTrunk` of the control plane.
    pub enable_trunk: bool,
    pub cluster_id: &'a str,
    /// The vSwitches that eni-config names for the zone and that the cloud knows.
    pub vswitches: &'a [VSwitch],
}

/// The settings of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub eni: NodeEni,
    pub pool: Pool,
    pub flavor: Vec<Flavor>,
}

impl Wanted {
    /// The spec with these settings. Metadata, limits and the agent's datapath stay as they are in `spec`.
    #[must_use]
    pub fn into_spec(self, spec: &TerwayNodeSpec) -> TerwayNodeSpec {
        TerwayNodeSpec {
            eni: Some(self.eni),
            pool: Some(self.pool),
            flavor: self.flavor,
            ..spec.clone()
        }
    }
}

/// Computes the settings of one node.
///
/// # Errors
/// When the node's zone has no vSwitch, or a vSwitch that cannot serve the node.
pub fn resolve(config: &EniConfig, profile: &NodeProfile<'_>) -> Result<Wanted, ConfigProblem> {
    let options = vswitch_options(config, profile)?;
    let trunk = profile.enable_trunk
        && config.trunking.unwrap_or(true)
        && !profile.eni_only
        && profile.cap.member_adapter_limit > 0;
    let mut tags = config.tags.clone();
    tags.extend(own_tags(profile.cluster_id));
    Ok(Wanted {
        eni: NodeEni {
            tag: tags,
            tag_filter: config.tag_filter.clone(),
            tag_block_list: config.tag_block_list.clone(),
            vswitch_options: options,
            security_group_ids: config.security_groups.clone(),
            vswitch_select_policy: config.vswitch_policy.clone(),
            resource_group_id: config.resource_group_id.clone(),
            enable_ipv4: true,
            enable_trunk: trunk,
            ..NodeEni::default()
        },
        pool: pool(config, profile.eni_only),
        flavor: flavors(profile, trunk),
    })
}

fn vswitch_options(config: &EniConfig, profile: &NodeProfile<'_>) -> Result<Vec<String>, ConfigProblem> {
    let zone = profile.zone;
    let options = config.vswitches.get(zone).filter(|ids| !ids.is_empty());
    let options = options.ok_or_else(|| ConfigProblem::ZoneWithoutVSwitch { zone: zone.into() })?;
    let mut before: Vec<(&VSwitch, IpNet)> = Vec::new();
    for id in options {
        let Some(known) = profile.vswitches.iter().find(|vswitch| vswitch.id == *id) else {
            return Err(ConfigProblem::UnknownVSwitch {
                zone: zone.into(),
                vswitch: id.clone(),
            });
        };
        if known.zone_id != zone {
            return Err(ConfigProblem::VSwitchOfOtherZone {
                zone: zone.into(),
                vswitch: id.clone(),
                actual: known.zone_id.clone(),
            });
        }
        for net in Family::SERVED
            .into_iter()
            .filter_map(|family| known.cidrs.of(family))
        {
            let shares = |other: &IpNet| other.contains(&net.network()) || net.contains(&other.network());
            if let Some((first, cidr)) = before.iter().find(|(_, other)| shares(other)) {
                return Err(ConfigProblem::Overlap {
                    zone: zone.into(),
                    first: first.id.clone(),
                    first_cidr: cidr.to_string(),
                    second: id.clone(),
                    second_cidr: net.to_string(),
                });
            }
            before.push((known, net));
        }
    }
    Ok(options.clone())
}

fn pool(config: &EniConfig, eni_only: bool) -> Pool {
    if eni_only {
        return Pool::default();
    }
    Pool {
        max_pool_size: config.max_pool_size,
        min_pool_size: config.min_pool_size,
        warm_up_size: config.warm_up_size,
        pool_sync_period: config.pool_sync_period.clone(),
        reclaim: config.reclaim.as_ref().map(|reclaim| Reclaim {
            after: reclaim.after.clone(),
            interval: reclaim.interval.clone(),
            batch_size: reclaim.batch_size,
            jitter_factor: reclaim.jitter_factor.clone(),
        }),
    }
}

/// The ENIs of the node: one trunk if wanted, and plain ENIs in all other places except that of the primary ENI.
fn flavors(profile: &NodeProfile<'_>, trunk: bool) -> Vec<Flavor> {
    let mut left = profile.cap.adapters.saturating_sub(1).max(0);
    let mut flavors = Vec::new();
    let mut add = |kind: EniKind, count: i32| {
        let count = count.min(left);
        if count > 0 {
            left -= count;
            flavors.push(Flavor {
                kind,
                traffic_mode: TrafficMode::Standard,
                count,
            });
        }
    };
    if trunk {
        add(EniKind::Trunk, 1);
    }
    add(EniKind::Secondary, i32::MAX);
    flavors
}
