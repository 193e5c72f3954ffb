//! Reads a world file and checks that its parts fit together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{SecurityGroup, World};

/// Why a world cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("cannot read world file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("world file is not valid; see docs/cloudsim.md for its keys")]
    Parse(#[source] Box<serde_saphyr::Error>),
    #[error("{kind} {id:?} stands twice in the world")]
    Twice { kind: &'static str, id: String },
    #[error("{holder} names {kind} {id:?}, which the world does not have")]
    Unknown {
        holder: String,
        kind: &'static str,
        id: String,
    },
    #[error("{holder} has address {address}, which {reason}")]
    Address {
        holder: String,
        address: String,
        reason: &'static str,
    },
    #[error("{holder}: {reason}")]
    Rule { holder: String, reason: &'static str },
}

impl World {
    /// Reads and checks a world file.
    pub fn from_file(path: &Path) -> Result<World, WorldError> {
        let text = std::fs::read_to_string(path).map_err(|source| WorldError::Read {
            path: path.to_owned(),
            source,
        })?;
        World::from_yaml(&text)
    }

    /// Reads and checks a world from YAML text.
    pub fn from_yaml(text: &str) -> Result<World, WorldError> {
        // A world of thousands of instances is no attack: no budget.
        let options = serde_saphyr::options! { budget: None };
        let world: World = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| WorldError::Parse(Box::new(error)))?;
        world.check()?;
        Ok(world)
    }

    /// The documented example world: two nodes, two zones, three security groups.
    pub fn small() -> World {
        #[expect(
            clippy::expect_used,
            reason = "the file is part of the program; a test reads it"
        )]
        World::from_yaml(include_str!("../../worlds/small.yaml")).expect("the built-in world is valid")
    }

    fn check(&self) -> Result<(), WorldError> {
        let vpcs = unique("vpc", self.vpcs.iter().map(|v| v.id.as_str()))?;
        let vswitches = unique("vSwitch", self.v_switches.iter().map(|v| v.id.as_str()))?;
        let groups = unique(
            "security group",
            self.security_groups.iter().map(|g| g.id.as_str()),
        )?;
        let types = unique("instance type", self.instance_types.iter().map(|t| t.id.as_str()))?;
        let roles = unique("RAM role", self.ram_roles.iter().map(|r| r.name.as_str()))?;
        unique("instance", self.instances.iter().map(|i| i.id.as_str()))?;
        unique(
            "primary ENI",
            self.instances.iter().filter_map(|i| i.primary_eni.as_deref()),
        )?;
        unique("host", self.hosts.iter().map(|h| h.name.as_str()))?;
        for vswitch in &self.v_switches {
            let holder = format!("vSwitch {}", vswitch.id);
            known(&vpcs, "vpc", &vswitch.vpc, &holder)?;
            if vswitch.cidr.prefix_len() > 29 || vswitch.cidr.prefix_len() < 8 {
                return Err(WorldError::Rule {
                    holder,
                    reason: "its cidr must be a /8 to a /29",
                });
            }
            if vswitch
                .ipv6_cidr
                .is_some_and(|cidr| !(32..80).contains(&cidr.prefix_len()))
            {
                return Err(WorldError::Rule {
                    holder,
                    reason: "its ipv6Cidr must be a /32 to a /79; vSwitches have a /64",
                });
            }
        }
        for group in &self.security_groups {
            check_group(group, &vpcs, &groups)?;
        }
        for instance in &self.instances {
            let holder = format!("instance {}", instance.id);
            known(&types, "instance type", &instance.instance_type, &holder)?;
            check_place(
                &holder,
                &instance.v_switch,
                &instance.security_groups,
                &vswitches,
                &groups,
            )?;
            if let Some(role) = &instance.ram_role {
                known(&roles, "RAM role", role, &holder)?;
            }
        }
        for host in &self.hosts {
            let holder = format!("host {}", host.name);
            check_place(
                &holder,
                &host.v_switch,
                &host.security_groups,
                &vswitches,
                &groups,
            )?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            fault.check().map_err(|reason| WorldError::Rule {
                holder: format!("fault number {}", index + 1),
                reason,
            })?;
        }
        for preset in &self.network_interfaces {
            let holder = format!("networkInterfaces in {}", preset.v_switch);
            check_place(
                &holder,
                &preset.v_switch,
                &preset.security_groups,
                &vswitches,
                &groups,
            )?;
        }
        Ok(())
    }
}

fn check_group(
    group: &SecurityGroup,
    vpcs: &BTreeSet<&str>,
    groups: &BTreeSet<&str>,
) -> Result<(), WorldError> {
    let holder = format!("security group {}", group.id);
    known(vpcs, "vpc", &group.vpc, &holder)?;
    for rule in group.ingress.iter().chain(&group.egress) {
        if !(1..=100).contains(&rule.priority) {
            return Err(WorldError::Rule {
                holder,
                reason: "a rule's priority must be 1 to 100",
            });
        }
        if rule.cidr.is_some() && rule.group.is_some() {
            return Err(WorldError::Rule {
                holder,
                reason: "a rule has either cidr or group, not both",
            });
        }
        if let Some(peer) = &rule.group {
            known(groups, "security group", peer, &holder)?;
        }
    }
    Ok(())
}

fn check_place(
    holder: &str,
    vswitch: &str,
    members: &[String],
    vswitches: &BTreeSet<&str>,
    groups: &BTreeSet<&str>,
) -> Result<(), WorldError> {
    known(vswitches, "vSwitch", vswitch, holder)?;
    members
        .iter()
        .try_for_each(|group| known(groups, "security group", group, holder))
}

fn unique<'a>(
    kind: &'static str,
    ids: impl Iterator<Item = &'a str>,
) -> Result<BTreeSet<&'a str>, WorldError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(WorldError::Twice {
                kind,
                id: id.to_owned(),
            });
        }
    }
    Ok(seen)
}

fn known(ids: &BTreeSet<&str>, kind: &'static str, id: &str, holder: &str) -> Result<(), WorldError> {
    if ids.contains(id) {
        Ok(())
    } else {
        Err(WorldError::Unknown {
            holder: holder.to_owned(),
            kind,
            id: id.to_owned(),
        })
    }
}
