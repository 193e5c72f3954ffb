//! Listings: filters and paging over the model.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::table::Candidates;
use super::{Cloud, Eni, InstanceState, InstanceType, SecurityGroup, VSwitchState};

/// Filters of DescribeNetworkInterfaces; an absent one lets everything pass.
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
    /// Whether a service of the cloud has the ENI; none has one here.
    pub service_managed: Option<bool>,
    /// Key, and value unless any will do.
    pub tags: Vec<(String, Option<String>)>,
}

/// Which part of the matches is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EniPage {
    /// Up to `limit` after the ENI with serial `after` (0 for the first page).
    After { after: u64, limit: usize },
    /// The n-th page, from 1, and the number of all matches.
    Number { number: usize, size: usize },
}

/// A part of the matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EniListing {
    pub enis: Vec<Eni>,
    /// Serial to go on after, when there is more.
    pub next: Option<u64>,
    /// Number of all matches; only counted for numbered pages.
    pub total: usize,
}

impl Cloud {
    /// ENIs that match, in order of creation. Paging by serial neither skips nor repeats an
    /// ENI while others come and go.
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

    /// The narrowest index that holds every match.
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

    /// vSwitches that match.
    pub fn describe_vswitches<'a>(
        &'a self,
        filter: &'a PlaceFilter,
    ) -> impl Iterator<Item = &'a VSwitchState> {
        self.vswitches.values().filter(|vswitch| {
            filter.admits(&vswitch.spec.id, &vswitch.spec.vpc)
                && filter.zone.as_ref().is_none_or(|zone| *zone == vswitch.spec.zone)
        })
    }

    /// Security groups that match.
    pub fn describe_groups<'a>(&'a self, filter: &'a PlaceFilter) -> impl Iterator<Item = &'a SecurityGroup> {
        self.groups
            .values()
            .filter(|group| filter.admits(&group.id, &group.vpc))
    }

    /// Instances that match.
    pub fn describe_instances<'a>(
        &'a self,
        filter: &'a PlaceFilter,
    ) -> impl Iterator<Item = &'a InstanceState> {
        self.instances.values().filter(|instance| {
            filter.admits(&instance.spec.id, &instance.vpc)
                && filter.zone.as_ref().is_none_or(|zone| *zone == instance.zone)
        })
    }

    /// Instance types among `ids`, or all.
    pub fn describe_types<'a>(&'a self, ids: &'a BTreeSet<String>) -> impl Iterator<Item = &'a InstanceType> {
        self.types
            .values()
            .filter(|kind| ids.is_empty() || ids.contains(&kind.id))
    }
}

/// Filters that vSwitches, groups and instances have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceFilter {
    /// Any when empty.
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
