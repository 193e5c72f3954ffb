//! Listings of ENIs, vSwitches, groups, instances and types, with filters and pages.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::table::Candidates;
use super::{Cloud, Eni, InstanceState, InstanceType, SecurityGroup, VSwitchState};

/// Filters of DescribeNetworkInterfaces. An absent filter matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EniFilter {
    pub ids: Vec<String>,
    pub instance_id: Option<String>,
    pub kind: Option<String>,
    pub status: Option<String>,
    pub vpc_id: Option<String>,
    pub vswitch_id: Option<String>,
    pub security_group_id: Option<String>,
    pub resource_group_id: Option<String>,
    pub name: Option<String>,
    pub primary_ip: Option<Ipv4Addr>,
    pub private_ips: Vec<Ipv4Addr>,
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Whether a service of the cloud manages the ENI. The simulator has no such ENIs.
    pub service_managed: Option<bool>,
    /// Keys with their values. `None` matches any value.
    pub tags: Vec<(String, Option<String>)>,
}

/// The requested part of the matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EniPage {
    /// Up to `limit` after the ENI with serial `after` (0 for the first page).
    After { after: u64, limit: usize },
    /// The page of this number, from 1, and the number of all matches.
    Number { number: usize, size: usize },
}

/// A part of the matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EniListing {
    pub enis: Vec<Eni>,
    /// Serial of the last ENI of this part, if more ENIs follow.
    pub next: Option<u64>,
    /// Number of all matches; 0 unless the page is numbered.
    pub total: usize,
}

impl Cloud {
    /// Matching ENIs in order of creation. Paging by serial skips and repeats no ENI while others come and go.
    pub fn describe_network_interfaces(&self, filter: &EniFilter, page: EniPage) -> EniListing {
        let candidates = self.candidates(filter);
        match page {
            EniPage::After { after, limit } => {
                let mut matches = self
                    .enis
                    .scan(&candidates, after)
                    .filter(|eni| filter.matches(eni))
                    .peekable();
                let enis: Vec<Eni> = matches.by_ref().take(limit).cloned().collect();
                let next = matches.peek().and(enis.last()).map(|eni| eni.serial);
                EniListing { total: 0, next, enis }
            }
            EniPage::Number { number, size } => {
                let first = number.saturating_sub(1).saturating_mul(size);
                let mut listing = EniListing::default();
                for eni in self.enis.scan(&candidates, 0).filter(|eni| filter.matches(eni)) {
                    if listing.total >= first && listing.enis.len() < size {
                        listing.enis.push(eni.clone());
                    }
                    listing.total += 1;
                }
                listing
            }
        }
    }

    /// The rows of the index with the fewest rows that still contains every match.
    fn candidates(&self, filter: &EniFilter) -> Candidates<'_> {
        if !filter.ids.is_empty() {
            return self.enis.with_ids(&filter.ids);
        }
        if let Some(instance) = &filter.instance_id {
            return self.enis.with_instance(instance);
        }
        if !filter.private_ips.is_empty() {
            return self.enis.with_addresses(&filter.private_ips);
        }
        let tagged = filter
            .tags
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| self.enis.with_tag(key, value)));
        tagged.min_by_key(Candidates::size).unwrap_or(Candidates::All)
    }

    /// Matching vSwitches.
    pub fn describe_vswitches<'a>(
        &'a self,
        filter: &'a PlaceFilter,
    ) -> impl Iterator<Item = &'a VSwitchState> {
        self.vswitches.values().filter(|vswitch| {
            filter.admits(&vswitch.spec.id, &vswitch.spec.vpc)
                && filter.zone.as_ref().is_none_or(|zone| *zone == vswitch.spec.zone)
        })
    }

    /// Matching security groups.
    pub fn describe_groups<'a>(&'a self, filter: &'a PlaceFilter) -> impl Iterator<Item = &'a SecurityGroup> {
        self.groups
            .values()
            .filter(|group| filter.admits(&group.id, &group.vpc))
    }

    /// Matching instances.
    pub fn describe_instances<'a>(
        &'a self,
        filter: &'a PlaceFilter,
    ) -> impl Iterator<Item = &'a InstanceState> {
        self.instances.values().filter(|instance| {
            filter.admits(&instance.spec.id, &instance.vpc)
                && filter.zone.as_ref().is_none_or(|zone| *zone == instance.zone)
        })
    }

    /// The instance types of these ids; all types when `ids` is empty.
    pub fn describe_types<'a>(&'a self, ids: &'a BTreeSet<String>) -> impl Iterator<Item = &'a InstanceType> {
        self.types
            .values()
            .filter(|kind| ids.is_empty() || ids.contains(&kind.id))
    }
}

/// Filters that vSwitches, groups and instances have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceFilter {
    /// Ids to match; every id when empty.
    pub ids: BTreeSet<String>,
    pub vpc: Option<String>,
    pub zone: Option<String>,
}

impl PlaceFilter {
    fn admits(&self, id: &str, vpc: &str) -> bool {
        (self.ids.is_empty() || self.ids.contains(id))
            && self.vpc.as_deref().is_none_or(|wanted| wanted == vpc)
    }
}

impl EniFilter {
    fn matches(&self, eni: &Eni) -> bool {
        let same =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        (self.ids.is_empty() || self.ids.iter().any(|id| **id == *eni.id))
            && self
                .instance_id
                .as_deref()
                .is_none_or(|id| eni.instance().is_some_and(|held| **held == *id))
            && same(&self.kind, eni.kind.name())
            && same(&self.status, eni.status.name())
            && same(&self.vpc_id, &eni.vpc_id)
            && same(&self.vswitch_id, &eni.vswitch_id)
            && same(&self.resource_group_id, &eni.resource_group_id)
            && same(&self.name, &eni.name)
            && self
                .security_group_id
                .as_deref()
                .is_none_or(|id| eni.security_group_ids.iter().any(|group| **group == *id))
            && self.primary_ip.is_none_or(|address| address == eni.primary_ip)
            && (self.private_ips.is_empty() || eni.addresses().any(|held| self.private_ips.contains(&held)))
            && (self.ipv6_addresses.is_empty()
                || eni
                    .ipv6_addresses
                    .iter()
                    .any(|held| self.ipv6_addresses.contains(held)))
            && self.service_managed != Some(true)
            && self.tags.iter().all(|(key, value)| {
                eni.tags
                    .get(key.as_str())
                    .is_some_and(|held| value.as_deref().is_none_or(|wanted| wanted == &**held))
            })
    }
}
